"""See the mesh: every declared resource described once, undeclared ones listed with their tags. Shared by runs and looks."""

from typing import Any

import msgspec

from crossmesh.core.mesh_plan import MeshPlan, needs_tags, plan
from crossmesh.core.mesh_view import PARENT, MeshResource, MeshTarget, MeshView, target_of
from crossmesh.core.render import requests
from crossmesh.core.topology import Request
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clock, MeshApi
from crossmesh.steps.calls import Step, call, to, together
from crossmesh.steps.context import Context


def observe(context: Context) -> Step[MeshView]:
    """The meshes that the manifests declare. An API that cannot be read is a view that says so, never an error."""
    begun = yield from call(Clock.now)
    if context.settings.mesh.backend == "none":
        return MeshView(begun=begun, unavailable="")
    declared = {target_of(request): request for request in requests(context.topology)}
    try:
        resources = yield from _resources(declared)
    except CrossmeshError as error:
        return MeshView(begun=begun, unavailable=str(error))
    return MeshView(begun=begun, resources=tuple(sorted(resources, key=lambda r: r.target)))


def decide(context: Context, view: MeshView) -> MeshPlan:
    """The plan for what was seen; nothing where the settings say `backend: none`."""
    settings = context.settings
    if settings.mesh.backend == "none":
        return MeshPlan()
    return plan(requests(context.topology), view, owner=settings.owner, adopt=settings.mesh.adopt, remove=settings.policy.removals == "sync")


def _resources(declared: dict[MeshTarget, Request]) -> Step[list[MeshResource]]:
    answers = yield from together([to(MeshApi.describe, target) for target in declared])
    found: list[MeshResource] = [answer for answer in _sound(answers) if answer is not None]
    listed = yield from _listed({target.mesh for target in declared})
    found += [resource for resource in listed if resource.target not in declared]
    asked = [resource for resource in found if needs_tags(declared.get(resource.target), resource)]
    tags = yield from together([to(MeshApi.tags, resource.arn) for resource in asked])
    tagged = {resource.target: answer for resource, answer in zip(asked, _sound(tags), strict=True)}
    return [msgspec.structs.replace(resource, tags=tagged.get(resource.target)) for resource in found]


def _listed(meshes: set[str]) -> Step[list[MeshResource]]:
    """Everything there is in the meshes, by name and ARN."""
    tops = [(mesh, kind) for mesh in sorted(meshes) for kind in ("virtualNode", "virtualGateway", "virtualRouter", "virtualService")]
    answers = yield from together([to(MeshApi.list, mesh, kind) for mesh, kind in tops])
    found = [
        MeshResource(target=MeshTarget(mesh=mesh, kind=kind, name=name), arn=arn)
        for (mesh, kind), refs in zip(tops, _sound(answers), strict=True)
        for name, arn in refs
    ]
    children = {parent: kind for kind, parent in PARENT.items()}
    parents = [resource.target for resource in found if resource.target.kind in children]
    answers = yield from together([to(MeshApi.list, p.mesh, children[p.kind], p.name) for p in parents])
    for parent, refs in zip(parents, _sound(answers), strict=True):
        kind = children[parent.kind]
        found += [MeshResource(target=MeshTarget(mesh=parent.mesh, kind=kind, parent=parent.name, name=name), arn=arn) for name, arn in refs]
    return found


def _sound(answers: list[Any]) -> list[Any]:
    """The answers, unless one is an error: a mesh half seen plans nothing."""
    for answer in answers:
        if isinstance(answer, CrossmeshError):
            raise answer
    return answers
