"""Outliers: instances proven dead although Kubernetes reports their pod as ready.

The canary's diagnosis writes the document `outliers`, and the registry's planner reads it. The
planner marks an outlier UNHEALTHY where its service has custom health. It never removes a live pod
for it. A mark ends when the pod changes, when the instance is removed, or when a probe succeeds.
The instance is then left alone for COOL_DOWN, so that a flapping pod does not flap in the registry.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from crossmesh.core import bounds
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis.instances import proven_dead
from crossmesh.core.observed import Instance, RegistryView, Seen, View
from crossmesh.core.registry import endpoints as ep

COOL_DOWN = 600.0  # seconds
MARKS, COOLING_DOWN = 500, 1_000  # entries of the two documents at most
_UID = 64  # characters; what is longer is no pod's uid


class OutlierReview(msgspec.Struct, frozen=True, kw_only=True):
    """Why an instance is taken for dead, of which pod, since when (seconds since the epoch)."""

    uid: str
    evidence: str
    at: float


class CoolingDown(msgspec.Struct, frozen=True, kw_only=True):
    """When the marks of instances ended, to leave them alone for a while."""

    ended: dict[str, float] = {}


class Remembered(NamedTuple):
    """The marks in force by instance id, and when others ended."""

    marks: dict[str, OutlierReview]
    cooling_down: CoolingDown


def update_outliers(
    before: Remembered,
    registry: RegistryView,
    views: Sequence[View],
    probes: Mapping[str, Sequence[Sample]],
    *,
    owner: str,
    now: float,
) -> Remembered:
    """The marks as they should be now. An instance of a cluster that is not seen is never marked; a
    mark of it stays as it is.
    """
    marks, cooling_down = before
    seen = {view.cluster for view in views if isinstance(view, Seen)}
    held = {i.id: i for service in registry.services for i in service.instances if i.attributes.get(ep.OWNER) == owner}
    kept = {
        name: mark for name, mark in marks.items() if name in held and _stays(mark, held[name], probes.get(name, ()))
    }
    ended = {name: at for name, at in cooling_down.ended.items() if now - at < COOL_DOWN}
    ended |= {name: now for name in marks.keys() - kept.keys() if name in held}
    for name, instance in sorted(held.items()):
        proven = proven_dead(probes.get(name, ())) and instance.attributes.get(ep.CLUSTER) in seen
        uid = instance.attributes.get(ep.POD_UID, "")
        if proven and name not in kept and name not in ended and len(uid) <= _UID and len(kept) < MARKS:
            kept[name] = OutlierReview(uid=uid, evidence=f"connection refused {len(probes[name])} times", at=now)
    return Remembered(
        bounds.newest(kept, MARKS, lambda mark: -mark.at),
        CoolingDown(ended=bounds.newest(ended, COOLING_DOWN, lambda at: at)),
    )


def _stays(mark: OutlierReview, instance: Instance, probes: Sequence[Sample]) -> bool:
    """Until another pod stands under the id or a probe connects. A probe that never arrived
    (timeout, another network) says nothing.
    """
    connected = any(probe.status or probe.error == "" for probe in probes)
    return instance.attributes.get(ep.POD_UID, "") == mark.uid and not connected
