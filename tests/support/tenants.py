"""Documents of three tenants in one cluster, and their judgement."""

from typing import Any

import yaml
from crossmesh.core.compiler.cluster_manifests import ClusterDocuments, kept
from crossmesh.core.settings import ClusterSettings, ManifestSource, MeshSettings, Settings
from crossmesh.manifests.judged import Judged

TEAMS = ("mallory", "payments", "shop")
HEAD = "".join(
    f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {team}, labels: {{mesh: one}}}}\n" for team in TEAMS
) + (
    "---\napiVersion: appmesh.k8s.aws/v1beta2\nkind: Mesh\nmetadata: {name: one}\n"
    "spec: {namespaceSelector: {matchLabels: {mesh: one}}}\n"
)  # fmt: skip


def made(kind: str, where: str, spec: str) -> str:
    namespace, _, name = where.partition("/")
    return f"---\napiVersion: appmesh.k8s.aws/v1beta2\nkind: {kind}\nmetadata: {{namespace: {namespace}, name: {name}}}\nspec: {spec}\n"


def node(where: str, service: str = "", *, port: int = 8080, more: str = "") -> str:
    name = where.partition("/")[2]
    found = f"{{awsCloudMap: {{namespaceName: prod.local, serviceName: {service or name}}}}}"
    listener = f"[{{portMapping: {{port: {port}, protocol: http}}}}]"
    return made(
        "VirtualNode", where, f"{{podSelector: {{matchLabels: {{app: {name}}}}}, listeners: {listener}, serviceDiscovery: {found}{more}}}"
    )


def asks(where: str, of: str) -> str:
    namespace, _, name = of.partition("/")
    return node(where, more=f", backends: [{{virtualService: {{virtualServiceRef: {{namespace: {namespace}, name: {name}}}}}}}]")


def offers(where: str, by: str, name: str = "") -> str:
    aws = f"awsName: {name}, " if name else ""
    return made("VirtualService", where, f"{{{aws}provider: {{virtualNode: {{virtualNodeRef: {{name: {by}}}}}}}}}")


PAY = (node("payments/pay"), offers("payments/pay", "pay", "pay.prod.local"))
SHOP = (node("shop/front"), asks("shop/cart", "payments/pay"))
ALL = (*PAY, *SHOP)
KEYS = ["payments/pay", "shop/cart", "shop/front"]


def held(*texts: str, cluster: str = "one", head: str = HEAD) -> ClusterDocuments:
    items = [kept(item, item["kind"], item["apiVersion"]) for item in yaml.safe_load_all(head + "".join(texts)) if item]
    return ClusterDocuments(
        cluster=cluster, items=tuple(sorted(items, key=lambda i: (i["kind"], i["metadata"].get("namespace", ""), i["metadata"]["name"])))
    )


def settings(**source: Any) -> Settings:
    clusters = tuple(ClusterSettings(name=name, eks=name, region="us-east-1") for name in ("one", "two"))
    mesh = MeshSettings(manifests=ManifestSource(clusters=("one", "two"), **source))
    return Settings(owner="me", region="us-east-1", mesh=mesh, clusters=clusters)


def nodes(found: Judged) -> list[str]:
    return [f"{node.key}" for node in found.built.topology.nodes]
