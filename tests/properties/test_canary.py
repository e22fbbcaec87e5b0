"""The rates that the mix's judge states, by calculation with exact probabilities and by seeded windows of the real judge under a virtual clock."""

import random
from collections import Counter
from fractions import Fraction
from functools import cache

import pytest
from crossmesh.core.canary.binomial import binomial, two_sided
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.judge import judge
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.split_test import ALPHA_ALONE, ALPHA_POOLED, FALSE_ALARMS_A_DAY, RUNS_A_DAY, WINDOW, mix_p_value
from crossmesh.core.settings import CanarySettings, Expect, Mix
from hypothesis import given, settings
from hypothesis import strategies as st

REQUESTS = 60
POOL = REQUESTS * WINDOW
TWENTIETHS = [Fraction(n, 20) for n in range(1, 20)]


@cache
def rejected(of: int, share: Fraction, alpha: float) -> tuple[int, ...]:
    return tuple(k for k in range(of + 1) if two_sided(k, of, float(share)) < alpha)


def chance(of: int, share: Fraction, real: Fraction, alpha: float) -> float:
    """How likely the test of `share` rejects when `real` is the truth."""
    return sum(binomial(k, of, float(real)) for k in rejected(of, share, alpha))


@pytest.mark.parametrize("share", [*TWENTIETHS, Fraction(1, 100), Fraction(1, 3), Fraction(2, 7)])
def test_by_calculation_at_most_one_percent_false_alarms_a_day(share: Fraction) -> None:
    """Union bound over the two tests of each of a day's runs; the pool is shorter in the first runs."""
    alone = chance(REQUESTS, share, share, ALPHA_ALONE)
    pooled = max(chance(REQUESTS * runs, share, share, ALPHA_POOLED) for runs in range(2, WINDOW + 1))
    assert RUNS_A_DAY * (alone + pooled) <= FALSE_ALARMS_A_DAY == 0.01


@pytest.mark.parametrize("share", TWENTIETHS)
def test_by_calculation_20_points_are_found_within_5_runs_with_99_percent(share: Fraction) -> None:
    """By the fifth run's pool alone; the four windows before it only add to that."""
    for real in (share - Fraction(1, 5), share + Fraction(1, 5)):
        if 0 <= real <= 1:
            assert chance(POOL, share, real, ALPHA_POOLED) >= 0.99


def test_that_calculation_can_fail() -> None:
    """10 points are not found so surely: the bound says something."""
    assert chance(POOL, Fraction(1, 2), Fraction(3, 5), ALPHA_POOLED) < 0.5


def canary_of(names: str) -> tuple[CanarySettings, dict[str, str], dict[str, Sample]]:
    bodies = tuple((name, f"demo/{name}") for name in names)
    canary = CanarySettings(name="c", url="http://x", expect=Expect(mix=Mix(of="color", bodies=bodies)))
    return canary, {name: f"{name}_demo" for name in names}, {name: Sample(status=200, body=name) for name in names}


def windows(seed: int, number: int, promised: dict[str, Fraction], real: dict[str, Fraction], fresh: bool) -> Counter[str]:
    """`number` windows of WINDOW runs a minute apart; how many hold an alarm. `fresh`: each begins after WINDOW good runs, of exactly the promised mix."""
    rng = random.Random(seed)
    canary, nodes, sample = canary_of("".join(promised))
    expected = {nodes[name]: share for name, share in promised.items()}
    names, weights = list(real), [float(share) for share in real.values()]
    before = CanaryHistory()
    exactly = [sample[name] for name, share in promised.items() for _ in range(int(share * REQUESTS))]
    for minute in range(WINDOW if fresh else 0):
        verdict, before = judge(canary, exactly, expected, before, nodes, at=60.0 * minute)
        assert verdict.kind == "good"
    seen: Counter[str] = Counter()
    memory, now = before, 60.0 * WINDOW
    for _ in range(number):
        if fresh:
            memory, now = before, 60.0 * WINDOW
        alarmed = False
        for _ in range(WINDOW):
            samples = [sample[name] for name in rng.choices(names, weights, k=REQUESTS)]
            verdict, memory = judge(canary, samples, expected, memory, nodes, at=now)
            now += 60.0
            alarmed |= verdict.kind != "good"
            if alarmed and fresh:
                break
        seen["alarmed" if alarmed else "quiet"] += 1
    return seen


