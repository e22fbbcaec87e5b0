"""What is to become of each pod's endpoint, and why. Pure.

It is decided from what the clusters show and from the endpoints in force, apart from what Cloud Map
then needs, refuses or has room for. The registry's planner carries it out. Whoever else wants
endpoints reads it and never works them out again: the openings between clusters, the diagnosis, a
mesh backend.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from crossmesh.core.kubernetes_names import is_name
from crossmesh.core.observed import Instance
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import pod_of
from crossmesh.core.registry.plan import RemovalWhy, Withheld, WithheldWhy
from crossmesh.core.registry.planning import IndexedInputs
from crossmesh.core.suggestions import nearest

Fate = Literal[
    # Its pod lives and is not to be asked: not ready, in a zone that traffic was shifted away from,
    # or an outlier
    "unhealthy",
    "may-go",  # that its pod ended, or belongs elsewhere, is proved
    # Nothing is proved (rule 1), it is not ours to judge (rule 2), or it waits for a second listing
    # (rule 6)
    "must-stay",
]


class DecidedEndpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An endpoint in force that is not simply live. `begun`: when the listing that says so began;
    `until`: when it may go by itself (seconds; 0 = none).
    """

    service: str  # the service's key
    id: str
    cluster: str
    uid: str
    pod: str  # "namespace/name"
    virtual_node: str  # AWS name
    fate: Fate
    why: RemovalWhy | WithheldWhy
    reason: str
    begun: float = 0.0
    until: float = 0.0


class EndpointDecision(msgspec.Struct, frozen=True, kw_only=True):
    """`endpoints`: all pods that are ready and an endpoint of one virtual node; `decided`: every
    endpoint in force that has another fate than to live.

    `claimed`: ready pods that are no endpoint, for several virtual nodes select them or they are
    not plausible. `others`: what stays in force without being a ready pod's, by service's key; only
    where a mesh backend serves endpoints itself (`served`).
    """

    endpoints: tuple[ep.Endpoint, ...] = ()
    decided: tuple[DecidedEndpoint, ...] = ()
    claimed: tuple[ep.Claimed, ...] = ()
    others: dict[str, tuple[Instance, ...]] = {}

    @property
    def live(self) -> tuple[ep.Endpoint, ...]:
        """The endpoints that are to be asked."""
        others = {(one.service, one.id) for one in self.decided}
        return (
            tuple(endpoint for endpoint in self.endpoints if (endpoint.key, endpoint.id) not in others)
            if others
            else self.endpoints
        )


def decided(
    indexed: IndexedInputs, wanted: Iterable[ep.Endpoint], claimed: Iterable[ep.Claimed]
) -> tuple[DecidedEndpoint, ...]:
    """The fate of every endpoint in force that `wanted` does not keep, and of outliers."""
    wanted = tuple(wanted)
    kept = {(endpoint.key, endpoint.id) for endpoint in wanted}
    doubts = claims(claimed)
    found = [
        judged_instance(indexed, key, instance, doubts)
        for key, instances in indexed.ours.items()
        for instance in instances
        if (key, instance.id) not in kept
    ]
    return (*found, *_outliers(indexed, wanted))


def claims(claimed: Iterable[ep.Claimed]) -> dict[tuple[str, str], ep.Claimed]:
    """The pods that are withheld, by cluster and uid."""
    return {(one.cluster, one.uid): one for one in claimed}


def by_service(decisions: Iterable[DecidedEndpoint]) -> dict[str, dict[str, DecidedEndpoint]]:
    """Service's key -> instance id -> what was decided."""
    found: dict[str, dict[str, DecidedEndpoint]] = {}
    for one in decisions:
        found.setdefault(one.service, {})[one.id] = one
    return found


def guarded(decisions: Iterable[DecidedEndpoint], withheld: Iterable[Withheld]) -> tuple[DecidedEndpoint, ...]:
    """The same after the deletion guard: what waits for a second listing or for the add of its pod
    must stay until then. What is unhealthy is so at once.
    """
    waiting = {
        (held.service, held.id): held
        for held in withheld
        if held.what == "deregister" and held.why in ("unconfirmed", "waits")
    }
    return tuple(
        (
            msgspec.structs.replace(one, fate="must-stay", why=held.why, reason=held.detail, until=held.until)
            if one.fate == "may-go" and (held := waiting.get((one.service, one.id)))
            else one
        )
        for one in decisions
    )


def judged_instance(
    indexed: IndexedInputs, key: str, instance: Instance, doubts: Mapping[tuple[str, str], ep.Claimed]
) -> DecidedEndpoint:
    """The fate of one instance of ours that no ready pod keeps. `doubts`: pods that are withheld
    (`claims`).
    """
    cluster, uid = instance.attributes.get(ep.CLUSTER, ""), instance.attributes.get(ep.POD_UID, "")
    fate, why, reason = _fate(indexed, cluster, instance, doubts)
    return DecidedEndpoint(
        service=key,
        id=instance.id,
        cluster=cluster,
        uid=uid,
        pod=pod_of(instance),
        virtual_node=instance.attributes.get(ep.VIRTUAL_NODE, ""),
        fate=fate,
        why=why,
        reason=reason,
        begun=indexed.seen[cluster].begun if cluster in indexed.seen and why != "forgotten" else 0.0,
    )


