"""The template as CloudFormation gets it: translated by SAM, parameters and intrinsic functions filled in."""

import copy
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from world.deploy import ROOT

ACCOUNT, REGION, STACK = "111122223333", "us-east-1", "crossmesh"
PARAMETERS = {
    "Owner": "demo",
    "EksClusterArns": [f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}" for name in ("eksc1", "eksc2")],
    "ClusterRoleArns": ["arn:aws:iam::444455556666:role/crossmesh-reader"],
    "HostedZoneArns": ["arn:aws:route53:::hostedzone/*"],
}
NOTHING = "AWS::NoValue"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": STACK,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/0a1b2c3d-0000-0000-0000-000000000001",
    NOTHING: NOTHING,
}
_CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}
_ARNS = {
    "AWS::DynamoDB::Table": "dynamodb:{r}:{a}:table/{n}",
    "AWS::S3::Bucket": "s3:::{n}",
    "AWS::Lambda::Function": "lambda:{r}:{a}:function:{n}",
    "AWS::StepFunctions::StateMachine": "states:{r}:{a}:stateMachine:{n}",
    "AWS::SQS::Queue": "sqs:{r}:{a}:{n}",
    "AWS::IAM::Role": "iam::{a}:role/{n}",
    "AWS::Events::EventBus": "events:{r}:{a}:event-bus/{n}",
    "AWS::Logs::LogGroup": "logs:{r}:{a}:log-group:{n}",
    "AWS::SNS::Topic": "sns:{r}:{a}:{n}",
    "AWS::KMS::Key": "kms:{r}:{a}:key/{n}",
    "AWS::CloudWatch::Alarm": "cloudwatch:{r}:{a}:alarm:{n}",
}


def written() -> dict[str, Any]:
    """template.yaml as it is written."""
    found: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
    return found


@cache
def translated() -> dict[str, Any]:
    """What SAM makes of it; intrinsic functions still in place."""
    template = written()
    for resource in template["Resources"].values():
        if resource["Type"] in _CODE:
            resource["Properties"][_CODE[resource["Type"]]] = "s3://bucket/key"
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    found: dict[str, Any] = translator.translate(sam_template=template, parameter_values={})
    return found


class Filled:
    """The translated template with parameters filled in; names of resources are their logical ids where the template gives none.

    `pseudo`: pseudo parameters such as AWS::Region, for another place than the usual one.
    """

    def __init__(self, pseudo: Mapping[str, str] | None = None, **parameters: Any) -> None:
        self.template = copy.deepcopy(translated())
        defaults = {name: _default(one) for name, one in self.template["Parameters"].items()}
        self.values = {**_PSEUDO, **defaults, **PARAMETERS, **(pseudo or {}), **parameters}
        self.resources: dict[str, Any] = self.template["Resources"]

    def resource(self, name: str) -> dict[str, Any]:
        """The properties of a resource, filled in."""
        found: dict[str, Any] = self.fill(self.resources[name].get("Properties", {}))
        return found

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Every resource of a type by its logical id."""
        return {name: self.resource(name) for name, resource in self.resources.items() if resource["Type"] == kind}

    def made(self) -> dict[str, Any]:
        """The resources whose condition holds, as they are translated."""
        return {name: r for name, r in self.resources.items() if "Condition" not in r or self.holds({"Condition": r["Condition"]})}

    def fill(self, value: Any) -> Any:
        """A value without intrinsic functions."""
        if isinstance(value, list):
            return [filled for item in value if (filled := self.fill(item)) != NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            known = {"Ref": self._ref, "Fn::GetAtt": self._attribute, "Fn::Sub": self._sub, "Fn::If": self._if, "Fn::Join": self._join}
            known["Fn::Select"] = self._select
            if name in known:
                return known[name](argument)
        return {key: filled for key, item in value.items() if (filled := self.fill(item)) != NOTHING}

    def _ref(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        kind = self.resources[name]["Type"]
        return self.arn(name) if kind in ("AWS::StepFunctions::StateMachine", "AWS::SNS::Topic") else self.name(name)

    def name(self, logical: str) -> str:
        """A resource's physical name."""
        given = self.resources[logical].get("Properties", {})
        keys = [
            key
            for key in ("StateMachineName", "FunctionName", "LogGroupName", "TopicName", "AlarmName", "DashboardName", "Name")
            if key in given
        ]
        return str(self.fill(given[keys[0]])) if keys else logical

    def arn(self, logical: str) -> str:
        """A resource's ARN."""
        pattern = _ARNS[self.resources[logical]["Type"]]
        where = {"r": self.values["AWS::Region"], "a": self.values["AWS::AccountId"]}
        return f"arn:{self.values['AWS::Partition']}:" + pattern.format(**where, n=self.name(logical))

    def _attribute(self, path: Any) -> str:
        logical, attribute = path if isinstance(path, list) else path.split(".", 1)
        return self.arn(logical) if attribute == "Arn" else self.name(logical)

    def _sub(self, argument: Any) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument
        own = {key: self.fill(value) for key, value in own.items()}

        def one(found: re.Match[str]) -> str:
            name = found[1]
            if name in own:
                return str(own[name])
            return str(self._attribute(name)) if "." in name else str(self._ref(name))

        return re.sub(r"\$\{([\w.:]+)\}", one, text).replace("${!", "${")

    def _if(self, argument: list[Any]) -> Any:
        return self.fill(argument[1] if self.holds(self.template["Conditions"][argument[0]]) else argument[2])

    def _join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(map(str, self.fill(argument[1])))

    def _select(self, argument: list[Any]) -> Any:
        return self.fill(argument[1])[int(argument[0])]

    def holds(self, condition: dict[str, Any]) -> bool:
        """Whether a condition is true."""
        ((name, argument),) = condition.items()
        if name == "Fn::Not":
            return not self.holds(argument[0])
        if name in ("Fn::And", "Fn::Or"):
            return (all if name == "Fn::And" else any)(self.holds(one) for one in argument)
        if name == "Condition":
            return self.holds(self.template["Conditions"][argument])
        if name == "Fn::EachMemberEquals":  # in Rules alone
            return all(member == argument[1] for member in self.fill(argument[0]))
        assert name == "Fn::Equals", name
        left, right = self.fill(argument)
        return bool(left == right)


def triggers() -> dict[str, tuple[str, dict[str, Any]]]:
    """Every rule and schedule by its logical id: the state machine that it starts, and its properties as translated."""
    found = {}
    for name, resource in translated()["Resources"].items():
        if resource["Type"] in ("AWS::Events::Rule", "AWS::Scheduler::Schedule"):
            given = resource["Properties"]
            (target,) = given["Targets"] if "Targets" in given else (given["Target"],)
            found[name] = str(target["Arn"]["Ref"] if "Ref" in target["Arn"] else target["Arn"]["Fn::GetAtt"][0]), given
    return found


def _default(parameter: dict[str, Any]) -> Any:
    value = parameter.get("Default", "")
    return str(value).split(",") if parameter["Type"] == "CommaDelimitedList" else value  # of "" CloudFormation makes one empty item
