"""The exact tests against plain counting in fractions, which knows no rounding."""

from fractions import Fraction
from math import comb

import pytest
from crossmesh.core.canary.binomial import binomial, closest_count, two_sided
from crossmesh.core.canary.split_test import mix_p_value

SHARES = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 5), Fraction(9, 10), Fraction(99, 100)]


def counted(of: int, share: Fraction) -> list[Fraction]:
    return [comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(of + 1)]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("of", [1, 7, 12, 60, 300])
def test_binomial_and_two_sided_agree_with_counting(of: int, share: Fraction) -> None:
    exact = counted(of, share)
    for count in range(0, of + 1, max(1, of // 25)):
        assert binomial(count, of, float(share)) == pytest.approx(float(exact[count]), rel=1e-9)
        assert two_sided(count, of, float(share)) == pytest.approx(float(sum(p for p in exact if p <= exact[count])), rel=1e-9)


def test_certain_shares() -> None:
    assert (two_sided(5, 5, 1.0), two_sided(4, 5, 1.0), two_sided(0, 5, 0.0), two_sided(1, 5, 0.0), two_sided(0, 0, 0.5)) == (1, 0, 1, 0, 1)


@pytest.mark.parametrize("share", SHARES)
def test_the_kindest_count_has_the_highest_p_value_of_its_range(share: Fraction) -> None:
    for least in range(0, 31, 3):
        for most in range(least, 31, 3):
            p = two_sided(closest_count(least, most, 30, float(share)), 30, float(share))
            assert p == pytest.approx(max(two_sided(k, 30, float(share)) for k in range(least, most + 1)))


def test_several_nodes_pay_for_several_tests() -> None:
    thirds = {name: Fraction(1, 3) for name in "abc"}
    assert mix_p_value({"a": 40, "b": 10, "c": 10}, 0, thirds) == pytest.approx(3 * two_sided(40, 60, 1 / 3))
    halves = {name: Fraction(1, 2) for name in "ab"}
    assert mix_p_value({"a": 40, "b": 20}, 0, halves) == pytest.approx(two_sided(40, 60, 0.5)), "two shares are one number"
    assert mix_p_value({}, 0, halves) == 1.0
    assert mix_p_value({"a": 60, "b": 0}, 0, {"a": Fraction(1), "b": Fraction(0)}) == 1.0
    assert mix_p_value({"a": 59, "b": 1}, 0, {"a": Fraction(1), "b": Fraction(0)}) == 0.0
    assert mix_p_value({"a": 60}, 0, halves) == mix_p_value({"a": 60, "b": 0}, 0, halves), "zero answers count as zero"
