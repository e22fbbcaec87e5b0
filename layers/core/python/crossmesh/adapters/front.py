"""HTTP to the front load balancer, each phase timed apart. Never raises for what a server does:
that is a `Sample` with its class of error.

Each request opens a connection of its own, so that the load balancer spreads them
(`front_request`). Requests begin at a bounded pace, a few side by side, for the front is probed and
not loaded. How many there are, how long they take and what is kept of them is bounded, whatever was
asked for and whatever comes.
"""

import ssl
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import urlsplit

from crossmesh import __version__
from crossmesh.adapters import tracing
from crossmesh.adapters.front_request import Request, Way
from crossmesh.adapters.resolve import Resolve, resolver_at, system_resolve
from crossmesh.core.canary.sample import REQUESTS, Sample

__all__ = ["Front", "Resolve", "resolver_at", "system_resolve"]

BODY_LIMIT = 65_536  # bytes read of an answer
# Bytes read of all answers of a run: of more than 64 requests less is read of each
RUN_LIMIT = 4_194_304
AT_ONCE = 8  # requests side by side
PACE = 100.0  # requests begun a second, at most
BUDGET = 40.0  # seconds after which a run begins no request any more
# Seconds after which no request of a run is waited for: it must end before the function does
ENDS = 50.0


class Limits(NamedTuple):
    """How fast and how long one run of a canary asks."""

    pace: float = PACE
    budget: float = BUDGET
    ends: float = ENDS


class Front:
    """Implements `ports.Front`.

    `hosts`: where a redirect may lead besides the host that was asked. `trust`: whose certificates
    are believed, by default the system's. `also`: blocks of addresses that may be asked besides
    those that a front may have. `sampled` False: not even the first request of a run is traced.
    """

    def __init__(
        self,
        resolve: Resolve = system_resolve,
        *,
        hosts: Collection[str] = (),
        trust: ssl.SSLContext | None = None,
        also: Collection[str] = (),
        limits: Limits | None = None,
        sampled: bool = True,
    ) -> None:
        self._resolve = resolve
        self._hosts = {host.lower() for host in hosts}
        self._trust = trust
        self._also = tuple(also)
        self._limits = limits or Limits()
        self._sampled = sampled

    def probe(self, url: str, requests: int, timeout: float, canary: str, *, follow: bool = True) -> tuple[Sample, ...]:
        """`requests` GETs of `url` (1 to `REQUESTS`), each within `timeout` seconds; the first
        carries a sampled trace header.

        Fewer samples come back where the budget ran out, never none. `follow` False: a redirect is
        the answer.
        """
        if self._trust is None and url.startswith("https:"):
            # Once, for it reads all authorities: no phase of a request
            self._trust = ssl.create_default_context()
        requests = max(1, min(requests, REQUESTS))
        way = Way(self._resolve, self._trust, self._hosts, self._also, min(BODY_LIMIT, RUN_LIMIT // requests), follow)
        numbers, lock, samples = iter(range(requests)), threading.Lock(), dict[int, Sample]()
        began = time.monotonic()

        def work() -> None:
            """One request after the other, as long as there are any and there is time."""
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                begins = max(number / self._limits.pace, time.monotonic() - began)
                if number and begins > self._limits.budget:
                    return
                time.sleep(max(0.0, began + begins - time.monotonic()))
                left = max(0.001, began + self._limits.ends - time.monotonic())
                samples[number] = self._one(way, url, min(timeout, left), canary, number)

        with ThreadPoolExecutor(max_workers=(width := min(AT_ONCE, requests))) as pool:
            for worker in [pool.submit(work) for _ in range(width)]:
                worker.result()
        return tuple(sample for _, sample in sorted(samples.items()))

    def _one(self, way: Way, url: str, timeout: float, canary: str, number: int) -> Sample:
        if number == 0 and self._sampled:
            return self._traced(way, url, timeout, canary)
        trace = tracing.new_trace()
        return Request(way, timeout, _headers(canary, trace.header(sampled=False)), trace.root).run(url)

    def _traced(self, way: Way, url: str, timeout: float, canary: str) -> Sample:
        """The one request whose way is recorded: below this invocation's own trace where there is
        one, so that the map begins at the canary.
        """
        invocation = tracing.invocation_trace()
        trace = tracing.below(invocation) if invocation else tracing.new_trace()
        start = time.time()
        sample = Request(way, timeout, _headers(canary, trace.header(sampled=True)), trace.root).run(url)
        if invocation:
            call = tracing.HttpCall(urlsplit(url).hostname or url, url, sample.status, start, time.time())
            tracing.send_call(invocation, trace, call)
        return sample


def _headers(canary: str, trace: str) -> dict[str, str]:
    name = "".join(char if char.isascii() and char.isprintable() else "?" for char in canary)
    return {"User-Agent": f"crossmesh-canary/{__version__} (+{name})", "X-Amzn-Trace-Id": trace}
