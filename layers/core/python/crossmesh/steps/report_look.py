"""Step `Report look`: a look or run that failed before it held the lease still leaves a line that
`status` shows.

It needs neither settings nor manifests: that they are refused is one of the failures it tells.
"""

import msgspec

from crossmesh import codec
from crossmesh.core.reporting import failure
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step, call
from crossmesh.ports import Clock, State, Telemetry
from crossmesh.usecases import look, state
from crossmesh.usecases.context import Context
from crossmesh.usecases.look_lease import left_behind
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Which look, and what the state machine caught."""

    id: str
    failure: dict[str, str]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Always "failed"."""

    kind: str = "failed"


def run(request: Request, context: Context) -> Step[Response]:
    """Keep the failure as the last look, with the time of the last one that was none."""
    now = yield from call(Clock.now)
    data = yield from call(State.read, look.LAST)
    before = codec.decode(data, Report) if data else None
    well = 0.0 if before is None else before.well if before.kind == "failed" else before.at
    report = Report(
        id=request.id,
        kind="failed",
        at=now,
        config=context.config,
        version=context.version,
        failure=failure.failure_message(request.failure),
        slow=before.slow if before is not None else {},
        well=well,
        concerns=before.concerns if before is not None else None,
    )
    yield from state.tell(look.LAST, report)
    yield from left_behind(request.id)
    yield from call(Telemetry.report, report)
    return Response()


TASK = Task(name="report_look", request=Request, run=run, unconfigured=True)
