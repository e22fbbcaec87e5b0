"""One cluster's Kubernetes API: objects and lists as complete, well-formed answers, or `NotSeen`.

A list is a chain of pages from one snapshot, checked to be whole. What an answer may cost in memory
is bounded before anything is built from it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from crossmesh.adapters.kubernetes.pods import (
    Controller,
    NodeItem,
    Page,
    PodItem,
    pod_of,
    runs,
    zone_of,
)
from crossmesh.adapters.kubernetes.transport import NotSeen, TooLarge, Transport, context
from crossmesh.core import kubernetes_names
from crossmesh.core.observed import Cause, Pod
from crossmesh.ports import PodRef

# Items a page; one page of real pods is about 3 MB. Where that is too large an answer, a small page
# is asked for
PAGE, SMALL_PAGE = 500, 25
# Bytes: of one object (etcd takes 1.5 MB), of all objects of one view that are kept
MOST_ITEM, MOST_KEPT = 2_000_000, 48_000_000
_BESIDE = 50  # bytes that a text takes in memory beside its characters
# In one answer: it would take more memory to look into it than its bytes say
_MANY_BRACES = 2_000_000
GETS_AT_ONCE = 8
# As the Helm chart of AWS's controller labels its Deployment
CONTROLLER = "app.kubernetes.io/name=appmesh-controller"
_LABELLED = urlencode({"labelSelector": CONTROLLER, "resourceVersion": "0"})

T = TypeVar("T")
K = TypeVar("K")


@dataclass(frozen=True)
class Kept(Generic[T, K]):
    """What is kept of a list whose kind is `expected`: `make` of each item, which takes `size`
    bytes.
    """

    kind: type[T]
    expected: str
    make: Callable[[T], K]
    size: Callable[[K], int]


def namespaced(namespace: str, api: str, plural: str) -> str:
    return f"{api}/namespaces/{quote(namespace, safe='')}/{plural}"


def pod_path(pod: PodRef) -> str:
    return f"{namespaced(pod.namespace, '/api/v1', 'pods')}/{quote(pod.name, safe='')}"


def size_of(pod: Pod) -> int:
    """About how many bytes it takes, kept."""
    return 500 + sum(len(key) + len(value) + 100 for key, value in pod.labels.items())


def _weight(item: object) -> int:
    """The same for any other item: its texts, and what each takes beside its characters."""
    said = msgspec.json.encode(item)
    return 500 + len(said) + said.count(b'"') * _BESIDE // 2


def as_it_is(item: T) -> T:
    return item


class Api:
    """One cluster's API: requests over its transport, answers as complete chains of well-formed
    pages.
    """

    def __init__(self, endpoint: str, ca: bytes, token: str, expires: float) -> None:
        self._transport = Transport(endpoint, context(ca), GETS_AT_ONCE)
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

        return self.whole(namespaced(namespace, "/api/v1", "pods"), until, Kept(PodItem, "PodList", pod, size_of))

    def whole(self, path: str, until: float, what: Kept[T, K]) -> tuple[int, list[K]]:
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
        return self.whole(path, until, Kept(kind, expected, make, _weight))[1]

    def list_nodes(self, until: float) -> list[NodeItem]:
        """All nodes."""
        return self.items("/api/v1/nodes", NodeItem, "NodeList", until, as_it_is)

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
            path = namespaced(namespace, "/apis/apps/v1", "deployments")
            status, body = self.request(f"{path}?{_LABELLED}", until)
            if status == 403:
                return "", f"HTTP 403: {message_of(body)}"
            self._refuse(status, body)
            for item in self._page(body, Controller, path, PAGE)[1]:
                if runs(item) and kubernetes_names.is_name(item.metadata.name):
                    return f"{namespace}/{item.metadata.name}", ""
        return "", ""

    def _pages(self, path: str, until: float, limit: int, what: Kept[T, K]) -> tuple[int, list[K]] | None:
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
        raise NotSeen(cause, f"HTTP {status}: {message_of(body)}")

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


def message_of(body: bytes) -> str:
    """The message of a Kubernetes Status, shortened; never the body as it is."""
    try:
        return str(msgspec.json.decode(body[:MOST_ITEM], type=_Status).message)[:200]
    except (msgspec.DecodeError, RecursionError):
        return "no Kubernetes Status in the answer"


class _Status(msgspec.Struct):
    message: str = ""
