"""What `crossmesh doctor` does: the canary's own checks for every canary, and those that only a person has time for. Writes nothing to what it looks at."""

from collections.abc import Mapping

import msgspec

from crossmesh import codec
from crossmesh.core import advice
from crossmesh.core.advice import Advice, Part
from crossmesh.core.canary import Memory, Sample, Verdict, judge, shares
from crossmesh.core.diagnosis import diagnose
from crossmesh.core.path import Diagnosis
from crossmesh.core.report import Report
from crossmesh.core.settings import CanarySettings
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clock, Front, State
from crossmesh.steps import facts, report_run, shifts
from crossmesh.steps.calls import Step, call
from crossmesh.steps.context import Context
from crossmesh.steps.judge_canary import bodies, memory_key
from crossmesh.steps.probe_front import url_of

REQUESTS = 20  # a canary, at most: a person waits
LAG = 5.0  # seconds from a pod's end to the registry without it, where no run has told yet


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """Findings, and each canary's verdict as it was just now."""

    findings: tuple[Advice, ...]
    verdicts: tuple[Verdict, ...] = ()
    unread: tuple[str, ...] = ()


def examine(context: Context, parts: frozenset[Part], parameters: Mapping[str, str]) -> Step[Examined]:
    """Look at `parts`. `parameters`: the deployed stack's, {} = not known."""
    known = yield from facts.common(context)
    context = yield from shifts.in_force(known.seen.context if known.seen else context)
    found: list[Advice] = []
    verdicts: list[Verdict] = []
    if "path" in parts:
        for canary in context.settings.canaries:
            verdict, diagnoses = yield from _canary(canary, known, context)
            verdicts.append(verdict)
            found += [_of(diagnosis) for diagnosis in diagnoses]
            found += [Advice(part="path", subject=canary.name, what=text, cure="renew it in time") for text in verdict.warnings]
    registry = known.seen.registry if known.seen else None
    if "rollouts" in parts:
        lag = yield from _lag()
        found += advice.rollouts(context.topology, known.workloads, registry, lag)
    if "setup" in parts:
        views = known.seen.views if known.seen else ()
        found += advice.setup(context.settings, context.topology, parameters, views, registry)
    unique = {(one.part, one.subject, one.what): one for one in found}
    return Examined(findings=tuple(unique.values()), verdicts=tuple(verdicts), unread=tuple(f"{u.what}: {u.why}" for u in known.unread))


def _canary(canary: CanarySettings, known: facts.Common, context: Context) -> Step[tuple[Verdict, tuple[Diagnosis, ...]]]:
    """Probed from here, judged against its history, and not remembered."""
    samples: tuple[Sample, ...] = ()
    problem = ""
    try:
        url = yield from url_of(canary, context)
        count, seconds = min(canary.requests, REQUESTS), canary.timeout_ms / 1000
        samples = yield from call(Front.probe, url, count, seconds, canary.name, follow=not 300 <= canary.expect.status < 400)
    except CrossmeshError as error:
        problem = str(error)
    now = yield from call(Clock.now)
    data = yield from call(State.read, memory_key(canary.name))
    memory = codec.decode(data, Memory) if data else Memory()
    verdict, _ = judge(canary, samples, shares(context.topology, canary), memory, bodies(canary, context), at=now)
    found = yield from facts.of_canary(canary, verdict, samples, problem, known, context)
    return verdict, diagnose(found)


def _of(diagnosis: Diagnosis) -> Advice:
    return Advice(part="path", subject=diagnosis.key, what=diagnosis.what, evidence=diagnosis.evidence, cure=diagnosis.cure)


def _lag() -> Step[float]:
    """As the last run that removed or added something took."""
    data = yield from call(State.read, report_run.LAST)
    last = codec.decode(data, Report) if data else None
    return max(1.0, last.seconds) if last is not None and last.kind == "applied" and last.adds + last.removals else LAG
