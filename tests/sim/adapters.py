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

from world.aws.models.app_mesh import OPERATIONS as APP_MESH
from world.aws.models.cloud_map import OPERATIONS as CLOUD_MAP
from world.aws.models.errors import AwsError

_NAMES = {"servicediscovery": {xform_name(name): name for name in CLOUD_MAP}, "appmesh": {xform_name(name): name for name in APP_MESH}}
_TOKENS = {"servicediscovery": "NextToken", "appmesh": "nextToken"}
READ_PREFIXES = ("Get", "List", "Describe", "Discover")


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
    """A botocore client's face over a model. `made` is told of every request first and may raise in AWS's name."""

    def __init__(self, service: str, model: Any, made: Callable[[str, str, dict[str, Any]], Any]) -> None:
        self._service, self._model, self._made = service, model, made

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = _NAMES[self._service].get(name)
        if operation is None:
            raise AttributeError(name)

        def method(**request: Any) -> Any:
            try:
                return self._made(self._service, operation, request)
            except AwsError as error:
                raise client_error(error.code, error.message, operation, **error.members) from error

        self.__dict__[name] = method
        return method

    def get_paginator(self, name: str) -> "_Pages":
        """Every page, by token."""
        return _Pages(getattr(self, name), _TOKENS[self._service])


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

    def __init__(self, real: types.ModuleType, client: Callable[[str], Client]) -> None:
        self._real, self._client = real, client

    def client(self, service: str, *_: Any, **__: Any) -> Client:
        return self._client(service)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@cache
def _modules() -> tuple[types.ModuleType, types.ModuleType, types.ModuleType]:
    return private("crossmesh.adapters.cloud_map"), private("crossmesh.adapters.app_mesh"), private("crossmesh.adapters.kubernetes")


def registry_and_mesh(client: Callable[[str], Client]) -> tuple[Any, Any]:
    """The shipped Cloud Map and App Mesh adapters on `client`."""
    import crossmesh.adapters.aws

    cloud_map, app_mesh, _ = _modules()
    for module in (cloud_map, app_mesh):
        module.__dict__["aws"] = _Aws(crossmesh.adapters.aws, client)
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
    _, _, module = _modules()
    module.__dict__["time"] = _Time(now)
    module.__dict__["ThreadPoolExecutor"] = _InTurn
    not_seen = module._NotSeen

    class Api(module._Api):  # type: ignore[name-defined,misc]
        def __init__(self, name: str) -> None:
            self.transport, self.expires = transport(name), float("inf")

        def request(self, path: str, until: float, verb: str = "GET", body: Any = None) -> tuple[int, bytes]:
            if until <= now():
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

    class Simulated(module.KubernetesClusters):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            self._apis: dict[str, Any] = {}
            self._zones: dict[Any, Any] = {}
            self._eks = _Nothing()

        def _api(self, cluster: Any) -> Api:
            return Api(cluster.name)

    return Simulated()
