"""What is read is taken only if it is what was published: digests, formats, bounds, and a root that says what its pointer says."""

import gzip
from typing import Any

import pytest
from crossmesh_xds import published
from crossmesh_xds.published import Pointer, Unusable

from tests.support.snapshots import LINEAGE, Shelf, proxy


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def read(shelf: Shelf) -> published.Root:
    pointer = published.read_pointer(shelf.pointer)
    return published.read_root(pointer, shelf.objects[pointer.root])


def test_a_snapshot_is_read_as_it_was_published(shelf: Shelf) -> None:
    shelf.publish(
        7,
        {"front": proxy(3)},
        {"shop/front/8080": {"cluster_name": "shop/front/8080"}},
        left=[{"endpoints": "a", "address": "b", "reason": "c"}],
    )
    root = read(shelf)
    assert (root.number, root.endpoints.number, root.left[0].reason) == (7, 7, "c")
    found = published.read_proxies(root, root.proxies[0], shelf.objects[root.proxies[0]])
    assert found["front"].clusters.number == 3
    assert found["front"].allowed[0].namespaces == ("shop",)
    (part,) = root.endpoints.parts
    assert set(published.read_endpoints(part, shelf.objects[part])) == {"shop/front/8080"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"lineage": "x"},
        {"lineage": None},
        {"number": 0},
        {"number": "3"},
        {"number": True},
        {"epoch": -1},
        {"root": "../secret"},
        {"root": "A" * 64},
    ],
    ids=str,
)
def test_a_pointer_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    good = {"lineage": LINEAGE, "epoch": 0, "number": 1, "root": "0" * 64}
    published.read_pointer(good)
    with pytest.raises(Unusable):
        published.read_pointer(good | wrong)


def test_an_object_that_is_not_what_its_name_says_is_refused(shelf: Shelf) -> None:
    one, other = shelf.put({"format": 1}), shelf.put({"format": 1, "x": 1})
    with pytest.raises(Unusable, match="digest"):
        published.opened(one, shelf.objects[other])
    with pytest.raises(Unusable, match="cut"):
        published.opened(one, shelf.objects[one][:-4])
    with pytest.raises(Unusable):
        published.opened(one, b"not gzip")


def test_an_object_that_swells_is_refused_before_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "OBJECT_LIMIT", 1_000)
    data = b" " * 100_000
    with pytest.raises(Unusable, match="more than 1000 bytes of JSON"):
        published.opened(published.digest_of(data), gzip.compress(data))
    monkeypatch.setattr(published, "STORED_LIMIT", 10)
    with pytest.raises(Unusable, match="stored"):
        published.opened("0" * 64, b"x" * 11)


@pytest.mark.parametrize("more", [{"lineage": "2b" * 16}, {"epoch": 2}, {"number": 8}], ids=str)
def test_a_root_that_contradicts_its_pointer_is_refused(shelf: Shelf, more: dict[str, Any]) -> None:
    shelf.publish(7, {}, {})
    pointer = published.read_pointer(shelf.pointer)
    other = Shelf()
    other.publish(7, {}, {}, **more)
    forged = Pointer(lineage=pointer.lineage, epoch=pointer.epoch, number=pointer.number, root=other.pointer["root"])
    with pytest.raises(Unusable, match="but the pointer says"):
        published.read_root(forged, other.objects[forged.root])


def test_a_format_of_tomorrow_is_refused_by_its_number(shelf: Shelf) -> None:
    shelf.publish(7, {}, {}, format=2)
    with pytest.raises(Unusable, match="format 2; this server reads 1"):
        read(shelf)


@pytest.mark.parametrize(
    "more", [{"endpoints_number": 8}, {"proxies": ["0" * 64, "0" * 64]}, {"proxies": ["../x"]}, {"left": [{"address": "b"}]}], ids=str
)
def test_a_root_that_cannot_be_is_refused(shelf: Shelf, more: dict[str, Any]) -> None:
    shelf.publish(7, {}, {}, **more)
    with pytest.raises(Unusable):
        read(shelf)


def test_content_from_a_later_number_is_refused(shelf: Shelf) -> None:
    shelf.publish(7, {"front": proxy(8)}, {})
    root = read(shelf)
    with pytest.raises(Unusable, match="front has content of number 8 in snapshot 7"):
        published.read_proxies(root, root.proxies[0], shelf.objects[root.proxies[0]])


def test_unknown_keys_of_a_known_format_are_ignored(shelf: Shelf) -> None:
    shelf.publish(7, {}, {}, something={"new": 1})
    assert read(shelf).number == 7
