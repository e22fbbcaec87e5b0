"""Brings the snapshot in force: reads the pointer, then the parts that changed, checks all of it,
and hands it on. What it cannot use it counts and leaves; the snapshot before stays in force.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from . import published
from .assembly import Workshop
from .mesh import Snapshot
from .published import Pointer, Root, Unusable
from .sources import Source, Unavailable
from .succession import Verdict, of_pointer, of_root

PARALLEL = 32  # objects read at once
POLL_S, SLOWEST_S = 0.5, 10.0

T = TypeVar("T")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a source came to."""

    verdict: Verdict
    snapshot: Snapshot | None = None  # with NEXT
    reason: str = ""


class Loader:
    """Keeps the stored objects of the snapshot that it made last, for the next one and for other
    servers.
    """

    def __init__(self, adopted: str = "") -> None:
        self.snapshot: Snapshot | None = None
        self.objects: dict[str, bytes] = {}
        self._adopted = adopted
        self._workshop = Workshop()

    async def look(self, source: Source) -> Found:
        """One look. Raises Unavailable, Unusable."""
        item = await asyncio.to_thread(source.pointer)
        if item is None:
            return Found(verdict=Verdict.OLDER if self.snapshot else Verdict.SAME, reason="there is no pointer")
        pointer = published.read_pointer(item)
        served = self.snapshot.pointer if self.snapshot else None
        verdict = of_pointer(served, pointer)
        if verdict is not Verdict.NEXT:
            return Found(verdict=verdict, reason=f"number {pointer.number} of epoch {pointer.epoch}")
        objects: dict[str, bytes] = {}
        await self._read(source, [pointer.root], objects)
        root = published.read_root(pointer, objects[pointer.root])
        if of_root(served, root, self._adopted) is Verdict.FOREIGN:
            return Found(verdict=Verdict.FOREIGN, reason=f"lineage {root.lineage} with number {root.number}")
        await self._read(source, [*root.proxies, *root.endpoints.parts], objects)
        snapshot = await asyncio.to_thread(self._assembled, pointer, root, objects)
        self.snapshot, self.objects = snapshot, objects
        return Found(verdict=Verdict.NEXT, snapshot=snapshot)

    async def _read(self, source: Source, digests: Sequence[str], objects: dict[str, bytes]) -> None:
        """All of them, those that are at hand without a call."""
        gate = asyncio.Semaphore(PARALLEL)

        async def one(digest: str) -> None:
            async with gate:
                held = self.objects.get(digest)
                objects[digest] = held if held is not None else await asyncio.to_thread(source.object, digest)

        await asyncio.gather(*(one(digest) for digest in digests))

    def _assembled(self, pointer: Pointer, root: Root, objects: dict[str, bytes]) -> Snapshot:
        proxies: dict[str, published.PublishedProxy] = {}
        endpoints: dict[str, msgspec.Raw] = {}
        for digest in root.proxies:
            _joined(proxies, published.read_proxies(root, digest, objects[digest]))
        for digest in root.endpoints.parts:
            _joined(endpoints, published.read_endpoints(digest, objects[digest]))
        same_lineage = self.snapshot if self.snapshot and self.snapshot.pointer.lineage == pointer.lineage else None
        return self._workshop.snapshot(pointer, root, proxies, endpoints, same_lineage)


async def follow(
    loader: Loader,
    source: Source,
    taken: Callable[[Snapshot], None],
    told: Callable[[Found | Exception], None],
    ended: asyncio.Event,
) -> None:
    """Look again and again until `ended`: twice a second, more rarely while the source does not
    answer.
    """
    pause = POLL_S
    while not ended.is_set():
        try:
            found = await loader.look(source)
        except (Unavailable, Unusable) as error:
            told(error)
            pause = min(pause * 2, SLOWEST_S)
        else:
            if found.snapshot is not None:
                taken(found.snapshot)
            told(found)
            pause = POLL_S
        try:
            await asyncio.wait_for(ended.wait(), pause * random.uniform(0.8, 1.2))
        except TimeoutError:
            continue


def _joined(known: dict[str, T], part: dict[str, T]) -> None:
    twice = known.keys() & part.keys()
    if twice:
        raise Unusable(f"{min(twice)} is in two parts")
    known.update(part)
