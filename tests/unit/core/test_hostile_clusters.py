"""What one cluster says of its pods costs no other cluster anything: ids, claims, records, places and addresses."""

from typing import Any

import msgspec
import pytest
from crossmesh.core.observed import Instance, Pod
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import CreateService, Deregister, PlannerState, Register
from crossmesh.usecases.context import Context

from tests.support.builders import context, node, pod
from tests.support.planning import decide, registered, seen, service, verbs


def unready(one: Pod) -> Pod:
    return msgspec.structs.replace(one, containers_ready=False)


BOTH = context(node("blue"), msgspec.structs.replace(node("blue"), name="other", aws_name="other_demo"))  # two nodes select the same pods


def test_a_cluster_that_claims_anothers_uid_keeps_nothing_of_it() -> None:
    """Its pod is selected twice and so withheld; the pod of the same uid in b, which is not ready, goes all the same."""
    there = service(registered("b", pod("uB")), registered("b", pod("u22")))
    lie = msgspec.structs.replace(pod("uB"), labels={"version": "blue"})
    alone = context(node("blue"), node("red"))
    honest = decide(alone, seen("a"), seen("b", unready(pod("uB")), pod("u22")), registry=there)
    lying = decide(alone, seen("a", lie), seen("b", unready(pod("uB")), pod("u22")), registry=there)
    assert [a.id for a in honest.actions if isinstance(a, Deregister)] == ["b.uB"]
    assert [a.id for a in lying.actions if isinstance(a, Deregister)] == ["b.uB"]
    claimed = decide(BOTH, seen("a", lie), seen("b", unready(pod("uB")), pod("u22")), registry=there)
    assert ("a", "claimed") in {(held.cluster, held.why) for held in claimed.withheld}
    assert "b.uB" in {a.id for a in claimed.actions if isinstance(a, Deregister)}


def test_what_was_seen_terminating_in_one_cluster_is_not_dead_in_another() -> None:
    """b's pods are gone at once and go under the deletion guard, whatever a says of pods with their uids."""
    pods = [pod(f"u{i}") for i in range(4)]
    there = service(*(registered("b", one) for one in pods))
    found = decide(
        context(),
        seen("a"),
        seen("b", gone=tuple(p.uid for p in pods)),
        registry=there,
        memory=PlannerState(terminating={f"a/{p.uid}": 90.0 for p in pods}),
    )
    assert found.actions == ()
    assert {held.why for held in found.withheld} == {"unconfirmed"}


def test_a_gate_opens_for_the_pod_of_its_own_cluster() -> None:
    closed = msgspec.structs.replace(pod("u1"), gate="closed")
    where = context(readiness_gate=True)
    found = decide(where, seen("a", unready(closed)), seen("b", pod("u1")), registry=service(registered("b", pod("u1"))))
    assert found.gates == ()


@pytest.mark.parametrize("uid", ["prod.1234", "a/../b", "", "x" * 64, "u1\n", "ü"])
def test_a_uid_that_could_make_anothers_id_is_withheld(uid: str) -> None:
    lie = msgspec.structs.replace(pod("u1"), uid=uid, name="liar")
    found = decide(context(clusters=("a", "a.prod")), seen("a", lie, pod("u1")), seen("a.prod"), registry=service())
    assert verbs(found) == [("Register", "demo/pod-u1")]
    assert [(held.why, held.pod) for held in found.withheld] == [("implausible", "demo/liar")]


@pytest.mark.parametrize("mark", [ep.CLUSTER, ep.POD_UID, ep.OWNER])
def test_an_instance_of_another_pod_under_our_id_is_not_overwritten(mark: str) -> None:
    held = registered("a", pod("u1"), **{mark: "another", "color": "blue"})
    found = decide(context(), seen("a", pod("u1")), seen("b"), registry=service(held))
    assert found.actions == ()
    assert [w.why for w in found.withheld] == ["foreign-id"]


def of(where: Context, *families: tuple[str, int, int]) -> CreateService:
    """The service made for clusters of (name, IPv4 pods, IPv6 pods)."""
    views = [
        seen(
            name,
            *(pod(f"{name}4{i:03}", ip=f"10.0.{i // 250}.{i % 250}") for i in range(v4)),
            *(pod(f"{name}6{i:03}", ip=f"2001:db8::{i + 1:x}") for i in range(v6)),
        )
        for name, v4, v6 in families
    ]
    return next(a for a in decide(where, *views, registry=service(exists=False)).actions if isinstance(a, CreateService))


@pytest.mark.parametrize(
    ("families", "ipv6"),
    [
        ([("a", 0, 1), ("b", 5, 0), ("c", 5, 0)], False),  # the first id is of an IPv6 pod
        ([("a", 0, 900), ("b", 1, 0), ("c", 1, 0)], False),  # nor do many pods of one cluster decide
        ([("a", 0, 3), ("b", 0, 1), ("c", 90, 0)], True),
        ([("a", 0, 3), ("b", 2, 0)], True),  # one vote each: then the pods
        ([("a", 0, 2), ("b", 2, 0)], False),
    ],
)
def test_the_records_of_a_new_service_are_of_most_clusters(families: list[tuple[str, int, int]], ipv6: bool) -> None:
    assert of(context(clusters=("a", "b", "c")), *families).ipv6 is ipv6


