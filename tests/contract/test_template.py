"""What the pieces promise each other: template, state machines, functions, roles, events, payloads — and that nothing is said twice in two ways."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from crossmesh.steps import apply_registry
from crossmesh.usecases import lease

from tests.contract.template import triggers
from tests.support.layers import REACH_CLUSTERS
from tests.support.template_resources import MACHINES, RESOURCES, TEMPLATE
from world.deploy import ROOT

FUNCTIONS = {name: r["Properties"] for name, r in RESOURCES.items() if r["Type"] == "AWS::Serverless::Function"}
PACKAGE = ROOT / "layers" / "core" / "python" / "crossmesh"


def definition(machine: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / MACHINES[machine]["DefinitionUri"]).read_text())
    return found


def states(of: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = dict(of["States"])
    for state in of["States"].values():
        for inner in (state.get("ItemProcessor"), *state.get("Branches", ())):
            if inner:
                found |= states(inner)
    return found


def test_every_function_folder_is_a_resource_and_a_step() -> None:
    folders = {path.parent.name for path in ROOT.glob("functions/*/app.py")}
    named = {Path(properties["CodeUri"]).name for properties in FUNCTIONS.values()}
    assert folders == named
    assert {"".join(part.title() for part in name.split("_")) + "Function" for name in named} == set(FUNCTIONS)
    for name in named:
        assert (PACKAGE / "steps" / f"{name}.py").exists()


@pytest.mark.parametrize("path", sorted(ROOT.glob("functions/*/app.py")), ids=lambda p: p.parent.name)
def test_a_handler_is_a_docstring_and_two_statements(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert ast.get_docstring(ast.parse(path.read_text()))
    assert [type(node) for node in body[1:]] == [ast.ImportFrom, ast.ImportFrom, ast.Assign]
    assert len(path.read_text().splitlines()) <= 10


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_substitution_is_given_used_and_whole(machine: str) -> None:
    text = (ROOT / MACHINES[machine]["DefinitionUri"]).read_text()
    used = set(re.findall(r"\$\{(\w+)\}", text))
    assert used == set(MACHINES[machine]["DefinitionSubstitutions"])
    assert all(f'"${{{name}}}"' in text for name in used), "a substitution replaces a whole string, so that the file is valid JSON before it"


# States whose failure stops nothing, and where they lead instead.
LEADS_ON = {
    ("Reconcile", "Start look"): "Done",
    ("Reconcile", "Start later look"): "Done",
    ("Look", "Classify change"): "Is a run needed?",
}


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_way_that_fails_ends_in_fail(machine: str) -> None:
    for name, state in definition(machine)["States"].items():
        if state["Type"] in ("Task", "Map"):
            caught = [c for c in state.get("Catch", ()) if c["ErrorEquals"] == ["States.ALL"]]
            assert caught, f"{name} catches nothing"
            target, seen = caught[0]["Next"], set()
            while target not in seen and definition(machine)["States"][target]["Type"] not in ("Fail", "Succeed"):
                seen.add(target)
                target = definition(machine)["States"][target].get("Next", target)
            assert target == LEADS_ON.get((machine, name), "Failed"), f"{name} fails into {target}"


def test_a_canary_that_cannot_be_probed_or_judged_stops_no_other() -> None:
    each = definition("Canary")["States"]["Check each canary"]["ItemProcessor"]["States"]
    for name, state in each.items():
        if state["Type"] == "Task":
            (caught,) = state["Catch"]
            assert caught["ErrorEquals"] == ["States.ALL"], name
            assert each[caught["Next"]]["Type"] != "Fail", name


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_every_task_has_a_timeout_or_is_a_service_call_and_retries_with_jitter(machine: str) -> None:
    for name, state in states(definition(machine)).items():
        if state["Type"] == "Task":
            assert all(retry.get("JitterStrategy") == "FULL" for retry in state["Retry"]), name
            if state["Resource"] != "${StartExecution}":
                assert state["TimeoutSeconds"] >= seconds(MACHINES[machine], state["Resource"]), name


def seconds(machine: dict[str, Any], resource: str) -> float:
    """How long the function behind a substitution may take."""
    function = machine["DefinitionSubstitutions"][resource[2:-1]]["Fn::GetAtt"][0]
    return float(FUNCTIONS[function].get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"]))


def test_no_function_outlives_the_lease() -> None:
    timeout = TEMPLATE["Globals"]["Function"]["Timeout"]
    longest = max([timeout, *(properties.get("Timeout", timeout) for properties in FUNCTIONS.values())])
    assert longest < lease.LIFE / 2, "a lease renewed when half its life is left must outlast any function"
    assert longest > apply_registry.BUDGET


def statements(function: str) -> list[dict[str, Any]]:
    found = []
    for policy in FUNCTIONS[function].get("Policies", ()):
        for statement in policy["Statement"]:
            while "Fn::If" in statement:
                statement = statement["Fn::If"][1]
            found.append(statement)
    return found


def actions(function: str) -> set[str]:
    return {action for statement in statements(function) for action in statement["Action"]}


def test_only_two_functions_may_write_to_what_is_kept() -> None:
    def writes(function: str, service: str) -> bool:
        return any(a.startswith(f"{service}:") and not re.search(r":(List|Get|Describe|Discover)", a) for a in actions(function))

    assert {f for f in FUNCTIONS if writes(f, "servicediscovery")} == {"ApplyRegistryFunction"}
    assert {f for f in FUNCTIONS if writes(f, "appmesh")} == {"ReconcileMeshFunction"}
    assert not any(writes(f, "eks") for f in FUNCTIONS)
    assert {f for f in FUNCTIONS if writes(f, "ec2")} == {"OpenPortsFunction"}
    given = [s for s in FUNCTIONS["OpenPortsFunction"]["Policies"][0]["Statement"] if "ec2:AuthorizeSecurityGroupIngress" in str(s)]
    assert [list(s) == ["Fn::If"] and s["Fn::If"][0] for s in given] == ["OpensPorts"], "only where the parameter says open"


def test_the_deciding_function_writes_to_nothing_that_it_decides_over() -> None:
    """Observing and deciding is the look's: it reads the world, and writes own state and the run store alone."""
    changing = {action for action in actions("LookFunction") if not re.search(r":(List|Get|Describe|Discover)", action)}
    assert changing == {"dynamodb:PutItem", "dynamodb:UpdateItem", "s3:PutObject", "sts:AssumeRole"}


