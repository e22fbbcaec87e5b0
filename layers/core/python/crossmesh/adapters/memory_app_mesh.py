"""App Mesh in memory, as the `AppMeshApi` port."""

import msgspec

from crossmesh.core.mesh.appmesh.state import PARENT, AppMeshRequest, MeshResource, target_of
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.errors import Conflict, NotFound


class MemoryMesh:
    """App Mesh without reference checks."""

    def __init__(self) -> None:
        self.resources: dict[MeshTarget, MeshResource] = {}
        self.writes: list[tuple[str, str]] = []

    def list(self, mesh: str, kind: str, parent: str = "") -> tuple[tuple[str, str], ...]:
        """Names and ARNs."""
        return tuple(
            (t.name, r.arn)
            for t, r in sorted(self.resources.items())
            if (t.mesh, t.kind, t.parent) == (mesh, kind, parent)
        )

    def describe(self, target: MeshTarget) -> MeshResource | None:
        """The resource without tags."""
        found = self.resources.get(target)
        return None if found is None else msgspec.structs.replace(found, tags=None)

    def tags(self, arn: str) -> dict[str, str]:
        """Its tags."""
        return next((r.tags or {} for r in self.resources.values() if r.arn == arn), {})

    def create(self, operation: str, request: dict[str, object], tags: dict[str, str], token: str) -> None:
        """Create."""
        target = target_of(AppMeshRequest(service="appmesh", operation=operation, input=request))
        self.writes.append(("create", str(target)))
        if target in self.resources:
            raise Conflict("ConflictException", str(target))
        spec = msgspec.convert(request.get("spec", {}), dict[str, object])
        self.resources[target] = MeshResource(target=target, arn=f"arn:{target}", spec=spec, tags=dict(tags), version=1)

    def update(self, operation: str, request: dict[str, object], token: str) -> None:
        """Replace the spec."""
        target = target_of(
            AppMeshRequest(service="appmesh", operation=operation.replace("Update", "Create", 1), input=request)
        )
        self.writes.append(("update", str(target)))
        if target not in self.resources:
            raise NotFound("NotFoundException", str(target))
        spec = msgspec.convert(request.get("spec", {}), dict[str, object])
        self.resources[target] = msgspec.structs.replace(
            self.resources[target], spec=spec, version=self.resources[target].version + 1
        )

    def delete(self, target: MeshTarget) -> None:
        """Delete; a parent with children is in use."""
        self.writes.append(("delete", str(target)))
        if target not in self.resources:
            raise NotFound("NotFoundException", str(target))
        if any(PARENT.get(t.kind) == target.kind and t.parent == target.name for t in self.resources):
            raise Conflict("ResourceInUseException", str(target))
        del self.resources[target]

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """Add tags."""
        for target, resource in self.resources.items():
            if resource.arn == arn:
                self.resources[target] = msgspec.structs.replace(resource, tags={**(resource.tags or {}), **tags})
