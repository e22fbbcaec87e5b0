"""What AWS's controller left in Cloud Map is taken over: ours first, theirs out after; what has no pod, under the deletion guard; nobody else's."""

import msgspec
import pytest
from crossmesh.core.observed import Instance, Unseen
from crossmesh.core.registry.plan import Deregister, ManualOverrides, PlannerState, Register

from tests.support.builders import context, pod
from tests.support.controller_instances import theirs
from tests.support.planning import decide, registered, seen, service, verbs

POD = pod("u1", ip="10.0.0.1")


def test_ours_comes_first_and_theirs_waits_for_its_proof() -> None:
    ours, out = decide(context(adopt=True), seen("a", POD), seen("b"), registry=service(theirs(POD))).actions
    assert isinstance(ours, Register)
    assert isinstance(out, Deregister)
    assert (ours.phase, out.phase) == (1, 3)
    assert (out.id, out.why, out.after) == ("10.0.0.1", "replaced", "color.demo.local/a.u1")
    assert (out.owner, out.cluster, out.uid) == ("", "", "")


def test_theirs_goes_also_where_ours_stands_since_an_earlier_run() -> None:
    (out,) = decide(context(adopt=True), seen("a", POD), seen("b"), registry=service(theirs(POD), registered("a", POD))).actions
    assert (out.id, out.after) == ("10.0.0.1", "")


def test_a_whole_service_is_replaced_without_the_deletion_guard() -> None:
    pods = [pod(f"u{i}", ip=f"10.0.0.{i}") for i in range(20)]
    found = decide(context(adopt=True), seen("a", *pods), seen("b"), registry=service(*map(theirs, pods)))
    assert [type(a) for a in found.actions] == [Register] * 20 + [Deregister] * 20


def test_without_adoption_theirs_stays_and_is_named() -> None:
    found = decide(context(), seen("a", POD), seen("b"), registry=service(theirs(POD)))
    assert verbs(found) == [("Register", "demo/pod-u1")]
    assert "crossmesh adopt" in found.notes[0]


def test_one_wish_of_a_person_adopts_until_nothing_is_left() -> None:
    wish = ManualOverrides(adopt=50.0)
    first = decide(context(), seen("a", POD), seen("b"), registry=service(theirs(POD)), operator=wish)
    assert len(first.actions) == 2
    assert first.memory.adopted == 0.0
    after = decide(context(), seen("a", POD), seen("b"), registry=service(registered("a", POD)), operator=wish, memory=first.memory)
    assert after.memory.adopted == 50.0
    later = decide(
        context(), seen("a", POD), seen("b"), registry=service(registered("a", POD), theirs(POD)), operator=wish, memory=after.memory
    )
    assert later.actions == ()


def test_a_wish_outlasts_what_the_deletion_guard_holds_and_pods_that_are_not_ready() -> None:
    wish, pods = ManualOverrides(adopt=50.0), [pod(f"u{i}", ip=f"10.0.0.{i}") for i in range(3)]
    absent = tuple(f"demo/pod-u{i}" for i in range(2))
    there = service(*map(theirs, pods))
    slow = msgspec.structs.replace(pods[2], containers_ready=False)
    views = [seen("a", slow, absent=absent), seen("b", absent=absent)]
    first = decide(context(), *views, registry=there, operator=wish)
    assert ([w.why for w in first.withheld], first.actions, first.memory.adopted) == (["unconfirmed"] * 2, (), 0.0)
    assert "1 instances that AWS's controller left stay" in first.notes[0]
    views = [seen("a", slow, absent=absent, begun=125.0), seen("b", absent=absent, begun=125.0)]
    second = decide(context(), *views, registry=there, operator=wish, memory=first.memory)
    assert [a.id for a in second.actions] == ["10.0.0.0", "10.0.0.1"]
    last = decide(context(), seen("a", pods[2]), seen("b"), registry=service(theirs(pods[2])), operator=wish, memory=second.memory)
    assert verbs(last) == [("Register", "demo/pod-u2"), ("Deregister", "demo/pod-u2")]


