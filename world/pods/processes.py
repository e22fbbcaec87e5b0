"""Pods that are processes of their own: the watcher and the server of Envoys, from this working copy, as its image would run it. Started again when they end, as a kubelet does."""

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = {"crossmesh-watcher": ["-m", "crossmesh_watcher"], "crossmesh-xds": ["-m", "crossmesh_xds"]}
SOURCES = {"crossmesh-watcher": "watcher", "crossmesh-xds": "xds"}
RESTART_S, GRACE_S = 1.0, 5.0


class PodProcesses:
    """`environments` gives a pod's variables, by cluster; whoever makes the clusters sets it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.environments: dict[str, Callable[[dict[str, Any]], dict[str, str]]] = {}
        self._folder = Path(document["dir"])
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def start(self, cluster: str, pod: dict[str, Any]) -> None:
        """Start the pod's program and keep it up until it is stopped."""
        uid = pod["metadata"]["uid"]
        variables = {
            **self.environments[cluster](pod),
            "PYTHONPATH": str(ROOT / SOURCES[image_of(pod)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": "/usr/bin:/bin",
        }
        self._launch(uid, cluster, image_of(pod), variables, None)

    def _launch(self, uid: str, cluster: str, image: str, variables: dict[str, str], ended: subprocess.Popen[bytes] | None) -> None:
        with (self._folder / "logs" / f"{image}-{cluster}.log").open("a") as log, self._lock:
            if self._running.get(uid) is not ended:
                return  # stopped meanwhile
            process = subprocess.Popen(
                [sys.executable, *COMMANDS[image]], env=variables, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
            self._running[uid] = process

        def follow() -> None:
            process.wait()
            threading.Event().wait(RESTART_S)
            self._launch(uid, cluster, image, variables, process)

        threading.Thread(target=follow, daemon=True).start()

    def stop(self, uid: str) -> bool:
        """Ask it to end, and see to it; whether there was such a pod. Does not wait."""
        with self._lock:
            process = self._running.pop(uid, None)
        if process is None:
            return False
        process.terminate()

        def insist() -> None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            process.kill()

        threading.Thread(target=insist, daemon=True).start()
        return True

    def kill(self, uid: str) -> bool:
        """End it at once, as if it had crashed: it is started again."""
        process = self._running.get(uid)
        if process is not None:
            process.send_signal(signal.SIGKILL)
        return process is not None


def image_of(pod: dict[str, Any]) -> str:
    """The image's name without registry and tag."""
    return str(pod["spec"]["containers"][0].get("image", "")).rpartition("/")[2].partition(":")[0]
