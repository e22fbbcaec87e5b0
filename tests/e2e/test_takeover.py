"""Taking over from AWS's App Mesh controller by docs/how-to/take-over.md, in a world of its own; its Cloud Map service was made with custom health.

The controller is its Deployment, its instances as it writes them, and the readiness gate that its webhook gives pods: there is no binary of it to run.
"""

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Deployed
from tests.support.command_line import crossmesh
from world.application import NAMESPACE, Application
from world.clusters.client import Cluster, apply, wait_for
from world.deploy import ROOT, deploy
from world.supervisor import running_world

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

GATE = "conditions.appmesh.k8s.aws/aws-cloudmap-healthy"
GONE = "10.255.0.9"  # address, and so id, of an instance whose pod is long gone
BY_HAND = {"AWS_INSTANCE_IPV4": "10.255.0.10", "AWS_INSTANCE_PORT": "8080"}


@pytest.fixture
def here() -> Iterator[Deployed]:
    """A world in which AWS's controller has done its work, and crossmesh observes."""
    with running_world("takeover", ROOT / ".world") as world:
        deploy(world.document, Mode="observe", Schedule="DISABLED")
        found = Deployed(world, Application(world), Cluster(world.document, "eksc1"), Cluster(world.document, "eksc2"))
        found.front.wait_ready("appmesh-demo", "app=front", 1)
        found.colours.wait_ready("appmesh-demo", "app=colorapp", 2)
        left_behind(found)
        yield found


def left_behind(here: Deployed) -> None:
    """The controller's Deployment, its service and instances: one a pod, one that it missed to remove, and one that somebody made by hand."""
    here.colours.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "appmesh-system"}})
    template = copy.deepcopy(here.colours.get("Deployment", "appmesh-demo", "colorapp-red")["spec"]["template"])
    labels = {"app.kubernetes.io/name": "appmesh-controller"}
    template["metadata"] = {"labels": labels}
    template["spec"]["serviceAccountName"] = "appmesh-controller"
    here.colours.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "appmesh-controller", "namespace": "appmesh-system", "labels": labels},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    registry = here.app.registry
    namespace = next(n["Id"] for n in registry.list_namespaces()["Namespaces"] if n["Name"] == NAMESPACE)
    records = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 300}]}
    service = registry.create_service(
        Name="colorapp", NamespaceId=namespace, DnsConfig=records, HealthCheckCustomConfig={"FailureThreshold": 1}
    )["Service"]["Id"]
    for pod in here.colours.ready_pods("appmesh-demo", "app=colorapp"):
        meta = pod["metadata"]
        written(here, service, meta["labels"]["version"], meta["name"], pod["status"]["podIP"])
    written(here, service, "blue", "colorapp-blue-gone", GONE)
    registry.register_instance(ServiceId=service, InstanceId="by-hand", Attributes=BY_HAND)
    wait_for(lambda: len(here.app.instances()) == 4, 20, "what the controller left")


def written(here: Deployed, service: str, colour: str, pod: str, address: str) -> None:
    """An instance as AWS's controller writes it: by its pod's address, with no word of the cluster."""
    attributes = {
        "AWS_INSTANCE_IPV4": address,
        "AWS_INSTANCE_PORT": "8080",
        "AWS_INIT_HEALTH_STATUS": "HEALTHY",
        "app": "colorapp",
        "version": colour,
        "k8s.io/namespace": "appmesh-demo",
        "k8s.io/pod": pod,
        "appmesh.k8s.aws/mesh": "appmesh-demo",
        "appmesh.k8s.aws/virtualNode": f"colorapp-{colour}_appmesh-demo",
    }
    here.app.registry.register_instance(ServiceId=service, InstanceId=address, Attributes=attributes)


def told(here: Deployed, config: Path) -> None:
    """Steps 2 and 4 of the runbook: what crossmesh.yaml says from then on."""
    shutil.copytree(ROOT / "config", config)
    file = config / "crossmesh.yaml"
    text = file.read_text().replace("  eksc2: {}\n", "  eksc2: {controller: injector-only}\n") + "readiness_gate: true\n"
    assert "injector-only" in text
    file.write_text(text)
    for cluster in ("eksc1", "eksc2"):
        apply(here.world.document, cluster, ROOT / "clusters/readiness-gate.yaml")
    deploy(here.world.document, config=config, Mode="apply", Schedule="DISABLED")


