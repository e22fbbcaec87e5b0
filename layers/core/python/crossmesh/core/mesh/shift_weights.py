"""Shifts: recorded temporary changes of a route's weights, made step by step. Pure.

A person records what is wanted (`Shift`, State document "shifts"); runs record how far it came
(`Progress`, "shifting"). What is in force is the declared topology with the weights of the recorded
step in place of the declared ones, wherever weights are read: the mesh's requests, a canary's
shares.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor

import msgspec

from crossmesh import codec
from crossmesh.core.topology import Route, Topology, VirtualRouter, WeightedTarget

# The weights of a route add up to at most this (API model, WeightedTarget.weight: 0 to 100 in all)
MOST = 100
# Seconds in which the weights of a step reach every Envoy, and a canary's run that began before it
# ends
SETTLES = 30.0


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of one route: from weights `start` to `goal`, per virtual node's AWS name.

    `step`: percentage points moved at most at a time, 0 = all at once; `every`: seconds a step is
    held at least. `document`: digest of the route as declared when it was asked for. `red`:
    canaries that were failing then; they must have been good once before they can halt it.
    `successor`: id of the shift that replaces this one.
    """

    id: str
    service: str  # the virtual service, namespace/name
    mesh: str
    router: str  # AWS name
    route: str
    document: str
    start: dict[str, int]
    goal: dict[str, int]
    step: int = 0
    every: float = 60.0
    begun: float = 0.0
    red: tuple[str, ...] = ()
    by: str = ""  # who asked for it, as AWS knows them; "" = not known
    called_off: float = 0.0  # when a person ended it
    called_off_by: str = ""
    successor: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a shift came: `step` counts from 1 and was begun at `at`; `ended` says why it is over
    ("" = it is in force).
    """

    step: int = 0
    at: float = 0.0
    ended: str = ""


Shifts = tuple[Shift, ...]
Progresses = dict[str, Progress]


def steps_of(shift: Shift) -> int:
    """How many steps it takes; the last one ends at the goal."""
    if not shift.step:
        return 1
    start, goal = shares_of(shift.start), shares_of(shift.goal)
    farthest = max((abs(goal[node] - start.get(node, Fraction(0))) for node in goal), default=Fraction(0))
    return max(1, ceil(farthest * MOST / shift.step))


def weights_at(shift: Shift, step: int) -> dict[str, int]:
    """The weights of a step: each node's moves one way only, together they are never above 100, and
    the last step's are the goal itself.
    """
    if step <= 0:
        return dict(shift.start)
    if step >= steps_of(shift):
        return dict(shift.goal)
    start, goal = shares_of(shift.start), shares_of(shift.goal)
    done = (
        Fraction(step, 1)
        * Fraction(shift.step, MOST)
        / max(abs(goal[node] - start.get(node, Fraction(0))) for node in goal)
    )
    return {
        node: floor(MOST * (start.get(node, Fraction(0)) + (goal[node] - start.get(node, Fraction(0))) * done))
        for node in goal
    }


def shares_of(weights: Mapping[str, int]) -> dict[str, Fraction]:
    """Weights as shares of one."""
    total = sum(weights.values())
    return {node: Fraction(weight, total) if total else Fraction(0) for node, weight in weights.items()}


def digest_of(route: Route) -> str:
    """The digest that binds a shift to its route's document."""
    return codec.digest(codec.encode(route.spec))


def route_of(topology: Topology, shift: Shift) -> Route | None:
    """The declared route that a shift is about, None where there is none (any more)."""
    router = next((r for r in topology.routers if (r.mesh, r.aws_name) == (shift.mesh, shift.router)), None)
    return next((route for route in router.routes if route.name == shift.route), None) if router else None


def before(progress: Progresses, at: float) -> Progresses:
    """The same without what came into force within the last SETTLES seconds: answers of then may
    still be given by the weights before.
    """
    found = dict(progress)
    for key, state in progress.items():
        if at - state.at < SETTLES:
            found[key] = Progress(step=state.step if state.ended else state.step - 1, at=state.at)
    return found


def overlaid(topology: Topology, shifts: Shifts, progress: Progresses) -> Topology:
    """The topology with the weights in force. A shift that was not begun, has ended, or whose
    route's document is another changes nothing.
    """
    chosen = {
        (shift.mesh, shift.router, shift.route): weights_at(shift, progress[shift.id].step)
        for shift in shifts
        if shift.id in progress
        and not progress[shift.id].ended
        and (route := route_of(topology, shift)) is not None
        and digest_of(route) == shift.document
    }
    if not chosen:
        return topology
    return msgspec.structs.replace(topology, routers=tuple(_router(router, chosen) for router in topology.routers))


def _router(router: VirtualRouter, chosen: Mapping[tuple[str, str, str], dict[str, int]]) -> VirtualRouter:
    keys = [(router.mesh, router.aws_name, route.name) for route in router.routes]
    if not chosen.keys() & set(keys):
        return router
    moved = (
        _moved(route, chosen[key]) if key in chosen else route for route, key in zip(router.routes, keys, strict=True)
    )
    return msgspec.structs.replace(router, routes=tuple(moved))


def _moved(route: Route, weights: Mapping[str, int]) -> Route:
    """A route with other weights; the first target of a node carries all of them."""
    left = dict(weights)
    targets = tuple(
        WeightedTarget(virtual_node=target.virtual_node, weight=left.pop(target.virtual_node, 0), port=target.port)
        for target in route.targets
    )
    return msgspec.structs.replace(route, targets=targets)
