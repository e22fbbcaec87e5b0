"""Fifteen single faults, each broken alone in the world, found by the deployed canary and named rightly: the fault and nothing else.

The application is paused, so that nothing is healed before it is diagnosed. Before each fault the world is without findings.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import pytest
from crossmesh import codec
from crossmesh.cli import main
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.diagnosis.outliers import OutlierReview
from crossmesh.core.registry.plan import ManualOverrides

from tests.e2e.conftest import Deployed
from world.application import NAMESPACE
from world.aws.clients import client, environment
from world.aws.seed import close_port, seed
from world.clusters.client import wait_for
from world.deploy import ROOT, deploy

pytestmark = [pytest.mark.e2e, pytest.mark.long]

REQUESTS = 24
ROUTER = {"meshName": "appmesh-demo", "virtualRouterName": "colorapp_appmesh-demo"}
SECURE = """
  front-secure:
    url: https://shop.example.test
    path: /color
    requests: 4
"""


@pytest.fixture(scope="module")
def paused(deployed: Deployed) -> Iterator[Deployed]:
    """The world with a second canary that asks over TLS, and with an application that may open ports."""
    deployed.heal()
    edited = deployed.world.dir / "config-canaries"
    shutil.copytree(ROOT / "config", edited, dirs_exist_ok=True)
    file = edited / "crossmesh.yaml"
    text = file.read_text().replace("policy:", f"{SECURE.strip(chr(10))}\npolicy:").replace("security_groups: check", "security_groups: open")
    file.write_text(text)
    ec2, groups = client(deployed.world.document, "ec2"), seed(deployed.world.document)["groups"]
    ec2.create_tags(Resources=list(groups.values()), Tags=[{"Key": "crossmesh:owner", "Value": "demo"}])
    deploy(deployed.world.document, config=edited, Mode="apply", Schedule="DISABLED", SecurityGroups="open")
    deployed.app.look(90)
    try:
        yield deployed
    finally:
        pause(deployed, on=False)
        deploy(deployed.world.document, Mode="apply", Schedule="DISABLED")
        deployed.heal()


def pause(here: Deployed, *, on: bool) -> None:
    """As `crossmesh pause` and `resume` write it."""
    value = codec.encode(ManualOverrides(paused=time.time() if on else 0.0))
    item = {"id": {"S": "document/operator"}, "value": {"B": value}}
    here.app.table.put_item(TableName=here.app.outputs["StateTable"], Item=item)


def forget_verdicts(here: Deployed) -> None:
    """What the canaries said of the fault before; their rounds stay."""
    for name in ("front-color", "front-secure"):
        data = here.app.document_of(f"canary/{name}")
        if data:
            value = codec.encode(msgspec.structs.replace(codec.decode(data, CanaryHistory), last=None))
            item = {"id": {"S": f"document/canary/{name}"}, "value": {"B": value}}
            here.app.table.put_item(TableName=here.app.outputs["StateTable"], Item=item)


def broken_layers(verdict: Verdict) -> list[str]:
    """What is broken, behind the pause, which is told first."""
    first, *keys = [d.key for d in verdict.diagnoses or ()]
    assert first == "ordered:pause"
    return keys


def colour(here: Deployed, name: str) -> tuple[str, str]:
    """(instance id, pod) of a colour."""
    return next((i, a["k8s.io/pod"]) for i, a in here.app.instances().items() if a["color"] == name)


def service_id(here: Deployed, name: str = "colorapp") -> str:
    return str(next(s["Id"] for s in here.app.registry.list_services()["Services"] if s["Name"] == name))


@dataclass
class Broken:
    """What a fault must be named, and its fix; `ask`: with which canary it shows.

    `silent`: the probe brings no data. Only a scheduled run takes that for a verdict.
    """

    key: str
    says: tuple[str, ...]
    mend: Callable[[], object] = lambda: None
    ask: str = "front-color"
    silent: bool = False


def dead_pod(here: Deployed) -> Broken:
    instance, pod = colour(here, "blue")
    uid = here.colours.get("Pod", "appmesh-demo", pod)["metadata"]["uid"]
    here.colours.tell(f"pods/appmesh-demo/{pod}/kill")
    assert uid in instance
    return Broken(f"instance:{instance}", (instance, pod, "nobody listens"), lambda: here.colours.delete("Pod", "appmesh-demo", pod, grace=0))


def wrong_weight(here: Deployed) -> Broken:
    spec = here.app.mesh.describe_route(**ROUTER, routeName="color-route")["route"]["spec"]
    wrong = json.loads(json.dumps(spec))
    wrong["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 0
    here.app.mesh.update_route(**ROUTER, routeName="color-route", spec=wrong)
    wait_for(lambda: len(here.app.mix(12)) == 1, 20, "one colour only")
    return Broken("mesh:route colorapp_appmesh-demo/color-route in appmesh-demo", ("not as declared", "weight: found 0, declared 1"))


def route_deleted(here: Deployed) -> Broken:
    here.app.mesh.delete_route(**ROUTER, routeName="color-route")
    wait_for(lambda: not {"blue", "red"} & here.app.mix(4).keys(), 20, "no colour")
    return Broken("mesh:route colorapp_appmesh-demo/color-route in appmesh-demo", ("is missing",))


def port_closed(here: Deployed) -> Broken:
    close_port(here.world.document, "eksc2", "eksc1", 8080)
    time.sleep(1.2)  # the emulated network reads its rules once a second
    here.app.tell("dataplane", "envoy/kill")  # connections that stand are not cut by a rule, here as on AWS
    wait_for(lambda: any("upstream connect error" in body for body in here.app.mix(4)), 20, "connections to be refused")
    here.front.wait_ready("appmesh-demo", "app=front", 1)
    return Broken("network:eksc1→eksc2:8080", ("port 8080 of eksc2 is closed to eksc1",))  # the application opens it when it may again


def no_targets(here: Deployed) -> Broken:
    here.app.tell("dataplane", "targets", {"detached": True})
    wait_for(lambda: here.app.get()[0] == 503, 10, "a load balancer without targets")
    time.sleep(1.2)  # the load balancer is described once a second
    return Broken("targets:", ("has no target", "1 front pods are ready"), lambda: here.app.tell("dataplane", "targets", {"detached": False}))


def no_sidecar(here: Deployed) -> Broken:
    spec = here.front.get("Deployment", "appmesh-demo", "front")["spec"]["template"]["spec"]
    (app, envoy) = spec["containers"]
    here.front.patch("Deployment", "appmesh-demo", "front", {"spec": {"template": {"spec": {"containers": [app]}}}})
    (pod,) = rolled(here, 1)

    def mend() -> None:
        here.front.patch("Deployment", "appmesh-demo", "front", {"spec": {"template": {"spec": {"containers": [app, envoy]}}}})
        rolled(here, 2)

    return Broken(f"sidecar:{pod}", ("has no sidecar",), mend)


def rolled(here: Deployed, containers: int) -> list[str]:
    """Names of the front pods once all have so many containers."""

    def there() -> list[str]:
        pods = here.front.items("Pod", "appmesh-demo", "app=front")
        ready = here.front.ready_pods("appmesh-demo", "app=front")
        same = len(pods) == len(ready) == 1 and len(ready[0]["spec"]["containers"]) == containers
        return [pod["metadata"]["name"] for pod in ready] if same else []

    found: list[str] = wait_for(there, 20, "the new front pod")
    return found


def slow_colour(here: Deployed) -> Broken:
    instance, pod = colour(here, "red")
    here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {"delay_ms": 1200})
    return Broken(f"instance:{instance}", ("is slow", "colorapp-red"), lambda: here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {}))


def error_body(here: Deployed) -> Broken:
    instance, pod = colour(here, "red")
    here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {"status": 503, "body": "broken"})
    assert here.app.get()[0] == 200, "status codes hide it"
    return Broken(f"instance:{instance}", ("answers 503",), lambda: here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {}))


def name_gone(here: Deployed) -> Broken:
    host = here.front.get("Service", "appmesh-demo", "front")["status"]["loadBalancer"]["ingress"][0]["hostname"]
    here.app.tell("dataplane", "dns", {"remove": host})
    return Broken(f"dns:{host}", ("does not resolve",), lambda: here.app.tell("dataplane", "dns", {"restore": True}))


def namespace_gone(here: Deployed) -> Broken:
    for service in here.app.registry.list_services()["Services"]:
        for instance in here.app.registry.list_instances(ServiceId=service["Id"])["Instances"]:
            here.app.registry.deregister_instance(ServiceId=service["Id"], InstanceId=instance["Id"])
        wait_for(lambda s=service: not here.app.instances(s["Name"]), 10, "an empty service")  # type: ignore[misc]
        here.app.registry.delete_service(Id=service["Id"])
    place = next(n["Id"] for n in here.app.registry.list_namespaces()["Namespaces"] if n["Name"] == NAMESPACE)
    here.app.registry.delete_namespace(Id=place)
    wait_for(lambda: not here.app.registry.list_namespaces()["Namespaces"], 10, "no namespace")
    wait_for(lambda: not {"blue", "red"} & here.app.mix(4).keys(), 20, "no colour")
    return Broken(f"namespace:{NAMESPACE}", ("does not exist",), lambda: seed(here.world.document))


def cluster_dark(here: Deployed) -> Broken:
    here.front.tell("dark", {"on": True})
    return Broken("cluster:eksc1", ("eksc1 is unseen",), lambda: here.front.tell("dark", {"on": False}), silent=True)


def envoy_dead(here: Deployed) -> Broken:
    (pod,) = [p["metadata"]["name"] for p in here.front.ready_pods("appmesh-demo", "app=front")]
    here.app.tell("dataplane", "envoy/stop")
    wait_for(lambda: not here.front.ready_pods("appmesh-demo", "app=front"), 10, "the kubelet to notice")

    def mend() -> None:
        here.app.tell("dataplane", "envoy/start")
        here.front.wait_ready("appmesh-demo", "app=front", 1)

    return Broken(f"sidecar:{pod}", ("sidecar of pod", "is not ready"), mend)


def certificate_expired(here: Deployed) -> Broken:
    here.app.tell("dataplane", "certificate", {"days": -1})
    mend = lambda: here.app.tell("dataplane", "certificate", {"days": 90})  # noqa: E731
    return Broken("certificate:https://shop.example.test", ("has expired",), mend, ask="front-secure")


def wrong_service(here: Deployed) -> Broken:
    (pod,) = here.front.ready_pods("appmesh-demo", "app=front")
    stray = {"AWS_INSTANCE_IPV4": pod["status"]["podIP"], "AWS_INSTANCE_PORT": "8080", "color": "red"}
    service = service_id(here)
    here.app.registry.register_instance(ServiceId=service, InstanceId="stray", Attributes=stray)
    wait_for(lambda: any(body not in ("blue", "red") for body in here.app.mix(6)), 20, "answers of the wrong program")

    def mend() -> None:
        here.app.registry.deregister_instance(ServiceId=service, InstanceId="stray")
        wait_for(lambda: "stray" not in here.app.instances(), 10, "the stray to go")

    return Broken("instance:stray", ("wrong service", pod["metadata"]["name"]), mend)


def permission_missing(here: Deployed) -> Broken:
    iam, functions = client(here.world.document, "iam"), client(here.world.document, "lambda")
    role = next(r["RoleName"] for r in iam.list_roles()["Roles"] if "ProbeFront" in r["RoleName"])
    probe = next(f["FunctionName"] for f in functions.list_functions()["Functions"] if "ProbeFront" in f["FunctionName"])
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "eks:DescribeCluster", "Resource": "*"}]}

    def started_anew() -> None:
        """A warm function knows its clusters still."""
        functions.update_function_configuration(FunctionName=probe, Timeout=60)
        here.app.tell("aws", "verdicts", verb="DELETE")

    def mend() -> None:
        iam.delete_role_policy(RoleName=role, PolicyName="broken")
        started_anew()

    iam.put_role_policy(RoleName=role, PolicyName="broken", PolicyDocument=json.dumps(deny))
    started_anew()
    return Broken("permission:probe:eks:DescribeCluster", (role, "eks:DescribeCluster"), mend, silent=True)


FAULTS = (
    dead_pod,
    wrong_weight,
    route_deleted,
    port_closed,
    no_targets,
    no_sidecar,
    slow_colour,
    error_body,
    name_gone,
    namespace_gone,
    cluster_dark,
    envoy_dead,
    certificate_expired,
    wrong_service,
    permission_missing,
)


@contextlib.contextmanager
def broken(here: Deployed, fault: Callable[[Deployed], Broken]) -> Iterator[Broken]:
    """A fault for as long as the block lasts; paused meanwhile, healed afterwards."""
    pause(here, on=True)
    made = None
    try:
        made = fault(here)
        yield made
    finally:
        if made:
            made.mend()
        pause(here, on=False)
        here.app.hint()


def without_findings(here: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The world is well: `crossmesh doctor` finds nothing to be mended."""
    for name, value in environment(here.world.document).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_FILE", str(here.world.dir / "front.ca.pem"))
    wait_for(lambda: here.app.look(90).kind == "quiet" and here.app.mix(12).keys() == {"blue", "red"}, 60, "a well world")
    forget_verdicts(here)
    code = main(["doctor", "--json", "--skip", "rollouts", "--config", str(here.world.dir / "config-canaries")])
    told = capsys.readouterr().out
    assert code == 0, told


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_each_fault_alone_is_named_and_nothing_else_is_blamed(
    paused: Deployed, fault: Callable[[Deployed], Broken], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_findings(paused, capsys, monkeypatch)
    with broken(paused, fault) as made:
        verdict = paused.app.diagnosed(made.ask, REQUESTS, scheduled=made.silent)
        assert verdict.kind != "good", verdict.says
        assert verdict.diagnoses, verdict
        assert [key.startswith(made.key) for key in broken_layers(verdict)] == [True], verdict.diagnoses
        first = verdict.diagnoses[1]
        assert all(part in " ".join((first.what, *first.evidence)) for part in made.says), first
        assert first.fix


def test_a_port_that_was_closed_is_opened_by_a_rule_of_ours(paused: Deployed) -> None:
    """What the fault `port_closed` left behind: the run after its diagnosis opened the port again."""

    def owners() -> list[str]:
        groups = client(paused.world.document, "ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": ["eksc2-nodes"]}])
        rules = [rule for rule in groups["SecurityGroups"][0]["IpPermissions"] if rule["FromPort"] == 8080]
        return [pair.get("Description", "") for rule in rules for pair in rule["UserIdGroupPairs"]]

    wait_for(lambda: owners() == ["crossmesh:owner=demo"], 30, "the run to open the port")


