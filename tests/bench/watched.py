"""A world with the application and its watchers for measurements: nobody else hints, the schedule is off but where it is what is measured."""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crossmesh_watcher.access import Access
from crossmesh_watcher.api import Api, Failed
from crossmesh_watcher.pods import Pod, is_ready

from tests.bench.timeline import Change, Held
from world.application import NAMESPACE, Application
from world.aws.clients import client
from world.clusters.client import Cluster
from world.deploy import ROOT, deploy, install_watchers
from world.supervisor import running_world

COLOURS = ("appmesh-demo", "app=colorapp")


class Watched:
    """The world, and what is seen of its colour pods and their instances from outside."""

    def __init__(self, document: dict[str, Any], app: Application) -> None:
        self.document, self.app = document, app
        self.colours = Cluster(document, "eksc2")
        self.registry = client(document, "servicediscovery")
        self.changes: list[Change] = []
        self.lost: set[str] = set()  # instances that were deregistered behind the application's back
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        """Pods' changes as they come, from a watch of our own."""
        ca = (self.app.world.dir / "eksc2.ca.pem").read_text()
        access = Access(server=self.colours.server, ca=ca, token=self.colours.token)
        live: set[str] = set()
        while True:
            try:
                for kind, pod in Api(lambda: access, COLOURS[1]).watch(COLOURS[0], "0", 3_000):
                    self._seen(live, kind, pod)
            except Failed:
                time.sleep(0.2)

    def _seen(self, live: set[str], kind: str, pod: Pod) -> None:
        uid = pod.metadata.uid
        now = kind != "DELETED" and is_ready(pod) and pod.metadata.deletion_timestamp is None
        if kind != "BOOKMARK" and now != (uid in live):
            (live.add if now else live.discard)(uid)
            self.changes.append(Change(time.monotonic(), uid, now))

    def live(self) -> set[str]:
        """uids of the live colour pods as last seen."""
        found: set[str] = set()
        for change in self.changes:
            (found.add if change.live else found.discard)(change.uid)
        return found

    def held(self) -> Held:
        """What discovery shows now."""
        try:
            found = self.registry.discover_instances(NamespaceName=NAMESPACE, ServiceName="colorapp", MaxResults=1000, HealthStatus="ALL")[
                "Instances"
            ]
        except self.registry.exceptions.ServiceNotFound:
            found = []
        return Held(time.monotonic(), frozenset(i["Attributes"].get("crossmesh/pod-uid", i["InstanceId"]) for i in found))

    def until_exact(self, seconds: float, every: float = 0.1, *, pods: int | None = None) -> list[Held]:
        """What was seen of the registry until it equals the live pods (of that number); TimeoutError."""
        seen, until = [self.held()], time.monotonic() + seconds
        while seen[-1].uids != self.live() or pods not in (None, len(self.live())):
            if time.monotonic() > until:
                raise TimeoutError(f"{len(seen[-1].uids)} registered, {len(self.live())} live after {seconds:.0f} s")
            time.sleep(every)
            seen.append(self.held())
        return seen

    def rest(self) -> None:
        """Until nothing runs and no watcher holds a hint back."""
        self.until_exact(60)
        time.sleep(1.2)
        self.app.idle_all()

    def scale(self, replicas: int, colour: str = "blue") -> None:
        """The colour's Deployment."""
        self.colours.scale(COLOURS[0], f"colorapp-{colour}", replicas)

    def lag(self, seconds: float) -> None:
        """How long an operation of Cloud Map takes."""
        self.app.tell("aws", "settings", {"operation_lag_s": seconds})

    def cloud_map_calls(self) -> dict[str, int]:
        """Calls of the application's functions to Cloud Map since the last reset, by operation."""
        found: dict[str, int] = {}
        for entry in self.app.calls()["calls"]:
            if entry["service"] == "servicediscovery" and ":user/" not in entry["principal"]:
                found[entry["operation"]] = found.get(entry["operation"], 0) + entry["count"]
        return found


@contextmanager
def watched_world() -> Iterator[Watched]:
    """Up, deployed, watched, exact."""
    with running_world("bench", ROOT / ".world") as world:
        deploy(world.document, Mode="apply", Schedule="DISABLED")
        install_watchers(world.document)
        found = Watched(world.document, Application(world))
        found.until_exact(90, pods=2)
        yield found


def told(values: list[float]) -> str:
    """Median and range."""
    return f"median {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f}, n = {len(values)})"
