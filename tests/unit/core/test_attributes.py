"""A pod's labels as attributes: those of AWS's controller, every label; where Cloud Map's budget leaves no room, what says least goes first."""

import msgspec
import pytest
from crossmesh.core import endpoints as ep
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.views import Pod, Seen

from tests.builders import node, pod

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
