"""Write to App Mesh: a plan's actions stage by stage, each by a token of its own and read back."""

from collections.abc import Sequence
from itertools import groupby

from crossmesh import codec
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.mesh.appmesh.diff import differences
from crossmesh.core.mesh.appmesh.plan import MeshAction, MeshPlan
from crossmesh.core.mesh.appmesh.planner import failed_need
from crossmesh.core.mesh.appmesh.state import MeshView
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.effects import Step, batch, call, to
from crossmesh.errors import Conflict, CrossmeshError, NotFound, ServiceGone, TransientError
from crossmesh.ports import AppMeshApi, Clock
from crossmesh.usecases import lease
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.mesh.driver import MeshOutcome

BUDGET = 35.0  # seconds of writes a call
_AT_ONCE = 4
_TRIES = 4
# Seconds before a write that was throttled or met a server error is asked again, doubled each time
_PAUSE = 0.5


def apply(run: Run, context: Context, plan: MeshPlan, view: MeshView) -> Step[tuple[list[MeshOutcome], str]]:
    """Stage by stage in the plan's order, a few at once; why the API went away meanwhile ("" = it
    did not). What needs a write that failed is not tried.
    """
    outcomes: list[MeshOutcome] = []
    found, failed = {resource.target: resource for resource in view.resources}, dict[MeshTarget, MeshAction]()
    started = yield from call(Clock.now)
    for _, group in groupby(enumerate(plan.actions), key=lambda item: item[1].stage):
        waiting = []
        for index, action in group:
            needed = failed_need(action, failed, found)
            if needed is None:
                waiting.append((index, action))
            else:
                failed.setdefault(action.target, action)
                outcomes.append(
                    MeshOutcome(action=index, result="failed", detail=f"not tried: {needed} could not be written")
                )
        while waiting:
            batch, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
            now = yield from call(Clock.now)
            if now - started > BUDGET:
                return outcomes, ""
            answers = yield from _write(run, context, [action for _, action in batch])
            for (index, action), answer in zip(batch, answers, strict=True):
                if isinstance(answer, ServiceGone):
                    return outcomes, str(answer)
                outcome = _outcome(index, action, answer)
                outcomes.append(outcome)
                if outcome.result != "applied":
                    failed.setdefault(action.target, action)
    return outcomes, ""


def _write(run: Run, context: Context, actions: Sequence[MeshAction]) -> Step[list[object]]:
    """Do a few actions side by side, again those that were throttled or met a server error: by its
    token it is one intent, whether it had effect or not.
    """
    answers: list[object] = [None] * len(actions)
    waiting = list(range(len(actions)))
    for attempt in range(_TRIES):
        todo = waiting
        if attempt:
            yield from call(Clock.sleep, _PAUSE * 2 ** (attempt - 1))
            for place, holder in zip(todo, (yield from _holders([actions[place] for place in todo])), strict=True):
                answers[place] = _refused(actions[place], holder, context.settings.owner)
            todo = [place for place in todo if answers[place] is None]
        yield from lease.check(run)
        asked = yield from _asked(run, context, [actions[place] for place in todo])
        for place, answer in zip(todo, asked, strict=True):
            answers[place] = answer
        waiting = [place for place in waiting if isinstance(answers[place], TransientError)]
        if not waiting:
            break
    return answers


def _holders(actions: Sequence[MeshAction]) -> Step[list[object]]:
    """Tags of the resources that are to be changed or removed, read anew: a try that got no answer
    may have taken a while (rule 2). {} of those to be made.
    """
    standing = [action for action in actions if action.verb != "create"]
    found = iter((yield from batch([to(AppMeshApi.tags, action.arn) for action in standing], width=_AT_ONCE)))
    return [{} if action.verb == "create" else next(found) for action in actions]


def _refused(action: MeshAction, holder: object, owner: str) -> object:
    """Why the action may not be tried again, None where it may."""
    if action.verb == "create" or isinstance(holder, CrossmeshError):
        return holder if isinstance(holder, CrossmeshError) else None
    tags: dict[str, str] = holder  # type: ignore[assignment]
    if tags.get(OWNER_TAG) == owner or (action.adopt and OWNER_TAG not in tags):
        return None
    return Conflict("NotOurs", f"{action.target} carries our tag no more: somebody made it anew")


def _asked(run: Run, context: Context, actions: Sequence[MeshAction]) -> Step[list[object]]:
    tags = {OWNER_TAG: context.settings.owner}
    adopted = yield from batch([to(AppMeshApi.tag, action.arn, tags) for action in actions if action.adopt])
    for answer in adopted:
        if isinstance(answer, CrossmeshError):
            return [answer] * len(actions)
    calls = []
    for action in actions:
        token = codec.digest(
            codec.encode([run.id, run.epoch, action.verb, action.stage, action.target, action.request])
        )[:36]
        if action.verb == "delete" or action.request is None:
            calls.append(to(AppMeshApi.delete, action.target))
        elif action.verb == "create":
            calls.append(to(AppMeshApi.create, action.request.operation, action.request.input, tags, token))
        else:
            operation = action.request.operation.replace("Create", "Update", 1)
            calls.append(to(AppMeshApi.update, operation, action.request.input, token))
    answers: list[object] = yield from batch(calls, width=_AT_ONCE)
    return (yield from _read_back(actions, answers))


def _read_back(actions: Sequence[MeshAction], answers: list[object]) -> Step[list[object]]:
    """What was written must be there: no call of App Mesh takes a condition, so another writer may
    have come between (API model: version is only returned).
    """
    written = [
        (place, action)
        for place, action in enumerate(actions)
        if action.request is not None and not isinstance(answers[place], CrossmeshError)
    ]
    found = yield from batch([to(AppMeshApi.describe, action.target) for _, action in written], width=_AT_ONCE)
    for (place, action), resource in zip(written, found, strict=True):
        wanted = action.request.input.get("spec", {}) if action.request else {}
        if isinstance(resource, CrossmeshError):
            answers[place] = resource
        elif resource is None or differences(wanted, resource.spec):
            answers[place] = Conflict(
                "LostUpdate", f"{action.target} does not show what was written: another writer came between"
            )
    return answers


def _outcome(index: int, action: MeshAction, answer: object) -> MeshOutcome:
    if isinstance(answer, NotFound):
        result = "applied" if action.verb == "delete" else "stale"
        return MeshOutcome(action=index, result=result, detail=str(answer))
    if isinstance(answer, Conflict):
        return MeshOutcome(action=index, result="stale", detail=str(answer))
    if isinstance(answer, CrossmeshError):
        return MeshOutcome(action=index, result="failed", detail=str(answer))
    return MeshOutcome(action=index, result="applied")
