"""The canary's judge: what was answered against what was promised. Pure.

In the reference scenario front answers 200 even when the mesh behind it fails, so the body decides:
each must be one of the declared ones, in the routed proportion (`core.canary.split_test`). Every
check is judged by itself and says in words what it saw; one failure is enough, and no data is one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

import msgspec

from crossmesh.core.canary.history import CanaryHistory, remember
from crossmesh.core.canary.sample import KEPT, Sample, trimmed
from crossmesh.core.canary.split_test import SplitResult, describe_split, judge_mix
from crossmesh.core.canary.verdict import SAYS, Check, CheckName, Verdict
from crossmesh.core.settings import CanarySettings


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why one sample breaks a promise: the check it fails and the reason, equal for equal
    failures.
    """

    check: CheckName
    reason: str


def judge(
    canary: CanarySettings,
    samples: Sequence[Sample],
    expected: Mapping[str, Fraction],
    memory: CanaryHistory,
    nodes: Mapping[str, str],
    *,
    at: float,
) -> tuple[Verdict, CanaryHistory]:
    """Judge one run. `nodes`: declared body -> virtual node's AWS name; `expected`: share per AWS
    name.
    """
    if not samples:
        says = "no request was made: no data is a failure"
        verdict = Verdict(canary=canary.name, kind="no-data", at=at, says=says, expected=describe_split(expected))
        return verdict, remember(memory, verdict)
    nodes = {body.strip(): node for body, node in nodes.items()}
    faults = [(sample, fault_of(canary, sample, nodes, expected)) for sample in samples]
    checks = [_answers(canary, faults)]
    counts: Counter[str] = Counter(dict.fromkeys(sorted(set(nodes.values())), 0))
    mixed: SplitResult | None = None
    if canary.expect.mix is not None:
        counts.update(node for sample in samples if not sample.error and (node := nodes.get(sample.body.strip())))
        mixed = judge_mix(counts, len(samples) - sum(counts.values()), expected, memory.rounds, at)
        checks += [_bodies(faults), Check(name="mix", good=mixed.good, says=mixed.says)]
    p95 = percentile([sample.latency_ms for sample in samples if not sample.error], 95)
    if canary.expect.latency_p95_ms and p95 is not None:
        allowed = canary.expect.latency_p95_ms
        checks.append(
            Check(name="latency", good=p95 <= allowed, says=f"95 % within {p95:.0f} ms, allowed {allowed:.0f} ms")
        )
    checks += _certificate(samples)
    bad = [check for check in checks if not check.good]
    verdict = Verdict(
        canary=canary.name,
        kind="failed" if bad else "good",
        at=at,
        says="; ".join(check.says for check in bad or checks)[: 2 * SAYS],
        checks=tuple(checks),
        counts=dict(counts),
        expected=describe_split(expected),
        p_value=mixed.p_value if mixed else 1.0,
        alpha=mixed.alpha if mixed else 0.0,
        pooled=mixed.runs if mixed else 0,
        lost=len(samples) - sum(counts.values()) if mixed else 0,
        evidence=_evidence(faults, slow=any(check.name == "latency" for check in bad)),
        requests=len(samples),
        p95_ms=p95 or 0.0,
        warnings=_ending(canary, samples),
    )
    return verdict, remember(memory, verdict)


