"""For every test: a machine that is busy makes no property fail; and with several workers (`make test`) each file stays on one of them, the end-to-end
tests of the shared world all on the first, so that a world is deployed once and most of the time somebody else has the second core."""

from pathlib import Path
from typing import Any

import pytest
from crossmesh.adapters import aws
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("crossmesh", deadline=None)
settings.load_profile("crossmesh")

SECOND_OPINION = "second opinion"
"""Property of a test (`record_property`) whose value the run's summary shows."""

ORDER = ("e2e", "conformance")
"""These folders' files first, since they take longest; then the rest."""


class ByFile(LoadScopeScheduling):
    """xdist's own `loadfile` with all end-to-end tests as one file (its `loadgroup` does not work with pytest 9.2)."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/e2e" if file.startswith("tests/e2e/") else file


@pytest.fixture(autouse=True)
def own_session() -> None:
    """Each test has credentials of its own: the process's one session of the AWS clients must not keep another test's."""
    aws.session.cache_clear()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Used whatever `--dist` says."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In ORDER. End-to-end tests run against the clock, on a machine that others may use too: one that fails runs once more, in a healed world. The
    summary counts and names each such rerun; it is a defect to look into (CONTRIBUTING.md).
    """
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0]
        return ORDER.index(folder) if folder in ORDER else len(ORDER)

    items.sort(key=place)
    for item in items:
        if place(item) == ORDER.index("e2e"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was compared with code that others wrote, and what differs."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())]
    told = [value for report in reports for name, value in getattr(report, "user_properties", ()) if name == SECOND_OPINION]
    if told:
        terminalreporter.section("second opinions")
        for line in told:
            terminalreporter.write_line(line)