def test_of_two_faults_both_are_named_the_first_on_the_path_first(paused: Deployed) -> None:
    with broken(paused, error_body) as one, broken(paused, route_deleted) as two:
        verdict = paused.app.diagnosed(requests=REQUESTS)
        assert broken_layers(verdict) == [two.key, one.key]


def test_a_dead_instance_is_marked_for_the_planner_until_it_answers_again_and_one_of_an_unseen_cluster_never(paused: Deployed) -> None:
    def marks() -> dict[str, OutlierReview]:
        data = paused.app.document_of("outliers")
        return codec.decode(data, dict[str, OutlierReview]) if data else {}

    instance, pod = colour(paused, "blue")
    paused.colours.tell("dark", {"on": True})
    paused.colours.tell(f"pods/appmesh-demo/{pod}/kill")
    told: Verdict = paused.app.diagnosed(requests=REQUESTS)
    assert [d.key for d in told.diagnoses or ()] == ["cluster:eksc2", f"instance:{instance}"]
    assert marks() == {}, "its cluster is not seen: that only alarms"
    paused.colours.tell("dark", {"on": False})
    paused.app.diagnosed(requests=REQUESTS)
    wait_for(lambda: set(marks()) == {instance}, 20, "the mark of the dead instance")  # the diagnosis is told before it is acted on
    assert marks()[instance].uid in instance
    paused.colours.delete("Pod", "appmesh-demo", pod, grace=0)
    paused.colours.wait_ready("appmesh-demo", "app=colorapp", 2)
    paused.app.look(90)
    wait_for(lambda: paused.app.pods() == paused.colour_pods(), 30, "the successor")
    wait_for(lambda: paused.app.mix(6).keys() <= {"blue", "red"}, 20, "colours only")
    paused.app.canary(requests=REQUESTS)
    wait_for(lambda: not marks(), 30, "the mark to end with its pod")
