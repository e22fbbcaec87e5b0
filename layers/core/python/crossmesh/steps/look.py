"""Step `Look`: observe → plan, without writes, and say whether a run is needed. Each minute, and at every hint.

Storm-proof: one look at a time. A hint that meets a look under way asks it to look once more; a hundred hints cost two looks (rule 10).
A quiet look reads each cluster's pods and one revision a service; all instances are listed when a revision moved, once more when that has settled (a list may
be behind the revision that called for it), and every 10 minutes.
"""

import msgspec

from crossmesh import codec
from crossmesh.core import mesh_notes
from crossmesh.core.actions import Memory, Operator, RegistryPlan
from crossmesh.core.adoption import adopting
from crossmesh.core.mesh_plan import MeshPlan
from crossmesh.core.report import Report, cluster_lines, summary
from crossmesh.core.views import RegistryView, View
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clock, Lease, Registry, RunStore, State, Telemetry
from crossmesh.steps import manifests, mesh, observe, open_ports, shifts, store
from crossmesh.steps.calls import Step, call, to, together
from crossmesh.steps.context import Context
from crossmesh.steps.plan_registry import decide

LEASE = "look"
LIFE = 60.0  # seconds, no longer than the function may run: a look that was killed never blocks for longer than one period
FULL_EVERY = 600.0  # seconds between full listings of unmoved services
SETTLED = (
    30.0  # seconds after a revision was first seen from which a list is trusted to show all of it: reads of Cloud Map agree only in the end
)
REGISTRY, LAST = "registry/last.json", "look"
_LOOKS_AT_MOST, _BUDGET = 10, 20.0  # looks one call takes for those who asked meanwhile, and the seconds after which it takes no more


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`id` names the look (and the run it may ask for); `cause` is what triggered it, for people."""

    id: str
    cause: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`decision`: quiet | apply | observe (Mode says so) | paused | held (another look is under way and will look again)."""

    decision: str
    id: str
    look: str = ""
    actions: int = 0
    withheld: int = 0
    unseen: tuple[str, ...] = ()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """All that one look found; `context` has the documents in force."""

    context: Context
    views: tuple[View, ...]
    registry: RegistryView
    memory: Memory
    operator: Operator
    plan: RegistryPlan
    mesh: MeshPlan
    shifts: tuple[str, ...] = ()  # shifts of weights in force, as lines for people
    shifting: bool = False  # one begins, goes on or ends


def run(request: Request, context: Context) -> Step[Response]:
    """Look, and once more for as long as somebody asked meanwhile."""
    now = yield from call(Clock.now)
    mine = yield from _enter(request.id, now)
    if mine is None:
        return Response(decision="held", id=request.id)
    response = Response(decision="quiet", id=request.id)
    for left in reversed(range(_LOOKS_AT_MOST)):
        try:
            response = yield from _look(request, context)
        except CrossmeshError:
            yield from _leave(mine, again_allowed=False)  # also where somebody asked again meanwhile: the retry or the next tick is that look
            raise
        ended = yield from call(Clock.now)
        # The last one gives the lease back whoever asked: kept, it would hold every look up until it expires.
        mine = yield from _leave(mine, again_allowed=response.decision == "quiet" and left > 0 and ended - now < _BUDGET)
        if mine is None:
            break
    return response


def see(context: Context) -> Step[Seen]:
    """Observe everything and plan: what `plan` on the command line shows, too."""
    memory, operator, sick, (last,) = yield from store.standing(to(RunStore.get, REGISTRY))
    context, refused = yield from manifests.look(context, memory.identities)
    registry = yield from _registry(context, memory, last)
    views: list[View] = []
    answers = yield from _clusters(context, registry, memory, operator)
    views.extend(answers)
    plan = decide(context, tuple(views), registry, memory, operator, sick)
    shifting = yield from shifts.due(context)
    seen = yield from mesh.observe(shifting.context)
    wanted = mesh.decide(shifting.context, seen, adopt=adopting(context.settings, memory, operator), beside=plan)
    wanted = msgspec.structs.replace(wanted, notes=(*wanted.notes, *mesh_notes.of_state(shifting.context.topology, registry, plan)))
    wanted = msgspec.structs.replace(wanted, notes=(*refused, *wanted.notes))
    return Seen(
        context=context,
        views=tuple(views),
        registry=registry,
        memory=memory,
        operator=operator,
        plan=plan,
        mesh=wanted,
        shifts=shifting.notes,
        shifting=shifting.moved and not wanted.unavailable and not plan.conflict,
    )


