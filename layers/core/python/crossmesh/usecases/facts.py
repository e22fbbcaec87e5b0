"""Gather what can be known along a canary's path. Whatever cannot be read is a note, never an
error: a diagnosis goes on with what it has.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.diagnosis import cluster_access
from crossmesh.core.diagnosis.facts import Facts, MissingFact, NetworkFacts, Workloads
from crossmesh.core.diagnosis.instances import PROVEN
from crossmesh.core.diagnosis.probe_policy import path_of, port_of
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.mesh.expected_split import shares
from crossmesh.core.mesh.shift_weights import Progresses, Shifts
from crossmesh.core.observed import Instance, RegistryView, Unseen
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.registry.endpoints import address_of
from crossmesh.core.registry.plan import ManualOverrides
from crossmesh.core.settings import CanarySettings
from crossmesh.effects import Call, Step, batch, call, to
from crossmesh.errors import CrossmeshError, NotFound
from crossmesh.ports import Balancers, Clock, Clusters, Instances, Networks
from crossmesh.usecases import look, traffic_shifts
from crossmesh.usecases.canary import bodies
from crossmesh.usecases.context import Context

ASKED_AT_MOST = 64  # instances asked directly in one diagnosis, so that it ends in time
_WIDTH = 16
_PAUSE = 0.3  # seconds between tries at an instance that did not answer
_LEAST_TIMEOUT, _MOST_TIMEOUT = 1.0, 4.0  # seconds

T = TypeVar("T")


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What all canaries share: read once a diagnosis."""

    seen: look.Observation | None = None
    workloads: dict[str, Workloads] = {}
    networks: dict[str, NetworkFacts] = {}
    probes: dict[str, tuple[Sample, ...]] = {}
    unread: tuple[MissingFact, ...] = ()
    shifts: Shifts = ()
    progress: Progresses = {}


def shared(context: Context) -> Step[Shared]:
    """The look's own view of everything, then each cluster's workloads and network, then every
    instance asked directly.
    """
    notes: list[MissingFact] = []
    seen: look.Observation | None = None
    try:
        seen = yield from look.observe_and_plan(context)
    except CrossmeshError as error:
        notes.append(MissingFact(what="registry and mesh", why=str(error)))
    context = seen.context if seen else context
    workloads = yield from _workloads(context, seen, notes)
    networks: dict[str, NetworkFacts] = {}
    answers = yield from batch([to(Networks.observe, cluster) for cluster in context.settings.clusters])
    for cluster, answer in zip(context.settings.clusters, answers, strict=True):
        _keep(networks, cluster.name, answer, f"network of {cluster.name}", notes)
    probes: dict[str, tuple[Sample, ...]] = {}
    if seen is not None:
        probes = yield from _ask(context, seen.registry, networks)
    asked, came = yield from traffic_shifts.recorded()
    found = Shared(seen=seen, workloads=workloads, networks=networks, probes=probes, unread=tuple(notes))
    return msgspec.structs.replace(found, shifts=asked, progress=came)


def of_canary(
    canary: CanarySettings, verdict: Verdict, samples: Sequence[Sample], problem: str, known: Shared, context: Context
) -> Step[Facts]:
    """One canary's facts: its Service and load balancer beside what is common."""
    notes = list(known.unread)
    service, balancer, missing = None, None, False
    if canary.service is not None:
        try:
            service = yield from call(Clusters.service, canary.service, context.cluster(canary.service.cluster))
        except NotFound:
            missing = True
        except CrossmeshError as error:
            notes.append(MissingFact(what=f"Service {canary.service.namespace}/{canary.service.name}", why=str(error)))
        if service is not None and service.host:
            try:
                balancer = yield from call(Balancers.find, service.host, context.cluster(canary.service.cluster))
            except CrossmeshError as error:
                notes.append(MissingFact(what="load balancer", why=str(error)))
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
        service_missing=missing,
        balancer=balancer,
        workloads=known.workloads,
        views=seen.views if seen else (),
        registry=seen.registry if seen else None,
        plan=seen.plan if seen else None,
        endpoints=seen.endpoints if seen else EndpointDecision(),
        operator=seen.operator if seen else ManualOverrides(),
        mode=context.mode,
        shifts=known.shifts,
        progress=known.progress,
        mesh=seen.mesh if seen and backend_of(context.settings).keeps_mesh else None,
        networks=known.networks if context.settings.security_groups != "none" else {},
        probes=known.probes,
        unread=tuple(notes),
    )


def _workloads(context: Context, seen: look.Observation | None, notes: list[MissingFact]) -> Step[dict[str, Workloads]]:
    unseen = {view.cluster for view in seen.views if isinstance(view, Unseen)} if seen else set()
    asked = [cluster for cluster in context.settings.clusters if cluster.name not in unseen]
    namespaces = [
        cluster_access.pods_in(context.topology, cluster) | set(cluster_access.fronts_in(context.settings, cluster))
        for cluster in asked
    ]
    calls = [
        to(Clusters.workloads, cluster, tuple(sorted(within)))
        for cluster, within in zip(asked, namespaces, strict=True)
    ]
    answers = yield from batch(calls)
    found: dict[str, Workloads] = {}
    for cluster, answer in zip(asked, answers, strict=True):
        _keep(found, cluster.name, answer, f"workloads of {cluster.name}", notes)
    return found


def _keep(into: dict[str, T], key: str, answer: Any, what: str, notes: list[MissingFact]) -> None:
    if isinstance(answer, CrossmeshError):
        notes.append(MissingFact(what=what, why=str(answer)))
    else:
        into[key] = answer


def _ask(
    context: Context, registry: RegistryView, networks: Mapping[str, NetworkFacts]
) -> Step[dict[str, tuple[Sample, ...]]]:
    """Every instance once, those that gave no good answer PROVEN times in all. Only addresses of
    the clusters' networks, only declared ports.
    """
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
        answers = yield from batch(list(waiting.values()), width=_WIDTH)
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
