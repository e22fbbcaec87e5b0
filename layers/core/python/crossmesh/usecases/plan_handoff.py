"""What a look hands on to its run, and when a run may go by it."""

import msgspec

from crossmesh import codec
from crossmesh.core.registry.plan import PlannerState, RegistryPlan
from crossmesh.core.reporting.report import Report
from crossmesh.ports import Lease
from crossmesh.usecases import state
from crossmesh.usecases.context import Context

# Seconds from the look's beginning until its run has the lease: a look may wait 22 of them for one
# cluster
GOOD_FOR = 32.0


class PlanRef(msgspec.Struct, frozen=True, kw_only=True):
    """A plan's key, digest and counts. The digest travels in the state, so that a document changed
    in the run store is not carried out.

    `first_stage`: where applying begins (0 = nothing to apply); `gates`: pods whose readiness gate
    is to be opened; `mesh`: whether the mesh is to be looked at, too; `publish`: whether that is to
    be done first, before anything is written to Cloud Map.
    """

    plan: str
    first_stage: int
    actions: int
    withheld: int
    gates: int
    mesh: bool = True
    publish: bool = False
    digest: str = ""


class PlanHandoff(msgspec.Struct, frozen=True, kw_only=True):
    """The look's document at its run. `memory` has the pods seen Terminating, whoever plans;
    `planned` stands where the run may go by the look's plan: taken over from epoch `writer`, under
    configuration `config`, seen from `at` on (seconds). `again`: somebody asked for one more look
    meanwhile.
    """

    memory: PlannerState = PlannerState()
    report: Report | None = None
    writer: int = -1
    config: str = ""
    at: float = 0.0
    again: bool = False
    planned: PlanRef | None = None

    def good(self, run: str, taken: Lease, context: Context, now: float) -> bool:
        """Whether it is what `run` would see under the lease: nobody held it since the look began,
        and the configuration is the same.
        """
        if self.planned is None or self.planned.plan != state.key(run, "plan"):
            return False
        return taken.epoch == self.writer + 1 and self.config == context.config and now - self.at <= GOOD_FOR


def plan_ref(run: str, plan: RegistryPlan, *, mesh: bool = True, publish: bool = False) -> PlanRef:
    """The plan of a run, kept under its key, as states carry it."""
    first = plan.stages[0] if plan.stages else 0
    return PlanRef(
        plan=state.key(run, "plan"),
        first_stage=first,
        actions=len(plan.actions),
        withheld=len(plan.withheld),
        gates=len(plan.gates),
        mesh=mesh,
        publish=publish,
        digest=codec.digest(codec.encode(plan)),
    )
