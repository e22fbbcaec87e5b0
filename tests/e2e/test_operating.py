"""What a person does: pause, resume, forget, drain, explain, replay — and what the application notices by itself."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Deployed
from tests.support.command_line import crossmesh, remove_repeatedly
from world.application import NAMESPACE
from world.aws.clients import client, environment
from world.clusters.client import wait_for
from world.deploy import ROOT

pytestmark = pytest.mark.e2e


def test_drift_is_noticed_by_its_cloudtrail_event_alone(here: Deployed) -> None:
    """No hint, no schedule: the DeregisterInstance of somebody else is the trigger; our own calls trigger nothing."""
    service = next(s["Id"] for s in here.app.registry.list_services()["Services"] if s["Name"] == "colorapp")
    before = here.app.instances()
    looked = here.app.last("look")
    assert looked is not None
    here.app.registry.deregister_instance(ServiceId=service, InstanceId=min(before))
    wait_for(lambda: here.app.instances() != before, 20, "the instance to be lost")
    began = time.monotonic()
    wait_for(lambda: here.app.instances() == before, 30, "the instance to be back")
    print(f"lost instance back after {time.monotonic() - began:.2f} s by the CloudTrail rule")
    time.sleep(3)
    after = here.app.last("look")
    time.sleep(5)
    still = here.app.last("look")
    assert after is not None
    assert still is not None
    assert still.at == after.at, "our own writes are no hints"


def test_writes_into_other_services_cost_no_look(here: Deployed) -> None:
    """What another tool registers in a service of its own ends at one question; a write into ours right after it is noticed."""
    registry = here.app.registry
    space = registry.list_namespaces()["Namespaces"][0]["Id"]
    theirs = registry.create_service(Name="of-a-stranger", NamespaceId=space, Type="HTTP")["Service"]["Id"]
    time.sleep(2)
    before = here.app.last("look")
    for n in range(12):
        registry.register_instance(ServiceId=theirs, InstanceId=f"i{n}", Attributes={"AWS_INSTANCE_IPV4": f"10.9.0.{n}"})
    time.sleep(6)
    after = here.app.last("look")
    assert before is not None
    assert after is not None
    assert after.at == before.at
    ours = next(s["Id"] for s in registry.list_services()["Services"] if s["Name"] == "colorapp")
    held = here.app.instances()
    registry.deregister_instance(ServiceId=ours, InstanceId=max(held))
    wait_for(lambda: (last := here.app.last("look")) is not None and last.at > before.at, 20, "a look for the write into ours")
    wait_for(lambda: here.app.instances() == held, 30, "the instance to be back")
    for n in range(12):
        registry.deregister_instance(ServiceId=theirs, InstanceId=f"i{n}")


def test_status_says_in_json_and_exit_code_whether_all_is_well(here: Deployed) -> None:
    wait_for(lambda: (verdict := here.app.canary().last) and verdict.kind == "good", 60, "a good canary")
    here.app.look()
    code, found = crossmesh(here, "status", "--wait=60")
    assert (code, found["ok"], found["problems"], found["state"]) == (0, True, [], "as declared")
    assert found["target"] == {**found["target"], "stack": here.app.stack, "region": "us-east-1", "owner": "demo", "mode": "apply"}
    here.colours.tell("dark", {"on": True})
    here.app.look()
    code, found = crossmesh(here, "status")
    assert code == 3
    assert "eksc2 is unseen" in found["problems"][0]


def words(here: Deployed, *arguments: str, folder: Path = ROOT) -> tuple[int, str, str]:
    """What a person reads: the exit code, stdout and stderr."""
    command = [sys.executable, "-m", "crossmesh.cli", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment(here.world.document)}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_person_in_the_wrong_folder_changes_nothing_and_sees_which_stack_it_was(here: Deployed, tmp_path: Path) -> None:
    line = f"{here.app.stack} · 111122223333/us-east-1 · owner demo · mode apply"
    code, out, err = words(here, "pause", folder=tmp_path)
    assert (code, out.startswith(line)) == (1, True), out + err
    assert "there is no crossmesh.yaml in config that says it is yours" in err
    shutil.copytree(ROOT / "config", tmp_path / "config")
    settings = tmp_path / "config" / "crossmesh.yaml"
    settings.write_text(settings.read_text().replace("owner: demo", "owner: shop-prod"))
    for verb in (("pause",), ("drain", "--yes"), ("shift", "colorapp", "--end", "--yes"), ("redrive", "--yes")):
        code, out, err = words(here, *verb, folder=tmp_path)
        assert (code, "its owner is 'demo'" in err) == (1, True), err
    for verb in ("plan", "doctor"):
        code, out, err = words(here, verb, folder=tmp_path)
        assert (code, "refusing to compare" in err, "deploy it" in out + err) == (1, True, False), err
    code, out, _ = words(here, "status", folder=tmp_path)
    assert (code, "the configuration here is not that of" in out) == (3, True), out
    assert here.app.look().kind == "quiet"
    assert words(here, "status", folder=ROOT)[1].startswith(line)


def test_status_is_green_only_once_it_is_known_what_a_run_did(here: Deployed) -> None:
    here.app.canary(requests=20)  # a verdict that is not stale
    here.colours.scale("appmesh-demo", "colorapp-blue", 2)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    here.app.hint()
    told: list[tuple[bool, str, int, int]] = []

    def green() -> bool:
        code, found = crossmesh(here, "status")
        told.append((found["ok"], found["state"], found["counts"]["registered"], found["counts"]["wanted"]))
        assert (code == 0) == found["ok"]
        if here.app.pods() == here.colour_pods():
            here.app.look()
        return bool(found["ok"]) and found["counts"]["wanted"] == 4  # three colours and the front

    wait_for(green, 60, "a green status")
    assert all(registered == wanted for ok, _, registered, wanted in told if ok), told
    assert {state for ok, state, *_ in told if not ok} <= {"converging", "not as declared"}, told


def test_a_plan_that_empties_a_virtual_node_shouts_and_stops_ci(here: Deployed, tmp_path: Path) -> None:
    """One letter wrong in a podSelector."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    for file in (tmp_path / "config" / "mesh").glob("*.yaml"):
        file.write_text(file.read_text().replace("version: blue", "version: bleu"))
    code, out, _ = words(here, "plan", "--config", str(tmp_path / "config"))
    assert code == 3
    assert "EMPTIES virtual node appmesh-demo/colorapp-blue (1 instance): no pod matches" in out
    assert "version is blue, not bleu" in out
    assert "1 to remove after confirmation" in out
    assert words(here, "plan", "--config", str(tmp_path / "config"), "--fail-on-removal")[0] == 1
    assert words(here, "plan", "--fail-on-removal")[0] == 0


