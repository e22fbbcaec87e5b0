"""One real Envoy for each pod with a sidecar, for as long as the pod lives."""

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import aiohttp

from world.dataplane import xds
from world.dataplane.management import Management
from world.dataplane.pods_view import PodsView

EVERY_S = 0.1


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
    """Processes by pod uid."""

    def __init__(self, document: dict[str, Any], view: PodsView, management: Management) -> None:
        self._folder, self._port = Path(document["dir"]), document["ports"]["xds"]
        self._index = document["index"]
        self._view, self._management = view, management
        self._running: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
        self._controls = {name: cluster["control"] for name, cluster in document["clusters"].items()}
        self._down: set[str] = set()
        self.paused = False
        self.count = 0

    def proxies(self) -> list[str]:
        """Ids of those that run."""
        return [proxy for proxy, _ in self._running.values()]

    async def follow(self) -> None:
        """Start and end them as pods come and go, until cancelled. One that died by itself is started again, as a container would be."""
        while True:
            wanted = {pod["uid"]: pod for pod in self._view.pods if pod["sidecar"] and pod["ip"] and pod["virtual_node"]}
            for uid in list(self._running):
                if uid not in wanted or self._running[uid][1].poll() is not None:
                    self._end(uid)
            for uid, pod in wanted.items():
                if uid not in self._running and not self.paused:
                    self._start(uid, pod)
            for uid, pod in wanted.items():
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

    def _start(self, uid: str, pod: dict[str, Any]) -> None:
        proxy = f"{pod['virtual_node']}|{pod['ip']}"
        self.count += 1
        file = self._folder / f"envoy-{pod['ip']}.json"
        file.write_text(json.dumps(xds.bootstrap(pod["virtual_node"], pod["ip"], self._port)))
        with (self._folder / "logs" / "envoy.log").open("a") as log:
            self._running[uid] = proxy, subprocess.Popen(command(file, "warning", 500), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _end(self, uid: str) -> None:
        proxy, process = self._running.pop(uid)
        process.kill()
        process.wait()
        self._management.forget(proxy)

    def kill(self) -> int:
        """Kill all; they come back unless paused."""
        for _, process in self._running.values():
            process.kill()
        return len(self._running)

    def stop(self) -> None:
        """End all for good."""
        for uid in list(self._running):
            self._end(uid)
