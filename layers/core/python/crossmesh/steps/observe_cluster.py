"""Step `Observe cluster`: one cluster's pods, complete or not at all."""

import msgspec

from crossmesh.core.actions import Memory, Operator
from crossmesh.core.views import RegistryView, Seen
from crossmesh.steps import observe, store
from crossmesh.steps.calls import Step
from crossmesh.steps.context import Context, Run


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster, and the registry view that says which of its pods are registered."""

    run: Run
    cluster: str
    registry: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Where the view lies; `cause` is "" where the cluster was seen."""

    cluster: str
    view: str
    pods: int
    cause: str


def run(request: Request, context: Context) -> Step[Response]:
    """Observe one cluster."""
    wanted = {request.registry: RegistryView, store.key(request.run.id, "memory"): Memory, store.key(request.run.id, "operator"): Operator}
    registry, memory, operator = yield from store.load_all(wanted)
    view = yield from observe.cluster(context, request.cluster, registry, memory, operator)
    where = yield from store.save(store.key(request.run.id, f"views/{request.cluster}"), view)
    if isinstance(view, Seen):
        return Response(cluster=request.cluster, view=where, pods=len(view.pods), cause="")
    return Response(cluster=request.cluster, view=where, pods=0, cause=view.cause)
