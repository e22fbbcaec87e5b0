"""`crossmesh redrive`: what the dead-letter queues hold, sent once more. A message leaves its queue
only after that succeeded.

What a rule or schedule lost is put on the bus again, or given to the state machine it was for
(nobody may put events of `aws.*` sources); what a function was invoked with and failed on is given
to that function again, without waiting, so that it lands here again if it still fails.
"""

import argparse
import json
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from crossmesh.adapters import aws
from crossmesh.cli import exits, stack
from crossmesh.cli.operate import confirmed
from crossmesh.cli.printing import console, print_json
from crossmesh.core.reporting import overview
from crossmesh.errors import CrossmeshError, RefusedError

QUEUES = ("LostTriggersUrl", "LostInvocationsUrl")
_IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"
HIDDEN = 120  # seconds for which others do not see what we are working on
# The input of the drift rule: the event itself carries no data to apply
_DRIFT = '{"cause": "drift"}'


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `kind`: event (back onto the bus) | execution (start `target` with `payload`) |
    invocation (invoke `target` with `payload`).
    """

    kind: str
    target: str
    payload: str
    error: str
    queue: str
    receipt: str


def run(arguments: argparse.Namespace) -> int:
    """0 = nothing left behind, 1 = something was refused or could not be sent, 3 = `--list` found
    something.
    """
    here = stack.reach(arguments, acts=not arguments.list)
    outputs, region = here.outputs, here.region
    queues = aws.client("sqs", region)
    waiting = [lost for name in QUEUES for lost in _received(queues, outputs[name])]
    hidden = max(0, sum(_hidden(queues, outputs[name]) for name in QUEUES) - len(waiting))
    listed = [{"kind": one.kind, "target": one.target, "payload": one.payload, "error": one.error} for one in waiting]
    if arguments.json and (arguments.list or not waiting):
        print_json({"lost": listed, "hidden": hidden})
    elif not arguments.json:
        for one in waiting:
            console().print(f"{one.kind} for {one.target or 'the bus'}: {one.error}")
            console().print(f"    {one.payload}")
    if arguments.list or not waiting:
        _give_back(queues, waiting)
        if not arguments.json:
            _say_how_many(len(waiting), hidden)
        return exits.FOUND if waiting or hidden else exits.DONE
    arguments.going_on = f"what was not sent is back in its queue within {HIDDEN} s"
    ours = own_targets(here)
    foreign = [one for one in waiting if not belongs(one, ours)]
    failed = [_refused(one, here.target.stack) for one in foreign]
    _give_back(queues, foreign)
    sound = [one for one in waiting if one not in foreign]
    try:
        agreed = not sound or confirmed(arguments, f"send {overview.plural(len(sound), 'lost message')} once more")
    except (RefusedError, KeyboardInterrupt):
        _give_back(queues, sound)
        raise
    if not agreed:
        _give_back(queues, sound)
        return exits.FAILED
    failed += _sent(region, outputs["HintBus"], queues, sound)
    if arguments.json:
        print_json({"sent": len(waiting) - len(failed), "failed": failed})
    else:
        for told in failed:
            console().print(f"- {told}", style="red")
        console().print(f"{len(waiting) - len(failed)} sent, {len(failed)} left in the queue")
    return exits.FAILED if failed else exits.DONE


def _say_how_many(waiting: int, hidden: int) -> None:
    """What waits, and what cannot be shown now."""
    out = console()
    if waiting or not hidden:
        out.print(
            f"{waiting} {'message waits' if waiting == 1 else 'messages wait'}" if waiting else "nothing was lost"
        )
    if hidden:
        out.print(
            f"{overview.plural(hidden, 'message')} more cannot be shown now: another redrive works on them, or it was"
            f" interrupted. Ask again in {HIDDEN} s",
            style="yellow",
        )


def own_targets(here: stack.Deployed) -> frozenset[str]:
    """The ARNs that this stack's queues may name: its functions, and the state machines that its
    rules and schedules start.
    """
    with aws.translated():
        pages = (
            aws.client("cloudformation", here.region)
            .get_paginator("list_stack_resources")
            .paginate(StackName=here.target.stack)
        )
        resources = [one for page in pages for one in page["StackResourceSummaries"]]
    functions = {one["PhysicalResourceId"] for one in resources if one["ResourceType"] == "AWS::Lambda::Function"}
    prefix = ":".join(
        (*here.outputs["ReconcileArn"].split(":")[:2], "lambda", here.region, here.target.account, "function")
    )
    return frozenset({here.outputs["LookArn"], here.outputs["CanaryArn"], *(f"{prefix}:{name}" for name in functions)})


def belongs(lost: Lost, ours: Collection[str]) -> bool:
    """Whether a message is for this application: anybody who may send to the queue may write any
    target into it.
    """
    return lost.kind == "event" or not lost.target or lost.target.removesuffix(":$LATEST") in ours


def _refused(lost: Lost, name: str) -> str:
    return f"refused, left in the queue: {lost.kind} for {lost.target}, which is not a target of stack {name}"


def _received(queues: Any, url: str) -> Iterator[Lost]:
    """Every message that can be seen, hidden from others for as long as we may need."""
    while True:
        with aws.translated():
            answer = queues.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=HIDDEN,
                WaitTimeSeconds=0,
                MessageAttributeNames=["All"],
            )
        messages = answer.get("Messages", ())
        if not messages:
            return
        for message in messages:
            yield understood(message, url)


def understood(message: dict[str, Any], url: str) -> Lost:
    """What a message of a dead-letter queue asks for.

    Functions: Lambda developer guide, "Invocation record". Rules and schedules: EventBridge user
    guide, "Using dead-letter queues", and Scheduler user guide, "Configuring a dead-letter queue":
    the body is the event, or the schedule's input; the rest is in attributes. The guide shows no
    body of a schedule that starts an execution, so one that holds the whole request of
    StartExecution is understood, too.
    """
    body, given = (
        message["Body"],
        {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()},
    )
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    record = parsed if isinstance(parsed, dict) else {}
    error = f"{given.get('ERROR_CODE', '')}: {given.get('ERROR_MESSAGE', '')}".strip(": ")
    target = given.get("TARGET_ARN", "")
    if isinstance(about := record.get("requestContext"), dict):
        kind, target, body = "invocation", str(about.get("functionArn", "")), json.dumps(record.get("requestPayload"))
        answered = found if isinstance(found := record.get("responsePayload"), dict) else {}
        error = f"{answered.get('errorType', '')}: {answered.get('errorMessage', '')}".strip(": ") or str(
            about.get("condition")
        )
    elif str(record.get("source", "")).startswith("crossmesh.") and "detail-type" in record:
        kind = "event"
    else:
        kind = "execution"
        request = {name.lower(): value for name, value in record.items()}
        if isinstance(request.get("statemachinearn"), str):
            target, body = target or request["statemachinearn"], str(request.get("input") or "{}")
        body = _DRIFT if "detail-type" in record else body
    return Lost(
        kind=kind,
        target=target,
        payload=body,
        error=error or "no reason given",
        queue=url,
        receipt=message["ReceiptHandle"],
    )


def _sent(region: str, bus: str, queues: Any, waiting: list[Lost]) -> list[str]:
    """Send each, and delete what was sent; why the others were not."""
    failed = []
    for lost in waiting:
        try:
            with aws.translated():
                _send(region, bus, lost)
                queues.delete_message(QueueUrl=lost.queue, ReceiptHandle=lost.receipt)
        except CrossmeshError as error:
            failed.append(f"{lost.kind} for {lost.target}: {error}")
            _give_back(queues, [lost])
    return failed


def _send(region: str, bus: str, lost: Lost) -> None:
    if lost.kind == "event":
        event = json.loads(lost.payload)
        entry = {
            "EventBusName": bus,
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event.get("detail", {})),
        }
        answer = aws.client("events", region).put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            raise RefusedError(
                answer["Entries"][0].get("ErrorCode", "Refused"),
                answer["Entries"][0].get("ErrorMessage", "the bus refused it"),
            )
    elif not lost.target:
        raise RefusedError("NoTarget", "the message does not name what it was for; read it in the queue")
    elif lost.kind == "execution":
        aws.client("stepfunctions", region).start_execution(stateMachineArn=lost.target, input=lost.payload)
    else:
        aws.client("lambda", region).invoke(
            FunctionName=lost.target, InvocationType="Event", Payload=lost.payload.encode()
        )


def _hidden(queues: Any, url: str) -> int:
    """How many messages of a queue somebody works on, ourselves included, about; 0 where SQS does
    not say.
    """
    try:
        with aws.translated():
            about = queues.get_queue_attributes(QueueUrl=url, AttributeNames=[_IN_FLIGHT])
    except CrossmeshError:
        return 0
    return int(about.get("Attributes", {}).get(_IN_FLIGHT, 0))


def _give_back(queues: Any, waiting: list[Lost]) -> None:
    """Let others see the messages again at once."""
    for lost in waiting:
        with aws.translated():
            queues.change_message_visibility(QueueUrl=lost.queue, ReceiptHandle=lost.receipt, VisibilityTimeout=0)
