"""Random schedules of Envoys and replicas, played from a list of choices. `play` raises Broken where a rule breaks."""

import random
from typing import Any

from crossmesh_xds.mesh import Kind

from tests.support.envoy_model import Broken, Envoy, Publisher, empty

REPLICAS, ENVOYS = 2, 5


class Play:
    """Two replicas of different age, five Envoys of two proxies. `server` is the pair of modules stream and fleet, or planted copies of them."""

    def __init__(self, seed: int, stream: Any, fleet: Any) -> None:
        self.rng = random.Random(seed)
        self.stream, self.publisher, self.now = stream, Publisher(self.rng), 0.0
        self.fleets = [fleet.Fleet(empty) for _ in range(REPLICAS)]
        self.at = [0] * REPLICAS
        for one in self.fleets:
            one.take(self.publisher.snapshots[0], 0.0)
        self.envoys = [Envoy(f"e{i}", "ab"[i % 2], self.publisher.bad, self.rng, lambda: self.publisher.snapshots) for i in range(ENVOYS)]
        self.streams = [""] * ENVOYS
        self.replica = [0] * ENVOYS
        self.count = 0
        for index in range(ENVOYS):
            self.join(index, index % REPLICAS)

    def join(self, index: int, replica: int) -> None:
        self.count += 1
        self.streams[index], self.replica[index] = f"s{self.count}", replica
        self.fleets[replica].join(self.streams[index], self.envoys[index].proxy, "1.40", self.envoys[index].ident)

    def deliver(self, sent: list[tuple[str, Any]]) -> None:
        for ident, response in sent:
            self.envoys[self.streams.index(ident)].inbox.append(response)

    def step(self, choice: int) -> None:
        """One thing happens."""
        what, index = choice % 16, (choice // 16) % ENVOYS
        envoy = self.envoys[index]
        self.now += 0.01
        if what < 6 and envoy.outbox:
            said = self.stream.Request(**envoy.outbox.popleft())
            self.deliver(self.fleets[self.replica[index]].request(self.streams[index], said, self.now))
        elif what < 12 and envoy.inbox:
            envoy.take()
        elif what == 12:
            self.publisher.change()
        elif what in (13, 14):
            replica = (choice // 16) % REPLICAS
            last = len(self.publisher.snapshots) - 1
            if self.at[replica] < last:
                self.at[replica] = self.rng.randint(self.at[replica] + 1, last)
                self.deliver(self.fleets[replica].take(self.publisher.snapshots[self.at[replica]], self.now))
        elif what == 15:
            self.reconnect(index, (choice // 80) % REPLICAS)

    def reconnect(self, index: int, replica: int) -> None:
        envoy = self.envoys[index]
        gone, self.streams[index] = self.streams[index], ""
        self.deliver(self.fleets[self.replica[index]].leave(gone, self.now))
        envoy.connect()
        if replica != self.replica[index]:
            envoy.strict = False  # a replica that never sent what this Envoy holds cannot know which clusters its routes name
        self.join(index, replica)

    def settle(self) -> None:
        """Everybody catches up; then every Envoy has what it should, but for what it refused."""
        last = len(self.publisher.snapshots) - 1
        for replica, fleet in enumerate(self.fleets):
            if self.at[replica] < last:
                self.at[replica] = last
                self.deliver(fleet.take(self.publisher.snapshots[last], self.now))
        for _ in range(3 * ENVOYS):
            self.exhaust()
            self.now += 11
            for envoy in self.envoys:
                sets = {name: self.publisher.snapshots[-1].endpoints.get(name) for name in envoy.warming}
                envoy.give_up({name for name, one in sets.items() if one is not None and one.hash in self.publisher.bad})
            for fleet in self.fleets:
                self.deliver(fleet.tick(self.now))
        self.exhaust()
        for index, envoy in enumerate(self.envoys):
            envoy.strict = envoy.strict or not self.publisher.bad
            envoy.check()
            self.judge(envoy, self.fleets[self.replica[index]], self.streams[index])

    def exhaust(self) -> None:
        for _ in range(2_000):
            busy = [index for index, envoy in enumerate(self.envoys) if envoy.outbox or envoy.inbox]
            if not busy:
                return
            for index in busy:
                self.step(index * 16)
                self.step(index * 16 + 6)
        raise Broken("no end: requests and responses for ever")

    def judge(self, envoy: Envoy, fleet: Any, ident: str) -> None:
        withheld = {mark for _, _, mark in fleet.members[ident].stream.refused} | {mark for _, mark in fleet.stopped}
        snapshot = self.publisher.snapshots[-1]
        goal = snapshot.proxies[envoy.proxy].contents
        if not envoy.held[Kind.CLUSTERS] and {one.hash for one in goal[Kind.CLUSTERS].resources.values()} <= withheld:
            return  # everything was refused by others: it does not start, rather than start with nothing
        for kind, content in goal.items():
            for name, one in content.resources.items():
                held = envoy.held[kind].get(name)
                excused = one.hash in withheld or any(goal[Kind.CLUSTERS].resources[used].hash in withheld for used in one.uses)
                if (held is None or held.hash != one.hash) and not excused:
                    raise Broken(f"{envoy.ident}: {kind.name} {name} is {held and held.hash}, not {one.hash}")
        refusals = bool(self.publisher.bad)
        extra = envoy.held[Kind.CLUSTERS].keys() - goal[Kind.CLUSTERS].resources.keys()
        if extra and not refusals:
            raise Broken(f"{envoy.ident}: clusters {sorted(extra)} stay for ever")
        for name in envoy.held[Kind.CLUSTERS]:
            found, wanted = envoy.held[Kind.ENDPOINTS].get(name), snapshot.endpoints.get(name)
            brought = fleet.members[ident].stream._types[Kind.ENDPOINTS].brought
            known = wanted or fleet._retained.get(name)
            if (known is not None and known.hash in withheld) or (known is None and name in brought):
                envoy.warming.discard(name)  # refused; or it came with the name of a set that this replica never knew, and may hold it or not
            elif found is None or (wanted is not None and found.hash != wanted.hash):
                raise Broken(f"{envoy.ident}: endpoints of {name} are {found and found.hash}")
        if envoy.warming:
            raise Broken(f"{envoy.ident}: {sorted(envoy.warming)} warm for ever")


def play(seed: int, choices: list[int], stream: Any, fleet: Any) -> None:
    """One schedule to its end."""
    found = Play(seed, stream, fleet)
    for choice in choices:
        found.step(choice)
    found.settle()
