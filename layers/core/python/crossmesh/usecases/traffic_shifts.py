"""Shifts at work: what people recorded, how far it came, and the context with the weights in force.
Shared by looks, runs and canaries.
"""

import msgspec

from crossmesh import codec
from crossmesh.core.canary.history import CanaryHistory, memory_key
from crossmesh.core.mesh import shift_lines, shift_weights, traffic_shift
from crossmesh.core.settings import CanarySettings
from crossmesh.effects import Step, call, to
from crossmesh.ports import Clock, State
from crossmesh.usecases import lease, state
from crossmesh.usecases.context import Context, Run

SHIFTS = "shifts"  # written by the command line
SHIFTING = "shifting"  # written by runs, under the lease


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """`context` has the weights that a pass made now brings into force; `progress` is what it must
    record first, `before` what is recorded.
    """

    context: Context
    shifts: shift_weights.Shifts
    progress: shift_weights.Progresses
    before: shift_weights.Progresses
    waits: dict[str, str] = {}  # shift -> why it does not go on

    @property
    def moved(self) -> bool:
        """Whether there is something to record."""
        return self.progress != self.before

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of shifts in force, and of those that a pass made now ends."""
        return tuple(
            "; ".join(part for part in (self._line(s), self.waits.get(s.id, "")) if part)
            for s in self.shifts
            if not self._ended(s) or self.before.get(s.id) != self.progress.get(s.id)
        )

    def _line(self, one: shift_weights.Shift) -> str:
        """Nothing ends before a pass is made: what ends a shift may not even be deployed yet."""
        if self._ended(one):
            return shift_lines.ending(one, self.before.get(one.id), self.progress[one.id].ended)
        return shift_lines.describe_shift(one, self.progress.get(one.id), self.shifts)

    def _ended(self, one: shift_weights.Shift) -> bool:
        return bool(self.progress.get(one.id, shift_weights.Progress()).ended)


def recorded() -> Step[tuple[shift_weights.Shifts, shift_weights.Progresses]]:
    """What was asked for, and how far it came."""
    asked, came = yield from state.batch_or_raise([to(State.read, SHIFTS), to(State.read, SHIFTING)])
    return (codec.decode(asked, shift_weights.Shifts) if asked else ()), (
        codec.decode(came, shift_weights.Progresses) if came else {}
    )


def unshifted(context: Context) -> Due:
    """What a pass brings about where no shift was asked for."""
    return Due(context=context, shifts=(), progress={}, before={})


def due(context: Context) -> Step[Due]:
    """What a pass made now brings about. Reads canaries' histories only while a shift is in
    force.
    """
    shifts, before = yield from recorded()
    if not shifts:
        return unshifted(context)
    canaries = yield from _histories(context, shifts, before)
    now = yield from call(Clock.now)
    progress = traffic_shift.advance(shifts, before, context.topology, canaries, at=now)
    waits = {s.id: traffic_shift.waiting(s, progress.get(s.id), context.topology, canaries, now) for s in shifts}
    return Due(context=_with(context, shifts, progress), shifts=shifts, progress=progress, before=before, waits=waits)


def _histories(
    context: Context, shifts: shift_weights.Shifts, progress: shift_weights.Progresses
) -> Step[list[tuple[CanarySettings, CanaryHistory]]]:
    """Every canary with its history; nothing is read where every shift has ended."""
    if all(progress.get(s.id, shift_weights.Progress()).ended for s in shifts):
        return []
    found = yield from state.batch_or_raise(
        [to(State.read, memory_key(canary.name)) for canary in context.settings.canaries]
    )
    memories = [codec.decode(data, CanaryHistory) if data else CanaryHistory() for data in found]
    return list(zip(context.settings.canaries, memories, strict=True))


def record(run: Run, moved: Due) -> Step[None]:
    """How far it comes, before the weights are written: a run that dies in between does not go
    back.
    """
    yield from lease.check(run)
    yield from call(State.write, SHIFTING, codec.encode(traffic_shift.kept(moved.shifts, moved.progress)[1]))


def in_force(context: Context) -> Step[Context]:
    """The context with the weights last brought into force."""
    shifts, progress = yield from recorded()
    return _with(context, shifts, progress)


def answering(context: Context) -> Step[tuple[Context, ...]]:
    """What answers are judged by: the weights in force, and while they settle those before them,
    too.
    """
    shifts, progress = yield from recorded()
    now = yield from call(Clock.now)
    lately = shift_weights.before(progress, now)
    return tuple(_with(context, shifts, found) for found in ((progress,) if lately == progress else (progress, lately)))


def _with(context: Context, shifts: shift_weights.Shifts, progress: shift_weights.Progresses) -> Context:
    return msgspec.structs.replace(context, topology=shift_weights.overlaid(context.topology, shifts, progress))


def next_due(context: Context) -> Step[float]:
    """When the next step of a shift is due (seconds since the epoch); 0 = none is. One that waits
    for its canary is due with a look's next.
    """
    found, progress = yield from recorded()
    if not traffic_shift.next_due(found, progress):
        return 0.0
    canaries = yield from _histories(context, found, progress)
    now = yield from call(Clock.now)
    return traffic_shift.next_due(
        tuple(s for s in found if not traffic_shift.silent(s, context.topology, canaries, now)), progress
    )
