"""`python -m world.clusters.real DIR`: the real tier in the place of the embedded one — the same world.json, ports, certificates and kubeconfigs.

It has no control server and its pods are nobody's processes (fake kubelets); what it adds is Kubernetes itself. A component that dies is started
again, as a kubelet does with a control plane's static pods. `real.json` names etcd's port and each component's process, for tests that hurt them.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from world.aws.process import end_group_with_me, lead_group, say_ready
from world.clusters.client import Cluster, is_ready, wait_for
from world.clusters.controllers import nodes_of
from world.clusters.real import sts
from world.clusters.real.binaries import MISSING, find
from world.clusters.real.components import Component, access_entries, apiserver, entries, etcd, followers, webhook
from world.clusters.real.definitions import define
from world.state import free_ports

START_S = 60.0
AUTHENTICATOR_HEALTH = 21363  # a port that aws-iam-authenticator opens on every address, with no setting to stop it


class Components:
    """The running processes, all in this process's group."""

    def __init__(self, folder: Path, store: int) -> None:
        self._folder, self._store = folder, store
        self._running: dict[str, tuple[Component, subprocess.Popen[bytes]]] = {}

    def start(self, *components: Component) -> None:
        """Start, or start again."""
        for component in components:
            with (self._folder / "logs" / f"{component.name}.log").open("ab") as log:
                self._running[component.name] = (
                    component,
                    subprocess.Popen(
                        component.argv, env={"PATH": os.environ["PATH"], **component.env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    ),
                )
        pids = {name: process.pid for name, (_, process) in self._running.items()}
        scratch = self._folder / "real.json.new"
        scratch.write_text(json.dumps({"etcd": self._store, "pids": pids}))
        scratch.rename(self._folder / "real.json")

    def mend(self) -> None:
        """Start what ended by itself or was killed."""
        self.start(*(component for component, process in list(self._running.values()) if process.poll() is not None))

    def wait(self, what: Callable[[], bool], why: str) -> None:
        """Poll until it is so. A component that ends meanwhile would never get there: its last words are the error."""

        def there() -> bool:
            for name, (_, process) in self._running.items():
                if process.poll() is not None:
                    last = (self._folder / "logs" / f"{name}.log").read_text(errors="replace")[-1500:]
                    raise RuntimeError(f"{name} ended while starting ({why}):\n{last}")
            return what()

        wait_for(there, START_S, why)

    def stop(self) -> None:
        """At once: an apiserver whose etcd went first would never end when asked."""
        for _, process in self._running.values():
            process.kill()
        for _, process in self._running.values():
            process.wait()


def hold_port(document: dict[str, Any]) -> socket.socket:
    """Keep the authenticator from listening beyond loopback: where a listener holds its health port on one address, it cannot have it on all,
    and goes on without."""
    held = socket.socket()
    held.bind((f"127.{2 + document['index']}.255.253", AUTHENTICATOR_HEALTH))
    held.listen(1)
    return held


def ready(cluster: Cluster) -> bool:
    """Whether the API says so."""
    try:
        return cluster.text("/readyz") == "ok"
    except OSError:
        return False


def nodes_ready(cluster: Cluster) -> bool:
    """Whether the fake kubelets have taken the nodes."""
    return all(is_ready(node) and node["status"].get("addresses") for node in cluster.items("Node"))


def follow_entries(document: dict[str, Any], folder: Path) -> None:
    """Tell the webhooks of access entries made, changed or taken away, within half a second; written in place, as they watch the file."""
    while True:
        for cluster in document["clusters"]:
            url = f"http://127.0.0.1:{document['ports']['aws']}/_world/access-entries/{cluster}"
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    wanted = json.dumps(access_entries(json.load(answer)))
            except (OSError, ValueError):
                continue
            if entries(folder, cluster).read_text() != wanted:
                entries(folder, cluster).write_text(wanted)
        time.sleep(0.5)


def main(folder: Path) -> None:
    """Start all, say ready, mend what dies, end on SIGTERM."""
    lead_group()
    end_group_with_me()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    binaries = find()
    if binaries is None:
        sys.exit(MISSING)
    document = json.loads((folder / "world.json").read_text())
    (folder / "logs").mkdir(exist_ok=True)
    held = hold_port(document)
    store = free_ports(1)[0]
    door = sts.serve(document, folder)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    running = Components(folder, store)
    try:
        names = list(document["clusters"])
        running.start(etcd(binaries, folder, store), *(webhook(binaries, folder, document, name, door.server_address[1]) for name in names))
        for name in names:
            running.wait((folder / f"{name}.webhook.yaml").exists, f"the webhook of {name}")
        running.start(*(apiserver(binaries, folder, document, name, store) for name in names))
        clusters = [Cluster(document, name) for name in names]
        for index, cluster in enumerate(clusters):
            running.wait(partial(ready, cluster), f"the API of {cluster.name}")
            for node in nodes_of(cluster.name, document["clusters"][cluster.name]["nodes"]):
                cluster.apply(node)
            define(cluster)
            running.start(*followers(binaries, folder, cluster.name, index))
        for cluster in clusters:
            running.wait(partial(nodes_ready, cluster), f"the nodes of {cluster.name}")
        threading.Thread(target=follow_entries, args=(document, folder), daemon=True).start()
        say_ready()
        while not ended.wait(0.2):
            running.mend()
    finally:
        running.stop()
        held.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
