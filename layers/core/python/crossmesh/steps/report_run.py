"""Step `Report run`: remember what the plan wants remembered, write the journal, count. The last step under the lease, on success and on failure."""

from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from crossmesh import codec
from crossmesh.core import failure
from crossmesh.core.actions import RegistryPlan
from crossmesh.core.mesh_plan import MeshPlan
from crossmesh.core.report import Report, cluster_lines, convergence_lag, summary
from crossmesh.core.views import Unseen, View
from crossmesh.ports import Clock, RunStore, State, Telemetry
from crossmesh.steps import lease, shifts, store
from crossmesh.steps.calls import Step, beside, call, to
from crossmesh.steps.context import Context, Run
from crossmesh.steps.open_gates import OPEN
from crossmesh.steps.outcomes import Done, done

LAST = "run"
_TRIES = 5

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run, and its failure where it failed (as the state machine caught it)."""

    run: Run
    failure: dict[str, str] = {}


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`look_again`: look once more at `wait_until` (RFC 3339): a confirmation comes due, or another configuration was deployed meanwhile.
    `more`: all went well and pods are on their way: going once more at once meets them sooner than their hint."""

    kind: str
    more: bool = False
    look_again: bool = False
    wait_until: str = ""


def run(request: Request, context: Context) -> Step[Response]:
    """Report; memory is written only where a plan was made and the lease still stands."""
    now = yield from call(Clock.now)
    this, setbacks = request.run, 0
    plan, mesh, views, followed, closed, step = yield from beside(
        store.find(store.key(this.id, "plan"), RegistryPlan),
        store.find(store.key(this.id, "mesh/0/plan"), MeshPlan),
        _views(context, this),
        _followed(this),
        _closed_gates(this),
        shifts.next_due(),
    )
    kind = "failed" if request.failure else "superseded" if this.config != context.config else "applied"
    found = (yield from done(this, plan, plan.stages)) if plan is not None else Done()
    told = summary(plan or RegistryPlan(), mesh or MeshPlan())
    told["stale"] = found.stale
    report = Report(
        id=this.id,
        kind=kind,
        at=now,
        config=this.config,
        live=this.live,
        version=context.version,
        clusters=cluster_lines(views),
        failed=found.unproved,
        lag=convergence_lag(found.added, views, now) if followed else -1.0,
        seconds=round(now - this.started, 3),
        failure=failure.told(request.failure),
        **told,  # type: ignore[arg-type]
    )
    kept = store.save(store.key(this.id, "report"), report)
    writes = [to(State.write, LAST, codec.encode(report))]
    if plan is not None and kind == "applied":
        yield from beside(kept, lease.check(this))
        setbacks = plan.memory.setbacks + 1 if found.unproved or closed else 0
        known = dict.fromkeys(sorted(action.id for action in found.added), now)
        memory = msgspec.structs.replace(plan.memory, registered={**plan.memory.registered, **known}, setbacks=setbacks)
        writes.append(to(State.write, store.MEMORY, codec.encode(memory)))
    else:
        yield from kept
    yield from store.all_of(writes)
    yield from call(Telemetry.report, report)
    waits = [at for at in (next_look(plan, setbacks, now) if plan else 0.0, step if kind == "applied" else 0.0) if at]
    due = now if kind == "superseded" else min(waits, default=0.0)
    more = plan is not None and plan.awaited and kind == "applied" and not setbacks
    return Response(kind=kind, more=more, look_again=due > 0, wait_until=_rfc3339(due) if due else "")


def next_look(plan: RegistryPlan, setbacks: int, now: float) -> float:
    """When to look again, 0 = with the schedule. Something unsettled: 2, 4, … 32 s later, then with the schedule; a confirmation: when it comes due.

    What could go on at once (`again_at` has passed) waits as the unsettled does, or a run that never gets on would follow itself without a pause.
    """
    if not setbacks:
        return plan.again_at
    tried, later = setbacks > _TRIES, now + 2.0 ** min(setbacks, _TRIES)
    if plan.again_at > now:
        return plan.again_at if tried else min(plan.again_at, later)
    return 0.0 if tried and not plan.again_at else later


def _views(context: Context, this: Run) -> Step[tuple[View, ...]]:
    names = [cluster.name for cluster in context.settings.clusters]
    found = yield from store.all_of([to(RunStore.get, store.key(this.id, f"views/{name}")) for name in names])
    return tuple(
        msgspec.json.decode(data, type=View) if data else Unseen(cluster=name, cause="crashed", detail="not observed in this run")
        for name, data in zip(names, found, strict=True)
    )


def _followed(this: Run) -> Step[bool]:
    """Whether the run before this one worked by the same configuration: only then is a pod's wait for its registration the application's lag."""
    before = yield from call(State.read, LAST)
    last = codec.decode(before, Report) if before else None
    return last is not None and last.kind == "applied" and last.config == this.config


def _closed_gates(this: Run) -> Step[bool]:
    """Whether a readiness gate could not be opened."""
    gates = yield from store.find(store.key(this.id, "gates"), dict[str, str])
    return any(result != OPEN for result in (gates or {}).values())


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds + 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
