"""A pod's labels as attributes: those of AWS's controller, every label; where Cloud Map's budget leaves no room, what says least goes first."""

import msgspec
import pytest
from crossmesh.core.observed import Pod, Seen
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.settings import ClusterSettings

from tests.support.builders import context, node, pod
from tests.support.planning import decide, seen, service

ZONE = ("us-east-1", "us-east-1a")
PLACED = dict(zip(ep.PLACED, ZONE, strict=True))  # as Kubernetes 1.35 writes them on a pod that it binds to a node of this zone


def endpoint(one: Pod, **attributes: str) -> ep.Endpoint:
    """The one endpoint of a pod on node n1."""
    placed = msgspec.structs.replace(one, node="n1")
    view = Seen(cluster="a", identity="i", begun=0.0, versions={"demo": 1}, pods=(placed,), zones={"n1": ZONE})
    (found,), claimed = ep.desired((node("blue", **attributes),), {"a": ClusterSettings(name="a", eks="a", region="r")}, [view], owner="prod")
    assert claimed == ()
    return found


def labelled(count: int, value: str = "x", **more: str) -> Pod:
    """A pod with `count` labels beside those by which it is selected and placed. One of them comes late in the alphabet."""
    names = [f"l{i:02}" for i in range(count - 1)] + ["zz-release"]
    return pod("u1", **dict.fromkeys(names, value), **PLACED, **more)


def test_labels_that_kubernetes_puts_on_pods_are_attributes_as_in_aws_controller() -> None:
    found = endpoint(pod("u1", **PLACED), color="blue")
    assert found.dropped == ()
    assert found.attributes == {
        **PLACED,
        "version": "blue",
        "color": "blue",
        ep.IPV4: "10.0.0.2",
        ep.POD: "pod-u1",
        ep.NAMESPACE: "demo",
        ep.PORT: "8080",
        ep.MESH: "demo",
        ep.VIRTUAL_NODE: "blue_demo",
        "REGION": ZONE[0],
        "AVAILABILITY_ZONE": ZONE[1],
        ep.OWNER: "prod",
        ep.CLUSTER: "a",
        ep.POD_UID: "u1",
    }


@pytest.mark.parametrize(
    ("count", "dropped"),
    [
        (15, ()),
        (16, ("topology.kubernetes.io/zone",)),
        (17, ep.PLACED),
        (18, (*ep.PLACED, "zz-release")),  # of labels that say something new the last by alphabet
    ],
)
def test_they_are_the_first_for_which_there_is_no_room(count: int, dropped: tuple[str, ...]) -> None:
    found = endpoint(labelled(count))
    assert sorted(found.dropped) == sorted(dropped)
    assert len(found.attributes) + 1 == ep.MAX_ATTRIBUTES, "with the initial health"
    assert found.attributes["version"] == "blue"
    assert (found.attributes["REGION"], found.attributes["AVAILABILITY_ZONE"]) == ZONE


def test_of_characters_too_and_a_node_that_asks_for_one_as_its_own_attribute_keeps_it() -> None:
    found = endpoint(labelled(5, value="v" * 1_000), **{ep.PLACED[1]: "here"})
    assert found.attributes[ep.PLACED[1]] == "here", "a virtual node's own attributes stand before labels"
    assert ep.PLACED[0] not in found.dropped, "short ones still fit where a long one did not"
    assert found.dropped == ("zz-release",)


def test_many_short_labels_are_all_kept() -> None:
    found = endpoint(labelled(12, value="v" * 60))
    assert found.dropped == ()
    assert found.attributes.keys() >= {*ep.PLACED, "zz-release", "l00"}


@pytest.mark.parametrize("label", ["k" * 256, "k"])
def test_what_cloud_map_takes_at_no_price_is_dropped_alone(label: str) -> None:
    found = endpoint(pod("u1", **{label: "v" * (1 if len(label) > 1 else 1_025)}, **PLACED))
    assert found.dropped == (label,)


@pytest.mark.parametrize(
    "label",
    ["AWS_INSTANCE_IPV6", "AWS_ALIAS_DNS_NAME", "AWS_EC2_INSTANCE_ID", "AWS_INSTANCE_CNAME", "AWS_ANYTHING", "REGION", "AVAILABILITY_ZONE"],
)
def test_a_label_in_a_name_that_cloud_map_keeps_is_no_attribute(label: str) -> None:
    found = endpoint(pod("u1", **{label: "evil"}))
    assert found.dropped == (label,)
    assert found.attributes.get(label) != "evil"


@pytest.mark.parametrize(("label", "value"), [("k y", "v"), ("ü", "v"), ("k", "ü"), ("k", " v"), ("k", "v\n"), ("k\x1b", "v")])
def test_a_label_outside_cloud_maps_patterns_is_dropped_and_the_pod_registered(label: str, value: str) -> None:
    found = endpoint(pod("u1", **{label: value}))
    assert (found.dropped, label in found.attributes) == ((label,), False)


def test_an_empty_label_is_an_attribute_as_in_aws_controller() -> None:
    assert endpoint(pod("u1", k="")).attributes["k"] == ""


@pytest.mark.parametrize(("pods", "labels"), [(1, 250), (10, 250), (300, 40), (1, 2_500)])
def test_what_is_said_of_dropped_labels_is_short_whatever_they_are(pods: int, labels: int) -> None:
    many = {f"l{i:05}{'x' * 200}": "v" for i in range(labels)}
    each = [pod(f"u{i:03}", **many, **{f"own{i}" + "y" * 200: "v"}) for i in range(pods)]
    plan = decide(context(), seen("a", *each), seen("b"), registry=service())
    assert len(plan.actions) == pods
    assert 0 < len(msgspec.json.encode(plan.notes)) < 10_000
    assert f"and {labels + 1 + 1 - 5:,} more" in plan.notes[0] or "more" in plan.notes[0]


def test_pods_alike_are_told_of_once() -> None:
    many = {f"l{i:02}": "v" for i in range(40)}
    plan = decide(context(), seen("a", *(pod(f"u{i}", **many) for i in range(9))), seen("b"), registry=service())
    (note,) = plan.notes
    assert note.startswith("demo/pod-u0 of a and 8 more like it: labels l")
    assert note.endswith("more left out to fit Cloud Map's attribute limits")
