"""What a look sees, and the plan it makes of that. Shared with the doctor, the diagnosis and the
command line.
"""

import msgspec

from crossmesh import codec
from crossmesh.core import patience
from crossmesh.core.mesh import notes
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.observed import Outlier, RegistryView, ServiceView, Unseen, View
from crossmesh.core.patience import Slow
from crossmesh.core.registry import emptied as emptying
from crossmesh.core.registry.adoption import adopting
from crossmesh.core.registry.churn import Deferral
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.registry.emptied import Emptied
from crossmesh.core.registry.plan import ManualOverrides, PlannerState, RegistryPlan, TagService
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step, batch, call, gather, to
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clock, RunStore, State
from crossmesh.usecases import manifests, observation, state, traffic_shifts
from crossmesh.usecases.context import Context
from crossmesh.usecases.mesh import drivers
from crossmesh.usecases.planning import decide_endpoints
from crossmesh.usecases.registry import as_unread, refresh_or_unread, refresh_registry

# Seconds for which a mesh that was found in order keeps no pod waiting: a period and a slow look
MESH_EVERY = 75.0


REGISTRY, LAST = "registry/last.json", state.LOOKED


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """All that one look found; `context` has the documents in force; `mesh_at`: when the mesh was
    last found in order (0 = it is not).
    """

    context: Context
    views: tuple[View, ...]
    registry: RegistryView
    memory: PlannerState
    operator: ManualOverrides
    plan: RegistryPlan
    endpoints: EndpointDecision = EndpointDecision()
    mesh: MeshSummary
    shifts: tuple[str, ...] = ()  # shifts of weights in force, as lines for people
    shifting: bool = False  # one begins, goes on or ends
    outliers: dict[str, Outlier] = {}
    mesh_at: float = 0.0
    ran: tuple[float, ...] = ()  # when looks asked for runs lately
    deferral: Deferral | None = None  # the later look that was due when this one began
    # Clusters that were waited for in vain, for which the next looks wait less
    slow: dict[str, Slow] = {}


class UnderLease(msgspec.Struct, frozen=True, kw_only=True):
    """A run's own look. `anew`: nothing of the registry is taken as the look before left it.
    `sighted`: pods that the look that asked for the run saw Terminating, and when; the planner's
    state does not have them yet.
    """

    anew: bool = False
    sighted: dict[str, float] = {}


def observe_and_plan(
    context: Context,
    patient: tuple[str, ...] = (),
    *,
    writer: int = -1,
    pods_alone: bool = False,
    keep: bool = False,
    under_lease: UnderLease | None = None,
) -> Step[Observation]:
    """Observe everything and plan: what `plan` on the command line shows, too.

    `writer`: the epoch of the run's lease, where nobody holds it. `pods_alone`: a mesh that was
    found in order lately keeps changes of the registry waiting no longer, nor does it make their
    run look at it. `keep`: store what was read for the next look. Only looks do: a diagnosis and
    the command line write nothing that a look believes. `patient`: clusters that are waited for
    though they are slow. `under_lease`: what a run's own look knows beside.
    """
    run = under_lease or UnderLease()
    memory, operator, outliers, (last, said, shifted) = yield from state.load_planner_inputs(
        to(RunStore.get, REGISTRY), to(State.read, LAST), to(State.read, traffic_shifts.SHIFTS)
    )
    memory = msgspec.structs.replace(memory, terminating={**memory.terminating, **run.sighted})
    before = codec.decode(said, Report) if said else None
    known_slow = before.slow if before is not None else {}
    slow = {name: of for name, of in known_slow.items() if name not in patient}
    context, refused, unread, missed = yield from manifests.refresh(context, memory.identities, slow, keep=keep)
    slow |= patience.judged(unread, (), slow)
    known = codec.decode(last, RegistryView) if last is not None else RegistryView(begun=0.0)
    view = yield from drivers.observe_first(context, before)
    registry, read = yield from _registry(context, memory, known, writer, anew=run.anew)
    registry = msgspec.structs.replace(registry, served=drivers.serving(context, view))
    changed = keep and read and registry.services != known.services
    observed = _clusters(context, registry, memory, operator, slow)
    kept = state.batch_or_raise([to(RunStore.put, REGISTRY, _kept(registry))] if changed else [])
    views, services, _ = yield from gather(observed, _with_health(context, memory, registry), kept)
    registry = msgspec.structs.replace(registry, services=services)
    planned = decide_endpoints(context, views, registry, memory, operator, outliers)
    plan = planned.plan
    if keep and any(
        isinstance(action, TagService) for action in plan.actions
    ):  # no revision tells of a tag: the next look reads the services anew
        yield from call(RunStore.put, REGISTRY, _kept(msgspec.structs.replace(registry, described=0.0)))
    unseen = [view for view in views if isinstance(view, Unseen)]
    of_seen = {view.cluster for view in views} - {view.cluster for view in unseen}
    seen = Observation(
        context=context,
        views=views,
        registry=registry,
        memory=memory,
        operator=operator,
        outliers=outliers,
        plan=plan,
        endpoints=planned.endpoints,
        mesh=MeshSummary(),
        ran=before.ran if before is not None else (),
        deferral=before.deferral if before is not None else None,
        slow=patience.judged((*unread, *unseen), of_seen, known_slow),
    )
    now, shifted_ever = (yield from call(Clock.now)), _shifts(shifted)
    steady = (
        before is not None
        and before.config == context.config
        and now - before.mesh_at < MESH_EVERY
        and not shifted_ever
    )
    # Whether it still is, the schedule asks
    gone = before is not None and bool(before.mesh_gone) and before.config == context.config
    spared = not backend_of(context.settings).reads_endpoints  # where pods do not change the mesh
    if pods_alone and spared and before is not None and (steady or gone) and (plan.actions or plan.gates):
        notes = _of_state(context, registry, plan, views, operator)
        alone = MeshSummary(
            notes=(*refused, *notes), unavailable=before.mesh_unavailable if gone else "", gone=before.mesh_gone
        )
        return msgspec.structs.replace(seen, mesh=alone, mesh_at=before.mesh_at)
    shifting = (yield from traffic_shifts.due(context)) if shifted_ever else traffic_shifts.unshifted(context)
    adopt = adopting(context.settings, memory, operator)
    if view is None:
        view = yield from drivers.driver_of(context).observe(shifting.context, before)
    passed = drivers.planned(shifting.context, view, adopt=adopt, beside=plan, endpoints=planned.endpoints)
    wanted = passed.summary
    moved = shifting.moved and not wanted.unavailable and not plan.conflict
    notes = _of_state(shifting.context, registry, plan, views, operator)
    return msgspec.structs.replace(
        seen,
        mesh=msgspec.structs.replace(
            wanted, notes=(*refused, *wanted.notes, *notes), withheld=(*wanted.withheld, *missed)
        ),
        shifts=shifting.notes,
        shifting=moved,
        mesh_at=0.0 if moved or wanted != MeshSummary() else now,
    )


