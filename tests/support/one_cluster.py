"""The world's Kubernetes API by itself, on loopback: what a client of one namespace's pods sees."""

import threading
from pathlib import Path

from world.clusters.__main__ import certificate
from world.clusters.auth import Authenticator
from world.clusters.faults import Faults
from world.clusters.server import serve
from world.clusters.store import Store

TOKEN = "s3cr3t-token"


class Cluster:
    """The API of one cluster, which can be ended and started again at the same port. `folder` then holds `token` and `ca.crt`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = certificate(folder, "c")
        (folder / "ca.crt").write_bytes((folder / "c.ca.pem").read_bytes())
        (folder / "token").write_text(TOKEN + "\n")
        self.port = 0
        self.store = Store()
        self.start()

    def start(self, token: str = TOKEN, fault: str = "") -> None:
        self.faults = Faults()
        if fault:
            self.faults.set(fault.encode())
        if ("", "namespaces", "", "demo") not in self.store.objects:
            self.store.create(("", "namespaces", "", "demo"), {"metadata": {"name": "demo"}})
        auth = Authenticator({"region": "r", "ports": {"ministack": 9, "aws": 9}}, "c", token)
        self.server = serve(self.port, self.store, auth, self.faults, *self.files)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.faults.dark = True  # for ever: connections that stand still have a thread
        with self.store.changed:
            self.store.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def pod(self, name: str, *, ready: bool = True) -> None:
        container = {"name": "app", "image": "x"}
        self.store.create(
            ("", "pods", "demo", name), {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [container]}}
        )
        conditions = [{"type": kind, "status": str(ready)} for kind in ("ContainersReady", "Ready")]
        status = {"podIP": "10.0.0.1", "phase": "Running", "conditions": conditions}
        self.store.update(("", "pods", "demo", name), lambda old: {**old, "status": status}, status=True)

    def gone(self, name: str) -> None:
        self.store.delete(("", "pods", "demo", name), 0)
