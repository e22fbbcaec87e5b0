"""The declared whole as values: what the manifests of all clusters mean together, with every
reference resolved.

It knows no AWS call: App Mesh's requests are one rendering of it (`core.mesh.appmesh.render`), and
Lattice's or Envoy's would be others. Routes, their targets and the providers of services are values
of their own. All else stays as its document wrote it (`spec`), for backends to read. Only
references are replaced there, by the name in App Mesh that they mean: `{"@VirtualNode":
"blue_demo", "weight": 1}`. The services of a node's backend groups stand among its backends.
"""

from typing import Any, Literal

import msgspec

from crossmesh.core.documents import SourceLocation
from crossmesh.core.keys import service_key


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One `matchExpressions` entry of a Kubernetes label selector."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class LabelSelector(msgspec.Struct, frozen=True, kw_only=True):
    """A Kubernetes label selector. No labels and no requirements fits everything
    (metav1.LabelSelector).
    """

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
        """The service's key, which is its name to people."""
        return service_key(self.namespace, self.service)


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A port a virtual node listens on."""

    port: int
    protocol: str


class VirtualNode(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual node and which pods are its own.

    Pods are chosen in the node's Kubernetes namespace by `selector`; for converted v1beta1
    documents without one, by the pod annotation `appmesh.k8s.aws/virtualNode` naming the node, else
    by belonging to the Deployment of the node's name (`selector` is None, `legacy` True).
    """

    namespace: str
    name: str
    aws_name: str
    mesh: str
    selector: LabelSelector | None = None
    legacy: bool = False
    listeners: tuple[Listener, ...] = ()
    backends: tuple[str, ...] = ()  # AWS names of the virtual services that it may ask
    cloud_map: CloudMap | None = None
    spec: dict[str, Any] = {}
    references: dict[str, str] = {}
    place: SourceLocation

    @property
    def key(self) -> str:
        """`namespace/name`, how settings and people refer to it."""
        return f"{self.namespace}/{self.name}"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Any other declared thing (mesh, virtual service, router, gateway, gateway route, backend
    group), resolved but kept as written.

    `aws_name` is its name in App Mesh; `mesh` the AWS name of its mesh; `references` the resolved
    targets by the dotted field they stand at (`spec.provider.virtualRouter.virtualRouterRef`), of a
    gateway route also its gateway as `virtualGateway`.
    """

    kind: str
    namespace: str
    name: str
    aws_name: str
    mesh: str
    spec: dict[str, Any] = {}
    references: dict[str, str] = {}
    place: SourceLocation

    @property
    def key(self) -> str:
        """`namespace/name`; a mesh has no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


Protocol = Literal["grpc", "http", "http2", "tcp"]
# The only list of the kinds of routes: the member of a route's document, and the protocol that it
# means.
ROUTE_KINDS: dict[str, Protocol] = {"grpcRoute": "grpc", "httpRoute": "http", "http2Route": "http2", "tcpRoute": "tcp"}


class ValueMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A header, gRPC metadata or query parameter that a route asks for. `match` is as written; {} =
    it must be there.
    """

    name: str
    invert: bool = False
    match: dict[str, Any] = {}


class RouteMatch(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests a route takes; None = any. Of `prefix`, `exact` and `regex`, which are about
    the path, one is given at most.
    """

    prefix: str | None = None
    exact: str | None = None
    regex: str | None = None
    port: int | None = None
    method: str | None = None
    scheme: str | None = None
    grpc_service: str | None = None
    grpc_method: str | None = None
    headers: tuple[ValueMatch, ...] = ()
    metadata: tuple[ValueMatch, ...] = ()
    query_parameters: tuple[ValueMatch, ...] = ()

    @property
    def whole_path(self) -> bool:
        """Whether the whole path decides, exactly or by a pattern."""
        return self.exact is not None or self.regex is not None


class WeightedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual node (AWS name) that a route sends requests to; `port` None = the only one that it
    listens on.
    """

    virtual_node: str
    weight: int = 0
    port: int | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route of a virtual router.

    `targets` are those in force: a shift changes their weights and leaves `spec`, which is as the
    document wrote it. `priority` None = after all others. `protocol` None = the document names no
    kind of route that there is, an error that was reported.
    """

    name: str = ""
    protocol: Protocol | None = None
    priority: int | None = None
    match: RouteMatch = RouteMatch()
    targets: tuple[WeightedTarget, ...] = ()
    retries: bool = False  # whether it has a retry policy
    spec: dict[str, Any] = {}

    @property
    def weights(self) -> dict[str, int]:
        """Weights by virtual node (AWS name). A node that stands there twice has the sum."""
        found: dict[str, int] = {}
        for target in self.targets:
            found[target.virtual_node] = found.get(target.virtual_node, 0) + target.weight
        return found


class VirtualRouter(Resource, frozen=True, kw_only=True):
    """A virtual router with its routes as its document orders them; `spec` is without them."""

    routes: tuple[Route, ...] = ()


class NodeProvider(msgspec.Struct, frozen=True, kw_only=True, tag="virtual_node"):
    """The virtual node (AWS name) that answers for a virtual service."""

    name: str


class RouterProvider(msgspec.Struct, frozen=True, kw_only=True, tag="virtual_router"):
    """The virtual router (AWS name) that answers for a virtual service."""

    name: str


class VirtualService(Resource, frozen=True, kw_only=True):
    """A virtual service; `provider` None = nobody answers for it."""

    provider: NodeProvider | RouterProvider | None = None


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Everything declared, each tuple sorted by (mesh, namespace, name)."""

    meshes: tuple[Resource, ...] = ()
    nodes: tuple[VirtualNode, ...] = ()
    services: tuple[VirtualService, ...] = ()
    routers: tuple[VirtualRouter, ...] = ()
    gateways: tuple[Resource, ...] = ()
    gateway_routes: tuple[Resource, ...] = ()
    backend_groups: tuple[Resource, ...] = ()

    def router_of(self, service: VirtualService) -> VirtualRouter | None:
        """The declared router that answers for a virtual service."""
        if not isinstance(service.provider, RouterProvider):
            return None
        name = service.provider.name
        return next((router for router in self.routers if (router.mesh, router.aws_name) == (service.mesh, name)), None)
