"""Zones that an ARC zonal shift moved traffic away from, as EKS carries it out: it cordons every
node of the zone and takes the zone's pods out of the EndpointSlices, and leaves the pods running
and ready (EKS user guide, "Learn about ARC zonal shift"). Pure.

No object of the cluster says that there is a shift, so both signs must be there, and a third: pods
of the same labels in another zone stand in slices. A cordon alone is maintenance, an absence alone
a Service that does not select these pods, or a slice that is behind.
"""

from collections.abc import Container, Iterable, Mapping, Sequence

from crossmesh.core.observed import Pod
from crossmesh.core.registry.endpoints import PLACED

# Labels that replicas of one workload do not share, beside where they run (Kubernetes, "Well-Known
# Labels")
_OWN = {
    "pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    *PLACED,
}


def shifted_zones(
    pods: Sequence[Pod], zones: Mapping[str, tuple[str, str]], cordoned: Container[str], listed: Container[str]
) -> tuple[str, ...]:
    """The zones, sorted. `zones`: every node -> (region, zone); `cordoned`: nodes that take no new
    pods; `listed`: uids of pods in EndpointSlices.
    """
    kinds = {_kind(pod) for pod in pods if pod.uid in listed}
    return tuple(
        zone
        for zone in sorted({zone for _, zone in zones.values() if zone})
        if _away(zone, pods, zones, cordoned, listed, kinds)
    )


def _away(
    zone: str,
    pods: Iterable[Pod],
    zones: Mapping[str, tuple[str, str]],
    cordoned: Container[str],
    listed: Container[str],
    kinds: Container[tuple[str, frozenset[tuple[str, str]]]],
) -> bool:
    nodes = {node for node, (_, named) in zones.items() if named == zone}
    here = [pod for pod in pods if pod.ready and pod.node in nodes]
    return (
        all(node in cordoned for node in nodes)
        and not any(pod.uid in listed for pod in here)
        and any(_kind(pod) in kinds for pod in here)
    )


def _kind(pod: Pod) -> tuple[str, frozenset[tuple[str, str]]]:
    return pod.namespace, frozenset(label for label in pod.labels.items() if label[0] not in _OWN)
