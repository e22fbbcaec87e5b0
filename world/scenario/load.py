"""A steady load through the front load balancer, and whose fault each failed request was.

Each request carries a trace id of its own; the sidecar's Envoy writes down which pod it chose for it, the pods' runtime when each pod's process
lived. So every failure is laid to a live pod (never allowed), to a dead one within or beyond the stated lag, or to none (Envoy had no pod to choose).
"""

import http.client
import itertools
import json
import secrets
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

GOOD = ("blue", "red")
_WORKERS = 4
_FLUSHED_S = 1.0  # Envoy writes its access log behind


class Asked(msgspec.Struct, frozen=True):
    """One request: its trace id, when it began (seconds since the epoch), how long it took, and what came."""

    root: str
    at: float
    seconds: float
    status: int
    body: str

    @property
    def good(self) -> bool:
        """200 with a colour: front passes on every body with 200."""
        return self.status == 200 and self.body in GOOD


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """A pod's process: when it began and ended to listen (`ended` 0 = lives), where."""

    pod: str
    address: str
    began: float
    ended: float = 0.0


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A request that failed and why. `kind`: live (the chosen pod lived), dead (it had ended `since` seconds before), unrouted (no pod was chosen)."""

    kind: str
    asked: Asked
    pod: str = ""
    since: float = 0.0
    flags: str = ""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What users saw of a scenario."""

    requests: int
    failed: int
    live: tuple[Fault, ...]
    dead: tuple[Fault, ...]
    unrouted: tuple[Fault, ...]
    slowest_s: float

    @property
    def lag(self) -> float:
        """The longest time after a pod's death at which a request was still lost to it (seconds)."""
        return max((fault.since for fault in self.dead), default=0.0)


class Users:
    """Sends requests at a steady rate until told to end."""

    def __init__(self, port: int, rate: float) -> None:
        self._port, self._rate = port, rate
        self._ended = threading.Event()
        self._turn = itertools.count()
        self._began = time.monotonic()
        self.asked: list[Asked] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_WORKERS)]

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def until(self, enough: int, seconds: float) -> None:
        """Go on until so many requests were answered, at most so long: a scenario that plays quickly must prove something, too."""
        ends = time.monotonic() + seconds
        while len(self.asked) < enough and time.monotonic() < ends:
            time.sleep(0.1)

    def stop(self) -> None:
        """End, with every answer in."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self) -> None:
        while not self._ended.is_set():
            due = self._began + next(self._turn) / self._rate
            if self._ended.wait(max(0.0, due - time.monotonic())):
                return
            self.asked.append(self._ask())

    def _ask(self) -> Asked:
        root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        at = time.time()
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", "/color", headers={"X-Amzn-Trace-Id": f"Root={root};Sampled=0", "Connection": "close"})
            answer = connection.getresponse()
            status, body = answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            status, body = 0, type(error).__name__
        finally:
            connection.close()
        return Asked(root, at, time.monotonic() - began, status, body[:200])


def chosen(folder: Path) -> dict[str, tuple[str, str]]:
    """Trace id -> the pod address that Envoy chose last ("" = none) and its response flags, from the sidecars' logs."""
    time.sleep(_FLUSHED_S)
    found: dict[str, tuple[str, str]] = {}
    for file in folder.glob("requests-*.log"):
        for line in file.read_text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                entry = json.loads(line)
                root = str(entry.get("trace") or "").partition("Root=")[2].partition(";")[0]
                upstream = str(entry.get("upstream") or "")
                found[root] = "" if upstream in ("", "-") else upstream.rpartition(":")[0], str(entry.get("flags") or "")
    return found


def judge(asked: Iterable[Asked], upstreams: dict[str, tuple[str, str]], lives: Iterable[Life]) -> Traffic:
    """Lay each failure to where it belongs."""
    by_address: dict[str, list[Life]] = {}
    for life in lives:
        by_address.setdefault(life.address, []).append(life)
    asked = list(asked)
    faults: dict[str, list[Fault]] = {"live": [], "dead": [], "unrouted": []}
    for one in asked:
        if not one.good:
            fault = _laid(one, *upstreams.get(one.root, ("", "")), by_address)
            faults[fault.kind].append(fault)
    return Traffic(
        requests=len(asked),
        failed=sum(len(found) for found in faults.values()),
        live=tuple(faults["live"]),
        dead=tuple(faults["dead"]),
        unrouted=tuple(faults["unrouted"]),
        slowest_s=max((one.seconds for one in asked), default=0.0),
    )


def _laid(one: Asked, address: str, flags: str, by_address: dict[str, list[Life]]) -> Fault:
    if not address:
        return Fault(kind="unrouted", asked=one, flags=flags)
    until = one.at + one.seconds
    lives = [life for life in by_address.get(address, ()) if life.began <= until]
    if not lives:
        return Fault(kind="dead", asked=one, pod=address, since=one.seconds, flags=flags)
    last = max(lives, key=lambda life: life.began)
    if not last.ended or last.ended > until:
        began_late = last.began > one.at  # the address was given to another pod while the request was under way
        if not began_late:
            return Fault(kind="live", asked=one, pod=last.pod, flags=flags)
        last = max((life for life in lives if life is not last), key=lambda life: life.began, default=last)
    return Fault(kind="dead", asked=one, pod=last.pod, since=max(0.0, one.at - last.ended), flags=flags)
