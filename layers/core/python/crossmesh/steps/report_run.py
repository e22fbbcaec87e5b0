"""Step `Report run`: remember what the plan wants remembered, write the journal, count. The last step under the lease, on success and on failure."""

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from crossmesh import codec
from crossmesh.core.actions import Deregister, Register, RegistryPlan
from crossmesh.core.mesh_plan import MeshPlan
from crossmesh.core.report import Report, cluster_lines, convergence_lag, summary
from crossmesh.core.views import Unseen, View
from crossmesh.ports import Clock, RunStore, State, Telemetry
from crossmesh.steps import lease, shifts, store
from crossmesh.steps.apply_registry import settled, stage_of
from crossmesh.steps.calls import Step, call
from crossmesh.steps.context import Context, Run

LAST = "run"

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run, and its failure where it failed (as the state machine caught it)."""

    run: Run
    failure: dict[str, str] = {}


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`look_again`: look once more at `wait_until` (RFC 3339): a confirmation comes due, or another configuration was deployed meanwhile."""

    kind: str
    look_again: bool = False
    wait_until: str = ""


def run(request: Request, context: Context) -> Step[Response]:
    """Report; memory is written only where a plan was made and the lease still stands."""
    now = yield from call(Clock.now)
    this = request.run
    plan = yield from _optional(store.key(this.id, "plan"), RegistryPlan)
    mesh = yield from _optional(store.key(this.id, "mesh/0/plan"), MeshPlan)
    kind = "failed" if request.failure else "superseded" if this.config != context.config else "applied"
    views = yield from _views(context, this)
    done = (yield from _done(this, plan)) if plan is not None else Done()
    told = summary(plan or RegistryPlan(), mesh or MeshPlan())
    told["stale"] = done.stale
    report = Report(
        id=this.id,
        kind=kind,
        at=now,
        config=this.config,
        live=this.live,
        version=context.version,
        clusters=cluster_lines(views),
        failed=done.unproved,
        lag=convergence_lag(done.added, views, now) if (yield from _followed(this)) else -1.0,
        seconds=round(now - this.started, 3),
        failure=f"{request.failure.get('Error', '')}: {request.failure.get('Cause', '')[:500]}" if request.failure else "",
        **told,  # type: ignore[arg-type]
    )
    yield from store.save(store.key(this.id, "report"), report)
    if plan is not None and kind == "applied":
        yield from lease.check(this)
        proved = sorted(action.id for action in done.added)
        memory = msgspec.structs.replace(plan.memory, registered={**plan.memory.registered, **dict.fromkeys(proved, now)})
        yield from call(State.write, store.MEMORY, codec.encode(memory))
    yield from call(State.write, LAST, codec.encode(report))
    yield from call(Telemetry.report, report)
    step = (yield from shifts.next_due()) if kind == "applied" else 0.0
    waits = [at for at in (plan.again_at if plan else 0.0, step) if at]
    due = now if kind == "superseded" else min(waits, default=0.0)
    return Response(kind=kind, look_again=due > 0, wait_until=_rfc3339(due) if due else "")


def _views(context: Context, this: Run) -> Step[tuple[View, ...]]:
    views: list[View] = []
    for cluster in context.settings.clusters:
        data = yield from call(RunStore.get, store.key(this.id, f"views/{cluster.name}"))
        views.append(
            msgspec.json.decode(data, type=View) if data else Unseen(cluster=cluster.name, cause="crashed", detail="not observed in this run")
        )
    return tuple(views)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a plan. `added`: instances that this run added and discovery showed (one that is missing later was removed by another hand);
    `unproved`: actions that were not carried out or not seen to be; `stale`: removals of dead instances among them."""

    added: tuple[Register, ...] = ()
    unproved: int = 0
    stale: int = 0


def _done(this: Run, plan: RegistryPlan) -> Step[Done]:
    added: list[Register] = []
    unproved = stale = 0
    for stage in plan.stages:
        outcomes = yield from settled(this, stage)
        verified = yield from _optional(store.key(this.id, f"verified/{stage}"), dict[str, Any])
        lacking = set(verified["missing"]) if verified is not None else set(range(len(plan.actions)))
        for index, action in stage_of(plan, stage):
            if index in lacking or index not in outcomes or outcomes[index].result != "applied":
                unproved += 1
                stale += isinstance(action, Deregister) and action.why in ("dead", "gone")
            elif isinstance(action, Register) and not action.change:
                added.append(action)
    return Done(added=tuple(added), unproved=unproved, stale=stale)


def _followed(this: Run) -> Step[bool]:
    """Whether the run before this one worked by the same configuration: only then is a pod's wait for its registration the application's lag."""
    before = yield from call(State.read, LAST)
    last = codec.decode(before, Report) if before else None
    return last is not None and last.kind == "applied" and last.config == this.config


def _optional(where: str, kind: type[T]) -> Step[T | None]:
    data = yield from call(RunStore.get, where)
    return codec.decode(data, kind) if data else None


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds + 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
