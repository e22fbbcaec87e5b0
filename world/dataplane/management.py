"""A stand-in for App Mesh's Envoy management service: reads the mesh API and Cloud Map, and nothing else, and answers Envoy's REST polls.

It sends what App Mesh's sent (`configuration`), moved to where this world's Envoys are (`placing`), in an order that breaks nothing (`turns`). What it read
last stays in force where either API fails, for each virtual node and gateway by itself.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from world.aws.clients import client
from world.dataplane import configuration as xds
from world.dataplane.placing import placed
from world.dataplane.source import Instances, Source
from world.dataplane.turns import Resources, Turn, version

EVERY_S = 0.4
SETTLE_S = 8.0
_KINDS = {"listeners": xds.LISTENER, "routes": xds.ROUTE, "clusters": xds.CLUSTER, "endpoints": xds.ENDPOINTS, "secrets": xds.SECRET}
_log = logging.getLogger("management")


class Management:
    """Configurations by proxy id `mesh/<mesh>/virtualNode/<name>|<ip>`, or virtualGateway."""

    def __init__(self, folder: Path, mesh: Any, cloud_map: Any) -> None:
        self._folder, self._mesh, self._instances = folder, mesh, Instances(cloud_map)
        self._made: dict[str, Resources] = {}  # virtual node or gateway -> its configuration
        self._read_at: dict[str, float] = {}  # virtual node or gateway -> when the reading of its configuration began
        self._turns: dict[str, tuple[Resources, Turn]] = {}  # proxy -> the configuration that its turn knows, and its turn
        self.running = True

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Management":
        """On a world's AWS server."""
        quick = {"retries": {"max_attempts": 1}, "connect_timeout": 1, "read_timeout": 5}
        return cls(Path(document["dir"]), client(document, "appmesh", **quick), client(document, "servicediscovery", **quick))

    def forget(self, proxy: str) -> None:
        """The proxy is gone; one that starts with the same id has nothing yet."""
        self._turns.pop(proxy, None)

    async def settled(self, proxies: Callable[[], Iterable[str]]) -> list[str]:
        """What proxies do not go by yet, SETTLE_S from now; [] as soon as all go by what was read after now."""
        began = time.monotonic()
        waits = ["not asked"]
        while waits and time.monotonic() - began < SETTLE_S:
            waits = [f"{proxy}: {what}" for proxy in proxies() for what in self._waits(proxy, began)]
            await asyncio.sleep(0.05 if waits else 0)
        return waits

    def _waits(self, proxy: str, since: float) -> list[str]:
        if self._read_at.get(_name(proxy), 0.0) <= since:
            return ["to be read"]
        turn = self._turn(proxy)
        return turn.waits() if turn else ["everything"]

    async def follow(self, proxies: Callable[[], Iterable[str]]) -> None:
        """Read for every proxy there is, until cancelled."""
        while True:
            if self.running:
                await asyncio.to_thread(self._look, sorted({_name(proxy) for proxy in proxies()}))
            await asyncio.sleep(EVERY_S)

    def _look(self, names: list[str]) -> None:
        source = Source(self._mesh, self._instances)
        for name in self._made.keys() - set(names):
            del self._made[name], self._read_at[name]
        began = time.monotonic()
        for name in names:
            try:
                found = xds.configuration(source.reading(name))
            except Exception as error:
                _log.warning("kept what was read last of %s: %s: %s", name, type(error).__name__, error)
                continue
            self._read_at[name] = began
            if self._made.get(name) != found:
                self._made[name] = found

    def _turn(self, proxy: str) -> Turn | None:
        """Of a proxy, by what was read last; None before anything was."""
        made = self._made.get(_name(proxy))
        known, turn = self._turns.get(proxy) or ({}, Turn())
        if made is not None and known is not made:
            turn.want(self._moved(made, proxy.rpartition("|")[2]))
            self._turns[proxy] = made, turn
        return self._turns[proxy][1] if proxy in self._turns else None

    def _moved(self, made: Resources, ip: str) -> Resources:
        return placed(made, ip, self._folder)

    async def answer(self, request: web.Request) -> web.Response:
        """One poll of Envoy; a poll for routes, endpoints or secrets gets only what it names. 503: it keeps what it has."""
        asked = await request.json()
        kind = _KINDS[request.match_info["kind"]]
        turn = self._turn(asked["node"]["id"]) if self.running else None
        found = turn.answer(kind, list(asked.get("resource_names") or ()), asked.get("version_info", "")) if turn else None
        if found is None:
            return web.Response(status=503)
        return web.json_response({"version_info": version(found), "type_url": kind, "resources": found})


def _name(proxy: str) -> str:
    """The virtual node or gateway of a proxy."""
    return proxy.rpartition("|")[0]
