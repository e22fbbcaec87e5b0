"""The seam between crossmesh and a mesh backend: what a backend is told, and what it says of its
plan without naming an API. Pure.

A backend plans in types of its own. Looks, reports, diagnosis and the command line read its
`MeshSummary` alone. `core.mesh.backends` has all backends by name; a driver
(`usecases.mesh.drivers`) observes and applies for each.
"""

from collections.abc import Iterable
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from crossmesh.core.documents import Document, Finding
from crossmesh.core.observed import Instance
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.settings import ClusterSettings, EnvoySettings
from crossmesh.core.topology import Topology

View = TypeVar("View", contravariant=True)
Plan = TypeVar("Plan")


class MeshTarget(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """The identity of a mesh resource. `kind` as in the documents, its first letter small; `parent`
    the router or gateway of a route, else "".
    """

    mesh: str
    kind: str
    parent: str = ""
    name: str

    def __str__(self) -> str:
        inside = f"{self.parent}/" if self.parent else ""
        return f"{self.kind} {inside}{self.name}" + (f" in {self.mesh}" if self.mesh and self.kind != "mesh" else "")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in which a resource is not as declared, None = absent. A route's weight is `weight
    of NODE`; all else has its path in the document.
    """

    field: str
    found: Any = None
    declared: Any = None

    def __str__(self) -> str:
        return f"{self.field}: found {self.found!r}, declared {self.declared!r}"


class MeshChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan would do to one resource, and why. `digest` covers all of it: two equal changes
    do the same.

    `weights`: the weights found of a route, zeros left out, where nothing but weights differ; None
    otherwise.
    """

    action: Literal["create", "update", "delete"]
    target: MeshTarget
    detail: str
    differences: tuple[Difference, ...] = ()
    weights: dict[str, int] | None = None
    digest: str = ""


class WithheldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is not made, why, and what a person can do."""

    target: MeshTarget
    detail: str
    fix: str


class MeshSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A backend's plan for people and counters. Equal to `MeshSummary()` where all is as declared.

    `changes` are in apply order, one for each action of the plan. `unavailable`: why the mesh could
    not be read ("" = it was), with its `fix`; then nothing is changed. `gone`: when nobody answered
    at all, so that nobody need ask again soon (seconds since the epoch; 0 = somebody did).
    """

    changes: tuple[MeshChange, ...] = ()
    withheld: tuple[WithheldChange, ...] = ()
    notes: tuple[str, ...] = ()
    unavailable: str = ""
    fix: str = ""
    gone: float = 0.0


class MeshDesired(msgspec.Struct, frozen=True, kw_only=True):
    """What the mesh should be. `topology` has the weights in force: traffic shifts are laid over
    it, and no backend works them out again.

    `endpoints`: the registry's decision, None = not known; then nothing that depends on it changes.
    `adopt`: what nobody marked may be taken over. `remove`: what is ours and not declared may go.
    `conflict`: another deployment uses this owner, so that changes are told and not made.
    `anchored`: AWS names of virtual nodes none of whose instances is registered where their
    documents say now. Requests go on to where they are. `clusters`: those of the settings; `envoy`:
    what the settings say of own Envoys.
    """

    topology: Topology
    endpoints: EndpointDecision | None = None
    owner: str
    adopt: bool = False
    remove: bool = True
    conflict: bool = False
    anchored: frozenset[str] = frozenset()
    clusters: tuple[ClusterSettings, ...] = ()
    envoy: EnvoySettings = EnvoySettings()


class MeshBackend(Protocol[View, Plan]):
    """One way to carry the declared routes out. `View` and `Plan` are its own types; both are
    values that msgspec can store.
    """

    @property
    def name(self) -> str:
        """The value of `mesh.backend`."""

    @property
    def about(self) -> str:
        """What it does and does not do, as a sentence for people."""

    @property
    def keeps_mesh(self) -> bool:
        """Whether it keeps routes at all."""

    @property
    def reads_endpoints(self) -> bool:
        """Whether its plan depends on the endpoint decision. Runs then keep the decision, and each
        look that sees pods plans the mesh.
        """

    @property
    def before_registry(self) -> bool:
        """Whether a run carries its plan out before the first write to Cloud Map."""

    @property
    def service(self) -> str:
        """The AWS service whose API it calls, as botocore names it; "" = none."""

    @property
    def most_endpoints(self) -> int:
        """How many endpoints of a virtual node it serves by default; 0 = any number."""

    def unsupported(
        self, topology: Topology, documents: Iterable[Document], envoy: EnvoySettings | None = None
    ) -> tuple[Finding, ...]:
        """What it cannot express of a topology, with place and fix. `documents`: those that the
        topology was built from; `envoy`: what the settings say of own Envoys.
        """

    def render(self, topology: Topology, *, ip_family: str) -> tuple[object, ...]:
        """What it would ask for where nothing is there yet, in order, as values that JSON can
        show.
        """

    def in_force(self, view: View) -> dict[str, tuple[Instance, ...]]:
        """The instances that it serves itself, by service's key: they are in force whatever Cloud
        Map says. Asked only where it reads endpoints.
        """

    def kept(self, view: View) -> object:
        """What a run keeps of a view."""

    def plan(self, desired: MeshDesired, view: View) -> Plan:
        """What brings the mesh that `view` shows to `desired`. The same inputs give the same
        plan.
        """

    def summarize(self, plan: Plan) -> MeshSummary:
        """The plan in words that name no API."""
