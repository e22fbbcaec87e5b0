"""Routes that no request can reach: another route of the router takes everything first.

A match that asks for less covers a match that asks for more. Only what is certain is reported: a
regular expression covers an equal one, nothing else.
"""

from collections.abc import Iterator, Sequence

import msgspec

from crossmesh.core.route_order import order
from crossmesh.core.topology import Route, RouteMatch


class Shadowed(msgspec.Struct, frozen=True, kw_only=True):
    """The route at `index` never receives a request, for that at `by` takes them all. `equal`: both
    match the same at the same priority.
    """

    index: int
    by: int
    equal: bool


def shadowed(routes: Sequence[Route]) -> Iterator[Shadowed]:
    """Every route of a router that cannot be reached, each with the first route that hides it."""
    ordered = sorted(range(len(routes)), key=lambda index: (order(routes[index]), index))
    for position, index in enumerate(ordered):
        for before in ordered[:position]:
            if _covers(routes[before], routes[index]):
                equal = order(routes[before]) == order(routes[index])
                yield Shadowed(index=index, by=before, equal=equal)
                break


def _covers(first: Route, other: Route) -> bool:
    """Whether every request that fits `other` fits `first`, too."""
    if first.protocol is None or first.protocol != other.protocol:
        return False
    one, two = first.match, other.match
    single = (
        (one.port, two.port),
        (one.method, two.method),
        (one.scheme, two.scheme),
        (one.grpc_service, two.grpc_service),
        (one.grpc_method, two.grpc_method),
    )
    if any(wanted is not None and wanted != found for wanted, found in single):
        return False
    several = ((one.headers, two.headers), (one.metadata, two.metadata), (one.query_parameters, two.query_parameters))
    if any(item not in found for wanted, found in several for item in wanted):
        return False
    return first.protocol not in ("http", "http2") or _covers_path(one, two)


def _covers_path(first: RouteMatch, other: RouteMatch) -> bool:
    if first.whole_path:
        return (first.exact, first.regex) == (other.exact, other.regex)
    if first.prefix is None:
        return True
    if other.regex is not None:
        return first.prefix == "/"
    return (other.exact if other.exact is not None else other.prefix or "").startswith(first.prefix)
