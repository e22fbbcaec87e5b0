"""1,000 instances a service (rule 5), families of addresses, and readiness gates: what fits, in which order, and what waits."""

import msgspec
import pytest
from crossmesh.core.observed import Instance
from crossmesh.core.registry.plan import CreateService, Deregister, PlannerState, Register

from tests.support.builders import context, node, pod
from tests.support.planning import decide, registered, seen, service, verbs


def foreign(count: int) -> list[Instance]:
    return [Instance(id=f"x{i:04}", attributes={}) for i in range(count)]


@pytest.mark.parametrize("standing", [990, 1_000])
def test_dead_ones_leave_first_then_adds_fit_and_the_rest_waits_in_order(standing: int) -> None:
    old = [pod(f"d{i}") for i in range(4)]
    dying = [msgspec.structs.replace(p, terminating=True) for p in old]
    new = [pod(f"n{i:02}") for i in range(20)]
    there = service(*foreign(standing - 4), *(registered("a", p) for p in old))
    found = decide(context(), seen("a", *dying, *new), seen("b"), registry=there)
    free = 1_000 - standing
    adds = [a for a in found.actions if isinstance(a, Register)]
    assert [(a.id, a.phase) for a in adds] == [(f"a.n{i:02}", 1 if i < free else 2) for i in range(free + 4)]
    assert {a.phase for a in found.actions if isinstance(a, Deregister)} == {1}
    assert [w.id for w in found.withheld] == [f"a.n{i:02}" for i in range(free + 4, 20)]
    assert {w.why for w in found.withheld} == {"service-full"}


def test_a_full_service_freezes_no_other() -> None:
    where = context(node("blue", "color"), node("red", "front"))
    full = service(*foreign(1_000), service="color")
    other = service(service="front", id="srv-2")
    found = decide(where, seen("a", pod("u1"), pod("v1", "red")), seen("b"), registry=(full, other))
    assert verbs(found) == [("Register", "demo/pod-v1")]
    assert found.again_at == 0.0, "nothing will make room by itself"


def test_a_pod_that_moves_to_another_service_leaves_the_first_only_after_the_second_has_it() -> None:
    where = context(node("blue", "color"), node("red", "front"))
    moved = pod("u1", "red")
    found = decide(where, seen("a", moved, pod("o1")), seen("b"), registry=(service(registered("a", pod("u1"))), service(service="front")))
    out = next(a for a in found.actions if isinstance(a, Deregister))
    assert (out.phase, out.after) == (3, "front.demo.local/a.u1")


@pytest.mark.parametrize(("clock", "goes"), [("front.demo.local/a.u1", True), ("color.demo.local/a.u1", False), ("a.u1", True)])
def test_the_clock_of_a_removal_is_its_services_own(clock: str, goes: bool) -> None:
    where = context(node("blue", "color"), node("red", "front"))
    moved = registered("a", pod("u1"), **{"appmesh.k8s.aws/virtualNode": "red_demo"})
    found = decide(
        where,
        seen("a", gone=("u1",), begun=200.0),
        seen("b"),
        registry=(service(), service(moved, service="front", id="srv-2")),
        memory=PlannerState(pending_deletions={clock: 100.0}),
    )
    assert any(isinstance(a, Deregister) for a in found.actions) is goes
    assert found.memory.pending_deletions == {"front.demo.local/a.u1": 100.0 if goes else 200.0}


def test_and_stays_where_the_second_is_full() -> None:
    where = context(node("blue", "color"), node("red", "front"))
    full = service(*foreign(1_000), service="front", id="srv-2")
    found = decide(where, seen("a", pod("u1", "red"), pod("o1")), seen("b"), registry=(service(registered("a", pod("u1"))), full))
    assert not any(isinstance(a, Deregister) for a in found.actions)
    assert ("deregister", "waits") in {(w.what, w.why) for w in found.withheld}


def test_pods_with_only_ipv6_get_aaaa_records_and_their_own_attribute() -> None:
    create, add = decide(context(), seen("a", pod("u1", ip="2001:db8::7")), seen("b"), registry=service(exists=False)).actions
    assert isinstance(create, CreateService)
    assert isinstance(add, Register)
    assert create.ipv6
    assert add.attributes["AWS_INSTANCE_IPV6"] == "2001:db8::7"
    assert "AWS_INSTANCE_IPV4" not in add.attributes


@pytest.mark.parametrize(
    ("records", "kind", "ip", "fits"),
    [
        (("A",), "DNS_PRIVATE", "10.0.0.1", True),
        (("A",), "DNS_PRIVATE", "2001:db8::7", False),
        (("AAAA",), "DNS_PRIVATE", "2001:db8::7", True),
        (("AAAA",), "DNS_PRIVATE", "10.0.0.1", False),
        ((), "HTTP", "2001:db8::7", True),
        ((), "HTTP", "10.0.0.1", True),
    ],
)
def test_an_address_that_the_records_cannot_hold_is_withheld(records: tuple[str, ...], kind: str, ip: str, fits: bool) -> None:
    found = decide(context(), seen("a", pod("u1", ip=ip)), seen("b"), registry=service(records=records, namespace_type=kind))
    assert [type(a) for a in found.actions] == ([Register] if fits else [])
    assert [w.why for w in found.withheld] == ([] if fits else ["address-family"])


def gated(uid: str, gate: str) -> object:
    return msgspec.structs.replace(pod(uid), gate=gate)


def test_gates_open_for_what_stands_or_comes_and_only_where_asked_for() -> None:
    pods = (gated("u1", "closed"), gated("u22", "closed"), gated("u333", "open"), pod("u4444"))
    there = service(registered("a", pod("u1")))
    on = decide(context(readiness_gate=True), seen("a", *pods), seen("b"), registry=there)  # type: ignore[arg-type]
    assert [gate.id for gate in on.gates] == ["a.u1", "a.u22"]
    assert decide(context(), seen("a", *pods), seen("b"), registry=there).gates == ()  # type: ignore[arg-type]


def test_no_gate_opens_for_what_could_not_be_registered() -> None:
    found = decide(context(readiness_gate=True), seen("a", gated("u1", "closed")), seen("b"), registry=service(*foreign(1_000)))  # type: ignore[arg-type]
    assert found.gates == ()


def test_a_gate_that_nobody_opens_is_said() -> None:
    (note,) = decide(context(), seen("a", gated("u1", "closed")), seen("b"), registry=service(registered("a", pod("u1")))).notes  # type: ignore[arg-type]
    assert "readiness_gate: true" in note
    for quiet in (
        decide(context(readiness_gate=True), seen("a", gated("u1", "closed")), seen("b"), registry=service()),  # type: ignore[arg-type]
        decide(context(), seen("a", gated("u1", "open")), seen("b"), registry=service()),  # type: ignore[arg-type]
    ):
        assert quiet.notes == ()
