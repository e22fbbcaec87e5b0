"""Step `Look`: observe → plan, without writes, and say whether a run is needed. Each minute, at
every hint, and for a run that may not go by its look's plan.

Storm-proof: one look at a time. A hint that meets a look under way asks it to look once more; a
hundred hints cost two looks (rule 10). A quiet look reads each cluster's pods and one revision a
service (`refresh_registry`).

Plan handoff: the run that a look asks for reuses its plan if nobody else held the run's lease since
the look began. Nothing that we write can have changed in between, and another look would show the
same.

A slow cluster (`core.patience`) is waited for as a whole beside the looks, after the lease was
given back. If it answers, a look follows that waits for it.
"""

from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.core import bounds, patience
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.observed import Unseen
from crossmesh.core.registry import drift
from crossmesh.core.registry.churn import counted, deferral, earliest
from crossmesh.core.reporting.report import Report, cluster_lines, summary
from crossmesh.effects import Call, Step, batch, call, to
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clock, Lease, RunStore, State, Telemetry
from crossmesh.usecases import lease, manifests, observation, open_ports, state
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.look import LAST, Observation, UnderLease, emptied, kept_down, observe_and_plan
from crossmesh.usecases.look_lease import enter, leases, leave
from crossmesh.usecases.plan_handoff import PlanHandoff, PlanRef, plan_ref
from crossmesh.usecases.task import Task, wait_until

# Seconds between looks for changes that may be ours: two a minute, however many come
UNKNOWN_EVERY = 30.0
# Causes that tell of pods alone
_OF_PODS = ("hint", "deferred")
# Looks one call takes for those who asked meanwhile, and the seconds after which it takes no more
_LOOKS_AT_MOST, _BUDGET = 10, 20.0


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`id` names the look (and the run it may ask for); `cause` is what triggered it: a "hint"
    tells of pods alone. `run`: it looks under its lease.

    `detail`: a change that CloudTrail tells of. It is only asked whether that concerns us; nothing
    is observed.
    """

    id: str = ""
    cause: str = ""
    run: Run | None = None
    detail: dict[str, Any] | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`decision`: quiet | apply | observe (Mode says so) | paused | deferred (a hint asked, and
    very many runs began lately: a later look is due) | held (another look is under way and will
    look again) | asked (a run is, and will) | ours or foreign (of a change) | superseded (of a run:
    another configuration was deployed).

    `look_again`: this execution is the one that starts the later look, at `wait_until` (RFC 3339).

    `run` and `planned`: of a look under the lease; the run goes on by the configuration and the
    documents that this look found in force.
    """

    decision: str
    id: str
    look: str = ""
    actions: int = 0
    withheld: int = 0
    unseen: tuple[str, ...] = ()
    look_again: bool = False
    wait_until: str = ""
    run: Run | None = None
    planned: PlanRef | None = None


Trial = dict[str, list[Call]]  # slow cluster -> what to ask of it


def run(request: Request, context: Context) -> Step[Response]:
    """Look, and once more for as long as somebody asked meanwhile. Then try the slow clusters whose
    turn it is.
    """
    if request.detail is not None:
        ours = yield from _concerns(request.detail)
        return Response(decision="ours" if ours else "foreign", id=request.id)
    if request.run is not None:
        return (yield from _under_lease(request.run, context))
    response, trial = yield from _looks(request, context)
    answered = yield from _answering(trial)
    if answered:
        again, _ = yield from _looks(msgspec.structs.replace(request, cause="again"), context, answered)
        return response if again.decision == "held" else again
    return response


def _answering(trial: Trial) -> Step[tuple[str, ...]]:
    """The clusters of a trial that answer if they are waited for. Nothing else is made of their
    answers.
    """
    asked = [(name, one) for name, calls in trial.items() for one in calls]
    answers = yield from batch([one for _, one in asked])
    silent = {
        name for (name, _), answer in zip(asked, answers, strict=True) if isinstance(answer, Unseen | CrossmeshError)
    }
    return tuple(sorted(trial.keys() - silent))


