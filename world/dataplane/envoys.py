"""One real Envoy for each pod with a sidecar, for as long as the pod lives.

What an Envoy starts with is handed in: nothing here knows a management server.
"""

import asyncio
import contextlib
import json
import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from world.dataplane.pods_view import PodsView

EVERY_S = 0.1
_log = logging.getLogger("envoys")


@dataclass(frozen=True, slots=True)
class Start:
    """What the Envoy of one pod starts with: the id that its management server knows it by, and its bootstrap."""

    proxy: str
    bootstrap: dict[str, Any]


Starts = Callable[[dict[str, Any]], Start | None]
"""A pod, as the pods' view tells it → what its Envoy starts with; None for a pod that has no Envoy. Files that a bootstrap names are there then."""


def binary() -> str:
    """The Envoy that the package carries."""
    import envoy

    folder = Path(envoy.__file__).parent / "_bin"
    return str(next(path for path in sorted(folder.iterdir()) if path.name.startswith("envoy")))


def command(file: Path, level: str, flush_ms: int) -> list[str]:
    """How an Envoy is started: its bootstrap, what it logs, and how often its access log is written."""
    options = {"-c": file, "--concurrency": 1, "--log-level": level, "--file-flush-interval-msec": flush_ms}
    return [binary(), "--disable-hot-restart", *(str(part) for option in options.items() for part in option)]


class Envoys:
    """Processes by pod uid. `starts` is asked whenever an Envoy is to start, `ended` is told its id when it ended."""

    def __init__(self, document: dict[str, Any], view: PodsView, starts: Starts, ended: Callable[[str], None] = lambda _: None) -> None:
        self._folder = Path(document["dir"])
        self._view, self._starts, self._ended = view, starts, ended
        self._running: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
        self._controls = {name: cluster["control"] for name, cluster in document["clusters"].items()}
        self._down: set[str] = set()
        self.paused = False

    def proxies(self) -> list[str]:
        """Ids of those that run."""
        return [proxy for proxy, _ in self._running.values()]

    def addresses(self) -> list[str]:
        """Of the pods whose Envoys run."""
        return [proxy.rpartition("|")[2] for proxy in self.proxies()]

    async def follow(self) -> None:
        """Start and end them as pods come and go, until cancelled. One that died by itself is started again, as a container would be."""
        while True:
            pods = {pod["uid"]: pod for pod in self._view.pods if pod["sidecar"] and pod["ip"]}
            for uid in list(self._running):
                if uid not in pods or self._running[uid][1].poll() is not None:
                    self._end(uid)
            for uid, pod in pods.items():
                if uid in self._running or self._begin(uid, pod):
                    await self._tell(uid, pod, running=uid in self._running)
            await asyncio.sleep(EVERY_S)

    async def _tell(self, uid: str, pod: dict[str, Any], *, running: bool) -> None:
        """The kubelet learns of a container that stays down, and of one that is back."""
        if running != (uid in self._down):
            return
        self._down ^= {uid}
        where = f"http://127.0.0.1:{self._controls[pod['cluster']]}/_world/pods/{pod['namespace']}/{pod['name']}/container"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
                await session.post(where, json={"name": "envoy", "ready": running})

    def _begin(self, uid: str, pod: dict[str, Any]) -> bool:
        """Start the pod's Envoy unless all are paused; whether the pod has one. What goes wrong with one is logged, and tried again."""
        try:
            start = self._starts(pod)
            if start is not None and not self.paused:
                self._start(uid, pod["ip"], start)
        except Exception as error:
            _log.warning("the Envoy of %s/%s did not start: %s: %s", pod["namespace"], pod["name"], type(error).__name__, error)
            return True
        return start is not None

    def _start(self, uid: str, ip: str, start: Start) -> None:
        file = self._folder / f"envoy-{ip}.json"
        file.write_text(json.dumps(start.bootstrap))
        with (self._folder / "logs" / "envoy.log").open("a") as log:
            self._running[uid] = start.proxy, subprocess.Popen(command(file, "warning", 500), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _end(self, uid: str) -> None:
        proxy, process = self._running.pop(uid)
        process.kill()
        process.wait()
        self._ended(proxy)

    def kill(self) -> int:
        """Kill all; they come back unless paused."""
        for _, process in self._running.values():
            process.kill()
        return len(self._running)

    def stop(self) -> None:
        """End all for good."""
        for uid in list(self._running):
            self._end(uid)
