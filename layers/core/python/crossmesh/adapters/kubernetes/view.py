"""One complete view of a cluster: its pods, who is gone, zones, and AWS's controller."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from crossmesh.adapters.kubernetes.api import (
    GETS_AT_ONCE,
    MOST_KEPT,
    Api,
    as_it_is,
    namespaced,
    pod_path,
    size_of,
)
from crossmesh.adapters.kubernetes.pods import (
    Named,
    Slice,
    zone_of,
)
from crossmesh.adapters.kubernetes.transport import NotSeen
from crossmesh.core import kubernetes_names
from crossmesh.core.observed import Pod, Seen
from crossmesh.core.registry.zonal_shift import shifted_zones
from crossmesh.core.settings import ClusterSettings
from crossmesh.ports import PodRef


class Recorded(NamedTuple):
    """What earlier looks know of a cluster."""

    registered: tuple[PodRef, ...]
    identity: str
    versions: dict[str, int]


class ClusterViews:
    """Views over APIs. Zones of nodes are remembered for each cluster and identity."""

    def __init__(self) -> None:
        self._zones: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}

    def view(
        self,
        api: Api,
        cluster: ClusterSettings,
        namespaces: tuple[str, ...],
        recorded: Recorded,
        begun: float,
        until: float,
    ) -> Seen:
        """A complete view of a cluster. Raises NotSeen with the cause."""
        registered, identity, versions = recorded
        uid = identified(api, identity, until)
        pods: list[Pod] = []
        kept = 0
        read: dict[str, int] = {}
        for namespace in namespaces:
            version, items = api.list_pods(namespace, until)
            kept += sum(map(size_of, items))
            if kept > MOST_KEPT:
                raise NotSeen(
                    "too-large", f"the pods of {len(namespaces)} namespaces take more than {MOST_KEPT // 1_000_000} MB"
                )
            if version < versions.get(namespace, 0):
                raise NotSeen(
                    "went-back", f"pods of {namespace} at version {version}, seen before at {versions[namespace]}"
                )
            read[namespace] = version
            pods += items
        gone, absent = self._absent(api, cluster, pods, registered, namespaces, until)
        away, unknown_shift = (
            self._shifted(api, uid, cluster, namespaces, pods, until) if cluster.zonal_shift else ((), "")
        )
        zones = self._zones_of(api, cluster, uid, {pod.node for pod in pods if pod.ready}, until)
        controller, unknown = api.find_controller(
            () if cluster.controller == "none" else cluster.controller_namespaces, until
        )
        return Seen(
            cluster=cluster.name,
            identity=uid,
            begun=begun,
            versions=read,
            pods=tuple(pods),
            zones=zones,
            gone=gone,
            absent=absent,
            controller=controller,
            controller_unknown=unknown,
            shifted=away,
            shift_unknown=unknown_shift,
        )

    def _absent(
        self,
        api: Api,
        cluster: ClusterSettings,
        pods: Iterable[Pod],
        registered: tuple[PodRef, ...],
        namespaces: tuple[str, ...],
        until: float,
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Uids (and names, of those known by name alone) of registered pods that the list lacks,
        each confirmed gone by a GET, or by a name no pod can have.

        If one with its uid is there, the list was not complete (rule 4); one with only its name may
        have come since.
        """
        listed = {pod.uid for pod in pods}
        named = {f"{pod.namespace}/{pod.name}" for pod in pods} if any(not ref.uid for ref in registered) else set()
        missing = [ref for ref in registered if ref.namespace in namespaces and ref.uid and ref.uid not in listed]
        unnamed = [
            ref
            for ref in registered
            if ref.namespace in namespaces and not ref.uid and f"{ref.namespace}/{ref.name}" not in named
        ]

        def there(ref: PodRef) -> bool:
            if not kubernetes_names.is_name(ref.name):
                return False  # no pod can have this name: the instance says what was never true
            found = api.get(pod_path(ref), Named, until)
            return found is not None and found.metadata.name == ref.name and ref.uid in ("", found.metadata.uid)

        with ThreadPoolExecutor(max_workers=GETS_AT_ONCE) as pool:
            answers = list(pool.map(there, missing + unnamed)) if missing or unnamed else []
        unnamed_there = answers[len(missing) :]
        for ref, is_there in zip(missing, answers, strict=False):
            if is_there:
                raise NotSeen(
                    "list-incomplete",
                    f"pod {ref.namespace}/{ref.name} of {cluster.name} is there (GET) but was not listed",
                )
        absent = {
            f"{ref.namespace}/{ref.name}" for ref, is_there in zip(unnamed, unnamed_there, strict=True) if not is_there
        }
        return tuple(sorted(ref.uid for ref in missing)), tuple(sorted(absent))

    def _shifted(
        self,
        api: Api,
        identity: str,
        cluster: ClusterSettings,
        namespaces: tuple[str, ...],
        pods: Sequence[Pod],
        until: float,
    ) -> tuple[tuple[str, ...], str]:
        """(zones that traffic was shifted away from, why that could not be told). Nodes are listed
        anew: a cordon comes and goes.
        """
        nodes = api.list_nodes(until)
        zones = {item.metadata.name: zone_of(item) for item in nodes}
        self._zones.setdefault((cluster.name, identity), {}).update(zones)
        listed: set[str] = set()
        try:
            for namespace in namespaces:
                for item in api.items(
                    namespaced(namespace, "/apis/discovery.k8s.io/v1", "endpointslices"),
                    Slice,
                    "EndpointSliceList",
                    until,
                    as_it_is,
                ):
                    listed |= {endpoint.target_ref.uid for endpoint in item.endpoints or () if endpoint.target_ref}
        except NotSeen as why:
            if why.cause != "refused":
                raise
            return (), f"EndpointSlices: {why.detail}"
        return shifted_zones(pods, zones, {item.metadata.name for item in nodes if item.spec.unschedulable}, listed), ""

    def _zones_of(
        self, api: Api, cluster: ClusterSettings, identity: str, wanted: set[str], until: float
    ) -> dict[str, tuple[str, str]]:
        """Zones of the nodes in `wanted`; nodes are listed only when one is new to us."""
        known = self._zones.setdefault((cluster.name, identity), {})
        if any(node and node not in known for node in wanted):
            known.update(api.list_zones(until))
        return {node: known[node] for node in sorted(wanted) if node in known}


def identified(api: Api, recorded: str, until: float) -> str:
    """The cluster's identity; another than the recorded one is not the cluster that is
    meant.
    """
    system = api.get("/api/v1/namespaces/kube-system", Named, until)
    if system is None:
        raise NotSeen("identity", "the cluster has no kube-system namespace")
    uid = system.metadata.uid
    if not kubernetes_names.is_uid(uid):
        raise NotSeen("malformed", "the uid of kube-system cannot be one of Kubernetes")
    if recorded and uid != recorded:
        detail = (
            f"kube-system is {uid}, recorded is {recorded}: another cluster answers to this name (accept it with"
            " `forget --identity`)"
        )
        raise NotSeen("identity", detail)
    return uid
