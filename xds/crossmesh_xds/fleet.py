"""All streams of one server, pure: which content each should have, the step-by-step roll-out, and
what Envoys refused.

Changes of clusters, listeners and routes go to one Envoy of a proxy first. The others follow when
it has accepted all of it. What two Envoys of the same minor version refused, or the only one, goes
to no further Envoy of that version. Endpoints go to all at once.
"""

from collections.abc import Callable, Mapping

import msgspec

from .mesh import Content, Kind, Proxy, Resource, Snapshot
from .shared import Resources, Shared
from .stream import Refusal, Request, Response, Stream, View

LEADER_S = 10.0  # an Envoy that does not answer for so long is not waited for
STOPPED_AFTER = 2  # refusals
REMEMBERED = 8  # versions of each type and proxy

Key = tuple[str, str]  # proxy, Envoy's minor version
Sent = list[tuple[str, Response]]  # stream, response


class Member(msgspec.Struct, kw_only=True):
    """A stream, whose it is, and which Envoy is behind it."""

    ident: str
    proxy: str
    minor: str
    instance: str
    stream: Stream
    behind_since: float | None = None

    @property
    def key(self) -> Key:
        """Among whom a roll-out goes step by step."""
        return self.proxy, self.minor


class Trial(msgspec.Struct, kw_only=True):
    """A change that one Envoy tries for the others."""

    goal: Proxy
    leader: str
    since: float
    tried: set[str]


class NotServed(LookupError):
    """The proxy is in no snapshot, or there is none yet."""


