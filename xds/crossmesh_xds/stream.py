"""One Envoy's stream as a pure state machine: it takes requests and what should be, and returns
responses.

The order (docs/decisions/0028): clusters, then endpoints of changed clusters, then listeners, then
routes. Routes and listeners wait for the clusters that they name. A cluster goes when nothing
accepted names it. What an Envoy refused is not sent again. Nothing older than what an Envoy holds
is ever sent.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from .mesh import Content, Kind, Resource, number_of
from .shared import Resources, Shared

_NOTHING: Resources = {}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What an Envoy said: it subscribes, accepts (`nonce`) or refuses (`error`)."""

    kind: Kind
    version: str = ""
    nonce: str = ""
    names: tuple[str, ...] = ()
    error: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What an Envoy is sent."""

    kind: Kind
    version: str
    nonce: str
    resources: tuple[Resource, ...]
    first: bool = False  # of its type on this stream: what an Envoy that comes is answered with


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An Envoy took none of these."""

    kind: Kind
    resources: tuple[Resource, ...]
    words: str


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What one stream should have, and what its fleet knows."""

    contents: Mapping[Kind, Content]
    endpoints: Resources
    endpoints_number: int
    retained: Resources  # endpoint sets that the snapshot no longer has, as last published
    empty: Callable[[str], Resource]  # an endpoint set without endpoints
    # Whether the fleet no longer sends the resource with this hash; None: it sends all
    stopped: Callable[[str], bool] | None
    good: Callable[[Kind], Resources]  # what Envoys of this proxy last accepted
    # What a version held, if this server sent it once
    recall: Callable[[Kind, str], Resources | None]
    shared: Shared


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    resources: Resources  # in this response
    whole: Resources  # what the Envoy holds once it accepts


class _Type:
    """One type's state on a stream."""

    __slots__ = (
        "accepted", "again", "asked", "blocked", "brought", "came", "first",
        "floor", "names", "nonce", "pending", "presented",
    )  # fmt: skip

    def __init__(self) -> None:
        self.asked = False
        self.first = True  # nothing was sent yet
        # The version that the Envoy came with, later the one that it accepted last
        self.presented = ""
        self.brought: frozenset[str] = frozenset()  # names that the Envoy came with, and may hold
        self.came = False  # whether the Envoy came with a version of ours
        self.floor = 0  # the highest number that the Envoy came with or was sent
        self.names: frozenset[str] = frozenset()
        self.accepted: Resources = _NOTHING
        self.pending: _Sent | None = None
        self.nonce = ""
        self.again: frozenset[str] = frozenset()  # names that are sent though they did not change
        self.blocked: set[str] = set()  # sets that were refused though nothing in them was new


