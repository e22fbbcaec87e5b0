"""One pool of pod addresses for all clusters, as in a shared VPC: a freed address goes to the next pod, wherever it is."""

import ipaddress
import threading
from collections import deque


class Addresses:
    """Addresses of the world's pod network."""

    def __init__(self, network: str) -> None:
        hosts = ipaddress.ip_network(network)
        base = int(hosts.network_address)
        self._fresh = iter(range(base + 10 * 256 + 11, base + 250 * 256))
        self._freed: deque[str] = deque()
        self._held: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self.recent = False  # the address freed last comes back first, not the one freed longest ago

    def take(self, cluster: str, uid: str) -> str:
        """An address for a pod; one that was freed before one never used."""
        with self._lock:
            again = self._freed.pop if self.recent else self._freed.popleft
            address = again() if self._freed else str(ipaddress.ip_address(next(self._fresh)))
            self._held[uid] = (address, cluster)
            return address

    def free(self, uid: str) -> None:
        """The pod is gone."""
        with self._lock:
            if uid in self._held:
                self._freed.append(self._held.pop(uid)[0])

    def cluster_of(self, address: str) -> str | None:
        """Whose pod holds an address."""
        with self._lock:
            return next((cluster for held, cluster in self._held.values() if held == address), None)
