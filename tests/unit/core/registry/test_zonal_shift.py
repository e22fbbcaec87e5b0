"""A zonal shift is read from two signs and a witness, never from one; its pods leave for as long as others answer, and come back."""

import msgspec
import pytest
from crossmesh.core.observed import Pod
from crossmesh.core.registry.zonal_shift import shifted_zones
from crossmesh.usecases.context import Context

from tests.support.builders import context, node, pod
from tests.support.passes import MemoryWorld

ZONES = {"n1": ("r", "ra"), "n2": ("r", "ra"), "n3": ("r", "rb"), "n4": ("r", "rc")}


def on(where: str, uid: str, version: str = "blue", **changes: object) -> Pod:
    made = msgspec.structs.replace(pod(uid, version, ip=f"10.0.1.{len(uid)}"), node=where)
    labels = {**made.labels, "pod-template-hash": uid, "topology.kubernetes.io/zone": ZONES[where][1]}
    return msgspec.structs.replace(made, labels=labels, **changes)  # type: ignore[arg-type]


PODS = (on("n1", "a1"), on("n2", "a2"), on("n3", "b1"), on("n4", "c1"))


def test_cordoned_and_out_of_the_slices_is_shifted() -> None:
    assert shifted_zones(PODS, ZONES, {"n1", "n2"}, {"b1", "c1"}) == ("ra",)


@pytest.mark.parametrize(
    ("pods", "cordoned", "listed"),
    [
        (PODS, {"n1", "n2"}, {"a1", "a2", "b1", "c1"}),
        (PODS, {"n1", "n2"}, {"a2", "b1", "c1"}),
        (PODS, {"n1"}, {"b1", "c1"}),
        (PODS, set(), {"b1", "c1"}),
        (PODS, {"n1", "n2"}, set()),
        (PODS[:2], {"n1", "n2"}, set()),
        ((on("n1", "a1", "red"), on("n3", "b1")), {"n1", "n2"}, {"b1"}),
        ((on("n1", "a1", containers_ready=False), on("n3", "b1")), {"n1", "n2"}, {"b1"}),
        (PODS[2:], {"n1", "n2"}, {"b1", "c1"}),
        (PODS, {"n1", "n2", "n3", "n4"}, set()),
        ((*PODS[:2], msgspec.structs.replace(PODS[2], namespace="other")), {"n1", "n2"}, {"b1"}),
    ],
    ids=[
        "cordoned only: maintenance",
        "one still in a slice",
        "a node takes pods",
        "slices only",
        "no slices at all",
        "no other zone",
        "no Service selects its kind",
        "it is not ready anyway",
        "nothing runs there",
        "every zone",
        "the witness is of another namespace",
    ],
)
def test_less_is_no_shift(pods: tuple[Pod, ...], cordoned: set[str], listed: set[str]) -> None:
    assert shifted_zones(pods, ZONES, cordoned, listed) == ()


def following() -> Context:
    """A deployment that follows shifts of cluster a."""
    where = context(node("blue", color="blue"), node("red", color="red"))
    clusters = tuple(msgspec.structs.replace(c, zonal_shift="follow" if c.name == "a" else "") for c in where.settings.clusters)
    return msgspec.structs.replace(where, settings=msgspec.structs.replace(where.settings, clusters=clusters))


def spread() -> MemoryWorld:
    """Blue in two zones, red only in the one that will be shifted; registered."""
    world = MemoryWorld()
    world.clusters.zones["a"] = ZONES
    for one in (*PODS, on("n1", "red1", "red")):
        world.clusters.put("a", one)
    world.run(following())
    assert world.pods_in() == {"a1", "a2", "b1", "c1", "red1"}
    world.clock.sleep(60)
    return world


def test_pods_of_a_shifted_zone_leave_after_a_second_listing_and_come_back() -> None:
    world = spread()
    world.clusters.shifted["a"] = ("ra",)
    first = world.run(following())
    assert {held.why for held in first.withheld} == {"unconfirmed"}, "the deletion guard counts them: half of the pods are many"
    assert len(world.pods_in()) == 5
    world.clock.sleep(25)
    plan = world.run(following())
    assert world.pods_in() == {"b1", "c1", "red1"}, "red has no pod elsewhere, so its pod stays"
    assert any("zone ra" in note for note in plan.notes)
    assert {a.why for a in plan.actions if hasattr(a, "why")} == {"unready"}
    world.clusters.shifted.clear()
    world.clock.sleep(60)
    assert world.run(following()).notes == ()
    assert world.pods_in() == {"a1", "a2", "b1", "c1", "red1"}


def test_a_pod_that_dies_meanwhile_leaves_at_once_and_a_new_one_waits() -> None:
    world = spread()
    world.clusters.shifted["a"] = ("ra",)
    world.clusters.put("a", msgspec.structs.replace(PODS[0], terminating=True))
    world.clusters.put("a", on("n2", "a-new"))
    world.run(following())
    assert world.pods_in() == {"b1", "c1", "red1"}, "beside the dead one only one more leaves: no deletion guard"


def test_where_nobody_asked_a_shift_is_not_followed() -> None:
    world = spread()
    world.clusters.shifted["a"] = ("ra",)
    where = context(node("blue", color="blue"), node("red", color="red"))
    for _ in range(2):
        world.clock.sleep(60)
        world.run(where)
    assert len(world.pods_in()) == 5
