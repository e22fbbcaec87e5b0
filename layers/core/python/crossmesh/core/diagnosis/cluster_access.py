"""What crossmesh must be allowed to read in one cluster, as Kubernetes objects: Roles in the mesh's
namespaces, and a small ClusterRole.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from crossmesh.core.registry.pod_selection import counts_here
from crossmesh.core.settings import ClusterSettings, Settings
from crossmesh.core.topology import Topology

Document = dict[str, Any]
# Also in clusters/reader.yaml, whose ClusterRole this one replaces
READER, READERS = "crossmesh-reader", "crossmesh:readers"
GATEKEEPER, GATEKEEPERS = "crossmesh-gatekeeper", "crossmesh:gatekeepers"
_RBAC = "rbac.authorization.k8s.io"
_LABELS = {"app.kubernetes.io/name": "crossmesh", "app.kubernetes.io/component": "access"}


def pods_in(topology: Topology, cluster: ClusterSettings) -> set[str]:
    """The namespaces of a cluster whose pods may back virtual nodes."""
    return {node.namespace for node in topology.nodes if counts_here(node, cluster)}


def fronts_in(settings: Settings, cluster: ClusterSettings) -> dict[str, set[str]]:
    """The Services of a cluster that canaries ask, by namespace."""
    found: dict[str, set[str]] = {}
    for canary in settings.canaries:
        if canary.service and canary.service.cluster == cluster.name:
            found.setdefault(canary.service.namespace, set()).add(canary.service.name)
    return found


def rights(settings: Settings, topology: Topology, cluster: ClusterSettings) -> tuple[Document, ...]:
    """Every object, the cluster-wide ones first. The namespaces must exist in the cluster."""
    found = [
        *_wide(READER, READERS, [_rule("", "nodes", "list"), _rule("", "namespaces", "get", names=("kube-system",))])
    ]
    for namespace, rules in sorted(_rules(settings, topology, cluster).items()):
        found += _narrow(READER, READERS, namespace, rules)
    for namespace in sorted(pods_in(topology, cluster)) if settings.readiness_gate else ():
        found += _narrow(GATEKEEPER, GATEKEEPERS, namespace, [_rule("", "pods/status", "patch")])
    return tuple(found)


def _rules(settings: Settings, topology: Topology, cluster: ClusterSettings) -> Mapping[str, list[Document]]:
    """Rules of the Role in each namespace."""
    mesh, fronts = pods_in(topology, cluster), fronts_in(settings, cluster)
    controllers = set(cluster.controller_namespaces) if cluster.controller != "none" else set()
    found: dict[str, list[Document]] = {}
    for namespace in mesh | set(fronts) | controllers:
        rules = found[namespace] = [_rule("apps", "deployments", "list")]
        if namespace in mesh or namespace in fronts:
            rules.append(_rule("", "pods", *(("get", "list") if namespace in mesh else ("list",))))
        if namespace in mesh and cluster.zonal_shift:
            rules.append(_rule("discovery.k8s.io", "endpointslices", "list"))
        if namespace in fronts:
            rules.append(_rule("", "services", "get", names=tuple(sorted(fronts[namespace]))))
    return found


def _rule(group: str, resource: str, *verbs: str, names: tuple[str, ...] = ()) -> Document:
    return {
        "apiGroups": [group],
        "resources": [resource],
        **({"resourceNames": list(names)} if names else {}),
        "verbs": list(verbs),
    }


def _wide(name: str, group: str, rules: list[Document]) -> Iterator[Document]:
    metadata = {"name": name, "labels": _LABELS}
    yield {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
    yield _binding("ClusterRole", metadata, group)


def _narrow(name: str, group: str, namespace: str, rules: list[Document]) -> Iterator[Document]:
    metadata = {"name": name, "namespace": namespace, "labels": _LABELS}
    yield {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    yield _binding("Role", metadata, group)


def _binding(kind: str, metadata: Document, group: str) -> Document:
    role = {"apiGroup": _RBAC, "kind": kind, "name": metadata["name"]}
    subject = {"apiGroup": _RBAC, "kind": "Group", "name": group}
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": role,
        "subjects": [subject],
    }
