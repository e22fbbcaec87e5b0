"""A cluster that let a look wait in vain costs the next looks three seconds, until it answers; trials come ever more seldom."""

import itertools

import pytest
from crossmesh.core import patience
from crossmesh.core.observed import Unseen
from crossmesh.core.patience import SHORT, TRIAL_AT_MOST, TRIAL_EVERY, WHOLE, Slow
from hypothesis import given
from hypothesis import strategies as st


def unseen(spent: float, cause: str = "timeout", begun: float = 100.0) -> Unseen:
    return Unseen(cluster="b", cause=cause, begun=begun, spent=spent)  # type: ignore[arg-type]


@pytest.mark.parametrize("cause", ["timeout", "cut", "malformed", "unreachable", "too-large"])
def test_whoever_took_long_and_was_not_seen_is_slow_whatever_it_said_in_the_end(cause: str) -> None:
    assert patience.judged([unseen(WHOLE, cause)], (), {}) == {"b": Slow(since=100.0)}
    assert patience.judged([unseen(SHORT - 0.5, cause)], (), {}) == {}, "it delayed nobody"


def test_who_is_slow_stays_so_until_it_is_seen() -> None:
    slow = {"b": Slow(since=100.0, tried=400.0)}
    assert patience.judged([unseen(SHORT)], (), slow) == slow
    assert patience.judged([unseen(0.1, "refused")], (), slow) == slow
    assert patience.judged([], {"b"}, slow) == {}


def test_pods_that_are_seen_do_not_excuse_manifests_that_drip() -> None:
    slow = {"b": Slow(since=100.0)}
    assert patience.judged([unseen(WHOLE)], {"b"}, {}) == slow
    assert patience.judged([unseen(SHORT)], {"b"}, slow) == slow
    assert patience.judged([unseen(0.1, "not-found")], {"b"}, slow) == {}, "it has no manifests, and says so at once"


def test_a_slow_cluster_is_waited_for_three_seconds_and_any_other_as_always() -> None:
    assert (patience.limit(None), patience.limit(Slow(since=1.0))) == (WHOLE, SHORT)


def test_trials_come_after_five_minutes_and_then_ever_more_seldom_up_to_one_an_hour() -> None:
    slow, now, times = {"b": Slow(since=0.0)}, 0.0, []
    while now < 8 * 3600:
        now += 60.0
        if names := patience.due(slow, now):
            slow = patience.tried(slow, names, now)
            times.append(now)
    assert times[:4] == [300.0, 600.0, 1200.0, 2400.0]
    assert {after - before for before, after in itertools.pairwise(times[4:])} == {TRIAL_AT_MOST}
    assert slow["b"].since == 0.0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 30), st.booleans()), max_size=40),
)
def test_no_cluster_waits_twice_its_whole_limit_in_vain_without_a_trial(looks: list[tuple[str, float, bool]]) -> None:
    """Whatever comes in which order: after a wait in vain, none is longer than SHORT until the cluster is seen."""
    slow: dict[str, Slow] = {}
    waited: set[str] = set()
    for number, (name, needs, answers) in enumerate(looks):
        most = patience.limit(slow.get(name))
        seen = answers and needs <= most
        spent = min(needs, most)
        if not seen and spent > SHORT:
            assert name not in waited, looks
            waited.add(name)
        waited -= {name} if seen else set()
        gone = [] if seen else [Unseen(cluster=name, cause="timeout", begun=float(number), spent=spent)]
        others = {other: of for other, of in slow.items() if other != name}
        slow = {**others, **patience.judged(gone, {name} if seen else (), {k: v for k, v in slow.items() if k == name})}
    assert TRIAL_EVERY >= 5 * WHOLE / 2
