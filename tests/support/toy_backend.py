"""A mesh backend for tests: a board of entries, one a route with its weights and one a virtual node with its endpoints.

It shows what a backend needs beside the package: a backend, a driver, a port, and their two lines in the tables of backends. It reads the endpoint decision
and has no retries, so that both ends of the seam are used.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, Protocol

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.documents import Document, Finding
from crossmesh.core.mesh import backends
from crossmesh.core.mesh.backend import Difference, MeshChange, MeshDesired, MeshSummary, MeshTarget, WithheldChange
from crossmesh.core.observed import Instance
from crossmesh.core.reporting.report import Report
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import Topology
from crossmesh.effects import Step, call
from crossmesh.errors import CrossmeshError, ServiceGone
from crossmesh.usecases import lease
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.mesh import drivers
from crossmesh.usecases.mesh.driver import Applied, MeshOutcome

NAME = "toy"
Content = dict[str, int]  # weights by virtual node, or 1 by endpoint's id


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the board; `owner` "" = nobody marked it."""

    target: MeshTarget
    content: Content
    owner: str


class ToyBoard(Protocol):
    """The port. All methods raise ServiceGone where there is no board."""

    def read(self) -> tuple[Entry, ...]:
        """Every entry, sorted by target."""

    def put(self, entry: Entry) -> None:
        """Write one entry, whoever had it."""

    def remove(self, target: MeshTarget) -> None:
        """Take one entry away, if it is there."""


class MemoryBoard:
    """The port in memory; `writes` counts, `down` is what every call raises."""

    def __init__(self) -> None:
        self.entries: dict[MeshTarget, Entry] = {}
        self.writes = 0
        self.down: CrossmeshError | None = None

    def read(self) -> tuple[Entry, ...]:
        self._up()
        return tuple(entry for _, entry in sorted(self.entries.items()))

    def put(self, entry: Entry) -> None:
        self._up()
        self.writes += 1
        self.entries[entry.target] = entry

    def remove(self, target: MeshTarget) -> None:
        self._up()
        self.writes += 1
        self.entries.pop(target, None)

    def _up(self) -> None:
        if self.down is not None:
            raise self.down


class ToyView(msgspec.Struct, frozen=True, kw_only=True):
    entries: tuple[Entry, ...] = ()
    unavailable: str = ""
    gone: float = 0.0


class ToyAction(msgspec.Struct, frozen=True, kw_only=True):
    verb: Literal["create", "update", "delete"]
    target: MeshTarget
    found: Content = {}
    wanted: Content = {}
    adopt: bool = False
    reason: str


class ToyPlan(msgspec.Struct, frozen=True, kw_only=True):
    actions: tuple[ToyAction, ...] = ()
    withheld: tuple[WithheldChange, ...] = ()
    notes: tuple[str, ...] = ()
    unavailable: str = ""
    gone: float = 0.0


class ToyBackend:
    name = NAME
    about = "keeps a board in memory"
    keeps_mesh = True
    reads_endpoints = True
    before_registry = False
    service = ""
    most_endpoints = 0

    def unsupported(self, topology: Topology, documents: Iterable[Document], envoy: EnvoySettings | None = None) -> tuple[Finding, ...]:
        del documents, envoy
        return tuple(
            Finding(
                level="warning",
                code="toy-retries",
                place=router.place,
                message=f"route {route.name} of {router.key} has retries, and the toy backend none",
                fix="remove retryPolicy",
            )
            for router in topology.routers
            for route in router.routes
            if route.retries
        )

    def render(self, topology: Topology, *, ip_family: str) -> tuple[object, ...]:
        del ip_family
        return tuple(str(router.key) for router in topology.routers)

    def in_force(self, view: ToyView) -> dict[str, tuple[Instance, ...]]:
        del view
        return {}

    def kept(self, view: ToyView) -> ToyView:
        return view

    def plan(self, desired: MeshDesired, view: ToyView) -> ToyPlan:
        if view.unavailable:
            return ToyPlan(unavailable=view.unavailable, gone=view.gone)
        found, wanted = {entry.target: entry for entry in view.entries}, dict(_wanted(desired, view))
        actions, withheld = [], []
        for target in sorted(found.keys() | wanted.keys(), key=lambda target: (target.kind, target)):
            entry = found.get(target)
            if entry is not None and target in wanted and entry.content == wanted[target]:
                continue
            if entry is not None and entry.owner != desired.owner and not (desired.adopt and target in wanted and not entry.owner):
                if target in wanted:
                    withheld.append(WithheldChange(target=target, detail=f"it belongs to {entry.owner or 'nobody'}", fix="`crossmesh adopt`"))
            elif entry is not None and target not in wanted:
                if desired.remove:
                    actions.append(ToyAction(verb="delete", target=target, found=entry.content, reason="no longer declared"))
            else:
                actions.append(_written(target, entry, wanted[target]))
        if desired.conflict and actions:
            note = f"mesh: {len(actions)} changes wait, for another deployment uses this owner"
            return ToyPlan(withheld=tuple(withheld), notes=(note,))
        return ToyPlan(actions=tuple(actions), withheld=tuple(withheld))

    def summarize(self, plan: ToyPlan) -> MeshSummary:
        return MeshSummary(
            changes=tuple(_change(action) for action in plan.actions),
            withheld=plan.withheld,
            notes=plan.notes,
            unavailable=plan.unavailable,
            fix="put the board up again" if plan.unavailable else "",
            gone=plan.gone,
        )


