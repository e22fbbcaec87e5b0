"""Step `Release lease`: give the right to write back, unless somebody asked for one more pass meanwhile."""

import msgspec

from crossmesh.steps import lease
from crossmesh.steps.calls import Step
from crossmesh.steps.context import Context, Run

PASSES_AT_MOST = 5


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run; `failed` releases whatever was asked (the schedule looks again)."""

    run: Run
    failed: bool = False


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`again`: the lease is still held, begin once more with `run`."""

    again: bool
    run: Run


def run(request: Request, context: Context) -> Step[Response]:
    """Release, or keep for one more pass (under a new run id, so that each pass's inputs are kept)."""
    this = request.run
    if request.failed or this.passes >= PASSES_AT_MOST:
        yield from lease.drop(this)
        return Response(again=False, run=this)
    again = yield from lease.give_back(this)
    if not again:
        return Response(again=False, run=this)
    base = this.id.partition("~")[0]
    following = msgspec.structs.replace(
        this, id=f"{base}~{this.passes + 1}", passes=this.passes + 1, look="", config=context.config, live=context.live
    )
    return Response(again=True, run=following)
