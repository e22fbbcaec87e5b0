"""The state machines have one layout and one policy of retries, and their pictures are current. Each check can fail."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tools import draw_workflows, lint_workflows
from world.deploy import ROOT

FILES = {file.name.partition(".")[0]: file.read_text() for file in sorted((ROOT / "statemachines").glob("*.asl.json"))}


def spoilt(change: Callable[[dict[str, Any]], object], machine: str = "reconcile") -> list[str]:
    """What the linter says of a machine with one change, well laid out."""
    definition = json.loads(FILES[machine])
    change(definition["States"])
    return list(lint_workflows.faults(machine, lint_workflows.laid_out(definition) + "\n"))


@pytest.mark.parametrize("machine", sorted(FILES))
def test_a_machine_has_the_layout_and_the_policies(machine: str) -> None:
    assert list(lint_workflows.faults(machine, FILES[machine])) == []
    assert json.loads(FILES[machine]) == json.loads(lint_workflows.laid_out(json.loads(FILES[machine])))


def test_another_layout_is_told() -> None:
    wide = json.dumps(json.loads(FILES["look"]), indent=2) + "\n"
    assert [fault for fault in lint_workflows.faults("look", wide) if "laid out" in fault]


def test_another_count_of_attempts_is_told() -> None:
    (fault,) = spoilt(lambda states: states["Verify registry"]["Retry"][1].update(MaxAttempts=4))
    assert "'Verify registry' is not retried as a step of a run" in fault


def test_no_retry_inside_a_map_is_told() -> None:
    (fault,) = spoilt(lambda states: states["Check each canary"]["ItemProcessor"]["States"]["Probe front"].pop("Retry"), "canary")
    assert "'Probe front'" in fault


def test_a_failure_that_nobody_catches_or_that_is_kept_elsewhere_is_told() -> None:
    (uncaught,) = spoilt(lambda states: states["Report run"].pop("Catch"))
    assert "does not catch States.ALL last" in uncaught
    (elsewhere,) = spoilt(lambda states: states["Report run"]["Catch"][0].update(ResultPath="$.error"))
    assert "keeps its failure elsewhere" in elsewhere


def test_the_pictures_are_current() -> None:
    assert draw_workflows.PAGE.read_text() == draw_workflows.page(), "run make diagrams"


@pytest.mark.parametrize("machine", sorted(FILES))
def test_a_picture_has_every_state_and_every_way(machine: str) -> None:
    definition = json.loads(FILES[machine])
    drawn = draw_workflows.diagram(definition)
    states = list(draw_workflows.every_state(definition))
    assert all(f'"{name}' in drawn for name, _ in states)
    onward = sum(len(s.get("Choices", ())) + ("Default" in s) + ("Next" in s) for _, s in states)
    assert drawn.count(" -->") == onward + drawn.count("((start))")
    assert drawn.count(" -.->") == sum(len(s.get("Catch", ())) for _, s in states)
