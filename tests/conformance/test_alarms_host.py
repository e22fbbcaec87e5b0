"""ministack's host with alarms that fire: from log lines and queues to state, mail and event, by a clock that is put forward."""

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.aws_drivers import Document, ServerProcess, post
from world.aws.clients import client


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Document]:
    process = ServerProcess(tmp_path_factory.mktemp("world"))
    try:
        process.start("world.aws.ministack_host")
        yield process.world
    finally:
        process.stop()


def alarm(world: Document, name: str, topic: str, **about: Any) -> None:
    client(world, "cloudwatch").put_metric_alarm(
        AlarmName=name,
        AlarmDescription=f"what {name} means",
        Period=60,
        EvaluationPeriods=2,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        AlarmActions=[topic],
        OKActions=[topic],
        **about,
    )


def passes(world: Document, seconds: float) -> dict[str, str]:
    answer = post(f"http://127.0.0.1:{world['ports']['control']}/_world/alarms/pass", {"seconds": seconds})
    return {name: about["state"] for name, about in answer["alarms"].items()}


def inbox(world: Document) -> list[Document]:
    with urllib.request.urlopen(f"http://127.0.0.1:{world['ports']['control']}/_world/mail", timeout=5) as answer:
        found: list[Document] = json.load(answer)["mails"]
        return found


def log_metric(world: Document, value: float) -> None:
    line = {"_aws": {"CloudWatchMetrics": [{"Namespace": "own", "Dimensions": [["stack"]], "Metrics": [{"Name": "Broken"}]}]}}
    event = {"timestamp": int(time.time() * 1000), "message": json.dumps({**line, "stack": "s", "Broken": value})}
    client(world, "logs").put_log_events(logGroupName="/own", logStreamName="one", logEvents=[event])


def test_a_metric_in_a_log_line_fires_an_alarm_that_mails_and_is_an_event_and_clears(world: Document) -> None:
    sns, sqs, events, logs = (client(world, name) for name in ("sns", "sqs", "events", "logs"))
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="somebody@world.invalid")
    queue = sqs.create_queue(QueueName="changes")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})
    pattern = {"source": ["aws.cloudwatch"], "detail-type": ["CloudWatch Alarm State Change"], "detail": {"state": {"value": ["ALARM"]}}}
    events.put_rule(Name="changes", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="changes", Targets=[{"Id": "1", "Arn": arn}])
    logs.create_log_group(logGroupName="/own")
    logs.create_log_stream(logGroupName="/own", logStreamName="one")
    alarm(world, "broken", topic, Namespace="own", MetricName="Broken", Dimensions=[{"Name": "stack", "Value": "s"}], Statistic="Maximum")
    assert passes(world, 60)["broken"] == "OK", "no data is not breaching"
    states = []
    for value in (1.0, 1.0, 0.0, 0.0):
        log_metric(world, value)
        states.append(passes(world, 60)["broken"])
    assert states == ["OK", "ALARM", "OK", "OK"], "both of the last two periods"
    mails = [(mail["subject"], mail["to"]) for mail in inbox(world) if mail["alarm"] == "broken"]
    assert mails == [(f'{state}: "broken" in us-east-1', "somebody@world.invalid") for state in ("OK", "ALARM", "OK")]
    assert "what broken means" in inbox(world)[-1]["text"]
    (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    detail = json.loads(message["Body"])["detail"]
    assert (detail["alarmName"], detail["previousState"]["value"]) == ("broken", "OK")
    statistics = client(world, "cloudwatch").get_metric_statistics(
        Namespace="own",
        MetricName="Broken",
        Dimensions=[{"Name": "stack", "Value": "s"}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=60,
        Statistics=["Sum"],
    )
    assert sum(point["Sum"] for point in statistics["Datapoints"]) == 2.0, "CloudWatch's own API shows it too, in real time"


def test_messages_that_lie_in_a_queue_fire_an_alarm(world: Document) -> None:
    topic, sqs = client(world, "sns").create_topic(Name="alarms")["TopicArn"], client(world, "sqs")
    queue = sqs.create_queue(QueueName="lost")["QueueUrl"]
    about = {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Statistic": "Maximum"}
    alarm(world, "lost", topic, Dimensions=[{"Name": "QueueName", "Value": "lost"}], **about)
    assert passes(world, 120)["lost"] == "OK"
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    assert passes(world, 120)["lost"] == "ALARM"
    sqs.purge_queue(QueueUrl=queue)
    assert passes(world, 180)["lost"] == "OK"


def test_a_metric_that_somebody_puts_fires_an_alarm_however_far_its_clock_is_ahead(world: Document) -> None:
    topic, cloudwatch = client(world, "sns").create_topic(Name="alarms")["TopicArn"], client(world, "cloudwatch")
    alarm(world, "put", topic, Namespace="AWS/States", MetricName="ExecutionsTimedOut", Dimensions=[], Statistic="Sum")
    assert passes(world, 3600)["put"] == "OK"
    for _ in range(2):
        cloudwatch.put_metric_data(Namespace="AWS/States", MetricData=[{"MetricName": "ExecutionsTimedOut", "Value": 1.0, "Unit": "Count"}])
        states = passes(world, 60)
    assert states["put"] == "ALARM"
