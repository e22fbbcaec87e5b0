"""Every scenario of `world/scenarios/`, through the deployed application and under a steady load: what users lost is part of what must hold."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Deployed
from world.scenario.document import all_scenarios, load
from world.scenario.load import Traffic
from world.scenario.play import keep, play
from world.scenario.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Traffic]]:
    """What each scenario cost its users, written down for `make proof`."""
    found: dict[str, Traffic] = {}
    yield found
    keep(found)


@pytest.mark.parametrize("name", sorted(all_scenarios()))
def test_scenario(here: Deployed, results: dict[str, Traffic], name: str) -> None:
    traffic = play(load(all_scenarios()[name]), Stage(here.app))
    if traffic is not None:
        results[name] = traffic