HALF = {"b": Fraction(1, 2), "r": Fraction(1, 2)}


WRONG = [
    (HALF, {"b": Fraction(7, 10), "r": Fraction(3, 10)}),
    ({"b": Fraction(3, 5), "r": Fraction(2, 5)}, {"b": Fraction(2, 5), "r": Fraction(3, 5)}),  # where the calculation gives least: 99.2 %
    ({"b": Fraction(1, 10), "r": Fraction(9, 10)}, {"b": Fraction(3, 10), "r": Fraction(7, 10)}),
    (dict.fromkeys("bgr", Fraction(1, 3)), {"b": Fraction(8, 15), "g": Fraction(2, 15), "r": Fraction(1, 3)}),
]


@pytest.mark.slow
def test_by_simulation_10000_windows_without_an_error_are_quiet() -> None:
    """50,000 runs are 34.7 days; at 0.01 a day 0.35 alarms are allowed on average, and more than 3 would have a chance below 0.1 %."""
    assert windows(20261124, 10_000, HALF, HALF, fresh=False)["alarmed"] <= 3


@pytest.mark.slow
def test_by_simulation_20_points_are_found_within_5_minutes() -> None:
    """4,000 windows, each after five good minutes that the error must first push out of the pool. A case of 1,000 has a standard error of 0.3 %."""
    found = [windows(20261124, 1000, promised, real, fresh=True)["alarmed"] for promised, real in WRONG]
    assert sum(found) >= 0.99 * 4000
    assert min(found) >= 980


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 40), min_size=1), st.integers(0, 30), st.data())
def test_more_lost_answers_never_speak_more_against_the_mix_where_they_stand_for_known_ones(
    counts: dict[str, int], lost: int, data: st.DataObject
) -> None:
    """Were any answer of the run unreadable, the verdict could only become milder: what is unknown blames nobody."""
    weights = {name: data.draw(st.integers(1, 9)) for name in counts}
    expected = {name: Fraction(weight, sum(weights.values())) for name, weight in weights.items()}
    name = data.draw(st.sampled_from(sorted(counts)))
    hidden = data.draw(st.integers(0, counts[name]))
    fewer = {**counts, name: counts[name] - hidden}
    assert mix_p_value(fewer, lost + hidden, expected) >= mix_p_value(counts, lost, expected) * (1 - 1e-6)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.builds(
            Sample,
            status=st.sampled_from([0, 200, 503]),
            body=st.sampled_from(["b", "r", "r\n", "", "no healthy upstream", "x" * 5000]),
            error=st.sampled_from(["", "", "", "timeout"]),
            latency_ms=st.floats(0, 10_000),
        ),
        max_size=80,
    )
)
def test_any_samples_give_a_verdict_that_holds_together(samples: list[Sample]) -> None:
    canary, nodes, _ = canary_of("br")
    verdict, memory = judge(canary, samples, {nodes[name]: share for name, share in HALF.items()}, CanaryHistory(), nodes, at=1.0)
    assert verdict.requests == len(samples)
    assert (verdict.kind == "no-data") == (not samples)
    assert (verdict.kind == "good") == (bool(samples) and all(check.good for check in verdict.checks))
    assert sum(verdict.counts.values()) + verdict.lost == len(samples)
    assert all(check.says and "\n" not in check.says for check in verdict.checks)
    assert memory.failures == (verdict.kind != "good")
    if any(s.error or s.status != 200 or s.body.strip() not in nodes for s in samples):
        assert verdict.kind == "failed"
        assert verdict.evidence
