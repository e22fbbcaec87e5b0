"""Roles of state machines, rules, schedules and watchers: what each definition does, and nothing else, is what its role allows."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.iam.reasons import MANAGED
from tests.contract.template import ACCOUNT, REGION, Filled, triggers, written
from tests.support.layers import REACH_CLUSTERS
from world.deploy import ROOT

TEMPLATE = Filled(SecurityGroups="open")  # the parameters that give most
FUNCTIONS = TEMPLATE.of_type("AWS::Lambda::Function")
MACHINES = TEMPLATE.of_type("AWS::StepFunctions::StateMachine")
WRITTEN = written()["Resources"]
LOGGING = {  # Step Functions developer guide, logging in CloudWatch Logs: these take no resource
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}


def allowed(role: str) -> set[tuple[str, str]]:
    """(action, resource) pairs of a role's own policies."""
    found = set()
    for policy in TEMPLATE.resource(role).get("Policies", ()):
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            actions, resources = statement["Action"], statement["Resource"]
            for action in actions if isinstance(actions, list) else [actions]:
                found |= {(action, resource) for resource in (resources if isinstance(resources, list) else [resources])}
    return found


def managed(role: str) -> set[str]:
    """Names of the AWS policies attached to a role."""
    return {arn.rpartition("/")[2] for arn in TEMPLATE.resource(role).get("ManagedPolicyArns", ())}


def trusted(role: str) -> list[str]:
    """Services that may assume a role."""
    (statement,) = TEMPLATE.resource(role)["AssumeRolePolicyDocument"]["Statement"]
    assert list(statement["Principal"]) == ["Service"]
    if not role.endswith("FunctionRole"):  # Lambda names no source when it assumes a role
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}, "only for what this account does (confused deputy)"
    named = statement["Principal"]["Service"]
    return named if isinstance(named, list) else [named]


def tasks(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """Every task, those in maps and branches too."""
    found = []
    for state in definition["States"].values():
        assert not {"ItemReader", "ResultWriter"} & set(state), "say here what reading items and writing results of a map needs"
        found += [state] if state["Type"] == "Task" else []
        for inner in (*([state["ItemProcessor"]] if "ItemProcessor" in state else []), *state.get("Branches", ())):
            found += tasks(inner)
    return found


def does(machine: str) -> set[tuple[str, str]]:
    """What a state machine's definition does, as (action, resource)."""
    properties = WRITTEN[machine]["Properties"]
    substitutions = TEMPLATE.fill(properties["DefinitionSubstitutions"])
    definition = json.loads((ROOT / properties["DefinitionUri"]).read_text())

    def whole(text: str) -> str:
        return str(substitutions[text[2:-1]]) if text.startswith("${") else text

    found = {(action, "*") for action in LOGGING}
    for task in tasks(definition):
        resource = whole(task["Resource"])
        if resource == "arn:aws:states:::states:startExecution":
            found.add(("states:StartExecution", whole(task["Parameters"]["StateMachineArn"])))
        else:
            assert ":function:" in resource, f"say here what {resource} needs"
            found.add(("lambda:InvokeFunction", resource))
    distributed = "DISTRIBUTED" in json.dumps(definition)
    return found | ({("states:StartExecution", TEMPLATE.arn(machine))} if distributed else set())


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_a_state_machine_may_do_what_its_definition_does(machine: str) -> None:
    assert allowed(f"{machine}Role") == does(machine)
    assert managed(f"{machine}Role") == {"AWSXrayWriteOnlyAccess"}, "traces, for `Tracing`"
    assert trusted(f"{machine}Role") == ["states.amazonaws.com"]


def role_of(trigger: str) -> str:
    """The logical id of the role that a rule or schedule uses."""
    given = triggers()[trigger][1]
    (target,) = given["Targets"] if "Targets" in given else (given["Target"],)
    return str(target["RoleArn"]["Fn::GetAtt"][0])


@pytest.mark.parametrize("name", sorted(triggers()))
def test_a_trigger_may_start_its_state_machine_alone(name: str) -> None:
    machine, given = triggers()[name]
    schedule, role = "ScheduleExpression" in given, role_of(name)
    assert trusted(role) == ["scheduler.amazonaws.com" if schedule else "events.amazonaws.com"]
    assert managed(role) == set()
    lost = {("sqs:SendMessage", TEMPLATE.arn("LostTriggers"))} if schedule else set()  # rules send by the queue's own policy
    assert allowed(role) == {("states:StartExecution", TEMPLATE.arn(machine)), *lost}


def test_the_queue_takes_what_rules_and_schedules_lose_and_nobody_elses() -> None:
    statement, _ = TEMPLATE.resource("LostTriggersPolicy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == TEMPLATE.arn("LostTriggers")
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_what_sam_adds_to_a_function_is_known(function: str) -> None:
    assert trusted(f"{function}Role") == ["lambda.amazonaws.com"]
    vpc = {"AWSLambdaVPCAccessExecutionRole"} if "VpcConfig" in WRITTEN[function]["Properties"] else set()
    assert managed(f"{function}Role") == {"AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess", *vpc}
    assert managed(f"{function}Role") <= set(MANAGED)
    reaches = Path(WRITTEN[function]["Properties"]["CodeUri"]).name in REACH_CLUSTERS
    assert bool(vpc) == reaches, "only what reaches clusters is in the VPC"
    sent = {(action, resource) for action, resource in allowed(f"{function}Role") if action.startswith("sqs:")}
    assert sent == {("sqs:SendMessage", TEMPLATE.arn("LostInvocations"))}


def test_the_function_that_writes_to_security_groups_reaches_state_and_run_store_alone_unless_it_is_asked_to() -> None:
    statements = [s for policy in Filled().resource("OpenPortsFunctionRole")["Policies"] for s in policy["PolicyDocument"]["Statement"]]
    actions = [a for s in statements for a in (s["Action"] if isinstance(s["Action"], list) else [s["Action"]])]
    assert {action.partition(":")[0] for action in actions} == {"dynamodb", "s3", "sqs"}


def test_no_role_is_left_unchecked() -> None:
    known = {f"{name}Role" for name in (*FUNCTIONS, *MACHINES)} | {role_of(name) for name in triggers()}
    others = set(TEMPLATE.of_type("AWS::IAM::Role")) - known
    watchers, server = {"WatcherRole", "WatcherIrsaRole"}, "EnvoyServerRole"
    assert others == {*watchers, server}, f"say in this file what {others} may do"
    objects = f"{TEMPLATE.arn('Bucket')}/snapshots/*"
    table = TEMPLATE.arn("Table")
    assert allowed(server) == {("dynamodb:GetItem", table), ("dynamodb:PutItem", table), ("s3:GetObject", objects)}
    assert managed(server) == set()
    for watcher in watchers:
        assert allowed(watcher) == {("events:PutEvents", TEMPLATE.arn("Hints"))}
        assert managed(watcher) == set()


def test_nothing_reaches_beyond_account_and_region() -> None:
    for function in FUNCTIONS:
        for action, resource in allowed(f"{function}Role"):
            parts = resource.split(":")
            local = resource == "*" or parts[2] in ("s3", "route53") or parts[3:5] == [REGION, ACCOUNT] or action == "sts:AssumeRole"
            assert local, f"{function}: {action} on {resource}"
