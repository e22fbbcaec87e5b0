"""When a shift goes on, waits and ends. Pure.

A red canary undoes a shift, as does a deploy that changes its route. A shift whose canary says
nothing waits, and is undone if the silence lasts.
"""

from collections.abc import Sequence

from crossmesh.core import bounds
from crossmesh.core.canary.history import FRESH, CanaryHistory, newest_judged
from crossmesh.core.mesh.shift_lines import name_of, when_called_off
from crossmesh.core.mesh.shift_weights import Progress, Progresses, Shift, Shifts, digest_of, route_of, steps_of
from crossmesh.core.settings import CanarySettings
from crossmesh.core.topology import Topology

# Seconds without a verdict after which a shift is undone: it moves on only while somebody watches
PATIENCE = 600.0
_ENDED_KEPT = 20
Canaries = Sequence[tuple[CanarySettings, CanaryHistory]]


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
        return f"called off {when_called_off(shift)}"
    begins = new.id in progress or new.called_off or not silent(new, topology, canaries, at)
    return f"replaced by {name_of(new)} {when_called_off(shift)}" if begins else ""


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
