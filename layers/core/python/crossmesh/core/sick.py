"""Instances proven dead though their pod is said to live: what is remembered of them, and when that ends. Pure.

The document "sick" is written by the canary's diagnosis and read by the registry's planner, which marks such an instance UNHEALTHY where its service has
custom health, and never removes a live pod for it. Each mark ends when the pod changes, when the instance goes, or when a probe succeeds; the same instance
is then left alone for COOL_DOWN, so that one that comes and goes is not marked and unmarked with it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from crossmesh.core import endpoints as ep
from crossmesh.core.canary import Sample
from crossmesh.core.diagnosis_instances import refused
from crossmesh.core.views import Instance, RegistryView, Seen, View

COOL_DOWN = 600.0  # seconds


class Sick(msgspec.Struct, frozen=True, kw_only=True):
    """Why an instance is taken for dead, of which pod, since when (seconds since the epoch)."""

    uid: str
    evidence: str
    at: float


class Rested(msgspec.Struct, frozen=True, kw_only=True):
    """When the marks of instances ended, to leave them alone for a while."""

    ended: dict[str, float] = {}


def reviewed(
    marks: Mapping[str, Sick],
    rested: Rested,
    registry: RegistryView,
    views: Sequence[View],
    probes: Mapping[str, Sequence[Sample]],
    *,
    owner: str,
    now: float,
) -> tuple[dict[str, Sick], Rested]:
    """The marks as they should be now. An instance of a cluster that is not seen is never marked; a mark of it stays as it is."""
    seen = {view.cluster for view in views if isinstance(view, Seen)}
    held = {i.id: i for service in registry.services for i in service.instances if i.attributes.get(ep.OWNER) == owner}
    kept = {name: mark for name, mark in marks.items() if name in held and _stays(mark, held[name], probes.get(name, ()))}
    ended = {name: at for name, at in rested.ended.items() if now - at < COOL_DOWN}
    ended |= {name: now for name in marks.keys() - kept.keys() if name in held}
    for name, instance in sorted(held.items()):
        proven = refused(probes.get(name, ())) and instance.attributes.get(ep.CLUSTER) in seen
        if proven and name not in kept and name not in ended:
            evidence = f"connection refused {len(probes[name])} times"
            kept[name] = Sick(uid=instance.attributes.get(ep.POD_UID, ""), evidence=evidence, at=now)
    return kept, Rested(ended=ended)


def _stays(mark: Sick, instance: Instance, probes: Sequence[Sample]) -> bool:
    """Until another pod stands under the id or a probe connects. A probe that never arrived (timeout, another network) says nothing."""
    connected = any(probe.status or probe.error == "" for probe in probes)
    return instance.attributes.get(ep.POD_UID, "") == mark.uid and not connected
