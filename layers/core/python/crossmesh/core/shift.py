"""Shifts: recorded temporary changes of a route's weights, made step by step and undone by a red canary or by a deploy that changes the route. Pure.

A person records what is wanted (`Shift`, State document "shifts"); runs record how far it came (`Progress`, "shifting"). What is in force is the declared
topology with the weights of the recorded step in place of the declared ones, wherever weights are read: the mesh's requests, a canary's shares.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.core.canary import Memory
from crossmesh.core.settings import CanarySettings
from crossmesh.core.topology import Resource, Topology

MOST = 100  # the weights of a route add up to at most this (API model, WeightedTarget.weight: 0 to 100 in all)
_KINDS = ("httpRoute", "http2Route", "grpcRoute", "tcpRoute")
SETTLES = 30.0  # seconds in which the weights of a step reach every Envoy, and a canary's run that began before it ends
_ENDED_KEPT = 20


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted of one route: from weights `start` to `goal`, per virtual node's AWS name.

    `step`: percentage points moved at most at a time, 0 = all at once; `every`: seconds a step is held at least. `document`: digest of the route as declared
    when it was asked for. `red`: canaries that were failing then; they must have been good once before they can halt it.
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
    called_off: float = 0.0  # when a person ended it


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a shift came: `step` counts from 1 and was begun at `at`; `ended` says why it is over ("" = it is in force)."""

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
    farthest = max(abs(goal[node] - start.get(node, Fraction(0))) for node in goal)
    return max(1, ceil(farthest * MOST / shift.step))


def weights_at(shift: Shift, step: int) -> dict[str, int]:
    """The weights of a step: each node's moves one way only, together they are never above 100, and the last step's are the goal itself."""
    if step <= 0:
        return dict(shift.start)
    if step >= steps_of(shift):
        return dict(shift.goal)
    start, goal = shares_of(shift.start), shares_of(shift.goal)
    done = Fraction(step, 1) * Fraction(shift.step, MOST) / max(abs(goal[node] - start.get(node, Fraction(0))) for node in goal)
    return {node: floor(MOST * (start.get(node, Fraction(0)) + (goal[node] - start.get(node, Fraction(0))) * done)) for node in goal}


def shares_of(weights: Mapping[str, int]) -> dict[str, Fraction]:
    """Weights as shares of one."""
    total = sum(weights.values())
    return {node: Fraction(weight, total) if total else Fraction(0) for node, weight in weights.items()}


def digest_of(route: Mapping[str, Any]) -> str:
    """The digest that binds a shift to its route's document."""
    return codec.digest(codec.encode(route))


def weights_of(route: Mapping[str, Any]) -> dict[str, int]:
    """Declared weights by virtual node. A node that stands there twice has the sum."""
    found: dict[str, int] = {}
    for target in _targets(route):
        node = str(target.get("@VirtualNode", ""))
        found[node] = found.get(node, 0) + int(target.get("weight", 0))
    return found


def route_of(topology: Topology, shift: Shift) -> dict[str, Any] | None:
    """The declared route that a shift is about, None where there is none (any more)."""
    router = next((r for r in topology.routers if (r.mesh, r.aws_name) == (shift.mesh, shift.router)), None)
    routes = router.spec.get("routes", ()) if router else ()
    return next((route for route in routes if route.get("name") == shift.route), None)


def advance(
    shifts: Shifts,
    progress: Progresses,
    topology: Topology,
    canaries: Sequence[tuple[CanarySettings, Memory]],
    *,
    at: float,
) -> Progresses:
    """How far each shift is once a pass that begins at `at` has been made. Each step is held for `every` seconds, however late a pass comes."""
    found: Progresses = {}
    for shift in shifts:
        old = progress.get(shift.id, Progress())
        if old.ended:
            found[shift.id] = old
        elif why := _over(shift, old, topology, canaries):
            found[shift.id] = Progress(step=old.step, at=at, ended=why)
        elif old.step == 0 or (old.step < steps_of(shift) and at >= old.at + shift.every):
            found[shift.id] = Progress(step=old.step + 1, at=at)
        else:
            found[shift.id] = old
    return found


