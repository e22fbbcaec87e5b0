"""Start a world, watch it, end it, and leave nothing behind: not after Ctrl-C, an exception, or its own sudden death.

Each part leads a process group. A reaper waits at the end of a pipe that only the supervisor holds:
however the supervisor ends, the pipe closes and the groups go.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from world.state import World, claim_network, create

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "ministack": ["-m", "world.aws.ministack_host"],
    "aws": ["-m", "world.aws.server"],
    "clusters": ["-m", "world.clusters"],
    "dataplane": ["-m", "world.dataplane"],
}
CLUSTERS_ONLY = {name: PARTS[name] for name in ("ministack", "aws", "clusters")}
REAL_CLUSTERS_ONLY = CLUSTERS_ONLY | {
    "clusters": ["-m", "world.clusters.real"]
}  # see world/clusters/real: Kubernetes itself, if `make kube` built it
START_S, STOP_S = 60.0, 4.0
KEEPER = "keeper.json"  # which process keeps the world up: its id, when it began, when the world started


class PartFailed(RuntimeError):
    """A part did not come up; the message ends with its last log lines."""


class AlreadyRunning(RuntimeError):
    """Another process keeps a world up in this folder."""


class Supervisor:
    """The processes of one world."""

    def __init__(self, world: World, commands: Mapping[str, list[str]] = PARTS) -> None:
        self.world, self.commands = world, commands
        self.parts: dict[str, subprocess.Popen[str]] = {}
        self.reaper: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start all parts side by side, wait until each says `ready`, then fill the world."""
        logs = self.world.dir / "logs"
        logs.mkdir(exist_ok=True)
        for name, command in self.commands.items():
            with (logs / f"{name}.log").open("w") as log:
                self.parts[name] = subprocess.Popen(
                    [sys.executable, *command, str(self.world.dir)],
                    stdout=subprocess.PIPE,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    text=True,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    start_new_session=True,
                )
        groups = " ".join(str(part.pid) for part in self.parts.values())
        script = f"trap '' INT TERM HUP; read -r _; for g in {groups}; do kill -9 -$g 2>/dev/null; done"
        self.reaper = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, text=True, start_new_session=True)
        started = {name: [part.pid, _begun(part.pid)] for name, part in self.parts.items()}
        (self.world.dir / "pids.json").write_text(json.dumps(started))
        (self.world.dir / KEEPER).write_text(json.dumps([os.getpid(), _begun(os.getpid()), time.time()]))
        self._await_ready(time.monotonic() + START_S)

    def _await_ready(self, until: float) -> None:
        waiting = {part.stdout: name for name, part in self.parts.items() if part.stdout}
        while waiting:
            readable, _, _ = select.select(list(waiting), [], [], max(0.0, until - time.monotonic()))
            if not readable:
                raise PartFailed(f"not ready within {START_S:.0f} s: {', '.join(waiting.values())}\n{self._logs(waiting.values())}")
            for stream in readable:
                line = stream.readline()
                if line.strip() == "ready":
                    del waiting[stream]
                elif not line:
                    name = waiting[stream]
                    raise PartFailed(f"{name} ended while starting\n{self._logs([name])}")

    def _logs(self, names: object) -> str:
        found = []
        for name in names:  # type: ignore[attr-defined]
            file = self.world.dir / "logs" / f"{name}.log"
            lines = file.read_text(errors="replace").splitlines()[-15:] if file.exists() else []
            found.append("\n".join(f"  {name}| {line}" for line in lines))
        return "\n".join(found)

    def dead(self) -> list[str]:
        """Parts that ended by themselves."""
        return [name for name, part in self.parts.items() if part.poll() is not None]

    def stop(self) -> None:
        """End every part: asked first, then killed with all it started."""
        for part in self.parts.values():
            with contextlib.suppress(ProcessLookupError):
                part.terminate()
        until = time.monotonic() + STOP_S
        for part in self.parts.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.wait(max(0.05, until - time.monotonic()))
        for part in self.parts.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(part.pid, signal.SIGKILL)
            part.wait()
            if part.stdout:
                part.stdout.close()
        if self.reaper is not None and self.reaper.stdin:
            self.reaper.stdin.close()
            self.reaper.wait()
        (self.world.dir / "pids.json").unlink(missing_ok=True)
        (self.world.dir / KEEPER).unlink(missing_ok=True)


def fill(world: World) -> None:
    """What is there before crossmesh comes: network, Cloud Map namespace, and the walkthrough's objects and read rights in the clusters."""
    from world.aws.seed import open_port, seed
    from world.clusters.client import apply

    seed(world.document)
    for cluster in world.document["clusters"]:
        apply(world.document, cluster, ROOT / "clusters" / "reader.yaml")
        apply(world.document, cluster, ROOT / "world" / "walkthrough" / f"{cluster}.yaml")
    open_port(world.document, "eksc2", "eksc1", 8080)


@contextlib.contextmanager
def running_world(
    name: str,
    root: Path,
    *,
    filled: bool = True,
    parts: Mapping[str, list[str]] = PARTS,
    clusters: Mapping[str, Any] | None = None,
    mesh: str = "appmesh",
) -> Iterator[World]:
    """A world for as long as the block lasts; its folder is made anew. `clusters`: settings to add to a cluster's, such as {"eksc2": {"watch_cache": False}}.
    `mesh`: who steers Envoys, "appmesh" (the emulated management service) or "envoy" (our own servers, once they are installed).
    """
    folder = root / name
    refuse_second(folder)
    end(folder)
    shutil.rmtree(folder, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    index, claim = claim_network()
    world = create(folder, name, index, clusters or {}, mesh)
    supervisor = Supervisor(world, parts)
    try:
        supervisor.start()
        if filled:
            fill(world)
        yield world
    finally:
        supervisor.stop()
        claim.close()


def refuse_second(folder: Path) -> None:
    """Raise AlreadyRunning where another living process keeps this world up: starting it again would end it without a word."""
    file = folder / KEEPER
    if not file.exists() or not (folder / "pids.json").exists():
        return
    pid, begun, started = json.loads(file.read_text())
    if pid != os.getpid() and begun and _begun(pid) == begun:
        minutes = max(0.0, time.time() - started) / 60
        raise AlreadyRunning(
            f"a world already runs in {folder} (process {pid}, for {minutes:.0f} min): use its exports (`python -m world env --name {folder.name}`), "
            f"or end it first (`python -m world down --name {folder.name}`)"
        )


def end(folder: Path) -> bool:
    """End what a supervisor that died left running; a process id that was given to somebody else since is left alone."""
    file = folder / "pids.json"
    if not file.exists():
        return False
    for pid, begun in json.loads(file.read_text()).values():
        if _begun(pid) == begun:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
    file.unlink(missing_ok=True)
    (folder / KEEPER).unlink(missing_ok=True)
    return True


def _begun(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" where there is none, or only what is left of one that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""
