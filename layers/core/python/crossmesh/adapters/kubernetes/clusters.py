"""Kubernetes APIs as the `Clusters` port: complete, consistent, bounded in time, or `Unseen` with
the cause.

The Kubernetes client gives configuration and transport (`kubernetes_client`); msgspec decodes the
fields that count.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from crossmesh.adapters.eks import TOKEN_LIFE, Eks, NoCluster
from crossmesh.adapters.kubernetes.api import (
    GETS_AT_ONCE,
    MOST_KEPT,
    Api,
    T,
    as_it_is,
    message_of,
    namespaced,
    pod_path,
    size_of,
)
from crossmesh.adapters.kubernetes.detail import (
    DeploymentItem,
    NodeDetail,
    PodDetail,
    deployment_facts,
    node_facts,
    pod_facts,
)
from crossmesh.adapters.kubernetes.manifests import listed
from crossmesh.adapters.kubernetes.pods import (
    Named,
    Service,
    Slice,
    zone_of,
)
from crossmesh.adapters.kubernetes.transport import CONNECT_TIMEOUT, NotSeen, within
from crossmesh.core import kubernetes_names
from crossmesh.core.compiler.cluster_manifests import ListedDocuments
from crossmesh.core.diagnosis.facts import ServiceFacts, Workloads
from crossmesh.core.observed import GATE, Cause, DeploymentFacts, Pod, Seen, Unseen, cut
from crossmesh.core.patience import WHOLE
from crossmesh.core.registry.zonal_shift import shifted_zones
from crossmesh.core.settings import ClusterSettings, ServiceTarget
from crossmesh.errors import Conflict, CrossmeshError, NotFound, RefusedError, ServiceGone, Throttled, TransientError
from crossmesh.ports import PodRef

# Seconds for one whole view; and after which nobody waits for it, whatever its cluster does
DEADLINE, LIMIT = 20.0, WHOLE


class _Recorded(NamedTuple):
    """What earlier looks know of a cluster."""

    registered: tuple[PodRef, ...]
    identity: str
    versions: dict[str, int]


class KubernetesClusters:
    """Implements `ports.Clusters`. Holds one connection pool a cluster, remade when the endpoint,
    CA or token stop working.
    """

    def __init__(self, region: str, eks: Eks | None = None) -> None:
        self._eks = eks or Eks(region)
        self._apis: dict[str, Api] = {}
        self._zones: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}

    def observe(
        self,
        cluster: ClusterSettings,
        namespaces: tuple[str, ...],
        registered: tuple[PodRef, ...],
        identity: str,
        versions: dict[str, int],
        limit: float = WHOLE,
    ) -> Seen | Unseen:
        """See `ports.Clusters.observe`. One second try with endpoint, CA and token fetched anew,
        since either may have changed.
        """
        begun, limit = time.time(), min(limit, LIMIT)
        until, recorded = begun + _deadline(limit), _Recorded(registered, identity, versions)
        retried = min(CONNECT_TIMEOUT * 2, limit / 2)  # seconds after which no second try fits

        def seen() -> Seen | Unseen:
            for attempt in (1, 2):
                try:
                    return self._view(cluster, namespaces, recorded, begun, until)
                except Exception as error:  # noqa: BLE001 - whatever went wrong, this cluster was not seen, and the others must go on
                    why = (
                        error if isinstance(error, NotSeen) else NotSeen("crashed", f"{type(error).__name__}: {error}")
                    )
                    # Nobody waits any more, and what stands there by now is another's
                    late = time.time() - begun >= limit
                    if not late:
                        self._apis.pop(cluster.name, None)
                        self._eks.forget(cluster)
                    if (
                        late
                        or attempt == 2
                        or why.cause not in ("unreachable", "refused", "tls")
                        or time.time() - begun > retried
                    ):
                        return _unseen(cluster, why, begun)
            raise AssertionError("unreachable")

        return within(limit, seen, lambda: self._late(cluster, begun, limit))

    def _late(self, cluster: ClusterSettings, begun: float, limit: float) -> Unseen:
        """Nobody waits any longer: its connections end, and with them the thread that reads from
        them.
        """
        if api := self._apis.pop(cluster.name, None):
            api.sever()
        self._eks.forget(cluster)
        return Unseen(
            cluster=cluster.name,
            cause="timeout",
            detail=f"no complete view within {limit:.0f} s",
            begun=begun,
            spent=limit,
        )

    def _in_time(self, cluster: ClusterSettings, do: Callable[[], T]) -> T:
        """`do()` within the limit. Raises TransientError after it, and where the cluster does not
        answer.
        """

        def late() -> T:
            why = self._late(cluster, time.time(), LIMIT)
            raise TransientError(f"{cluster.name}: {why.cause}: {why.detail}")

        try:
            return within(LIMIT, do, late)
        except NotSeen as why:
            raise TransientError(f"{cluster.name}: {why.cause}: {cut(why.detail)}") from why

    def manifests(self, cluster: ClusterSettings, identity: str, limit: float = WHOLE) -> ListedDocuments | Unseen:
        """See `ports.Clusters.manifests`."""
        begun, limit = time.time(), min(limit, LIMIT)

        def read() -> ListedDocuments | Unseen:
            try:
                api, until = self._api(cluster), begun + _deadline(limit)
                self._identity(api, identity, until)
                return listed(
                    cluster.name, begun, lambda path, kind: api.items(path, dict[str, Any], kind, until, as_it_is)
                )
            except Exception as error:  # noqa: BLE001 - as in `observe`
                why = error if isinstance(error, NotSeen) else NotSeen("crashed", f"{type(error).__name__}: {error}")
                if time.time() - begun < limit:
                    self._apis.pop(cluster.name, None)
                return _unseen(cluster, why, begun)

        return within(limit, read, lambda: self._late(cluster, begun, limit))

    def load_balancer(self, target: ServiceTarget, cluster: ClusterSettings) -> str:
        """Host name (or address) in the Service's status."""
        return self.service(target, cluster).host

    def service(self, target: ServiceTarget, cluster: ClusterSettings) -> ServiceFacts:
        """The Service's load balancer, selector and ports."""
        path, until = (
            f"/api/v1/namespaces/{quote(target.namespace, safe='')}/services/{quote(target.name, safe='')}",
            time.time() + DEADLINE,
        )
        found = self._in_time(cluster, lambda: self._api(cluster).get(path, Service, until))
        if found is None:
            raise NotFound("NotFound", f"{cluster.name} has no Service {target.namespace}/{target.name}")
        ingress = found.status.load_balancer.ingress or []
        host, ports = (
            next((i.hostname or i.ip for i in ingress), ""),
            tuple(one.port for one in found.spec.ports or () if one.port),
        )
        return ServiceFacts(host=host, selector=found.spec.selector or {}, ports=ports)

    def workloads(self, cluster: ClusterSettings, namespaces: tuple[str, ...]) -> Workloads:
        """Pods, Deployments and nodes in detail; a cluster that refuses Deployments (an older
        reader.yaml) shows none.
        """
        return self._in_time(cluster, lambda: self._workloads(cluster, namespaces, time.time() + DEADLINE))

    def _workloads(self, cluster: ClusterSettings, namespaces: tuple[str, ...], until: float) -> Workloads:
        api = self._api(cluster)
        pods = [
            pod
            for name in namespaces
            for pod in api.items(namespaced(name, "/api/v1", "pods"), PodDetail, "PodList", until, pod_facts)
        ]
        nodes = api.items("/api/v1/nodes", NodeDetail, "NodeList", until, node_facts)
        deployments: list[DeploymentFacts] = []
        try:
            for name in namespaces:
                path = namespaced(name, "/apis/apps/v1", "deployments")
                deployments += api.items(path, DeploymentItem, "DeploymentList", until, deployment_facts)
        except NotSeen as why:
            if why.cause != "refused":
                raise
        return Workloads(cluster=cluster.name, pods=tuple(pods), deployments=tuple(deployments), nodes=tuple(nodes))

    def open_gate(self, cluster: ClusterSettings, pod: PodRef) -> None:
        """A strategic merge of one condition; the uid in it makes the API refuse another pod of the
        same name (422: it is immutable; 409 by PUT).
        """
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {
            "type": GATE,
            "status": "True",
            "lastTransitionTime": now,
            "reason": "Registered",
            "message": "found in AWS Cloud Map",
        }
        patch = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
        path, until = f"{pod_path(pod)}/status", time.time() + DEADLINE
        status, body = self._in_time(cluster, lambda: self._api(cluster).request(path, until, verb="PATCH", body=patch))
        match status:
            case 200:
                return
            case 404:
                raise NotFound("NotFound", f"{cluster.name} has no pod {pod.namespace}/{pod.name}")
            case 409 | 422:
                raise Conflict("Conflict", f"{pod.namespace}/{pod.name} of {cluster.name} is another pod now")
            case 429:
                raise Throttled(f"{cluster.name}: HTTP 429")
            case code if code >= 500:
                raise TransientError(f"{cluster.name}: HTTP {code}: {message_of(body)}")
        raise RefusedError(
            str(status),
            f"{cluster.name}: HTTP {status}: {message_of(body)} (clusters/readiness-gate.yaml gives the right)",
        )

    def _api(self, cluster: ClusterSettings) -> "Api":
        api, now = self._apis.get(cluster.name), time.time()
        if api is None or api.expires < now:
            try:
                access, token = self._eks.access(cluster, now), self._eks.token(cluster, now)
            except CrossmeshError as error:
                raise NotSeen(_cause_of(error), str(error)) from error
            api = self._apis[cluster.name] = Api(access.endpoint, access.ca, token, now + TOKEN_LIFE)
        return api

    def _view(
        self, cluster: ClusterSettings, namespaces: tuple[str, ...], recorded: _Recorded, begun: float, until: float
    ) -> Seen:
        api = self._api(cluster)
        registered, identity, versions = recorded
        uid = self._identity(api, identity, until)
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

    def _identity(self, api: "Api", recorded: str, until: float) -> str:
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

    def _absent(
        self,
        api: "Api",
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
        api: "Api",
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
        self, api: "Api", cluster: ClusterSettings, identity: str, wanted: set[str], until: float
    ) -> dict[str, tuple[str, str]]:
        """Zones of the nodes in `wanted`; nodes are listed only when one is new to us."""
        known = self._zones.setdefault((cluster.name, identity), {})
        if any(node and node not in known for node in wanted):
            known.update(api.list_zones(until))
        return {node: known[node] for node in sorted(wanted) if node in known}


def _deadline(limit: float) -> float:
    """Seconds for a whole answer, where nobody waits longer than `limit`."""
    return min(DEADLINE, limit * 0.91)


def _unseen(cluster: ClusterSettings, why: NotSeen, begun: float) -> Unseen:
    return Unseen(
        cluster=cluster.name, cause=why.cause, detail=cut(why.detail), begun=begun, spent=round(time.time() - begun, 3)
    )


def _cause_of(error: CrossmeshError) -> Cause:
    """Why an endpoint, an authority or a token could not be had."""
    match error:
        case NoCluster():
            return error.cause
        case NotFound():
            return "not-found"
        case Throttled():
            return "throttled"
        case ServiceGone():
            return "unreachable"
        case RefusedError():
            return "refused"
    return "unreachable"
