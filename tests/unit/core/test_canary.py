"""The judge: status alone is blind, the body and the mix tell; the mix by an exact test with a stated error rate."""

import random
from fractions import Fraction
from math import comb

import pytest
from crossmesh.core.canary import Memory, Sample, judge, shares
from crossmesh.core.exact import binomial, two_sided
from crossmesh.core.mix import ALPHA_ALONE, ALPHA_POOLED
from crossmesh.core.settings import CanarySettings, Expect, Mix
from crossmesh.core.topology import Resource, Topology

from tests.builders import PLACE

NODES = {"blue": "blue_demo", "red": "red_demo"}
HALF = {"blue_demo": Fraction(1, 2), "red_demo": Fraction(1, 2)}
CANARY = CanarySettings(
    name="front", url="http://front", expect=Expect(mix=Mix(of="color", bodies=(("blue", "demo/blue"), ("red", "demo/red"))))
)


def answers(blue: int, red: int, *others: Sample) -> list[Sample]:
    return [*(Sample(status=200, body="blue"),) * blue, *(Sample(status=200, body="red\n"),) * red, *others]


def kind(samples: list[Sample], memory: Memory | None = None, canary: CanarySettings = CANARY) -> str:
    return judge(canary, samples, HALF, memory or Memory(), NODES, at=1.0)[0].kind


def test_half_and_half_is_good() -> None:
    assert kind(answers(104, 96)) == "good"


def test_a_200_with_an_error_body_is_a_failure_and_is_kept() -> None:
    verdict, memory = judge(CANARY, answers(30, 29, Sample(status=200, body="no healthy upstream")), HALF, Memory(), NODES, at=1.0)
    assert verdict.kind == "failed"
    assert "'no healthy upstream'" in verdict.says
    assert verdict.evidence[0].body == "no healthy upstream"
    assert (memory.failures, memory.last_good) == (1, 0.0)


def test_no_data_is_a_failure() -> None:
    assert kind([]) == "no-data"


@pytest.mark.parametrize("bad", [Sample(error="refused"), Sample(status=503, body=""), Sample(error="timeout")])
def test_one_failed_request_is_a_failure(bad: Sample) -> None:
    assert kind(answers(30, 30, bad)) == "failed"


def test_all_of_one_colour_is_a_failure() -> None:
    assert kind(answers(60, 0)) == "failed"


def test_a_node_without_share_must_not_answer() -> None:
    verdict, _ = judge(CANARY, answers(59, 1), {"blue_demo": Fraction(1), "red_demo": Fraction(0)}, Memory(), NODES, at=1.0)
    assert verdict.kind == "failed"


def test_latency_is_judged_at_the_95th_percentile() -> None:
    canary = CanarySettings(name="c", url="http://x", expect=Expect(latency_p95_ms=100))
    quick, slow = Sample(status=200, latency_ms=10), Sample(status=200, latency_ms=500)
    assert kind([quick] * 95 + [slow] * 5, canary=canary) == "good"
    assert kind([quick] * 94 + [slow] * 6, canary=canary) == "failed"


def test_the_exact_test_agrees_with_counting() -> None:
    for of, share in ((10, 0.5), (7, 0.2), (12, 0.9)):
        exact = [comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(of + 1)]
        for count in range(of + 1):
            assert binomial(count, of, share) == pytest.approx(exact[count])
            wanted = sum(p for p in exact if p <= exact[count] * (1 + 1e-9))
            assert two_sided(count, of, share) == pytest.approx(wanted)


def test_by_calculation_at_most_one_percent_false_alarms_a_day() -> None:
    """1,440 runs a day, one test of 60 and one of 300 pooled each: the chance of any p below ALPHA, by the union bound over exact probabilities."""
    tests = ((60, ALPHA_ALONE), (300, ALPHA_POOLED))
    chance = sum(sum(binomial(k, n, 0.5) for k in range(n + 1) if two_sided(k, n, 0.5) < alpha) for n, alpha in tests)
    assert 1440 * chance <= 0.01


def test_by_simulation_a_mix_error_of_20_points_is_found_within_5_runs() -> None:
    rng = random.Random(20261124)
    found = 0
    for _ in range(300):
        memory, alarmed = Memory(), False
        for minute in range(5):
            blue = sum(rng.random() < 0.7 for _ in range(60))
            verdict, memory = judge(CANARY, answers(blue, 60 - blue), HALF, memory, NODES, at=float(minute))
            alarmed = alarmed or verdict.kind == "failed"
        found += alarmed
    assert found >= 297


def test_a_new_expectation_does_not_pool_with_the_old() -> None:
    memory = Memory()
    for minute in range(5):
        _, memory = judge(CANARY, answers(30, 30), HALF, memory, NODES, at=float(minute))
    moved = {"blue_demo": Fraction(1, 10), "red_demo": Fraction(9, 10)}
    verdict, _ = judge(CANARY, answers(6, 54), moved, memory, NODES, at=6.0)
    assert verdict.kind == "good"


def test_shares_come_from_the_routes() -> None:
    def route(name: str, prefix: str, *weights: tuple[str, int], priority: int | None = None) -> dict[str, object]:
        targets = [{"@VirtualNode": node, "weight": weight} for node, weight in weights]
        found = {"name": name, "httpRoute": {"match": {"prefix": prefix}, "action": {"weightedTargets": targets}}}
        return {**found, "priority": priority} if priority is not None else found

    def topology(*routes: dict[str, object]) -> Topology:
        def made(kind: str, spec: dict[str, object]) -> Resource:
            return Resource(kind=kind, namespace="demo", name="color", aws_name="color_demo", mesh="demo", spec=spec, place=PLACE)

        service = made("VirtualService", {"provider": {"virtualRouter": {"@VirtualRouter": "color_demo"}}})
        return Topology(services=(service,), routers=(made("VirtualRouter", {"routes": list(routes)}),))

    one = topology(route("r", "/", ("red_demo", 1), ("blue_demo", 3)))
    assert shares(one, CANARY) == {"red_demo": Fraction(1, 4), "blue_demo": Fraction(3, 4)}
    first = topology(route("all", "/", ("red_demo", 1)), route("first", "/", ("blue_demo", 1), priority=0))
    assert shares(first, CANARY) == {"blue_demo": Fraction(1)}
