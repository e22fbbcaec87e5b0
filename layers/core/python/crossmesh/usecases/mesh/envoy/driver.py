"""The driver of Envoys of the user's own: reads the snapshot in force, publishes the next one."""

from crossmesh.core.mesh.xds import snapshot
from crossmesh.core.mesh.xds.backend import EnvoyBackend, EnvoyPlan, EnvoyView
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step, call
from crossmesh.errors import CrossmeshError, LeaseLost, ServiceGone
from crossmesh.ports import Clock, Snapshots
from crossmesh.usecases import lease
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.mesh.driver import Applied, MeshOutcome
from crossmesh.usecases.mesh.envoy import publishing


class EnvoyDriver:
    """Implements `usecases.mesh.driver.MeshDriver`."""

    backend = EnvoyBackend()

    def observe(self, context: Context, before: Report | None = None) -> Step[EnvoyView]:
        """The snapshot in force, read back."""
        del context, before
        try:
            found = yield from publishing.in_force()
            lineage = "" if found is not None else (yield from call(Snapshots.lineage))
        except ServiceGone as error:
            return EnvoyView(unavailable=str(error), gone=(yield from call(Clock.now)))
        except CrossmeshError as error:
            return EnvoyView(unavailable=str(error))
        return EnvoyView(before=found, lineage=lineage)

    def apply(self, run: Run, context: Context, plan: EnvoyPlan, view: EnvoyView) -> Step[Applied]:
        """Publish, under the run's epoch. An error leaves the snapshot in force, and the registry
        does not wait for it (rule 13).
        """
        del context
        if plan.publication is None:
            return Applied()
        made = snapshot.stamped(plan.publication, run.epoch)
        yield from lease.check(run)
        try:
            done = yield from publishing.carry_out(made, view.before.pointer if view.before else None)
        except LeaseLost:
            raise
        except CrossmeshError as error:
            return Applied(unavailable=str(error))
        detail = f"snapshot {done.pointer.number}" + (f"; old objects stay: {done.unswept}" if done.unswept else "")
        return Applied(
            outcomes=tuple(
                MeshOutcome(action=index, result="applied", detail=detail) for index in range(len(plan.changes))
            )
        )
