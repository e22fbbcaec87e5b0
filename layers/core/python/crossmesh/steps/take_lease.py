"""Step `Take lease`: become the one writer, or ask the one there is to go once more."""

import msgspec

from crossmesh.ports import Clock
from crossmesh.steps import lease, store
from crossmesh.steps.calls import Step, call
from crossmesh.steps.context import Context, Run


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A run that wants to write; `look` is the key of the look that asked for it ("" = none)."""

    id: str
    execution: str
    look: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`held`: another execution has the lease and will go once more, or everything is paused, or Mode observe forbids to write.

    Otherwise `run` is what the other steps get.
    """

    held: bool
    run: Run


def run(request: Request, context: Context) -> Step[Response]:
    """Take the lease for `request.execution`."""
    now = yield from call(Clock.now)
    operator = yield from store.operator()
    taken = None if operator.paused or context.mode == "observe" else (yield from lease.take(request.execution))
    this = Run(
        id=request.id,
        execution=request.execution,
        epoch=taken.epoch if taken else 0,
        config=context.config,
        look=request.look,
        live=context.live,
        started=now,
    )
    return Response(held=taken is None, run=this)
