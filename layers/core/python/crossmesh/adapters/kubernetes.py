"""Kubernetes APIs as the `Clusters` port: complete, consistent, bounded in time, or `Unseen` with the cause.

The `kubernetes` client gives transport and TLS; it is imported when first needed (its import costs more than all of ours), and answers are read raw.
"""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from crossmesh.adapters.eks import TOKEN_LIFE, Eks
from crossmesh.adapters.kubernetes_detail import DeploymentList, NodeDetailList, PodDetailList, deployment_facts, node_facts, pod_facts
from crossmesh.adapters.kubernetes_manifests import ObjectList, listed
from crossmesh.adapters.kubernetes_pods import ControllerList, Named, NodeList, PodList, Service, SliceList, pod_of, runs, zone_of
from crossmesh.core.facts import DeploymentFacts, ServiceFacts, Workloads
from crossmesh.core.live import Listed
from crossmesh.core.settings import ClusterSettings, ServiceTarget
from crossmesh.core.views import GATE, Cause, Pod, Seen, Unseen
from crossmesh.core.zonal import shifted
from crossmesh.errors import Conflict, NotFound, RefusedError, ServiceGone, Throttled, TransientError
from crossmesh.ports import PodRef

PAGE = 500  # pods a page; one page of real pods is about 3 MB
CONNECT_TIMEOUT, READ_TIMEOUT, DEADLINE = 3.0, 10.0, 25.0  # seconds; the deadline is for one whole view
_GETS_AT_ONCE = 8
CONTROLLER = "app.kubernetes.io/name=appmesh-controller"  # as the Helm chart of AWS's controller labels its Deployment
_CONTROLLERS = "/apis/apps/v1/deployments?" + urlencode({"labelSelector": CONTROLLER, "resourceVersion": "0"})

T = TypeVar("T")


class _NotSeen(Exception):
    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause: Cause = cause
        self.detail = detail