_Verdict = tuple[Fate, RemovalWhy | WithheldWhy, str]


def _fate(
    indexed: IndexedInputs, cluster: str, instance: Instance, doubts: Mapping[tuple[str, str], ep.Claimed]
) -> _Verdict:
    if indexed.operator.draining:
        return "may-go", "forgotten", "the registry is being drained"
    if indexed.forgetting(cluster):
        return "may-go", "forgotten", f"`crossmesh forget {cluster}`"
    if cluster not in indexed.clusters:
        return "must-stay", "orphaned", _orphaned(indexed, cluster)
    if cluster in indexed.unseen:
        return "must-stay", "unseen", f"{cluster} is unseen: {indexed.unseen[cluster].cause}"
    verdict = _by_pod(indexed, cluster, instance, doubts)
    # Whoever else removes a dead pod's instance wants the same
    if cluster in indexed.controlled and verdict[1] != "dead":
        return "must-stay", "controller", f"AWS's controller runs in {cluster}; see the notes"
    return verdict


def _orphaned(indexed: IndexedInputs, cluster: str) -> str:
    """What a person can do. Where EKS does not know a cluster of the settings, it may be this one's
    name mistyped: `forget` would take live pods out.
    """
    unknown = sorted(name for name, view in indexed.unseen.items() if view.cause == "not-found")
    if unknown:
        meant = nearest(cluster, unknown) or unknown[0]
        return (
            f"cluster {cluster!r} is not in the settings, which name {meant!r}, and EKS knows no such cluster: correct"
            " crossmesh.yaml first"
        )
    return f"cluster {cluster!r} is not in the settings; `crossmesh forget {cluster}` removes its instances"


def _by_pod(
    indexed: IndexedInputs, cluster: str, instance: Instance, doubts: Mapping[tuple[str, str], ep.Claimed]
) -> _Verdict:
    """What the view of a seen cluster says of an unwanted instance's pod."""
    view, uid = indexed.seen[cluster], instance.attributes.get(ep.POD_UID, "")
    name, pod = pod_of(instance), indexed.pods(cluster).get(uid)
    if pod is None:
        return _without_pod(indexed, cluster, instance, uid)
    if pod.dead:
        return (
            "may-go",
            "dead",
            f"pod {name} of {cluster} is {'Terminating' if pod.terminating else f'finished ({pod.phase})'}",
        )
    if (doubt := doubts.get((cluster, uid))) is not None:
        return (
            "must-stay",
            "implausible" if doubt.doubt else "claimed",
            doubt.doubt or f"several virtual nodes select pod {name} of {cluster}",
        )
    if not pod.ready:
        return (
            "unhealthy",
            "unready",
            f"pod {name} of {cluster} is not ready" + (f": {pod.unready}" if pod.unready else ""),
        )
    if zone := view.away(pod.node):
        return "unhealthy", "unready", f"pod {name} of {cluster} is in zone {zone}, which traffic was shifted away from"
    return "may-go", "unselected", f"pod {name} of {cluster} belongs to another service or to no virtual node now"


def _without_pod(indexed: IndexedInputs, cluster: str, instance: Instance, uid: str) -> _Verdict:
    """What the view of a seen cluster says of an unwanted instance whose pod it does not list."""
    name = pod_of(instance)
    if instance.attributes.get(ep.NAMESPACE, "") not in indexed.seen[cluster].versions:
        return "may-go", "unselected", f"no virtual node selects pods in the namespace of {name}"
    if uid not in indexed.gone[cluster]:
        return "must-stay", "unseen", "the pod is absent from the list and no GET has confirmed it"
    if indexed.terminating(cluster, uid) is not None:
        return "may-go", "dead", f"pod {name} of {cluster} was seen Terminating and is gone"
    if not is_name(instance.attributes.get(ep.POD, "")):
        return (
            "may-go",
            "gone",
            f"it names no pod that there can be ({ep.POD} is no Kubernetes name), and no pod of {cluster} has its uid",
        )
    return "may-go", "gone", f"pod {name} of {cluster} is gone (GET: 404 or another uid)"


def _outliers(indexed: IndexedInputs, wanted: Iterable[ep.Endpoint]) -> Iterator[DecidedEndpoint]:
    """Ready pods that a canary names, until the pod is another one or the canary takes its word
    back.
    """
    for endpoint in wanted if indexed.inputs.outliers else ():
        said = indexed.inputs.outliers.get(endpoint.id)
        if said is not None and said.uid == endpoint.uid:
            yield DecidedEndpoint(
                service=endpoint.key,
                id=endpoint.id,
                cluster=endpoint.cluster,
                uid=endpoint.uid,
                pod=endpoint.pod,
                virtual_node=endpoint.node,
                fate="unhealthy",
                why="outlier",
                reason=f"pod {endpoint.pod} of {endpoint.cluster} is an outlier: {said.evidence}",
                begun=indexed.seen[endpoint.cluster].begun,
            )
