"""Hints by the watchers alone, and what happens without them. Nobody else hints here, and the schedule is off but where it is the point."""

import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Deployed
from world.aws.clients import client_as
from world.clusters.client import wait_for
from world.deploy import install_watchers, scale_watchers, watcher_ready

pytestmark = pytest.mark.e2e


@pytest.fixture
def watched(here: Deployed) -> Iterator[Deployed]:
    """The world with a watcher in each cluster, its first hints long done."""
    install_watchers(here.world.document)
    scale_watchers(here.world.document, 1)
    time.sleep(1.5)
    here.app.idle_all()
    yield here
    scale_watchers(here.world.document, 0)


def test_a_pod_is_registered_and_a_deleted_one_gone_by_the_watchers_hint_alone(watched: Deployed) -> None:
    watched.colours.scale("appmesh-demo", "colorapp-blue", 2)
    pods = watched.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    watched.app.wait_pods({pod["metadata"]["name"] for pod in pods})
    watched.app.idle_all()
    victim = pods[0]["metadata"]["name"]
    watched.colours.delete("Pod", "appmesh-demo", victim)
    wait_for(lambda: victim not in watched.app.pods(), 30, f"{victim} to be gone")
    watched.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    watched.app.wait_pods(watched.colour_pods())


def test_a_storm_of_pods_costs_a_hint_a_second_and_ends_exact(watched: Deployed) -> None:
    def sent() -> int:
        files = (watched.world.dir / "logs").glob("crossmesh-watcher-eksc2.log")
        return sum(file.read_text().count('"hint sent"') for file in files)

    before, began = sent(), time.monotonic()
    watched.colours.scale("appmesh-demo", "colorapp-blue", 30)
    watched.colours.wait_ready("appmesh-demo", "app=colorapp", 31, 60)
    watched.app.wait_pods(watched.colour_pods(), seconds=60)
    took = time.monotonic() - began
    assert 1 <= sent() - before <= took + 2


def test_a_watcher_that_is_killed_comes_back_and_catches_up(watched: Deployed) -> None:
    pod = watched.colours.items("Pod", "crossmesh", "app=crossmesh-watcher")[0]["metadata"]["name"]
    watched.colours.tell(f"pods/crossmesh/{pod}/kill")
    wait_for(lambda: not watcher_ready(watched.world.document, "eksc2"), 10, "the watcher to be dead")
    watched.colours.scale("appmesh-demo", "colorapp-red", 2)
    watched.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    watched.app.wait_pods(watched.colour_pods(), seconds=60)


def test_a_watcher_may_hint_and_nothing_else(watched: Deployed) -> None:
    """Its pod's own credentials, as the Pod Identity agent gives them."""
    import json
    import urllib.request

    uid = watched.colours.items("Pod", "crossmesh", "app=crossmesh-watcher")[0]["metadata"]["uid"]
    token = (watched.world.dir / "pods" / uid / "eks-pod-identity-token").read_text()
    request = urllib.request.Request(f"{watched.colours.control}/_world/credentials", headers={"Authorization": token})
    with urllib.request.urlopen(request, timeout=5) as answer:
        keys = json.load(answer)
    own = (keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])
    entry = {"Source": "crossmesh.watcher", "DetailType": "Pods changed", "Detail": "{}"}
    events = client_as(watched.world.document, "events", *own)
    assert events.put_events(Entries=[{**entry, "EventBusName": watched.app.outputs["HintBusArn"]}])["FailedEntryCount"] == 0
    with pytest.raises(ClientError, match="AccessDenied"):
        events.put_events(Entries=[{**entry, "EventBusName": "default"}])
    for other in (
        {"Source": "crossmesh.cli", "DetailType": "Canary requested"},
        {"DetailType": "Canary requested"},
        {"Source": "crossmesh.cli"},
    ):
        with pytest.raises(ClientError, match="AccessDenied"):  # it starts no canary
            events.put_events(Entries=[{**entry, **other, "EventBusName": watched.app.outputs["HintBusArn"]}])
    for service, call in (("servicediscovery", "list_services"), ("eks", "list_clusters"), ("dynamodb", "list_tables")):
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(client_as(watched.world.document, service, *own), call)()
