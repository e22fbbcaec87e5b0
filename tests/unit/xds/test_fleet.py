"""Changes go to one Envoy of a proxy first, stop where two of a minor version refuse them, and endpoints go to all at once."""

import msgspec
import pytest
from crossmesh_xds.fleet import LEADER_S, Fleet, NotServed
from crossmesh_xds.mesh import Content, Kind, Proxy, Resource, Snapshot
from crossmesh_xds.stream import Request, Response

from tests.support.one_snapshot import snapshot

C, E, L, R = Kind.CLUSTERS, Kind.ENDPOINTS, Kind.LISTENERS, Kind.ROUTES


class Desk:
    """A fleet, and Envoys that answer when they are told to."""

    def __init__(self, first: Snapshot) -> None:
        self.fleet = Fleet(lambda name: Resource(name=name, hash="empty"))
        self.fleet.take(first, 0.0)
        self.inbox: dict[str, list[Response]] = {}
        self.now = 1.0

    def deliver(self, sent: list[tuple[str, Response]]) -> None:
        for ident, response in sent:
            self.inbox[ident].append(response)

    def say(self, ident: str, kind: Kind, version: str = "", nonce: str = "", error: str = "", names: tuple[str, ...] = ()) -> None:
        asked = names or {E: ("c",), R: ("r",)}.get(kind, ())
        self.deliver(self.fleet.request(ident, Request(kind=kind, version=version, nonce=nonce, names=asked, error=error), self.now))

    def join(self, ident: str, minor: str = "1.40", proxy: str = "a") -> None:
        self.inbox[ident] = []
        self.fleet.join(ident, proxy, minor, ident)
        for kind in Kind:
            self.say(ident, kind)
            self.answer(ident)

    def answer(self, ident: str, error: str = "") -> None:
        """To everything that came."""
        for response in self.inbox[ident]:
            self.inbox[ident] = self.inbox[ident][1:]
            self.say(ident, response.kind, response.version, response.nonce, error)

    def take(self, new: Snapshot) -> None:
        self.deliver(self.fleet.take(new, self.now))

    def waiting(self) -> dict[str, list[str]]:
        """What came, by stream."""
        return {ident: [one.hash for response in found for one in response.resources] for ident, found in self.inbox.items() if found}


@pytest.fixture
def desk() -> Desk:
    found = Desk(snapshot(1))
    for ident in ("x", "y", "z"):
        found.join(ident)
    assert found.waiting() == {}
    return found


def test_an_unknown_proxy_is_refused_and_so_is_everyone_before_the_first_snapshot(desk: Desk) -> None:
    with pytest.raises(NotServed):
        desk.fleet.join("q", "b", "1.40", "q")
    with pytest.raises(NotServed):
        Fleet(lambda name: Resource(name=name, hash="empty")).join("q", "a", "1.40", "q")


def test_one_envoy_goes_first_and_the_others_follow_when_it_has_accepted(desk: Desk) -> None:
    desk.take(snapshot(2, "2"))
    assert desk.waiting() == {"x": ["c2"]}
    desk.answer("x")
    assert desk.waiting() == {"x": ["e1"], "y": ["c2"], "z": ["c2"]} or desk.waiting()["x"] == ["e1"]
    for _ in range(3):
        for ident in ("x", "y", "z"):
            desk.answer(ident)
    assert {desk.fleet.members[one].stream.accepted(C)["c"].hash for one in "xyz"} == {"c2"}


def test_endpoints_go_to_all_at_once(desk: Desk) -> None:
    desk.take(snapshot(2, at=1, ends="2"))
    assert desk.waiting() == {"x": ["e2"], "y": ["e2"], "z": ["e2"]}


def test_two_refusals_stop_it_for_their_minor_version_alone(desk: Desk) -> None:
    desk.join("old", minor="1.38")
    desk.take(snapshot(2, "2"))
    assert desk.waiting() == {"x": ["c2"], "old": ["c2"]}
    desk.answer("x", error="Error adding/updating cluster(s) c: no")
    desk.answer("x")  # endpoints of the cluster, which may have been taken in spite of it
    assert desk.waiting()["y"] == ["c2"]
    assert "z" not in desk.waiting()
    desk.answer("y", error="Error adding/updating cluster(s) c: no")
    desk.answer("y")
    for _ in range(2):
        desk.answer("old")
    assert "c2" not in desk.waiting().get("z", [])
    assert desk.fleet.stopped == {("1.40", "c2")}
    assert desk.fleet.members["old"].stream.accepted(C)["c"].hash == "c2"
    desk.join("w")
    assert desk.fleet.members["w"].stream.accepted(C)["c"].hash == "c1", "a new Envoy gets what the others hold"
    desk.join("w8", minor="1.38")
    assert desk.fleet.members["w8"].stream.accepted(C)["c"].hash == "c2"
    assert [(instance, refusal.words) for _, instance, refusal in desk.fleet.refusals] == [
        (one, "Error adding/updating cluster(s) c: no") for one in ("x", "y")
    ]


def test_the_only_envoy_stops_it_alone_and_is_not_asked_again_when_it_comes_back() -> None:
    desk = Desk(snapshot(1))
    desk.join("x")
    desk.take(snapshot(2, "2"))
    desk.answer("x", error="no")
    assert desk.fleet.stopped == {("1.40", "c2")}
    desk.fleet.leave("x", desk.now)
    desk.join("x2")
    assert desk.fleet.members["x2"].stream.accepted(C)["c"].hash == "c1"


