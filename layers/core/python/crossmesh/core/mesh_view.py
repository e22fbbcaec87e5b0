"""What App Mesh holds, and how its API names things."""

from typing import Any

import msgspec

from crossmesh.core.topology import Request

# On the way in; the reverse on the way out (rule 11).
ORDER = ("mesh", "virtualNode", "virtualGateway", "virtualRouter", "route", "virtualService", "gatewayRoute")
PARENT = {"route": "virtualRouter", "gatewayRoute": "virtualGateway"}


class MeshTarget(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """The identity of a mesh resource. `kind` as in App Mesh's API ("virtualNode"…), `parent` the router or gateway of a route, else ""."""

    mesh: str
    kind: str
    parent: str = ""
    name: str

    def __str__(self) -> str:
        inside = f"{self.parent}/" if self.parent else ""
        return f"{self.kind} {inside}{self.name}" + (f" in {self.mesh}" if self.kind != "mesh" else "")


class MeshResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as App Mesh answers it. `tags` are None where nobody needed them."""

    target: MeshTarget
    arn: str
    spec: dict[str, Any] = {}
    status: str = "ACTIVE"
    version: int = 0
    tags: dict[str, str] | None = None


class MeshView(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen of the meshes concerned: declared resources with their spec, undeclared ones with their tags, sorted by target.

    `unavailable` says why the API could not be read ("" = it was): then nothing is planned, and nothing else waits for it (rule 13).
    """

    begun: float = 0.0
    unavailable: str = ""
    resources: tuple[MeshResource, ...] = ()


def target_of(request: Request) -> MeshTarget:
    """What a Create… request is about."""
    name = request.operation.removeprefix("Create")
    kind = name[0].lower() + name[1:]
    mesh = str(request.input["meshName"])
    if kind == "mesh":
        return MeshTarget(mesh=mesh, kind=kind, name=mesh)
    parent = str(request.input[f"{PARENT[kind]}Name"]) if kind in PARENT else ""
    return MeshTarget(mesh=mesh, kind=kind, parent=parent, name=str(request.input[f"{kind}Name"]))
