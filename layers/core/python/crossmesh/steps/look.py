"""Step `Look`: observe → plan, without writes, and say whether a run is needed. Each minute, at every hint, and for a run that was asked to go once more.

Storm-proof: one look at a time. A hint that meets a look under way asks it to look once more; a hundred hints cost two looks (rule 10).
A quiet look reads each cluster's pods and one revision a service (`registry.again`).

What a look saw is handed on to the run it asks for, which goes by it where nobody else held the run's lease since the look began: then nothing that we write
can have changed in between, and looking again under the lease would show the same.
"""

import msgspec

from crossmesh import codec
from crossmesh.core import mesh_notes
from crossmesh.core.actions import Memory, Operator, RegistryPlan, TagService
from crossmesh.core.adoption import adopting
from crossmesh.core.mesh_plan import MeshPlan
from crossmesh.core.report import Report, cluster_lines, summary
from crossmesh.core.views import RegistryView, Sick, View
from crossmesh.errors import CrossmeshError, TransientError
from crossmesh.ports import Clock, Lease, RunStore, State, Telemetry
from crossmesh.steps import lease, manifests, mesh, observe, open_ports, shifts, store
from crossmesh.steps.calls import Step, beside, call, to, together
from crossmesh.steps.context import Context, Run
from crossmesh.steps.handing import Handed, Planned, planned
from crossmesh.steps.plan_registry import decide
from crossmesh.steps.registry import again

LEASE = "look"
LIFE = 60.0  # seconds, no longer than the function may run: a look that was killed never blocks for longer than one period
MESH_EVERY = 75.0  # seconds for which a mesh that was found in order keeps no pod waiting: a period and a slow look
REGISTRY, LAST = "registry/last.json", "look"
_LOOKS_AT_MOST, _BUDGET = 10, 20.0  # looks one call takes for those who asked meanwhile, and the seconds after which it takes no more


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`id` names the look (and the run it may ask for); `cause` is what triggered it: a "hint" tells of pods alone. `run`: it looks under its lease."""

    id: str = ""
    cause: str = ""
    run: Run | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`decision`: quiet | apply | observe (Mode says so) | paused | held (another look is under way and will look again) | asked (a run is, and will).

    `run` and `planned`: of a look under the lease; the run goes on by the configuration and the documents that this look found in force.
    """

    decision: str
    id: str
    look: str = ""
    actions: int = 0
    withheld: int = 0
    unseen: tuple[str, ...] = ()
    run: Run | None = None
    planned: Planned | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """All that one look found; `context` has the documents in force; `mesh_at`: when the mesh was last found in order (0 = it is not)."""

    context: Context
    views: tuple[View, ...]
    registry: RegistryView
    memory: Memory
    operator: Operator
    plan: RegistryPlan
    mesh: MeshPlan
    shifts: tuple[str, ...] = ()  # shifts of weights in force, as lines for people
    shifting: bool = False  # one begins, goes on or ends
    sick: dict[str, Sick] = {}
    mesh_at: float = 0.0


def run(request: Request, context: Context) -> Step[Response]:
    """Look, and once more for as long as somebody asked meanwhile."""
    if request.run is not None:
        return (yield from _under_lease(request.run, context))
    now = yield from call(Clock.now)
    found, held = yield from _leases()
    if request.cause == "hint" and context.mode == "apply" and (yield from lease.ask_holder(held)):
        return Response(decision="asked", id=request.id)  # what is being written need not be read now
    mine, held = yield from _enter(request.id, now, found, held)
    if mine is None:
        return Response(decision="held", id=request.id)
    response, handed = Response(decision="quiet", id=request.id), Handed()
    for left in reversed(range(_LOOKS_AT_MOST)):
        try:
            first = left == _LOOKS_AT_MOST - 1
            held = held if first else (yield from call(State.read_lease, lease.NAME))
            response, handed = yield from _look(request, context, held, pods_alone=request.cause == "hint" and first)
        except CrossmeshError:
            yield from _leave(mine, again_allowed=False)  # also where somebody asked again meanwhile: the retry or the next tick is that look
            raise
        ended = yield from call(Clock.now)
        # The last one gives the lease back whoever asked: kept, it would hold every look up until it expires.
        mine, asked = yield from _leave(mine, again_allowed=response.decision == "quiet" and left > 0 and ended - now < _BUDGET)
        if mine is None:
            if asked and response.look:
                yield from store.save(response.look, msgspec.structs.replace(handed, again=True))
            break
    return response


