"""The driver of App Mesh."""

from crossmesh.core.mesh.appmesh.backend import AppMeshBackend
from crossmesh.core.mesh.appmesh.plan import MeshPlan
from crossmesh.core.mesh.appmesh.state import MeshView
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.mesh.appmesh.observing import observe, remember
from crossmesh.usecases.mesh.appmesh.writing import apply
from crossmesh.usecases.mesh.driver import Applied


class AppMeshDriver:
    """Implements `usecases.mesh.driver.MeshDriver`."""

    backend = AppMeshBackend()

    def observe(self, context: Context, before: Report | None = None) -> Step[MeshView]:
        """The meshes that the manifests declare, and those they declared before."""
        return (yield from observe(context, before))

    def apply(self, run: Run, context: Context, plan: MeshPlan, view: MeshView) -> Step[Applied]:
        """Remember which meshes are concerned, then write stage by stage."""
        if plan.actions:
            yield from remember(context, view)
        outcomes, gone = yield from apply(run, context, plan, view)
        return Applied(outcomes=tuple(outcomes), unavailable=gone)
