"""Kubernetes APIs as the `Clusters` port: complete, consistent, bounded in time, or `Unseen` with
the cause.

The Kubernetes client gives configuration and transport (`kubernetes_client`); msgspec decodes the
fields that count.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from crossmesh.adapters.eks import TOKEN_LIFE, Eks, NoCluster
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
    Controller,
    Named,
    NodeItem,
    Page,
    PodItem,
    Service,
    Slice,
    pod_of,
    runs,
    zone_of,
)
from crossmesh.adapters.kubernetes.transport import CONNECT_TIMEOUT, NotSeen, TooLarge, Transport, context, within
from crossmesh.core import kubernetes_names
from crossmesh.core.compiler.cluster_manifests import ListedDocuments
from crossmesh.core.diagnosis.facts import ServiceFacts, Workloads
from crossmesh.core.observed import GATE, Cause, DeploymentFacts, Pod, Seen, Unseen, cut
from crossmesh.core.patience import WHOLE
from crossmesh.core.registry.zonal_shift import shifted_zones
from crossmesh.core.settings import ClusterSettings, ServiceTarget
from crossmesh.errors import Conflict, CrossmeshError, NotFound, RefusedError, ServiceGone, Throttled, TransientError
from crossmesh.ports import PodRef

# Items a page; one page of real pods is about 3 MB. Where that is too large an answer, a small page
# is asked for
PAGE, SMALL_PAGE = 500, 25
# Seconds for one whole view; and after which nobody waits for it, whatever its cluster does
DEADLINE, LIMIT = 20.0, WHOLE
# Bytes: of one object (etcd takes 1.5 MB), of all objects of one view that are kept
MOST_ITEM, MOST_KEPT = 2_000_000, 48_000_000
_BESIDE = 50  # bytes that a text takes in memory beside its characters
# In one answer: it would take more memory to look into it than its bytes say
_MANY_BRACES = 2_000_000
_GETS_AT_ONCE = 8
# As the Helm chart of AWS's controller labels its Deployment
CONTROLLER = "app.kubernetes.io/name=appmesh-controller"
_LABELLED = urlencode({"labelSelector": CONTROLLER, "resourceVersion": "0"})

T = TypeVar("T")
K = TypeVar("K")


class _Recorded(NamedTuple):
    """What earlier looks know of a cluster."""

    registered: tuple[PodRef, ...]
    identity: str
    versions: dict[str, int]


@dataclass(frozen=True)
class _Kept(Generic[T, K]):
    """What is kept of a list whose kind is `expected`: `make` of each item, which takes `size`
    bytes.
    """

    kind: type[T]
    expected: str
    make: Callable[[T], K]
    size: Callable[[K], int]


class KubernetesClusters:
    """Implements `ports.Clusters`. Holds one connection pool a cluster, remade when the endpoint,
    CA or token stop working.
    """

    def __init__(self, region: str, eks: Eks | None = None) -> None:
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
                    cluster.name, begun, lambda path, kind: api.items(path, dict[str, Any], kind, until, _as_it_is)
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
            for pod in api.items(_in(name, "/api/v1", "pods"), PodDetail, "PodList", until, pod_facts)
        ]
        nodes = api.items("/api/v1/nodes", NodeDetail, "NodeList", until, node_facts)
        deployments: list[DeploymentFacts] = []
        try:
            for name in namespaces:
                path = _in(name, "/apis/apps/v1", "deployments")
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
        path, until = f"{_pod_path(pod)}/status", time.time() + DEADLINE
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
                raise TransientError(f"{cluster.name}: HTTP {code}: {_message(body)}")
        raise RefusedError(
            str(status),
            f"{cluster.name}: HTTP {status}: {_message(body)} (clusters/readiness-gate.yaml gives the right)",
        )

    def _api(self, cluster: ClusterSettings) -> "_Api":
        api, now = self._apis.get(cluster.name), time.time()
        if api is None or api.expires < now:
            try:
                access, token = self._eks.access(cluster, now), self._eks.token(cluster, now)
            except CrossmeshError as error:
                raise NotSeen(_cause_of(error), str(error)) from error
            api = self._apis[cluster.name] = _Api(access.endpoint, access.ca, token, now + TOKEN_LIFE)
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
            kept += sum(map(_size, items))
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

    def _identity(self, api: "_Api", recorded: str, until: float) -> str:
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
        api: "_Api",
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
            found = api.get(_pod_path(ref), Named, until)
            return found is not None and found.metadata.name == ref.name and ref.uid in ("", found.metadata.uid)

        with ThreadPoolExecutor(max_workers=_GETS_AT_ONCE) as pool:
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
        api: "_Api",
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
                    _in(namespace, "/apis/discovery.k8s.io/v1", "endpointslices"),
                    Slice,
                    "EndpointSliceList",
                    until,
                    _as_it_is,
                ):
                    listed |= {endpoint.target_ref.uid for endpoint in item.endpoints or () if endpoint.target_ref}
        except NotSeen as why:
            if why.cause != "refused":
                raise
            return (), f"EndpointSlices: {why.detail}"
        return shifted_zones(pods, zones, {item.metadata.name for item in nodes if item.spec.unschedulable}, listed), ""

    def _zones_of(
        self, api: "_Api", cluster: ClusterSettings, identity: str, wanted: set[str], until: float
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


def _in(namespace: str, api: str, plural: str) -> str:
    return f"{api}/namespaces/{quote(namespace, safe='')}/{plural}"


def _pod_path(pod: PodRef) -> str:
    return f"{_in(pod.namespace, '/api/v1', 'pods')}/{quote(pod.name, safe='')}"


def _size(pod: Pod) -> int:
    """About how many bytes it takes, kept."""
    return 500 + sum(len(key) + len(value) + 100 for key, value in pod.labels.items())


def _weight(item: object) -> int:
    """The same for any other item: its texts, and what each takes beside its characters."""
    said = msgspec.json.encode(item)
    return 500 + len(said) + said.count(b'"') * _BESIDE // 2


def _as_it_is(item: T) -> T:
    return item


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


class _Api:
    """One cluster's API: requests over its transport, answers as complete chains of well-formed
    pages.
    """

    def __init__(self, endpoint: str, ca: bytes, token: str, expires: float) -> None:
        self._transport = Transport(endpoint, context(ca), _GETS_AT_ONCE)
        self._endpoint = endpoint.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": "crossmesh",
        }
        self.expires = expires

    def sever(self) -> None:
        """End every connection now."""
        self._transport.sever()

    def get(self, path: str, kind: type[T], until: float) -> T | None:
        """GET one object, None for 404. Raises NotSeen for anything that is not a complete,
        well-formed answer.
        """
        status, body = self.request(path, until)
        if status == 404:
            return None
        self._refuse(status, body)
        if len(body) > MOST_ITEM:
            raise TooLarge(path.partition("?")[0], MOST_ITEM, "for one object")
        return self._decode(body, kind, path)

    def list_pods(self, namespace: str, until: float) -> tuple[int, list[Pod]]:
        """Every page of a namespace's pods from one snapshot, and its resourceVersion."""

        def pod(item: PodItem) -> Pod:
            found = pod_of(item, time.time())
            if fault := kubernetes_names.pod_fault(found, namespace):
                raise NotSeen("malformed", f"{namespace}: {fault}")
            return found

        return self.whole(_in(namespace, "/api/v1", "pods"), until, _Kept(PodItem, "PodList", pod, _size))

    def whole(self, path: str, until: float, what: _Kept[T, K]) -> tuple[int, list[K]]:
        """The version and what is kept of all items of a list from one snapshot. A kind that the
        cluster does not know is not an empty list.

        A 410 starts again, twice at most; where a page is too large for us, pages of few items are
        asked for.
        """
        page = PAGE
        for _ in range(4):
            try:
                found = self._pages(path, until, page, what)
            except TooLarge:
                if page == SMALL_PAGE:
                    raise
                page, found = SMALL_PAGE, None
            if found is not None:
                return found
        raise NotSeen("cut", f"{path} expired (410) three times while being read")

    def items(self, path: str, kind: type[T], expected: str, until: float, make: Callable[[T], K]) -> list[K]:
        """All items of a list, as `make` makes them."""
        return self.whole(path, until, _Kept(kind, expected, make, _weight))[1]

    def list_nodes(self, until: float) -> list[NodeItem]:
        """All nodes."""
        return self.items("/api/v1/nodes", NodeItem, "NodeList", until, _as_it_is)

    def list_zones(self, until: float) -> dict[str, tuple[str, str]]:
        """Zones of all nodes."""
        return {item.metadata.name: zone_of(item) for item in self.list_nodes(until)}

    def find_controller(self, namespaces: tuple[str, ...], until: float) -> tuple[str, str]:
        """("namespace/name" of AWS's App Mesh controller where it runs, why that could not be
        told). From the API server's cache: cheap.

        Looked for in `namespaces` alone: in any other, whoever may make a Deployment could pass for
        it and stop the cluster.
        """
        for namespace in namespaces:
            path = _in(namespace, "/apis/apps/v1", "deployments")
            status, body = self.request(f"{path}?{_LABELLED}", until)
            if status == 403:
                return "", f"HTTP 403: {_message(body)}"
            self._refuse(status, body)
            for item in self._page(body, Controller, path, PAGE)[1]:
                if runs(item) and kubernetes_names.is_name(item.metadata.name):
                    return f"{namespace}/{item.metadata.name}", ""
        return "", ""

    def _pages(self, path: str, until: float, limit: int, what: _Kept[T, K]) -> tuple[int, list[K]] | None:
        """The version and items of all pages of a list, checked to be one complete chain; None
        where the server let the snapshot expire.

        A list that goes on for ever ends where that takes too much.
        """
        found: list[K] = []
        kept, expected = 0, what.expected
        version, token, left = "", "", None
        while True:
            rest = f"&{urlencode({'continue': token})}" if token else ""
            status, body = self.request(f"{path}?limit={limit}{rest}", until)
            if status == 410:
                return None
            self._refuse(status, body)
            page, items = self._page(body, what.kind, path, limit)
            if page.kind != expected:
                raise NotSeen("cut", f"{path} answered a {page.kind[:50]}, not a {expected}")
            if not kubernetes_names.is_version(page.metadata.resource_version):
                raise NotSeen("cut", f"{path} answered without a resourceVersion")
            if version and page.metadata.resource_version != version:
                raise NotSeen("cut", f"{path}: pages of two versions in one chain")
            if left is not None and len(items) + (page.metadata.remaining_item_count or 0) != left:
                raise NotSeen("cut", f"{path}: {left} items were still to come, {len(items)} came")
            made = [what.make(item) for item in items]
            kept += sum(map(what.size, made))
            if kept > MOST_KEPT:
                raise NotSeen("too-large", f"{path}: its items take more than {MOST_KEPT // 1_000_000} MB")
            found += made
            version, token = page.metadata.resource_version, page.metadata.continue_
            left = page.metadata.remaining_item_count if token else None
            if len(token) > _LONGEST_TOKEN:
                raise NotSeen("malformed", f"{path}: a continue token of {len(token)} characters")
            if not token:
                return int(version), found

    def request(
        self, path: str, until: float, verb: str = "GET", body: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """Status and body, whatever the status. Raises NotSeen where no answer came in time."""
        kind = {"Content-Type": "application/strategic-merge-patch+json"} if body else {}
        sent = msgspec.json.encode(body) if body else None
        return self._transport.request(verb, self._endpoint + path, {**self._headers, **kind}, sent, until)

    def _refuse(self, status: int, body: bytes) -> None:
        if status == 200:
            return
        if status == 404:
            raise NotSeen("not-found", "the API knows no such kind: App Mesh's CRDs are not installed")
        cause: Cause = "throttled" if status == 429 else "refused" if status in (401, 403) else "server-error"
        raise NotSeen(cause, f"HTTP {status}: {_message(body)}")

    def _page(self, body: bytes, kind: type[T], path: str, size: int) -> tuple[Page, list[T]]:
        """A page and its items. Counted and measured before any is built: a short answer can hold a
        great many small objects.
        """
        if body.count(b"{") > _MANY_BRACES:
            raise TooLarge(path, len(body), "by what is in it")
        page = self._decode(body, Page, path)
        raw = page.items or []
        if len(raw) > size:
            raise NotSeen("malformed", f"{path}: {len(raw)} items on a page of {size}")
        if max(map(_length, raw), default=0) > MOST_ITEM:
            raise NotSeen("malformed", f"{path}: an item larger than any that etcd takes")
        return page, [self._decode(item, kind, path) for item in raw]

    def _decode(self, body: bytes | msgspec.Raw, kind: type[T], path: str) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotSeen("cut", f"{path}: not a well-formed answer ({str(error)[:200]})") from error


_LONGEST_TOKEN = 4_096  # characters; Kubernetes' own take some hundreds


def _length(item: msgspec.Raw) -> int:
    return memoryview(item).nbytes


def _message(body: bytes) -> str:
    """The message of a Kubernetes Status, shortened; never the body as it is."""
    try:
        return str(msgspec.json.decode(body[:MOST_ITEM], type=_Status).message)[:200]
    except (msgspec.DecodeError, RecursionError):
        return "no Kubernetes Status in the answer"


class _Status(msgspec.Struct):
    message: str = ""
