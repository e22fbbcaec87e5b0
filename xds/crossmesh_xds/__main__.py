"""`python -m crossmesh_xds`: serve until SIGTERM or SIGINT. Exit codes: 0 told to end, 2 the
environment is not usable.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

from . import cluster, logs, metrics, settings
from .certificates import Pair
from .identity import Gate, Unanswered
from .loader import PARALLEL, Found, Loader, follow
from .peers import Peer, addresses
from .published import FORMATS, Unusable
from .reviewing import Reviewing
from .server import LOG, Place, Server
from .sources import Amazon, Source, Unavailable

ACCOUNT = "crossmesh-xds"
HEARTBEAT_S, KEYS_S = 30.0, 600.0
AGAIN_S = 2.0


class Application:
    """The parts, and what they tell one another."""

    def __init__(self, given: settings.Settings, source: Any) -> None:
        self.given, self.source = given, source
        self.ended = asyncio.Event()
        self.metrics, self.loader = metrics.Metrics(), Loader(given.lineage)
        self.api = cluster.Cluster(partial(cluster.in_cluster, given.account))
        self.reviewing = Reviewing(self.api)
        place = Place(cluster=given.cluster, name=given.pod, namespace=given.namespace, account=ACCOUNT)
        self.server = Server(place, Gate(self.reviewing), self.loader, self.metrics)
        self._last = ""

    async def run(self) -> None:
        """From the authority to the drain."""
        http = metrics.serve(self.given.http, self.metrics, {"/livez": list, "/readyz": self.unready})
        signer = await self._until_told(lambda: asyncio.to_thread(self.api.authority, self.given.namespace))
        if signer is not None:
            address = f"[{self.given.listen[0]}]" if ":" in self.given.listen[0] else self.given.listen[0] or "0.0.0.0"  # noqa: S104
            await self.server.start(f"{address}:{self.given.listen[1]}", signer, self.given.names)
            await self._from_peers(signer)
            jobs = [
                asyncio.create_task(job)
                for job in (
                    self.server.tick(self.ended),
                    self._every(KEYS_S, self.reviewing.learn),
                    self._every(HEARTBEAT_S, self._beat),
                )
            ]
            await follow(self.loader, self.source, self.server.take, self.told, self.ended)
            await self.server.drain()
            for job in jobs:
                job.cancel()
        http.server_close()

    def unready(self) -> list[str]:
        """Ready is who has a snapshot and takes Envoys in."""
        if not self.loader.snapshot:
            return ["no snapshot yet"]
        return ["ending"] if self.ended.is_set() else []

    def told(self, found: Found | Exception) -> None:
        """Count a look, and log what is new about it."""
        kind = (
            found.verdict.value
            if isinstance(found, Found)
            else "unavailable"
            if isinstance(found, Unavailable)
            else "unusable"
        )
        self.metrics.looks.labels(kind).inc()
        if isinstance(found, Found):
            self.metrics.read_now(in_force=kind in ("next", "same"))
        said = f"{kind}: {found.reason if isinstance(found, Found) else found}"
        if said != self._last and kind not in ("next", "same"):
            LOG.warning("snapshot not taken", extra={"data": {"outcome": kind, "reason": said}})
        self._last = said

    async def _from_peers(self, signer: Pair) -> None:
        """The snapshot of a server that has one, before AWS is asked."""
        found = await asyncio.to_thread(
            lambda: list(
                addresses(f"{self.given.service}.{self.given.namespace}", self.given.listen[1], self.given.address)
            )
        )
        for target in found:
            if await taken_from(
                target,
                signer.certificate,
                self.given.names[0],
                lambda: self.given.token.read_text().strip(),
                self.loader,
                self.server,
            ):
                return

    async def _beat(self) -> None:
        snapshot = self.loader.snapshot
        said = {
            "cluster": self.given.cluster,
            "formats": list(FORMATS),
            "lineage": snapshot.pointer.lineage if snapshot else "",
            "number": snapshot.pointer.number if snapshot else 0,
            "streams": len(self.server.fleet.members),
            "stopped": sorted(mark for _, mark in self.server.fleet.stopped)[:100],
            "read": _stamp(self.metrics.read_at),
            "looked": _stamp(self.metrics.looked_at),
            "at": _stamp(time.time()),
        }
        with contextlib.suppress(Unavailable):
            await asyncio.to_thread(self.source.beat, f"{self.given.cluster}/{self.given.pod}", said)

    async def _every(self, seconds: float, job: Callable[[], Awaitable[None]]) -> None:
        while not self.ended.is_set():
            try:
                await job()
            except Unanswered as error:
                LOG.warning("not answered", extra={"data": {"reason": str(error)}})
            await asyncio.sleep(seconds)

    async def _until_told(self, ask: Callable[[], Awaitable[Pair]]) -> Pair | None:
        """The answer, however long it takes; None if we are told to end before."""
        while not self.ended.is_set():
            try:
                return await ask()
            except (Unanswered, cluster.Conflict, cluster.Missing) as error:
                LOG.warning("no authority yet", extra={"data": {"reason": str(error)}})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), AGAIN_S)
        return None


async def taken_from(
    target: str, ca: bytes, name: str, token: Callable[[], str], loader: Loader, server: Server
) -> bool:
    """Whether the peer at `target` gave a snapshot."""
    peer = Peer(target, ca, name, token)
    source: Source = peer
    try:
        found = await loader.look(source)
    except (Unavailable, Unusable) as error:
        LOG.warning("peer not used", extra={"data": {"peer": target, "reason": str(error)}})
        return False
    finally:
        peer.close()
    if found.snapshot is not None:
        server.take(found.snapshot)
    return found.snapshot is not None


def _stamp(seconds: float) -> str:
    """The moment in UTC; "" for never."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else ""


async def _main(given: settings.Settings) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(PARALLEL, thread_name_prefix="call"))
    application = Application(given, Amazon(given.table, given.bucket, given.region))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, application.ended.set)
    LOG.info("started", extra={"data": {"table": given.table, "bucket": given.bucket}})
    await application.run()
    LOG.info("ended")


def main() -> int:
    """Wire the parts and wait."""
    try:
        given = settings.read(os.environ)
    except settings.SettingsError as error:
        print(f"crossmesh-xds: {error}".replace("\n", "\ncrossmesh-xds: "), file=sys.stderr)
        return 2
    logs.start(cluster=given.cluster, pod=given.pod)
    asyncio.run(_main(given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
