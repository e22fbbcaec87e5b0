"""The canary's judge: what was answered against what the routes promise. Pure.

In the reference scenario front answers 200 even when the mesh behind it fails, so the body decides: each must be one of the declared ones, in about the routed
proportion. The proportion is tested exactly, over one run and over the last runs pooled; the error rate is stated, not felt:
at one run a minute (1,440 a day, two tests each) ALPHA = 0.01 / 1,440 / 2 gives at most 1 % false alarms of the mix a day.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from crossmesh.core.exact import two_sided
from crossmesh.core.settings import CanarySettings
from crossmesh.core.topology import Topology

ALPHA = 0.01 / 1440 / 2
WINDOW = 5  # runs pooled
KEPT_FAILURES = 10  # samples kept as evidence


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Times in milliseconds; `error` is a stable class (dns, refused, timeout, reset, tls, protocol), "" = answered."""

    status: int = 0
    body: str = ""
    error: str = ""
    detail: str = ""
    latency_ms: float = 0.0
    dns_ms: float = 0.0
    connect_ms: float = 0.0
    tls_ms: float = 0.0
    first_byte_ms: float = 0.0
    address: str = ""
    trace_id: str = ""
    headers: dict[str, str] = {}


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one run: its answers per virtual node, under which expectation, and whether it was good."""

    at: float
    counts: dict[str, int] = {}
    expected: dict[str, str] = {}
    good: bool = True


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing judged."""

    name: Literal["answers", "bodies", "mix", "latency"]
    good: bool
    says: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary concluded. No data is a failure."""

    canary: str
    kind: Literal["good", "failed", "no-data"]
    at: float
    says: str
    checks: tuple[Check, ...] = ()
    counts: dict[str, int] = {}
    expected: dict[str, str] = {}
    p_value: float = 1.0
    evidence: tuple[Sample, ...] = ()
    requests: int = 0
    p95_ms: float = 0.0


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """A canary's history: the newest rounds last, the last verdict, failures in a row, when it was last good."""

    rounds: tuple[Round, ...] = ()
    last: Verdict | None = None
    failures: int = 0
    last_good: float = 0.0


def shares(topology: Topology, canary: CanarySettings, path: str = "/") -> dict[str, Fraction]:
    """The proportion that the routes promise per virtual node (AWS name) for `path` at the virtual service that the mix is of; {} = no mix."""
    if canary.expect.mix is None:
        return {}
    service = next((s for s in topology.services if canary.expect.mix.of in (s.name, s.aws_name, f"{s.namespace}/{s.name}")), None)
    if service is None:
        return {}
    provider = service.spec.get("provider") or {}
    node = (provider.get("virtualNode") or {}).get("@VirtualNode")
    if node:
        return {str(node): Fraction(1)}
    name = (provider.get("virtualRouter") or {}).get("@VirtualRouter")
    router = next((r for r in topology.routers if r.aws_name == name and r.mesh == service.mesh), None)
    for route in sorted(router.spec.get("routes") or (), key=_precedence) if router else ():
        http = route.get("httpRoute") or route.get("http2Route") or {}
        if http and path.startswith((http.get("match") or {}).get("prefix") or "\0"):
            weights: Counter[str] = Counter()
            for target in (http.get("action") or {}).get("weightedTargets") or ():
                weights[str(target.get("@VirtualNode", ""))] += int(target.get("weight", 0))
            total = sum(weights.values())
            return {node: Fraction(weight, total) for node, weight in weights.items()} if total else {}
    return {}


def _precedence(route: dict[str, object]) -> tuple[bool, int, int]:
    """App Mesh's order: priority 0 first, without priority last, then the longer prefix."""
    http = route.get("httpRoute") or route.get("http2Route") or {}
    match = http.get("match") if isinstance(http, dict) else None
    prefix = str((match or {}).get("prefix") or "") if isinstance(match, dict) else ""
    priority = route.get("priority")
    return priority is None, int(str(priority)) if priority is not None else 0, -len(prefix)


