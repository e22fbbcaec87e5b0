"""A deployment's life as `sam` drives it: it only observes first, applies, is upgraded under a run, deleted, made again, drained; others beside it.

In a world of its own, for a first deployment is part of it. The same at every point of a run is tried in memory: tests/unit/steps/test_life_cycle.py.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from crossmesh.usecases import look

from tests.e2e.conftest import Deployed
from tests.support.command_line import crossmesh
from world.application import Application
from world.aws.clients import client
from world.clusters.client import Cluster, wait_for
from world.deploy import ROOT, deploy, remove
from world.supervisor import running_world

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]

REGISTRY_WRITES = {"RegisterInstance", "DeregisterInstance", "CreateService", "DeleteService", "UpdateService"}
OTHER = "second"  # the second stack, its Kubernetes namespace and its owner


@pytest.fixture
def empty() -> Iterator[Deployed]:
    """A world with nothing deployed; one a test, for tests run in any order."""
    with running_world("lifecycle", ROOT / ".world") as world:
        front, colours = Cluster(world.document, "eksc1"), Cluster(world.document, "eksc2")
        front.wait_ready("appmesh-demo", "app=front", 1)
        colours.wait_ready("appmesh-demo", "app=colorapp", 2)
        yield Deployed(world, None, front, colours)  # type: ignore[arg-type] # until `deployed`


def deployed(here: Deployed, **parameters: Any) -> dict[str, str]:
    """Deploy, with the schedule off: looks are asked for."""
    outputs = deploy(here.world.document, Schedule="DISABLED", **parameters)
    here.app = Application(here.world)
    return outputs


def writes(here: Deployed) -> set[str]:
    """What was written to Cloud Map and the mesh since the calls were last counted from zero, by whomever, whatever the answer."""
    reads = ("Describe", "Get", "List", "Discover")
    return {
        call["operation"]
        for call in here.app.calls()["calls"]
        if call["service"] in ("servicediscovery", "appmesh") and not call["operation"].startswith(reads)
    }


def registered(here: Deployed, attribute: str) -> set[str]:
    """That attribute of every instance."""
    return {attributes.get(attribute, "") for attributes in here.app.instances().values()}


def exact(here: Deployed) -> None:
    """Look until nothing is left to do; the registry is what the clusters run."""
    wait_for(lambda: here.app.look(120).kind == "quiet", 120, "a quiet look")
    assert here.app.pods() == here.colour_pods()


def edited(folder: Path, **attributes: str) -> Path:
    """The project's configuration with more attributes on the virtual nodes."""
    shutil.copytree(ROOT / "config", folder)
    file = folder / "mesh" / "colorapp.yaml"
    documents = list(yaml.safe_load_all(file.read_text()))
    for item in documents:
        if item["kind"] == "VirtualNode":
            item["spec"]["serviceDiscovery"]["awsCloudMap"]["attributes"] += [{"key": k, "value": v} for k, v in attributes.items()]
    file.write_text(yaml.safe_dump_all(documents))
    return folder


def test_it_observes_applies_is_upgraded_under_a_run_deleted_made_again_and_drained(empty: Deployed, tmp_path: Path) -> None:
    here = empty
    deployed(here, Mode="observe")
    here.app.calls(reset=True)
    looked = here.app.look(120)
    assert (looked.kind, looked.adds, writes(here)) == ("observe", 3, set())
    code, told = crossmesh(here, "status")
    assert code == 3
    assert any("Mode is observe" in problem for problem in told["problems"])

    deployed(here, Mode="apply")
    exact(here)

    upgraded_under_a_run(here, edited(tmp_path / "v2", release="v2"))
    assert registered(here, "release") == {"v2"}

    instances = here.app.instances()
    deleted(here)
    assert here.app.instances() == instances

    here.app.calls(reset=True)
    deployed(here, Mode="apply", config=tmp_path / "v2")
    exact(here)
    assert (writes(here) & REGISTRY_WRITES, here.app.instances()) == (set(), instances)

    assert crossmesh(here, "drain", "--yes")[0] == 0
    here.app.wait_pods(set(), seconds=60)
    here.app.idle_all()


def upgraded_under_a_run(here: Deployed, config: Path) -> None:
    """Deploy another configuration while a run registers slowly: it is superseded, and all is exact by the new one."""
    here.colours.scale("appmesh-demo", "colorapp-blue", 20)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 21)
    slow = {"service": "servicediscovery", "operation": "RegisterInstance", "throttle": {"rate": 0.3, "burst": 1}}
    here.app.tell("aws", "faults", [slow])
    here.app.hint()
    wait_for(lambda: len(here.app.instances()) > 3, 60, "the run to register")
    (run,) = here.app.states.list_executions(stateMachineArn=here.app.outputs["ReconcileArn"], statusFilter="RUNNING")["executions"]
    deployed(here, Mode="apply", config=config)
    old = {name for name, about in here.app.instances().items() if "release" not in about}
    assert len(old) < 21, "the run was still at work"
    wait_for(lambda: crossmesh(here, "explain", run["name"])[0] == 0, 90, "the run's report")
    assert crossmesh(here, "explain", run["name"])[1]["report"]["kind"] == "superseded"
    here.app.tell("aws", "faults", verb="DELETE")
    assert {name for name, about in here.app.instances().items() if "release" not in about} <= old, "no write of the old configuration"
    exact(here)


