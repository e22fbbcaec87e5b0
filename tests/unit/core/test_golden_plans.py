"""Recorded inputs give the recorded plans, to the byte. How to record anew: tests/support/golden_plans.py."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from crossmesh.core.registry.plan import RegistryAction, WithheldWhy

from tests.support import golden_plans

CASES = golden_plans.cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}"[:60])
def test_recorded_inputs_give_the_recorded_plan(case: Path) -> None:
    assert golden_plans.replayed(case) == golden_plans.recorded(case)[1], (
        "if that is meant: python -m tests.support.golden_plans, then review the diff"
    )


def test_the_record_shows_every_action_and_every_reason_to_withhold() -> None:
    plans = [msgspec.json.decode(golden_plans.recorded(case)[1]) for case in CASES if case.parent.name == "registry"]
    acted = {action["type"] for plan in plans for action in plan["actions"]}
    withheld = {one["why"] for plan in plans for one in plan["withheld"]}
    assert len(plans) >= 40
    assert acted == {kind.__struct_config__.tag for kind in get_args(RegistryAction)}
    assert withheld == set(get_args(WithheldWhy))


def test_the_record_is_small() -> None:
    assert sum(case.stat().st_size for case in CASES) < 1_000_000
