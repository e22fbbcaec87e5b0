"""A second start of the same world is refused while the first one lives, and only then."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from world import supervisor
from world.supervisor import KEEPER, AlreadyRunning, end, refuse_second


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process that lives."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def keep(folder: Path, pid: int, begun: str) -> None:
    (folder / "pids.json").write_text("{}")
    (folder / KEEPER).write_text(json.dumps([pid, begun, time.time() - 3_780]))


def test_a_world_that_runs_is_not_started_again(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    keep(tmp_path, other.pid, supervisor._begun(other.pid))
    with pytest.raises(AlreadyRunning, match=rf"a world already runs in .* .process {other.pid}, for 63 min.:"):
        refuse_second(tmp_path)
    end(tmp_path)
    refuse_second(tmp_path)


@pytest.mark.parametrize("left", ["killed", "number given away", "ended", "own"])
def test_what_a_dead_keeper_left_is_no_world(tmp_path: Path, other: subprocess.Popen[bytes], left: str) -> None:
    begun = supervisor._begun(other.pid)
    if left == "killed":  # a process that ended and that nobody asked for is still listed
        other.kill()
        while supervisor._begun(other.pid):
            time.sleep(0.01)
    keep(tmp_path, os.getpid() if left == "own" else other.pid, "1" if left == "number given away" else begun)
    if left == "ended":
        (tmp_path / "pids.json").unlink()
    refuse_second(tmp_path)