def deleted(here: Deployed) -> None:
    """`sam delete`: the stack is gone, bucket and table are still there. Then the table goes by hand, so that the next stack begins without memory.

    (On AWS it does anyway: it gets new names. The emulator would give it the same ones.)
    """
    remove(here.world.document)
    cloudformation = client(here.world.document, "cloudformation")
    with pytest.raises(cloudformation.exceptions.ClientError, match="does not exist"):
        cloudformation.describe_stacks(StackName=here.app.stack)
    assert client(here.world.document, "s3").list_objects_v2(Bucket=here.app.outputs["RunStore"])["KeyCount"] > 0
    assert here.app.document_of("run") is not None
    here.app.table.delete_table(TableName=here.app.outputs["StateTable"])


def test_another_owner_shares_the_service_and_of_the_same_one_both_stop_until_a_person_decides(empty: Deployed, tmp_path: Path) -> None:
    """A second stack with documents and pods of its own, registered in the same Cloud Map service."""
    here = empty
    deployed(here, Mode="apply")
    crossmesh(here, "resume")
    exact(here)
    green = settled_in(here)
    colours = here.colour_pods()

    deploy(here.world.document, stack=OTHER, Schedule="DISABLED", Owner=OTHER, config=configured(tmp_path / "own", OTHER))
    other = Application(here.world, OTHER)
    targets = [one["Target"]["Arn"].rpartition(":")[2] for one in client(here.world.document, "scheduler").list_schedules()["Schedules"]]
    assert sorted(targets) == sorted(f"{stack}-{kind}" for stack in (here.app.stack, OTHER) for kind in ("look", "canary")), "each has its own"
    wait_for(lambda: other.look(120).kind == "quiet", 120, "a quiet look of the other")
    assert here.app.pods() == colours | {green}
    assert registered(here, "crossmesh/owner") == {"demo", OTHER}
    here.app.idle_all()
    here.app.calls(reset=True)
    assert (here.app.look().kind, other.look().kind, writes(here)) == ("quiet", "quiet", set())

    deploy(here.world.document, stack=OTHER, Schedule="DISABLED", Owner="demo", config=configured(tmp_path / "same", "demo"))
    here.app.calls(reset=True)
    other.look(120)
    assert writes(here) == {"TagResource"}, "its word that it is there, and nothing else"
    named_in(here, OTHER)
    # The earlier one reads the tags with its lists, at the latest after 10 minutes; without the last lists it does so now.
    client(here.world.document, "s3").delete_object(Bucket=here.app.outputs["RunStore"], Key=look.REGISTRY)
    here.app.look(120)
    named_in(here, here.app.stack)
    here.app.calls(reset=True)
    here.colours.scale("appmesh-demo", "colorapp-red", 2)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", len(colours) + 1)
    here.app.look(120)
    assert (writes(here), here.app.pods()) == (set(), colours | {green}), "both have stopped"
    assert crossmesh(here, "resume", "colorapp.appmesh-demo.pvt.aws.local")[0] == 0
    here.app.wait_pods(here.colour_pods() | {green})


def named_in(here: Deployed, stack: str) -> None:
    """Its status names both deployments."""
    code, told = crossmesh(here, "status", "--stack", stack)
    named = [problem for problem in told["problems"] if "used by two deployments" in problem]
    assert (code, len(named) > 0) == (3, True), told
    assert all(f"us-east-1/{one}" in named[0] for one in (here.app.stack, OTHER))


def settled_in(here: Deployed) -> str:
    """A pod in the other's own namespace; its name."""
    for item in yaml.safe_load_all((ROOT / "world" / "walkthrough" / "eksc2.yaml").read_text().replace("appmesh-demo", OTHER)):
        if item["metadata"]["name"] in (OTHER, "colorapp-blue"):
            here.colours.apply(item)
    (pod,) = here.colours.wait_ready(OTHER, "app=colorapp", 1)
    return str(pod["metadata"]["name"])


def configured(folder: Path, owner: str) -> Path:
    """The other's configuration: one virtual node of its own namespace, and no mesh."""
    selected = {"matchLabels": {"mesh": OTHER}}
    place = {"namespaceName": "appmesh-demo.pvt.aws.local", "serviceName": "colorapp", "attributes": [{"key": "color", "value": "green"}]}
    node = {
        "podSelector": {"matchLabels": {"app": "colorapp"}},
        "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
        "serviceDiscovery": {"awsCloudMap": place},
    }
    kind = {"apiVersion": "appmesh.k8s.aws/v1beta2"}
    documents = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHER, "labels": {"mesh": OTHER}}},
        {**kind, "kind": "Mesh", "metadata": {"name": OTHER}, "spec": {"namespaceSelector": selected}},
        {**kind, "kind": "VirtualNode", "metadata": {"name": "colorapp-green", "namespace": OTHER}, "spec": node},
    ]
    (folder / "mesh").mkdir(parents=True)
    (folder / "mesh" / "all.yaml").write_text(yaml.safe_dump_all(documents))
    settings = {
        "owner": owner,
        "region": "us-east-1",
        "mesh": {"manifests": {"files": ["mesh/*.yaml"]}, "backend": "none"},
        "clusters": {"eksc1": {}, "eksc2": {}},
    }
    (folder / "crossmesh.yaml").write_text(yaml.safe_dump(settings))
    return folder
