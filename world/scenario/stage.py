"""Where a scenario plays: a world with the application deployed, its clusters, and what was noted before and during the play."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossmesh.core.reporting.report import Report

from world.application import Application
from world.clusters.client import Cluster, is_ready, wait_for
from world.scenario.load import Life

MESH = "appmesh-demo"
HINT_EVERY_S = 0.7


class Stage:
    """`before`: instances of the colours' service when the play began; `foreign`: those that scenarios registered as somebody else."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.clusters = {name: Cluster(app.world.document, name) for name in app.world.document["clusters"]}
        self.colours, self.front = self.clusters["eksc2"], self.clusters["eksc1"]
        self.before: dict[str, dict[str, str]] = {}
        self.foreign: dict[str, dict[str, str]] = {}
        self.identities: dict[str, str] = {}  # clusters that another one stands in for, and their own kube-system uid
        self.moved: list[str] = []  # Deployments of the colours that went to the other cluster
        self.looked: Report | None = None

    def ready(self) -> dict[str, tuple[str, str]]:
        """Ready colour pods of all clusters: name -> (cluster, address)."""
        return {
            pod["metadata"]["name"]: (name, pod["status"]["podIP"])
            for name, cluster in self.clusters.items()
            for pod in cluster.ready_pods(MESH, "app=colorapp")
        }

    def settled(self) -> bool:
        """Whether the colours' Deployments have rolled out and no pod of theirs is going."""
        for deployment in self.colours.items("Deployment", MESH):
            if deployment["metadata"]["name"].startswith("colorapp"):
                wanted = deployment["spec"].get("replicas", 1)
                selector = ",".join(f"{k}={v}" for k, v in deployment["spec"]["selector"]["matchLabels"].items())
                pods = self.colours.items("Pod", MESH, selector)
                if len(pods) != wanted or not all(is_ready(pod) for pod in pods):
                    return False
        return True

    def ours(self) -> dict[str, dict[str, str]]:
        """Instances of the colours' service that carry the application's mark."""
        return {i: a for i, a in self.app.instances().items() if a.get("crossmesh/owner")}

    def exact(self) -> bool:
        """Whether the registry holds exactly the ready colour pods, each under its own address."""
        registered = {a["k8s.io/pod"]: (a["crossmesh/cluster"], a["AWS_INSTANCE_IPV4"]) for a in self.ours().values()}
        return registered == self.ready()

    def settle(self, seconds: float = 60.0) -> float:
        """Until pods and registry have come to rest, hinting as a watcher would; the seconds it took."""
        began, hinted = time.monotonic(), 0.0

        def at_rest() -> bool:
            nonlocal hinted
            if time.monotonic() - hinted > HINT_EVERY_S:
                self.app.hint()
                hinted = time.monotonic()
            return self.settled() and self.exact()

        wait_for(at_rest, seconds, f"pods and registry to come to rest (ready {sorted(self.ready())}, registered {sorted(self.app.pods())})")
        self.app.idle_all()
        return time.monotonic() - began

    def look(self) -> Report:
        """A look and the run it asked for."""
        self.looked = self.app.look(90)
        return self.looked

    def lives(self) -> list[Life]:
        """Every pod process there was (one runtime carries the pods of all clusters)."""
        return [Life(**life) for life in _get(self.colours, "lives")]

    def workers(self) -> list[int]:
        """Process ids of the functions' workers."""
        host = int(_pids(self.app.world.dir)["ministack"])
        return [pid for pid, parent, command in _processes() if parent == host and "python" in command]

    def kill_functions(self) -> int:
        """End every worker at once, whatever it is doing; how many there were."""
        workers = self.workers()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(workers)

    @contextlib.contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """One of the world's parts stands still for as long as the block lasts."""
        pid = int(_pids(self.app.world.dir)[part])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


def _get(cluster: Cluster, path: str) -> Any:
    return cluster.tell(path, verb="GET")


def _pids(folder: Path) -> dict[str, Any]:
    import json

    return {name: pid for name, (pid, _) in json.loads((folder / "pids.json").read_text()).items()}


def _processes() -> Iterator[tuple[int, int, str]]:
    """(pid, parent, command line) of every process."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                yield int(folder.name), int(stat[1]), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
