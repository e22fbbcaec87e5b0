"""App Mesh as the `AppMeshApi` port, generic over its seven kinds: every operation is named after
the kind.
"""

from functools import cache
from typing import Any

from crossmesh.adapters import aws
from crossmesh.core.mesh.appmesh.state import PARENT, MeshResource
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.errors import NotFound, RefusedError, ServiceGone, TransientError

_PLURAL = {"mesh": "meshes"}
PATIENCE = 3.0  # seconds to connect, and as many for an answer


@cache
def _snake(kind: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in kind)


class AppMesh:
    """Implements `ports.AppMeshApi`. Writes are not retried by the SDK: the step decides after a
    fresh read.
    """

    def __init__(self, region: str) -> None:
        self._read = aws.client("appmesh", region)
        self._write = aws.client("appmesh", region, attempts=1)
        self._first = aws.client("appmesh", region, attempts=1, patience=PATIENCE)

    def list(self, mesh: str, kind: str, parent: str = "") -> tuple[tuple[str, str], ...]:
        """Every page of List…."""
        plural = _PLURAL.get(kind, f"{kind}s")
        request: dict[str, Any] = {"meshName": mesh} if kind != "mesh" else {}
        if parent:
            request[f"{PARENT[kind]}Name"] = parent
        operation = f"list_{_snake(plural)}"
        try:
            with aws.translated():
                pages = self._read.get_paginator(operation).paginate(**request)
                return tuple((ref[f"{kind}Name"], ref["arn"]) for page in pages for ref in page[plural])
        except NotFound:
            return ()

    def describe(self, target: MeshTarget) -> MeshResource | None:
        """Describe…; a resource in status DELETED is not there. A mesh is asked for with little
        patience: whoever looks asks for it first.
        """
        if target.kind != "mesh":
            return self._describe(self._read, target)
        try:
            return self._describe(self._first, target)
        except TransientError as error:
            if aws.unanswered(error):
                raise ServiceGone("NoAnswer", f"App Mesh gave no answer within {PATIENCE:.0f} s ({error})") from error
            return self._describe(self._read, target)

    def _describe(self, client: Any, target: MeshTarget) -> MeshResource | None:
        try:
            with aws.translated():
                answer = getattr(client, f"describe_{_snake(target.kind)}")(**_names(target))[target.kind]
                status, metadata = answer["status"]["status"], answer["metadata"]
                found = MeshResource(
                    target=target,
                    arn=metadata["arn"],
                    spec=answer.get("spec", {}),
                    status=status,
                    version=metadata.get("version", 0),
                )
        except NotFound:
            return None
        return None if status == "DELETED" else found

    def tags(self, arn: str) -> dict[str, str]:
        """ListTagsForResource, every page."""
        with aws.translated():
            pages = self._read.get_paginator("list_tags_for_resource").paginate(resourceArn=arn)
            return {tag["key"]: tag["value"] for page in pages for tag in page["tags"]}

    def create(self, operation: str, request: dict[str, object], tags: dict[str, str], token: str) -> None:
        """Create… with tags."""
        self._call(
            operation,
            {**request, "tags": [{"key": k, "value": v} for k, v in sorted(tags.items())], "clientToken": token},
        )

    def update(self, operation: str, request: dict[str, object], token: str) -> None:
        """Update…."""
        self._call(operation, {**request, "clientToken": token})

    def delete(self, target: MeshTarget) -> None:
        """Delete…."""
        with aws.translated():
            getattr(self._write, f"delete_{_snake(target.kind)}")(**_names(target))

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """TagResource."""
        with aws.translated():
            self._write.tag_resource(resourceArn=arn, tags=[{"key": k, "value": v} for k, v in sorted(tags.items())])

    def _call(self, operation: str, request: dict[str, Any]) -> None:
        method = _snake(operation[0].lower() + operation[1:])
        if not hasattr(self._write, method):
            raise RefusedError("UnknownOperation", operation)
        with aws.translated():
            getattr(self._write, method)(**request)


def _names(target: MeshTarget) -> dict[str, str]:
    names = {"meshName": target.mesh}
    if target.kind != "mesh":
        names[f"{target.kind}Name"] = target.name
    if target.parent:
        names[f"{PARENT[target.kind]}Name"] = target.parent
    return names
