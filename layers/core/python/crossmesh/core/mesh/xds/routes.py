"""Route tables of HTTP: what a proxy does with a request to a virtual service, and with one to its
own application. Pure.
"""

from collections.abc import Callable, Iterable
from typing import Any

from crossmesh.core.mesh.xds import names
from crossmesh.core.mesh.xds.attempts import DEFAULT_RETRIES, retry_policy, timeouts
from crossmesh.core.mesh.xds.conditions import PORT_HEADER, exactly, route_match
from crossmesh.core.mesh.xds.declared import Declared, Face, Target, target
from crossmesh.core.mesh.xds.defaults import REQUEST_TIMEOUT, Json
from crossmesh.core.route_order import order
from crossmesh.core.topology import Route

ClusterOf = Callable[[Target], str]  # the cluster by which the proxy at hand asks a target


def face_routes(
    declared: Declared, face: Face, cluster_of: ClusterOf, more: Iterable[Json] = (), *, port_told: bool = False
) -> list[Json]:
    """The routes of one port of a virtual service, in the order in which they are tried.

    `more`: header matchers that each has besides. `port_told`: requests come to one listener
    whatever port they mean, and a header says which.
    """
    extra = [*more, *([exactly(PORT_HEADER, str(face.port))] if port_told and face.several else [])]
    if face.node:
        match: Json = {"prefix": "/", **({"headers": extra} if extra else {})}
        action = {"cluster": cluster_of(target(declared, face.node, face.port, face)), "timeout": REQUEST_TIMEOUT}
        return [{"match": match, "route": {**action, "retry_policy": DEFAULT_RETRIES}}]
    return [_route(declared, face, route, cluster_of, extra) for route in in_order(face.routes)]


def in_order(routes: Iterable[Route]) -> list[Route]:
    """Routes as a router tries them. Where App Mesh leaves the order open, the one that asks for
    more comes first, then the name decides.
    """
    return sorted(routes, key=lambda route: (order(route), -_conditions(route), route.name))


def _conditions(route: Route) -> int:
    match = route.match
    single = (match.method, match.scheme, match.grpc_method)
    return (
        sum(one is not None for one in single) + len(match.headers) + len(match.metadata) + len(match.query_parameters)
    )


def weighted(declared: Declared, face: Face, route: Route, cluster_of: ClusterOf) -> list[Json]:
    """The targets of a route with their weights in force, zeros too."""
    return [
        {"name": cluster_of(target(declared, one.virtual_node, one.port, face)), "weight": one.weight}
        for one in route.targets
        if one.virtual_node
    ]


def _route(declared: Declared, face: Face, route: Route, cluster_of: ClusterOf, extra: Iterable[Json]) -> Json:
    body: dict[str, Any] = route.spec.get(f"{route.protocol}Route") or {}
    made: Json = {"name": route.name} if route.name else {}
    made["match"] = route_match(route.match, route.protocol, extra)
    clusters = weighted(declared, face, route, cluster_of)
    # An error, told elsewhere; Envoy refuses such a route with all that come with it
    if not any(one["weight"] for one in clusters):
        return made | {"direct_response": {"status": 503}}
    action = {
        "weighted_clusters": {"clusters": clusters},
        **timeouts(body.get("timeout")),
        "retry_policy": retry_policy(body),
    }
    return made | {"route": action}


def virtual_host(service: str, port: int, routes: list[Json]) -> Json:
    """A virtual service in a route table. Without routes, Envoy answers 404."""
    return {"name": service, "domains": [service, f"{service}:{port}"], **({"routes": routes} if routes else {})}


def table(name: str, hosts: list[Json]) -> Json:
    """A route table."""
    return {"name": name, "virtual_hosts": hosts}


def local_table(mesh: str, node: str, listener: Json) -> Json:
    """Hands every request of a listener to the application."""
    port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
    cluster = names.local_cluster(mesh, node, protocol, port)
    declared = (listener.get("timeout") or {}).get(protocol)
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, **timeouts(declared)}}
    return table(names.route_table("ingress", protocol, port), [{"name": "local", "domains": ["*"], "routes": [route]}])
