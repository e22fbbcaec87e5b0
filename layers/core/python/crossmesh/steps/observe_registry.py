"""Step `Observe registry`: every instance of every service concerned, from paged ListInstances."""

import msgspec

from crossmesh.steps import observe, store
from crossmesh.steps.calls import Step
from crossmesh.steps.context import Context, Run


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Which run."""

    run: Run


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Where the view lies, what it counts, and which clusters are to be observed next."""

    registry: str
    services: int
    instances: int
    clusters: tuple[str, ...]
    superseded: bool


def run(request: Request, context: Context) -> Step[Response]:
    """Observe, and keep the memory that was read beside it, so that the run can be replayed."""
    memory, operator, sick, _ = yield from store.standing()
    seen = yield from observe.registry(context, memory)
    where = store.key(request.run.id, "registry")
    kept = {store.key(request.run.id, name): value for name, value in ((store.MEMORY, memory), (store.OPERATOR, operator), (store.SICK, sick))}
    yield from store.save_all({**kept, where: seen})
    return Response(
        registry=where,
        services=len(seen.services),
        instances=sum(len(service.instances) for service in seen.services),
        clusters=tuple(cluster.name for cluster in context.settings.clusters),
        superseded=request.run.config != context.config,
    )
