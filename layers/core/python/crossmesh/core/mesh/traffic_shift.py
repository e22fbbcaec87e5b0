"""Shifts: recorded temporary changes of a route's weights, made step by step. Pure.

A red canary undoes a shift, as does a deploy that changes its route. A shift whose canary says
nothing waits, and is undone if the silence lasts.

A person records what is wanted (`Shift`, State document "shifts"); runs record how far it came
(`Progress`, "shifting"). What is in force is the declared topology with the weights of the recorded
step in place of the declared ones, wherever weights are read: the mesh's requests, a canary's
shares.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil, floor

import msgspec

from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.canary.judge import FRESH, CanaryHistory, newest_judged
from crossmesh.core.settings import CanarySettings
from crossmesh.core.topology import Route, Topology, VirtualRouter, WeightedTarget

# The weights of a route add up to at most this (API model, WeightedTarget.weight: 0 to 100 in all)
MOST = 100
# Seconds in which the weights of a step reach every Envoy, and a canary's run that began before it
# ends
SETTLES = 30.0
# Seconds without a verdict after which a shift is undone: it moves on only while somebody watches
PATIENCE = 600.0
_ENDED_KEPT = 20
Canaries = Sequence[tuple[CanarySettings, CanaryHistory]]


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


def advance(
    shifts: Shifts,
    progress: Progresses,
    topology: Topology,
    canaries: Canaries,
    *,
    at: float,
) -> Progresses:
    """How far each shift is once a pass that begins at `at` has been made.

    Each step is held for `every` seconds, however late a pass comes, and for as long as a canary
    that guards the shift has no fresh verdict.
    """
    found: Progresses = {}
    for shift in shifts:
        old = progress.get(shift.id, Progress())
        if old.ended:
            found[shift.id] = old
        elif why := _called_off(shift, shifts, progress, topology, canaries, at) or _over(
            shift, old, topology, canaries, at
        ):
            found[shift.id] = Progress(step=old.step, at=at, ended=bounds.text(why, 300))
        elif silent(shift, topology, canaries, at):
            if shift.id in progress:  # what has not begun is not recorded
                found[shift.id] = old
        elif old.step == 0 or (old.step < steps_of(shift) and at >= old.at + shift.every):
            found[shift.id] = Progress(step=old.step + 1, at=at)
        else:
            found[shift.id] = old
    return found


def guards(shift: Shift, topology: Topology, canaries: Canaries) -> Canaries:
    """The canaries that watch a shift: those whose mix is of its virtual service, by whichever of
    its names.
    """
    names = {
        shift.service,
        shift.service.rpartition("/")[2],
        *(s.aws_name for s in topology.services if s.key == shift.service),
    }
    return [
        (canary, memory)
        for canary, memory in canaries
        if canary.expect.mix is not None and canary.expect.mix.of in names
    ]


def silent(shift: Shift, topology: Topology, canaries: Canaries, at: float) -> tuple[str, ...]:
    """The guarding canaries without a fresh verdict. A probe that gave no data is no verdict."""
    return tuple(
        canary.name
        for canary, memory in guards(shift, topology, canaries)
        if abs(at - newest_judged(memory).at) > FRESH
    )


def _called_off(
    shift: Shift, shifts: Shifts, progress: Progresses, topology: Topology, canaries: Canaries, at: float
) -> str:
    """What a person did to end a shift; "" = nothing. A replaced one stays in force until its
    successor begins, for that begins where this one stands.
    """
    if not shift.called_off:
        return ""
    new = next((one for one in shifts if one.id == shift.successor), None)
    if new is None:
        return f"called off {_when(shift)}"
    begins = new.id in progress or new.called_off or not silent(new, topology, canaries, at)
    return f"replaced by {_name(new)} {_when(shift)}" if begins else ""


def _when(shift: Shift) -> str:
    """When a shift was called off, and by whom."""
    return f"at {moment(shift.called_off)}" + (f" by {shift.called_off_by}" if shift.called_off_by else "")


def moment(seconds: float) -> str:
    """A moment as people read it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _over(shift: Shift, old: Progress, topology: Topology, canaries: Canaries, at: float) -> str:
    """Why a shift ends now by itself; "" = it does not."""
    route = route_of(topology, shift)
    if route is None:
        return "its route is no longer declared"
    if digest_of(route) != shift.document:
        return "a deploy changed its route's document"
    for canary, memory in guards(shift, topology, canaries):
        judged, since = newest_judged(memory), shift.begun
        # At its goal: silence later on undoes it no more
        proved = old.step >= steps_of(shift) and judged.good and judged.at > old.at
        # Not what a clock far ahead has written
        heard = judged.at if judged.at <= at + FRESH else 0.0
        if at - max(heard, since) > PATIENCE and not proved:
            return f"canary {canary.name} has given no verdict for {PATIENCE / 60:.0f} minutes"
        if judged.good or not old.step or judged.at <= since:
            continue
        if canary.name not in shift.red or memory.last_good > since:
            return f"canary {canary.name} is red: {judged.says}"
    return ""