def see(context: Context, *, writer: int = -1, pods_alone: bool = False) -> Step[Seen]:
    """Observe everything and plan: what `plan` on the command line shows, too.

    `writer`: the epoch of the run's lease, where nobody holds it. `pods_alone`: a mesh that was found in order lately keeps changes of the registry waiting no
    longer, nor does it make their run look at it.
    """
    memory, operator, sick, (last, said, shifted) = yield from store.standing(
        to(RunStore.get, REGISTRY), to(State.read, LAST), to(State.read, shifts.SHIFTS)
    )
    context, refused = yield from manifests.look(context, memory.identities)
    known = codec.decode(last, RegistryView) if last is not None else RegistryView(begun=0.0)
    registry = yield from again(context, memory, known, writer)
    kept = [to(RunStore.put, REGISTRY, codec.encode(registry))] if registry.services != known.services else []
    observed = _clusters(context, registry, memory, operator)
    views, services, _ = yield from beside(observed, observe.with_health(registry.services), store.all_of(kept))
    registry = msgspec.structs.replace(registry, services=services)
    plan = decide(context, views, registry, memory, operator, sick)
    if any(isinstance(action, TagService) for action in plan.actions):  # no revision tells of a tag: the next look reads the services anew
        yield from call(RunStore.put, REGISTRY, codec.encode(msgspec.structs.replace(registry, described=0.0)))
    seen = Seen(context=context, views=views, registry=registry, memory=memory, operator=operator, sick=sick, plan=plan, mesh=MeshPlan())
    before = codec.decode(said, Report) if said else None
    now = yield from call(Clock.now)
    steady = before is not None and before.config == context.config and now - before.mesh_at < MESH_EVERY and not _shifts(shifted)
    if pods_alone and steady and before is not None and (plan.actions or plan.gates):
        notes = mesh_notes.of_state(context.topology, registry, plan)
        return msgspec.structs.replace(seen, mesh=MeshPlan(notes=(*refused, *notes)), mesh_at=before.mesh_at)
    shifting = yield from shifts.due(context)
    found = yield from mesh.observe(shifting.context)
    wanted = mesh.decide(shifting.context, found, adopt=adopting(context.settings, memory, operator), beside=plan)
    moved = shifting.moved and not wanted.unavailable and not plan.conflict
    notes = mesh_notes.of_state(shifting.context.topology, registry, plan)
    return msgspec.structs.replace(
        seen,
        mesh=msgspec.structs.replace(wanted, notes=(*refused, *wanted.notes, *notes)),
        shifts=shifting.notes,
        shifting=moved,
        mesh_at=0.0 if moved or wanted != MeshPlan() else now,
    )


def _shifts(data: bytes | None) -> bool:
    """Whether weights were ever shifted: then the mesh is looked at, for shifts go on by themselves."""
    return data is not None and bool(codec.decode(data, list[object]))


def _look(request: Request, context: Context, held: Lease | None, *, pods_alone: bool) -> Step[tuple[Response, Handed]]:
    """One look. `held`: the run's lease, read before anything that its holder writes."""
    started = yield from call(Clock.now)
    writer = -1 if held is not None and held.holder else held.epoch if held is not None else 0
    seen = yield from see(context, writer=writer, pods_alone=pods_alone)
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
        mesh_at=seen.mesh_at,
        **summary(seen.plan, seen.mesh),  # type: ignore[arg-type]
    )
    yield from call(Telemetry.report, report)
    look = "" if decision == "quiet" else store.key(request.id, "look")
    handed = Handed(memory=seen.plan.memory, report=report)
    if decision == "apply" and writer >= 0:
        handed = msgspec.structs.replace(handed, writer=writer, at=started, config=seen.context.config, planned=_planned(request.id, seen))
    writes = [to(State.write, LAST, codec.encode(report))]
    if look:
        kept = {**(_inputs(request.id, seen) if handed.planned else {}), look: handed}
        writes += [to(RunStore.put, where, codec.encode(value)) for where, value in kept.items()]
    yield from store.all_of(writes)
    unseen = tuple(line.name for line in report.clusters if line.cause)
    response = Response(
        decision=decision,
        id=request.id,
        look=look,
        actions=len(seen.plan.actions) + len(seen.mesh.actions),
        withheld=len(seen.plan.withheld) + len(seen.mesh.withheld),
        unseen=unseen,
    )
    return response, handed


