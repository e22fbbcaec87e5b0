"""In which order a router's listeners and its routes change, so that App Mesh takes every single
write. Pure.

App Mesh checks each write against what stands at that moment: a route needs a listener of its
protocol and port, and must name the port where its router listens on several; a listener update
needs that of every route there is (aws-app-mesh-controller-for-k8s#767 and #715,
terraform-provider-aws#35294).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from crossmesh.core.topology import ROUTE_KINDS

Listeners = Iterable[Mapping[str, Any]]


class RouteChange(msgspec.Struct, frozen=True, kw_only=True):
    """One route of a router whose listeners change: its spec as found and as declared (None = not
    there), and whether it is ours to write.
    """

    name: str
    found: dict[str, Any] | None = None
    declared: dict[str, Any] | None = None
    ours: bool = True


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Names of routes: `early` are updated before the router, `out` deleted before it, `anew`
    deleted before and created after it.

    `bridge`: listeners to have in between, while the routes move, so that none of them is ever
    away. `blocked` by routes that are not ours: the listeners stay as they are.
    """

    early: frozenset[str] = frozenset()
    out: frozenset[str] = frozenset()
    anew: frozenset[str] = frozenset()
    bridge: tuple[dict[str, Any], ...] = ()
    blocked: tuple[str, ...] = ()


def fits(listeners: Listeners, route: Mapping[str, Any]) -> bool:
    """Whether App Mesh takes a route of a router with these listeners, both as its API spells
    them.
    """
    ports = {listener["portMapping"]["port"]: listener["portMapping"]["protocol"] for listener in listeners}
    kind = next((kind for kind in ROUTE_KINDS if kind in route), None)
    if kind is None or not ports:
        return True  # refused or taken for other reasons
    port = (route[kind].get("match") or {}).get("port")
    if port is None:
        return len(ports) == 1 and ROUTE_KINDS[kind] in ports.values()
    return bool(ports.get(port) == ROUTE_KINDS[kind])


def order(old: Listeners, new: Listeners, turns: Iterable[RouteChange]) -> Order:
    """How the routes in `turns` (all of the router) and its listeners change from `old` to
    `new`.
    """
    old, new, turns = list(old), list(new), list(turns)
    early, out, stuck, blocked = set(), set(), set(), []
    for turn in turns:
        if turn.found is None or fits(new, turn.found):
            continue
        if not turn.ours:
            blocked.append(turn.name)
        elif turn.declared is None:
            out.add(turn.name)
        elif turn.declared != turn.found and fits(old, turn.declared):
            early.add(turn.name)
        elif fits(new, turn.declared):
            stuck.add(turn.name)
    if blocked:
        return Order(blocked=tuple(sorted(blocked)))
    bridge = _bridge(old, new, turns, early, out) if stuck else ()
    return Order(
        early=frozenset(early), out=frozenset(out), anew=frozenset() if bridge else frozenset(stuck), bridge=bridge
    )


def _bridge(
    old: list[Mapping[str, Any]], new: list[Mapping[str, Any]], turns: list[RouteChange], early: set[str], out: set[str]
) -> tuple[dict[str, Any], ...]:
    """Old and new listeners together, where every route fits them before and after it moves; else
    nothing.
    """
    ports = {listener["portMapping"]["port"] for listener in new}
    both = [
        dict(listener) for listener in (*new, *(found for found in old if found["portMapping"]["port"] not in ports))
    ]
    for turn in turns:
        before = turn.declared if turn.name in early else None if turn.name in out else turn.found
        if any(spec is not None and not fits(both, spec) for spec in (before, turn.declared)):
            return ()
    return tuple(both)