def _looks(request: Request, context: Context, patient: tuple[str, ...] = ()) -> Step[tuple[Response, Trial]]:
    """Looks under the look's lease, and which clusters are to be tried. `patient`: slow clusters to
    wait for.
    """
    now = yield from call(Clock.now)
    found, held = yield from leases()
    if request.cause in _OF_PODS and context.mode == "apply" and (yield from lease.ask_holder(held)):
        # What is being written need not be read now
        return Response(decision="asked", id=request.id), {}
    mine, held = yield from enter(request.id, now, found, held)
    if mine is None:
        return Response(decision="held", id=request.id), {}
    response, handed, trial = Response(decision="quiet", id=request.id), PlanHandoff(), Trial()
    for left in reversed(range(_LOOKS_AT_MOST)):
        try:
            first = left == _LOOKS_AT_MOST - 1
            held = held if first else (yield from call(State.read_lease, lease.NAME))
            patient = patient if first else ()
            response, handed, trial = yield from _look(
                request, context, held, patient, pods_alone=request.cause in _OF_PODS and first
            )
        except CrossmeshError:
            # Also where somebody asked again meanwhile: the retry or the next tick is that look
            yield from leave(mine, again_allowed=False)
            raise
        ended = yield from call(Clock.now)
        # The last one gives the lease back whoever asked: kept, it would hold every look up until
        # it expires.
        mine, asked = yield from leave(
            mine, again_allowed=response.decision in ("quiet", "deferred") and left > 0 and ended - now < _BUDGET
        )
        if mine is None:
            if asked and response.look:
                yield from state.save(response.look, msgspec.structs.replace(handed, again=True))
            if asked and response.decision == "deferred":
                # Perhaps by the very look that this one left the waiting to
                response = msgspec.structs.replace(response, look_again=True)
            break
    return response, trial


def _concerns(detail: dict[str, Any]) -> Step[bool]:
    """Whether to look for a change that CloudTrail tells of. For one that may be ours the last look
    speaks for a while.
    """
    said = yield from call(State.read, LAST)
    last = codec.decode(said, Report) if said else None
    if last is None or last.concerns is None:
        return True
    found = drift.whose(detail, last.concerns)
    if found != "unknown":
        return found == "ours"
    now = yield from call(Clock.now)
    return now - last.at >= UNKNOWN_EVERY


def _look(
    request: Request, context: Context, held: Lease | None, patient: tuple[str, ...], *, pods_alone: bool
) -> Step[tuple[Response, PlanHandoff, Trial]]:
    """One look. `held`: the run's lease, read before anything that its holder writes."""
    started = yield from call(Clock.now)
    writer = -1 if held is not None and held.holder else held.epoch if held is not None else 0
    seen = yield from observe_and_plan(context, patient, writer=writer, pods_alone=pods_alone, keep=True)
    paused = seen.operator.paused
    ports = (yield from open_ports.asked()) if context.settings.security_groups == "open" else ()
    needed = (
        bool(seen.plan.actions or seen.plan.gates or seen.mesh.changes or ports)
        or _remembers_more(seen)
        or seen.shifting
    )
    if context.mode == "apply" and not paused and _outlived(seen):
        # All is right since, and a run says so: until then each look reads everything anew
        needed = True
    decision = "quiet" if not needed else "paused" if paused else "observe" if context.mode == "observe" else "apply"
    now = yield from call(Clock.now)
    begins = earliest(seen.ran, now, seen.plan) if decision == "apply" and request.cause == "hint" else 0.0
    if begins > now:
        decision = "deferred"
    # The later look itself takes up what it was started for, whoever's clock is late
    before = None if request.cause == "deferred" else seen.deferral
    later = deferral(before, request.id, now, begins)
    # Neither a run nor a later look waits for a trial
    due = patience.due(seen.slow, now) if decision not in ("apply", "deferred") else ()
    report = Report(
        id=request.id,
        kind=decision,
        cause=request.cause,
        at=now,
        config=seen.context.config,
        live=seen.context.live,
        version=context.version,
        clusters=cluster_lines(seen.views),
        seconds=round(now - started, 3),
        mesh_at=seen.mesh_at,
        down=kept_down(seen),
        emptied=bounds.lines(tuple(one.line for one in emptied(seen))),
        mesh_gone=seen.mesh.gone,
        concerns=drift.concerns(
            seen.registry, seen.context.topology, mesh=bool(backend_of(seen.context.settings).service)
        ),
        ran=counted(seen.ran, now, begins=decision == "apply"),
        deferral=later,
        slow=patience.tried(seen.slow, due, now),
        **summary(seen.plan, seen.mesh),  # type: ignore[arg-type]
    )
    yield from call(Telemetry.report, report)
    look = "" if decision == "quiet" else state.key(request.id, "look")
    handed = PlanHandoff(memory=seen.plan.memory, report=report)
    if decision == "apply" and writer >= 0:
        handed = msgspec.structs.replace(
            handed, writer=writer, at=started, config=seen.context.config, planned=_planned(request.id, seen)
        )
    writes = []
    if look:
        kept = {**(_inputs(request.id, seen) if handed.planned else {}), look: handed}
        writes = [to(RunStore.put, where, codec.encode(value)) for where, value in kept.items()]
    yield from state.tell(LAST, report, *writes)
    unseen = tuple(line.name for line in report.clusters if line.cause)
    response = Response(
        decision=decision,
        id=request.id,
        look=look,
        actions=len(seen.plan.actions) + len(seen.mesh.changes),
        withheld=len(seen.plan.withheld) + len(seen.mesh.withheld),
        unseen=unseen,
        look_again=later is not None and later.by == request.id,
        wait_until=wait_until(later.until) if later is not None else "",
    )
    return response, handed, {name: _trial(seen, name) for name in due}


