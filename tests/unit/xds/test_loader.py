"""A look takes the whole of a newer snapshot or nothing; what it cannot use changes nothing, and unchanged parts are not read again."""

import asyncio
from typing import Any

import pytest
from crossmesh_xds import sources
from crossmesh_xds.loader import Found, Loader, follow
from crossmesh_xds.published import Unusable
from crossmesh_xds.sources import Unavailable
from crossmesh_xds.succession import Verdict

from tests.support.snapshots import Shelf, proxy

CLUSTER = {"name": "c", "type": "EDS"}
SETS = {"c": {"cluster_name": "c"}}


class Desk:
    """A source over a shelf; counts reads. `failing` objects cannot be had."""

    def __init__(self) -> None:
        self.shelf, self.read, self.failing = Shelf(), list[str](), set[str]()

    def pointer(self) -> dict[str, Any] | None:
        return dict(self.shelf.pointer) or None

    def object(self, digest: str) -> bytes:
        self.read.append(digest)
        if digest in self.failing:
            raise Unavailable("down")
        return self.shelf.objects[digest]


def look(loader: Loader, desk: Desk) -> Found:
    return asyncio.run(loader.look(desk))


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    found.shelf.publish(3, {"front": proxy(3, [CLUSTER])}, SETS)
    return found


def test_before_anything_was_published_there_is_nothing() -> None:
    assert look(Loader(), Desk()).snapshot is None


def test_a_newer_snapshot_is_taken_and_the_same_is_not_read_again(desk: Desk) -> None:
    loader = Loader()
    assert look(loader, desk).verdict is Verdict.NEXT
    assert len(desk.read) == 3
    assert look(loader, desk).verdict is Verdict.SAME
    assert len(desk.read) == 3


def test_a_pods_change_reads_one_part_and_the_root(desk: Desk) -> None:
    loader = Loader()
    look(loader, desk)
    desk.read.clear()
    desk.shelf.publish(4, {"front": proxy(3, [CLUSTER])}, {"c": {"cluster_name": "c", "endpoints": [{}]}})
    found = look(loader, desk)
    assert found.snapshot is not None
    assert found.snapshot.pointer.number == 4
    assert len(desk.read) == 2
    assert set(loader.objects) == set(desk.read) | set(loader.objects) - set(desk.read)
    assert len(loader.objects) == 3, "objects of the snapshot before are not kept"


def test_a_part_that_cannot_be_had_leaves_the_snapshot_before_in_force(desk: Desk) -> None:
    loader = Loader()
    before = look(loader, desk).snapshot
    desk.shelf.publish(4, {"front": proxy(3, [CLUSTER])}, {"c": {"cluster_name": "c", "endpoints": [{}]}})
    desk.failing = set(desk.shelf.objects)
    with pytest.raises(Unavailable):
        look(loader, desk)
    assert loader.snapshot is before
    desk.failing = set()
    assert look(loader, desk).verdict is Verdict.NEXT


@pytest.mark.parametrize("how", ["older", "foreign", "forged", "broken"])
def test_what_may_not_be_served_is_not(desk: Desk, how: str) -> None:
    loader = Loader()
    before = look(loader, desk).snapshot
    if how == "older":
        desk.shelf.publish(2, {}, {})
    elif how == "foreign":
        desk.shelf.publish(9, {}, {}, lineage="2b" * 16)
    elif how == "forged":
        desk.shelf.publish(4, {}, {})
        root = desk.shelf.pointer["root"]
        desk.shelf.objects[root] = desk.shelf.objects[desk.shelf.put({"format": 1, "number": 4})]
    else:
        desk.shelf.publish(4, {"front": proxy(4, [{"name": "c", "typo": 1}])}, {})
    if how in ("older", "foreign"):
        assert look(loader, desk).verdict is Verdict(how)
    else:
        with pytest.raises(Unusable):
            look(loader, desk)
    assert loader.snapshot is before


def test_a_lineage_that_a_person_named_is_taken(desk: Desk) -> None:
    loader = Loader(adopted="2b" * 16)
    assert look(loader, desk).verdict is Verdict.FOREIGN, "a server that is told which lineage takes no other"
    desk.shelf.publish(9, {}, {}, lineage="2b" * 16)
    assert look(loader, desk).verdict is Verdict.NEXT


def test_a_proxy_in_two_parts_is_refused(desk: Desk) -> None:
    other = desk.shelf.put({"format": 1, "proxies": {"front": proxy(4)}})
    desk.shelf.publish(4, {"front": proxy(3, [CLUSTER])}, SETS)
    first = desk.shelf.put({"format": 1, "proxies": {"front": proxy(3, [CLUSTER])}})
    desk.shelf.publish(4, {}, SETS, proxies=[first, other])
    with pytest.raises(Unusable, match="front is in two parts"):
        look(Loader(), desk)


def test_following_goes_on_after_failures_until_it_is_ended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossmesh_xds.loader.POLL_S", 0.001)
    monkeypatch.setattr("crossmesh_xds.loader.SLOWEST_S", 0.002)
    desk.failing = set(desk.shelf.objects)
    told: list[Any] = []

    async def play() -> list[Any]:
        ended, taken = asyncio.Event(), []

        def heard(found: Any) -> None:
            told.append(found)
            if len(told) == 3:
                desk.failing = set()
            if taken:
                ended.set()

        await asyncio.wait_for(follow(Loader(), desk, taken.append, heard, ended), 10)
        return taken

    (snapshot,) = asyncio.run(play())
    assert snapshot.pointer.number == 3
    assert [type(one) for one in told[:3]] == [Unavailable] * 3


def test_a_folder_that_is_empty_or_broken_is_told_apart(tmp_path: Any) -> None:
    folder = sources.Folder(tmp_path)
    assert folder.pointer() is None
    (tmp_path / "pointer.json").write_text("[")
    with pytest.raises(Unusable):
        folder.pointer()
    with pytest.raises(Unavailable):
        folder.object("0" * 64)
