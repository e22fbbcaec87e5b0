"""The order in which a router tries its routes. Pure.

Source: App Mesh user guide, "Routes": priority 0 first; a route without one comes last; then the
more specific path.
"""

from crossmesh.core.topology import Route

_LAST = 1_001  # after every priority: App Mesh takes 0 to 1,000


def order(route: Route) -> tuple[int, bool, int]:
    """Priority, then an exact path or pattern before a prefix, then the longer one. Equal for
    routes whose order App Mesh leaves open.
    """
    match = route.match
    text = match.exact or match.regex or match.prefix or match.grpc_service or ""
    return _LAST if route.priority is None else route.priority, not match.whole_path, -len(text)