def mine(here: Deployed) -> set[str]:
    """Pods that crossmesh registered."""
    return {about["k8s.io/pod"] for about in here.app.instances().values() if "crossmesh/owner" in about}


def health(here: Deployed, pod: str) -> str:
    """Cloud Map's word on a pod's instance of ours."""
    service = next(s["Id"] for s in here.app.registry.list_services()["Services"] if s["Name"] == "colorapp")
    ident = next(i for i, about in here.app.instances().items() if about.get("k8s.io/pod") == pod and "crossmesh/owner" in about)
    return str(here.app.registry.get_instances_health_status(ServiceId=service, Instances=[ident])["Status"][ident])


def gated(here: Deployed, colour: str) -> Any:
    """A new pod of a colour, with the controller's readiness gate; its name once its containers are ready."""
    body = {"spec": {"template": {"spec": {"readinessGates": [{"conditionType": GATE}]}}}}
    before = {pod["metadata"]["name"] for pod in here.colours.items("Pod", "appmesh-demo", f"version={colour}")}
    here.colours.patch("Deployment", "appmesh-demo", f"colorapp-{colour}", body)

    def made() -> str:
        for pod in here.colours.items("Pod", "appmesh-demo", f"version={colour}"):
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions") or ()}
            if pod["metadata"]["name"] not in before and conditions.get("ContainersReady") == "True":
                assert conditions.get("Ready") != "True", "nobody has opened its gate"
                return str(pod["metadata"]["name"])
        return ""

    return wait_for(made, 30, "a pod whose gate is shut")


def test_the_runbook_takes_over_a_mesh_from_awss_controller(here: Deployed, tmp_path: Path) -> None:
    left = here.app.instances()
    assert here.app.look(120).kind == "observe"
    _, status = crossmesh(here, "status")
    assert any("appmesh-system/appmesh-controller" in text for text in [*status["problems"], *status.get("notes", ())]), status

    deploy(here.world.document, Mode="apply", Schedule="DISABLED")
    wait_for(lambda: here.app.look(120).kind != "observe", 60, "a look of the new mode")
    here.app.idle_all()
    assert here.app.instances() == left, "two writers never: that cluster's instances wait for injector-only"
    code, status = crossmesh(here, "status")
    assert code == 3
    assert any("injector-only" in problem for problem in status["problems"]), status

    shut = gated(here, "blue")
    told(here, tmp_path / "config")
    here.app.hint()
    wait_for(lambda: shut in mine(here), 60, "the pod behind the gate to be registered")
    wait_for(
        lambda: shut in {p["metadata"]["name"] for p in here.colours.ready_pods("appmesh-demo", "version=blue")}, 60, "its gate to be opened"
    )
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 2, seconds=60)
    pods = here.colour_pods()
    wait_for(lambda: here.app.look(60).kind == "quiet" and mine(here) == pods, 90, "ours beside theirs")
    assert {i for i in left if i in here.app.instances()} == set(left), "theirs stay until a person says so"

    assert crossmesh(here, "adopt", "--yes")[0] == 0
    wait_for(lambda: here.app.look(60).kind == "quiet" and len(here.app.instances()) == len(pods) + 1, 120, "theirs to leave")
    assert here.app.instances()["by-hand"].items() >= BY_HAND.items()
    assert mine(here) == pods

    red = next(pod for pod in pods if "red" in pod)
    assert health(here, red) == "HEALTHY"
    here.colours.scale("appmesh-demo", "colorapp-red", 2)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 3, seconds=60)
    here.colours.tell(f"pods/appmesh-demo/{red}/unready", {"on": True})
    here.app.hint()
    wait_for(lambda: health(here, red) == "UNHEALTHY", 60, "the unready pod's mark")
    here.colours.tell(f"pods/appmesh-demo/{red}/unready", {"on": False})
    here.app.hint()
    wait_for(lambda: health(here, red) == "HEALTHY", 60, "its mark to go")
    here.app.idle_all()
    here.app.look()
    assert crossmesh(here, "status", "--wait=60", "--config", str(tmp_path / "config"))[1]["problems"] == []
