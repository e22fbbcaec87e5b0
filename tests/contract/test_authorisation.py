"""Every action, resource and condition key of every policy is one that AWS has, by the published Service Authorization Reference."""

import copy
import json
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.conftest import SECOND_OPINION
from tests.contract.second.authorisation import Document, entry, listed, problems
from tests.contract.template import ACCOUNT, REGION, Filled
from world.deploy import ROOT

MOST = {"SecurityGroups": "open", "WatcherOidcIssuer": "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE", "AlarmEmail": "a@example.com"}
NARROW = {
    "NamespaceArns": [f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}:namespace/ns-1"],
    "HostedZoneArns": ["arn:aws:route53:::hostedzone/Z1"],
    "SecurityGroupArns": [f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-1"],
}


def reader() -> Document:
    """clusters/role.yaml, with its parameters filled in."""
    values = {
        "RoleName": "crossmesh-reader",
        "ClusterName": "eksc1",
        "ReaderRoleArns": [f"arn:aws:iam::{ACCOUNT}:role/r"],
        "ExternalId": "secret",
    }
    template = Filled(**values)
    found: Document = template.fill(yaml_parse((ROOT / "clusters" / "role.yaml").read_text())["Resources"]["Reader"]["Properties"])
    return found


def policies() -> dict[str, tuple[list[Document], bool]]:
    """Statements by where they are, and whether they are a trust policy: every role (its own policies together), and every policy of a resource."""
    found: dict[str, tuple[list[Document], bool]] = {}
    for label, parameters in (("", {}), (" with every parameter", {**MOST, **NARROW})):
        template = Filled(**parameters)
        for name, role in template.of_type("AWS::IAM::Role").items():
            found |= of_role(f"{name}{label}", role)
        for kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::Events::EventBusPolicy", "AWS::S3::BucketPolicy"):
            for name, policy in template.of_type(kind).items():
                found[f"{name}{label}"] = policy["PolicyDocument"]["Statement"], False
    return found | of_role("clusters/role.yaml", reader())


def of_role(name: str, role: Document) -> dict[str, tuple[list[Document], bool]]:
    trust = role["AssumeRolePolicyDocument"]
    trust = json.loads(trust) if isinstance(trust, str) else trust
    own = [statement for policy in role.get("Policies", ()) for statement in policy["PolicyDocument"]["Statement"]]
    return {f"{name}, trust": (trust["Statement"], True), name: (own, False)}


POLICIES = policies()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_actions_resources_and_condition_keys_are_of_the_reference(name: str) -> None:
    statements, trust = POLICIES[name]
    assert problems(statements, trust=trust) == []


def test_managed_policies_are_the_ones_that_sam_adds() -> None:
    given = {arn.rpartition("/")[2] for role in Filled(**MOST).of_type("AWS::IAM::Role").values() for arn in role.get("ManagedPolicyArns", ())}
    assert given <= {"AWSLambdaBasicExecutionRole", "AWSLambdaVPCAccessExecutionRole", "AWSXRayDaemonWriteAccess", "AWSXrayWriteOnlyAccess"}


def test_how_much_was_checked(record_property: Any) -> None:
    every = [statement for statements, _ in POLICIES.values() for statement in statements]
    actions = {action for statement in every for action in listed(statement["Action"])}
    keys = {key for statement in every for keys in statement.get("Condition", {}).values() for key in keys}
    assert len(actions) > 60
    assert len(keys) > 5
    record_property(
        SECOND_OPINION,
        f"policies against the authorisation reference: {len(every)} statements, {len(actions)} actions, {len(keys)} keys, all known to it",
    )


def planted(change: Any) -> list[str]:
    """What is said of ApplyRegistryFunction's role with one thing changed, by the statement's Sid."""
    statements = copy.deepcopy(POLICIES["ApplyRegistryFunctionRole"][0])
    change({statement["Sid"]: statement for statement in statements if "Sid" in statement}, statements)
    return problems(statements)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda by, _: by["Instances"]["Action"].append("servicediscovery:RegisterInstances"), "no action servicediscovery:RegisterInstances"),
        (lambda by, _: by["StateRead"].update(Action=["dynamo:GetItem"]), "no action dynamo:GetItem"),
        (lambda by, _: by["RunsRead"].update(Resource="arn:aws:s3:::bucket"), "s3:GetObject takes accesspointobject or object"),
        (lambda by, _: by["RunsList"].update(Resource="arn:aws:s3:::bucket/*"), "s3:ListBucket takes accesspoint or bucket"),
        (lambda by, _: by["OwnServices"].update(Resource="arn:aws:servicediscovery:us-east-1:1:namespace/*"), "DeleteService takes service"),
        (lambda by, _: by["OwnTags"].update(Resource="arn:aws:servicediscovery:us-east-1:1:service/*"), "takes no resource, only *"),
        (lambda by, every: every.remove(by["NewServicesIn"]), "CreateService needs a namespace as well"),
        (lambda by, every: every.remove(by["NewServices"]), "CreateService needs a service as well"),
        (
            lambda by, _: by["OwnServices"].update(Condition={"StringEquals": {"aws:RequestTag/crossmesh:owner": "x"}}),
            "no condition key aws:RequestTag",
        ),
        (
            lambda by, _: by["OwnTags"].update(Condition={"StringEquals": {"aws:ResourceTag/crossmesh:owner": "x"}}),
            "no condition key aws:ResourceTag",
        ),
        (
            lambda by, _: by["Instances"].update(Condition={"StringEquals": {"servicediscovery:Owner": "x"}}),
            "no condition key servicediscovery:Owner",
        ),
        (lambda by, _: by["Instances"].update(Condition={"StringEquals": {"aws:SourceAcount": "x"}}), "no condition key aws:SourceAcount"),
    ],
)
def test_a_wrong_action_resource_or_key_is_told(change: Any, said: str) -> None:
    assert planted(lambda *_: None) == []
    assert any(said in problem for problem in planted(change)), planted(change)


def test_a_wrong_key_of_a_trust_policy_is_told() -> None:
    (statement,) = copy.deepcopy(POLICIES["WatcherIrsaRole with every parameter, trust"][0])
    issuer = MOST["WatcherOidcIssuer"]
    statement["Condition"]["StringEquals"] = {f"{issuer}:subject": "x"}
    assert any("subject" in problem for problem in problems([statement], trust=True))
    statement["Condition"]["StringEquals"] = {"oidc.other/id/1:sub": "x"}
    assert any("oidc.other" in problem for problem in problems([statement], trust=True))


def test_the_reference_is_there() -> None:
    assert entry("servicediscovery:RegisterInstance")["access_level"] == "Write"
    assert entry("servicediscovery:NoSuchAction") == {}
