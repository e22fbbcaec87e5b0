"""Step `Probe front`: ask as a user would, a bounded number of times, and keep what came."""

import msgspec

from crossmesh.core.canary import Sample
from crossmesh.core.settings import CanarySettings
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clusters, Front
from crossmesh.steps import store
from crossmesh.steps.calls import Step, call
from crossmesh.steps.context import Context


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`canary` "" = all; `requests` 0 = as the settings say; `attempt` 2 = the try again after a first one that failed."""

    id: str
    canary: str = ""
    requests: int = 0
    attempt: int = 1


CARRIED = (
    120_000  # characters of all canaries' samples in a state: it holds 262,144 bytes (Step Functions' quotas), the judge's input among them
)


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """One canary's samples (`store.carry`); `problem` says why there are none."""

    canary: str
    samples: str
    url: str = ""
    problem: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """All canaries probed."""

    id: str
    probed: tuple[Probed, ...]


def run(request: Request, context: Context) -> Step[Response]:
    """Probe each canary; one that cannot be probed has no samples, which is a failure too."""
    probed = []
    for canary in context.settings.canaries:
        if request.canary in ("", canary.name):
            probed.append((yield from _probe(request, canary, context)))
    return Response(id=request.id, probed=tuple(probed))


def _probe(request: Request, canary: CanarySettings, context: Context) -> Step[Probed]:
    where = store.key(request.id, f"samples/{canary.name}" + (f"-{request.attempt}" if request.attempt > 1 else ""))
    samples: tuple[Sample, ...] = ()
    url = problem = ""
    try:
        url = yield from url_of(canary, context)
        samples = yield from call(
            Front.probe,
            url,
            request.requests or canary.requests,
            canary.timeout_ms / 1000,
            canary.name,
            follow=not 300 <= canary.expect.status < 400,
        )
    except CrossmeshError as error:
        problem = str(error)
    carried = yield from store.carry(where, samples, CARRIED // len(context.settings.canaries))
    return Probed(canary=canary.name, samples=carried, url=url, problem=problem)


def url_of(canary: CanarySettings, context: Context) -> Step[str]:
    """The address to ask: as declared, or of the Service's load balancer."""
    target = canary.service
    if target is None:
        return canary.url.rstrip("/") + canary.path
    host = yield from call(Clusters.load_balancer, target, context.cluster(target.cluster))
    if not host:
        raise CrossmeshError(f"Service {target.namespace}/{target.name} of {target.cluster} has no load balancer address yet")
    scheme = "https" if target.port == 443 else "http"
    return f"{scheme}://{host}:{target.port}{canary.path}"
