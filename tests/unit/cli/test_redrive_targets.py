"""What `crossmesh redrive` calls with a person's rights: this stack's own targets, whatever a message names."""

import json
from typing import Any

import pytest

from tests.support.desk import ACCOUNT, Desk

OWN = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:crossmesh-look"
LOOK = f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:crossmesh-look"
RUN = f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:crossmesh-run"
FOREIGN = (
    f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:payroll-wipe",
    f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:crossmesh-look-2",
    f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:crossmesh-look",
    "arn:aws:lambda:eu-west-1:999988887777:function:crossmesh-look",
    f"{OWN}:1",
    "crossmesh-look",
)
MACHINES = (f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:terminate-prod", RUN)


def invocation(arn: str, payload: Any = None) -> dict[str, Any]:
    record = {"requestContext": {"functionArn": arn, "condition": "RetriesExhausted"}, "requestPayload": payload or {"id": "x"}}
    return {"Body": json.dumps(record), "ReceiptHandle": f"r-{arn}"}


def execution(arn: str) -> dict[str, Any]:
    return {
        "Body": '{"cause": "schedule"}',
        "ReceiptHandle": f"r-{arn}",
        "MessageAttributes": {"TARGET_ARN": {"DataType": "String", "StringValue": arn}},
    }


@pytest.fixture
def stacked(desk: Desk) -> Desk:
    """A stack with one function."""
    desk.amazon.resources = [{"ResourceType": "AWS::Lambda::Function", "PhysicalResourceId": "crossmesh-look"}]
    return desk


@pytest.mark.parametrize("arn", FOREIGN)
def test_a_function_that_is_not_of_this_stack_is_never_invoked(stacked: Desk, arn: str) -> None:
    """The reported case: `function:payroll-wipe` with a payload of the attacker's was invoked."""
    stacked.amazon.messages = {"invocations": [invocation(arn)]}
    code, out, err = stacked.run("redrive", "--yes")
    assert code == 1
    assert f"refused, left in the queue: invocation for {arn}, which is not a target of stack crossmesh" in out + err
    assert not stacked.amazon.asked("invoke", "start_execution", "delete_message")
    assert stacked.amazon.asked("change_message_visibility"), "others see it again"


@pytest.mark.parametrize("arn", MACHINES)
def test_a_state_machine_that_no_rule_or_schedule_starts_is_never_started(stacked: Desk, arn: str) -> None:
    stacked.amazon.messages = {"triggers": [execution(arn)]}
    assert stacked.run("redrive", "--yes")[0] == 1
    assert not stacked.amazon.asked("invoke", "start_execution", "delete_message")


def test_the_own_ones_go_on_beside_foreign_ones(stacked: Desk) -> None:
    stacked.amazon.messages = {
        "invocations": [invocation(FOREIGN[0]), invocation(f"{OWN}:$LATEST")],
        "triggers": [execution(LOOK), execution(MACHINES[0])],
    }
    code, out, _ = stacked.run("redrive", "--yes")
    assert code == 1
    assert "2 sent, 2 left in the queue" in out
    assert [given["FunctionName"] for given in stacked.amazon.asked("invoke")] == [f"{OWN}:$LATEST"]
    assert [given["stateMachineArn"] for given in stacked.amazon.asked("start_execution")] == [LOOK]


def test_the_true_target_cannot_be_painted_over_before_the_question(stacked: Desk) -> None:
    body = json.loads(invocation(OWN)["Body"])
    body["responsePayload"] = {"errorMessage": "\x1b[1A\x1b[2Kinvocation for something harmless"}
    stacked.amazon.messages = {"invocations": [{"Body": json.dumps(body), "ReceiptHandle": "r"}]}
    stacked.types("n")
    code, out, err = stacked.run("redrive")
    assert code == 1
    assert f"invocation for {OWN}: \\x1b[1A\\x1b[2Kinvocation" in out
    assert "send 1 lost message once more. Go ahead? [y/N]" in err
    assert not stacked.amazon.asked("invoke")


@pytest.mark.parametrize("body", ['{"requestContext": "x"}', '{"requestContext": {"functionArn": 7}, "responsePayload": "x"}', "[1]", "x"])
def test_a_body_in_no_known_shape_is_left_where_it_is(stacked: Desk, body: str) -> None:
    stacked.amazon.messages = {"invocations": [{"Body": body, "ReceiptHandle": "r"}]}
    code, _, err = stacked.run("redrive", "--yes")
    assert code == 1
    assert "this is a bug" not in err
    assert not stacked.amazon.asked("invoke", "start_execution", "delete_message")


def interrupt(*_: object) -> str:
    raise KeyboardInterrupt


def test_ctrl_c_at_the_question_gives_the_messages_back_at_once(stacked: Desk) -> None:
    """Met in the world: for two minutes after it `redrive --list` said that nothing was lost, with exit code 0."""
    stacked.amazon.messages = {"triggers": [execution(LOOK)]}
    stacked.types()
    stacked.monkeypatch.setattr("builtins.input", interrupt)
    code, _, err = stacked.run("redrive")
    assert code == 130, err
    assert [given["VisibilityTimeout"] for given in stacked.amazon.asked("change_message_visibility")] == [0]
    assert not stacked.amazon.asked("start_execution", "delete_message")


def test_messages_that_somebody_works_on_are_not_told_as_none(stacked: Desk) -> None:
    """A sibling: another person's redrive waits for an answer, or was killed."""
    stacked.amazon.in_flight = {"triggers": 2}
    code, out, _ = stacked.run("redrive", "--list")
    assert code == 3
    assert "nothing was lost" not in out
    assert "2 messages more cannot be shown now: another redrive works on them" in out
    stacked.amazon.in_flight = {}
    assert "nothing was lost" in stacked.run("redrive", "--list")[1]
