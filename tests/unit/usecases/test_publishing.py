"""Publishing cut at any call, raced, failed and swept: what the pointer names is whole, moves forward, and says why endpoints left."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from crossmesh.adapters.memory import MemoryClock, MemorySnapshots
from crossmesh.core.mesh.xds import snapshot, sweep
from crossmesh.core.mesh.xds.snapshot import PublishedSnapshot
from crossmesh.driver import drive
from crossmesh.effects import Step
from crossmesh.errors import LeaseLost, RefusedError
from crossmesh.usecases.mesh.envoy import publishing
from crossmesh.usecases.mesh.envoy.publishing import Published

from tests.support.cutting import cut
from tests.support.publications import Hosts, content, hosts, key_of, walkthrough, without

TOPOLOGY = walkthrough()
HOSTS = hosts(TOPOLOGY)
GONE = next(iter(HOSTS.values()))[0].id
DEAD = {(key_of(HOSTS, GONE), GONE): "dead: its pod ended"}


class Bucket:
    """Snapshots in memory."""

    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.snapshots = MemorySnapshots(self.clock)
        self.ports: dict[str, Any] = {"Snapshots": self.snapshots, "Clock": self.clock}

    def publish(self, some: Hosts, reasons: dict[tuple[str, str], str] | None = None, epoch: int = 1) -> Published:
        return drive(steps(some, reasons, epoch), self.ports)

    def whole(self) -> PublishedSnapshot | None:
        """The snapshot in force; raises where anything that it names is missing."""
        return drive(publishing.in_force(), self.ports)


def steps(some: Hosts, reasons: dict[tuple[str, str], str] | None = None, epoch: int = 1) -> Step[Published]:
    before = yield from publishing.in_force()
    return (yield from publishing.publish(content(TOPOLOGY, some, reasons), before, epoch))


def ids(found: PublishedSnapshot | None) -> set[str]:
    return {host.id for some in found.hosts.values() for host in some} if found else set()


def test_a_second_publication_follows_the_first_and_a_third_changes_nothing() -> None:
    bucket = Bucket()
    first = bucket.publish(HOSTS)
    second = bucket.publish(without(HOSTS, GONE), DEAD)
    objects = dict(bucket.snapshots.objects)
    third = bucket.publish(without(HOSTS, GONE), DEAD, epoch=9)
    assert (first.pointer.number, second.pointer.number, second.left) == (1, 2, 1)
    assert (third.pointer, third.changed) == (second.pointer, False)
    assert bucket.snapshots.objects == objects, "nothing is written when nothing changed"
    assert GONE not in ids(bucket.whole())


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("start", [False, True], ids=["the first", "a later one"])
def test_a_publication_cut_at_any_call_leaves_a_whole_snapshot_and_the_next_one_is_exact(start: bool, after: bool) -> None:
    at = 0
    while True:
        bucket = Bucket()
        if start:
            bucket.publish(HOSTS)
        done = cut(steps(without(HOSTS, GONE), DEAD), bucket, at, after=after)  # type: ignore[arg-type]
        assert ids(bucket.whole()) in ([ids_of(HOSTS), ids_of(without(HOSTS, GONE))] if start else [set(), ids_of(without(HOSTS, GONE))])
        ended = bucket.publish(without(HOSTS, GONE), DEAD, epoch=2)
        assert (ids(bucket.whole()), ended.pointer.number) == (ids_of(without(HOSTS, GONE)), 2 if start else 1)
        if done:
            break
        at += 1
    assert at > 4


def ids_of(some: Hosts) -> set[str]:
    return {host.id for found in some.values() for host in found}


def test_a_lost_race_publishes_nothing() -> None:
    bucket = Bucket()
    bucket.publish(HOSTS)
    slow = bucket.whole()
    won = bucket.publish(without(HOSTS, GONE), DEAD, epoch=2)
    outliers = {key: [msgspec.structs.replace(host, healthy=False) for host in some] for key, some in HOSTS.items()}
    with pytest.raises(LeaseLost):
        drive(publishing.publish(content(TOPOLOGY, outliers), slow, 1), bucket.ports)
    assert bucket.snapshots.current == won.pointer


def test_a_run_of_an_older_epoch_publishes_nothing() -> None:
    bucket = Bucket()
    held = bucket.publish(HOSTS, epoch=5)
    with pytest.raises(LeaseLost):
        bucket.publish(without(HOSTS, GONE), DEAD, epoch=4)
    assert bucket.snapshots.current == held.pointer


def test_two_first_publications_make_one_lineage() -> None:
    bucket = Bucket()
    held = bucket.publish(HOSTS)
    bucket.snapshots.lineage = lambda: "ff" * 16  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        drive(publishing.publish(content(TOPOLOGY, without(HOSTS, GONE)), None, 7), bucket.ports)
    assert bucket.snapshots.current == held.pointer


def test_an_endpoint_without_a_reason_fails_it_before_anything_is_written() -> None:
    bucket = Bucket()
    held = bucket.publish(HOSTS)
    objects = dict(bucket.snapshots.objects)
    with pytest.raises(RefusedError, match="Unpublishable"):
        bucket.publish(without(HOSTS, GONE))
    assert (bucket.snapshots.current, bucket.snapshots.objects) == (held.pointer, objects)


@pytest.mark.parametrize("kind", ["root", "proxies", "endpoints", "hosts"])
@pytest.mark.parametrize("how", ["missing", "other"])
def test_a_predecessor_that_cannot_be_read_is_not_taken_for_an_empty_one(kind: str, how: str) -> None:
    bucket = Bucket()
    held = bucket.publish(HOSTS)
    root = snapshot.read_root(held.pointer, bucket.snapshots.objects[held.pointer.root][0])
    name = {"root": held.pointer.root, "proxies": root.proxies[0], "endpoints": root.endpoints.parts[0], "hosts": root.hosts[0]}[kind]
    bucket.snapshots.objects.pop(name) if how == "missing" else bucket.snapshots.put(name, b"{}")
    with pytest.raises(RefusedError):
        bucket.publish(without(HOSTS, GONE), DEAD)
    assert bucket.snapshots.current == held.pointer


def swept(bucket: Bucket, days: int) -> Iterator[None]:
    """A hundred publications in turn, `days` apart; after each, every kept root is whole."""
    for turn in range(100):
        some = HOSTS if turn % 2 else without(HOSTS, GONE)
        assert bucket.publish(some, DEAD).unswept == ""
        name, kept = bucket.snapshots.current.root if bucket.snapshots.current else "", 0
        while name and kept < sweep.KEPT_ROOTS:
            root = snapshot.read(name, bucket.snapshots.objects[name][0], snapshot.Root)
            assert set(root.parts) <= bucket.snapshots.objects.keys(), f"a kept snapshot lost an object at number {turn + 1}"
            name, kept = root.predecessor, kept + 1
        bucket.clock.sleep(days * sweep.OLD_S)
        yield


def test_a_sweep_keeps_what_kept_roots_name_and_removes_what_is_old() -> None:
    bucket = Bucket()
    most = max(len(bucket.snapshots.objects) for _ in swept(bucket, 2))
    assert most < 64 * 3 + 32, "old objects go"
    assert len(bucket.snapshots.objects) < most


def test_a_sweep_removes_nothing_that_is_young() -> None:
    bucket = Bucket()
    before: set[str] = set()
    for _ in swept(bucket, 0):
        assert before <= bucket.snapshots.objects.keys()
        before = set(bucket.snapshots.objects)


def test_a_sweep_that_removes_a_live_object_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: parts with endpoints are forgotten."""

    def wrong(roots: dict[str, snapshot.Root], stored: dict[str, float], now: float) -> tuple[str, ...]:
        named = {*roots, *(part for root in roots.values() for part in (*root.proxies, *root.hosts))}
        return tuple(name for name, at in stored.items() if name not in named and at <= now - sweep.OLD_S)

    monkeypatch.setattr(sweep, "removable", wrong)
    with pytest.raises(AssertionError, match="a kept snapshot lost an object"):
        list(swept(Bucket(), 2))


def test_a_sweep_that_cannot_read_a_kept_root_removes_nothing_and_says_so() -> None:
    bucket = Bucket()
    ended = swept(bucket, 2)
    for _ in range(sweep.EVERY - 1):
        next(ended)
    assert bucket.snapshots.current is not None
    root = snapshot.read(bucket.snapshots.current.root, bucket.snapshots.objects[bucket.snapshots.current.root][0], snapshot.Root)
    del bucket.snapshots.objects[root.predecessor]
    before = set(bucket.snapshots.objects)
    told = bucket.publish(without(HOSTS, GONE) if len(ids(bucket.whole())) == len(ids_of(HOSTS)) else HOSTS, DEAD)
    assert "is not in the bucket" in told.unswept
    assert before <= bucket.snapshots.objects.keys()