def test_a_release_sends_it_again_once(desk: Desk) -> None:
    desk.take(snapshot(2, "2"))
    for ident in ("x", "y"):
        desk.answer(ident, error="no")
        desk.answer(ident)
    desk.answer("z")
    assert desk.fleet.stopped
    desk.take(snapshot(3, "2", at=2, released=["c2"]))
    assert desk.waiting()["x"] == ["c2"]
    for ident in ("x", "y", "z"):
        desk.answer(ident, error="no")
        desk.answer(ident)
    assert desk.fleet.stopped == {("1.40", "c2")}
    desk.take(snapshot(4, "2", at=2, released=["c2"]))
    assert "c2" not in [mark for found in desk.waiting().values() for mark in found], "the release was used up"


def test_a_first_envoy_that_leaves_or_says_nothing_is_replaced(desk: Desk) -> None:
    desk.take(snapshot(2, "2"))
    desk.inbox["x"] = []
    desk.deliver(desk.fleet.leave("x", desk.now))
    assert desk.waiting() == {"y": ["c2"]}
    desk.deliver(desk.fleet.tick(desk.now + LEADER_S - 1))
    assert desk.waiting() == {"y": ["c2"]}
    desk.deliver(desk.fleet.tick(desk.now + LEADER_S + 1))
    assert desk.waiting() == {"y": ["c2"], "z": ["c2"]}


def test_an_envoy_that_holds_something_newer_gets_nothing_until_the_replica_has_it() -> None:
    desk = Desk(snapshot(5))
    desk.inbox["x"] = []
    desk.fleet.join("x", "a", "1.40", "x")
    desk.say("x", C, version="7.0123456789abcdef")
    assert desk.waiting() == {}
    assert desk.fleet.behind(desk.now + 9, 10) == []
    assert desk.fleet.behind(desk.now + 11, 10) == ["x"]
    desk.take(snapshot(7, "7"))
    assert desk.waiting() == {"x": ["c7"]}
    assert desk.fleet.behind(desk.now + 99, 10) == []


def test_the_same_content_is_not_sent_again_to_an_envoy_that_comes_back(desk: Desk) -> None:
    versions = {kind: next(iter(found)) for kind in (C, L) if (found := desk.fleet._history.get(("a", kind), {"": {}}))}
    assert versions == {C: "", L: ""}, "nobody left yet"
    desk.fleet.leave("x", desk.now)
    (known,) = desk.fleet._history["a", C]
    desk.inbox["x2"] = []
    desk.fleet.join("x2", "a", "1.40", "x")
    desk.say("x2", C, version=known)
    assert desk.waiting() == {}
    desk.say("x2", E, version="1.0", names=("c",))
    assert desk.waiting() == {"x2": ["e1"]}, "endpoints are always told"


def test_a_set_that_nobody_knows_is_empty_and_counted(desk: Desk) -> None:
    desk.say("x", E, nonce=desk.fleet.members["x"].stream._types[E].nonce, names=("c", "never"))
    assert desk.waiting() == {"x": ["empty"]}
    assert desk.fleet.members["x"].stream.unknown == {"never"}


def test_a_set_that_this_server_never_knew_is_left_alone_on_an_envoy_that_brings_it() -> None:
    desk = Desk(snapshot(5))
    desk.inbox["x"] = []
    desk.fleet.join("x", "a", "1.40", "x")
    desk.say("x", E, version="4.0123456789abcdef", names=("c", "elsewhere"))
    assert desk.waiting() == {"x": ["e1"]}
    desk.answer("x")
    desk.say("x", E, nonce=desk.fleet.members["x"].stream._types[E].nonce, names=("c", "elsewhere", "new"))
    assert desk.waiting() == {"x": ["empty"]}, "a name that it did not bring has no endpoints that could be lost"


def test_a_set_that_left_stays_as_it_was_for_an_envoy_that_asks_anew(desk: Desk) -> None:
    desk.take(msgspec.structs.replace(snapshot(2, at=1), endpoints={}))
    desk.join("new")
    assert desk.fleet.members["new"].stream.accepted(E)["c"].hash == "e1"
    assert desk.fleet.members["x"].stream.accepted(E)["c"].hash == "e1"


def test_a_set_of_nothing_is_never_sent_where_something_is_declared() -> None:
    desk = Desk(snapshot(1))
    desk.inbox["x"] = []
    desk.fleet.join("x", "a", "1.40", "x")
    desk.say("x", C)
    desk.answer("x", error="no")
    assert desk.waiting() == {}, "all of it was refused: an empty answer would take away everything"


@pytest.mark.parametrize("kind", [C, L])
def test_an_envoy_that_gets_nothing_of_a_kind_is_told_so_once(kind: Kind) -> None:
    """Without a first answer Envoy would wait for its initial fetch to time out."""
    found = snapshot(1)
    contents = {**found.proxies["a"].contents, kind: Content(number=1, resources={})}
    desk = Desk(msgspec.structs.replace(found, proxies={"a": Proxy(allowed=(), contents=contents)}))
    desk.inbox["e"] = []
    desk.fleet.join("e", "a", "1.40", "e")
    desk.say("e", kind)
    (told,) = desk.inbox["e"]
    assert (told.kind, told.resources) == (kind, ())
    desk.answer("e")
    assert desk.inbox["e"] == []
