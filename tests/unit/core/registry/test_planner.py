"""The planner's rules, one by one (docs/explanation/the-thirteen-rules.md)."""

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.observed import Instance, RegistryView, Unseen
from crossmesh.core.registry.plan import CreateService, DeleteService, Deregister, ManualOverrides, PlannerState, Register, TagService
from crossmesh.core.registry.planner import PlanInputs, deployment_tag, plan
from crossmesh.core.settings import Policy

from tests.support.builders import NAMESPACE, context, node, pod
from tests.support.planning import DEPLOYMENT, decide, registered, seen, service, verbs


def test_a_ready_pod_is_registered_with_the_controllers_attributes_and_our_marks() -> None:
    found = decide(context(), seen("a", pod("u1", ip="10.0.0.7")), seen("b"), registry=service())
    (action,) = found.actions
    assert isinstance(action, Register)
    assert action.id == "a.u1"
    assert action.attributes == {
        "version": "blue",
        "color": "blue",
        "AWS_INSTANCE_IPV4": "10.0.0.7",
        "AWS_INSTANCE_PORT": "8080",
        "AWS_INIT_HEALTH_STATUS": "HEALTHY",
        "k8s.io/pod": "pod-u1",
        "k8s.io/namespace": "demo",
        "appmesh.k8s.aws/mesh": "demo",
        "appmesh.k8s.aws/virtualNode": "blue_demo",
        "crossmesh/owner": "prod",
        "crossmesh/cluster": "a",
        "crossmesh/pod-uid": "u1",
    }


def test_quiet_means_no_action() -> None:
    mine = pod("u1")
    assert decide(context(), seen("a", mine), seen("b"), registry=service(registered("a", mine))).actions == ()


def test_foreign_attributes_and_initial_health_are_not_drift() -> None:
    mine = pod("u1")
    there = registered("a", mine, added_by_a_lambda="x", AWS_INIT_HEALTH_STATUS="UNHEALTHY")
    assert decide(context(), seen("a", mine), seen("b"), registry=service(there)).actions == ()


def test_a_change_of_ours_keeps_what_others_added() -> None:
    mine = pod("u1")
    there = registered("a", mine, added_by_a_lambda="x", color="mauve", AWS_INIT_HEALTH_STATUS="UNHEALTHY")
    (action,) = decide(context(), seen("a", mine), seen("b"), registry=service(there)).actions
    assert isinstance(action, Register)
    assert action.change
    assert action.attributes["added_by_a_lambda"] == "x"
    assert action.attributes["color"] == "blue"
    assert action.attributes["AWS_INIT_HEALTH_STATUS"] == "UNHEALTHY"
    assert "color: mauve → blue" in action.reason


@pytest.mark.parametrize(
    "cause", ["unreachable", "timeout", "throttled", "refused", "server-error", "cut", "went-back", "identity", "list-incomplete"]
)
def test_nothing_of_an_unseen_cluster_goes_and_the_other_goes_on(cause: str) -> None:
    lost, new = pod("u1"), pod("u22")
    found = decide(context(), Unseen(cluster="a", cause=cause), seen("b", new), registry=service(registered("a", lost)))  # type: ignore[arg-type]
    assert verbs(found) == [("Register", "demo/pod-u22")]
    assert [(w.why, w.id) for w in found.withheld] == [("unseen", "a.u1")]


def test_a_cluster_without_any_view_is_unseen() -> None:
    found = decide(context(), seen("b"), registry=service(registered("a", pod("u1"))))
    assert found.actions == ()
    assert found.withheld[0].why == "unseen"


def test_an_empty_list_without_a_get_removes_nothing() -> None:
    found = decide(context(), seen("a"), seen("b"), registry=service(registered("a", pod("u1"))))
    assert found.actions == ()
    assert found.withheld[0].why == "unseen"


def test_terminating_pods_leave_at_once_even_all_of_them() -> None:
    pods = [pod(f"u{i}", ip=f"10.0.0.{i}") for i in range(10)]
    dying = [msgspec.structs.replace(p, terminating=True) for p in pods]
    found = decide(context(), seen("a", *dying), seen("b"), registry=service(*(registered("a", p) for p in pods)))
    assert {type(a) for a in found.actions} == {Deregister}
    assert len(found.actions) == 10
    assert all(a.phase == 1 for a in found.actions)