def test_nobody_is_given_everything() -> None:
    for function in FUNCTIONS:
        for statement in statements(function):
            assert "*" not in statement["Action"], function
            assert not any(action.endswith(":*") for action in statement["Action"]), function


def test_only_functions_that_reach_clusters_are_named_to_clusters() -> None:
    named = str([TEMPLATE["Outputs"][output] for output in ("ReaderRoleArns", "GateRoleArn")])
    reach = {name for name, properties in FUNCTIONS.items() if Path(properties["CodeUri"]).name in REACH_CLUSTERS}
    assert {name for name in FUNCTIONS if f"{name}Role" in named} == reach
    assert all("eks:DescribeCluster" in actions(name) for name in reach)


def test_the_own_code_layer_has_no_build_step() -> None:
    assert "Metadata" not in RESOURCES["CoreLayer"], "with a BuildMethod python/ is nested in python/ and cannot be imported"


def test_the_dependency_layer_keeps_the_model_of_every_service_that_is_called() -> None:
    kept = set(re.search(r"SERVICES = (.*)", (ROOT / "layers/packages/Makefile").read_text())[1].split())  # type: ignore[index]
    deployed = [file for file in PACKAGE.rglob("*.py") if "cli" not in file.relative_to(PACKAGE).parts]
    called = {name for file in deployed for name in re.findall(r'aws\.client\("(\w+)"', file.read_text())}
    assert called <= kept
    assert called >= {"servicediscovery", "appmesh", "eks", "dynamodb", "s3", "stepfunctions"}


def test_bucket_and_table_survive_the_stack() -> None:
    for name in ("Bucket", "Table"):
        assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_every_trigger_has_a_sample_event_that_its_pattern_takes() -> None:
    for name, (_, given) in triggers().items():
        (target,) = given["Targets"] if "Targets" in given else (given["Target"],)
        assert target["DeadLetterConfig"], name
        assert target["RetryPolicy"], name
        if "EventPattern" in given:
            pattern = given["EventPattern"]
            taken = [s for s in samples() if s["source"] in pattern["source"] and s["detail-type"] in pattern["detail-type"]]
            assert taken, f"no sample in events/ for {name}"


def samples() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(ROOT.glob("events/*.json"))]


def test_every_parameter_and_output_says_what_it_is() -> None:
    for name, parameter in TEMPLATE["Parameters"].items():
        assert len(parameter["Description"]) > 20, name
    for name, output in TEMPLATE["Outputs"].items():
        assert output["Description"], name


def test_the_readers_rights_are_reading() -> None:
    for item in yaml.safe_load_all((ROOT / "clusters" / "reader.yaml").read_text()):
        for rule in item.get("rules", ()):
            assert set(rule["verbs"]) <= {"get", "list", "watch"}
