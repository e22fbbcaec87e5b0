"""Step `Reconcile mesh`: the driver of the configured backend observes, plans and applies. The
registry never waits for it (rule 13). For a backend that publishes it stands before the first write
to Cloud Map, for others after the last.

One step and not four, for nothing is awaited between. What did not fit into the time is done by the
next call.
"""

import msgspec

from crossmesh import codec
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.registry.adoption import adopting
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.registry.plan import RegistryPlan
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step, to
from crossmesh.ports import RunStore, State
from crossmesh.usecases import outcomes, state, traffic_shifts
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.mesh import drivers
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Which run; `part` counts the calls, from 0."""

    run: Run
    part: int = 0


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`unavailable` says why the mesh API could not be used ("" = it could). `done` is False where
    another call must go on.
    """

    part: int
    done: bool
    plan: str
    superseded: bool = False
    unavailable: str = ""
    actions: int = 0
    applied: int = 0
    failed: int = 0
    withheld: int = 0


def run(request: Request, context: Context) -> Step[Response]:
    """One pass over the mesh."""
    this = request.run
    if request.run.config != context.config:
        return Response(part=request.part, done=True, plan="", superseded=True)
    shifting = yield from traffic_shifts.due(context)
    context = shifting.context
    memory, operator, _, (planned, said) = yield from state.load_planner_inputs(
        to(RunStore.get, state.key(this.id, "plan")), to(State.read, state.LOOKED)
    )
    beside = codec.decode(planned, RegistryPlan) if planned else RegistryPlan()
    passed = yield from drivers.observe_and_plan(
        context,
        codec.decode(said, Report) if said else None,
        adopt=adopting(context.settings, memory, operator),
        beside=beside,
        endpoints=(yield from _endpoints(this, context)),
        arrived=(yield from outcomes.arrived(this, beside)) if beside.moving else frozenset(),
    )
    summary, kept = passed.summary, {"view": drivers.driver_of(context).backend.kept(passed.view), "plan": passed.plan}
    if summary != MeshSummary():
        kept["summary"] = summary
    yield from state.save_all({_key(request, name): value for name, value in kept.items()})
    if shifting.moved and not summary.unavailable and not beside.conflict:
        yield from traffic_shifts.record(this, shifting)
    done = yield from drivers.driver_of(context).apply(this, context, passed.plan, passed.view)
    if done.outcomes:
        yield from state.save(_key(request, "outcomes"), done.outcomes)
    applied = sum(1 for outcome in done.outcomes if outcome.result == "applied")
    left = len(summary.changes) - len(done.outcomes)
    return Response(
        part=request.part + 1,
        done=left == 0 or bool(done.unavailable) or applied == 0,
        plan=_key(request, "plan"),
        unavailable=summary.unavailable or done.unavailable,
        actions=len(summary.changes),
        applied=applied,
        failed=len(done.outcomes) - applied,
        withheld=len(summary.withheld),
    )


def _key(request: Request, name: str) -> str:
    return state.key(request.run.id, f"mesh/{request.part}/{name}")


def _endpoints(this: Run, context: Context) -> Step[EndpointDecision | None]:
    """What the run decided about endpoints, where the backend asks for it; None = not known."""
    if not drivers.driver_of(context).backend.reads_endpoints:
        return None
    return (yield from state.load_optional(state.key(this.id, state.ENDPOINTS), EndpointDecision))


TASK = Task(name="reconcile_mesh", request=Request, run=run, manifests="active")