@pytest.mark.parametrize("absent", [("a", "b"), ("a",), ("b",), ()])
def test_a_leftover_goes_only_where_every_cluster_proves_its_pod_gone(absent: tuple[str, ...]) -> None:
    others = [pod(f"o{i}", ip=f"10.0.1.{i}") for i in range(9)]
    views = [seen(name, *(others if name == "a" else ()), absent=("demo/pod-u1",) if name in absent else ()) for name in "ab"]
    found = decide(context(adopt=True), *views, registry=service(theirs(POD), *(registered("a", o) for o in others)))
    assert [(a.id, a.why) for a in found.actions if isinstance(a, Deregister)] == ([("10.0.0.1", "left-behind")] if len(absent) == 2 else [])


def test_no_leftover_goes_while_a_cluster_is_unseen() -> None:
    found = decide(context(adopt=True), seen("a", absent=("demo/pod-u1",)), Unseen(cluster="b", cause="timeout"), registry=service(theirs(POD)))
    assert (found.actions, found.withheld) == ((), ())


def test_many_leftovers_wait_for_a_second_listing() -> None:
    pods = [pod(f"u{i}", ip=f"10.0.0.{i}") for i in range(10)]
    absent = tuple(f"demo/pod-u{i}" for i in range(10))

    def at(begun: float, memory: PlannerState) -> tuple[int, PlannerState]:
        views = [seen(name, begun=begun, absent=absent) for name in "ab"]
        found = decide(context(adopt=True), *views, registry=service(*map(theirs, pods)), memory=memory)
        return len(found.actions), found.memory

    count, memory = at(100.0, PlannerState())
    assert count == 0
    assert at(120.0, memory)[0] == 10


@pytest.mark.parametrize(
    "foreign",
    [
        Instance(id="10.0.0.1", attributes={"AWS_INSTANCE_IPV4": "10.0.0.1"}),  # by hand, or ECS
        theirs(POD, **{"appmesh.k8s.aws/virtualNode": "green_demo"}),  # a node that no document declares
        theirs(POD, **{"appmesh.k8s.aws/mesh": "other"}),
        theirs(POD, **{"crossmesh/owner": "somebody-else"}),
        msgspec.structs.replace(theirs(POD), id="task-1"),
    ],
)
def test_nobody_elses_instance_is_adopted(foreign: Instance) -> None:
    views = [seen(name, absent=("demo/pod-u1",)) for name in "ab"]
    found = decide(context(adopt=True), *views, registry=service(foreign))
    assert (found.actions, found.withheld) == ((), ()), "not even waiting for a second listing"


def test_an_unready_pods_instance_of_theirs_stays() -> None:
    unready = msgspec.structs.replace(POD, containers_ready=False)
    found = decide(context(adopt=True), seen("a", unready), seen("b", absent=("demo/pod-u1",)), registry=service(theirs(POD)))
    assert (found.actions, found.withheld) == ((), ())


def test_a_stateful_pod_back_under_its_name_with_another_address_leaves_its_old_instance() -> None:
    back = [pod(f"u{i}", ip=f"10.0.9.{i}") for i in range(10)]
    old = msgspec.structs.replace(theirs(back[1]), id="10.0.0.1")
    old.attributes["AWS_INSTANCE_IPV4"] = "10.0.0.1"
    there = service(old, *(registered("a", p) for p in back))
    found = decide(context(adopt=True), seen("a", *back), seen("b", absent=("demo/pod-u1",)), registry=there)
    assert [(a.id, a.why) for a in found.actions if isinstance(a, Deregister)] == [("10.0.0.1", "left-behind")]


def test_where_ours_has_no_room_yet_theirs_stays_and_windows_go_on_at_once() -> None:
    pods = [pod(f"u{i:03}", ip=f"10.0.{i // 250}.{i % 250}") for i in range(600)]
    found = decide(context(adopt=True), seen("a", *pods), seen("b"), registry=service(*map(theirs, pods)))
    adds = [a for a in found.actions if isinstance(a, Register)]
    outs = [a for a in found.actions if isinstance(a, Deregister)]
    assert (len(adds), len(outs)) == (400, 400)
    assert {a.after for a in outs} == {f"color.demo.local/{a.id}" for a in adds}
    assert sorted({(w.what, w.why) for w in found.withheld}) == [("deregister", "waits"), ("register", "service-full")]
    assert found.again_at == 100.0
