"""Step `Report run`: remember what the plan wants remembered, write the journal, count. The last
step under the lease, on success and on failure.
"""

from typing import TypeVar

import msgspec

from crossmesh import codec
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.observed import Unseen, View
from crossmesh.core.registry import next_state
from crossmesh.core.registry.plan import Deregister, PlannerState, RegistryPlan
from crossmesh.core.reporting import failure
from crossmesh.core.reporting.report import Report, cluster_lines, convergence_lag, summary
from crossmesh.effects import Step, call, gather, to
from crossmesh.ports import Clock, State, Telemetry
from crossmesh.usecases import lease, state, traffic_shifts
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.outcomes import GATE_OPEN, Done, done
from crossmesh.usecases.task import Task, wait_until

_TRIES = 5

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run, and its failure where it failed (as the state machine caught it)."""

    run: Run
    failure: dict[str, str] = {}


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`look_again`: look once more at `wait_until` (RFC 3339): a confirmation comes due, or another
    configuration was deployed meanwhile. `more`: all went well and pods are on their way: going
    once more at once meets them sooner than their hint.
    """

    kind: str
    more: bool = False
    look_again: bool = False
    wait_until: str = ""


def run(request: Request, context: Context) -> Step[Response]:
    """Report; memory is written only where a plan was made and the lease still stands."""
    now = yield from call(Clock.now)
    this, unsettled_runs = request.run, 0
    plan, mesh, views, followed, closed, step = yield from gather(
        state.load_optional(state.key(this.id, "plan"), RegistryPlan),
        state.load_optional(state.key(this.id, "mesh/0/summary"), MeshSummary),
        _views(context, this),
        _followed(this),
        _closed_gates(this),
        traffic_shifts.next_due(context),
    )
    kind = "failed" if request.failure else "superseded" if this.config != context.config else "applied"
    found = (yield from done(this, plan, plan.stages)) if plan is not None else Done()
    told = summary(plan or RegistryPlan(), mesh or MeshSummary())
    told["stale"] = found.stale
    memory: PlannerState | None = None
    cut: tuple[str, ...] = ()
    if plan is not None and kind == "applied":
        unsettled_runs = plan.memory.unsettled_runs + 1 if found.unproved or closed else 0
        known = dict.fromkeys(sorted(action.id for action in found.added), now)
        unshared = {**dict.fromkeys(found.unshared, now), **plan.memory.unshared}
        whole = msgspec.structs.replace(
            plan.memory,
            registered={**plan.memory.registered, **known},
            unsettled_runs=unsettled_runs,
            unshared=unshared,
        )
        memory = next_state.fitting(whole)
        cut = next_state.cut(whole, memory)
    report = Report(
        id=this.id,
        kind=kind,
        cause=this.cause,
        at=now,
        config=this.config,
        live=this.live,
        version=context.version,
        clusters=cluster_lines(views),
        ours=_ours(plan, found) if plan is not None and kind == "applied" else -1,
        failed=found.unproved,
        lag=convergence_lag(found.added, views, now) if followed else -1.0,
        seconds=round(now - this.started, 3),
        failure=failure.failure_message(request.failure),
        **told,  # type: ignore[arg-type]
    )
    report = msgspec.structs.replace(report, notes=(*cut, *report.notes))
    kept = state.save(state.key(this.id, "report"), report)
    if memory is not None:
        yield from gather(kept, lease.check(this))
        yield from state.tell(state.LAST_RUN, report, to(State.write, state.MEMORY, codec.encode(memory)))
    else:
        yield from kept
        yield from state.tell(state.LAST_RUN, report)
    yield from call(Telemetry.report, report)
    waits = [
        at for at in (next_look(plan, unsettled_runs, now) if plan else 0.0, step if kind == "applied" else 0.0) if at
    ]
    due = now if kind == "superseded" else min(waits, default=0.0)
    more = plan is not None and plan.pods_pending and kind == "applied" and not unsettled_runs
    return Response(kind=kind, more=more, look_again=due > 0, wait_until=wait_until(due) if due else "")


def _ours(plan: RegistryPlan, found: Done) -> int:
    """How many instances of ours stand registered now; below 0 where a change was not proved."""
    removed = sum(1 for action in plan.actions if isinstance(action, Deregister))
    return -1 if found.unproved else plan.registered + len(found.added) - removed


def next_look(plan: RegistryPlan, unsettled_runs: int, now: float) -> float:
    """When to look again, 0 = with the schedule. Something unsettled: 2, 4, … 32 s later, then with
    the schedule; a confirmation: when it comes due.

    What could go on at once (`again_at` has passed) waits as the unsettled does, or a run that
    never gets on would follow itself without a pause.
    """
    if not unsettled_runs:
        return plan.again_at
    tried, later = unsettled_runs > _TRIES, now + 2.0 ** min(unsettled_runs, _TRIES)
    if plan.again_at > now:
        return plan.again_at if tried else min(plan.again_at, later)
    return 0.0 if tried and not plan.again_at else later


def _views(context: Context, this: Run) -> Step[tuple[View, ...]]:
    found = yield from state.views_of(this.id, [cluster.name for cluster in context.settings.clusters])
    return tuple(
        view or Unseen(cluster=name, cause="crashed", detail="not observed in this run") for name, view in found.items()
    )


def _followed(this: Run) -> Step[bool]:
    """Whether the run before this one worked by the same configuration: only then is a pod's wait
    for its registration the application's lag.
    """
    before = yield from call(State.read, state.LAST_RUN)
    last = codec.decode(before, Report) if before else None
    return last is not None and last.kind == "applied" and last.config == this.config


def _closed_gates(this: Run) -> Step[bool]:
    """Whether a readiness gate could not be opened."""
    gates = yield from state.load_optional(state.key(this.id, "gates"), dict[str, str])
    return any(result != GATE_OPEN for result in (gates or {}).values())


TASK = Task(name="report_run", request=Request, run=run, manifests="digest")
