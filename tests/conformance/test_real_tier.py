"""The real tier as a guest on this machine: on loopback alone, mended when hurt, and gone without a trace."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conformance.kubernetes_tiers import Tier
from tests.support.processes import processes
from world.clusters.client import wait_for
from world.supervisor import ROOT


def pids(tier: Tier) -> dict[str, int]:
    """Components and their processes."""
    found: dict[str, int] = json.loads((tier.world.dir / "real.json").read_text())["pids"]
    return found


def listening(pid: int) -> set[str]:
    """Addresses (hex, as the kernel writes them) that a process listens at."""
    sockets = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].rpartition(":")[0])
    return found


def test_nothing_listens_beyond_loopback(real: Tier) -> None:
    found = {name: listening(pid) for name, pid in pids(real).items()}
    assert {"etcd", "eksc1-apiserver", "eksc2-apiserver", "eksc1-webhook", "eksc2-webhook"} <= {name for name, at in found.items() if at}
    beyond = {name: at for name, at in found.items() if any(not address.endswith("7F") for address in at)}
    assert beyond == {}, "a world binds to 127.0.0.0/8 only"


def test_a_component_that_dies_is_started_again(real: Tier) -> None:
    before = pids(real)["eksc2-kwok"]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: pids(real)["eksc2-kwok"] != before, 10, "kwok again")


def test_nothing_is_left_behind(real: Tier, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "world", "up", "--real", "--name", "short", "--root", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "world up" in process.stdout.readline()
    folder = tmp_path / "short"
    assert len(processes(folder)) >= 12, "etcd and five of each cluster, beside the world's own"
    process.kill()  # the hardest end; the orderly one is every other test session's
    process.wait(15)
    process.stdout.close()
    wait_for(lambda: processes(folder) == [], 10, "the end of everything")
