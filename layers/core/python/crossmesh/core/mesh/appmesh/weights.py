"""Weights as App Mesh's API spells them, told by virtual node: what a plan changes of a route, and
which weights App Mesh holds. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crossmesh.core.mesh.appmesh.diff import Change
from crossmesh.core.mesh.appmesh.plan import MeshAction
from crossmesh.core.mesh.backend import Difference
from crossmesh.core.topology import ROUTE_KINDS

_TARGETS = "action.weightedTargets"


def weights_found(action: MeshAction) -> dict[str, int] | None:
    """The weights of a route as the mesh has them, zeros left out, where an update changes nothing
    but weights; None otherwise.
    """
    kind, targets = _declared(action)
    weights = [int(target.get("weight", 0)) for target in targets]
    for change in action.changes:
        index = _weight_at(change, kind)
        if index is None:
            return None
        weights[index] = int(change.old or 0)
    found = _by_node(targets, weights)
    return {name: weight for name, weight in found.items() if weight}


def differences_of(action: MeshAction) -> tuple[Difference, ...]:
    """What an action finds other than declared."""
    kind, targets = _declared(action)
    return tuple(difference for change in action.changes for difference in _differences(change, kind, targets))


def _differences(change: Change, kind: str, targets: list[Mapping[str, Any]]) -> Iterator[Difference]:
    index = _weight_at(change, kind)
    if index is not None:
        yield Difference(field=f"weight of {_node(targets[index])}", found=change.old, declared=change.new)
        return
    old, new = _weights(change.old), _weights(change.new)
    if kind and change.field == f"{kind}.{_TARGETS}" and old != new:
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                yield Difference(field=f"weight of {name}", found=old.get(name), declared=new.get(name))
        return
    yield Difference(field=change.field, found=change.old, declared=change.new)


def _declared(action: MeshAction) -> tuple[str, list[Mapping[str, Any]]]:
    """The kind of the declared route ("" where it is none) and its targets."""
    spec = dict((action.request.input.get("spec") if action.request else None) or {})
    kind = next((kind for kind in ROUTE_KINDS if kind in spec), "") if action.target.kind == "route" else ""
    return kind, list(((spec.get(kind) or {}).get("action") or {}).get("weightedTargets") or ())


def _weight_at(change: Change, kind: str) -> int | None:
    """Which target's weight a change is about; None where it is about something else."""
    path, _, field = change.field.rpartition(".")
    before, _, index = path.rpartition(".")
    return int(index) if kind and field == "weight" and before == f"{kind}.{_TARGETS}" and index.isdigit() else None


def _weights(targets: Any) -> dict[str, int]:
    listed = [target for target in targets if isinstance(target, dict)] if isinstance(targets, list | tuple) else []
    return _by_node(listed, (int(target.get("weight", 0)) for target in listed))


def _by_node(targets: Iterable[Mapping[str, Any]], weights: Iterable[int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for target, weight in zip(targets, weights, strict=True):
        found[_node(target)] = found.get(_node(target), 0) + weight
    return found


def _node(target: Mapping[str, Any]) -> str:
    return str(target.get("virtualNode", ""))