def _wanted(desired: MeshDesired, view: ToyView) -> Iterator[tuple[MeshTarget, Content]]:
    """Routes with the weights in force; endpoints as decided: those that live, and those that must stay and are there. Not decided: as they are."""
    for router in desired.topology.routers:
        for route in router.routes:
            yield MeshTarget(mesh=router.mesh, kind="route", parent=router.aws_name, name=route.name), route.weights
    found = {entry.target: entry.content for entry in view.entries}
    for node in desired.topology.nodes:
        target = MeshTarget(mesh=node.mesh, kind="virtualNode", name=node.aws_name)
        before = found.get(target, {})
        if desired.endpoints is None:
            yield target, before
            continue
        live = {one.id for one in desired.endpoints.live if one.node == node.aws_name}
        stay = {one.id for one in desired.endpoints.decided if one.fate == "must-stay" and one.virtual_node == node.aws_name}
        yield target, dict.fromkeys(sorted(live | (stay & before.keys())), 1)


def _written(target: MeshTarget, entry: Entry | None, wanted: Content) -> ToyAction:
    if entry is None:
        return ToyAction(verb="create", target=target, wanted=wanted, reason="declared and not there")
    adopt = not entry.owner
    return ToyAction(verb="update", target=target, found=entry.content, wanted=wanted, adopt=adopt, reason="not as declared")


def _change(action: ToyAction) -> MeshChange:
    route, names = action.target.kind == "route", sorted(action.found.keys() | action.wanted.keys())
    differences = tuple(
        Difference(field=f"weight of {name}" if route else name, found=action.found.get(name), declared=action.wanted.get(name))
        for name in names
        if action.found.get(name) != action.wanted.get(name) and action.verb == "update"
    )
    weights = {name: weight for name, weight in action.found.items() if weight} if route and action.verb == "update" else None
    digest = codec.digest(codec.encode(action))
    return MeshChange(action=action.verb, target=action.target, detail=action.reason, differences=differences, weights=weights, digest=digest)


class ToyDriver:
    backend = ToyBackend()

    def observe(self, context: Context, before: Report | None = None) -> Step[ToyView]:
        del context, before
        try:
            return ToyView(entries=(yield from call(ToyBoard.read)))
        except ServiceGone as error:
            return ToyView(unavailable=str(error), gone=1.0)
        except CrossmeshError as error:
            return ToyView(unavailable=str(error))

    def apply(self, run: Run, context: Context, plan: ToyPlan, view: ToyView) -> Step[Applied]:
        del view
        outcomes: list[MeshOutcome] = []
        for index, action in enumerate(plan.actions):
            yield from lease.check(run)
            try:
                detail = yield from _done(action, context.settings.owner)
            except ServiceGone as error:
                return Applied(outcomes=tuple(outcomes), unavailable=str(error))
            except CrossmeshError as error:
                outcomes.append(MeshOutcome(action=index, result="failed", detail=str(error)))
                continue
            outcomes.append(MeshOutcome(action=index, result="stale" if detail else "applied", detail=detail))
        return Applied(outcomes=tuple(outcomes))


def _done(action: ToyAction, owner: str) -> Step[str]:
    """Do one action after a fresh look at whose the entry is, and read it back; why it is stale ("" = it is done)."""
    there = yield from _there(action.target)
    if there is not None and there.owner != owner and not (action.adopt and not there.owner):
        return f"{action.target} belongs to {there.owner or 'nobody'} now"
    if action.verb == "delete":
        yield from call(ToyBoard.remove, action.target)
    else:
        yield from call(ToyBoard.put, Entry(target=action.target, content=action.wanted, owner=owner))
    there = yield from _there(action.target)
    shows = there is None if action.verb == "delete" else there is not None and there.content == action.wanted
    return "" if shows else f"{action.target} does not show what was written"


def _there(target: MeshTarget) -> Step[Entry | None]:
    entries: Mapping[MeshTarget, Entry] = {entry.target: entry for entry in (yield from call(ToyBoard.read))}
    return entries.get(target)


def install(patch: pytest.MonkeyPatch) -> None:
    """Its lines in the two tables, for one test."""
    patch.setitem(backends.BACKENDS, NAME, ToyBackend())
    patch.setitem(drivers.DRIVERS, NAME, ToyDriver())
