"""The mesh's planner: the requests that the manifests mean and what App Mesh holds in, a plan out. Pure.

Only what carries our tag is changed or removed; a difference is one that the API would keep (its defaults are known, so no update repeats for ever).
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from crossmesh.core.mesh_view import ORDER, MeshResource, MeshTarget, MeshView, target_of
from crossmesh.core.topology import Request

OWNER_TAG = "crossmesh:owner"

# Where a manifest is silent the API answers with these; their presence is no drift.
_DEFAULTS: tuple[tuple[tuple[str, ...], Any], ...] = ((("egressFilter",), {"type": "DROP_ALL"}),)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs: dotted `field`, value found (`old`) and declared (`new`), None = absent."""

    field: str
    old: Any = None
    new: Any = None


class MeshAction(msgspec.Struct, frozen=True, kw_only=True):
    """Create, update or delete one resource. `request` is the API's input without tags and token; `adopt`: put our tag on it first."""

    verb: Literal["create", "update", "delete"]
    target: MeshTarget
    request: Request | None = None
    arn: str = ""
    adopt: bool = False
    changes: tuple[Change, ...] = ()
    reason: str


class MeshWithheld(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was not made, and why."""

    target: MeshTarget
    detail: str


class MeshPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Actions in apply order."""

    actions: tuple[MeshAction, ...] = ()
    withheld: tuple[MeshWithheld, ...] = ()
    unavailable: str = ""


def differences(declared: Any, found: Any, path: tuple[str, ...] = ()) -> tuple[Change, ...]:
    """The fields in which `found` is not as `declared`. Empty and absent are the same, as in AWS's controller (pkg/equality)."""
    if declared == found:
        return ()
    new, old = _plain(declared), _plain(found)
    if isinstance(new, dict) and isinstance(old, dict):
        fields: list[Change] = []
        for key in sorted(new.keys() | old.keys()):
            here = (*path, key)
            if key not in new and ((here, old[key]) in _DEFAULTS or (key == "port" and path[-1:] == ("healthCheck",))):
                continue
            fields += differences(new.get(key), old.get(key), here)
        return tuple(fields)
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return tuple(c for i, (a, b) in enumerate(zip(new, old, strict=True)) for c in differences(a, b, (*path, str(i))))
    return () if new == old else (Change(field=".".join(path), old=old, new=new),)


def _plain(value: Any) -> Any:
    """Without what says nothing: None, empty lists, empty objects. Whole floats are the integers they equal."""
    if isinstance(value, dict):
        kept = {key: plain for key, item in value.items() if (plain := _plain(item)) is not None}
        return kept or None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value] or None
    return value


def plan(requests: Iterable[Request], view: MeshView, *, owner: str, adopt: bool = False, remove: bool = True) -> MeshPlan:
    """What brings the meshes in `view` to `requests`."""
    if view.unavailable:
        return MeshPlan(unavailable=view.unavailable)
    declared = {target_of(request): request for request in requests}
    found = {resource.target: resource for resource in view.resources}
    build, retire, withheld = [], [], []
    for target, request in declared.items():
        resource = found.get(target)
        if resource is None:
            build.append(MeshAction(verb="create", target=target, request=request, reason="declared and not there"))
            continue
        changes = differences(request.input.get("spec", {}), resource.spec)
        if not changes:
            continue
        ours = (resource.tags or {}).get(OWNER_TAG) == owner
        if ours or (adopt and OWNER_TAG not in (resource.tags or {})):
            reason = f"{len(changes)} field{'s differ' if len(changes) > 1 else ' differs'} from the manifest"
            build.append(
                MeshAction(verb="update", target=target, request=request, arn=resource.arn, adopt=not ours, changes=changes, reason=reason)
            )
        else:
            holder = (resource.tags or {}).get(OWNER_TAG)
            whose = f"it belongs to owner {holder!r}" if holder else "it carries no crossmesh:owner tag (`crossmesh adopt` takes it over)"
            withheld.append(MeshWithheld(target=target, detail=f"differs from the manifest, but {whose}"))
    for target, resource in found.items():
        if target not in declared and (resource.tags or {}).get(OWNER_TAG) == owner and remove:
            retire.append(MeshAction(verb="delete", target=target, arn=resource.arn, reason="ours, and no manifest declares it"))
    build.sort(key=lambda action: (ORDER.index(action.target.kind), action.target))
    retire.sort(key=lambda action: (-ORDER.index(action.target.kind), action.target))
    return MeshPlan(actions=(*build, *retire), withheld=tuple(sorted(withheld, key=lambda w: w.target)))


def needs_tags(request: Request | None, resource: MeshResource) -> bool:
    """Whether the decision about a resource needs its tags: one that differs, or that nothing declares."""
    return request is None or bool(differences(request.input.get("spec", {}), resource.spec))
