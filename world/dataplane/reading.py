"""What the management service read for one proxy: specs as the mesh API gives them. Values only."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from world.dataplane.names import Spec, node_cluster

KINDS = ("httpRoute", "http2Route", "grpcRoute", "tcpRoute")


@dataclass(slots=True)
class Service:
    """A virtual service: (port, protocol) of its provider's listeners, and the routes of its router or to its node."""

    name: str
    listeners: list[tuple[int, str]] = field(default_factory=list)
    routes: list[Spec] = field(default_factory=list)

    def at(self, port: int) -> list[Spec]:
        """Routes of one listener: those that match its port, and those that match none."""
        return [route for route in self.routes if ((route["spec"][kind_of(route)].get("match") or {}).get("port") or port) == port]


@dataclass(slots=True)
class Reading:
    """`kind` is virtualNode or virtualGateway; `services` are the backends, or what the gateway's routes reach."""

    mesh: str
    kind: str
    name: str
    spec: Spec
    mesh_spec: Spec = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    gateway_routes: list[Spec] = field(default_factory=list)
    nodes: dict[str, Spec] = field(default_factory=dict)
    instances: dict[str, list[Spec]] = field(default_factory=dict)

    @property
    def gateway(self) -> bool:
        """Whether it stands alone, in front of the mesh."""
        return self.kind == "virtualGateway"

    @property
    def allows_all(self) -> bool:
        """Whether the mesh lets its nodes out to wherever they like."""
        return (self.mesh_spec.get("egressFilter") or {}).get("type") == "ALLOW_ALL"

    def preference(self, spec: Spec | None = None) -> str:
        """The IP preference in force for a node: its own, else the mesh's, else ""."""
        for found in ((spec or {}).get("serviceDiscovery") or {}).values():
            if found.get("ipPreference"):
                return str(found["ipPreference"])
        return str((self.mesh_spec.get("serviceDiscovery") or {}).get("ipPreference") or "")

    def target(self, target: Spec, route: Spec) -> tuple[str, str, int]:
        """A weighted target's node, protocol and port: of the listener that it names, else of the node's first."""
        name = target["virtualNode"]
        listeners = self.nodes.get(name, {}).get("listeners") or ()
        mapped = [listener["portMapping"] for listener in listeners]
        found = next((one for one in mapped if target.get("port") in (None, 0, one["port"])), None)
        protocol = kind_of(route).removesuffix("Route")
        return (name, found["protocol"], found["port"]) if found else (name, protocol, target.get("port") or 0)

    def cluster(self, target: Spec, route: Spec) -> str:
        """The name of a weighted target's cluster."""
        return node_cluster("egress", self.mesh, *self.target(target, route))

    def targets(self) -> Iterator[tuple[str, tuple[str, str, int]]]:
        """(virtual service, its target's node, protocol and port), services by name."""
        for name, service in sorted(self.services.items()):
            for route in service.routes:
                for target in route["spec"][kind_of(route)]["action"]["weightedTargets"]:
                    yield name, self.target(target, route)


def kind_of(route: Spec) -> str:
    """httpRoute, http2Route, grpcRoute or tcpRoute."""
    return next((kind for kind in KINDS if kind in route["spec"]), "httpRoute")
