"""What a message in a dead-letter queue means, by the documented shapes of EventBridge, EventBridge Scheduler and Lambda."""

import json
from pathlib import Path
from typing import Any

import pytest
from crossmesh.cli.redrive import understood

LOOK = "arn:aws:states:us-east-1:111122223333:stateMachine:crossmesh-look"
FAILED = {"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "not authorized", "TARGET_ARN": LOOK, "RETRY_ATTEMPTS": "4"}
SAMPLES = sorted(Path(__file__).parents[3].glob("events/*.json"))


def message(body: str, **attributes: str) -> dict[str, Any]:
    return {
        "Body": body,
        "ReceiptHandle": "r",
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_an_event_that_a_rule_lost_goes_back_onto_the_bus_if_anybody_may_put_it(path: Path) -> None:
    event = json.loads(path.read_text())
    lost = understood(message(path.read_text(), RULE_ARN="arn:rule", **FAILED), "q")
    assert lost.error == "NO_PERMISSIONS: not authorized"
    if event["source"].startswith("crossmesh."):
        assert (lost.kind, json.loads(lost.payload)) == ("event", event)
    else:
        assert (lost.kind, lost.target, json.loads(lost.payload)) == ("execution", LOOK, {"cause": "drift"})


def test_a_tick_that_a_schedule_lost_starts_its_state_machine_with_the_schedules_input() -> None:
    lost = understood(message('{"cause": "schedule"}', SCHEDULE_ARN="arn:schedule", **FAILED), "q")
    assert (lost.kind, lost.target, lost.payload) == ("execution", LOOK, '{"cause": "schedule"}')


@pytest.mark.parametrize(
    ("request_", "attributes"),
    [
        ({"StateMachineArn": LOOK, "Input": '{"cause": "schedule"}'}, FAILED),
        ({"stateMachineArn": LOOK, "input": '{"cause": "schedule"}', "name": "tick"}, FAILED),
        ({"StateMachineArn": LOOK, "Input": '{"cause": "schedule"}'}, {}),  # nothing but the body tells the target
    ],
)
def test_a_tick_whose_message_holds_the_whole_request_starts_the_same(request_: dict[str, str], attributes: dict[str, str]) -> None:
    lost = understood(message(json.dumps(request_), SCHEDULE_ARN="arn:schedule", **attributes), "q")
    assert (lost.kind, lost.target, lost.payload) == ("execution", LOOK, '{"cause": "schedule"}')


def test_the_queue_s_own_word_of_a_target_outweighs_the_body_s() -> None:
    lost = understood(message(json.dumps({"StateMachineArn": "arn:another"}), **FAILED), "q")
    assert (lost.target, lost.payload) == (LOOK, "{}")


def test_what_a_function_failed_on_is_given_to_it_again() -> None:
    record = {
        "version": "1.0",
        "requestContext": {"functionArn": "arn:f:$LATEST", "condition": "RetriesExhausted"},
        "requestPayload": {"id": "x"},
        "responsePayload": {"errorType": "KeyError", "errorMessage": "run"},
    }
    lost = understood(message(json.dumps(record)), "q")
    assert (lost.kind, lost.target, json.loads(lost.payload), lost.error) == ("invocation", "arn:f:$LATEST", {"id": "x"}, "KeyError: run")


@pytest.mark.parametrize("body", ["", "no JSON", "[]", "7", "null"])
def test_what_is_none_of_these_is_shown_and_has_no_target(body: str) -> None:
    lost = understood(message(body), "q")
    assert (lost.target, lost.payload, lost.error) == ("", body, "no reason given")
