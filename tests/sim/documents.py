"""App Mesh documents as a cluster's API holds them, where manifests are read live: those of the application, and what tenants write beside them."""

from functools import cache
from typing import Any

import yaml
from crossmesh.core.compiler.cluster_manifests import LISTS

from tests.sim.application import ROOT

TENANT = "mallory"
SPACE = "appmesh-demo.pvt.aws.local"
KINDS = {path: kind for path, kind, _ in LISTS}


@cache
def declared() -> tuple[dict[str, Any], ...]:
    """The application's own: those that the configuration ships as files."""
    found = [one for path in sorted((ROOT / "config/mesh").glob("*.yaml")) for one in yaml.safe_load_all(path.read_text()) if one]
    return (*found, _namespace(TENANT))


def named(item: dict[str, Any]) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"mesh": "appmesh-demo"}}}


def node(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """A virtual node."""
    listeners = [{"portMapping": {"port": 8080, "protocol": "http"}}]
    discovery = {"awsCloudMap": {"namespaceName": SPACE, "serviceName": spec.pop("service", name)}}
    whole = {"podSelector": {"matchLabels": {"app": name}}, "listeners": listeners, "serviceDiscovery": discovery, **spec}
    return {"apiVersion": "appmesh.k8s.aws/v1beta2", "kind": "VirtualNode", "metadata": {"name": name, "namespace": namespace}, "spec": whole}


def tenants(kind: str) -> list[dict[str, Any]]:
    """What a tenant writes: `broken` refers to nothing, `same-name` takes another's AWS name, `foreign` another's service, `huge` is very many."""
    nobody = [{"virtualService": {"virtualServiceRef": {"name": "nobody"}}}]
    match kind:
        case "broken":
            return [node(TENANT, "broken", backends=nobody)]
        case "same-name":
            return [node(TENANT, "thief", awsName="colorapp-blue_appmesh-demo")]
        case "foreign":
            return [node(TENANT, "foreign", service="colorapp", podSelector={"matchLabels": {"app": "colorapp"}})]
        case "nonsense":
            return [node(TENANT, "nonsense", listeners="none", serviceDiscovery=7)]
        case "huge":
            return [node(TENANT, f"huge-{number}", backends=nobody) for number in range(200)]
    raise AssertionError(kind)
