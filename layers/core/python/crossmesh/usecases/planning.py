"""The plan for what was observed: the same function for runs, looks, replay and dry runs."""

from crossmesh.core.observed import Outlier, RegistryView, View
from crossmesh.core.registry import planner
from crossmesh.core.registry.plan import ManualOverrides, PlannerState, RegistryPlan
from crossmesh.core.registry.planner import PlanResult
from crossmesh.usecases.context import Context


def decide(
    context: Context,
    views: tuple[View, ...],
    registry: RegistryView,
    memory: PlannerState,
    operator: ManualOverrides,
    outliers: dict[str, Outlier],
) -> RegistryPlan:
    """The plan for these inputs: the same function for runs, looks, replay and dry runs."""
    return decide_endpoints(context, views, registry, memory, operator, outliers).plan


def decide_endpoints(
    context: Context,
    views: tuple[View, ...],
    registry: RegistryView,
    memory: PlannerState,
    operator: ManualOverrides,
    outliers: dict[str, Outlier],
) -> PlanResult:
    """The same with the endpoint decision behind it."""
    inputs = planner.PlanInputs(
        settings=context.settings,
        topology=context.topology,
        views=views,
        registry=registry,
        memory=memory,
        operator=operator,
        deployment=context.deployment,
        outliers=outliers,
    )
    return planner.planned(inputs)
