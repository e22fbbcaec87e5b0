"""The arithmetic behind the rolling-update numbers."""

from tests.bench.timeline import Change, Comparison, Held, compare


def held(at: float, *uids: str) -> Held:
    return Held(at, frozenset(uids))


def test_a_pod_that_ends_costs_its_seconds_and_lag() -> None:
    changes = [Change(0, "a", True), Change(0, "b", True), Change(10, "b", False)]
    seen = [held(1, "a", "b"), held(11, "a", "b"), held(12.5, "a"), held(14, "a")]
    assert compare(changes, seen) == Comparison(least_live=1, most_dead=1, dead_seconds=2.5, lag=2.5)


def test_a_live_pod_that_is_missing_shows() -> None:
    changes = [Change(0, "a", True), Change(0, "b", True)]
    seen = [held(1, "a", "b"), held(2, "a"), held(3, "a", "b")]
    assert compare(changes, seen) == Comparison(least_live=1, most_dead=0, dead_seconds=0.0, lag=3.0)


def test_exact_once_and_then_not_is_never_exact() -> None:
    assert compare([Change(0, "a", True)], [held(1, "a"), held(2)]).lag == -1.0


def test_a_replacement_counts_from_its_readiness() -> None:
    changes = [Change(0, "old", True), Change(5, "new", True), Change(5, "old", False)]
    seen = [held(1, "old"), held(6, "old", "new"), held(7, "new")]
    assert compare(changes, seen) == Comparison(least_live=0, most_dead=1, dead_seconds=2.0, lag=2.0)
