"""See: the registry, then each cluster."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from crossmesh.core.diagnosis import cluster_access
from crossmesh.core.observed import RegistryView, ServiceView, Unseen, View, cut, unreadable
from crossmesh.core.patience import WHOLE
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import adopting, left_by_controller
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.effects import Call, Step, batch, call, to
from crossmesh.errors import CrossmeshError, NotFound, RefusedError, ServiceGone
from crossmesh.ports import Clusters, PodRef, Registry
from crossmesh.usecases.context import Context


def service_names(context: Context, memory: PlannerState) -> tuple[tuple[str, str], ...]:
    """(namespace, service) of every Cloud Map service that documents name or that we wrote into
    before.
    """
    named = {(n.cloud_map.namespace, n.cloud_map.service) for n in context.topology.nodes if n.cloud_map}
    return tuple(sorted(named | set(memory.service_names.values())))


def find(context: Context, memory: PlannerState) -> Step[tuple[ServiceView, ...]]:
    """These services, without instances."""
    pins = dict(context.settings.mesh.namespaces)
    found: tuple[ServiceView, ...] = yield from call(
        Registry.find_services, service_names(context, memory), memory.services, pins
    )
    return found


def with_instances(services: tuple[ServiceView, ...]) -> Step[tuple[ServiceView, ...]]:
    """The same services, sorted by key, with every instance, and with their revision, which is read
    first.

    What Cloud Map refuses to tell of one is that one's `problem`. Raises where it refuses all, or
    fails.
    """
    there = [service for service in services if service.id and service.problem is None]
    moved = yield from batch([to(Registry.revision, *s.discovered_by) for s in there])
    lists = yield from batch([to(Registry.list_instances, s.id) for s in there])
    read = {}
    for service, revision, instances in zip(there, moved, lists, strict=True):
        if isinstance(instances, CrossmeshError):
            read[service.id] = _refused(service, instances)
            continue
        known = revision if isinstance(revision, int) else -1
        read[service.id] = msgspec.structs.replace(service, revision=known, instances=instances)
    return _some(tuple(sorted((read.get(s.id, s) for s in services), key=lambda s: s.key)), lists)


def _refused(service: ServiceView, error: CrossmeshError) -> ServiceView:
    """The service as one that cannot be read. Raises what may pass by itself, and what concerns all
    services.
    """
    if not isinstance(error, RefusedError) or isinstance(error, NotFound | ServiceGone):
        raise error
    return unreadable(service, str(error))


def _some(services: tuple[ServiceView, ...], answers: Iterable[object]) -> tuple[ServiceView, ...]:
    """The services, unless none could be read: then the first error is everybody's."""
    errors = [answer for answer in answers if isinstance(answer, CrossmeshError)]
    if errors and all(service.problem for service in services):
        raise errors[0]
    return services


def with_health(services: tuple[ServiceView, ...]) -> Step[tuple[ServiceView, ...]]:
    """The same services with the health of every instance, where they were made with custom health.
    No revision tells that it changed.
    """
    judged = [service for service in services if service.custom_health and service.problem is None]
    answers = yield from batch([to(Registry.health, service.id) for service in judged])
    found = {service.id: answer for service, answer in zip(judged, answers, strict=True)}
    return _some(tuple(_healthy(s, found[s.id]) if s.id in found else s for s in services), answers)


def _healthy(service: ServiceView, answer: dict[str, str] | CrossmeshError) -> ServiceView:
    return (
        _refused(service, answer)
        if isinstance(answer, CrossmeshError)
        else msgspec.structs.replace(service, health=answer)
    )


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of registered and served instances: ours by cluster, and `left` by AWS's controller,
    which may be of any cluster.
    """

    ours: dict[str, tuple[PodRef, ...]] = {}
    left: tuple[PodRef, ...] = ()


def registered(context: Context, seen: RegistryView, memory: PlannerState, operator: ManualOverrides) -> Registered:
    """The pods that the clusters are asked about. Each instance is read once, however many clusters
    there are.
    """
    ours: dict[str, list[PodRef]] = defaultdict(list)
    listed = [service.instances for service in seen.services]
    for instances in (*listed, *(seen.served or {}).values()):
        for instance in instances:
            held = instance.attributes
            if held.get(ep.OWNER) == context.settings.owner:
                pod = PodRef(
                    namespace=held.get(ep.NAMESPACE, ""), name=held.get(ep.POD, ""), uid=held.get(ep.POD_UID, "")
                )
                ours[held.get(ep.CLUSTER, "")].append(pod)
    left = _left_by_controller(context, seen) if adopting(context.settings, memory, operator) else ()
    # An instance may be served and registered: its pod is asked for once
    return Registered(ours={name: tuple(dict.fromkeys(pods)) for name, pods in ours.items()}, left=left)


def observation_call(
    context: Context,
    name: str,
    known: Registered,
    memory: PlannerState,
    operator: ManualOverrides,
    limit: float = WHOLE,
) -> Call:
    """The call that observes one cluster, knowing which of its pods are registered, and waits for
    it `limit` seconds.
    """
    settings = context.cluster(name)
    namespaces = cluster_access.pods_in(context.topology, settings)
    pods = known.ours.get(name, ()) + known.left
    identity, versions = memory.identities.get(name, ""), memory.versions.get(name, {})
    # A person says that the rebuilt cluster is the one meant
    if operator.accept.get(name, 0.0) > memory.accepted.get(name, 0.0):
        identity, versions = "", {}
    return to(Clusters.observe, settings, tuple(sorted(namespaces)), pods, identity, versions, limit=limit)


def _left_by_controller(context: Context, seen: RegistryView) -> tuple[PodRef, ...]:
    """Pods of instances that AWS's controller left, known by name alone."""
    left = [i.attributes for service in seen.services for i in left_by_controller(service, context.topology)]
    return tuple(PodRef(namespace=n, name=p, uid="") for n, p in sorted({(a[ep.NAMESPACE], a[ep.POD]) for a in left}))


def as_view(name: str, answer: View | CrossmeshError, now: float) -> View:
    """The view that came, or `Unseen` where the observation itself failed."""
    if isinstance(answer, CrossmeshError):
        return Unseen(cluster=name, cause="crashed", detail=cut(str(answer)), begun=now)
    return answer
