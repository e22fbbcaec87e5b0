"""See the mesh: every declared resource described once, undeclared ones listed with their tags. Shared by runs and looks."""

from collections.abc import Iterable
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.core.actions import RegistryPlan
from crossmesh.core.mesh_notes import of_plan
from crossmesh.core.mesh_plan import OWNER_TAG, MeshPlan, needs_tags, plan
from crossmesh.core.mesh_view import PARENT, MeshResource, MeshTarget, MeshView, Request, target_of
from crossmesh.core.render import requests
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clock, MeshApi, State
from crossmesh.steps.calls import Step, call, to, together
from crossmesh.steps.context import Context

MESHES = "meshes"  # names of the meshes that this deployment wrote into: when the last document of one goes, the mesh goes, too


def observe(context: Context) -> Step[MeshView]:
    """The meshes that the manifests declare, and those they declared before. An API that cannot be read is a view that says so, never an error."""
    begun = yield from call(Clock.now)
    if context.settings.mesh.backend == "none":
        return MeshView(begun=begun, unavailable="")
    declared = {target_of(request): request for request in requests(context.topology)}
    left = (yield from remembered()) - {target.mesh for target in declared}
    try:
        resources = yield from _resources(declared, [MeshTarget(mesh=mesh, kind="mesh", name=mesh) for mesh in sorted(left)], context)
    except CrossmeshError as error:
        return MeshView(begun=begun, unavailable=str(error))
    return MeshView(begun=begun, resources=tuple(sorted(resources, key=lambda r: r.target)))


def decide(context: Context, view: MeshView, *, adopt: bool, beside: RegistryPlan) -> MeshPlan:
    """The plan for what was seen; nothing where the settings say `backend: none`. `adopt`: take over what AWS's controller left.

    `beside`: the registry's plan of the same pass; where it found another deployment with our owner, what it would do to the mesh is only told.
    """
    settings = context.settings
    if settings.mesh.backend == "none":
        return MeshPlan()
    made = plan(requests(context.topology), view, owner=settings.owner, adopt=adopt, remove=settings.policy.removals == "sync")
    notes = of_plan(made)
    if beside.conflict and made.actions:
        told = f"mesh: {len(made.actions)} changes wait, for another deployment uses this owner"
        return msgspec.structs.replace(made, actions=(), notes=(*notes, told))
    return msgspec.structs.replace(made, notes=notes)


def remembered() -> Step[set[str]]:
    """Names of the meshes that this deployment wrote into."""
    data = yield from call(State.read, MESHES)
    return set(codec.decode(data, tuple[str, ...])) if data else set()


def remember(context: Context, view: MeshView) -> Step[None]:
    """Before anything is written: which meshes are concerned. One that is gone and not declared is forgotten."""
    there = {resource.target.mesh for resource in view.resources}
    before = yield from remembered()
    after = {mesh.aws_name for mesh in context.topology.meshes} | (before & there)
    if after != before:
        yield from call(State.write, MESHES, codec.encode(tuple(sorted(after))))


def _resources(declared: dict[MeshTarget, Request], left: list[MeshTarget], context: Context) -> Step[list[MeshResource]]:
    answers = yield from together([to(MeshApi.describe, target) for target in (*declared, *left)])
    found: list[MeshResource] = [answer for answer in _sound(answers) if answer is not None]
    listed = yield from _listed({resource.target.mesh for resource in found})
    found += [resource for resource in listed if resource.target not in declared]
    asked = [resource for resource in found if needs_tags(declared.get(resource.target), resource)]
    tags = yield from together([to(MeshApi.tags, resource.arn) for resource in asked])
    tagged = {resource.target: answer for resource, answer in zip(asked, _sound(tags), strict=True)}
    specs = yield from _specs(declared, asked, tagged, context.settings.owner)
    return [msgspec.structs.replace(r, tags=tagged.get(r.target), spec=specs.get(r.target, r.spec)) for r in found]


def _specs(
    declared: dict[MeshTarget, Request], asked: Iterable[MeshResource], tags: dict[MeshTarget, dict[str, str]], owner: str
) -> Step[dict[MeshTarget, dict[str, Any]]]:
    """Specs of undeclared resources, where it matters what they use: when one of ours is to go, or a router is to change."""
    undeclared = [resource.target for resource in asked if resource.target not in declared]
    going = any(tags[target].get(OWNER_TAG) == owner for target in undeclared)
    changing = any(resource.target.kind == "virtualRouter" for resource in asked if resource.target in declared)
    if not (going or changing):
        return {}
    answers = yield from together([to(MeshApi.describe, target) for target in undeclared])
    return {answer.target: answer.spec for answer in _sound(answers) if answer is not None}


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
