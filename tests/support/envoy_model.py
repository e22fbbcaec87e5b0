"""Envoys and replicas in one process: what an Envoy does with responses, and what must hold of it whatever happens and in whatever order.

An Envoy keeps clusters, listeners, routes and endpoints. A cluster that is new or changed warms until its endpoints come after it. A response with
a resource that it cannot take is refused whole, in words that may name the resource or not.
"""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from crossmesh_xds.mesh import Content, Kind, Proxy, Resource, Snapshot, number_of
from crossmesh_xds.published import Pointer

C, E, L, R = Kind.CLUSTERS, Kind.ENDPOINTS, Kind.LISTENERS, Kind.ROUTES


class Broken(AssertionError):
    """What must never happen, happened."""


def empty(name: str) -> Resource:
    return Resource(name=name, hash="empty")


class Publisher:
    """Makes snapshots that follow one another: a few clusters, a listener with routes, endpoint sets; `bad` contents are refused by Envoys."""

    def __init__(self, rng: random.Random, proxies: tuple[str, ...] = ("a", "b")) -> None:
        self.rng, self.names = rng, proxies
        self.snapshots: list[Snapshot] = []
        self.bad: set[str] = set()
        self._count = 0
        self._clusters = {name: {"c0": "0"} for name in proxies}
        self._sets = {"c0": "0"}
        self.publish()

    def change(self) -> None:
        """One random change of what is declared, or of the pods."""
        name = self.rng.choice(self.names)
        clusters, what = self._clusters[name], self.rng.random()
        self._count += 1
        pick = f"c{self.rng.randrange(4)}"
        if what < 0.3:
            name = self.rng.choice(sorted(self._sets))
            self._sets[name] = f"e{self._count}"
            if self.rng.random() < 0.15:
                self.bad.add(f"{name}:e{self._count}")
        elif what < 0.55:
            clusters[pick] = f"v{self._count}"
            self._sets.setdefault(pick, f"e{self._count}")
            if self.rng.random() < 0.25:
                self.bad.add(f"{pick}:v{self._count}")
        elif what < 0.8 and len(clusters) > 1:
            del clusters[self.rng.choice(sorted(clusters))]
        else:
            self._sets = {name: found for name, found in self._sets.items() if any(name in held for held in self._clusters.values())}
        self.publish()

    def publish(self) -> None:
        last = self.snapshots[-1] if self.snapshots else None
        number = (last.pointer.number if last else 0) + 1
        endpoints = {name: Resource(name=name, hash=f"{name}:{mark}") for name, mark in self._sets.items()}
        changed = last is None or endpoints != last.endpoints
        self.snapshots.append(
            Snapshot(
                pointer=Pointer(lineage="1a" * 16, epoch=1, number=number, root="0" * 64),
                proxies={name: self._proxy(name, number, last) for name in self.names},
                endpoints=endpoints,
                endpoints_number=number if changed or last is None else last.endpoints_number,
            )
        )

    def _proxy(self, name: str, number: int, last: Snapshot | None) -> Proxy:
        held = self._clusters[name]
        clusters = {one: Resource(name=one, hash=f"{one}:{mark}", endpoints=one) for one, mark in held.items()}
        uses = frozenset(held)
        mark = "+".join(sorted(held))
        routes = {"r": Resource(name="r", hash=f"r:{name}:{mark}", uses=uses)}
        listeners = {"l": Resource(name="l", hash=f"l:{name}")}
        contents = {}
        for kind, found in ((C, clusters), (L, listeners), (R, routes)):
            before = last.proxies[name].contents[kind] if last else None
            contents[kind] = before if before and before.resources == found else Content(number=number, resources=found)
        return Proxy(allowed=(), contents=contents)


