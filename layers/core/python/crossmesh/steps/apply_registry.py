"""Step `Apply registry`: carry out one stage of a plan, as much of it as the time allows; the state
machine calls again for the rest.

Never decides: each action is done if its precondition still holds on a fresh read, else its outcome
is `stale`. The lease is checked before each batch.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.core.keys import instance_key, service_key
from crossmesh.core.observed import Instance, RegistryView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import pod_of
from crossmesh.core.registry.entitlement import adoptable, named_services, unentitled
from crossmesh.core.registry.plan import (
    CreateService,
    DeleteService,
    Deregister,
    Outcome,
    Register,
    RegistryAction,
    RegistryPlan,
    SetHealth,
    TagService,
)
from crossmesh.core.registry.rate_limit import AdaptiveRate
from crossmesh.effects import Call, Step, batch, call, gather, to
from crossmesh.errors import Conflict, CrossmeshError, NotFound, RefusedError, Throttled
from crossmesh.ports import Clock, Registry, RunStore, State
from crossmesh.usecases import lease, state
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.outcomes import done, outcomes_of_stage, stage_of
from crossmesh.usecases.task import Task

BUDGET = 35.0  # seconds of work a call, well within the function's timeout of 60
# Seconds after which an observation no longer justifies removing an instance whose pod lives
FRESH = 120.0
# Seconds for which a list of a service is compared with, and for which a look's list speaks for ids
# that are to be new
COMPARED = 10.0
PACES = "paces"
GONE = "gone already"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Stage 1 = phases 0 and 1, else the phase itself; `part` counts the calls for this stage, from
    0. `digest`: of the plan, as it was made.
    """

    run: Run
    plan: str
    stage: int
    part: int = 0
    digest: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`done`: the whole stage; otherwise call again with `part`. Counts are of this call.
    `superseded`: the configuration changed, nothing was written.
    """

    stage: int
    part: int
    done: bool
    superseded: bool = False
    applied: int = 0
    stale: int = 0
    busy: int = 0
    failed: int = 0


class _Paces(msgspec.Struct, frozen=True, kw_only=True):
    """The learned rates, kept between runs."""

    register: AdaptiveRate = AdaptiveRate()
    deregister: AdaptiveRate = AdaptiveRate()
    health: AdaptiveRate = AdaptiveRate()


_Instances = Register | Deregister | SetHealth


def run(request: Request, context: Context) -> Step[Response]:
    """Apply what earlier parts have not settled."""
    if request.run.config != context.config:
        return Response(stage=request.stage, part=request.part, done=True, superseded=True)
    documents = state.load_all({request.plan: RegistryPlan, state.key(request.run.id, "registry"): RegistryView})
    learned = state.batch_or_raise([to(State.read, PACES), to(RunStore.get, state.key(request.run.id, "created"))])
    earlier = (outcomes_of_stage(request.run, request.stage),) if request.part else ()
    (plan, registry), (paces, created), *before = yield from gather(documents, learned, *earlier)
    if request.digest and codec.digest(codec.encode(plan)) != request.digest:
        raise RefusedError(
            "ChangedPlan",
            f"{request.plan} is not the plan that was made: somebody changed it in the run store; nothing was written",
        )
    todo = [(index, action) for index, action in stage_of(plan, request.stage) if not before or index not in before[0]]
    work = _Work(request.run, context, plan, {service.key: service.id for service in registry.services if service.id})
    yield from work.begin(request.stage, paces, created)
    yield from work.through(todo)
    yield from work.end(request.stage, request.part)
    results = [outcome.result for outcome in work.outcomes]
    return Response(
        stage=request.stage,
        part=request.part + 1,
        done=len(results) == len(todo),
        applied=results.count("applied"),
        stale=results.count("stale"),
        busy=results.count("busy"),
        failed=results.count("failed"),
    )


def _again(pace: AdaptiveRate) -> AdaptiveRate:
    """A learned pace for a new run: the bucket is full again, the rate is known where it was
    found.
    """
    return AdaptiveRate(rate=pace.rate, probing=pace.probing)


class _Work:
    """One call's work: service ids, fresh reads, learned paces, outcomes."""

    def __init__(self, run: Run, context: Context, plan: RegistryPlan, ids: dict[str, str]) -> None:
        self.run, self.context = run, context
        self.named = named_services(context.topology)
        self.plan = plan
        self.ids = ids
        self.fresh: dict[str, dict[str, Instance] | None] = {}  # by service; None = it was deleted
        self.read: dict[str, float] = {}  # when each was listed
        self.outcomes: list[Outcome] = []
        self.paces = _Paces()
        self.proved: set[str] = set()

    def begin(self, stage: int, data: bytes | None, made: bytes | None) -> Step[None]:
        """Take over the rates that earlier runs learned (`data`) and the services that earlier
        parts made (`made`); fetch what earlier stages proved.
        """
        self.started = yield from call(Clock.now)
        if data:
            learned = codec.decode(data, _Paces)
            self.paces = _Paces(
                register=_again(learned.register), deregister=_again(learned.deregister), health=_again(learned.health)
            )
        self.first = self.paces
        self.ids |= codec.decode(made, dict[str, str]) if made else {}
        if any(isinstance(action, Deregister) and action.after for action in self.plan.actions):
            earlier = yield from done(self.run, self.plan, [before for before in self.plan.stages if before < stage])
            self.proved = {instance_key(service_key(a.namespace, a.service), a.id) for a in earlier.added}

    def end(self, stage: int, part: int) -> Step[None]:
        """Keep outcomes and what was learned of the rates."""
        yield from state.save(state.key(self.run.id, f"outcomes/{stage}-{part:04}"), tuple(self.outcomes))
        if _rates(self.paces) != _rates(self.first):
            yield from call(State.write, PACES, codec.encode(self.paces))

    def through(self, todo: Sequence[tuple[int, RegistryAction]]) -> Step[None]:
        """Services first, one by one; then instances, adds and removals side by side, until all is
        settled or the time is up.
        """
        for index, action in todo:
            if not isinstance(action, _Instances):
                yield from lease.check(self.run)
                self.outcomes.append((yield from self._single(index, action)))
        queues: dict[str, deque[tuple[int, _Instances]]] = {
            name: deque((index, action) for index, action in todo if isinstance(action, kind))
            for name, kind in (("deregister", Deregister), ("register", Register), ("health", SetHealth))
        }
        while any(queues.values()):
            now = yield from call(Clock.now)
            if now - self.started > BUDGET:
                break
            yield from gather(
                lease.check(self.run), self._read([action for queue in queues.values() for _, action in queue], now)
            )
            yield from self._window(queues)

    # --- services ---------------------------------------------------------------------------------

    def _single(self, index: int, action: RegistryAction) -> Step[Outcome]:
        if wrong := unentitled(action, self.context.settings, self.named):
            return Outcome(action=index, result="failed", detail=wrong)
        try:
            if isinstance(action, CreateService):
                found, _ = yield from call(Registry.create_service, action)
                self.ids[service_key(action.namespace, action.service)] = found
                yield from state.save(state.key(self.run.id, "created"), self.ids)
            elif isinstance(action, TagService):
                yield from call(Registry.tag, action.arn, action.tags)
            elif isinstance(action, DeleteService):
                yield from self._delete(action)
        except NotFound:
            return Outcome(action=index, result="stale", detail="it is not there any more")
        except Conflict as error:
            return Outcome(action=index, result="busy", detail=str(error))
        except RefusedError as error:
            return Outcome(action=index, result="failed", detail=str(error))
        return Outcome(action=index, result="applied")

    def _delete(self, action: DeleteService) -> Step[None]:
        left = yield from call(Registry.list_instances, action.id)
        if left:
            raise NotFound("NotEmpty", "instances were registered meanwhile")
        yield from call(Registry.delete_service, action.id)

    # --- instances --------------------------------------------------------------------------------

    def _read(self, actions: Iterable[_Instances], now: float) -> Step[None]:
        """List the services of actions that must be compared first, each again when its list is
        old.
        """
        late = now - self.plan.begun > COMPARED
        keys = {service_key(a.namespace, a.service) for a in actions if late or not isinstance(a, Register) or a.change}
        asked = sorted(key for key in keys if key in self.ids and now - self.read.get(key, -COMPARED) >= COMPARED)
        answers = yield from batch([to(Registry.list_instances, self.ids[key]) for key in asked])
        for key, answer in zip(asked, answers, strict=True):
            if isinstance(answer, CrossmeshError) and not isinstance(answer, NotFound):
                raise answer
            self.read[key] = now
            self.fresh[key] = None if isinstance(answer, NotFound) else {instance.id: instance for instance in answer}

    def _window(self, queues: dict[str, deque[tuple[int, _Instances]]]) -> Step[None]:
        """Send one window of removals, one of adds and one of health together. Throttled ones go
        back to the front of their queue.
        """
        sent: dict[str, list[tuple[int, _Instances]]] = {}
        calls: list[Call] = []
        pause = 0.0
        for name, queue in queues.items():
            pace: AdaptiveRate = getattr(self.paces, name)
            count, wait = pace.window()
            window = sent[name] = []
            while queue and len(window) < count:
                index, action = queue.popleft()
                refusal = yield from self._precondition(action)
                if refusal:
                    self.outcomes.append(refusal_at(index, refusal))
                else:
                    window.append((index, action))
            if window:
                pause = max(pause, wait)
                calls += [self._call(action) for _, action in window]
        if pause:
            yield from call(Clock.sleep, pause)
        answers = iter((yield from batch(calls, width=max(1, len(calls)))))
        for name, window in sent.items():
            refused = []
            for (index, action), answer in zip(window, answers, strict=False):
                if isinstance(answer, Throttled):
                    refused.append((index, action))
                else:
                    self.outcomes.append(_outcome(index, answer))
            queues[name].extendleft(reversed(refused))
            if window:
                pace = getattr(self.paces, name).learned(len(window), len(refused))
                self.paces = msgspec.structs.replace(self.paces, **{name: pace})

    def _call(self, action: RegistryAction) -> Call:
        service = self.ids[service_key(action.namespace, action.service)]
        if isinstance(action, Register):
            token = codec.digest(codec.encode([service, action.id, action.attributes, self.run.id]))
            return to(Registry.register, service, action.id, action.attributes, token)
        if isinstance(action, SetHealth):
            return to(Registry.set_health, service, action.id, action.status)
        assert isinstance(action, Deregister)
        return to(Registry.deregister, service, action.id)

    def _left(self, found: Instance, action: Register) -> bool:
        """Whether an instance is still the one that AWS's controller left for the pod."""
        unmarked = not any(mark in found.attributes for mark in (ep.OWNER, ep.CLUSTER, ep.POD_UID))
        place = found.attributes.get(ep.IPV4), found.attributes.get(ep.IPV6), pod_of(found)
        return unmarked and place == (action.attributes.get(ep.IPV4), action.attributes.get(ep.IPV6), action.pod)

    def _precondition(self, action: RegistryAction) -> Step[str]:
        """Why the action must not be done now; "" = it may (rule 4: compare before delete)."""
        key = service_key(action.namespace, action.service)
        if wrong := unentitled(action, self.context.settings, self.named):
            return wrong
        if key not in self.ids:
            return f"service {key} does not exist"
        listed = self.fresh.get(key, {})  # not listed: the look's list is young enough for new ids
        if listed is None:
            return f"service {key} was deleted meanwhile"
        assert isinstance(action, _Instances)
        found = listed.get(action.id)
        if isinstance(action, Register):
            if found is None:
                return "the instance is not there any more" if action.change else ""
            if action.adopts:
                return "" if self._left(found, action) else "AWS's controller's instance is another one by now"
            ours = all(
                found.attributes.get(mark) == action.attributes.get(mark) for mark in (ep.OWNER, ep.CLUSTER, ep.POD_UID)
            )
            return "" if ours else "its id is in another's use"
        return (yield from self._removable(action, found))

    def _removable(self, action: Deregister | SetHealth, found: Instance | None) -> Step[str]:
        """Why an instance must not be removed or marked now; "" = it may."""
        if found is None:
            return GONE
        marks = tuple(found.attributes.get(mark, "") for mark in (ep.OWNER, ep.CLUSTER, ep.POD_UID))
        if marks != (action.owner, action.cluster, action.uid) or pod_of(found) != action.pod:
            return "it carries other marks than planned"
        if not action.owner and not adoptable(found, self.context.topology):
            return "it is not of a virtual node that the manifests declare"
        if isinstance(action, SetHealth):
            return ""
        if action.after and action.after not in self.proved:
            return f"its replacement {action.after} is not proved"
        if action.why not in ("dead", "gone", "forgotten"):
            now = yield from call(Clock.now)
            if now - self.plan.begun > FRESH:
                return f"what justified it was seen more than {FRESH:.0f} s ago"
        return ""


def refusal_at(index: int, refusal: str) -> Outcome:
    """The outcome of an action that was not sent: an end state that is there already counts as
    applied.
    """
    return Outcome(action=index, result="applied" if refusal == GONE else "stale", detail=refusal)


def _rates(paces: _Paces) -> tuple[float, ...]:
    return paces.register.rate, paces.deregister.rate, paces.health.rate


def _outcome(index: int, answer: Any) -> Outcome:
    if isinstance(answer, NotFound):
        return Outcome(action=index, result="stale", detail=str(answer))
    if isinstance(answer, Conflict):
        return Outcome(action=index, result="busy", operation=answer.operation, detail=str(answer))
    if isinstance(answer, CrossmeshError):
        return Outcome(action=index, result="failed", detail=str(answer))
    return Outcome(action=index, result="applied", operation=answer or "")


TASK = Task(name="apply_registry", request=Request, run=run, manifests="active")
