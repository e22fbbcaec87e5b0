"""Questions about alarms and executions."""

from typing import Any

from tests.conformance.second.asked import question
from tests.conformance.second.clouds import Cloud, outcome


@question
def alarms_by_prefix(cloud: Cloud) -> Any:
    watch = cloud.api("cloudwatch")
    for name in ("stack-a", "stack-b", "other"):
        watch.put_metric_alarm(
            AlarmName=name,
            Namespace="crossmesh",
            MetricName="UnseenClusters",
            Dimensions=[{"Name": "deployment", "Value": "stack"}],
            Statistic="Minimum",
            Period=60,
            EvaluationPeriods=5,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )
    watch.set_alarm_state(AlarmName="stack-b", StateValue="ALARM", StateReason="because")
    found = watch.describe_alarms(AlarmNamePrefix="stack-")["MetricAlarms"]
    return [one["StateValue"] for one in sorted(found, key=lambda one: str(one["AlarmName"]))]


@question
def what_an_alarm_is_told_to_be(cloud: Cloud) -> Any:
    watch = cloud.api("cloudwatch")
    asked: dict[str, Any] = {
        "AlarmName": "as-told",
        "Namespace": "crossmesh",
        "MetricName": "UnseenClusters",
        "Dimensions": [{"Name": "deployment", "Value": "stack"}],
        "Statistic": "Minimum",
        "Period": 60,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 5,
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "ActionsEnabled": False,
    }
    watch.put_metric_alarm(**asked)
    (alarm,) = watch.describe_alarms(AlarmNames=["as-told"])["MetricAlarms"]
    return {name: alarm.get(name) for name in asked}


@question
def alarms_of_a_prefix_that_ring(cloud: Cloud) -> Any:
    watch = cloud.api("cloudwatch")
    rule: dict[str, Any] = {"Namespace": "crossmesh", "MetricName": "Failures", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    for name in ("ring-a", "ring-b"):
        watch.put_metric_alarm(AlarmName=name, Threshold=0, ComparisonOperator="GreaterThanThreshold", **rule)
    watch.set_alarm_state(AlarmName="ring-b", StateValue="ALARM", StateReason="because")
    return [one["AlarmName"] for one in watch.describe_alarms(AlarmNamePrefix="ring-", StateValue="ALARM")["MetricAlarms"]]


class Machine:
    """A machine that waits for a minute."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.states = cloud.api("stepfunctions")
        definition = '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": true}}}'
        trust = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}]}'
        role = cloud.api("iam").create_role(RoleName=f"workflow-{name}", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        self.arn = self.states.create_state_machine(name=name, definition=definition, roleArn=role)["stateMachineArn"]

    def start(self, name: str, given: str = "{}") -> str:
        return str(self.states.start_execution(stateMachineArn=self.arn, name=name, input=given)["executionArn"])


@question
def whether_an_execution_runs(cloud: Cloud) -> Any:
    machine = Machine(cloud, "runs")
    arn = machine.start("one")
    before = cloud.executions.running(arn)
    machine.states.stop_execution(executionArn=arn, error="E", cause="because")
    return (
        before,
        cloud.executions.running(arn),
        cloud.executions.running(arn + "x"),
        machine.states.describe_execution(executionArn=arn)["status"],
    )


@question
def an_execution_started_by_name_once_more(cloud: Cloud) -> Any:
    machine = Machine(cloud, "names")
    first = machine.start("one", '{"a": 1}')
    same, other = outcome(machine.start, "one", '{"a": 1}'), outcome(machine.start, "one", '{"a": 2}')
    machine.states.stop_execution(executionArn=first)
    ended = outcome(machine.start, "one", '{"a": 1}')
    return ["the first" if one == first else one for one in (same, other, ended)]


@question
def executions_by_status(cloud: Cloud) -> Any:
    machine = Machine(cloud, "listed")
    first = machine.start("one")
    machine.start("two")
    machine.states.stop_execution(executionArn=first)
    found = [
        machine.states.list_executions(stateMachineArn=machine.arn, statusFilter=status)["executions"] for status in ("RUNNING", "ABORTED")
    ]
    return [[one["name"] for one in some] for some in found]
