"""A canary's history: the verdicts that it remembers, what the newest says of now, and its limit in
bytes.
"""

import msgspec

from crossmesh import codec
from crossmesh.core.canary.split_test import WINDOW, CanaryRun
from crossmesh.core.canary.verdict import SAYS, Verdict

ROUNDS = 60  # runs remembered
# Seconds for which a verdict speaks for now: canaries run each minute, and one may fail to run
FRESH = 180.0
# Bytes of a canary's history: less than half of what its store takes (400 KB an item of DynamoDB)
MEMORY_LIMIT = 160_000


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


def remember(memory: CanaryHistory, verdict: Verdict) -> CanaryHistory:
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
