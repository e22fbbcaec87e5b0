"""What a new snapshot changes, resource by resource: declarations, weights and endpoints. Pure.

It tells, and decides nothing: the snapshot is published as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from crossmesh import codec
from crossmesh.core.documents import SourceLocation
from crossmesh.core.mesh.backend import Difference, MeshChange, MeshTarget
from crossmesh.core.mesh.xds import names
from crossmesh.core.mesh.xds.declared import listeners
from crossmesh.core.topology import Resource, Route, Topology, VirtualNode, VirtualRouter

_NOWHERE = SourceLocation(file="", line=0)
_SHOWN = 10  # differences of one change that are told
_KINDS = ("mesh", "virtualNode", "virtualRouter", "route", "virtualService", "virtualGateway", "gatewayRoute")


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as it is compared; `weights` of a route, None of all else."""

    content: dict[str, Any]
    weights: dict[str, int] | None = None


def bare(topology: Topology) -> Topology:
    """The same without the places of documents: a line that moved changes nothing."""
    return Topology(
        **{
            field: tuple(msgspec.structs.replace(one, place=_NOWHERE) for one in getattr(topology, field))
            for field in Topology.__struct_fields__
        }
    )


def changes(
    before: Topology,
    after: Topology,
    served: Mapping[str, msgspec.Raw],
    serving: Mapping[str, bytes],
) -> tuple[MeshChange, ...]:
    """One for each resource that differs. `served`, `serving`: endpoint sets by name, before and
    after.
    """
    old, new = resources(before), resources(after)
    moved = _endpoints(served, serving, (*before.nodes, *after.nodes))
    targets = sorted(old.keys() | new.keys() | moved.keys(), key=lambda one: (_KINDS.index(one.kind), one))
    found = (_change(target, old.get(target), new.get(target), moved.get(target, ())) for target in targets)
    return tuple(change for change in found if change is not None)


def _change(
    target: MeshTarget, old: _Held | None, new: _Held | None, moved: tuple[Difference, ...]
) -> MeshChange | None:
    action: Literal["create", "update", "delete"] = "update" if old and new else "create" if new else "delete"
    differences: list[Difference] = []
    weights = None
    if old is not None and new is not None:
        declared = list(_leaves("", old.content, new.content))
        shifted = list(_weights(old.weights or {}, new.weights or {}))
        differences = [*shifted, *declared]
        if shifted and not declared:
            weights = {name: weight for name, weight in (old.weights or {}).items() if weight}
        if not differences and not moved:
            return None
        detail = "not as declared" if differences else ""
    elif old is None and new is None:
        detail = ""
    else:
        detail = "declared and not published" if new else "no longer declared"
    if moved:
        detail = f"{detail}; {_told(moved)}" if detail else _told(moved)
    everything = (*differences, *moved) if action == "update" else ()
    return MeshChange(
        action=action,
        target=target,
        detail=detail,
        differences=everything[:_SHOWN],
        weights=weights if not moved else None,
        digest=codec.digest(codec.encode([action, target, old, new, moved]))[:16],
    )


def _told(moved: tuple[Difference, ...]) -> str:
    """Endpoints that come, go and change, counted."""
    came, went = sum(one.found is None for one in moved), sum(one.declared is None for one in moved)
    parts = ((came, "come"), (went, "leave"), (len(moved) - came - went, "change"))
    return "endpoints: " + ", ".join(f"{count} {verb}" for count, verb in parts if count)


def _weights(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name, 0) != new.get(name, 0):
            yield Difference(field=f"weight of {name}", found=old.get(name), declared=new.get(name))


def _leaves(path: str, old: Any, new: Any) -> Iterator[Difference]:
    """Every leaf that differs, by its path."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _leaves(f"{path}.{key}" if path else key, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(f"{path}[{index}]", was, now)
    elif old != new:
        yield Difference(field=path, found=old, declared=new)


def resources(topology: Topology) -> dict[MeshTarget, _Held]:
    """Everything declared, as it is compared."""
    found: dict[MeshTarget, _Held] = {}
    kinds: tuple[tuple[str, Iterable[Resource | VirtualNode]], ...] = (
        ("mesh", topology.meshes),
        ("virtualNode", topology.nodes),
        ("virtualService", topology.services),
        ("virtualRouter", topology.routers),
        ("virtualGateway", topology.gateways),
        ("gatewayRoute", topology.gateway_routes),
    )
    for kind, some in kinds:
        for one in some:
            parent = one.references.get("virtualGateway", "") if kind == "gatewayRoute" else ""
            found[MeshTarget(mesh=one.mesh, kind=kind, parent=parent, name=one.aws_name)] = _held(one)
    for router in topology.routers:
        for route in router.routes:
            target = MeshTarget(mesh=router.mesh, kind="route", parent=router.aws_name, name=route.name)
            found[target] = _Held(content={"spec": _without_weights(route)}, weights=route.weights)
    return found


def _held(one: Resource | VirtualNode) -> _Held:
    content: dict[str, Any] = {"spec": one.spec}
    if isinstance(one, VirtualNode):
        content["selector"] = msgspec.to_builtins(one.selector)
        content["backends"] = list(one.backends)
    elif not isinstance(one, VirtualRouter):
        content["references"] = one.references
    return _Held(content=content)


def _without_weights(route: Route) -> dict[str, Any]:
    """The route's spec but for its weights."""
    spec: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(route.spec))
    for kind in spec.values():
        action = kind.get("action") if isinstance(kind, dict) else None
        for target in (action or {}).get("weightedTargets") or ():
            target.pop("weight", None)
    return spec


def _endpoints(
    served: Mapping[str, msgspec.Raw], serving: Mapping[str, bytes], nodes: Iterable[VirtualNode]
) -> dict[MeshTarget, tuple[Difference, ...]]:
    """The endpoints that differ, by virtual node."""
    found: dict[MeshTarget, tuple[Difference, ...]] = {}
    for node in nodes:
        target = MeshTarget(mesh=node.mesh, kind="virtualNode", name=node.aws_name)
        for listener in listeners(node.spec) if target not in found else ():
            port = listener["portMapping"]
            name = names.egress_cluster(node.mesh, node.aws_name, port["protocol"], port["port"])
            old, new = bytes(served.get(name, b"")), serving.get(name, b"")
            if old == new:
                continue
            was, now = _hosts(old), _hosts(new)
            differ = tuple(
                Difference(field=f"endpoint {address}", found=was.get(address), declared=now.get(address))
                for address in sorted(was.keys() | now.keys())
                if was.get(address) != now.get(address)
            )
            if differ:
                found[target] = differ
                break
    return found


def _hosts(made: bytes) -> dict[str, str]:
    """Health and zone by address."""
    found: dict[str, Any] = msgspec.json.decode(made) if made else {}
    return {
        host["endpoint"]["address"]["socket_address"]["address"]: " ".join(
            part for part in (host["health_status"], zone.get("locality", {}).get("zone", "")) if part
        )
        for zone in found.get("endpoints", ())
        for host in zone["lb_endpoints"]
    }
