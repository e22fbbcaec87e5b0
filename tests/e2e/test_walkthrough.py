"""The mission end to end: pods of both clusters in Cloud Map, routes as declared, requests answered as the routes promise."""

import json
import time
from fractions import Fraction
from typing import Any

import pytest
from crossmesh.core.canary.binomial import two_sided

from tests.e2e.conftest import Deployed
from world.clusters.client import wait_for
from world.deploy import ROOT, deploy

pytestmark = pytest.mark.e2e


def test_a_blue_pod_is_registered_with_exactly_the_walkthroughs_attributes(here: Deployed) -> None:
    pod = next(p for p in here.colours.ready_pods("appmesh-demo", "version=blue"))
    node = here.colours.get("Node", "", pod["spec"]["nodeName"])["metadata"]["labels"]
    (instance, attributes) = next((i, a) for i, a in here.app.instances().items() if a["color"] == "blue")
    assert instance == f"eksc2.{pod['metadata']['uid']}"
    assert attributes == {
        **pod["metadata"]["labels"],
        "color": "blue",
        "AWS_INSTANCE_IPV4": pod["status"]["podIP"],
        "AWS_INSTANCE_PORT": "8080",
        "AWS_INIT_HEALTH_STATUS": "HEALTHY",
        "k8s.io/pod": pod["metadata"]["name"],
        "k8s.io/namespace": "appmesh-demo",
        "appmesh.k8s.aws/mesh": "appmesh-demo",
        "appmesh.k8s.aws/virtualNode": "colorapp-blue_appmesh-demo",
        "REGION": "us-east-1",
        "AVAILABILITY_ZONE": node["topology.kubernetes.io/zone"],
        "crossmesh/owner": "demo",
        "crossmesh/cluster": "eksc2",
        "crossmesh/pod-uid": pod["metadata"]["uid"],
    }


def test_requests_come_in_the_routed_proportion(here: Deployed) -> None:
    wait_for(lambda: here.app.mix(4).keys() == {"blue", "red"}, 30, "both colours")
    counts = here.app.mix(300)
    assert set(counts) == {"blue", "red"}
    assert two_sided(counts["blue"], 300, 0.5) > 0.001


def test_a_quiet_look_writes_nothing_and_calls_are_really_counted(here: Deployed) -> None:
    def quiet() -> list[dict[str, Any]] | None:
        """The calls of one quiet look. Until what changed last has settled, a look is not quiet, or lists the instances again."""
        here.app.calls(reset=True)
        if here.app.look().kind != "quiet":
            return None
        calls: list[dict[str, Any]] = here.app.calls()["calls"]
        return calls if not [entry for entry in calls if entry["operation"] == "ListInstances"] else None

    calls = wait_for(quiet, 180, "a quiet look that lists nothing")
    counted = {entry["operation"]: entry["count"] for entry in calls if "LookFunction" in entry["principal"]}
    assert counted["DiscoverInstancesRevision"] == 2  # one a service: the reads of a quiet look
    written = ("Register", "Deregister", "Create", "Update", "Delete", "Tag")
    assert not [entry for entry in calls if entry["operation"].startswith(written)]


def test_a_pod_comes_and_goes_and_the_registry_follows(here: Deployed) -> None:
    here.colours.scale("appmesh-demo", "colorapp-blue", 4)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 5)
    here.app.hint()
    here.app.wait_pods(here.colour_pods())
    here.colours.scale("appmesh-demo", "colorapp-blue", 1)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 2)
    here.app.hint()
    here.app.wait_pods(here.colour_pods(), seconds=60)


@pytest.mark.parametrize("how", ["lost", "bogus", "altered"])
def test_drift_behind_our_back_is_repaired_without_any_pod_event(here: Deployed, how: str) -> None:
    service = next(s["Id"] for s in here.app.registry.list_services()["Services"] if s["Name"] == "colorapp")
    before = here.app.instances()
    instance, attributes = next(iter(before.items()))
    if how == "lost":
        here.app.registry.deregister_instance(ServiceId=service, InstanceId=instance)
    elif how == "bogus":
        ghost = {**attributes, "crossmesh/pod-uid": "0000", "k8s.io/pod": "nobody", "AWS_INSTANCE_IPV4": "127.2.200.1"}
        here.app.registry.register_instance(ServiceId=service, InstanceId="eksc2.0000", Attributes=ghost)
    else:
        here.app.registry.register_instance(ServiceId=service, InstanceId=instance, Attributes={**attributes, "color": "mauve"})
    wait_for(lambda: here.app.instances() != before, 20, "the drift to show")
    here.app.look()
    wait_for(lambda: here.app.instances() == before, 30, "the registry as before")


