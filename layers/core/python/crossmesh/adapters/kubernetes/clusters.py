"""Kubernetes APIs as the `Clusters` port: complete, consistent, bounded in time, or `Unseen` with
the cause.

The Kubernetes client gives configuration and transport (`kubernetes_client`); msgspec decodes the
fields that count.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from crossmesh.adapters.eks import TOKEN_LIFE, Eks, NoCluster
from crossmesh.adapters.kubernetes.api import (
    Api,
    T,
    as_it_is,
    message_of,
    namespaced,
    pod_path,
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
    Service,
)
from crossmesh.adapters.kubernetes.transport import CONNECT_TIMEOUT, NotSeen, within
from crossmesh.adapters.kubernetes.view import ClusterViews, Recorded, identified
from crossmesh.core.compiler.cluster_manifests import ListedDocuments
from crossmesh.core.diagnosis.facts import ServiceFacts, Workloads
from crossmesh.core.observed import GATE, Cause, DeploymentFacts, Seen, Unseen, cut
from crossmesh.core.patience import WHOLE
from crossmesh.core.settings import ClusterSettings, ServiceTarget
from crossmesh.errors import Conflict, CrossmeshError, NotFound, RefusedError, ServiceGone, Throttled, TransientError
from crossmesh.ports import PodRef

# Seconds for one whole view; and after which nobody waits for it, whatever its cluster does
DEADLINE, LIMIT = 20.0, WHOLE


class KubernetesClusters:
    """Implements `ports.Clusters`. Holds one connection pool a cluster, remade when the endpoint,
    CA or token stop working.
    """

    def __init__(self, region: str, eks: Eks | None = None) -> None:
        self._eks = eks or Eks(region)
        self._apis: dict[str, Api] = {}
        self._views = ClusterViews()

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
        until, recorded = begun + _deadline(limit), Recorded(registered, identity, versions)
        retried = min(CONNECT_TIMEOUT * 2, limit / 2)  # seconds after which no second try fits

        def seen() -> Seen | Unseen:
            for attempt in (1, 2):
                try:
                    return self._views.view(self._api(cluster), cluster, namespaces, recorded, begun, until)
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
                identified(api, identity, until)
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
