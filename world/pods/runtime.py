"""Pods as asyncio servers on one background loop: light for hundreds, and as real as a process to whoever connects.

A pod refuses connections that the security group of its cluster's nodes would not let through: closed at once, without an answer.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from world.pods.apps import ENVOY, App, app_for
from world.pods.groups import Groups
from world.pods.processes import COMMANDS, PodProcesses, image_of


class PodRuntime:
    """Starts and ends pods' servers. `cluster_of` maps a source address to a cluster; the kubelet sets it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.cluster_of: Callable[[str], str | None] = lambda _: None
        self._balancer = document["pod_network"].rpartition(".")[0].rpartition(".")[0] + ".255.1"
        self.processes = PodProcesses(document)
        self._groups = Groups(document)
        self._loop = asyncio.new_event_loop()
        self._pods: dict[str, tuple[App, list[asyncio.Server]]] = {}
        self.lives: dict[str, dict[str, Any]] = {}  # uid -> pod, address, and when its process began and ended to listen (0 = lives)
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def has_sidecar(self, pod: dict[str, Any]) -> bool:
        """Whether an Envoy stands before its program: a container of that name, as the injecting webhook adds it."""
        return any(container["name"] == ENVOY for container in pod["spec"]["containers"])

    def start(self, cluster: str, pod: dict[str, Any]) -> None:
        """Listen at the pod's address before returning (a process of its own does so in its time)."""
        if image_of(pod) in COMMANDS:
            self.processes.start(cluster, pod)
            return
        asyncio.run_coroutine_threadsafe(self._start(cluster, pod), self._loop).result(10)

    async def _start(self, cluster: str, pod: dict[str, Any]) -> None:
        app = app_for(pod, sidecar=self.has_sidecar(pod))
        servers: list[asyncio.Server] = []
        for port in app.ports:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int = port) -> None:
                source = writer.get_extra_info("peername")[0]
                if not self._lets_in(cluster, source, port):
                    writer.transport.abort()
                    return
                app.connections.add(writer)
                try:
                    await app.serve(reader, writer)
                except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                    pass
                finally:
                    app.connections.discard(writer)
                    writer.close()

            try:
                servers.append(await asyncio.start_server(serve, pod["status"]["podIP"], port, backlog=256))
            except OSError:
                for server in servers:
                    server.close()
                raise
        self._pods[pod["metadata"]["uid"]] = (app, servers)
        self.lives[pod["metadata"]["uid"]] = {
            "pod": pod["metadata"]["name"],
            "address": pod["status"]["podIP"],
            "began": time.time(),
            "ended": 0.0,
        }

    def _lets_in(self, cluster: str, source: str, port: int) -> bool:
        if source in ("127.0.0.1", self._balancer):
            return True
        other = self.cluster_of(source)
        return other == cluster or (other is not None and self._groups.lets(other, cluster, port))

    def stop(self, uid: str) -> None:
        """End the process: listeners and connections go at once."""
        if self.processes.stop(uid):
            return
        asyncio.run_coroutine_threadsafe(self._stop(uid), self._loop).result(10)

    def kill(self, uid: str) -> None:
        """End it as a crash does; a process of its own comes back."""
        if not self.processes.kill(uid):
            self.stop(uid)

    async def _stop(self, uid: str) -> None:
        app, servers = self._pods.pop(uid, (None, []))
        if app:
            self.lives[uid]["ended"] = time.time()
        for server in servers:
            server.close()
        for writer in list(app.connections) if app else ():
            writer.transport.abort()

    def behave(self, uid: str, settings: dict[str, Any]) -> None:
        """Misbehave: fail_rate, delay_ms, status, body; {} = well again."""
        app, _ = self._pods[uid]
        app.behaviour = settings