def _look(request: Request, context: Context) -> Step[Response]:
    started = yield from call(Clock.now)
    seen = yield from see(context)
    paused = seen.operator.paused
    ports = (yield from open_ports.asked()) if context.settings.security_groups == "open" else ()
    needed = bool(seen.plan.actions or seen.plan.gates or seen.mesh.actions or ports) or _remembers_more(seen) or seen.shifting
    decision = "quiet" if not needed else "paused" if paused else "observe" if context.mode == "observe" else "apply"
    now = yield from call(Clock.now)
    report = Report(
        id=request.id,
        kind=decision,
        at=now,
        config=seen.context.config,
        live=seen.context.live,
        version=context.version,
        clusters=cluster_lines(seen.views),
        seconds=round(now - started, 3),
        **summary(seen.plan, seen.mesh),  # type: ignore[arg-type]
    )
    yield from call(Telemetry.report, report)
    look = "" if decision == "quiet" else store.key(request.id, "look")
    writes = [to(State.write, LAST, codec.encode(report))]
    if look:
        kept = {look: seen.plan, store.key(request.id, "look-report"): report}
        writes += [to(RunStore.put, where, codec.encode(value)) for where, value in kept.items()]
    yield from store.all_of(writes)
    unseen = tuple(line.name for line in report.clusters if line.cause)
    return Response(
        decision=decision,
        id=request.id,
        look=look,
        actions=len(seen.plan.actions) + len(seen.mesh.actions),
        withheld=len(seen.plan.withheld) + len(seen.mesh.withheld),
        unseen=unseen,
    )


def _remembers_more(seen: Seen) -> bool:
    """Whether a run must record something though nothing is to be done: a clock of the brake to start, a pod seen Terminating."""
    new, old = seen.plan.memory, seen.memory
    if (new.forgotten, new.accepted, new.contested, new.adopted) != (old.forgotten, old.accepted, old.contested, old.adopted):
        return True
    if (new.neighbours, new.overruled) != (old.neighbours, old.overruled):
        return True
    return new.confirmations != old.confirmations or bool(new.terminating.keys() - old.terminating.keys())


def _clusters(context: Context, registry: RegistryView, memory: Memory, operator: Operator) -> Step[list[View]]:
    """All clusters side by side: their observations are the same steps, interleaved call by call."""
    views: list[View] = []
    waiting = [observe.prepared(context, cluster.name, registry, memory, operator) for cluster in context.settings.clusters]
    answers = yield from together(waiting)
    now = yield from call(Clock.now)
    for cluster, answer in zip(context.settings.clusters, answers, strict=True):
        views.append(observe.settled(cluster.name, answer, now))
    return views


def _registry(context: Context, memory: Memory, data: bytes | None) -> Step[RegistryView]:
    """The registry as last listed (`data`) where no revision moved since, else listed anew; and once more when what moved has settled."""
    now = yield from call(Clock.now)
    names = observe.service_names(context, memory)
    last = codec.decode(data, RegistryView) if data is not None else RegistryView(begun=0.0)
    if set(names) == {(s.namespace, s.service) for s in last.services} and now - last.begun < FULL_EVERY and all(s.id for s in last.services):
        revisions = yield from together([to(Registry.revision, s.namespace, s.service) for s in last.services])
        if revisions == [s.revision for s in last.services] and last.begun - last.since >= SETTLED:
            return (yield from _with_health_of(now, last))
    view = yield from observe.registry(context, memory, revisions=True)
    same = [s.revision for s in view.services] == [s.revision for s in last.services]
    view = msgspec.structs.replace(view, since=last.since if same else view.begun)
    yield from call(RunStore.put, REGISTRY, codec.encode(view))
    return view


def _with_health_of(now: float, last: RegistryView) -> Step[RegistryView]:
    """A view that no revision contradicts, with the health of now, which no revision tells."""
    if not any(service.custom_health for service in last.services):
        return last
    return msgspec.structs.replace(last, begun=now, services=(yield from observe.with_health(last.services)))


def _enter(holder: str, now: float) -> Step[Lease | None]:
    for _ in range(5):
        found = yield from call(State.read_lease, LEASE)
        if found is not None and found.holder and found.expires > now:
            asked = yield from call(State.ask_again, LEASE, found)
            if asked:
                return None
            continue
        mine = Lease(epoch=(found.epoch if found else 0) + 1, holder=holder, expires=now + LIFE)
        taken = yield from call(State.write_lease, LEASE, mine, found)
        if taken:
            return mine
    return None


def _leave(mine: Lease, *, again_allowed: bool) -> Step[Lease | None]:
    """Give the look back; still held (and to be used again) where somebody asked meanwhile and this look asked for no run, which looks by itself."""
    found: Lease | None = mine  # mostly nobody asked: one write then does it, and fails where that is not so
    for _ in range(5):
        if found is None or found.holder != mine.holder or found.epoch != mine.epoch:
            return None
        renewed = msgspec.structs.replace(found, again=False) if found.again and again_allowed else None
        written = yield from call(State.write_lease, LEASE, renewed, found)
        if written:
            return renewed
        found = yield from call(State.read_lease, LEASE)
    return None
