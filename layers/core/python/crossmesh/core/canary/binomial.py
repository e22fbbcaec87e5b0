"""Exact tests, with nothing but integers and logarithms: no normal approximation, no table, no
heavy library in a function.
"""

from functools import cache, lru_cache
from math import exp, lgamma, log


@cache
def _log_factorial(n: int) -> float:
    return lgamma(n + 1)


def binomial(count: int, of: int, share: float) -> float:
    """P(X = count) for X ~ Binomial(of, share)."""
    if share in (0.0, 1.0):
        return 1.0 if count == of * share else 0.0
    ways = _log_factorial(of) - _log_factorial(count) - _log_factorial(of - count)
    return exp(ways + count * log(share) + (of - count) * log(1 - share))


@lru_cache(maxsize=4096)
def two_sided(count: int, of: int, share: float) -> float:
    """The exact two-sided p-value: all outcomes at most as likely as the one seen (Fisher's rule; a
    hair of tolerance for rounding).
    """
    seen = binomial(count, of, share)
    return min(1.0, sum(p for k in range(of + 1) if (p := binomial(k, of, share)) <= seen * (1 + 1e-9)))


def closest_count(least: int, most: int, of: int, share: float) -> int:
    """The count in least..most that speaks least against `share`: the one nearest to the mode, for
    the binomial has one peak.
    """
    return max(least, min(most, int((of + 1) * share)))
