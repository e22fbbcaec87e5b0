"""The embedded tier's kubelet: a pod whose address is not free yet comes up at another one."""

import time
from typing import Any

from world.clusters.addresses import Addresses
from world.clusters.controllers import Controllers
from world.clusters.store import Store


class Taken:
    """A runtime in which the first address is still held by somebody else's Envoy."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def start(self, cluster: str, pod: dict[str, Any]) -> None:
        self.tried.append(pod["status"]["podIP"])
        if len(self.tried) == 1:
            raise OSError(98, "address already in use")

    def stop(self, uid: str) -> None: ...


def test_a_pod_whose_address_is_not_free_yet_comes_up_at_another_one() -> None:
    store, runtime, addresses = Store(), Taken(), Addresses("127.77.0.0/16")
    controllers = Controllers("c", store, 1, addresses, runtime)
    spec = {"nodeName": "c-node-1", "containers": [{"name": "app", "image": "colorapp"}]}
    store.create(("", "namespaces", "", "demo"), {"metadata": {"name": "demo"}})
    store.create(("", "pods", "demo", "p"), {"metadata": {"name": "p"}, "spec": spec})
    until = time.monotonic() + 10
    while time.monotonic() < until and not store.get(("", "pods", "demo", "p"))["status"].get("podIP"):
        while controllers.due and controllers.due[0][0] <= time.monotonic():
            controllers.due.pop(0)[2]()
        controllers.kubelet()
        time.sleep(0.02)
    assert len(runtime.tried) == 2
    assert store.get(("", "pods", "demo", "p"))["status"]["podIP"] == runtime.tried[1]
