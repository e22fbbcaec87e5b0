"""One hostile cluster or tenant harms nobody else: the pods of the others are registered in the promised time meanwhile."""

import time
from typing import Any

import pytest

from tests.e2e.conftest import Deployed
from tests.support.command_line import crossmesh

pytestmark = pytest.mark.e2e

PODS, SYSTEM = "/pods$", "/namespaces/kube-system$"
LIMIT = 25  # seconds: the 22 that a look waits for one cluster, and its connections
SOON = 10  # seconds in which a ready pod is registered; 5 in an account, and this machine does more than that at once
HOSTILE: dict[str, tuple[dict[str, Any], str, float]] = {
    "drips": ({"path": PODS, "drip": 0.5}, "timeout", LIMIT + SOON),
    "bombs": ({"path": PODS, "bomb": 400}, "too-large", SOON),
    "lies-in-its-uid": ({"path": SYSTEM, "swap": ['"uid":"[^"]*"', f'"uid":"{"u" * 700_000}"']}, "malformed", SOON),
    "lies-in-a-pods-uid": ({"path": PODS, "swap": ['"uid":"[^"]*"', '"uid":"eksc1.1"']}, "malformed", SOON),
    "lies-in-its-version": ({"path": PODS, "swap": ['"resourceVersion": ?"[^"]*"', f'"resourceVersion":"{"9" * 5_000}"']}, "cut", SOON),
    "lies-in-a-label": ({"path": PODS, "swap": ['"version":"', f'"version":"{"v" * 900_000}']}, "malformed", SOON),
    "over-fills": ({"path": PODS, "fill": 300}, "too-large", SOON),
}


def registered(here: Deployed) -> float:
    """A second front becomes ready: the seconds until it is registered."""
    here.front.scale("appmesh-demo", "front", 2)
    names = {pod["metadata"]["name"] for pod in here.front.wait_ready("appmesh-demo", "app=front", 2)}
    began = time.monotonic()
    here.app.hint()
    here.app.wait_pods(names, "front", 60)
    return time.monotonic() - began


@pytest.fixture(autouse=True)
def one_front(here: Deployed) -> Any:
    """Before and after each test."""
    yield
    here.front.scale("appmesh-demo", "front", 1)
    here.front.wait_ready("appmesh-demo", "app=front", 1)


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_cluster_takes_no_time_and_no_pod_of_the_other(here: Deployed, how: str) -> None:
    rule, cause, most = HOSTILE[how]
    before = here.app.instances()
    here.colours.tell("faults", rule)
    took = registered(here)
    print(f"{how}: the other cluster's pod was registered after {took:.1f} s")
    assert took < most
    assert here.app.instances() == before
    code, found = crossmesh(here, "status")
    unseen = [problem for problem in found["problems"] if problem.startswith("cluster ")]
    assert code == 3
    assert [problem.partition(": ")[2].partition(":")[0] for problem in unseen] == [cause], unseen
    assert unseen[0].startswith("cluster eksc2 is unseen")
    here.colours.tell("faults", verb="DELETE")
    assert not [line for line in here.app.look(90).clusters if line.cause]


def test_a_pod_with_250_long_labels_is_registered_like_all_others(here: Deployed) -> None:
    before = here.app.instances()
    labels = {f"{'l' * 58}{n:05}": "v" * 63 for n in range(250)} | {"app": "colorapp", "version": "blue"}
    spec = here.colours.get("Deployment", "appmesh-demo", "colorapp-blue")["spec"]["template"]["spec"]
    many = {"name": "many", "namespace": "appmesh-demo", "labels": labels}
    here.colours.apply({"kind": "Pod", "apiVersion": "v1", "metadata": many, "spec": spec})
    try:
        here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
        took = registered(here)
        assert took < SOON
        here.app.wait_pods(here.colour_pods())
        assert before.items() <= here.app.instances().items()
        assert all(len(attributes) <= 30 for attributes in here.app.instances().values())
    finally:
        here.colours.delete("Pod", "appmesh-demo", "many", grace=0)


def test_a_deployment_that_passes_for_aws_controller_in_a_tenants_namespace_stops_nobody(here: Deployed) -> None:
    """With the labels of AWS's Helm chart, its service account and a ready pod."""
    labels = {"app.kubernetes.io/name": "appmesh-controller"}
    pod = {"serviceAccountName": "appmesh-controller", "containers": [{"name": "controller", "image": "feapp"}]}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    item = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "appmesh-controller", "namespace": "team", "labels": labels}}
    for cluster in (here.front, here.colours):
        cluster.apply({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "team"}})
        cluster.apply({**item, "spec": spec})
        cluster.wait_ready("team", "app.kubernetes.io/name=appmesh-controller", 1)
    try:
        took = registered(here)
        assert took < SOON
        here.front.scale("appmesh-demo", "front", 1)
        names = {found["metadata"]["name"] for found in here.front.wait_ready("appmesh-demo", "app=front", 1)}
        here.app.hint()
        here.app.wait_pods(names, "front", SOON)
        assert not [problem for problem in crossmesh(here, "status")[1]["problems"] if "controller" in problem]
    finally:
        for cluster in (here.front, here.colours):
            cluster.delete("Deployment", "team", "appmesh-controller")