def judge(
    canary: CanarySettings, samples: Sequence[Sample], expected: Mapping[str, Fraction], memory: Memory, nodes: Mapping[str, str], *, at: float
) -> tuple[Verdict, Memory]:
    """Judge one run. `nodes`: declared body -> virtual node's AWS name; `expected`: share per AWS name."""
    told = {node: str(share) for node, share in sorted(expected.items())}
    if not samples:
        verdict = Verdict(canary=canary.name, kind="no-data", at=at, says="no request was made: no data is a failure", expected=told)
        return verdict, _remember(memory, verdict)
    checks = [_answers(canary, samples)]
    counts: dict[str, int] = {}
    p_value = 1.0
    if canary.expect.mix is not None:
        bodies, counts = _bodies(samples, nodes)
        checks.append(bodies)
        mix, p_value = _mix(counts, expected, memory, told)
        checks.append(mix)
    answered = sorted(sample.latency_ms for sample in samples if not sample.error)
    p95 = answered[max(0, -(-len(answered) * 95 // 100) - 1)] if answered else 0.0
    if canary.expect.latency_p95_ms:
        good = bool(answered) and p95 <= canary.expect.latency_p95_ms
        checks.append(Check(name="latency", good=good, says=f"95 % within {p95:.0f} ms, allowed {canary.expect.latency_p95_ms:.0f} ms"))
    bad = [check for check in checks if not check.good]
    evidence = [s for s in samples if s.error or s.status != canary.expect.status or (nodes and s.body.strip() not in nodes)][:KEPT_FAILURES]
    verdict = Verdict(
        canary=canary.name,
        kind="failed" if bad else "good",
        at=at,
        says="; ".join(check.says for check in bad or checks),
        checks=tuple(checks),
        counts=counts,
        expected=told,
        p_value=p_value,
        evidence=tuple(evidence),
        requests=len(samples),
        p95_ms=p95,
    )
    return verdict, _remember(memory, verdict)


def _answers(canary: CanarySettings, samples: Sequence[Sample]) -> Check:
    errors = Counter(s.error or f"status {s.status}" for s in samples if s.error or s.status != canary.expect.status)
    lacking = 0
    if canary.expect.body:
        lacking = sum(1 for s in samples if not s.error and canary.expect.body not in s.body)
    if lacking:
        errors["body without the expected text"] += lacking
    if not errors:
        return Check(name="answers", good=True, says=f"{len(samples)} of {len(samples)} requests answered {canary.expect.status}")
    told = ", ".join(f"{count} × {what}" for what, count in errors.most_common())
    return Check(name="answers", good=False, says=f"{sum(errors.values())} of {len(samples)} requests failed: {told}")


def _bodies(samples: Sequence[Sample], nodes: Mapping[str, str]) -> tuple[Check, dict[str, int]]:
    counts: Counter[str] = Counter(dict.fromkeys(sorted(set(nodes.values())), 0))
    unknown: Counter[str] = Counter()
    for sample in samples:
        if sample.error:
            continue
        body = sample.body.strip()
        if body in nodes:
            counts[nodes[body]] += 1
        else:
            unknown[body[:80]] += 1
    if unknown:
        told = ", ".join(f"{count} × {body!r}" for body, count in unknown.most_common(3))
        return Check(name="bodies", good=False, says=f"{sum(unknown.values())} answers carry no declared body: {told}"), dict(counts)
    return Check(name="bodies", good=True, says="every body is a declared one"), dict(counts)


def _mix(counts: Mapping[str, int], expected: Mapping[str, Fraction], memory: Memory, told: dict[str, str]) -> tuple[Check, float]:
    """This run by itself, and the last runs under the same expectation pooled with it."""
    if not expected:
        return Check(name="mix", good=False, says="no route says which share each virtual node gets"), 0.0
    pooled = Counter(counts)
    for before in memory.rounds[-(WINDOW - 1) :]:
        if before.expected == told:
            pooled.update(before.counts)
    worst = 1.0
    for seen in (counts, pooled):
        total = sum(seen.values())
        tests = max(1, len(expected) - (len(expected) == 2))  # two shares are one number
        for node, share in expected.items():
            p = min(1.0, two_sided(seen.get(node, 0), total, float(share)) * tests) if total else 1.0
            worst = min(worst, p)
        if any(seen.get(node, 0) for node in seen if node not in expected):
            worst = 0.0
    shown = ", ".join(f"{node} {counts.get(node, 0)}" for node in sorted(set(expected) | set(counts)))
    wanted = ", ".join(f"{node} {float(share):.0%}" for node, share in sorted(expected.items()))
    good = worst >= ALPHA
    relation = "fits" if good else "does not fit"
    return Check(name="mix", good=good, says=f"the mix ({shown}) {relation} the routes ({wanted}), p = {worst:.2g}"), worst


def _remember(memory: Memory, verdict: Verdict) -> Memory:
    good = verdict.kind == "good"
    this = Round(at=verdict.at, counts=verdict.counts, expected=verdict.expected, good=good)
    return Memory(
        rounds=(*memory.rounds[-59:], this),
        last=verdict,
        failures=0 if good else memory.failures + 1,
        last_good=verdict.at if good else memory.last_good,
    )
