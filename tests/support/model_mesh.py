"""AWS clients over the world's models, in this process; and the real App Mesh adapter on one: what App Mesh refuses, a step's test sees refused."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from crossmesh.adapters.app_mesh import AppMesh
from crossmesh.core.mesh.backend import MeshTarget

from world.aws.models.app_mesh import OPERATIONS
from world.aws.models.app_mesh import AppMesh as Model
from world.aws.models.errors import AwsError

Document = dict[str, Any]
ACCOUNT = "123456789012"
WRITES = ("Create", "Update", "Delete", "Tag")


class Exceptions:
    """`client.exceptions`: one class a code, made when first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, type[ClientError]] = {}

    def __getattr__(self, code: str) -> type[ClientError]:
        return self._made.setdefault(code, type(code, (ClientError,), {}))


class Client:
    """As much of boto3's client as is used.

    `calls` counts by operation; `spoil` may name an error code for an operation before (False) or after (True) it has its effect.
    """

    def __init__(self, model: Any, operations: Iterable[str] = OPERATIONS) -> None:
        self.model, self.exceptions = model, Exceptions()
        self._lock = threading.Lock()
        self._by_method = {xform_name(name): name for name in operations}
        self.calls: dict[str, int] = {}
        self.spoil: Callable[[str, bool], str | None] = lambda operation, done: None

    def __getattr__(self, method: str) -> Callable[..., Document]:
        if method.startswith("_") or method not in self._by_method:
            raise AttributeError(method)
        return lambda **request: self.call(self._by_method[method], request)

    def call(self, operation: str, request: Document) -> Document:
        """One call at a time: the model knows no threads, and every call counts."""
        with self._lock:
            self.calls[operation] = self.calls.get(operation, 0) + 1
            self._spoiled(operation, done=False)
            try:
                answer: Document = self.model.call(operation, request)
            except AwsError as error:
                raise getattr(self.exceptions, error.code)({"Error": {"Code": error.code, "Message": error.message}}, operation) from error
            self._spoiled(operation, done=True)
            return answer

    def _spoiled(self, operation: str, *, done: bool) -> None:
        if code := self.spoil(operation, done):
            raise ClientError({"Error": {"Code": code, "Message": "spoiled by the test"}}, operation)

    def get_paginator(self, method: str) -> "Client._Pages":
        return Client._Pages(self, self._by_method[method])

    class _Pages:
        def __init__(self, client: "Client", operation: str) -> None:
            self.client, self.operation = client, operation

        def paginate(self, **request: Any) -> Iterator[Document]:
            token: str | None = None
            while True:
                page = self.client.call(self.operation, {**request, **({"nextToken": token} if token else {})})
                yield page
                token = page.get("nextToken")
                if not token:
                    return


class ModelMesh(AppMesh):
    """`ports.AppMeshApi` on the model."""

    def __init__(self, clock: Callable[[], float] = lambda: 1.0) -> None:
        self.model = Model(clock, random.Random(7), account=ACCOUNT)
        self.client = self._read = self._write = self._first = Client(self.model)

    def specs(self) -> dict[MeshTarget, Document]:
        """Everything that stands."""
        return {target_at(key): resource.spec for key, resource in self.model._resources.items()}

    def writes(self) -> int:
        """Writing calls so far."""
        return sum(count for operation, count in self.client.calls.items() if operation.startswith(WRITES))


def target_at(key: tuple[str, ...]) -> MeshTarget:
    """The target that a key of the model names."""
    kind, mesh, *inner = key
    if kind == "mesh":
        return MeshTarget(mesh=mesh, kind=kind, name=mesh)
    return MeshTarget(mesh=mesh, kind=kind, parent=inner[0] if len(inner) == 2 else "", name=inner[-1])
