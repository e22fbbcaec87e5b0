"""Step `Release lease`: give the right to write back, unless somebody asked for one more pass
meanwhile.
"""

import msgspec

from crossmesh.effects import Step
from crossmesh.usecases import lease
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.task import Task

PASSES_AT_MOST = 5


def pass_id(execution: str, number: int) -> str:
    """The run id of an execution's pass; the first is number 0."""
    return f"{execution}~{number}" if number else execution


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run; `more`: it is not the last of what is under way, so it goes once more unasked.
    `failed` releases whatever was asked: the schedule looks.
    """

    run: Run
    more: bool = False
    failed: bool = False


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`again`: the lease is still held, begin once more with `run`. `look`: it went on for long
    enough, a look takes up what was asked.
    """

    again: bool
    run: Run
    look: bool = False


def run(request: Request, context: Context) -> Step[Response]:
    """Release, or keep for one more pass (under a new run id, so that each pass's inputs are
    kept).
    """
    this = request.run
    if request.failed:
        yield from lease.drop(this)
        return Response(again=False, run=this)
    keep = this.passes < PASSES_AT_MOST
    asked = yield from lease.give_back(this, more=request.more, keep=keep)
    if not (asked and keep):
        return Response(again=False, run=this, look=asked)
    base = this.id.partition("~")[0]
    following = msgspec.structs.replace(
        this,
        id=pass_id(base, this.passes + 1),
        passes=this.passes + 1,
        look="",
        config=context.config,
        live=context.live,
    )
    return Response(again=True, run=following)


TASK = Task(name="release_lease", request=Request, run=run, manifests="latest digest")