def test_a_shift_to_nothing_is_refused(here: Deployed) -> None:
    assert here.app.canary(requests=60).last is not None
    here.colours.scale("appmesh-demo", "colorapp-red", 0)
    here.app.hint()
    wait_for(lambda: not any("red" in pod for pod in here.app.pods()), 60, "red to be gone")
    code, _, err = words(here, "shift", "colorapp", "--to", "colorapp-red=100", "--yes")
    assert (code, "colorapp-red would get 100 % and has no ready instance" in err) == (1, True), err
    code, _, err = words(here, "shift", "colorapp", "--to", "colorapp-blue=50,colorapp-blue=40", "--yes")
    assert (code, "stands twice" in err) == (2, True), err


def test_plan_shows_what_the_next_run_does_and_writes_nothing(here: Deployed) -> None:
    assert crossmesh(here, "plan")[0] == 0
    crossmesh(here, "pause")
    try:
        here.colours.scale("appmesh-demo", "colorapp-red", 2)
        here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
        here.app.calls(reset=True)
        code, found = crossmesh(here, "plan")
        assert code == 3
        assert [action["type"] for action in found["registry"]["actions"]] == ["register"]
        assert "RegisterInstance" not in {entry["operation"] for entry in here.app.calls()["calls"]}
    finally:
        crossmesh(here, "resume")