class Fleet:
    """The caller sends what the methods return, in that order, and takes `refusals`."""

    def __init__(self, empty: Callable[[str], Resource]) -> None:
        self.snapshot: Snapshot | None = None
        self.members: dict[str, Member] = {}
        self._by_key: dict[Key, dict[str, Member]] = {}
        self.stopped: set[tuple[str, str]] = set()  # minor version, hash
        # Proxy, instance; for the caller to take
        self.refusals: list[tuple[str, str, Refusal]] = []
        self._refusers: dict[tuple[str, str], set[str]] = {}
        self._settled: dict[Key, Proxy] = {}
        self._trials: dict[Key, Trial] = {}
        self._good: dict[tuple[Key, Kind], Resources] = {}
        self._history: dict[tuple[str, Kind], dict[str, Resources]] = {}
        self._retained: dict[str, Resource] = {}
        self._released: frozenset[str] = frozenset()
        self._empty = empty
        self._shared = Shared()

    def join(self, ident: str, proxy: str, minor: str, instance: str) -> None:
        """A new stream. Raises NotServed: an unknown proxy is never answered with nothing."""
        if self.snapshot is None or proxy not in self.snapshot.proxies:
            raise NotServed(proxy)
        member = Member(ident=ident, proxy=proxy, minor=minor, instance=instance, stream=Stream())
        self.members[ident] = member
        self._by_key.setdefault(member.key, {})[ident] = member

    def leave(self, ident: str, now: float) -> Sent:
        """A stream ended. If it tried a change for others, another one does."""
        member = self.members.pop(ident, None)
        if member is None:
            return []
        del self._by_key[member.key][ident]
        for kind, version, resources in member.stream.held():
            self._remember(member.proxy, kind, version, resources)
        rest = self._of(member.key)
        if not rest:
            del self._by_key[member.key]
            for held in (self._settled, self._trials):
                held.pop(member.key, None)
            return []
        trial = self._trials.get(member.key)
        return self._pass_on(member.key, trial, now) if trial is not None and trial.leader == ident else []

    def request(self, ident: str, said: Request, now: float) -> Sent:
        """What an Envoy said, and all that follows from it."""
        member = self.members[ident]
        before = member.stream.accepted(said.kind)
        sent = self._sent(member, member.stream.request(said, self._view(member, now)), now)
        if said.kind is not Kind.ENDPOINTS and member.stream.accepted(said.kind) is not before:
            self._good[member.key, said.kind] = member.stream.accepted(said.kind)
        refusals, member.stream.refusals = member.stream.refusals, []
        for refusal in refusals:
            self.refusals.append((member.proxy, member.instance, refusal))
            for one in refusal.resources if refusal.kind is not Kind.ENDPOINTS else ():
                self._refused(member, one.hash)
        return sent + self._judge_trial(member, now)

    def take(self, snapshot: Snapshot, now: float) -> Sent:
        """A new snapshot. That it follows the one before is the caller's to know."""
        if self.snapshot is not None:
            left = {name: one for name, one in self.snapshot.endpoints.items() if name not in snapshot.endpoints}
            self._retained = {
                name: one for name, one in (self._retained | left).items() if name not in snapshot.endpoints
            }
        self.snapshot = snapshot
        self._shared.forget()
        lifted = snapshot.released - self._released
        self._released = snapshot.released
        self.stopped = {one for one in self.stopped if one[1] not in lifted}
        self._refusers = {one: who for one, who in self._refusers.items() if one[1] not in lifted}
        for member in self.members.values():
            member.stream.release(lifted)
        return [one for member in list(self.members.values()) for one in self._advance(member, now)]

    def tick(self, now: float) -> Sent:
        """Time passed: changes whose first Envoy does not answer go to another one."""
        late = [(key, trial) for key, trial in self._trials.items() if now - trial.since > LEADER_S]
        return [one for key, trial in late for one in self._pass_on(key, trial, now)]

    def behind(self, now: float, seconds: float) -> list[str]:
        """Streams that came with something newer than this server has, and have waited so long for
        it.
        """
        return [
            one.ident
            for one in self.members.values()
            if one.behind_since is not None and now - one.behind_since > seconds
        ]

    def _advance(self, member: Member, now: float) -> Sent:
        return self._sent(member, member.stream.advance(self._view(member, now)), now)

    def _sent(self, member: Member, responses: list[Response], now: float) -> Sent:
        if not member.stream.behind(self._view(member, now)):
            member.behind_since = None
        elif member.behind_since is None:
            member.behind_since = now
        return [(member.ident, response) for response in responses]

    def _view(self, member: Member, now: float) -> View:
        assert self.snapshot is not None
        return View(
            contents=self._contents(member, now),
            endpoints=self.snapshot.endpoints,
            endpoints_number=self.snapshot.endpoints_number,
            retained=self._retained,
            empty=self._empty,
            stopped=(lambda mark: (member.minor, mark) in self.stopped) if self.stopped else None,
            good=lambda kind: self._good.get((member.key, kind), {}),
            recall=lambda kind, version: self._history.get((member.proxy, kind), {}).get(version),
            shared=self._shared,
        )

    def _contents(self, member: Member, now: float) -> Mapping[Kind, Content]:
        """The new content for the first Envoy of a proxy, and for one that already has some of it;
        for the others what is settled.
        """
        assert self.snapshot is not None
        key, settled = member.key, self._settled.get(member.key)
        new = self.snapshot.proxies.get(member.proxy, settled)
        assert new is not None
        if settled is None or settled is new or settled.numbers == new.numbers:
            self._settled[key] = new
            self._trials.pop(key, None)
            return new.contents
        trial = self._trials.get(key)
        if trial is None or trial.goal.numbers != new.numbers:
            trial = self._trials[key] = Trial(goal=new, leader=self._of(key)[0].ident, since=now, tried=set())
        floors = member.stream.floors()
        ahead = any(floors[kind] > settled.contents[kind].number for kind in settled.contents)
        return (
            new.contents if ahead or member.ident == trial.leader or member.ident in trial.tried else settled.contents
        )

    def _judge_trial(self, member: Member, now: float) -> Sent:
        trial = self._trials.get(member.key)
        if trial is None or trial.leader != member.ident or not member.stream.rests():
            return []
        goal = {
            (kind, one.name, one.hash)
            for kind, content in trial.goal.contents.items()
            for one in content.resources.values()
        }
        open_ = {one for one in goal & member.stream.refused if (member.minor, one[2]) not in self.stopped}
        return self._pass_on(member.key, trial, now) if open_ else self._settle(member.key, trial, now)

    def _pass_on(self, key: Key, trial: Trial, now: float) -> Sent:
        """The next Envoy tries the change; if all have, it is settled: what they refused was
        stopped by then.
        """
        trial.tried.add(trial.leader)
        following = [member for member in self._of(key) if member.ident not in trial.tried]
        if not following:
            return self._settle(key, trial, now)
        trial.leader, trial.since = following[0].ident, now
        return self._advance(following[0], now)

    def _settle(self, key: Key, trial: Trial, now: float) -> Sent:
        self._settled[key] = trial.goal
        self._trials.pop(key, None)
        return [one for member in self._of(key) for one in self._advance(member, now)]

    def _refused(self, member: Member, mark: str) -> None:
        refusers = self._refusers.setdefault((member.minor, mark), set())
        refusers.add(member.instance)
        if len(refusers) >= STOPPED_AFTER or {one.instance for one in self._of(member.key)} <= refusers:
            self.stopped.add((member.minor, mark))

    def _remember(self, proxy: str, kind: Kind, version: str, resources: Resources) -> None:
        versions = self._history.setdefault((proxy, kind), {})
        versions.pop(version, None)
        versions[version] = resources
        while len(versions) > REMEMBERED:
            del versions[next(iter(versions))]

    def _of(self, key: Key) -> list[Member]:
        return list(self._by_key.get(key, {}).values())
