"""The drivers of all mesh backends, and a pass over the mesh by the one that the settings name."""

from typing import Any

import msgspec

from crossmesh.core.mesh.backend import MeshDesired, MeshSummary
from crossmesh.core.observed import Instance
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.registry.plan import RegistryPlan
from crossmesh.core.reporting.report import Report
from crossmesh.effects import Step
from crossmesh.usecases.context import Context
from crossmesh.usecases.mesh.appmesh.driver import AppMeshDriver
from crossmesh.usecases.mesh.driver import MeshDriver
from crossmesh.usecases.mesh.envoy.driver import EnvoyDriver
from crossmesh.usecases.mesh.none import NoDriver

_ALL: tuple[MeshDriver[Any, Any], ...] = (AppMeshDriver(), EnvoyDriver(), NoDriver())
DRIVERS: dict[str, MeshDriver[Any, Any]] = {driver.backend.name: driver for driver in _ALL}


class MeshPass(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of the mesh and is to be done about it: `view` and `plan` are the backend's,
    `summary` is everybody's.
    """

    view: Any
    plan: Any
    summary: MeshSummary


def driver_of(context: Context) -> MeshDriver[Any, Any]:
    """The driver of the backend that the settings name."""
    return DRIVERS[context.settings.mesh.backend]


def observe_first(context: Context, before: Report | None) -> Step[Any]:
    """The mesh as it is, where what it serves decides about endpoints; None where it does not."""
    driver = driver_of(context)
    return (yield from driver.observe(context, before)) if driver.backend.reads_endpoints else None


def serving(context: Context, view: Any) -> dict[str, tuple[Instance, ...]] | None:
    """The instances that the mesh serves itself, by service's key; None where it serves none."""
    return driver_of(context).backend.in_force(view) if view is not None else None


def observe_and_plan(
    context: Context,
    before: Report | None,
    *,
    adopt: bool,
    beside: RegistryPlan,
    endpoints: EndpointDecision | None,
    arrived: frozenset[str] | None = None,
) -> Step[MeshPass]:
    """See the mesh and plan. `context` has the weights in force; `before`: what the last look said;
    `adopt`: take over what AWS's controller left.

    `beside`: the registry's plan of the same pass; where it found another deployment with our
    owner, what would be done to the mesh is only told. `arrived`: virtual nodes of which an
    instance was registered and proved by now; None = all of which `beside` is to register one.
    """
    view = yield from driver_of(context).observe(context, before)
    return planned(context, view, adopt=adopt, beside=beside, endpoints=endpoints, arrived=arrived)


def planned(
    context: Context,
    view: Any,
    *,
    adopt: bool,
    beside: RegistryPlan,
    endpoints: EndpointDecision | None,
    arrived: frozenset[str] | None = None,
) -> MeshPass:
    """The same for a mesh that was observed already."""
    driver, settings = driver_of(context), context.settings
    desired = MeshDesired(
        topology=context.topology,
        endpoints=endpoints,
        owner=settings.owner,
        adopt=adopt,
        remove=settings.policy.removals == "sync",
        conflict=bool(beside.conflict),
        anchored=frozenset(beside.moving) - (beside.arriving if arrived is None else arrived),
        clusters=settings.clusters,
        envoy=settings.mesh.envoy,
    )
    plan = driver.backend.plan(desired, view)
    return MeshPass(view=view, plan=plan, summary=driver.backend.summarize(plan))