def test_gone_pods_once_seen_terminating_are_exempt_from_the_deletion_guard() -> None:
    pods = [pod(f"u{i}") for i in range(10)]
    memory = PlannerState(terminating={p.uid: 90.0 for p in pods})
    found = decide(
        context(), seen("a", gone=tuple(p.uid for p in pods)), seen("b"), registry=service(*(registered("a", p) for p in pods)), memory=memory
    )
    assert len(found.actions) == 10


def test_sightings_are_kept_while_their_cluster_is_unseen() -> None:
    dying = pod("u1")
    there = service(registered("a", dying))
    for before in ("a/u1", "u1"):  # as memories before 0.2 have it
        memory = PlannerState(terminating={before: 90.0})
        unseen = decide(context(), Unseen(cluster="a", cause="timeout"), seen("b"), registry=there, memory=memory)
        assert unseen.memory.terminating == {"a/u1": 90.0}


def test_many_gone_at_once_wait_for_a_second_listing_and_then_go() -> None:
    pods = [pod(f"u{i}") for i in range(10)]
    there, where = service(*(registered("a", p) for p in pods)), context()
    gone = tuple(p.uid for p in pods)
    first = decide(where, seen("a", gone=gone, begun=100.0), seen("b"), registry=there)
    assert first.actions == ()
    assert {w.why for w in first.withheld} == {"unconfirmed"}
    assert first.again_at == 120.0
    early = decide(where, seen("a", gone=gone, begun=119.0), seen("b"), registry=there, memory=first.memory)
    assert early.actions == ()
    late = decide(where, seen("a", gone=gone, begun=120.0), seen("b"), registry=there, memory=early.memory)
    assert len(late.actions) == 10


def test_newcomers_do_not_reset_the_clock_of_those_waiting() -> None:
    pods = [pod(f"u{i}") for i in range(10)]
    there, where = service(*(registered("a", p) for p in pods)), context()
    memory, when, left = PlannerState(), 100.0, []
    for waited in range(6):
        gone = tuple(p.uid for p in pods[: 4 + waited])
        alive = pods[4 + waited :]
        found = decide(where, seen("a", *alive, gone=gone, begun=when), seen("b"), registry=there, memory=memory)
        left = [a.id for a in found.actions]
        memory, when = found.memory, when + 5.0
    assert left == ["a.u0", "a.u1", "a.u2", "a.u3", "a.u4"]


def test_a_pod_that_is_back_clears_its_confirmation() -> None:
    pods = [pod(f"u{i}") for i in range(10)]
    there, where = service(*(registered("a", p) for p in pods)), context()
    first = decide(where, seen("a", gone=tuple(p.uid for p in pods)), seen("b"), registry=there)
    back = decide(where, seen("a", *pods, begun=125.0), seen("b"), registry=there, memory=first.memory)
    assert (back.actions, back.withheld, back.memory.pending_deletions) == ((), (), {})


def test_one_gone_of_many_goes_at_once_but_never_the_last_of_a_node() -> None:
    pods = [pod(f"u{i}") for i in range(10)]
    there = service(*(registered("a", p) for p in pods))
    one = decide(context(), seen("a", *pods[1:], gone=("u0",)), seen("b"), registry=there)
    assert verbs(one) == [("Deregister", "demo/pod-u0")]
    last = decide(context(), seen("a", gone=("u0",)), seen("b"), registry=service(registered("a", pods[0])))
    assert last.actions == ()
    assert "empty blue_demo" in last.withheld[0].detail


def test_removals_matched_by_adds_of_the_same_node_are_exempt_and_come_after() -> None:
    old, new = [pod(f"u{i}") for i in range(4)], [pod(f"n{i}") for i in range(4)]
    unready = [msgspec.structs.replace(p, containers_ready=False) for p in old]
    found = decide(context(), seen("a", *unready, *new), seen("b"), registry=service(*(registered("a", p) for p in old)))
    assert [a.phase for a in found.actions] == [1] * 4 + [3] * 4
    assert [type(a) for a in found.actions] == [Register] * 4 + [Deregister] * 4


def test_a_reused_ip_costs_nobody_a_live_pod() -> None:
    gone_in_a, born_in_b = pod("u1", ip="10.0.0.9"), pod("u22", ip="10.0.0.9")
    dying = msgspec.structs.replace(gone_in_a, terminating=True)
    found = decide(context(), seen("a", dying), seen("b", born_in_b), registry=service(registered("a", gone_in_a), registered("b", born_in_b)))
    assert [(type(a).__name__, a.id) for a in found.actions if isinstance(a, Deregister)] == [("Deregister", "a.u1")]
    assert len(found.actions) == 1