def _over(shift: Shift, old: Progress, topology: Topology, canaries: Sequence[tuple[CanarySettings, Memory]]) -> str:
    """Why a shift ends now; "" = it does not."""
    if shift.called_off:
        return "ended by hand"
    route = route_of(topology, shift)
    if route is None:
        return "its route is no longer declared"
    if digest_of(route) != shift.document:
        return "a deploy changed its route's document"
    for canary, memory in canaries:
        last, since = memory.last, shift.begun
        concerned = canary.expect.mix is not None and canary.expect.mix.of in (shift.service, shift.service.rpartition("/")[2])
        if not concerned or last is None or last.kind == "good" or not old.step or last.at <= since:
            continue
        if canary.name not in shift.red or memory.last_good > since:
            return f"canary {canary.name} is red: {last.says}"
    return ""


def next_due(shifts: Shifts, progress: Progresses) -> float:
    """When the next step is due (seconds since the epoch); 0 = none is."""
    due = [state.at + shift.every for shift in shifts if (state := progress.get(shift.id)) and not state.ended and state.step < steps_of(shift)]
    return min(due, default=0.0)


def before(progress: Progresses, at: float) -> Progresses:
    """The same without what came into force within the last SETTLES seconds: answers of then may still be given by the weights before."""
    found = dict(progress)
    for key, state in progress.items():
        if at - state.at < SETTLES:
            found[key] = Progress(step=state.step if state.ended else state.step - 1, at=state.at)
    return found


def overlaid(topology: Topology, shifts: Shifts, progress: Progresses) -> Topology:
    """The topology with the weights in force. A shift that was not begun, has ended, or whose route's document is another changes nothing."""
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


def _router(router: Resource, chosen: Mapping[tuple[str, str, str], dict[str, int]]) -> Resource:
    routes = router.spec.get("routes", ())
    if not any((router.mesh, router.aws_name, route.get("name")) in chosen for route in routes):
        return router
    moved = [
        _moved(route, chosen[key]) if (key := (router.mesh, router.aws_name, str(route.get("name")))) in chosen else route for route in routes
    ]
    return msgspec.structs.replace(router, spec={**router.spec, "routes": moved})


def _moved(route: dict[str, Any], weights: Mapping[str, int]) -> dict[str, Any]:
    """A route with other weights; the first target of a node carries all of them."""
    left = dict(weights)
    kind = next(kind for kind in _KINDS if kind in route)
    targets = [{**target, "weight": left.pop(str(target.get("@VirtualNode", "")), 0)} for target in _targets(route)]
    return {**route, kind: {**route[kind], "action": {**route[kind].get("action", {}), "weightedTargets": targets}}}


def _targets(route: Mapping[str, Any]) -> list[dict[str, Any]]:
    kind = next((kind for kind in _KINDS if kind in route), None)
    return list(((route[kind].get("action") or {}).get("weightedTargets") or ()) if kind else ())


def kept(shifts: Shifts, progress: Progresses) -> tuple[Shifts, Progresses]:
    """Those in force and the newest that ended: what is worth keeping."""
    over = [shift.id for shift in sorted(shifts, key=lambda s: s.begun) if progress.get(shift.id, Progress()).ended]
    forgotten = set(over[:-_ENDED_KEPT])
    return tuple(s for s in shifts if s.id not in forgotten), {key: state for key, state in progress.items() if key not in forgotten}


def told(shift: Shift, state: Progress | None) -> str:
    """A shift as a line for people."""
    about = f"shift of {shift.service} (route {shift.route})"
    goal = _weights(shift.goal)
    if state is None:
        return f"{about} to {goal}: begins with the next pass" if not shift.called_off else f"{about} to {goal}: ended before it began"
    if state.ended:
        return f"{about} to {goal}: ended, {state.ended}; the declared weights are in force"
    if shift.called_off:
        return f"{about} to {goal}: ends with the next pass"
    return f"{about} to {goal}: step {state.step} of {steps_of(shift)}, now {_weights(weights_at(shift, state.step))}"


def _weights(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{node} {weight}" for node, weight in sorted(weights.items()))
