"""Step `Verify registry`: a 200 is not success (rule 8).

One DiscoverInstances a service proves the end state; only what is missing there is asked for by its
operation.
"""

import msgspec

from crossmesh.core.observed import Instance
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import Deregister, Outcome, Register, RegistryPlan
from crossmesh.effects import Step, batch, call, gather, to
from crossmesh.errors import CrossmeshError, NotFound
from crossmesh.ports import Clock, Operation, Registry
from crossmesh.usecases import state
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.outcomes import outcomes_of_stage, stage_of
from crossmesh.usecases.task import Task

PATIENCE = 30.0  # seconds; AWS's own controllers poll operations for up to 60 s at 2 to 3 s each
_FIRST_WAIT, _LONGEST_WAIT, _ASK_AFTER, _ASKED_AT_MOST = (
    0.25,
    3.0,
    1.0,
    50,
)  # no operation of AWS is done at once: not asked before, it is asked less


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The stage that was applied."""

    run: Run
    plan: str
    stage: int


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`next_stage`: where the plan goes on (0 = done). `pending` and `failed` make the run look
    again.
    """

    verified: int
    pending: int
    failed: int
    next_stage: int


def run(request: Request, _context: Context) -> Step[Response]:
    """Wait until each touched service shows what was applied, or patience ends."""
    plan, outcomes = yield from gather(
        state.load(request.plan, RegistryPlan), outcomes_of_stage(request.run, request.stage)
    )
    expected = {
        index: action
        for index, action in stage_of(plan, request.stage)
        if isinstance(action, Register | Deregister)
        and index in outcomes
        and outcomes[index].result == "applied"
        and outcomes[index].operation
    }
    missing, failed = yield from _wait(plan, expected, outcomes)
    problems = sum(1 for outcome in outcomes.values() if outcome.result in ("failed", "busy", "stale"))
    yield from state.save(
        state.key(request.run.id, f"verified/{request.stage}"), {"missing": sorted(missing), "failed": failed}
    )
    following = [stage for stage in plan.stages if stage > request.stage]
    return Response(
        verified=len(expected) - len(missing),
        pending=len(missing) - len(failed),
        failed=len(failed) + problems,
        # What waits for a proof (`Deregister.after`) asks for it itself; the rest is not frozen
        next_stage=following[0] if following else 0,
    )


def _wait(
    plan: RegistryPlan, expected: dict[int, Register | Deregister], outcomes: dict[int, Outcome]
) -> Step[tuple[dict[int, Register | Deregister], dict[str, str]]]:
    """What discovery does not show in time, and which of it failed for good. Operations are asked
    for only where a second brought nothing new.
    """
    started = yield from call(Clock.now)
    wait, missing, failed = _FIRST_WAIT, dict(expected), dict[str, str]()
    if missing:
        yield from call(Clock.sleep, wait)
    while missing:
        before = len(missing)
        missing = yield from _missing(plan, missing)
        now = yield from call(Clock.now)
        if not missing or now - started > PATIENCE:
            break
        if len(missing) == before and wait > _ASK_AFTER:
            failed = yield from _failed(missing, outcomes)
            if len(failed) == len(missing):
                return missing, failed
        yield from call(Clock.sleep, wait)
        wait = min(_LONGEST_WAIT, wait * 2)
    failed = yield from _failed(missing, outcomes)
    return missing, failed


def _missing(plan: RegistryPlan, expected: dict[int, Register | Deregister]) -> Step[dict[int, Register | Deregister]]:
    """Those of `expected` that discovery does not show yet."""
    service_names = sorted({(action.namespace, action.service) for action in expected.values()})
    answers = yield from batch(
        [to(Registry.discover, *plan.discovered_by(namespace, service)) for namespace, service in service_names]
    )
    shown: dict[tuple[str, str], dict[str, Instance] | None] = {}
    for place, answer in zip(service_names, answers, strict=True):
        if isinstance(answer, NotFound):
            shown[place] = {}
        else:
            shown[place] = (
                None if isinstance(answer, CrossmeshError) else {instance.id: instance for instance in answer}
            )
    return {
        index: action
        for index, action in expected.items()
        if not _shows(shown[action.namespace, action.service], action)
    }


def _shows(instances: dict[str, Instance] | None, action: Register | Deregister) -> bool:
    if instances is None:
        return False
    found = instances.get(action.id)
    if isinstance(action, Deregister):
        return found is None
    return found is not None and all(
        found.attributes.get(k) == v for k, v in action.attributes.items() if k != ep.INIT_HEALTH
    )


def _failed(missing: dict[int, Register | Deregister], outcomes: dict[int, Outcome]) -> Step[dict[str, str]]:
    """Operations that ended in FAIL, by the instance they were for."""
    asked = sorted(missing)[:_ASKED_AT_MOST]
    answers = yield from batch([to(Registry.operation, outcomes[index].operation) for index in asked])
    return {
        missing[index].id: f"{answer.code}: {answer.message}"
        for index, answer in zip(asked, answers, strict=True)
        if isinstance(answer, Operation) and answer.status == "FAIL"
    }


TASK = Task(name="verify_registry", request=Request, run=run, manifests="digest")
