"""Step `Plan registry`: decide, touching nothing but the run store."""

import msgspec

from crossmesh.core import registry_plan
from crossmesh.core.actions import Memory, Operator, RegistryPlan
from crossmesh.core.views import RegistryView, Sick, Unseen, View
from crossmesh.ports import RunStore
from crossmesh.steps import store
from crossmesh.steps.calls import Step, to
from crossmesh.steps.context import Context, Run
from crossmesh.steps.handing import Handed, Planned, planned


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run and the clusters it observed (a cluster whose function crashed has no view and counts as unseen)."""

    run: Run
    clusters: tuple[str, ...]


def decide(
    context: Context, views: tuple[View, ...], registry: RegistryView, memory: Memory, operator: Operator, sick: dict[str, Sick]
) -> RegistryPlan:
    """The plan for these inputs: the same function for runs, looks, replay and dry runs."""
    inputs = registry_plan.Inputs(
        settings=context.settings,
        topology=context.topology,
        views=views,
        registry=registry,
        memory=memory,
        operator=operator,
        deployment=context.deployment,
        sick=sick,
    )
    return registry_plan.plan(inputs)


def run(request: Request, context: Context) -> Step[Planned]:
    """Plan from the stored views, with what the look before it saw Terminating. Nothing where another configuration was deployed meanwhile: it would be no
    plan of this run's inputs, and could not be replayed."""
    if request.run.config != context.config:
        return Planned(plan="", first_stage=0, actions=0, withheld=0, gates=0)
    named = {"registry": RegistryView, store.MEMORY: Memory, store.OPERATOR: Operator}
    wanted: dict[str, type] = {store.key(request.run.id, name): kind for name, kind in named.items()}
    if request.run.look:
        wanted[request.run.look] = Handed
    registry, memory, operator, *looks = yield from store.load_all(wanted)
    for looked in looks:
        memory = msgspec.structs.replace(memory, terminating={**memory.terminating, **looked.memory.terminating})
    views = yield from _views(request)
    plan = decide(context, views, registry, memory, operator, (yield from store.sick_of(request.run.id)))
    where = store.key(request.run.id, "plan")
    # The memory as planned from, the look's sightings included: a replay starts here.
    yield from store.save_all({store.key(request.run.id, "inputs"): memory, where: plan})
    return planned(request.run.id, plan)


def _views(request: Request) -> Step[tuple[View, ...]]:
    views: list[View] = []
    found = yield from store.all_of([to(RunStore.get, store.key(request.run.id, f"views/{name}")) for name in request.clusters])
    for name, data in zip(request.clusters, found, strict=True):
        if data is None:
            views.append(Unseen(cluster=name, cause="crashed", detail="its observing function ended without a view"))
        else:
            views.append(msgspec.json.decode(data, type=View))
    return tuple(views)
