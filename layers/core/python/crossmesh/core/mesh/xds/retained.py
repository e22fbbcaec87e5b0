"""What stays in its last published form though it is not declared any more. Pure."""

from typing import Any

import msgspec

from crossmesh.core.mesh.xds.lost import Withheld
from crossmesh.core.topology import Topology

_FIELDS = ("meshes", "nodes", "services", "routers", "gateways", "gateway_routes")


def with_undeclared(declared: Topology, before: Topology) -> Topology:
    """What is declared, and beside it all that was published and is not declared any more, routes
    of declared routers too.
    """
    merged: dict[str, tuple[Any, ...]] = {}
    for field in _FIELDS:
        there = {(one.mesh, one.aws_name): one for one in getattr(declared, field)}
        former = {(one.mesh, one.aws_name): one for one in getattr(before, field)}
        merged[field] = tuple(sorted({**former, **there}.values(), key=lambda one: (one.mesh, one.namespace, one.name)))
    routers = []
    for router in merged["routers"]:
        names = {route.name for route in router.routes}
        was = next((one for one in before.routers if (one.mesh, one.aws_name) == (router.mesh, router.aws_name)), None)
        lost = tuple(route for route in (was.routes if was is not None else ()) if route.name not in names)
        routers.append(msgspec.structs.replace(router, routes=(*router.routes, *lost)) if lost else router)
    return msgspec.structs.replace(declared, **{**merged, "routers": tuple(routers)})


def as_rendered(topology: Topology, withheld: tuple[Withheld, ...], before: Topology) -> Topology:
    """The topology in the form in which it was rendered: what is withheld has the form before, or
    is left out; a router without one has no routes.
    """
    if not withheld:
        return topology
    fields = {"VirtualRouter": "routers", "VirtualNode": "nodes", "VirtualGateway": "gateways"}
    made: dict[str, tuple[Any, ...]] = {}
    for kind, field in fields.items():
        held = {(one.mesh, one.name) for one in withheld if one.kind == kind}
        former = {(one.mesh, one.aws_name): one for one in getattr(before, field)}
        found = []
        for one in getattr(topology, field):
            place = (one.mesh, one.aws_name)
            if place not in held:
                found.append(one)
            elif place in former:
                found.append(former[place])
            elif kind == "VirtualRouter":
                found.append(msgspec.structs.replace(one, routes=()))
        made[field] = tuple(found)
    gateways = {(one.mesh, one.name) for one in withheld if one.kind == "VirtualGateway"}
    routes = [one for one in topology.gateway_routes if _gateway(one) not in gateways]
    routes += [one for one in before.gateway_routes if _gateway(one) in gateways]
    return msgspec.structs.replace(topology, **made, gateway_routes=tuple(routes))


def _gateway(route: Any) -> tuple[str, str]:
    return route.mesh, route.references.get("virtualGateway", "")
