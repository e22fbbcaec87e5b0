"""The template's alarms and their names."""

from tests.support.template_resources import RESOURCES

ALARMS = {name: r["Properties"] for name, r in RESOURCES.items() if r["Type"] == "AWS::CloudWatch::Alarm"}


def alarm_name(resource: str) -> str:
    return str(ALARMS[resource]["AlarmName"]["Fn::Sub"]).removeprefix("${AWS::StackName}-")
