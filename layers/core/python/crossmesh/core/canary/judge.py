"""The canary's judge: what was answered against what was promised. Pure.

In the reference scenario front answers 200 even when the mesh behind it fails, so the body decides:
each must be one of the declared ones, in the routed proportion (`core.canary.split_test`). Every
check is judged by itself and says in words what it saw; one failure is enough, and no data is one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from crossmesh import codec
from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.canary.split_test import WINDOW, CanaryRun, SplitResult, describe_split, judge_mix
from crossmesh.core.settings import CanarySettings

REQUESTS = 1_000  # requests of a run at most, whoever asks for it
ROUNDS = 60  # runs remembered
# Seconds for which a verdict speaks for now: canaries run each minute, and one may fail to run
FRESH = 180.0
KEPT = 10  # samples kept as evidence
KEPT_TEXT = 500  # characters kept of a body: the history is one small document
# Headers kept of an answer, characters of a name and of a value
KEPT_HEADERS, KEPT_NAME, KEPT_VALUE = 10, 60, 200
SAYS = 1_000  # characters of what a check says
# Bytes of a canary's history: less than half of what its store takes (400 KB an item of DynamoDB)
MEMORY_LIMIT = 160_000
# Control and direction characters: they cost up to six bytes in JSON, and would steer a terminal
_UNSEEN = {
    code: "\ufffd"
    for code in (*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n\r"
}

CheckName = Literal["answers", "bodies", "mix", "latency", "certificate"]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Times in milliseconds, of all hops together.

    `error` is a stable class: dns, refused, timeout, reset, tls, protocol, unreachable, forbidden;
    "" = answered. `cause`: what of TLS failed (`core.canary.certificates`). `detail` is for people.
    `tls_days`: until the certificate ends, None without TLS.
    """

    status: int = 0
    body: str = ""
    error: str = ""
    cause: str = ""
    detail: str = ""
    latency_ms: float = 0.0
    dns_ms: float = 0.0
    connect_ms: float = 0.0
    tls_ms: float = 0.0
    first_byte_ms: float = 0.0
    address: str = ""
    trace_id: str = ""
    headers: dict[str, str] = {}
    tls_days: float | None = None
    hops: int = 0


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing judged."""

    name: CheckName
    good: bool
    says: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary concluded. No data is a failure.

    `counts` are this run's answers per virtual node and `lost` those that told none; `p_value`
    decided on the mix against `alpha`, over `pooled` runs. `flake`: what failed in the first try
    and not in the second. `warnings` fail nothing yet. `diagnoses`: the broken layers, the first in
    path order first; None = not diagnosed (yet).
    """

    canary: str
    kind: Literal["good", "failed", "no-data"]
    at: float
    says: str
    checks: tuple[Check, ...] = ()
    counts: dict[str, int] = {}
    expected: dict[str, str] = {}
    p_value: float = 1.0
    alpha: float = 0.0
    pooled: int = 0
    lost: int = 0
    evidence: tuple[Sample, ...] = ()
    requests: int = 0
    p95_ms: float = 0.0
    run: str = ""  # the execution that probed
    trace: str = ""  # of the one request whose way was recorded
    flake: str = ""
    warnings: tuple[str, ...] = ()
    diagnoses: tuple[Diagnosis, ...] | None = None


class CanaryHistory(msgspec.Struct, frozen=True, kw_only=True):
    """A canary's history: the newest rounds last, the last verdict, failures in a row, when it was
    last good.
    """

    rounds: tuple[CanaryRun, ...] = ()
    last: Verdict | None = None
    failures: int = 0
    last_good: float = 0.0


