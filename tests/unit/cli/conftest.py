"""A desk for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from crossmesh.adapters import aws

from tests.support.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    """A person's terminal in a folder of their own."""
    yield Desk(tmp_path, monkeypatch, capsys)
    aws.session.cache_clear()


@pytest.fixture
def running(desk: Desk) -> Desk:
    """Everything is registered: two blue pods in a, one red in b."""
    desk.pods("a", blue=2)
    desk.pods("b", red=1)
    desk.settle()
    return desk