def share(*clusters: tuple[str, int, int], others: int = 0) -> dict[str, int]:
    """How many of each cluster's (name, standing, new) find room beside `others`."""
    old = {name: [pod(f"{name}o{i:04}") for i in range(standing)] for name, standing, _ in clusters}
    new = {name: [pod(f"{name}n{i:04}") for i in range(count)] for name, _, count in clusters}
    base = registered("a", pod("x"))
    held = [
        Instance(id=f"{name}.{p.uid}", attributes={**base.attributes, ep.CLUSTER: name, ep.POD_UID: p.uid, ep.POD: p.name})
        for name, pods in old.items()
        for p in pods
    ]
    foreign = [Instance(id=f"f{i}", attributes={}) for i in range(others)]
    views = [seen(name, *old[name], *new[name]) for name, _, _ in clusters]
    found = decide(context(clusters=tuple(new)), *views, registry=service(*held, *foreign))
    adds = [a for a in found.actions if isinstance(a, Register) and not a.change]
    return {name: sum(1 for a in adds if a.cluster == name) for name in new}


@pytest.mark.parametrize(
    ("clusters", "others", "adds"),
    [
        ([("a", 0, 1_000), ("b", 0, 50)], 0, {"a": 950, "b": 50}),
        ([("a", 0, 1_000), ("b", 0, 800)], 0, {"a": 500, "b": 500}),
        ([("a", 900, 90), ("b", 0, 60)], 0, {"a": 40, "b": 60}),
        ([("a", 0, 30), ("b", 0, 30), ("c", 0, 30)], 970, {"a": 10, "b": 10, "c": 10}),
    ],
)
def test_places_are_shared_between_clusters(clusters: list[Any], others: int, adds: dict[str, int]) -> None:
    assert share(*clusters, others=others) == adds


STRANGE = [
    "0.0.0.0",
    "127.0.0.1",
    "169.254.169.254",
    "169.254.170.23",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "10.0.0",
    "10.0.0.256",
    "010.0.0.1",
    "1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fec0::1",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "evil.example",
]


@pytest.mark.parametrize("ip", STRANGE)
def test_an_address_that_no_pod_has_is_not_registered(ip: str) -> None:
    found = decide(context(), seen("a", pod("u1", ip=ip), pod("u22")), seen("b"), registry=service(records=()))
    assert verbs(found) == [("Register", "demo/pod-u22")]
    assert [(held.why, held.pod) for held in found.withheld] == [("implausible", "demo/pod-u1")]


@pytest.mark.parametrize(
    "ip", ["10.0.0.1", "100.64.3.9", "172.31.255.1", "198.19.3.4", "223.255.255.1", "8.8.8.8", "2600:1f14::7", "fd12::3", "2001:db8::7"]
)
def test_an_address_that_a_pod_may_have_is(ip: str) -> None:
    found = decide(context(), seen("a", pod("u1", ip=ip)), seen("b"), registry=service(records=(), namespace_type="HTTP"))
    assert (verbs(found), found.withheld) == ([("Register", "demo/pod-u1")], ())


def networked(**cidrs: tuple[str, ...]) -> Context:
    where = context()
    clusters = tuple(msgspec.structs.replace(c, pod_cidrs=cidrs.get(c.name, ())) for c in where.settings.clusters)
    return msgspec.structs.replace(where, settings=msgspec.structs.replace(where.settings, clusters=clusters))


@pytest.mark.parametrize(
    ("cidrs", "ip", "believed"),
    [
        ({"a": ("10.1.0.0/16",)}, "10.1.2.3", True),
        ({"a": ("10.1.0.0/16",)}, "10.2.2.3", False),
        ({"a": ("10.1.0.0/16", "100.64.0.0/10")}, "100.64.0.9", True),
        ({"b": ("10.2.0.0/16",)}, "10.2.0.9", False),  # another cluster's
        ({"b": ("10.2.0.0/16",)}, "10.3.0.9", True),
        ({"b": ("10.2.0.0/16",)}, "169.254.169.254", False),
        ({"a": ("10.2.0.0/16",), "b": ("10.2.0.0/16",)}, "10.2.0.9", True),  # two clusters in one network
        ({"a": ("fd12::/64",)}, "fd12::9", True),
    ],
)
def test_networks_that_the_settings_name_bound_a_clusters_addresses(cidrs: dict[str, tuple[str, ...]], ip: str, believed: bool) -> None:
    found = decide(networked(**cidrs), seen("a", pod("u1", ip=ip)), seen("b"), registry=service(records=(), namespace_type="HTTP"))
    assert [w.why for w in found.withheld] == ([] if believed else ["implausible"])


def test_loopback_is_a_pods_where_the_environment_says_so() -> None:
    where = context()
    clusters = tuple(msgspec.structs.replace(c, exempt=("127.0.0.0/8",)) for c in where.settings.clusters)
    local = msgspec.structs.replace(where, settings=msgspec.structs.replace(where.settings, clusters=clusters))
    found = decide(local, seen("a", pod("u1", ip="127.2.0.11"), pod("u22", ip="169.254.0.1")), seen("b"), registry=service())
    assert verbs(found) == [("Register", "demo/pod-u1")]


def test_an_instance_whose_pod_is_not_believed_any_more_stays() -> None:
    """A rule of ours that is wrong about somebody's network must not empty their service."""
    there = service(registered("a", pod("u1")))
    found = decide(networked(a=("10.9.0.0/16",)), seen("a", pod("u1")), seen("b"), registry=there)
    assert (found.actions, [w.why for w in found.withheld]) == ((), ["implausible"])
