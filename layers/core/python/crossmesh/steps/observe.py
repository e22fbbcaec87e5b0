"""See: the registry, then each cluster. What a run and a look have in common."""

import msgspec

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import Memory, Operator
from crossmesh.core.adoption import adopting, left_by_controller, pod_of
from crossmesh.core.views import RegistryView, ServiceView, Unseen, View
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clock, Clusters, PodRef, Registry
from crossmesh.steps.calls import Call, Step, call, to, together
from crossmesh.steps.context import Context


def service_names(context: Context, memory: Memory) -> tuple[tuple[str, str], ...]:
    """(namespace, service) of every Cloud Map service that documents name or that we wrote into before."""
    named = {(n.cloud_map.namespace, n.cloud_map.service) for n in context.topology.nodes if n.cloud_map}
    remembered = {(namespace, service) for service, _, namespace in (key.partition(".") for key in memory.services)}
    return tuple(sorted(named | remembered))


def registry(context: Context, memory: Memory) -> Step[RegistryView]:
    """All services with all their instances. Raises where any cannot be read: a registry half seen plans nothing."""
    begun = yield from call(Clock.now)
    services = yield from call(Registry.find_services, service_names(context, memory), memory.services)
    listed = yield from with_instances(services, revisions=False)
    return RegistryView(begun=begun, services=(yield from with_health(listed)))


def with_instances(services: tuple[ServiceView, ...], *, revisions: bool) -> Step[tuple[ServiceView, ...]]:
    """The same services, sorted by key, with every instance, and with their revision (read first) for whoever will compare it."""
    there = [service for service in services if service.id]
    moved = (yield from together([to(Registry.revision, s.namespace, s.service) for s in there])) if revisions else [-1] * len(there)
    lists = yield from together([to(Registry.list_instances, s.id) for s in there])
    read = {}
    for service, revision, instances in zip(there, moved, lists, strict=True):
        if isinstance(instances, CrossmeshError):
            raise instances
        known = revision if isinstance(revision, int) else -1
        read[service.id] = msgspec.structs.replace(service, revision=known, instances=instances)
    return tuple(sorted((read.get(s.id, s) for s in services), key=lambda s: s.key))


def with_health(services: tuple[ServiceView, ...]) -> Step[tuple[ServiceView, ...]]:
    """The same services with the health of every instance, where they were made with custom health. No revision tells that it changed."""
    judged = [service for service in services if service.custom_health]
    answers = yield from together([to(Registry.health, service.id) for service in judged])
    for answer in answers:
        if isinstance(answer, CrossmeshError):
            raise answer
    found = {service.id: answer for service, answer in zip(judged, answers, strict=True)}
    return tuple(msgspec.structs.replace(s, health=found[s.id]) if s.id in found else s for s in services)


def prepared(context: Context, name: str, seen: RegistryView, memory: Memory, operator: Operator) -> Call:
    """The call that observes one cluster, knowing which of its pods are registered."""
    settings = context.cluster(name)
    namespaces = {node.namespace for node in context.topology.nodes if ep.counts_here(node, settings)}
    registered = tuple(
        PodRef(
            namespace=instance.attributes.get(ep.NAMESPACE, ""),
            name=instance.attributes.get(ep.POD, ""),
            uid=instance.attributes.get(ep.POD_UID, ""),
        )
        for service in seen.services
        for instance in service.instances
        if instance.attributes.get(ep.OWNER) == context.settings.owner and instance.attributes.get(ep.CLUSTER) == name
    )
    if adopting(context.settings, memory, operator):
        registered += _left_by_controller(context, seen)
    identity, versions = memory.identities.get(name, ""), memory.versions.get(name, {})
    if operator.accept.get(name, 0.0) > memory.accepted.get(name, 0.0):  # a person says that the rebuilt cluster is the one meant
        identity, versions = "", {}
    return to(Clusters.observe, settings, tuple(sorted(namespaces)), registered, identity, versions)


def _left_by_controller(context: Context, seen: RegistryView) -> tuple[PodRef, ...]:
    """Pods of instances that AWS's controller left, known by name alone."""
    left = {pod_of(instance) for service in seen.services for instance in left_by_controller(service, context.topology)}
    return tuple(PodRef(namespace=namespace, name=name, uid="") for namespace, _, name in (pod.partition("/") for pod in sorted(left)))


def settled(name: str, answer: View | CrossmeshError, now: float) -> View:
    """The view that came, or `Unseen` where the observation itself failed."""
    if isinstance(answer, CrossmeshError):
        return Unseen(cluster=name, cause="crashed", detail=str(answer), begun=now)
    return answer


def cluster(context: Context, name: str, seen: RegistryView, memory: Memory, operator: Operator) -> Step[View]:
    """One cluster's view; `Unseen` with its cause for whatever goes wrong there."""
    now = yield from call(Clock.now)
    answers = yield from together([prepared(context, name, seen, memory, operator)])
    return settled(name, answers[0], now)
