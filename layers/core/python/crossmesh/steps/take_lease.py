"""Step `Take lease`: become the one writer, or ask the one there is to go once more."""

import msgspec

from crossmesh import codec
from crossmesh.core.registry.plan import ManualOverrides
from crossmesh.effects import Step, call, to
from crossmesh.ports import Clock, RunStore, State
from crossmesh.usecases import lease, state
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.plan_handoff import PlanHandoff, PlanRef
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A run that wants to write; `look` is the key of the look that asked for it ("" = none)."""

    id: str
    execution: str
    look: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`held`: another execution has the lease and will go once more, or everything is paused, or
    Mode observe forbids to write.

    Otherwise `run` is what the other steps get, and `planned`, where it is `ready`, the look's
    plan, by which it goes on without observing again.
    """

    held: bool
    run: Run
    ready: bool = False
    planned: PlanRef | None = None


def run(request: Request, context: Context) -> Step[Response]:
    """Take the lease for `request.execution`."""
    now = yield from call(Clock.now)
    reads = [
        to(State.read, state.OPERATOR),
        to(State.read_lease, lease.NAME),
        *([to(RunStore.get, request.look)] if request.look else ()),
    ]
    asked, found, *looked = yield from state.batch_or_raise(reads)
    operator = codec.decode(asked, ManualOverrides) if asked else ManualOverrides()
    handed = codec.decode(looked[0], PlanHandoff) if looked and looked[0] else PlanHandoff()
    forbidden = operator.paused or context.mode == "observe"
    taken = None if forbidden else (yield from lease.take(request.execution, found, again=handed.again))
    since = yield from call(Clock.now)  # taking it may have lasted
    good = taken is not None and handed.good(request.id, taken, context, since)
    this = Run(
        id=request.id,
        execution=request.execution,
        epoch=taken.epoch if taken else 0,
        config=context.config,
        look=request.look,
        live=context.live,
        cause=handed.report.cause if handed.report else "manual",
        started=now,
    )
    return Response(held=taken is None, run=this, ready=good, planned=handed.planned if good else None)


TASK = Task(name="take_lease", request=Request, run=run, manifests="digest")
