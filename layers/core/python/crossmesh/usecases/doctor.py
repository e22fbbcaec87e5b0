"""What `crossmesh doctor` does: the canary's own checks for every canary, and those that only a
person has time for. Writes nothing to what it looks at.
"""

from collections.abc import Mapping

import msgspec

from crossmesh import codec
from crossmesh.core.canary.history import CanaryHistory, memory_key
from crossmesh.core.canary.judge import judge
from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.diagnosis import doctor
from crossmesh.core.diagnosis.diagnose import diagnose
from crossmesh.core.diagnosis.doctor import Part, Recommendation
from crossmesh.core.diagnosis.ordered import RESUME
from crossmesh.core.diagnosis.withheld import withheld
from crossmesh.core.mesh.expected_split import shares
from crossmesh.core.mesh.shift_lines import moment
from crossmesh.core.registry.overrides import describe_drain, paused
from crossmesh.core.registry.plan import ManualOverrides
from crossmesh.core.reporting.report import Report
from crossmesh.core.settings import CanarySettings
from crossmesh.effects import Step, call, to
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clock, Front, State
from crossmesh.usecases import facts, look, state, traffic_shifts
from crossmesh.usecases.canary import bodies, url_of
from crossmesh.usecases.context import Context

REQUESTS = 20  # a canary, at most: a person waits
_ORDERED = ("drain", "pause")
LAG = 5.0  # seconds from a pod's end to the registry without it, where no run has told yet


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """Findings, and each canary's verdict as it was just now; `deployed`: what the deployed
    canaries last said, by name.
    """

    findings: tuple[Recommendation, ...]
    verdicts: tuple[Verdict, ...] = ()
    deployed: dict[str, Verdict] = {}
    unread: tuple[str, ...] = ()
    broken: dict[str, tuple[str, ...]] = {}  # canary -> what is broken on its path, whatever its requests from here got


def examine(context: Context, parts: frozenset[Part], parameters: Mapping[str, str]) -> Step[DoctorReport]:
    """Look at `parts`. `parameters`: the deployed stack's, {} = not known."""
    known = yield from facts.shared(context)
    context = yield from traffic_shifts.in_force(known.seen.context if known.seen else context)
    found: list[Recommendation] = []
    verdicts: list[Verdict] = []
    deployed: dict[str, Verdict] = {}
    broken: dict[str, tuple[str, ...]] = {}
    if "path" in parts:
        for canary in context.settings.canaries:
            verdict, diagnoses, last = yield from _canary(canary, known, context)
            verdicts.append(verdict)
            if last is not None:
                deployed[canary.name] = last
                found += _disagreement(verdict, last)
            bad = verdict.kind != "good"
            broken[canary.name] = tuple(one.what for one in diagnoses if one.layer != "ordered")
            found += [
                _of(diagnosis)
                for diagnosis in diagnoses
                if (bad or diagnosis.layer != "ordered") and diagnosis.subject not in (*_ORDERED, "mode")
            ]
            found += [
                Recommendation(part="path", subject=canary.name, what=text, fix="renew it in time")
                for text in verdict.warnings
            ]
    registry = known.seen.registry if known.seen else None
    if "rollouts" in parts:
        lag = yield from _lag()
        found += doctor.rollouts(context.topology, known.workloads, registry, lag)
    if known.seen is not None:
        told = {one.subject.partition(":")[2] for one in found}
        held = withheld(known.seen.plan, known.seen.mesh, known.seen.registry, known.seen.views)
        found += [one for one in held if not told & {one.subject.partition(":")[2], one.subject.split(":")[1]}]
        found = [*_wishes(known.seen.operator), *found]
    if "setup" in parts:
        views = known.seen.views if known.seen else ()
        found += doctor.setup(context.settings, context.topology, parameters, views, registry)
        said = yield from state.batch_or_raise([to(State.read, look.LAST), to(State.read, state.LAST_RUN)])
        looked, ran = (codec.decode(data, Report) if data else None for data in said)
        found += doctor.unseen_deployed(looked, views, ran)
    unique = {(one.part, one.subject, one.what): one for one in found}
    first = sorted(
        unique.values(),
        key=lambda one: one.subject not in (*_ORDERED, "Mode") and not one.subject.startswith("ordered:"),
    )
    return DoctorReport(
        findings=tuple(first),
        verdicts=tuple(verdicts),
        deployed=deployed,
        unread=tuple(f"{u.what}: {u.why}" for u in known.unread),
        broken={name: what for name, what in broken.items() if what},
    )


def _canary(
    canary: CanarySettings, known: facts.Shared, context: Context
) -> Step[tuple[Verdict, tuple[Diagnosis, ...], Verdict | None]]:
    """Probed from here, judged against its history, and not remembered. Third: what the deployed
    canary last said.
    """
    samples: tuple[Sample, ...] = ()
    problem = ""
    try:
        url = yield from url_of(canary, context)
        count, seconds = min(canary.requests, REQUESTS), canary.timeout_ms / 1000
        samples = yield from call(
            Front.probe, url, count, seconds, canary.name, follow=not 300 <= canary.expect.status < 400
        )
    except CrossmeshError as error:
        problem = str(error)
    now = yield from call(Clock.now)
    data = yield from call(State.read, memory_key(canary.name))
    memory = codec.decode(data, CanaryHistory) if data else CanaryHistory()
    verdict, _ = judge(canary, samples, shares(context.topology, canary), memory, bodies(canary, context), at=now)
    found = yield from facts.of_canary(canary, verdict, samples, problem, known, context)
    return verdict, diagnose(found), memory.last


def _disagreement(here: Verdict, last: Verdict) -> list[Recommendation]:
    """The deployed canary failed and the requests from here did not: users may still be served
    badly.
    """
    if here.kind != "good" or last.kind == "good":
        return []
    return [
        Recommendation(
            part="path",
            subject=here.canary,
            what=f"the deployed canary {here.canary} failed at {moment(last.at)}, and the requests from here did not",
            evidence=(last.says,),
            fix=(
                f"`crossmesh canary run {here.canary}` asks it again; `crossmesh canary history {here.canary}` shows"
                " what it found"
            ),
        )
    ]


def _wishes(operator: ManualOverrides) -> list[Recommendation]:
    """A drain or a pause, once for all canaries."""
    if operator.draining:
        return [Recommendation(part="setup", subject="drain", what=describe_drain(operator), fix=RESUME)]
    return [Recommendation(part="setup", subject="pause", what=paused(operator), fix=RESUME)] if operator.paused else []


def _of(diagnosis: Diagnosis) -> Recommendation:
    return Recommendation(
        part="path", subject=diagnosis.key, what=diagnosis.what, evidence=diagnosis.evidence, fix=diagnosis.fix
    )


def _lag() -> Step[float]:
    """As the last run that removed or added something took."""
    data = yield from call(State.read, state.LAST_RUN)
    last = codec.decode(data, Report) if data else None
    return max(1.0, last.seconds) if last is not None and last.kind == "applied" and last.adds + last.removals else LAG
