"""Scenarios are data that must be sound, and every lost request is laid to where it belongs."""

from pathlib import Path

import pytest

from world.scenario.checks import CHECKS
from world.scenario.document import Load, Scenario, all_scenarios, load
from world.scenario.load import Asked, Life, judge
from world.scenario.play import Failed, verdict
from world.scenario.verbs import VERBS

LOST = Asked("a", 100.0, 0.5, 200, "no healthy upstream")
GOOD = Asked("b", 100.0, 0.1, 200, "blue")
SCENARIO = Scenario(title="", why="", acts=(), load=Load(lag=2))


@pytest.mark.parametrize("name", sorted(all_scenarios()))
def test_each_names_verbs_and_checks_that_exist(name: str) -> None:
    scenario = load(all_scenarios()[name])
    assert scenario.acts
    for act in scenario.acts:
        assert {verb for step in act.when for verb in step} <= VERBS.keys()
        assert {check for step in act.then for check in step} <= CHECKS.keys()
    assert any(act.then for act in scenario.acts), "a scenario that checks nothing cannot fail"


def test_a_mistake_is_told_with_its_field(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("title: x\nwhy: y\nacts: [{tell: z, wen: []}]\n")
    with pytest.raises(ValueError, match=r"wrong\.yaml.*wen"):
        load(file)


@pytest.mark.parametrize(
    ("lives", "kind", "since"),
    [
        ([Life(pod="p", address="1", began=1)], "live", 0.0),
        ([Life(pod="p", address="1", began=1, ended=98.5)], "dead", 1.5),
        ([Life(pod="p", address="1", began=1, ended=100.2)], "dead", 0.0),
        ([Life(pod="p", address="1", began=1, ended=90), Life(pod="q", address="1", began=95)], "live", 0.0),
        ([Life(pod="p", address="1", began=1, ended=99), Life(pod="q", address="1", began=100.3)], "dead", 1.0),
        ([], "dead", 0.5),
    ],
)
def test_a_lost_request_is_laid_to_the_pod_that_was_chosen(lives: list[Life], kind: str, since: float) -> None:
    found = judge([LOST, GOOD], {"a": ("1", "UF")}, lives)
    assert (found.requests, found.failed) == (2, 1)
    (fault,) = getattr(found, kind)
    assert fault.since == pytest.approx(since)


def test_a_request_for_which_no_pod_was_chosen_is_told_apart() -> None:
    assert len(judge([LOST], {"a": ("", "UH")}, []).unrouted) == 1
    assert len(judge([LOST], {}, []).unrouted) == 1


@pytest.mark.parametrize("lives", [[Life(pod="p", address="1", began=1)], [Life(pod="p", address="1", began=1, ended=97)]])
def test_losing_a_live_pods_request_or_beyond_the_lag_fails_the_scenario(lives: list[Life]) -> None:
    with pytest.raises(Failed):
        verdict(SCENARIO, judge([LOST, *[GOOD] * 20], {"a": ("1", "UF")}, lives))


def test_a_load_that_was_not_sent_proves_nothing() -> None:
    with pytest.raises(Failed, match="proves nothing"):
        verdict(SCENARIO, judge([GOOD], {}, []))
