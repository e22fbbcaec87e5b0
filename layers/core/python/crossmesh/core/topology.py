"""The declared whole as values: what the manifests of all clusters mean together, with every reference resolved.

It knows no AWS call: App Mesh's requests are one rendering of it (`core.render`), and Lattice's or Envoy's would be others.
Specs stay as their documents wrote them (`spec`), beside the few parts that crossmesh itself decides on. Only references are replaced, by the name in
App Mesh that they mean: `{"@VirtualNode": "blue_demo", "weight": 1}`. The services of a node's backend groups stand among its backends.
"""

from typing import Any, Literal

import msgspec

from crossmesh.core.documents import Place


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One `matchExpressions` entry of a Kubernetes label selector."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class LabelSelector(msgspec.Struct, frozen=True, kw_only=True):
    """A Kubernetes label selector. No labels and no requirements fits everything (metav1.LabelSelector)."""

    labels: tuple[tuple[str, str], ...] = ()
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether `labels` fit all parts of the selector."""
        if any(labels.get(key) != value for key, value in self.labels):
            return False
        for need in self.requirements:
            present = need.key in labels
            fits = {
                "In": present and labels.get(need.key) in need.values,
                "NotIn": not present or labels.get(need.key) not in need.values,
                "Exists": present,
                "DoesNotExist": not present,
            }[need.operator]
            if not fits:
                return False
        return True


class CloudMap(msgspec.Struct, frozen=True, kw_only=True):
    """`serviceDiscovery.awsCloudMap` of a virtual node."""

    namespace: str
    service: str
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """`service.namespace`, the service's name to people."""
        return f"{self.service}.{self.namespace}"


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A port a virtual node listens on."""

    port: int
    protocol: str


class VirtualNode(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual node and which pods are its own.

    Pods are chosen in the node's Kubernetes namespace by `selector`; for converted v1beta1 documents without one, by the pod annotation
    `appmesh.k8s.aws/virtualNode` naming the node, else by belonging to the Deployment of the node's name (`selector` is None, `legacy` True).
    """

    namespace: str
    name: str
    aws_name: str
    mesh: str
    selector: LabelSelector | None = None
    legacy: bool = False
    listeners: tuple[Listener, ...] = ()
    cloud_map: CloudMap | None = None
    spec: dict[str, Any] = {}
    references: dict[str, str] = {}
    place: Place

    @property
    def key(self) -> str:
        """`namespace/name`, how settings and people refer to it."""
        return f"{self.namespace}/{self.name}"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Any other declared thing (mesh, virtual service, router, gateway, gateway route, backend group), resolved but kept as written.

    `aws_name` is its name in App Mesh; `mesh` the AWS name of its mesh; `references` the resolved targets by the dotted field they stand at
    (`spec.routes[0].httpRoute.action.weightedTargets[1].virtualNodeRef`), of a gateway route also its gateway as `virtualGateway`.
    """

    kind: str
    namespace: str
    name: str
    aws_name: str
    mesh: str
    spec: dict[str, Any] = {}
    references: dict[str, str] = {}
    place: Place

    @property
    def key(self) -> str:
        """`namespace/name`; a mesh has no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Everything declared, each tuple sorted by (mesh, namespace, name)."""

    meshes: tuple[Resource, ...] = ()
    nodes: tuple[VirtualNode, ...] = ()
    services: tuple[Resource, ...] = ()
    routers: tuple[Resource, ...] = ()
    gateways: tuple[Resource, ...] = ()
    gateway_routes: tuple[Resource, ...] = ()
    backend_groups: tuple[Resource, ...] = ()
