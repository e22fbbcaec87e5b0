"""The shipped adapters over models: Cloud Map and App Mesh through a client that calls the world's models, Kubernetes through a transport that answers bytes.

Private copies of the adapters' modules are made, so that a virtual clock in them touches nobody else in the process.
"""

import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Self

import botocore.exceptions
from botocore import xform_name

from tests.sim.clusters import Dripping
from world.aws.models.app_mesh import OPERATIONS as APP_MESH
from world.aws.models.cloud_map import OPERATIONS as CLOUD_MAP
from world.aws.models.errors import AwsError

_NAMES = {"servicediscovery": {xform_name(name): name for name in CLOUD_MAP}, "appmesh": {xform_name(name): name for name in APP_MESH}}
_TOKENS = {"servicediscovery": "NextToken", "appmesh": "nextToken"}
WRITES = frozenset(name for name in (*CLOUD_MAP, *APP_MESH) if not name.startswith(("Get", "List", "Describe", "Discover")))


def private(name: str) -> types.ModuleType:
    """A copy of a module under a name of its own. Honours whoever changed how it is found (mutants)."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    source = spec.loader.get_source(name)  # type: ignore[attr-defined]
    module = types.ModuleType(f"{name}__simulated")
    module.__file__ = spec.origin
    sys.modules[module.__name__] = module
    exec(compile(source, spec.origin or name, "exec"), module.__dict__)
    return module


class Client:
    """A botocore client's face over the models. `made` answers every request, and may raise in AWS's name. Its methods are those of `_CLIENTS`."""

    service = ""

    def __init__(self, made: Callable[[str, str, dict[str, Any]], Any]) -> None:
        self._made = made

    def get_paginator(self, name: str) -> "_Pages":
        """Every page, by token."""
        return _Pages(getattr(self, name), _TOKENS[self.service])


def _method(service: str, operation: str) -> Callable[..., Any]:
    def method(self: Client, **request: Any) -> Any:
        try:
            return self._made(service, operation, request)
        except AwsError as error:
            raise client_error(error.code, error.message, operation, **error.members) from error

    return method


_CLIENTS = {
    service: type("Client", (Client,), {"service": service} | {name: _method(service, operation) for name, operation in names.items()})
    for service, names in _NAMES.items()
}


def client_error(code: str, message: str, operation: str, status: int = 400, **members: Any) -> botocore.exceptions.ClientError:
    """An error as botocore raises it."""
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **members}
    return botocore.exceptions.ClientError(answer, operation)


class _Pages:
    def __init__(self, method: Callable[..., Any], token: str) -> None:
        self._method, self._token = method, token

    def paginate(self, PaginationConfig: dict[str, Any] | None = None, **request: Any) -> Iterator[Any]:  # noqa: N803 - botocore's name
        size = (PaginationConfig or {}).get("PageSize")
        if size:
            request = {**request, "MaxResults": size}
        while True:
            page = self._method(**request)
            yield page
            if not page.get(self._token):
                return
            request = {**request, self._token: page[self._token]}


class _Aws:
    """`crossmesh.adapters.aws`, but for where its clients come from."""

    def __init__(self, real: types.ModuleType, made: Callable[[str, str, dict[str, Any]], Any]) -> None:
        self.translated, self.unanswered, self._made = real.translated, real.unanswered, made

    def client(self, service: str, *_: Any, **__: Any) -> Client:
        return _CLIENTS[service](self._made)


@cache
def _modules() -> dict[str, types.ModuleType]:
    """The private copies, without threads: side by side is what the simulator decides, not the machine."""
    names = ("cloud_map", "app_mesh", "kubernetes.api", "kubernetes.view", "kubernetes.clusters")
    found = {name: private(f"crossmesh.adapters.{name}") for name in names}
    for name in ("cloud_map", "kubernetes.view"):
        found[name].__dict__["ThreadPoolExecutor"] = _InTurn
    return found


def registry_and_mesh(made: Callable[[str, str, dict[str, Any]], Any]) -> tuple[Any, Any]:
    """The shipped Cloud Map and App Mesh adapters, their requests answered by `made(service, operation, request)`."""
    import crossmesh.adapters.aws

    cloud_map, app_mesh = _modules()["cloud_map"], _modules()["app_mesh"]
    for module in (cloud_map, app_mesh):
        module.__dict__["aws"] = _Aws(crossmesh.adapters.aws, made)
    return cloud_map.CloudMap("us-east-1"), app_mesh.AppMesh("us-east-1")


class _InTurn:
    """A thread pool without threads."""

    def __init__(self, **_: Any) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, do: Callable[[Any], Any], items: Any) -> list[Any]:
        return [do(item) for item in items]


class _Nothing:
    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


class _Time:
    def __init__(self, now: Callable[[], float]) -> None:
        self.time = self.monotonic = now


def clusters(now: Callable[[], float], transport: Callable[[str], Any]) -> Any:
    """The shipped Kubernetes adapter; `transport(cluster)` answers `request(path) -> (status, body)` or raises TimeoutError/ConnectionError/EOFError."""
    module, api = _modules()["kubernetes.clusters"], _modules()["kubernetes.api"]
    module.__dict__["time"] = api.__dict__["time"] = _Time(now)
    module.__dict__["within"] = _within(transport)
    return _simulated()(now, transport)


def _within(transport: Callable[[str], Any]) -> Callable[..., Any]:
    """The shipped `within`, without threads: what drips is waited for until the limit, and whose it is says for how long."""

    def within(seconds: float, do: Callable[[], Any], late: Callable[[], Any]) -> Any:
        try:
            return do()
        except Dripping as drip:
            transport(str(drip)).waited = seconds
            return late()

    return within


_DECODED_MOST = 512


@cache
def _simulated() -> Callable[..., Any]:
    """The shipped adapter's class over a transport of the simulator's. Answers are decoded once for equal bytes: what comes of it is never changed."""
    module, api = _modules()["kubernetes.clusters"], _modules()["kubernetes.api"]
    not_seen, page, pod_of = api.NotSeen, api.Api._page, api.pod_of
    decoded: dict[tuple[bytes, Any], Any] = {}
    pods: dict[int, tuple[Any, Any]] = {}

    def pod_of_once(item: Any, now: float) -> Any:
        found = pods.get(id(item))
        if found is None or found[0] is not item:
            if len(pods) > _DECODED_MOST:
                pods.clear()
            found = pods[id(item)] = item, pod_of(item, now)
        return found[1]

    api.__dict__["pod_of"] = pod_of_once

    class Api(api.Api):  # type: ignore[name-defined,misc]
        def __init__(self, now: Callable[[], float], transport: Any) -> None:
            self.now, self.transport, self.expires = now, transport, float("inf")

        def request(self, path: str, until: float, verb: str = "GET", body: Any = None) -> tuple[int, bytes]:
            if until <= self.now():
                raise not_seen("timeout", "no time left")
            try:
                answer: tuple[int, bytes] = self.transport.request(path)
            except TimeoutError as error:
                raise not_seen("timeout", path) from error
            except ConnectionError as error:
                raise not_seen("unreachable", path) from error
            except EOFError as error:
                raise not_seen("cut", path) from error
            return answer

        def sever(self) -> None: ...

        def _page(self, body: bytes, kind: Any, path: str, size: int) -> Any:
            found = decoded.get((body, kind))
            if found is None:
                if len(decoded) > _DECODED_MOST:
                    decoded.clear()
                found = decoded[body, kind] = page(self, body, kind, path, size)
            return found

    class Simulated(module.KubernetesClusters):  # type: ignore[name-defined,misc]
        def __init__(self, now: Callable[[], float], transport: Callable[[str], Any]) -> None:
            self.now, self.transport = now, transport
            self._apis: dict[str, Any] = {}
            self._views = _modules()["kubernetes.view"].ClusterViews()
            self._eks = _Nothing()

        def _api(self, cluster: Any) -> Api:
            return Api(self.now, self.transport(cluster.name))

    made: Callable[..., Any] = Simulated
    return made
