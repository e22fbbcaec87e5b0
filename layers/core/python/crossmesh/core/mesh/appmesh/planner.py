"""The mesh's planner: the requests that the manifests mean and what App Mesh holds in, a plan out.
Pure.

Only what carries our tag is changed or removed. A difference is one that the API would keep: its
defaults are known, so no update repeats for ever. Stages come one after the other; what is in one
stage may be done side by side. What routes need is built first. Then routes that stand in the way
of their router's listeners are moved or taken out (`core.mesh.appmesh.router_migration`). Routers,
routes, services and gateway routes follow; what is left over goes last.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.mesh.appmesh.diff import differences
from crossmesh.core.mesh.appmesh.plan import STAGES, MeshAction, MeshPlan, MeshWithheld, Stage
from crossmesh.core.mesh.appmesh.router_migration import Order, RouteChange, fits, order
from crossmesh.core.mesh.appmesh.state import ORDER, AppMeshRequest, MeshResource, MeshView, parent_of, target_of, uses
from crossmesh.core.mesh.backend import MeshTarget

_RETIRE: dict[str, Stage] = {f"{stage[6].lower()}{stage[7:]}": stage for stage in STAGES if stage.startswith("retire")}


def plan(
    requests: Iterable[AppMeshRequest],
    view: MeshView,
    *,
    owner: str,
    adopt: bool = False,
    remove: bool = True,
    anchored: Collection[str] = (),
) -> MeshPlan:
    """What brings the meshes in `view` to `requests`. `anchored`: virtual nodes whose discovery
    stays, for it would find nothing where it is to go.
    """
    if view.unavailable:
        return MeshPlan(unavailable=view.unavailable, gone=view.gone)
    declared = {target_of(request): request for request in requests}
    return _Planner(declared, view, owner, adopt=adopt, remove=remove, anchored=anchored).plan()


def needs_tags(request: AppMeshRequest | None, resource: MeshResource) -> bool:
    """Whether the decision about a resource needs its tags: one that differs, or that nothing
    declares.
    """
    return request is None or bool(differences(request.input.get("spec", {}), resource.spec))


def failed_need(
    action: MeshAction, failed: Mapping[MeshTarget, MeshAction], found: Mapping[MeshTarget, MeshResource]
) -> MeshTarget | None:
    """Which of the resources whose write `failed` an action cannot go without, or None. What App
    Mesh would refuse is not asked for (rule 11).

    `found`: resources as they were observed.
    """
    target = action.target
    if target in failed:
        return target
    if action.verb == "delete":
        standing = (other for other, before in failed.items() if before.verb != "create" and other in found)
        return next((other for other in standing if target in uses(other, found[other].spec)), None)
    spec = action.request.input.get("spec", {}) if action.request else {}
    for used in uses(target, spec):
        before = failed.get(used)
        if before is not None and (
            before.verb == "create" or (target.kind == "route" and not fits(_listeners(found[used].spec), spec))
        ):
            return used
    if target.kind == "virtualRouter" and action.verb == "update":
        routes = (other for other in failed if other in found and parent_of(other) == target)
        return next((route for route in routes if not fits(_listeners(spec), found[route].spec)), None)
    return None


class _Planner:
    """One plan in the making."""

    def __init__(
        self,
        declared: dict[MeshTarget, AppMeshRequest],
        view: MeshView,
        owner: str,
        *,
        adopt: bool,
        remove: bool,
        anchored: Collection[str],
    ) -> None:
        self.declared, self.owner, self.adopt, self.remove, self.anchored = declared, owner, adopt, remove, anchored
        self.found = {resource.target: resource for resource in view.resources}
        self.actions: list[MeshAction] = []
        self.withheld: dict[MeshTarget, MeshWithheld] = {}
        self.children: dict[MeshTarget, list[MeshTarget]] = {}
        for target in sorted(declared.keys() | self.found.keys()):
            if (parent := parent_of(target)) is not None:
                self.children.setdefault(parent, []).append(target)
        self.changed = {
            target: changes
            for target, request in declared.items()
            if target in self.found and (changes := differences(request.input.get("spec", {}), self.found[target].spec))
        }

    def plan(self) -> MeshPlan:
        """All of it."""
        for target in self.declared:
            if target in self.changed and not self._writable(target):
                whose, fix = self._whose(target)
                self._withhold(target, f"differs from the manifest, but {whose}", fix)
            elif target in self.changed and self._would_lose(target):
                self._withhold(target, _LOSES, _REGISTER)
        for target in self.declared:
            if target.kind not in ("virtualRouter", "route"):
                self._build(target)
        for target in self.declared:
            if target.kind == "virtualRouter":
                self._router(target)
        self._retire()
        self.actions.sort(key=lambda action: (STAGES.index(action.stage), action.target))
        withheld = tuple(held for _, held in sorted(self.withheld.items()))
        return MeshPlan(actions=tuple(self.actions), withheld=withheld)

    def _ours(self, target: MeshTarget) -> bool:
        return (self.found[target].tags or {}).get(OWNER_TAG) == self.owner

    def _writable(self, target: MeshTarget) -> bool:
        """Whether a declared resource may be changed: it is not there, is ours, or is nobody's and
        `adopt` is on.
        """
        return (
            target not in self.found
            or self._ours(target)
            or (self.adopt and OWNER_TAG not in (self.found[target].tags or {}))
        )

    def _would_lose(self, target: MeshTarget) -> bool:
        """Whether a virtual node's requests would go where none of its instances is registered
        yet.
        """
        moves = any(change.field.startswith("serviceDiscovery") for change in self.changed[target])
        return moves and target.kind == "virtualNode" and target.name in self.anchored

    def _whose(self, target: MeshTarget) -> tuple[str, str]:
        """Whose a resource is that is not ours, and what a person can do about it."""
        holder = (self.found[target].tags or {}).get(OWNER_TAG)
        if holder:
            fix = f"take it out of the manifests here or give it another awsName, or have owner {holder!r} give it up"
            return f"it belongs to owner {holder!r}", fix
        return "it carries no crossmesh:owner tag", TAKE_OVER

    def _withhold(self, target: MeshTarget, detail: str, fix: str) -> None:
        self.withheld[target] = MeshWithheld(target=target, detail=detail, fix=fix)

    def _build(self, target: MeshTarget, stage: Stage | None = None) -> None:
        """Create what is missing, update what differs, unless it is withheld."""
        if target in self.withheld or (target in self.found and target not in self.changed):
            return
        at: Stage = stage or target.kind  # type: ignore[assignment]
        if target not in self.found:
            self._create(target, at, "declared and not there")
            return
        count = len(self.changed[target])
        self._update(
            target,
            at,
            self.declared[target],
            f"{count} field{'s differ' if count > 1 else ' differs'} from the manifest",
        )

    def _create(self, target: MeshTarget, stage: Stage, reason: str) -> None:
        self.actions.append(
            MeshAction(verb="create", target=target, stage=stage, request=self.declared[target], reason=reason)
        )

    def _update(self, target: MeshTarget, stage: Stage, request: AppMeshRequest, reason: str) -> None:
        changes = differences(request.input.get("spec", {}), self.found[target].spec)
        arn, adopt = self.found[target].arn, not self._ours(target)
        self.actions.append(
            MeshAction(
                verb="update",
                target=target,
                stage=stage,
                request=request,
                arn=arn,
                adopt=adopt,
                changes=changes,
                reason=reason,
            )
        )

    def _delete(self, target: MeshTarget, stage: Stage, reason: str) -> None:
        self.actions.append(
            MeshAction(verb="delete", target=target, stage=stage, arn=self.found[target].arn, reason=reason)
        )

    def _router(self, router: MeshTarget) -> None:
        """A router and its routes, in an order that App Mesh takes."""
        steps = self._order(router)
        for name in sorted(steps.out):
            self._delete(
                _route(router, name), "untie", "ours, not declared, and in the way of its router's new listeners"
            )
        if steps.blocked:
            named = ", ".join(steps.blocked)
            detail = f"its listeners cannot change while routes that are not ours to change need the old ones: {named}"
            self._withhold(router, detail, f"delete the routes {named}, or take them over (`crossmesh adopt`)")
        if steps.bridge:
            request = self.declared[router]
            between = {**request.input, "spec": {**request.input["spec"], "listeners": list(steps.bridge)}}
            self._update(
                router,
                "virtualRouter",
                msgspec.structs.replace(request, input=between),
                "old and new listeners together, while routes move",
            )
            self._update(router, "settle", request, "the routes have moved: the declared listeners alone")
        else:
            self._build(router)
        kept = _listeners(self.found[router].spec) if router in self.withheld else None
        for target in self.children.get(router, ()):
            if target not in self.declared:
                continue
            if kept is not None and not fits(kept, self._spec(target)):
                if target not in self.withheld:
                    self._withhold(
                        target, f"needs listeners that {router} does not have", f"fix what withholds {router}"
                    )
            elif target.name in steps.anew:
                self._delete(
                    target, "untie", "fits only the old listeners, and what is declared only the new ones: made anew"
                )
                self._create(target, "route", "made anew for its router's new listeners")
            else:
                self._build(target, "untie" if target.name in steps.early else None)

    def _order(self, router: MeshTarget) -> Order:
        if router not in self.changed or router in self.withheld:
            return Order()
        turns = [
            RouteChange(
                name=target.name,
                found=self.found[target].spec if target in self.found else None,
                declared=self._spec(target) if target in self.declared else None,
                ours=target not in self.withheld and (target in self.declared or self._removable(target)),
            )
            for target in self.children.get(router, ())
        ]
        return order(_listeners(self.found[router].spec), _listeners(self._spec(router)), turns)

    def _spec(self, target: MeshTarget) -> dict[str, Any]:
        found: dict[str, Any] = self.declared[target].input.get("spec", {})
        return found

    def _removable(self, target: MeshTarget) -> bool:
        return self.remove and self._ours(target)

    def _retire(self) -> None:
        """What is ours and no longer declared, users before what they use; what something that
        stays needs, stays and is told.
        """
        gone = {action.target for action in self.actions if action.verb == "delete"}
        needed: dict[MeshTarget, MeshTarget] = {}
        for target in self.declared:
            spec = self.found[target].spec if target in self.withheld else self._spec(target)
            needed |= dict.fromkeys(uses(target, spec), target)
        for target in sorted(self.found.keys() - self.declared.keys() - gone, key=lambda t: (-ORDER.index(t.kind), t)):
            user = needed.get(target)
            if self._removable(target) and user is None:
                self._delete(target, _RETIRE[target.kind], "ours, and no manifest declares it")
                continue
            if self._removable(target):
                fix = f"delete {user}, or what names it there; or declare it again"
                self._withhold(target, f"ours, and no manifest declares it, but {user} still uses it", fix)
            needed |= dict.fromkeys(uses(target, self.found[target].spec), target)


_LOSES = (
    "its Cloud Map discovery is to change, but none of its instances is registered where the manifest says: "
    "requests would be lost, so it stays as it is until one is (rule 5)"
)

TAKE_OVER = "`crossmesh adopt` takes it over (always: `mesh.adopt: true`); or change the manifest"

_REGISTER = (
    "fix what withholds the registration there, or correct namespaceName, serviceName or the attributes in the manifest"
)


def _route(router: MeshTarget, name: str) -> MeshTarget:
    return MeshTarget(mesh=router.mesh, kind="route", parent=router.name, name=name)


def _listeners(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return list(spec.get("listeners") or ())
