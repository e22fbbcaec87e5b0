"""One mesh of the topology, by name, and what its services are seen as from outside. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from crossmesh.core.mesh.xds.defaults import Json
from crossmesh.core.topology import NodeProvider, Resource, Route, Topology, VirtualNode, VirtualRouter, VirtualService

Preference = Literal["", "IPv4_ONLY", "IPv6_ONLY"]


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A mesh's declarations by AWS name. `preference`: the addresses that its proxies use, "" =
    either family.
    """

    mesh: str
    owner: str = ""
    allow_all: bool = False
    preference: Preference = ""
    nodes: dict[str, VirtualNode] = {}
    services: dict[str, VirtualService] = {}
    routers: dict[str, VirtualRouter] = {}
    gateways: dict[str, Resource] = {}
    gateway_routes: dict[str, tuple[Resource, ...]] = {}  # by gateway
    # Keys of nodes and gateways that may go without encryption that cannot be had
    plaintext: frozenset[str] = frozenset()


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """A port that a virtual service is asked at. `routes` of its router, or the `node` that
    provides it.
    """

    service: str
    port: int
    protocol: str
    routes: tuple[Route, ...] = ()
    node: str = ""
    several: bool = False  # whether the service has other ports, too


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a virtual node as its callers ask it. `node` None: no document declares it.
    `listener`: as written, {} = it has none there.
    """

    name: str
    port: int
    protocol: str
    node: VirtualNode | None = None
    listener: Json = {}


def meshes(topology: Topology, ip_family: str, plaintext: Iterable[str] = ()) -> tuple[Declared, ...]:
    """Every mesh of the topology, by name. `ip_family`: of the clusters, which decides the
    preference as it did in AWS's controller.
    """
    waived = frozenset(plaintext)
    return tuple(
        _declared(topology, mesh, ip_family, waived) for mesh in sorted(topology.meshes, key=lambda mesh: mesh.aws_name)
    )


def _declared(topology: Topology, mesh: Resource, ip_family: str, waived: frozenset[str]) -> Declared:
    def own(items: tuple[Any, ...]) -> dict[str, Any]:
        return {item.aws_name: item for item in items if item.mesh == mesh.aws_name}

    routes: dict[str, list[Resource]] = {}
    for route in own(topology.gateway_routes).values():
        routes.setdefault(route.references.get("virtualGateway", ""), []).append(route)
    preference: Preference = "IPv4_ONLY" if "meshServiceDiscovery" in mesh.spec else ""
    return Declared(
        mesh=mesh.aws_name,
        owner=str(mesh.spec.get("meshOwner") or ""),
        allow_all=(mesh.spec.get("egressFilter") or {}).get("type") == "ALLOW_ALL",
        preference="IPv6_ONLY" if ip_family == "ipv6" else preference,
        nodes=own(topology.nodes),
        services=own(topology.services),
        routers=own(topology.routers),
        gateways=own(topology.gateways),
        gateway_routes={name: tuple(found) for name, found in routes.items()},
        plaintext=waived,
    )


def listeners(spec: Mapping[str, Any]) -> tuple[Json, ...]:
    """The listeners of a spec that have a port and a protocol; the first of several on one port."""
    found: dict[int, Json] = {}
    for listener in spec.get("listeners") or ():
        mapping = listener.get("portMapping") or {}
        if "port" in mapping and "protocol" in mapping:
            found.setdefault(mapping["port"], listener)
    return tuple(found.values())


def faces(declared: Declared, service: str) -> tuple[Face, ...]:
    """The ports of a virtual service, by number; none where nobody provides it."""
    provider = declared.services[service].provider if service in declared.services else None
    if provider is None:
        return ()
    if isinstance(provider, NodeProvider):
        node = declared.nodes.get(provider.name)
        ports = listeners(node.spec) if node is not None else ()
        routes: tuple[Route, ...] = ()
    else:
        router = declared.routers.get(provider.name)
        ports, routes = (listeners(router.spec), router.routes) if router is not None else ((), ())
    found = []
    for mapping in sorted((port["portMapping"] for port in ports), key=lambda mapping: int(mapping["port"])):
        port, protocol = int(mapping["port"]), str(mapping["protocol"])
        fitting = tuple(route for route in routes if route.protocol == protocol and route.match.port in (None, 0, port))
        node_name = provider.name if isinstance(provider, NodeProvider) else ""
        found.append(
            Face(service=service, port=port, protocol=protocol, routes=fitting, node=node_name, several=len(ports) > 1)
        )
    return tuple(found)


def target(declared: Declared, name: str, wanted: int | None, face: Face) -> Target:
    """The port of a virtual node that a route of `face` means: the one it names, else the node's
    only one, else the one of the face's number.
    """
    node = declared.nodes.get(name)
    found = {
        listener["portMapping"]["port"]: listener for listener in (listeners(node.spec) if node is not None else ())
    }
    if wanted:
        port = wanted
    elif len(found) == 1:
        port = next(iter(found))
    else:
        port = face.port if face.port in found or not found else next(iter(found))
    listener = found.get(port, {})
    protocol = str(listener["portMapping"]["protocol"]) if listener else face.protocol
    return Target(name=name, port=port, protocol=protocol, node=node, listener=listener)


def face_targets(declared: Declared, face: Face) -> tuple[Target, ...]:
    """Every virtual node that a face leads to, each once."""
    if face.node:
        return (target(declared, face.node, face.port, face),)
    named = {(one.virtual_node, one.port): None for route in face.routes for one in route.targets if one.virtual_node}
    return tuple(
        {(one.name, one.port): one for name, port in named for one in (target(declared, name, port, face),)}.values()
    )


def discovery_name(node: VirtualNode | None) -> str:
    """The name under which a node is looked up: of DNS, or of its Cloud Map service. "" = it is not
    looked up.
    """
    if node is None:
        return ""
    if node.cloud_map is not None:
        return f"{node.cloud_map.service}.{node.cloud_map.namespace}"
    return str(((node.spec.get("serviceDiscovery") or {}).get("dns") or {}).get("hostname") or "")