def test_foreign_instances_are_never_touched() -> None:
    others = [
        Instance(id="10.0.0.1", attributes={"AWS_INSTANCE_IPV4": "10.0.0.1"}),
        Instance(id="a.u9", attributes={"crossmesh/owner": "somebody-else", "crossmesh/cluster": "a", "crossmesh/pod-uid": "u9"}),
    ]
    found = decide(context(), seen("a"), seen("b"), registry=service(*others))
    assert (found.actions, found.withheld) == ((), ())


def test_a_foreign_instance_under_our_id_is_not_overwritten() -> None:
    found = decide(context(), seen("a", pod("u1")), seen("b"), registry=service(Instance(id="a.u1", attributes={})))
    assert found.actions == ()
    assert found.withheld[0].why == "foreign-id"


def test_orphans_of_a_cluster_no_longer_in_the_settings_are_shown_and_stay() -> None:
    stray = msgspec.structs.replace(registered("a", pod("u1")), id="z.u1")
    stray.attributes["crossmesh/cluster"] = "z"
    found = decide(context(), seen("a"), seen("b"), registry=service(stray))
    assert found.actions == ()
    assert found.withheld[0].why == "orphaned"
    assert "crossmesh forget z" in found.withheld[0].detail


def test_a_pod_of_two_nodes_is_withheld_and_its_instance_stays() -> None:
    mine = pod("u1")
    where = context(node("blue", color="blue"), msgspec.structs.replace(node("blue", color="blue"), name="azure", aws_name="azure_demo"))
    found = decide(where, seen("a", mine, pod("u22", "red")), seen("b"), registry=service(registered("a", mine)))
    assert found.actions == ()
    assert [(w.why, w.pod) for w in found.withheld] == [("claimed", "demo/pod-u1")]
    assert "demo/blue (mesh.yaml:1)" in found.withheld[0].detail
    assert "demo/azure (mesh.yaml:1)" in found.withheld[0].detail


def test_two_deployments_with_one_owner_stop_and_name_each_other() -> None:
    other = service(registered("a", pod("u1")), tags={deployment_tag("prod"): "2/eu-west-1/crossmesh"})
    found = decide(context(), seen("a", msgspec.structs.replace(pod("u1"), terminating=True), pod("u22")), seen("b"), registry=other)
    assert [tuple(action.tags) for action in found.actions if isinstance(action, TagService)] == [("crossmesh:conflict/prod",)]
    assert len(found.actions) == 1, "but for its word that it is there, nothing is written"
    assert any("2/eu-west-1/crossmesh" in note for note in found.notes)


def test_upsert_only_removes_nothing() -> None:
    dying = msgspec.structs.replace(pod("u1"), terminating=True)
    where = context(policy=Policy(removals="upsert-only"))
    found = decide(where, seen("a", dying), seen("b"), registry=service(registered("a", pod("u1"))))
    assert found.actions == ()
    assert found.withheld[0].why == "policy"


def test_a_missing_service_is_created_first_and_marked() -> None:
    found = decide(context(), seen("a", pod("u1")), seen("b"), registry=service(exists=False, tags={}))
    assert [type(a) for a in found.actions] == [CreateService, Register]
    assert isinstance(found.actions[0], CreateService)
    assert found.actions[0].tags == {"crossmesh:owner": "prod", deployment_tag("prod"): DEPLOYMENT}


def test_a_service_of_somebody_else_gets_our_mark_before_we_write() -> None:
    found = decide(context(), seen("a", pod("u1")), seen("b"), registry=service(tags={}))
    assert [type(a) for a in found.actions] == [TagService, Register]


def test_a_missing_namespace_is_withheld_with_a_fix() -> None:
    found = decide(context(), seen("a", pod("u1")), seen("b"), registry=service(exists=False, namespace_type="", namespace_id=""))
    assert found.actions == ()
    assert found.withheld[0].why == "namespace-missing"


def test_an_empty_service_of_ours_that_nothing_names_goes_but_no_other() -> None:
    ours = service(service="old")
    foreign = service(service="theirs", tags={})
    inputs = PlanInputs(
        settings=context().settings,
        topology=context().topology,
        views=(seen("a"), seen("b")),
        registry=RegistryView(begun=100.0, services=(ours, foreign, service())),
        deployment=DEPLOYMENT,
    )
    assert [(type(a), a.service) for a in plan(inputs).actions] == [(DeleteService, "old")]