def next_due(shifts: Shifts, progress: Progresses) -> float:
    """When the next step is due (seconds since the epoch); 0 = none is."""
    due = [
        state.at + shift.every
        for shift in shifts
        if (state := progress.get(shift.id)) and not state.ended and state.step < steps_of(shift)
    ]
    return min(due, default=0.0)


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


def kept(shifts: Shifts, progress: Progresses) -> tuple[Shifts, Progresses]:
    """Those in force and the newest that ended: what is worth keeping."""
    over = [shift.id for shift in sorted(shifts, key=lambda s: s.begun) if progress.get(shift.id, Progress()).ended]
    forgotten = set(over[:-_ENDED_KEPT])
    return tuple(s for s in shifts if s.id not in forgotten), {
        key: state for key, state in progress.items() if key not in forgotten
    }


def waiting(shift: Shift, state: Progress | None, topology: Topology, canaries: Canaries, at: float) -> str:
    """Why a shift that could go on does not, as a line for people; "" = it does."""
    state = state or Progress()
    mute = silent(shift, topology, canaries, at)
    if not mute or state.ended or state.step >= steps_of(shift):
        return ""
    return (
        f"it waits for a fresh verdict of canary {', '.join(mute)} and ends without one after {PATIENCE / 60:.0f}"
        " minutes"
    )


def describe_shift(shift: Shift, state: Progress | None, shifts: Shifts = ()) -> str:
    """A shift as a line for people. `shifts`: all there are, among them the one that may replace
    it.
    """
    about = f"shift of {shift.service} (route {shift.route}) to {weights_line(shift.goal)}"
    new = next((one for one in shifts if one.id == shift.successor), None)
    if state is not None and state.ended:
        # What replaced it says itself what is in force
        back = "" if shift.successor else "; the declared weights are back"
        return f"{about}: ended: {state.ended}{back}"
    if shift.called_off and new is not None:
        return (
            f"{about}: {_stands(shift, state)}, replaced by {_name(new)} {_when(shift)}, which begins with the next"
            " look"
        )
    if shift.called_off:
        return f"{about}: {'ends with the next look' if state else 'ended before it began'}, called off {_when(shift)}"
    if state is None:
        return f"{about}: begins with the next look"
    return f"{about}: {_stands(shift, state)}"


def _name(shift: Shift) -> str:
    return f"the shift to {weights_line(shift.goal)}"


def _stands(shift: Shift, state: Progress | None) -> str:
    step = state.step if state else 0
    return f"step {step} of {steps_of(shift)}, now {weights_line(weights_at(shift, step))}"


def replacing(old: Shift, state: Progress | None) -> str:
    """What a new shift replaces, as a line for people: its goal, where it stands, and who began it
    when.
    """
    who = f" by {old.by}" if old.by else ""
    return f"replaces the shift to {weights_line(old.goal)}, begun at {moment(old.begun)}{who}: {_stands(old, state)}"


def weights_line(weights: Mapping[str, int]) -> str:
    """Weights as people write them."""
    return ", ".join(f"{node} {weight}" for node, weight in sorted(weights.items()))
