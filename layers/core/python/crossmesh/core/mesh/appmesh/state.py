"""What App Mesh holds, and how its API names things."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from crossmesh.core.mesh.backend import MeshTarget

# On the way in; the reverse on the way out (rule 11).
ORDER = ("mesh", "virtualNode", "virtualGateway", "virtualRouter", "route", "virtualService", "gatewayRoute")
PARENT = {"route": "virtualRouter", "gatewayRoute": "virtualGateway"}


class AppMeshRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One App Mesh API request that the manifests mean, e.g. service "appmesh", operation
    "CreateVirtualNode"; no tags, no client token.
    """

    service: str
    operation: str
    input: dict[str, Any]


def parent_of(target: MeshTarget) -> MeshTarget | None:
    """What a resource lies in; None for a mesh."""
    if target.kind == "mesh":
        return None
    if target.parent:
        return MeshTarget(mesh=target.mesh, kind=PARENT[target.kind], name=target.parent)
    return MeshTarget(mesh=target.mesh, kind="mesh", name=target.mesh)


def uses(target: MeshTarget, spec: Mapping[str, Any]) -> Iterator[MeshTarget]:
    """What App Mesh keeps for as long as a resource with this spec stands: what it lies in and
    refers to (a node's backends are not among that).
    """
    if (parent := parent_of(target)) is not None:
        yield parent
    for kind, name in _references(target.kind, spec):
        yield MeshTarget(mesh=target.mesh, kind=kind, name=name)


def _references(kind: str, spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if kind == "virtualService":
        for provider, names in (spec.get("provider") or {}).items():
            yield provider, names.get(f"{provider}Name", "")
    elif kind in PARENT:
        for part in spec.values():
            action = (part.get("action") or {}) if isinstance(part, dict) else {}
            for target in action.get("weightedTargets") or ():
                yield "virtualNode", target.get("virtualNode", "")
            if "target" in action:
                yield "virtualService", action["target"].get("virtualService", {}).get("virtualServiceName", "")


class MeshResource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as App Mesh answers it. `tags` are None where nobody needed them."""

    target: MeshTarget
    arn: str
    spec: dict[str, Any] = {}
    status: str = "ACTIVE"
    version: int = 0
    tags: dict[str, str] | None = None


class MeshView(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen of the meshes concerned: declared resources with their spec, undeclared
    ones with their tags, sorted by target.

    Undeclared ones have a spec, too, where something is to be removed or a router changes: what
    uses what then matters.

    `unavailable` says why the API could not be read ("" = it was): then nothing is planned, and
    nothing else waits for it (rule 13).
    """

    begun: float = 0.0
    unavailable: str = ""
    # When nobody answered at all, so that nobody need ask again soon; 0 = somebody did
    gone: float = 0.0
    resources: tuple[MeshResource, ...] = ()


def target_of(request: AppMeshRequest) -> MeshTarget:
    """What a Create… request is about."""
    name = request.operation.removeprefix("Create")
    kind = name[0].lower() + name[1:]
    mesh = str(request.input["meshName"])
    if kind == "mesh":
        return MeshTarget(mesh=mesh, kind=kind, name=mesh)
    parent = str(request.input[f"{PARENT[kind]}Name"]) if kind in PARENT else ""
    return MeshTarget(mesh=mesh, kind=kind, parent=parent, name=str(request.input[f"{kind}Name"]))