class Stream:
    """Tell it what an Envoy said (`request`) or that something changed (`advance`). Both return
    what to send now.
    """

    def __init__(self) -> None:
        self._types = {kind: _Type() for kind in Kind}
        self._nonces = 0
        self.refused: set[tuple[Kind, str, str]] = set()  # kind, name, hash
        self.refusals: list[Refusal] = []  # for the caller to take
        self.unknown: set[str] = set()  # names asked for that were never known

    def request(self, said: Request, view: View) -> list[Response]:
        """What a request is answered with. One that speaks of an older response than the last is
        not answered.
        """
        state = self._types[said.kind]
        if not state.asked:
            self._first(state, said, view)
        elif said.nonce != state.nonce:
            return []
        elif state.pending is not None:
            self._judged(said, state, state.pending, view.shared)
        if said.kind in (Kind.ENDPOINTS, Kind.ROUTES):
            state.names = view.shared.names(said.names)
            if not state.accepted.keys() <= state.names:
                state.accepted = {name: found for name, found in state.accepted.items() if name in state.names}
        return self.advance(view)

    def advance(self, view: View) -> list[Response]:
        """What can be sent now. At most one response of a type is on its way."""
        if self.behind(view):
            return []
        found = []
        for kind in Kind:
            state = self._types[kind]
            if state.asked and state.pending is None and not self._waits(kind):
                response = self._next(kind, state, view)
                if response is not None:
                    found.append(response)
        return found

    def behind(self, view: View) -> bool:
        """Whether the Envoy came with, or was sent, something newer than what should be."""
        return any(state.asked and self._number(kind, view) < state.floor for kind, state in self._types.items())

    def floors(self) -> dict[Kind, int]:
        """The highest number of each type that this Envoy came with or was sent."""
        return {kind: state.floor for kind, state in self._types.items()}

    def accepted(self, kind: Kind) -> Resources:
        """What the Envoy holds, as far as it was seen."""
        return self._types[kind].accepted

    def held(self) -> Iterator[tuple[Kind, str, Resources]]:
        """What the Envoy may come back with: the versions that it accepted, or was sent and did not
        answer yet.
        """
        for kind, state in self._types.items():
            if kind is not Kind.ENDPOINTS and state.presented and state.accepted:
                yield kind, state.presented, state.accepted
            if kind is not Kind.ENDPOINTS and state.pending is not None:
                yield kind, state.pending.version, state.pending.whole

    def rests(self) -> bool:
        """Whether nothing is on its way."""
        return all(state.pending is None for state in self._types.values())

    def _first(self, state: _Type, said: Request, view: View) -> None:
        state.asked, state.presented, state.floor = True, said.version, number_of(said.version)
        state.came = state.floor > 0
        state.brought = view.shared.names(said.names) if state.came else frozenset()
        state.accepted = view.recall(said.kind, said.version) or _NOTHING

    def _judged(self, said: Request, state: _Type, sent: _Sent, shared: Shared) -> None:
        state.pending = None
        changed = shared.changed(state.accepted, sent.resources)
        # Those that are good were taken even out of a response that was refused
        if said.kind is Kind.CLUSTERS:
            self._types[Kind.ENDPOINTS].again |= {one.endpoints for one in changed.values() if one.endpoints}
        if not said.error:
            state.accepted, state.presented = sent.whole, sent.version
            return
        blamed = {name: one for name, one in changed.items() if _names(said.error, name)} or changed
        if said.kind is Kind.ENDPOINTS:  # those that are good are still waited for
            state.again |= sent.resources.keys() - blamed.keys()
        if not blamed:
            state.blocked.add(shared.mark(sent.whole))
        self.refused |= {(said.kind, name, one.hash) for name, one in blamed.items()}
        self.refusals.append(Refusal(kind=said.kind, resources=tuple(blamed.values()), words=said.error))

    def _waits(self, kind: Kind) -> bool:
        """Whether what must come before is still on its way."""
        clusters, listeners = self._types[Kind.CLUSTERS].pending, self._types[Kind.LISTENERS].pending
        return (kind in (Kind.LISTENERS, Kind.ROUTES) and clusters is not None) or (
            kind is Kind.ROUTES and listeners is not None
        )

    def _number(self, kind: Kind, view: View) -> int:
        return view.endpoints_number if kind is Kind.ENDPOINTS else view.contents[kind].number

    def _next(self, kind: Kind, state: _Type, view: View) -> Response | None:
        if kind is Kind.ENDPOINTS:
            return self._some(kind, state, self._endpoints(state, view), view)
        target = view.contents[kind].resources
        if kind is Kind.ROUTES:
            wanted = view.shared.part(target, state.names)
            return self._some(kind, state, self._chosen(kind, wanted, view), view)
        chosen = self._chosen(kind, target, view)
        if kind is Kind.CLUSTERS and not state.accepted.keys() <= target.keys():
            used = self._used(state)
            kept = {name: one for name, one in state.accepted.items() if name not in target and name in used}
            chosen = {**chosen, **kept} if kept else chosen
        if target and not chosen:
            # All of it waits or was refused: an empty answer would take away what nobody removed
            return None
        return self._all(kind, state, chosen, view)

    def _all(self, kind: Kind, state: _Type, chosen: Resources, view: View) -> Response | None:
        """The whole set, if the Envoy does not have it."""
        marked = view.shared.mark(chosen)
        if not state.first and (state.accepted is chosen or view.shared.mark(state.accepted) == marked):
            return None
        version = f"{self._number(kind, view)}.{marked}"
        if state.first and state.presented == version:
            state.first, state.accepted = False, chosen
            return None
        if marked in state.blocked:
            return None
        return self._send(kind, state, _Sent(version=version, resources=chosen, whole=chosen))

    def _some(self, kind: Kind, state: _Type, chosen: Resources, view: View) -> Response | None:
        """What changed of the set, and what is to be told again; all of it at first."""
        changed = chosen if state.first else view.shared.changed(state.accepted, chosen)
        again = state.again & state.names
        if again and not again <= changed.keys():
            changed = {name: one for name, one in chosen.items() if name in again or name in changed}
        if not changed:
            return None
        whole = view.shared.joined(state.accepted, chosen)
        marked = view.shared.mark(whole)
        if marked in state.blocked:
            return None
        state.again -= changed.keys()
        return self._send(
            kind, state, _Sent(version=f"{self._number(kind, view)}.{marked}", resources=changed, whole=whole)
        )

    def _send(self, kind: Kind, state: _Type, sent: _Sent) -> Response:
        self._nonces += 1
        first = state.first
        state.first, state.pending, state.nonce = False, sent, str(self._nonces)
        state.floor = max(state.floor, number_of(sent.version))
        return Response(
            kind=kind,
            version=sent.version,
            nonce=state.nonce,
            resources=tuple(sent.resources.values()),
            first=first,
        )

    def _endpoints(self, state: _Type, view: View) -> Resources:
        """Every set that is asked for. One that left stays as it was last published; one that
        nobody ever knew is empty.

        An Envoy that came with a version may hold endpoints of a set that this server never knew.
        It is told nothing about that set.
        """
        known = view.shared.part(view.endpoints, state.names)
        if len(known) == len(state.names) and not self.refused:
            return known
        chosen = {}
        for name in sorted(state.names):
            found = view.endpoints.get(name) or state.accepted.get(name) or view.retained.get(name)
            if found is None:
                self.unknown.add(name)
                if name in state.brought:
                    continue
                found = view.empty(name)
            if (Kind.ENDPOINTS, name, found.hash) not in self.refused:
                chosen[name] = found
        return chosen

    def _chosen(self, kind: Kind, target: Resources, view: View) -> Resources:
        """The target, with what was refused or must wait in the form that was accepted before, or
        left out.
        """
        if not self.refused and view.stopped is None and self._has(view.shared.uses(target)):
            return target
        if all(self._fits(kind, one, view) for one in target.values()):
            return target
        chosen = {}
        for name, one in target.items():
            before = self._types[kind].accepted.get(name), view.good(kind).get(name)
            found = next(
                (other for other in (one, *before) if other is not None and self._fits(kind, other, view)), before[0]
            )
            if found is not None:
                chosen[name] = found
        return chosen

    def _fits(self, kind: Kind, one: Resource, view: View) -> bool:
        if (kind, one.name, one.hash) in self.refused or (view.stopped is not None and view.stopped(one.hash)):
            return False
        return self._has(one.uses)

    def _has(self, used: frozenset[str]) -> bool:
        """Whether the Envoy accepted these clusters. One that asks for none of us has its own."""
        clusters = self._types[Kind.CLUSTERS]
        return not used or not clusters.asked or used <= clusters.accepted.keys()

    def _used(self, clusters: _Type) -> set[str]:
        """Clusters that a listener or route names which the Envoy holds, or may hold when it
        answers.

        An Envoy that came with clusters has routes, though it did not ask for them on this stream
        yet: it may use all of them.
        """
        if clusters.came and not self._types[Kind.ROUTES].asked:
            return set(clusters.accepted)
        found: set[str] = set()
        for kind in (Kind.LISTENERS, Kind.ROUTES):
            state = self._types[kind]
            for one in (*state.accepted.values(), *(state.pending.resources.values() if state.pending else ())):
                found |= one.uses
        return found

    def release(self, hashes: Iterable[str]) -> None:
        """Forget that these were refused."""
        lifted = set(hashes)
        self.refused = {one for one in self.refused if one[2] not in lifted}


def _names(text: str, name: str) -> bool:
    """Whether Envoy's words name a resource; `a` is not named by `a-b`."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", text) is not None
