"""Which share of the requests each virtual node is promised: read from the routes, so that a
changed weight changes what a canary expects by itself.
"""

from fractions import Fraction

from crossmesh.core.route_order import order
from crossmesh.core.settings import CanarySettings
from crossmesh.core.topology import NodeProvider, Route, Topology


def shares(topology: Topology, canary: CanarySettings) -> dict[str, Fraction]:
    """The proportion that the routes promise per virtual node (AWS name) for `mix.path` at the
    virtual service that the mix is of; {} = none is promised.

    That path is the one asked of the virtual service, not the canary's own: in the reference
    scenario front answers /color by asking colorapp for /.
    """
    if canary.expect.mix is None:
        return {}
    named, path = canary.expect.mix.of, canary.expect.mix.path
    service = next((s for s in topology.services if named in (s.name, s.aws_name, f"{s.namespace}/{s.name}")), None)
    if service is None:
        return {}
    if isinstance(service.provider, NodeProvider):
        return {service.provider.name: Fraction(1)}
    router = topology.router_of(service)
    first = (
        next((route for route in sorted(router.routes, key=_one_order) if _matches(route, path)), None)
        if router
        else None
    )
    if first is None:
        return {}
    total = sum(first.weights.values())
    return {node: Fraction(weight, total) for node, weight in first.weights.items()} if total else {}


def _one_order(route: Route) -> tuple[tuple[int, bool, int], str]:
    """App Mesh's order; then the name, so that the order is one."""
    return order(route), route.name


def _matches(route: Route, path: str) -> bool:
    """Whether a plain `GET path` without special headers or query takes the route. gRPC takes none;
    TCP knows no path.
    """
    match = route.match
    if route.protocol not in ("http", "http2"):
        return route.protocol == "tcp"
    if match.method not in (None, "GET") or match.scheme not in (None, "http") or match.query_parameters:
        return False
    if any(not header.invert for header in match.headers):
        return False
    if match.exact is not None:
        return path == match.exact
    if match.regex is not None:
        return _fits(match.regex, path)
    return match.prefix is not None and path.startswith(match.prefix)


def _fits(pattern: str, path: str) -> bool:
    """The whole path, by RE2 as in Envoy: in linear time, whatever the pattern. One that RE2
    refuses fits nothing, for App Mesh refuses it as well.
    """
    import re2  # only where a route has a pattern: 1.6 MB

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.fullmatch(pattern, path, options) is not None
    except re2.error:
        return False
