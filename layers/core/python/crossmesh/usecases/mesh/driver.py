"""What a mesh backend's driver does: observe, and carry out a plan."""

from typing import Protocol, TypeVar

import msgspec

from crossmesh.core.mesh.backend import MeshBackend
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step
from crossmesh.usecases.context import Context, Run

View = TypeVar("View")
Plan = TypeVar("Plan")


class MeshOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one change of the mesh plan; `action` counts the changes of its summary, from
    0.
    """

    action: int
    result: str  # applied | stale | failed
    detail: str = ""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a plan. A change without an outcome was not reached. `unavailable`: why the
    mesh went away meanwhile ("" = it did not).
    """

    outcomes: tuple[MeshOutcome, ...] = ()
    unavailable: str = ""


class MeshDriver(Protocol[View, Plan]):
    """Observes and applies for one backend, whose views and plans it shares."""

    @property
    def backend(self) -> MeshBackend[View, Plan]:
        """What it drives."""

    def observe(self, context: Context, before: Report | None = None) -> Step[View]:
        """The mesh as it is. One that cannot be read is a view that says so, never an error (rule
        13). `before`: what the last look said.
        """

    def apply(self, run: Run, context: Context, plan: Plan, view: View) -> Step[Applied]:
        """Carry out what fits into a call's time, checking the run's lease before each group of
        writes. What was written is read back (rule 8).
        """
