"""The kinds of App Mesh resources, and what each may refer to (API model of 2019-01-25)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
ROUTE_KINDS = ("httpRoute", "http2Route", "grpcRoute", "tcpRoute")
GATEWAY_ROUTE_KINDS = ("httpRoute", "http2Route", "grpcRoute")


@dataclass(frozen=True, slots=True)
class Kind:
    """`title` as in operations' names, `name` as in documents; `path` as in ARNs; `quota` how many its parent may have."""

    name: str
    title: str
    plural: str
    path: str
    quota: int
    parent: str = ""

    @property
    def name_member(self) -> str:
        """The member that carries the name."""
        return f"{self.name}Name"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("mesh", "Mesh", "meshes", "mesh", 15),
        Kind("virtualGateway", "VirtualGateway", "virtualGateways", "virtualGateway", 3, "mesh"),
        Kind("virtualNode", "VirtualNode", "virtualNodes", "virtualNode", 200, "mesh"),
        Kind("virtualRouter", "VirtualRouter", "virtualRouters", "virtualRouter", 200, "mesh"),
        Kind("virtualService", "VirtualService", "virtualServices", "virtualService", 200, "mesh"),
        Kind("route", "Route", "routes", "route", 50, "virtualRouter"),
        Kind("gatewayRoute", "GatewayRoute", "gatewayRoutes", "gatewayRoute", 10, "virtualGateway"),
    )
}

Key = tuple[str, ...]
"""Identity: ("mesh", mesh), (kind, mesh, name) or (kind, mesh, parent, name)."""


def key_of(kind: Kind, request: Document) -> Key:
    """The identity that a request names."""
    if not kind.parent:
        return (kind.name, request["meshName"])
    if kind.parent == "mesh":
        return (kind.name, request["meshName"], request[kind.name_member])
    return (kind.name, request["meshName"], request[f"{kind.parent}Name"], request[kind.name_member])


def parent_of(key: Key) -> Key | None:
    """The identity of what a resource lies in."""
    kind = KINDS[key[0]]
    if not kind.parent:
        return None
    return ("mesh", key[1]) if kind.parent == "mesh" else (kind.parent, key[1], key[2])


def references(key: Key, spec: Document) -> Iterator[Key]:
    """What must exist before a resource with this spec may, and may not go while it stands.

    A node's backends are not among them: App Mesh takes a backend whose virtual service does not exist.
    """
    mesh = key[1]
    if key[0] == "virtualService":
        provider = spec.get("provider") or {}
        if "virtualNode" in provider:
            yield ("virtualNode", mesh, provider["virtualNode"]["virtualNodeName"])
        if "virtualRouter" in provider:
            yield ("virtualRouter", mesh, provider["virtualRouter"]["virtualRouterName"])
    elif key[0] == "route":
        for kind in ROUTE_KINDS:
            for target in ((spec.get(kind) or {}).get("action") or {}).get("weightedTargets", ()):
                yield ("virtualNode", mesh, target["virtualNode"])
    elif key[0] == "gatewayRoute":
        for kind in GATEWAY_ROUTE_KINDS:
            target = ((spec.get(kind) or {}).get("action") or {}).get("target")
            if target:
                yield ("virtualService", mesh, target["virtualService"]["virtualServiceName"])