def _under_lease(this: Run, context: Context) -> Step[Response]:
    """What a run sees that was asked to go once more, and its plan."""
    seen = yield from see(context, pods_alone=True)
    yield from store.save_all(_inputs(this.id, seen))
    following = msgspec.structs.replace(this, config=seen.context.config, live=seen.context.live)
    return Response(decision="apply", id=this.id, actions=len(seen.plan.actions), run=following, planned=_planned(this.id, seen))


def _planned(run: str, seen: Seen) -> Planned:
    mesh_too = not seen.mesh_at or seen.context.settings.security_groups == "open"  # every run looks at the ports
    return planned(run, seen.plan, mesh=mesh_too)


def _inputs(run: str, seen: Seen) -> dict[str, object]:
    """A run's inputs and its plan, by the keys at which every run keeps them."""
    named: dict[str, object] = {"registry": seen.registry, "inputs": seen.memory, store.OPERATOR: seen.operator, store.SICK: seen.sick}
    named |= {f"views/{view.cluster}": view for view in seen.views}
    return {store.key(run, name): value for name, value in (*named.items(), ("plan", seen.plan))}


def _remembers_more(seen: Seen) -> bool:
    """Whether a run must record something though nothing is to be done: a clock of the brake to start, a pod seen Terminating."""
    new, old = seen.plan.memory, seen.memory
    if (new.forgotten, new.accepted, new.contested, new.adopted) != (old.forgotten, old.accepted, old.contested, old.adopted):
        return True
    if (new.neighbours, new.overruled) != (old.neighbours, old.overruled):
        return True
    return new.confirmations != old.confirmations or bool(new.terminating.keys() - old.terminating.keys())


def _clusters(context: Context, registry: RegistryView, memory: Memory, operator: Operator) -> Step[tuple[View, ...]]:
    """All clusters side by side: their observations are the same steps, interleaved call by call."""
    waiting = [observe.prepared(context, cluster.name, registry, memory, operator) for cluster in context.settings.clusters]
    answers = yield from together(waiting)
    now = yield from call(Clock.now)
    return tuple(observe.settled(cluster.name, answer, now) for cluster, answer in zip(context.settings.clusters, answers, strict=True))


def _leases() -> Step[list[Lease | None]]:
    """The look's own lease and the run's."""
    return (yield from store.all_of([to(State.read_lease, LEASE), to(State.read_lease, lease.NAME)]))


def _enter(holder: str, now: float, found: Lease | None, held: Lease | None) -> Step[tuple[Lease | None, Lease | None]]:
    """The look's own lease, None where another look is under way (it was asked to look once more), and the run's as it stood before; both as just read."""
    for attempt in range(5):
        if attempt:
            found, held = yield from _leases()
        # What it holds itself it left behind where it crashed and is tried again.
        if found is not None and found.holder not in ("", holder) and found.expires > now:
            asked = yield from call(State.ask_again, LEASE, found)
            if asked:
                return None, None
            continue
        mine = Lease(epoch=(found.epoch if found else 0) + 1, holder=holder, expires=now + LIFE)
        taken = yield from call(State.write_lease, LEASE, mine, found)
        if taken:
            return mine, held
    raise TransientError("the look's lease kept changing hands")


def _leave(mine: Lease, *, again_allowed: bool) -> Step[tuple[Lease | None, bool]]:
    """Give the look back; still held (and to be used again) where somebody asked meanwhile and this look asked for no run. Second: whether somebody asked."""
    found: Lease | None = mine  # mostly nobody asked: one write then does it, and fails where that is not so
    for _ in range(5):
        if found is None or found.holder != mine.holder or found.epoch != mine.epoch:
            return None, False
        renewed = msgspec.structs.replace(found, again=False) if found.again and again_allowed else None
        written = yield from call(State.write_lease, LEASE, renewed, found)
        if written:
            return renewed, found.again
        found = yield from call(State.read_lease, LEASE)
    return None, False