def _kept(registry: RegistryView) -> bytes:
    """What the next look is told of the registry."""
    return codec.encode(msgspec.structs.replace(registry, served=None))


def _registry(
    context: Context, memory: PlannerState, known: RegistryView, writer: int, *, anew: bool
) -> Step[tuple[RegistryView, bool]]:
    """The registry, and whether it was read. A look fails where it was not, unless the mesh serves
    endpoints whatever Cloud Map says.
    """
    if backend_of(context.settings).reads_endpoints:
        return (yield from refresh_or_unread(context, memory, known, writer, anew=anew))
    return (yield from refresh_registry(context, memory, known, writer, anew=anew)), True


def _with_health(context: Context, memory: PlannerState, registry: RegistryView) -> Step[tuple[ServiceView, ...]]:
    """The services with the health of their instances; as unreadable where a look goes on without
    Cloud Map.
    """
    try:
        return (yield from observation.with_health(registry.services))
    except CrossmeshError as error:
        if not backend_of(context.settings).reads_endpoints:
            raise
        return (yield from as_unread(context, memory, registry, error)).services


def _of_state(
    context: Context, registry: RegistryView, plan: RegistryPlan, views: tuple[View, ...], operator: ManualOverrides
) -> tuple[str, ...]:
    clusters = {cluster.name: cluster for cluster in context.settings.clusters}
    said = notes.of_state(context.topology, registry, plan, views, clusters, draining=bool(operator.draining))
    return (*said, *notes.crowded(context.topology, registry, plan, backend_of(context.settings).most_endpoints))


def emptied(seen: Observation) -> tuple[Emptied, ...]:
    """Virtual nodes and services that the plan leaves without an instance."""
    return emptying.emptied(_declared(seen.context), seen.views, seen.registry, seen.plan, seen.operator)


def kept_down(seen: Observation) -> int:
    """Instances of ours that are registered, marked UNHEALTHY, and have no ready pod."""
    return emptying.kept_down(seen.endpoints.endpoints, seen.registry, seen.context.settings.owner)


def _declared(context: Context) -> emptying.Declared:
    settings = context.settings
    clusters = {cluster.name: cluster for cluster in settings.clusters}
    return emptying.Declared(topology=context.topology, clusters=clusters, owner=settings.owner)


def _shifts(data: bytes | None) -> bool:
    """Whether weights were ever shifted: then the mesh is looked at, for shifts go on by
    themselves.
    """
    return data is not None and bool(codec.decode(data, list[object]))


def _clusters(
    context: Context, registry: RegistryView, memory: PlannerState, operator: ManualOverrides, slow: dict[str, Slow]
) -> Step[tuple[View, ...]]:
    """All clusters side by side: their observations are the same steps, interleaved call by
    call.
    """
    known = observation.registered(context, registry, memory, operator)
    waiting = [
        observation.observation_call(
            context, cluster.name, known, memory, operator, patience.limit(slow.get(cluster.name))
        )
        for cluster in context.settings.clusters
    ]
    answers = yield from batch(waiting)
    now = yield from call(Clock.now)
    return tuple(
        observation.as_view(cluster.name, answer, now)
        for cluster, answer in zip(context.settings.clusters, answers, strict=True)
    )
