"""Step `List canaries`: which canaries this execution is about, so that each is probed by a
function call of its own, side by side.

What an execution is started with may come from anybody who may put an event on the bus. What makes
no sense asks for nothing: it neither fails nor alarms. Nor does a canary that another execution
still runs: executions never pile up.
"""

import msgspec

from crossmesh.core.canary.sample import REQUESTS
from crossmesh.core.settings import Settings
from crossmesh.effects import Step, call
from crossmesh.ports import Clock
from crossmesh.usecases import canary_runs
from crossmesh.usecases.context import Context
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`asked`: the input of the execution as it is. It may name one `canary` ("" = all) and how
    many `requests` (0 = as the settings say).
    """

    id: str
    asked: object = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Their names, and `requests` of each. `requested`: somebody asked, it is not the schedule's
    turn. `problem`: why nothing is run.

    `found`: there is at least one. Without one the workflow ends here: what its JSONPath intrinsics
    make of an empty list is not documented.
    """

    canaries: tuple[str, ...]
    found: bool = False
    requests: int = 0
    requested: bool = False
    problem: str = ""


def run(request: Request, context: Context) -> Step[Response]:
    """Which canaries run now: of those asked for, the ones that no other execution runs."""
    asked = listed(request.asked, context.settings)
    now = yield from call(Clock.now)
    free = []
    for name in asked.canaries:
        if (yield from canary_runs.begin(name, request.id, now, requested=asked.requested)):
            free.append(name)
    busy = sorted(set(asked.canaries) - set(free))
    problem = f"another execution still runs {', '.join(busy)[:500]}" if busy else asked.problem
    return msgspec.structs.replace(asked, canaries=tuple(free), found=bool(free), problem=problem)


def listed(asked: object, settings: Settings) -> Response:
    """What was asked for, checked."""
    names = tuple(canary.name for canary in settings.canaries)
    given = asked if isinstance(asked, dict) else {}
    canary, requests = given.get("canary", ""), given.get("requests", 0)
    if asked is not None and not isinstance(asked, dict):
        return Response(canaries=(), problem="the input is no object")
    if not isinstance(canary, str) or canary not in ("", *names):
        return Response(canaries=(), problem=f"no canary {canary!r:.80}; there are: {', '.join(names)[:500] or 'none'}")
    if isinstance(requests, bool) or not isinstance(requests, int) or not 0 <= requests <= REQUESTS:
        return Response(
            canaries=(), problem=f"requests is {requests!r:.80}, wanted a whole number from 0 to {REQUESTS:,}"
        )
    chosen = (canary,) if canary else names
    return Response(canaries=chosen, found=bool(chosen), requests=requests, requested=bool(canary or requests))


TASK = Task(name="list_canaries", request=Request, run=run)
