"""For every test: a machine that is busy makes no property fail; and with several workers (`make test`) each file stays on one of them, the end-to-end
tests of the shared world all on the first, so that a world is deployed once and most of the time somebody else has the second core."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("crossmesh", deadline=None)
settings.load_profile("crossmesh")

ORDER = ("e2e", "conformance")
"""These folders' files first, since they take longest; then the rest."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Groups for xdist's `--dist loadgroup`."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0]
        return ORDER.index(folder) if folder in ORDER else len(ORDER)

    items.sort(key=place)
    for item in items:
        file = item.path.relative_to(here)
        item.add_marker(pytest.mark.xdist_group("world" if file.parts[0] == "e2e" else str(file)))
