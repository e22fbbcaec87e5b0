"""Step `Probe front`: ask as a user would, a bounded number of times, and keep what came."""

import msgspec

from crossmesh.core import bounds
from crossmesh.core.canary.sample import REQUESTS, Sample, lean
from crossmesh.core.settings import CanarySettings
from crossmesh.effects import Step, call
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Front
from crossmesh.usecases import state
from crossmesh.usecases.canary import Probed, url_of
from crossmesh.usecases.context import Context
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`canary` "" = all; `requests` 0 = as the settings say; `attempt` 2 = the try again after a
    first one that failed.
    """

    id: str
    canary: str = ""
    requests: int = 0
    attempt: int = 1


CARRIED = (
    # Characters of all canaries' samples in a state: it holds 262,144 bytes (Step Functions'
    # quotas), the judge's input among them
    120_000
)


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
    where = state.key(request.id, f"samples/{canary.name}" + (f"-{request.attempt}" if request.attempt > 1 else ""))
    samples: tuple[Sample, ...] = ()
    url = problem = ""
    try:
        url = yield from url_of(canary, context)
        samples = yield from call(
            Front.probe,
            url,
            max(1, min(request.requests or canary.requests, REQUESTS)),
            canary.timeout_ms / 1000,
            canary.name,
            follow=not 300 <= canary.expect.status < 400,
        )
    except CrossmeshError as error:
        problem = bounds.text(str(error), 400)
    samples = tuple(lean(canary, sample) for sample in samples)
    carried = yield from state.inline_or_store(where, samples, CARRIED // len(context.settings.canaries))
    return Probed(canary=canary.name, samples=carried, url=url, problem=problem)


TASK = Task(name="probe_front", request=Request, run=run)