def test_paused_looks_but_applies_nothing(here: Deployed) -> None:
    crossmesh(here, "pause")
    try:
        here.colours.scale("appmesh-demo", "colorapp-blue", 2)
        here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
        wait_for(lambda: here.app.look().kind == "paused", 20, "a paused look")
        assert len(here.app.instances()) == 2
    finally:
        assert crossmesh(here, "resume")[0] == 0
    here.app.wait_pods(here.colour_pods())


def test_a_dead_clusters_instances_go_when_a_person_says_so_and_come_back_with_it(here: Deployed) -> None:
    here.colours.tell("dark", {"on": True})
    here.app.look()
    assert len(here.app.instances()) == 2
    assert crossmesh(here, "forget", "eksc2")[0] == 1, "not without being asked"
    assert crossmesh(here, "forget", "eksc2", "--yes")[0] == 0
    here.app.wait_pods(set())
    here.colours.tell("dark", {"on": False})
    here.app.hint()
    here.app.wait_pods(here.colour_pods())


def test_drain_empties_and_resume_fills(here: Deployed) -> None:
    code, _, err = words(here, "drain")
    assert (code, "drain removes all 3 instances (colorapp.appmesh-demo.pvt.aws.local 2, front.appmesh-demo.pvt.aws.local 1)" in err) == (
        1,
        True,
    ), err
    assert crossmesh(here, "drain", "--yes")[0] == 0
    here.app.wait_pods(set())
    here.app.look()
    code, found = crossmesh(here, "status")
    assert (code, found["state"], found["drained"]) == (3, "drained", True)
    for verb in ("status", "plan", "doctor"):
        code, out, _ = words(here, verb)
        assert (code, out.splitlines()[1][:15]) == (3, "DRAINED by hand"), (verb, out)
        assert "scale its Deployment" not in out
    assert crossmesh(here, "resume")[0] == 0
    here.app.wait_pods(here.colour_pods())


def test_the_last_run_is_explained_and_replays_byte_for_byte(here: Deployed) -> None:
    here.colours.delete("Pod", "appmesh-demo", next(iter(here.colour_pods())))
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 2)
    here.app.look()
    wait_for(lambda: here.app.pods() == here.colour_pods(), 30, "the successor")
    run = here.app.last("run")
    assert run is not None
    code, found = crossmesh(here, "explain", run.id)
    assert code == 0
    assert found["report"]["kind"] == "applied"
    assert crossmesh(here, "replay", run.id) == (0, {"run": run.id, "same": True})


def test_a_service_that_another_hand_keeps_emptying_is_stopped_and_resumed(here: Deployed) -> None:
    victim = remove_repeatedly(here)
    code, found = crossmesh(here, "status")
    assert code == 3
    assert any("competing-writer" in problem for problem in found["problems"])
    assert crossmesh(here, "resume", "colorapp.appmesh-demo.pvt.aws.local")[0] == 0
    wait_for(lambda: victim in here.app.instances(), 30, "the victim to be back")


def test_apply_starts_the_deployed_run_and_follows_it_to_its_end(here: Deployed, tmp_path: Path) -> None:
    here.app.idle_all()  # no run is left that would look again by itself
    here.colours.scale("appmesh-demo", "colorapp-blue", 2)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    assert crossmesh(here, "apply")[0] == 1, "not without being asked"
    other = tmp_path / "config"
    shutil.copytree(ROOT / "config", other)
    (other / "crossmesh.yaml").write_text((other / "crossmesh.yaml").read_text().replace("requests: 60", "requests: 61"))
    code, told = crossmesh(here, "apply", "--yes", "--config", str(other))
    assert (code, "is not the one in force" in told) == (1, True)
    assert len(here.app.instances()) == 2, "nothing was written so far"
    code, found = crossmesh(here, "apply", "--yes")
    assert (code, found["status"], found["report"]["kind"], found["report"]["adds"]) == (0, "SUCCEEDED", "applied", 1)
    execution = here.app.outputs["ReconcileArn"].replace(":stateMachine:", ":execution:") + f":{found['run']}"
    assert here.app.states.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"
    assert here.app.pods() == here.colour_pods()
    assert crossmesh(here, "apply", "--yes") == (0, {"run": "", "changes": 0})