class Envoy:
    """One Envoy process. It lives through many streams."""

    def __init__(self, ident: str, proxy: str, bad: set[str], rng: random.Random, published: Callable[[], list[Snapshot]]) -> None:
        self.ident, self.proxy, self.bad, self.rng, self.published = ident, proxy, bad, rng, published
        self.held: dict[Kind, dict[str, Resource]] = {kind: {} for kind in Kind}
        self.version = dict.fromkeys(Kind, "")
        self.highest = dict.fromkeys(Kind, 0)
        self.warming: set[str] = set()
        self.refused: dict[str, int] = {}
        self.strict = True
        self.connect()

    def connect(self) -> None:
        """A new stream: everything is asked for anew, with the versions that it has. Refusals are forgotten by the server."""
        self.inbox: deque[Any] = deque()
        self.outbox: deque[dict[str, Any]] = deque()
        self.nonce = dict.fromkeys(Kind, "")
        self.asked: dict[Kind, tuple[str, ...]] = {}
        self.refused = {}
        self.highest = {kind: number_of(version) for kind, version in self.version.items()}  # what it refused does not bind it
        self._ask(C)
        if self.version[C]:
            for kind in (E, L, R):
                if kind is L or self._names(kind):
                    self._ask(kind)

    def take(self) -> None:
        """The next response."""
        response = self.inbox.popleft()
        kind = response.kind
        if number_of(response.version) < self.highest[kind]:
            raise Broken(f"{self.ident}: {kind.name} goes back from {self.highest[kind]} to {response.version}")
        self.highest[kind] = number_of(response.version)
        self.nonce[kind] = response.nonce
        wrong = [one for one in response.resources if one.hash in self.bad]
        for one in wrong:
            self.refused[one.hash] = self.refused.get(one.hash, 0) + 1
            if self.refused[one.hash] > 1:
                raise Broken(f"{self.ident}: {one.hash} again after its refusal")
        if wrong:
            named = self.rng.random() < 0.5
            if kind is E:  # Envoy starts without them
                self.warming -= {one.name for one in (wrong if named else response.resources)}
            words = f"Error adding/updating cluster(s) {', '.join(f'{one.name}: no' for one in wrong)}"
            self._ask(kind, error=words if named else "Proto constraint validation failed")
            self._follow()
            return
        self._apply(kind, {one.name: one for one in response.resources})
        self.version[kind] = response.version
        self._ask(kind)
        self._follow()
        self.check()

    def _apply(self, kind: Kind, found: dict[str, Resource]) -> None:
        held = self.held[kind]
        if kind is C:
            self.warming = {name for name in self.warming if name in found}
            self.warming |= {name for name, one in found.items() if name not in held or held[name].hash != one.hash}
        if kind is E:
            for name, one in found.items():
                if one.hash == "empty" and name in held and held[name].hash != "empty":
                    known = any(name in snapshot.endpoints for snapshot in self.published())
                    raise Broken(f"{self.ident}: {name} emptied, though {known}")
            self.warming -= found.keys()
        self.held[kind] = found if kind in (C, L) else {**held, **found}

    def _follow(self) -> None:
        """Subscriptions follow clusters and listeners; what is no longer asked for is forgotten."""
        for kind in (E, R):
            names = self._names(kind)
            self.held[kind] = {name: one for name, one in self.held[kind].items() if name in names}
            if self.asked.get(kind, ()) != names:
                self._ask(kind)
        if L not in self.asked and not self.warming:
            self._ask(L)

    def _names(self, kind: Kind) -> tuple[str, ...]:
        if kind is E:
            return tuple(sorted(one.endpoints for one in self.held[C].values()))
        return ("r",) if kind is R and self.held[L] else ()

    def _ask(self, kind: Kind, error: str = "") -> None:
        names = self._names(kind)
        self.asked[kind] = names
        self.outbox.append({"kind": kind, "version": self.version[kind], "nonce": self.nonce[kind], "names": names, "error": error})

    def give_up(self, names: set[str]) -> None:
        """The first fetch of these endpoint sets timed out: Envoy goes on without them."""
        self.warming -= names
        self._follow()

    def check(self) -> None:
        """No route names a cluster that is not there."""
        missing = {name for kind in (L, R) for one in self.held[kind].values() for name in one.uses} - self.held[C].keys()
        if missing and self.strict:
            raise Broken(f"{self.ident}: routes name {sorted(missing)}, which it does not have")
