"""Is the mix of answers the one that the routes promise? An exact test with a stated rate of false
alarms.

The rate: at one run a minute at most 1 % of days see a false alarm of the mix (union bound). A run
spends FALSE_ALARMS_A_DAY / RUNS_A_DAY of it on two tests: the answers of the last WINDOW runs
pooled (nine tenths, ALPHA_POOLED) and the run alone (one tenth, ALPHA_ALONE, for gross errors in
the first minute). The pool needs nearly all of it: 60 requests a run must find an error of 20
points within 5 runs with 99 %, at every share. Each test is one exact binomial test a virtual node,
Bonferroni's way: its p-value times the number of nodes (two shares are one number).

What was lost (errors, unknown bodies) could have been any node's answer: the mix is blamed only
where no way of giving the lost ones out would fit.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from crossmesh.core.canary.binomial import closest_count, two_sided

FALSE_ALARMS_A_DAY = 0.01
RUNS_A_DAY = 1440
ALPHA_POOLED = 0.9 * FALSE_ALARMS_A_DAY / RUNS_A_DAY
ALPHA_ALONE = 0.1 * FALSE_ALARMS_A_DAY / RUNS_A_DAY
WINDOW = 5  # runs pooled, this one among them
WINDOW_SECONDS = 900.0  # older runs say nothing about now
# A run that fits this well by itself no longer pools with runs that were wrong by themselves
FIXED = 0.05


class CanaryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one run: answers per virtual node, those that told none, under which
    expectation, and whether it was good.
    """

    at: float
    counts: dict[str, int] = {}
    expected: dict[str, str] = {}
    good: bool = True
    lost: int = 0
    p95_ms: float = 0.0


class SplitResult(msgspec.Struct, frozen=True, kw_only=True):
    """The mix judged: the p-value that decided and the alpha it was held against, of `runs`
    runs.
    """

    good: bool
    says: str
    p_value: float = 1.0
    alpha: float = ALPHA_ALONE
    runs: int = 1


def describe_split(expected: Mapping[str, Fraction]) -> dict[str, str]:
    """The expectation as history keeps it: "1/2", exact."""
    return {node: str(share) for node, share in sorted(expected.items())}


def mix_p_value(counts: Mapping[str, int], lost: int, expected: Mapping[str, Fraction]) -> float:
    """How likely answers at least as far off as these are, were the routes kept; at most 1. No
    answer at all speaks for nothing: 1.
    """
    total = sum(counts.values()) + lost
    open_shares = {node: float(share) for node, share in expected.items() if 0 < share < 1}
    if not total:
        return 1.0
    if impossible(counts, expected):
        return 0.0
    tests = len(open_shares) - (len(open_shares) == 2)
    lowest = min(
        (
            two_sided(closest_count(seen := counts.get(node, 0), seen + lost, total, share), total, share)
            for node, share in open_shares.items()
        ),
        default=1.0,
    )
    return min(1.0, lowest * tests) if tests else 1.0


def impossible(counts: Mapping[str, int], expected: Mapping[str, Fraction]) -> dict[str, int]:
    """Answers of virtual nodes to which no route sends anything: one is enough."""
    return {node: count for node, count in sorted(counts.items()) if count and not expected.get(node)}


def judge_mix(
    counts: Mapping[str, int], lost: int, expected: Mapping[str, Fraction], rounds: Sequence[CanaryRun], at: float
) -> SplitResult:
    """This run by itself, and with the last ones under the same expectation."""
    if not expected:
        return SplitResult(good=False, p_value=0.0, says="no route says which share each virtual node gets")
    wrong = impossible(counts, expected)
    if wrong:
        shown = ", ".join(f"{count} from {node}" for node, count in wrong.items())
        return SplitResult(
            good=False,
            p_value=0.0,
            says=f"answers came from where no route leads: {shown} (routes: {_shares(expected)})",
        )
    if not sum(counts.values()):
        return SplitResult(good=True, says="no answer tells the mix")
    alone = mix_p_value(counts, lost, expected)
    if alone < ALPHA_ALONE:
        return SplitResult(good=False, p_value=alone, says=_says(counts, lost, expected, alone, ALPHA_ALONE, 1))
    pool = _pool(alone, expected, rounds, at)
    if not pool:
        return SplitResult(good=True, p_value=alone, says=_says(counts, lost, expected, alone, ALPHA_ALONE, 1))
    pooled = Counter(counts)
    for before in pool:
        pooled.update(before.counts)
    lost += sum(before.lost for before in pool)
    p_value = mix_p_value(pooled, lost, expected)
    runs = len(pool) + 1
    says = _says(pooled, lost, expected, p_value, ALPHA_POOLED, runs)
    return SplitResult(good=p_value >= ALPHA_POOLED, p_value=p_value, alpha=ALPHA_POOLED, runs=runs, says=says)


def _pool(alone: float, expected: Mapping[str, Fraction], rounds: Sequence[CanaryRun], at: float) -> list[CanaryRun]:
    """Earlier runs to judge together with this one.

    After a fix, earlier wrong runs would keep the pool wrong for minutes. They are left out once a
    run fits well by itself. Nothing is lost: each of them has raised its alarm.
    """
    same = describe_split(expected)
    recent = [
        r
        for r in rounds[-(WINDOW - 1) :]
        if r.expected == same and at - r.at <= WINDOW_SECONDS and any(r.counts.values())
    ]
    if alone < FIXED:
        return recent
    return [r for r in recent if mix_p_value(r.counts, r.lost, expected) >= ALPHA_ALONE]


def _says(
    counts: Mapping[str, int], lost: int, expected: Mapping[str, Fraction], p_value: float, alpha: float, runs: int
) -> str:
    total = sum(counts.values())
    shown = ", ".join(f"{node} {counts.get(node, 0)}" for node in sorted(set(expected) | set(counts)))
    span = f"{total} answers" if runs == 1 else f"{total} answers of the last {runs} runs"
    without = f" and {lost} that told none" if lost else ""
    fits, sign = ("fits", "≥") if p_value >= alpha else ("does not fit", "<")
    return (
        f"the mix of {span} ({shown}{without}) {fits} the routes ({_shares(expected)}), p = {p_value:.2g} {sign}"
        f" {alpha:.2g}"
    )


def _shares(expected: Mapping[str, Fraction]) -> str:
    return ", ".join(f"{node} {float(share) * 100:.3g} %" for node, share in sorted(expected.items()))


def mix_error(counts: Mapping[str, int], expected: Mapping[str, str]) -> float:
    """How far one run's answers are from the routed shares, in percent: the part that would have to
    be another node's (half the sum of differences).

    Chance alone makes some: with 60 answers at 1 : 1 about 5 on average, above 15 once in 50 runs.
    `expected` as `told` writes it. 0 without answers or expectation.
    """
    total = sum(counts.values())
    if not total or not expected:
        return 0.0
    nodes = set(counts) | set(expected)
    return round(
        50 * sum(abs(counts.get(node, 0) / total - float(Fraction(expected.get(node, "0")))) for node in nodes), 2
    )
