"""A world leaves nothing behind, however it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import processes
from world.deploy import ROOT

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-m", "world", "up", "--bare", "--name", "short", "--root", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "world up" in process.stdout.readline()
    folder = tmp_path / "short"
    assert len(processes(folder)) >= 4
    process.send_signal(how)
    process.wait(15)
    until = time.monotonic() + 8
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.2)
    assert processes(folder) == []
    assert (folder / "pids.json").exists() == (how is signal.SIGKILL)


def test_two_worlds_side_by_side(tmp_path: Path) -> None:
    from world.clusters.client import Cluster
    from world.supervisor import running_world

    with running_world("one", tmp_path) as one, running_world("two", tmp_path) as two:
        pods = [Cluster(w.document, "eksc2").wait_ready("appmesh-demo", "app=colorapp", 2) for w in (one, two)]
        addresses = [{pod["status"]["podIP"] for pod in found} for found in pods]
        assert not addresses[0] & addresses[1]
