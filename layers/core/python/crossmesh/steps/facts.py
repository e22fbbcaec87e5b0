"""Gather what can be known along a canary's path. Whatever cannot be read is a note, never an error: a diagnosis goes on with what it has."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from crossmesh.core.canary import Sample, Verdict, shares
from crossmesh.core.diagnosis_instances import PROVEN
from crossmesh.core.facts import Facts, NetworkFacts, Unread, Workloads
from crossmesh.core.reach import address_of, path_of, port_of
from crossmesh.core.settings import CanarySettings
from crossmesh.core.views import Instance, RegistryView, Unseen
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Balancers, Clock, Clusters, Instances, Networks
from crossmesh.steps import look
from crossmesh.steps.calls import Call, Step, call, to, together
from crossmesh.steps.context import Context
from crossmesh.steps.judge_canary import bodies

ASKED_AT_MOST = 64  # instances asked directly in one diagnosis, so that it ends in time
_WIDTH = 16
_PAUSE = 0.3  # seconds between tries at an instance that did not answer
_LEAST_TIMEOUT, _MOST_TIMEOUT = 1.0, 4.0  # seconds

T = TypeVar("T")


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What all canaries share: read once a diagnosis."""

    seen: look.Seen | None = None
    workloads: dict[str, Workloads] = {}
    networks: dict[str, NetworkFacts] = {}
    probes: dict[str, tuple[Sample, ...]] = {}
    unread: tuple[Unread, ...] = ()


def common(context: Context) -> Step[Common]:
    """The look's own view of everything, then each cluster's workloads and network, then every instance asked directly."""
    notes: list[Unread] = []
    seen: look.Seen | None = None
    try:
        seen = yield from look.see(context)
    except CrossmeshError as error:
        notes.append(Unread(what="registry and mesh", why=str(error)))
    context = seen.context if seen else context
    workloads = yield from _workloads(context, seen, notes)
    networks: dict[str, NetworkFacts] = {}
    answers = yield from together([to(Networks.observe, cluster) for cluster in context.settings.clusters])
    for cluster, answer in zip(context.settings.clusters, answers, strict=True):
        _keep(networks, cluster.name, answer, f"network of {cluster.name}", notes)
    probes: dict[str, tuple[Sample, ...]] = {}
    if seen is not None:
        probes = yield from _ask(context, seen.registry, networks)
    return Common(seen=seen, workloads=workloads, networks=networks, probes=probes, unread=tuple(notes))


def of_canary(
    canary: CanarySettings, verdict: Verdict, samples: Sequence[Sample], problem: str, known: Common, context: Context
) -> Step[Facts]:
    """One canary's facts: its Service and load balancer beside what is common."""
    notes = list(known.unread)
    service, balancer = None, None
    if canary.service is not None:
        try:
            service = yield from call(Clusters.service, canary.service, context.cluster(canary.service.cluster))
        except CrossmeshError as error:
            notes.append(Unread(what=f"Service {canary.service.namespace}/{canary.service.name}", why=str(error)))
        if service is not None and service.host:
            try:
                balancer = yield from call(Balancers.find, service.host)
            except CrossmeshError as error:
                notes.append(Unread(what="load balancer", why=str(error)))
    seen = known.seen
    return Facts(
        canary=canary,
        verdict=verdict,
        owner=context.settings.owner,
        topology=context.topology,
        clusters={cluster.name: cluster for cluster in context.settings.clusters},
        shares=shares(context.topology, canary),
        bodies=bodies(canary, context),
        problem=problem,
        samples=tuple(samples),
        service=service,
        balancer=balancer,
        workloads=known.workloads,
        views=seen.views if seen else (),
        registry=seen.registry if seen else None,
        plan=seen.plan if seen else None,
        mesh=seen.mesh if seen and context.settings.mesh.backend != "none" else None,
        networks=known.networks if context.settings.security_groups != "none" else {},
        probes=known.probes,
        unread=tuple(notes),
    )


def _workloads(context: Context, seen: look.Seen | None, notes: list[Unread]) -> Step[dict[str, Workloads]]:
    unseen = {view.cluster for view in seen.views if isinstance(view, Unseen)} if seen else set()
    asked = [cluster for cluster in context.settings.clusters if cluster.name not in unseen]
    fronts = {c.service.namespace for c in context.settings.canaries if c.service}
    namespaces = tuple(sorted({node.namespace for node in context.topology.nodes} | fronts))
    answers = yield from together([to(Clusters.workloads, cluster, namespaces) for cluster in asked])
    found: dict[str, Workloads] = {}
    for cluster, answer in zip(asked, answers, strict=True):
        _keep(found, cluster.name, answer, f"workloads of {cluster.name}", notes)
    return found


def _keep(into: dict[str, T], key: str, answer: Any, what: str, notes: list[Unread]) -> None:
    if isinstance(answer, CrossmeshError):
        notes.append(Unread(what=what, why=str(answer)))
    else:
        into[key] = answer


def _ask(context: Context, registry: RegistryView, networks: Mapping[str, NetworkFacts]) -> Step[dict[str, tuple[Sample, ...]]]:
    """Every instance once, those that gave no good answer PROVEN times in all. Only addresses of the clusters' networks, only declared ports."""
    cidrs = tuple(sorted({cidr for network in networks.values() for cidr in network.cidrs}))
    calls = {
        instance.id: asked
        for service in registry.services
        for instance in service.instances
        if (asked := _call(context, instance, service, cidrs))
    }
    waiting = dict(sorted(calls.items())[:ASKED_AT_MOST])
    found: dict[str, tuple[Sample, ...]] = {}
    for attempt in range(PROVEN):
        if attempt and waiting:
            yield from call(Clock.sleep, _PAUSE)
        answers = yield from together(list(waiting.values()), width=_WIDTH)
        for name, answer in zip(list(waiting), answers, strict=True):
            if isinstance(answer, CrossmeshError) or answer.error == "forbidden":
                del waiting[name]
                continue
            found[name] = (*found.get(name, ()), answer)
            if not answer.error and answer.status < 500:
                del waiting[name]
    return found


def _call(context: Context, instance: Instance, service: Any, cidrs: tuple[str, ...]) -> Call | None:
    nodes = [
        node
        for node in context.topology.nodes
        if node.cloud_map and (node.cloud_map.namespace, node.cloud_map.service) == (service.namespace, service.service)
    ]
    address, port = address_of(instance), port_of(instance, nodes)
    if not address or not port:
        return None
    mixes = [canary for canary in context.settings.canaries if canary.expect.mix]
    spoken = any(listener.port == port and listener.protocol == "http" for node in nodes for listener in node.listeners)
    path = path_of(nodes, next((c.expect.mix.path for c in mixes if c.expect.mix), "/")) if spoken else ""
    allowed = max((c.expect.latency_p95_ms for c in context.settings.canaries), default=0.0) / 1000 * 2
    return to(Instances.ask, address, port, path, min(_MOST_TIMEOUT, max(_LEAST_TIMEOUT, allowed)), cidrs)