def test_a_full_service_lets_the_dead_out_first_and_withholds_the_rest_in_order() -> None:
    foreign = [Instance(id=f"x{i:04}", attributes={}) for i in range(998)]
    old = [pod("d1"), pod("d2")]
    dying = [msgspec.structs.replace(p, terminating=True) for p in old]
    new = [pod(f"n{i}") for i in range(4)]
    found = decide(context(), seen("a", *dying, *new), seen("b"), registry=service(*foreign, *(registered("a", p) for p in old)))
    assert verbs(found) == [
        ("Deregister", "demo/pod-d1"),
        ("Deregister", "demo/pod-d2"),
        ("Register", "demo/pod-n0"),
        ("Register", "demo/pod-n1"),
    ]
    assert [(w.why, w.id) for w in found.withheld] == [("service-full", "a.n2"), ("service-full", "a.n3")]


def test_any_order_of_inputs_gives_the_same_bytes() -> None:
    pods = [pod(f"u{i}", "blue" if i % 2 else "red", ip=f"10.0.0.{i}") for i in range(8)]
    gone = registered("b", pod("x1"))
    there = [registered("a", pods[0]), gone, registered("a", pods[3])]
    one = decide(context(), seen("a", *pods), Unseen(cluster="b", cause="timeout"), registry=service(*there))
    two = decide(context(), Unseen(cluster="b", cause="timeout"), seen("a", *reversed(pods)), registry=service(*reversed(there)))
    assert codec.encode(one) == codec.encode(two)


def test_removed_by_another_writer_twice_stops_the_service_until_resumed() -> None:
    mine, where = pod("u1"), context()
    first = decide(where, seen("a", mine), seen("b"), registry=service(), memory=PlannerState(registered={"a.u1": 90.0}), now=100.0)
    assert verbs(first) == [("Register", "demo/pod-u1")]  # once may be an accident: repaired
    proved = msgspec.structs.replace(first.memory, registered={"a.u1": 101.0})
    second = decide(where, seen("a", mine, pod("u22")), seen("b"), registry=service(), memory=proved, now=160.0)
    assert second.actions == ()
    assert {w.why for w in second.withheld} == {"competing-writer"}
    assert "crossmesh resume color.demo.local" in second.withheld[0].detail
    resumed = ManualOverrides(resumed={f"color.{NAMESPACE}": 200.0})
    third = decide(where, seen("a", mine, pod("u22")), seen("b"), registry=service(), memory=second.memory, now=201.0, operator=resumed)
    assert len(third.actions) == 2


def test_what_we_removed_ourselves_is_no_other_hand() -> None:
    unready = pod("u1", ready=False)
    others = [registered("a", pod(f"o{i}")) for i in range(9)]
    there = service(registered("a", pod("u1")), *others)
    everyone = [pod(f"o{i}") for i in range(9)]
    gone = decide(context(), seen("a", unready, *everyone), seen("b"), registry=there, memory=PlannerState(registered={"a.u1": 90.0}))
    assert verbs(gone) == [("Deregister", "demo/pod-u1")]
    assert gone.memory.registered == {}


def test_forget_removes_the_instances_of_a_cluster_out_of_sight_once() -> None:
    there, where = service(registered("a", pod("u1"))), context()
    asked = ManualOverrides(forget={"a": 50.0})
    lost = Unseen(cluster="a", cause="unreachable")
    first = decide(where, lost, seen("b"), registry=there, operator=asked)
    assert verbs(first) == [("Deregister", "demo/pod-u1")]
    done = decide(where, lost, seen("b"), registry=service(), operator=asked, memory=first.memory)
    assert done.memory.forgotten == {"a": 50.0}
    again = decide(where, lost, seen("b"), registry=there, operator=asked, memory=done.memory)
    assert again.actions == ()


def test_forget_never_removes_what_is_seen() -> None:
    found = decide(
        context(), seen("a", pod("u1")), seen("b"), registry=service(registered("a", pod("u1"))), operator=ManualOverrides(forget={"a": 50.0})
    )
    assert found.actions == ()


def test_drain_takes_everything_of_ours_out_and_nothing_else() -> None:
    foreign = Instance(id="x", attributes={})
    there = service(registered("a", pod("u1")), registered("b", pod("v1")), foreign)
    found = decide(
        context(), seen("a", pod("u1")), Unseen(cluster="b", cause="timeout"), registry=there, operator=ManualOverrides(draining=50.0)
    )
    assert sorted(a.id for a in found.actions if isinstance(a, Deregister)) == ["a.u1", "b.v1"]
    assert len(found.actions) == 2
