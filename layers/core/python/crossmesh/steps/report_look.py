"""Step `Report look`: a look or run that failed before it held the lease still leaves a line that `status` shows.

It needs neither settings nor manifests: that they are refused is one of the failures it tells.
"""

import msgspec

from crossmesh import codec
from crossmesh.core import failure
from crossmesh.core.report import Report
from crossmesh.ports import Clock, State, Telemetry
from crossmesh.steps import look
from crossmesh.steps.calls import Step, call
from crossmesh.steps.context import Context


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
        failure=failure.told(request.failure),
        well=well,
    )
    yield from call(State.write, look.LAST, codec.encode(report))
    yield from call(Telemetry.report, report)
    return Response()
