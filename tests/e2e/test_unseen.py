"""Unknown is not empty: whatever a cluster's API does wrong, none of its instances goes, the other cluster goes on, and it heals by itself."""

import pytest

from tests.e2e.conftest import Deployed
from world.clusters.client import wait_for

pytestmark = pytest.mark.e2e

FAULTS = {
    "refuses-401": ({"path": "/pods", "code": 401}, {"refused"}),
    "refuses-403": ({"path": "/pods", "code": 403}, {"refused"}),
    "throttles": ({"path": "/pods", "code": 429, "retry_after": 1}, {"throttled"}),
    "breaks": ({"path": "/pods", "code": 500}, {"server-error"}),
    "hangs": ({"path": "/pods", "hang": True}, {"timeout"}),
    "cuts": ({"path": "/pods$", "cut": True}, {"cut"}),
    "drops": ({"path": "/pods", "drop": True}, {"cut", "unreachable"}),
    "lists-empty": ({"path": "/pods$", "empty_list": True}, {"list-incomplete"}),
    "lists-short": ({"path": "/pods$", "short_list": 2}, {"list-incomplete"}),
    "goes-back": ({"path": "/pods$", "stale": 50}, {"went-back"}),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_nothing_of_a_cluster_that_cannot_be_seen_is_removed(here: Deployed, name: str) -> None:
    rule, causes = FAULTS[name]
    before = here.app.instances()
    here.colours.tell("faults", rule)
    for _ in range(2):
        looked = here.app.look(90)
        unseen = {line.name: line.cause for line in looked.clusters if line.cause}
        assert set(unseen) == {"eksc2"}
        assert unseen["eksc2"] in causes
    assert here.app.instances() == before
    here.colours.tell("faults", verb="DELETE")
    assert not [line for line in here.app.look(90).clusters if line.cause]


def test_a_dark_cluster_does_not_freeze_the_other(here: Deployed) -> None:
    before = here.app.instances()
    here.colours.tell("dark", {"on": True})
    here.front.scale("appmesh-demo", "front", 2)
    try:
        here.front.wait_ready("appmesh-demo", "app=front", 2)
        names = {pod["metadata"]["name"] for pod in here.front.ready_pods("appmesh-demo", "app=front")}
        here.app.hint()
        here.app.wait_pods(names, service="front", seconds=60)
        assert here.app.instances() == before
    finally:
        here.front.scale("appmesh-demo", "front", 1)


def test_another_cluster_under_the_same_name_is_not_believed(here: Deployed) -> None:
    before = here.app.instances()
    old = here.colours.get("Namespace", "", "kube-system")["metadata"]["uid"]
    here.colours.tell("identity")
    try:
        looked = here.app.look()
        assert {line.name: line.cause for line in looked.clusters if line.cause} == {"eksc2": "identity"}
        assert here.app.instances() == before
    finally:
        here.colours.tell("identity", {"uid": old})


def test_an_evicted_pods_instance_and_one_on_a_dead_node_leave(here: Deployed) -> None:
    """Failed under restartPolicy Always is dead at once; Ready False beside ContainersReady True is unready, under the deletion guard."""
    red, blue = (here.colours.ready_pods("appmesh-demo", f"version={colour}")[0]["metadata"]["name"] for colour in ("red", "blue"))
    here.colours.tell(f"pods/appmesh-demo/{red}/evict")
    wait_for(lambda: len(here.colour_pods() - {red}) == 2, 20, "a pod in its place")
    here.app.hint()
    here.app.wait_pods(here.colour_pods(), seconds=60)
    assert red not in here.app.pods()
    here.colours.tell(f"pods/appmesh-demo/{blue}/lose")
    here.app.hint()
    wait_for(lambda: blue not in here.app.pods(), 60, "the instance of the pod whose node died to leave")
    for name in (red, blue):
        here.colours.delete("Pod", "appmesh-demo", name, grace=0)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 2)
    here.app.hint()
    here.app.wait_pods(here.colour_pods(), seconds=60)


def test_really_emptied_is_exact_after_the_second_listing(here: Deployed) -> None:
    """All pods of a colour vanish without ever being seen Terminating: held back once, then believed."""
    blue = [pod["metadata"]["name"] for pod in here.colours.ready_pods("appmesh-demo", "version=blue")]
    here.colours.patch("Deployment", "appmesh-demo", "colorapp-blue", {"spec": {"replicas": 0}})
    for name in blue:
        here.colours.delete("Pod", "appmesh-demo", name, grace=0)
    wait_for(lambda: not here.colours.items("Pod", "appmesh-demo", "version=blue"), 10, "no blue pod")
    looked = here.app.look()
    if looked.withheld_counts:  # never seen Terminating: the deletion guard asks for a second listing
        assert looked.withheld_counts == {"unconfirmed": 1}
        assert len(here.app.instances()) == 2
    here.app.wait_pods(here.colour_pods(), seconds=60)