def memory_key(canary: str) -> str:
    """The state document that holds a canary's history."""
    return f"canary/{canary}"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The newest round that had data: when, whether it was good, and what was said of it. `at` 0 =
    there is none.
    """

    at: float = 0.0
    good: bool = True
    says: str = ""


def newest_judged(memory: CanaryHistory) -> Judged:
    """What the canary last found out. A round without data found out nothing."""
    last = memory.last
    if last is not None and last.kind != "no-data":
        return Judged(at=last.at, good=last.kind == "good", says=last.says)
    found = next((one for one in reversed(memory.rounds) if one.good or one.counts or one.lost), None)
    return Judged(at=found.at, good=found.good, says="a promise was not kept") if found else Judged()


def stale(memory: CanaryHistory, now: float) -> bool:
    """Whether the last verdict speaks no longer for now, whatever it said. False where there is
    none yet.
    """
    return memory.last is not None and now - memory.last.at > FRESH


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
        return verdict, _remember(memory, verdict)
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
    return verdict, _remember(memory, verdict)


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
    return tuple(_trimmed(sample) for sample in found[:KEPT])


def _trimmed(sample: Sample) -> Sample:
    headers = {name[:KEPT_NAME]: value[:KEPT_VALUE] for name, value in list(sample.headers.items())[:KEPT_HEADERS]}
    return msgspec.structs.replace(
        sample, body=sample.body[:KEPT_TEXT], detail=sample.detail[:KEPT_TEXT], headers=headers
    )


def lean(canary: CanarySettings, sample: Sample) -> Sample:
    """A sample with what its judge needs and little else: a run's samples are kept, and a front may
    send whatever it likes.
    """
    expect = canary.expect
    wanted = {name.lower(): value for name, value in expect.headers}
    exact = {name: value for name, value in sample.headers.items() if wanted.get(name) == value}
    others = [item for item in sample.headers.items() if item[0] not in exact][:KEPT_HEADERS]
    headers = {**{_seen(name, KEPT_NAME): _seen(value, KEPT_VALUE) for name, value in others}, **exact}
    return msgspec.structs.replace(
        sample, body=_lean_body(canary, sample.body), headers=headers, detail=_seen(sample.detail, KEPT_TEXT)
    )


def _lean_body(canary: CanarySettings, body: str) -> str:
    """The body whole where it is a declared one; else its beginning, with the expected text where
    that stands further on.
    """
    declared = {text.strip() for text, _ in canary.expect.mix.bodies} if canary.expect.mix else set()
    if body.strip() in declared:
        return body.strip()
    text = canary.expect.body
    kept = _seen(body, KEPT_TEXT)
    if text and text in body and text not in kept:
        kept = f"{kept} … {text}"
    return f"{kept} … ({len(body):,} characters)" if kept != body else kept


def _seen(text: str, most: int) -> str:
    return text[:most].translate(_UNSEEN)


def _remember(memory: CanaryHistory, verdict: Verdict) -> CanaryHistory:
    good = verdict.kind == "good"
    this = CanaryRun(
        at=verdict.at,
        counts=verdict.counts,
        expected=verdict.expected,
        good=good,
        lost=verdict.lost,
        p95_ms=verdict.p95_ms,
    )
    return bounded(
        CanaryHistory(
            rounds=(*memory.rounds[-(ROUNDS - 1) :], this),
            last=verdict,
            failures=0 if good else memory.failures + 1,
            last_good=verdict.at if good else memory.last_good,
        )
    )


def bounded(memory: CanaryHistory) -> CanaryHistory:
    """The history within its limit, whatever a front, a cluster or a document made of it: evidence
    goes first, then diagnoses, then old rounds.
    """
    for shorter in (_as_it_is, _without_evidence, _without_diagnoses, _short):
        memory = shorter(memory)
        if len(codec.encode(memory)) <= MEMORY_LIMIT:
            break
    return memory


def _as_it_is(memory: CanaryHistory) -> CanaryHistory:
    return memory


def _without_evidence(memory: CanaryHistory) -> CanaryHistory:
    return msgspec.structs.replace(
        memory, last=msgspec.structs.replace(memory.last, evidence=()) if memory.last else None
    )


def _without_diagnoses(memory: CanaryHistory) -> CanaryHistory:
    """At most twenty diagnoses, each by its name and its remediation alone."""
    last = memory.last
    if last is None or not last.diagnoses:
        return memory
    short = tuple(
        msgspec.structs.replace(d, subject=d.subject[:300], what=d.what[:300], fix=d.fix[:300], evidence=())
        for d in last.diagnoses[:20]
    )
    return msgspec.structs.replace(memory, last=msgspec.structs.replace(last, diagnoses=short))


def _short(memory: CanaryHistory) -> CanaryHistory:
    """The rounds that the mix is judged by, while they fit at all."""
    rounds = memory.rounds[-WINDOW:]
    while rounds and len(codec.encode(rounds)) > MEMORY_LIMIT // 2:
        rounds = rounds[1:]
    last = memory.last
    if last is not None and len(codec.encode(last)) > MEMORY_LIMIT // 2:
        last = Verdict(
            canary=last.canary,
            kind=last.kind,
            at=last.at,
            says=last.says[:SAYS],
            run=last.run[:100],
            requests=last.requests,
        )
    return msgspec.structs.replace(memory, rounds=rounds, last=last)
