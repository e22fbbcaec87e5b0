"""The driver of `mesh.backend: none`: it asks nothing and writes nothing."""

from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.mesh.none import NoBackend
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.mesh.driver import Applied


class NoDriver:
    """Implements `usecases.mesh.driver.MeshDriver`."""

    backend = NoBackend()

    def observe(self, context: Context, before: Report | None = None) -> Step[None]:
        """Nothing."""
        del context, before
        yield from ()

    def apply(self, run: Run, context: Context, plan: MeshSummary, view: None) -> Step[Applied]:
        """Nothing."""
        del run, context, plan, view
        yield from ()
        return Applied()
