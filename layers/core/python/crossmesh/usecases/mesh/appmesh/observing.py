"""See App Mesh: every declared resource described once, undeclared ones listed with their tags."""

from collections.abc import Iterable
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.mesh.appmesh.planner import needs_tags
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.mesh.appmesh.state import PARENT, AppMeshRequest, MeshResource, MeshView, target_of
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step, batch, call, to
from crossmesh.errors import CrossmeshError, ServiceGone
from crossmesh.ports import AppMeshApi, Clock, State
from crossmesh.usecases import state
from crossmesh.usecases.context import Context

_MESHES_AT_MOST = 500  # names that are remembered; an account has 15 meshes by default
# Names of the meshes that this deployment wrote into: when the last document of one goes, the mesh
# goes, too
MESHES = "meshes"


GONE_FOR = 600.0  # seconds for which an App Mesh API that gave no answer is not asked again


def still_gone(context: Context, before: Report | None, now: float) -> bool:
    """Whether the last look (`before`), under this configuration, found nobody to answer a short
    while ago.
    """
    return (
        before is not None
        and before.mesh_gone > 0
        and before.config == context.config
        and now - before.mesh_gone < GONE_FOR
    )


def observe(context: Context, before: Report | None = None) -> Step[MeshView]:
    """The meshes that the manifests declare, and those they declared before. An API that cannot be
    read is a view that says so, never an error.

    `before`: what the last look said. Where App Mesh is gone it costs one question of bounded time,
    and then none for ten minutes.
    """
    begun = yield from call(Clock.now)
    if before is not None and still_gone(context, before, begun):
        return MeshView(begun=begun, unavailable=before.mesh_unavailable, gone=before.mesh_gone)
    declared = {target_of(request): request for request in requests(context.topology)}
    left = (yield from remembered()) - {target.mesh for target in declared}
    try:
        resources = yield from _resources(
            declared, [MeshTarget(mesh=mesh, kind="mesh", name=mesh) for mesh in sorted(left)], context
        )
    except ServiceGone as error:
        return MeshView(begun=begun, unavailable=str(error), gone=begun)
    except CrossmeshError as error:
        return MeshView(begun=begun, unavailable=str(error))
    return MeshView(begun=begun, resources=tuple(sorted(resources, key=lambda r: r.target)))


def remembered() -> Step[set[str]]:
    """Names of the meshes that this deployment wrote into."""
    data = yield from call(State.read, MESHES)
    return set(codec.decode(data, tuple[str, ...])) if data else set()


def remember(context: Context, view: MeshView) -> Step[None]:
    """Before anything is written: which meshes are concerned. One that is gone and not declared is
    forgotten.
    """
    there = {resource.target.mesh for resource in view.resources}
    before = yield from remembered()
    after = {mesh.aws_name for mesh in context.topology.meshes} | (before & there)
    if after != before:
        yield from call(State.write, MESHES, codec.encode(tuple(sorted(after)[:_MESHES_AT_MOST])))


def _resources(
    declared: dict[MeshTarget, AppMeshRequest], left: list[MeshTarget], context: Context
) -> Step[list[MeshResource]]:
    targets = sorted((*declared, *left), key=lambda target: target.kind != "mesh")
    if not targets:
        return []
    # Alone: where the API is gone this is all that is asked
    first = yield from call(AppMeshApi.describe, targets[0])
    meshes = [target for target in targets[1:] if target.kind == "mesh"]
    answers = [first, *(yield from batch([to(AppMeshApi.describe, target) for target in meshes]))]
    there = {answer.target.mesh for answer in state.raise_first(answers) if answer is not None}
    # A mesh that does not exist holds nothing
    inside = [target for target in targets if target.kind != "mesh" and target.mesh in there]
    answers += yield from batch([to(AppMeshApi.describe, target) for target in inside])
    found: list[MeshResource] = [answer for answer in state.raise_first(answers) if answer is not None]
    listed = yield from _listed({resource.target.mesh for resource in found})
    found += [resource for resource in listed if resource.target not in declared]
    asked = [resource for resource in found if needs_tags(declared.get(resource.target), resource)]
    tags = yield from batch([to(AppMeshApi.tags, resource.arn) for resource in asked])
    tagged = {resource.target: answer for resource, answer in zip(asked, state.raise_first(tags), strict=True)}
    specs = yield from _specs(declared, asked, tagged, context.settings.owner)
    return [msgspec.structs.replace(r, tags=tagged.get(r.target), spec=specs.get(r.target, r.spec)) for r in found]


def _specs(
    declared: dict[MeshTarget, AppMeshRequest],
    asked: Iterable[MeshResource],
    tags: dict[MeshTarget, dict[str, str]],
    owner: str,
) -> Step[dict[MeshTarget, dict[str, Any]]]:
    """Specs of undeclared resources, where it matters what they use: when one of ours is to go, or
    a router is to change.
    """
    undeclared = [resource.target for resource in asked if resource.target not in declared]
    going = any(tags[target].get(OWNER_TAG) == owner for target in undeclared)
    changing = any(resource.target.kind == "virtualRouter" for resource in asked if resource.target in declared)
    if not (going or changing):
        return {}
    answers = yield from batch([to(AppMeshApi.describe, target) for target in undeclared])
    return {answer.target: answer.spec for answer in state.raise_first(answers) if answer is not None}


def _listed(meshes: set[str]) -> Step[list[MeshResource]]:
    """Everything there is in the meshes, by name and ARN."""
    tops = [
        (mesh, kind)
        for mesh in sorted(meshes)
        for kind in ("virtualNode", "virtualGateway", "virtualRouter", "virtualService")
    ]
    answers = yield from batch([to(AppMeshApi.list, mesh, kind) for mesh, kind in tops])
    found = [
        MeshResource(target=MeshTarget(mesh=mesh, kind=kind, name=name), arn=arn)
        for (mesh, kind), refs in zip(tops, state.raise_first(answers), strict=True)
        for name, arn in refs
    ]
    children = {parent: kind for kind, parent in PARENT.items()}
    parents = [resource.target for resource in found if resource.target.kind in children]
    answers = yield from batch([to(AppMeshApi.list, p.mesh, children[p.kind], p.name) for p in parents])
    for parent, refs in zip(parents, state.raise_first(answers), strict=True):
        kind = children[parent.kind]
        found += [
            MeshResource(target=MeshTarget(mesh=parent.mesh, kind=kind, parent=parent.name, name=name), arn=arn)
            for name, arn in refs
        ]
    return found