def fault_of(
    canary: CanarySettings, sample: Sample, nodes: Mapping[str, str], expected: Mapping[str, Fraction]
) -> Fault | None:
    """The first promise that this one answer breaks by itself; None = none."""
    expect, body = canary.expect, sample.body.strip()
    if sample.error:
        return Fault(check="answers", reason=sample.error)
    if sample.status != expect.status:
        extra = sample.detail or (repr(body[:80]) if body else "")
        return Fault(check="answers", reason=f"status {sample.status}" + (f" ({extra})" if extra else ""))
    if expect.body and expect.body not in sample.body:
        return Fault(check="answers", reason=f"body without the expected text {expect.body[:80]!r}")
    held = {name.lower(): value for name, value in sample.headers.items()}
    for name, value in expect.headers:
        if held.get(name.lower()) != value:
            found = held.get(name.lower())
            return Fault(
                check="answers",
                reason=f"header {name} is {'missing' if found is None else repr(found[:80])}, not {value!r}",
            )
    if expect.mix is not None and body not in nodes:
        return Fault(check="bodies", reason=repr(body[:80]))
    if expect.mix is not None and expected and not expected.get(nodes[body]):
        return Fault(check="mix", reason=f"an answer of {nodes[body]}, to which no route leads")
    return None


def percentile(values: Iterable[float], percent: int) -> float | None:
    """The nearest-rank percentile: the smallest value that `percent` % of all do not exceed; None
    of nothing.
    """
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)] if ranked else None


def _answers(canary: CanarySettings, faults: Sequence[tuple[Sample, Fault | None]]) -> Check:
    reasons = Counter(fault.reason for _, fault in faults if fault and fault.check == "answers")
    if not reasons:
        return Check(
            name="answers", good=True, says=f"{len(faults)} of {len(faults)} requests answered {canary.expect.status}"
        )
    return Check(
        name="answers", good=False, says=f"{sum(reasons.values())} of {len(faults)} requests failed: {_most(reasons)}"
    )


def _bodies(faults: Sequence[tuple[Sample, Fault | None]]) -> Check:
    reasons = Counter(fault.reason for _, fault in faults if fault and fault.check == "bodies")
    if not reasons:
        return Check(name="bodies", good=True, says="every body is a declared one")
    return Check(
        name="bodies",
        good=False,
        says=f"{sum(reasons.values())} of {len(faults)} answers carry no declared body: {_most(reasons)}",
    )


def _certificate(samples: Sequence[Sample]) -> list[Check]:
    """When the certificate ends. It fails by itself only when it does (error tls): how early is too
    early differs between issuers.
    """
    days = [sample.tls_days for sample in samples if sample.tls_days is not None]
    return [Check(name="certificate", good=True, says=f"the certificate ends in {min(days):.1f} days")] if days else []


def _ending(canary: CanarySettings, samples: Sequence[Sample]) -> tuple[str, ...]:
    """A warning where the certificate ends sooner than the settings allow."""
    days = min((sample.tls_days for sample in samples if sample.tls_days is not None), default=None)
    least = canary.expect.certificate_days
    return (
        (f"the certificate ends in {days:.1f} days (warned from {least:g} on)",)
        if days is not None and days < least
        else ()
    )


def flake_of(verdict: Verdict) -> str:
    """What of a failed first try is worth a second one: everything but the mix, whose test has its
    rate of false alarms already.
    """
    bad = [check for check in verdict.checks if not check.good and check.name != "mix"]
    return "; ".join(check.says for check in bad)


def _most(reasons: Counter[str]) -> str:
    shown = [f"{count} × {reason[: SAYS // 4]}" for reason, count in reasons.most_common(3)]
    rest = len(reasons) - len(shown)
    return ", ".join(shown) + (f" and {rest} more kinds" if rest else "")


def _evidence(faults: Sequence[tuple[Sample, Fault | None]], *, slow: bool) -> tuple[Sample, ...]:
    """Failing samples, one of every kind of failure first; of a slow run the slowest."""
    firsts: dict[str, Sample] = {}
    others: list[Sample] = []
    for sample, fault in faults:
        if fault is None:
            continue
        if fault.reason in firsts:
            others.append(sample)
        else:
            firsts[fault.reason] = sample
    found = [*firsts.values(), *others]
    if slow:
        good = [sample for sample, fault in faults if fault is None]
        found = [*sorted(good, key=lambda sample: -sample.latency_ms)[: KEPT // 2], *found]
    return tuple(trimmed(sample) for sample in found[:KEPT])