class KubernetesClusters:
    """Implements `ports.Clusters`. Holds one connection pool a cluster, remade when the endpoint, CA or token stop working."""

    def __init__(self, region: str, eks: Eks | None = None) -> None:
        from kubernetes.client import (  # heavy; here and not in the threads below, for its lazy imports are not safe there
            ApiClient,
            Configuration,
        )

        self._client, self._configuration = ApiClient, Configuration
        self._eks = eks or Eks(region)
        self._apis: dict[str, _Api] = {}
        self._zones: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}

    def observe(
        self,
        cluster: ClusterSettings,
        namespaces: tuple[str, ...],
        registered: tuple[PodRef, ...],
        identity: str,
        versions: dict[str, int],
    ) -> Seen | Unseen:
        """See `ports.Clusters.observe`. One second try with endpoint, CA and token fetched anew, since either may have changed."""
        begun = time.time()
        for attempt in (1, 2):
            try:
                return self._view(cluster, namespaces, registered, identity, versions, begun)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, this cluster was not seen, and the others must go on
                why = error if isinstance(error, _NotSeen) else _NotSeen("crashed", f"{type(error).__name__}: {error}")
                self._apis.pop(cluster.name, None)
                self._eks.forget(cluster)
                if attempt == 2 or why.cause not in ("unreachable", "refused") or time.time() - begun > CONNECT_TIMEOUT * 2:
                    return Unseen(cluster=cluster.name, cause=why.cause, detail=why.detail, begun=begun)
        raise AssertionError("unreachable")

    def manifests(self, cluster: ClusterSettings, identity: str) -> Listed | Unseen:
        """See `ports.Clusters.manifests`."""
        begun = time.time()
        try:
            api, until = self._api(cluster), begun + DEADLINE
            self._identity(api, identity, until)
            return listed(cluster.name, begun, lambda path, kind: api.list_all(path, ObjectList, kind, until))
        except Exception as error:  # noqa: BLE001 - as in `observe`
            why = error if isinstance(error, _NotSeen) else _NotSeen("crashed", f"{type(error).__name__}: {error}")
            self._apis.pop(cluster.name, None)
            return Unseen(cluster=cluster.name, cause=why.cause, detail=why.detail, begun=begun)

    def load_balancer(self, target: ServiceTarget, cluster: ClusterSettings) -> str:
        """Host name (or address) in the Service's status."""
        return self.service(target, cluster).host

    def service(self, target: ServiceTarget, cluster: ClusterSettings) -> ServiceFacts:
        """The Service's load balancer and selector."""
        try:
            api = self._api(cluster)
            found = api.get(f"/api/v1/namespaces/{target.namespace}/services/{target.name}", Service, time.time() + DEADLINE)
        except _NotSeen as why:
            raise TransientError(f"{cluster.name}: {why.cause}: {why.detail}") from why
        if found is None:
            raise NotFound("NotFound", f"{cluster.name} has no Service {target.namespace}/{target.name}")
        ingress = found.status.load_balancer.ingress or []
        return ServiceFacts(host=next((i.hostname or i.ip for i in ingress), ""), selector=found.spec.selector or {})

    def workloads(self, cluster: ClusterSettings, namespaces: tuple[str, ...]) -> Workloads:
        """Pods, Deployments and nodes in detail; a cluster that refuses Deployments (an older reader.yaml) shows none."""
        until = time.time() + DEADLINE
        try:
            api = self._api(cluster)
            pods = [
                pod_facts(item) for name in namespaces for item in api.items(f"/api/v1/namespaces/{name}/pods", PodDetailList, "PodList", until)
            ]
            nodes = [node_facts(item) for item in api.items("/api/v1/nodes", NodeDetailList, "NodeList", until)]
        except _NotSeen as why:
            raise TransientError(f"{cluster.name}: {why.cause}: {why.detail}") from why
        deployments: list[DeploymentFacts] = []
        try:
            for name in namespaces:
                found = api.items(f"/apis/apps/v1/namespaces/{name}/deployments", DeploymentList, "DeploymentList", until)
                deployments += [deployment_facts(item) for item in found]
        except _NotSeen as why:
            if why.cause != "refused":
                raise TransientError(f"{cluster.name}: {why.cause}: {why.detail}") from why
        return Workloads(cluster=cluster.name, pods=tuple(pods), deployments=tuple(deployments), nodes=tuple(nodes))

    def open_gate(self, cluster: ClusterSettings, pod: PodRef) -> None:
        """A strategic merge of one condition; the uid in it makes the API refuse another pod of the same name (422: it is immutable; 409 by PUT)."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": GATE, "status": "True", "lastTransitionTime": now, "reason": "Registered", "message": "found in AWS Cloud Map"}
        patch = {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status"
        try:
            status, body = self._api(cluster).request(path, time.time() + DEADLINE, verb="PATCH", body=patch)
        except _NotSeen as why:
            raise TransientError(f"{cluster.name}: {why.cause}: {why.detail}") from why
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
                raise TransientError(f"{cluster.name}: HTTP {code}: {_message(body)}")
        raise RefusedError(str(status), f"{cluster.name}: HTTP {status}: {_message(body)} (clusters/readiness-gate.yaml gives the right)")

    def _api(self, cluster: ClusterSettings) -> "_Api":
        api, now = self._apis.get(cluster.name), time.time()
        if api is None or api.expires < now:
            try:
                access, token = self._eks.access(cluster, now), self._eks.token(cluster, now)
            except NotFound as error:
                raise _NotSeen("not-found", str(error)) from error
            except Throttled as error:
                raise _NotSeen("throttled", str(error)) from error
            except ServiceGone as error:
                raise _NotSeen("unreachable", str(error)) from error
            except RefusedError as error:
                raise _NotSeen("refused", str(error)) from error
            except TransientError as error:
                raise _NotSeen("unreachable", str(error)) from error
            api = self._apis[cluster.name] = _Api(self._client, self._configuration(host=access.endpoint), access.ca, token, now + TOKEN_LIFE)
        return api

    def _view(
        self,
        cluster: ClusterSettings,
        namespaces: tuple[str, ...],
        registered: tuple[PodRef, ...],
        identity: str,
        versions: dict[str, int],
        begun: float,
    ) -> Seen:
        api, until = self._api(cluster), begun + DEADLINE
        uid = self._identity(api, identity, until)
        pods: list[Pod] = []
        read: dict[str, int] = {}
        for namespace in namespaces:
            version, items = api.list_pods(namespace, until)
            if version < versions.get(namespace, 0):
                raise _NotSeen("went-back", f"pods of {namespace} at version {version}, seen before at {versions[namespace]}")
            read[namespace] = version
            pods += items
        gone, absent = self._absent(api, cluster, pods, registered, namespaces, until)
        away, unknown_shift = self._shifted(api, uid, cluster, namespaces, pods, until) if cluster.zonal_shift else ((), "")
        zones = self._zones_of(api, cluster, uid, {pod.node for pod in pods if pod.ready}, until)
        controller, unknown = api.find_controller(until)
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

    def _identity(self, api: "_Api", recorded: str, until: float) -> str:
        """The cluster's identity; another than the recorded one is not the cluster that is meant."""
        system = api.get("/api/v1/namespaces/kube-system", Named, until)
        if system is None:
            raise _NotSeen("identity", "the cluster has no kube-system namespace")
        uid = system.metadata.uid
        if recorded and uid != recorded:
            detail = f"kube-system is {uid}, recorded is {recorded}: another cluster answers to this name (accept it with `forget --identity`)"
            raise _NotSeen("identity", detail)
        return uid

    def _absent(
        self,
        api: "_Api",
        cluster: ClusterSettings,
        pods: Iterable[Pod],
        registered: tuple[PodRef, ...],
        namespaces: tuple[str, ...],
        until: float,
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Uids (and names, of those known by name alone) of registered pods that the list lacks, each confirmed gone by a GET.

        If one with its uid is there, the list was not complete (rule 4); one with only its name may have come since.
        """
        listed = {pod.uid for pod in pods}
        names = {f"{pod.namespace}/{pod.name}" for pod in pods} if any(not ref.uid for ref in registered) else set()
        missing = [ref for ref in registered if ref.namespace in namespaces and ref.uid and ref.uid not in listed]
        unnamed = [ref for ref in registered if ref.namespace in namespaces and not ref.uid and f"{ref.namespace}/{ref.name}" not in names]

        def there(ref: PodRef) -> bool:
            found = api.get(f"/api/v1/namespaces/{ref.namespace}/pods/{ref.name}", Named, until)
            return found is not None and ref.uid in ("", found.metadata.uid)

        with ThreadPoolExecutor(max_workers=_GETS_AT_ONCE) as pool:
            answers = list(pool.map(there, missing + unnamed)) if missing or unnamed else []
        named = answers[len(missing) :]
        for ref, is_there in zip(missing, answers, strict=False):
            if is_there:
                raise _NotSeen("list-incomplete", f"pod {ref.namespace}/{ref.name} of {cluster.name} is there (GET) but was not listed")
        absent = {f"{ref.namespace}/{ref.name}" for ref, is_there in zip(unnamed, named, strict=True) if not is_there}
        return tuple(sorted(ref.uid for ref in missing)), tuple(sorted(absent))

    def _shifted(
        self, api: "_Api", identity: str, cluster: ClusterSettings, namespaces: tuple[str, ...], pods: Sequence[Pod], until: float
    ) -> tuple[tuple[str, ...], str]:
        """(zones that traffic was shifted away from, why that could not be told). Nodes are listed anew: a cordon comes and goes."""
        nodes = api.list_nodes(until)
        zones = {item.metadata.name: zone_of(item) for item in nodes}
        self._zones.setdefault((cluster.name, identity), {}).update(zones)
        listed: set[str] = set()
        try:
            for namespace in namespaces:
                path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
                for item in api.items(path, SliceList, "EndpointSliceList", until):
                    listed |= {endpoint.target_ref.uid for endpoint in item.endpoints or () if endpoint.target_ref}
        except _NotSeen as why:
            if why.cause != "refused":
                raise
            return (), f"EndpointSlices: {why.detail}"
        return shifted(pods, zones, {item.metadata.name for item in nodes if item.spec.unschedulable}, listed), ""

    def _zones_of(self, api: "_Api", cluster: ClusterSettings, identity: str, wanted: set[str], until: float) -> dict[str, tuple[str, str]]:
        """Zones of the nodes in `wanted`; nodes are listed only when one is new to us."""
        known = self._zones.setdefault((cluster.name, identity), {})
        if any(node and node not in known for node in wanted):
            known.update(api.list_zones(until))
        return {node: known[node] for node in sorted(wanted) if node in known}


class _Api:
    """One cluster's API over the kubernetes client's transport."""

    def __init__(self, client: Any, configuration: Any, ca: bytes, token: str, expires: float) -> None:
        configuration.ca_cert_data = ca.decode()
        configuration.retries = False  # ours to decide: urllib3's default of 3 makes a timeout of 3 s take 12 (measured)
        configuration.connection_pool_maxsize = _GETS_AT_ONCE
        self._client = client(configuration)
        self._endpoint = configuration.host
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "crossmesh"}
        self.expires = expires

    def get(self, path: str, kind: type[T], until: float) -> T | None:
        """GET one object, None for 404. Raises _NotSeen for anything that is not a complete, well-formed answer."""
        status, body = self.request(path, until)
        if status == 404:
            return None
        self._refuse(status, body)
        return self._decode(body, kind, path)

    def list_pods(self, namespace: str, until: float) -> tuple[int, list[Pod]]:
        """Every page of a namespace's pods from one snapshot, and its resourceVersion. A 410 starts again, twice at most."""
        for _ in range(3):
            pages = self._pages(f"/api/v1/namespaces/{namespace}/pods", PodList, "PodList", until)
            if pages is not None:
                return int(pages[0].metadata.resource_version), [pod_of(item) for page in pages for item in page.items or ()]
        raise _NotSeen("cut", f"the pod list of {namespace} expired (410) three times while being read")

    def list_all(self, path: str, kind: type[T], expected: str, until: float) -> list[T]:
        """Every page of a list from one snapshot. A kind that the cluster does not know is not an empty list."""
        for _ in range(3):
            pages = self._pages(path, kind, expected, until)
            if pages is not None:
                return pages
        raise _NotSeen("cut", f"{path} expired (410) three times while being read")

    def items(self, path: str, kind: type[Any], expected: str, until: float) -> list[Any]:
        """All items of a list."""
        return [item for page in self.list_all(path, kind, expected, until) for item in page.items or ()]

    def list_nodes(self, until: float) -> list[Any]:
        """All nodes."""
        return self.items("/api/v1/nodes", NodeList, "NodeList", until)

    def list_zones(self, until: float) -> dict[str, tuple[str, str]]:
        """Zones of all nodes."""
        return {item.metadata.name: zone_of(item) for item in self.list_nodes(until)}

    def find_controller(self, until: float) -> tuple[str, str]:
        """("namespace/name" of AWS's App Mesh controller where it runs, why that could not be told). From the API server's cache: cheap."""
        status, body = self.request(_CONTROLLERS, until)
        if status == 403:
            return "", f"HTTP 403: {_message(body)}"
        self._refuse(status, body)
        found = sorted(runs(item) for item in self._decode(body, ControllerList, "deployments").items or ())
        return next(filter(None, found), ""), ""

    def _pages(self, path: str, kind: type[T], expected: str, until: float) -> list[Any] | None:
        """All pages of a list, checked to be one complete chain; None where the server let the snapshot expire."""
        pages: list[Any] = []
        token, left = "", None
        while True:
            rest = f"&{urlencode({'continue': token})}" if token else ""
            status, body = self.request(f"{path}?limit={PAGE}{rest}", until)
            if status == 410:
                return None
            self._refuse(status, body)
            page: Any = self._decode(body, kind, path)
            items = len(page.items or ())
            if page.kind != expected:
                raise _NotSeen("cut", f"{path} answered a {page.kind}, not a {expected}")
            if not page.metadata.resource_version.isdigit():
                raise _NotSeen("cut", f"{path} answered without a resourceVersion")
            if pages and page.metadata.resource_version != pages[0].metadata.resource_version:
                raise _NotSeen("cut", f"{path}: pages of two versions in one chain")
            if left is not None and items + (page.metadata.remaining_item_count or 0) != left:
                raise _NotSeen("cut", f"{path}: {left} items were still to come, {items} came")
            pages.append(page)
            token = page.metadata.continue_
            left = page.metadata.remaining_item_count if token else None
            if not token:
                return pages

    def request(self, path: str, until: float, verb: str = "GET", body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Status and body, whatever the status. Raises _NotSeen where no answer came in time."""
        import urllib3.exceptions as failed

        room = until - time.time()
        if room <= 0:
            raise _NotSeen("timeout", f"no complete view within {DEADLINE:.0f} s")
        try:
            kind = {"Content-Type": "application/strategic-merge-patch+json"} if body else {}
            response: Any = self._client.call_api(
                verb,
                self._endpoint + path,
                header_params={**self._headers, **kind},
                body=body,
                _request_timeout=(min(CONNECT_TIMEOUT, room), min(READ_TIMEOUT, room)),
            )
            return response.status, response.read()
        except (failed.ConnectTimeoutError, failed.NewConnectionError, failed.NameResolutionError, ConnectionRefusedError) as error:
            raise _NotSeen("unreachable", f"no connection to {self._endpoint} ({type(error).__name__})") from error
        except (TimeoutError, failed.ReadTimeoutError) as error:
            raise _NotSeen("timeout", f"{path.partition('?')[0]}: no answer within {READ_TIMEOUT:.0f} s") from error
        except (failed.ProtocolError, failed.DecodeError) as error:
            raise _NotSeen("cut", f"{path.partition('?')[0]}: the answer ended early ({type(error).__name__})") from error
        except Exception as error:
            raise _NotSeen("unreachable", f"{path.partition('?')[0]}: {type(error).__name__}") from error

    def _refuse(self, status: int, body: bytes) -> None:
        if status == 200:
            return
        if status == 404:
            raise _NotSeen("not-found", "the API knows no such kind: App Mesh's CRDs are not installed")
        cause: Cause = "throttled" if status == 429 else "refused" if status in (401, 403) else "server-error"
        raise _NotSeen(cause, f"HTTP {status}: {_message(body)}")

    def _decode(self, body: bytes, kind: type[T], path: str) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise _NotSeen("cut", f"{path}: not a well-formed answer ({error})") from error


def _message(body: bytes) -> str:
    """The message of a Kubernetes Status, shortened; never the body as it is."""
    try:
        return str(msgspec.json.decode(body, type=dict).get("message", ""))[:200]
    except msgspec.DecodeError:
        return "no Kubernetes Status in the answer"