def test_init_asks_aws_what_the_parameters_are_and_says_what_is_missing(here: Deployed, tmp_path: Path) -> None:
    """As somebody does it in a folder of their own: the settings first, then the parameters and commands, after a mistake was told."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "samconfig.toml").write_text(
        f'version = 0.1\n[default.global.parameters]\nstack_name = "{here.app.stack}"\n'
        '[default.deploy.parameters]\nparameter_overrides = ["World=local"]\n'  # where drift events need no trail
    )
    code, told = crossmesh(here, "init", folder=tmp_path)
    assert (code, told["todo"]) == (0, [])
    (namespace,) = [found for found in here.app.registry.list_namespaces()["Namespaces"] if found["Name"] == NAMESPACE]
    zone = namespace["Properties"]["DnsProperties"]["HostedZoneId"]
    assert told["parameters"]["NamespaceArns"] == namespace["Arn"]
    assert told["parameters"]["HostedZoneArns"] == f"arn:aws:route53:::hostedzone/{zone}"
    roles = here.app.outputs["ReaderRoleArns"].split(",")
    assert [line for line in told["commands"] if "create-access-entry" in line and line.endswith(roles[0])], "one for each cluster and role"
    assert sum("create-access-entry" in line for line in told["commands"]) == 2 * len(roles)
    assert crossmesh(here, "init", folder=tmp_path) == (code, told), "said again alike"
    settings = tmp_path / "config" / "crossmesh.yaml"
    settings.write_text(settings.read_text().replace("eksc2:", "eksc3:", 1))
    code, told = crossmesh(here, "init", folder=tmp_path)
    assert code == 3
    assert "eksc3" in told["todo"][0]


def test_a_kept_plan_is_applied_unless_the_world_asks_for_more_meanwhile(here: Deployed, tmp_path: Path) -> None:
    kept = str(tmp_path / "plan.json")
    here.app.idle_all()
    here.colours.scale("appmesh-demo", "colorapp-red", 2)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    assert crossmesh(here, "plan", "--out", kept)[0] == 3
    here.colours.scale("appmesh-demo", "colorapp-red", 3)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 4)
    code, told = crossmesh(here, "apply", kept, "--yes")
    assert (code, "plan again" in told) == (1, True)
    assert crossmesh(here, "plan", "--out", kept)[0] == 3
    code, found = crossmesh(here, "apply", kept, "--yes")
    assert (code, found["report"]["adds"]) == (0, 2)
    assert here.app.pods() == here.colour_pods()


@pytest.mark.long  # Lambda tries an asynchronous call twice more, in its own time
def test_a_lost_invocation_waits_in_its_queue_and_is_redriven_after_the_fix(here: Deployed) -> None:
    """A look that a person asked of the function itself fails at Cloud Map, twice; Lambda's destination keeps it."""
    resources = client(here.world.document, "cloudformation")
    function = resources.describe_stack_resource(StackName=here.app.stack, LogicalResourceId="LookFunction")["StackResourceDetail"]
    asked = {"id": f"by-hand-{time.time_ns()}"}
    here.app.tell("aws", "faults", [{"service": "servicediscovery", "code": "AccessDeniedException"}])
    client(here.world.document, "lambda").invoke(
        FunctionName=function["PhysicalResourceId"], InvocationType="Event", Payload=json.dumps(asked).encode()
    )
    found: dict[str, Any] = wait_for(lambda: crossmesh(here, "redrive", "--list")[1].get("lost"), 240, "the lost invocation")
    assert [(one["kind"], json.loads(one["payload"])) for one in found] == [("invocation", asked)]
    here.app.tell("aws", "faults", verb="DELETE")
    assert crossmesh(here, "redrive", "--yes") == (0, {"sent": 1, "failed": []})
    wait_for(lambda: (looked := here.app.last("look")) and looked.id == asked["id"], 30, "that look")
    assert crossmesh(here, "redrive", "--list") == (0, {"lost": []})