def _trial(seen: Observation, name: str) -> list[Call]:
    """All that a look asks of a cluster, with its whole limit."""
    known = observation.registered(seen.context, seen.registry, seen.memory, seen.operator)
    calls = [observation.observation_call(seen.context, name, known, seen.memory, seen.operator)]
    if name in seen.context.settings.mesh.manifests.clusters:
        calls.append(manifests.asked(seen.context, name, seen.memory.identities, patience.WHOLE))
    return calls


def _under_lease(this: Run, context: Context) -> Step[Response]:
    """What a run sees for itself, and its plan. What its look saw Terminating counts as seen.
    Nothing where another configuration was deployed since it began: the run ends, and a look begins
    one of its own.
    """
    if this.config != manifests.config_of(context, this.live):
        return Response(
            decision="superseded",
            id=this.id,
            run=this,
            planned=PlanRef(plan="", first_stage=0, actions=0, withheld=0, gates=0),
        )
    handed = (yield from state.load(this.look, PlanHandoff)) if this.look else PlanHandoff()
    first = not this.passes
    by_hand = first and not this.look  # who asks by hand has the mesh looked at, too
    known = UnderLease(anew=first, sighted=handed.memory.terminating)
    seen = yield from observe_and_plan(context, pods_alone=not by_hand, keep=True, under_lease=known)
    yield from state.save_all(_inputs(this.id, seen))
    following = msgspec.structs.replace(this, config=seen.context.config, live=seen.context.live)
    return Response(
        decision="apply", id=this.id, actions=len(seen.plan.actions), run=following, planned=_planned(this.id, seen)
    )


def _planned(run: str, seen: Observation) -> PlanRef:
    # Every run looks at the ports
    ports_too = seen.context.settings.security_groups == "open"
    if backend_of(seen.context.settings).before_registry:
        return plan_ref(run, seen.plan, mesh=ports_too, publish=bool(seen.mesh.changes) or seen.shifting)
    return plan_ref(run, seen.plan, mesh=not (seen.mesh_at or seen.mesh.gone) or ports_too)


def _inputs(run: str, seen: Observation) -> dict[str, object]:
    """A run's inputs and its plan, by the keys at which every run keeps them."""
    named: dict[str, object] = {
        "registry": seen.registry,
        "inputs": seen.memory,
        state.OPERATOR: seen.operator,
        state.OUTLIERS: seen.outliers,
    }
    named |= {f"views/{view.cluster}": view for view in seen.views}
    named |= open_ports.read_later(seen.context, seen.endpoints)
    return {state.key(run, name): value for name, value in (*named.items(), ("plan", seen.plan))}


def _outlived(seen: Observation) -> bool:
    """Whether the memory tells of what is over: something unsettled, or a service that is gone and
    that no document names.
    """
    return bool(seen.memory.unsettled_runs or seen.memory.service_names.keys() - seen.plan.memory.service_names.keys())


def _remembers_more(seen: Observation) -> bool:
    """Whether a run must record something though nothing is to be done: a clock of the deletion
    guard to start, a pod seen Terminating.
    """
    new, old = seen.plan.memory, seen.memory
    if (new.forgotten, new.accepted, new.competing_writers, new.adopted) != (
        old.forgotten,
        old.accepted,
        old.competing_writers,
        old.adopted,
    ):
        return True
    if (new.conflicting_deployments, new.resolved_conflicts) != (old.conflicting_deployments, old.resolved_conflicts):
        return True
    return new.pending_deletions != old.pending_deletions or bool(new.terminating.keys() - old.terminating.keys())


TASK = Task(name="look", request=Request, run=run)
