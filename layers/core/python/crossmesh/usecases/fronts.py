"""The Services that canaries ask, held against the clusters: what `plan` says of one that is not
there, or lacks the port.
"""

from collections.abc import Iterator

from crossmesh.core.diagnosis.doctor import Recommendation
from crossmesh.core.diagnosis.facts import ServiceFacts
from crossmesh.core.diagnosis.ingress import no_port
from crossmesh.core.observed import Unseen, View
from crossmesh.core.settings import CanarySettings, ServiceTarget
from crossmesh.effects import Step, batch, to
from crossmesh.errors import CrossmeshError, NotFound
from crossmesh.ports import Clusters
from crossmesh.usecases.context import Context


def missing(context: Context, views: tuple[View, ...]) -> Step[tuple[Recommendation, ...]]:
    """Canaries whose Service the cluster does not have, or whose port the Service does not have.

    Of a cluster that is unseen, or gives another answer, nothing is said.
    """
    unseen = {view.cluster for view in views if isinstance(view, Unseen)}
    asked = [
        (canary, canary.service)
        for canary in context.settings.canaries
        if canary.service and canary.service.cluster not in unseen
    ]
    answers = yield from batch([to(Clusters.service, target, context.cluster(target.cluster)) for _, target in asked])
    pairs = zip(asked, answers, strict=True)
    return tuple(advice for (canary, target), answer in pairs for advice in _judged(canary, target, answer))


def _judged(
    canary: CanarySettings, target: ServiceTarget, answer: ServiceFacts | CrossmeshError
) -> Iterator[Recommendation]:
    field = f"canaries.{canary.name}.service"
    if isinstance(answer, NotFound):
        what = (
            f"canary {canary.name} asks Service {target.namespace}/{target.name}, which {target.cluster} does"
            " not have: it can only fail"
        )
        fix = (
            f"correct its name or namespace, or create it; `kubectl --context {target.cluster} get services"
            " -A` lists those there are"
        )
        yield Recommendation(part="setup", subject=field, what=what, fix=fix)
    elif isinstance(answer, ServiceFacts) and (lacks := no_port(target, answer)):
        what = f"canary {canary.name} can only fail: {lacks.what}"
        yield Recommendation(part="setup", subject=f"{field}.port", what=what, fix=lacks.fix)
