"""Which pods are endpoints: read from their JSON as the API gives it, then decided by the planner."""

import msgspec
import pytest
from crossmesh.adapters.kubernetes.pods import OPENING, PodItem, pod_of
from crossmesh.core.observed import GATE, Pod
from crossmesh.core.registry.plan import Deregister, SetHealth

from tests.support.builders import context, pod
from tests.support.planning import decide, registered, seen, service

NOW = 1_800_000_000.0
OTHER = "target-health.elbv2.k8s.aws/front"
OPENED, LONG_AGO = "2027-01-15T07:59:30Z", "2027-01-15T07:00:00Z"  # 30 s and an hour before NOW


def read(
    *conditions: tuple[str, str], gates: tuple[str, ...] = (), phase: str = "Running", policy: str = "Always", since: str = LONG_AGO
) -> Pod:
    listed = [{"type": kind, "status": status, "lastTransitionTime": since} for kind, status in conditions]
    item = {
        "metadata": {"name": "p", "namespace": "demo", "uid": "u1", "labels": {"version": "blue"}},
        "spec": {"nodeName": "n1", "restartPolicy": policy, "readinessGates": [{"conditionType": gate} for gate in gates]},
        "status": {"phase": phase, "podIP": "10.0.0.1", "conditions": listed},
    }
    return pod_of(msgspec.json.decode(msgspec.json.encode(item), type=PodItem), NOW)


CONTAINERS, READY, UNREADY = ("ContainersReady", "True"), ("Ready", "True"), ("Ready", "False")


@pytest.mark.parametrize(
    ("found", "ready", "why"),
    [
        (read(CONTAINERS, READY), True, ""),
        (read(CONTAINERS, UNREADY), False, "node n1 does not report"),
        (read(CONTAINERS, ("Ready", "Unknown")), False, "node n1 does not report"),
        (read(CONTAINERS), False, "node n1 does not report"),
        (read(("ContainersReady", "False"), UNREADY), False, ""),
        (read(CONTAINERS, UNREADY, gates=(GATE,)), True, ""),
        (read(CONTAINERS, UNREADY, (GATE, "False"), gates=(GATE,)), True, ""),
        (read(CONTAINERS, UNREADY, gates=(OTHER,)), False, f"its readiness gate {OTHER} is not True"),
        (read(CONTAINERS, UNREADY, (OTHER, "False"), gates=(GATE, OTHER)), False, f"its readiness gate {OTHER} is not True"),
        (read(CONTAINERS, UNREADY, (OTHER, "True"), gates=(OTHER, GATE)), True, ""),
        (read(CONTAINERS, UNREADY, (GATE, "True"), gates=(GATE,), since=OPENED), True, ""),
        (read(CONTAINERS, UNREADY, (GATE, "True"), gates=(GATE,)), False, "node n1 does not report"),
    ],
    ids=[
        "ready", "node died", "ready unknown", "no Ready condition", "containers", "our gate is shut", "our gate says False", "another gate",
        "ours and another", "another is open", "ours has just opened", "node died behind our open gate",
    ],
)  # fmt: skip
def test_ready_counts_and_is_waived_for_our_own_gate_alone(found: Pod, ready: bool, why: str) -> None:
    assert found.ready is ready
    assert why in found.unready
    assert bool(found.unready) is bool(why)


def test_our_gate_is_waived_no_longer_than_the_kubelet_may_take() -> None:
    assert 30 < OPENING < 3600


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_final_phase_is_death_whatever_the_restart_policy_and_the_conditions(phase: str, policy: str) -> None:
    found = read(CONTAINERS, READY, phase=phase, policy=policy)
    assert (found.dead, found.ready) == (True, False)


@pytest.mark.parametrize("phase", ["Pending", "Unknown", ""])
def test_any_other_phase_is_neither_death_nor_service(phase: str) -> None:
    found = read(CONTAINERS, READY, phase=phase)
    assert (found.dead, found.ready) == (False, False)


@pytest.mark.parametrize("custom_health", [False, True])
@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_finished_pods_instance_leaves_at_once_though_another_has_its_address(phase: str, custom_health: bool) -> None:
    evicted = [msgspec.structs.replace(pod(f"u{i}"), phase=phase) for i in range(5)]
    heir = pod("new", ip=evicted[0].ip)
    there = service(*(registered("a", pod(p.uid)) for p in evicted), custom_health=custom_health)
    found = decide(context(), seen("a", *evicted, heir), seen("b"), registry=there)
    leaving = [action for action in found.actions if isinstance(action, Deregister)]
    assert {action.uid for action in leaving} == {p.uid for p in evicted}, "the deletion guard counts none of them, custom health marks none"
    assert {(action.why, action.phase) for action in leaving} == {("dead", 1)}
    assert not [w for w in found.withheld if w.what == "deregister"]


def test_a_dead_nodes_pods_leave_under_the_deletion_guard_and_say_why() -> None:
    lost = [msgspec.structs.replace(pod(f"u{i}"), unready="its node n1 does not report") for i in range(3)]
    there = service(*(registered("a", pod(p.uid)) for p in lost))
    first = decide(context(), seen("a", *lost), seen("b"), registry=there)
    assert first.actions == ()
    assert {w.why for w in first.withheld} == {"unconfirmed"}
    assert all("node n1 does not report" in w.detail for w in first.withheld)
    second = decide(context(), seen("a", *lost, begun=200.0), seen("b", begun=200.0), registry=there, memory=first.memory)
    assert {(a.why, "node n1" in a.reason) for a in second.actions if isinstance(a, Deregister)} == {("unready", True)}


def test_a_dead_nodes_pod_is_marked_where_the_service_has_custom_health() -> None:
    lost, well = msgspec.structs.replace(pod("u1"), unready="its node n1 does not report"), [pod(f"w{i}") for i in range(9)]
    there = service(*(registered("a", p) for p in (pod("u1"), *well)), custom_health=True)
    (action,) = decide(context(), seen("a", lost, *well), seen("b"), registry=there).actions
    assert isinstance(action, SetHealth)
    assert (action.status, action.uid) == ("UNHEALTHY", "u1")
