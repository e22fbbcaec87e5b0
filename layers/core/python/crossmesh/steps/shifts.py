"""Shifts at work: what people recorded, how far it came, and the context with the weights in force. Shared by looks, runs and canaries."""

import msgspec

from crossmesh import codec
from crossmesh.core import shift
from crossmesh.core.canary import Memory
from crossmesh.core.settings import CanarySettings
from crossmesh.ports import Clock, State
from crossmesh.steps import lease, store
from crossmesh.steps.calls import Step, call, to
from crossmesh.steps.context import Context, Run

SHIFTS = "shifts"  # written by the command line
SHIFTING = "shifting"  # written by runs, under the lease


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """`context` has the weights that a pass made now brings into force; `progress` is what it must record first, `before` what is recorded."""

    context: Context
    shifts: shift.Shifts
    progress: shift.Progresses
    before: shift.Progresses

    @property
    def moved(self) -> bool:
        """Whether there is something to record."""
        return self.progress != self.before

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of shifts in force, and of those that end with this pass."""
        fresh = [s for s in self.shifts if not self.progress[s.id].ended or self.before.get(s.id, shift.Progress()) != self.progress[s.id]]
        return tuple(shift.told(s, self.progress[s.id]) for s in fresh)


def recorded() -> Step[tuple[shift.Shifts, shift.Progresses]]:
    """What was asked for, and how far it came."""
    asked, came = yield from store.all_of([to(State.read, SHIFTS), to(State.read, SHIFTING)])
    return (codec.decode(asked, shift.Shifts) if asked else ()), (codec.decode(came, shift.Progresses) if came else {})


def due(context: Context) -> Step[Due]:
    """What a pass made now brings about. Reads canaries' histories only while a shift is in force."""
    shifts, before = yield from recorded()
    if not shifts:
        return Due(context=context, shifts=(), progress={}, before={})
    canaries: list[tuple[CanarySettings, Memory]] = []
    if any(not before.get(s.id, shift.Progress()).ended for s in shifts):
        for canary in context.settings.canaries:
            data = yield from call(State.read, f"canary/{canary.name}")
            canaries.append((canary, codec.decode(data, Memory) if data else Memory()))
    now = yield from call(Clock.now)
    progress = shift.advance(shifts, before, context.topology, canaries, at=now)
    return Due(context=_with(context, shifts, progress), shifts=shifts, progress=progress, before=before)


def record(run: Run, moved: Due) -> Step[None]:
    """How far it comes, before the weights are written: a run that dies in between does not go back."""
    yield from lease.check(run)
    yield from call(State.write, SHIFTING, codec.encode(shift.kept(moved.shifts, moved.progress)[1]))


def in_force(context: Context) -> Step[Context]:
    """The context with the weights last brought into force."""
    shifts, progress = yield from recorded()
    return _with(context, shifts, progress)


def answering(context: Context) -> Step[tuple[Context, ...]]:
    """What answers are judged by: the weights in force, and while they settle those before them, too."""
    shifts, progress = yield from recorded()
    now = yield from call(Clock.now)
    lately = shift.before(progress, now)
    return tuple(_with(context, shifts, found) for found in ((progress,) if lately == progress else (progress, lately)))


def _with(context: Context, shifts: shift.Shifts, progress: shift.Progresses) -> Context:
    return msgspec.structs.replace(context, topology=shift.overlaid(context.topology, shifts, progress))


def next_due() -> Step[float]:
    """When the next step of a shift is due (seconds since the epoch); 0 = none is."""
    found, progress = yield from recorded()
    return shift.next_due(found, progress)