def test_instances_of_others_are_left_alone(here: Deployed) -> None:
    service = next(s["Id"] for s in here.app.registry.list_services()["Services"] if s["Name"] == "colorapp")
    foreign = {"AWS_INSTANCE_IPV4": "10.9.9.9", "AWS_INSTANCE_PORT": "8080", "ECS_TASK": "x"}
    other = {**foreign, "crossmesh/owner": "somebody-else", "crossmesh/cluster": "eksc2", "crossmesh/pod-uid": "u"}
    for name, attributes in (("ecs-task-1", foreign), ("eksc2.u", other)):
        here.app.registry.register_instance(ServiceId=service, InstanceId=name, Attributes=attributes)
    try:
        here.colours.delete("Pod", "appmesh-demo", next(iter(here.colour_pods())))
        here.colours.wait_ready("appmesh-demo", "app=colorapp", 2)
        here.app.look()
        wait_for(lambda: here.colour_pods() <= here.app.pods(), 30, "our own pods registered")
        found = here.app.instances()
        assert found["ecs-task-1"] == foreign
        assert found["eksc2.u"] == other
    finally:
        for name in ("ecs-task-1", "eksc2.u"):
            here.app.registry.deregister_instance(ServiceId=service, InstanceId=name)
        wait_for(lambda: not {"ecs-task-1", "eksc2.u"} & here.app.instances().keys(), 20, "the foreign ones to go")


def test_a_route_deleted_or_changed_by_hand_is_back_as_declared(here: Deployed) -> None:
    router = {"meshName": "appmesh-demo", "virtualRouterName": "colorapp_appmesh-demo"}

    def spec() -> Any:
        try:
            return here.app.mesh.describe_route(**router, routeName="color-route")["route"]["spec"]
        except here.app.mesh.exceptions.NotFoundException:
            return None

    # A hint's look passes the mesh over while the registry has changes of its own, so one look may not be enough.
    declared = spec()
    here.app.mesh.delete_route(**router, routeName="color-route")
    wait_for(lambda: here.app.look() and spec() == declared, 60, "the deleted route as declared")
    wrong = json.loads(json.dumps(declared))
    wrong["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 100
    here.app.mesh.update_route(**router, routeName="color-route", spec=wrong)
    wait_for(lambda: here.app.look() and spec() == declared, 60, "the changed route as declared")


def test_a_changed_manifest_moves_the_mix_and_the_canarys_expectation(here: Deployed) -> None:
    edited = here.world.dir / "config"
    file = edited / "mesh" / "colorapp.yaml"
    import shutil

    shutil.copytree(ROOT / "config", edited, dirs_exist_ok=True)
    text = file.read_text()
    file.write_text(text.replace("name: colorapp-red\n              weight: 1", "name: colorapp-red\n              weight: 4"))
    assert file.read_text() != text
    try:
        deploy(here.world.document, config=edited, Mode="apply", Schedule="DISABLED")
        here.app.look(90)
        here.app.settled()
        counts = here.app.mix(200)
        assert two_sided(counts["blue"], 200, 0.2) > 0.001
        last = here.app.canary(requests=200).last
        assert last is not None
        assert last.kind == "good", last.says
        assert Fraction(last.expected["colorapp-red_appmesh-demo"]) == Fraction(4, 5)
    finally:
        deploy(here.world.document, Mode="apply", Schedule="DISABLED")


def test_observe_mode_writes_nothing(here: Deployed) -> None:
    try:
        deploy(here.world.document, Mode="observe", Schedule="DISABLED")
        here.colours.scale("appmesh-demo", "colorapp-red", 2)
        here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
        here.app.calls(reset=True)
        looked = here.app.look(90)
        assert (looked.kind, looked.adds) == ("observe", 1)
        assert "RegisterInstance" not in {entry["operation"] for entry in here.app.calls()["calls"]}
    finally:
        deploy(here.world.document, Mode="apply", Schedule="DISABLED")


def test_a_tick_of_the_schedule_looks_without_any_hint(here: Deployed) -> None:
    """The only test that waits for a real tick: the schedule is switched on, watched for at most two periods, and switched off."""
    here.colours.scale("appmesh-demo", "colorapp-blue", 2)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    here.app.schedule("Look", on=True)
    try:
        began = time.monotonic()
        here.app.wait_pods(here.colour_pods(), seconds=125)
        assert time.monotonic() - began <= 125
    finally:
        here.app.schedule("Look", on=False)
