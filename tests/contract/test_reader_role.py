"""clusters/role.yaml: what another account gives, and that its two sides fit: the trust to the functions' roles, their right to assume it."""

from typing import Any

from samtranslator.yaml_helper import yaml_parse

from tests.contract.template import Filled
from world.deploy import ROOT

ROLE: dict[str, Any] = yaml_parse((ROOT / "clusters" / "role.yaml").read_text())["Resources"]["Reader"]["Properties"]


def test_it_finds_one_cluster_and_the_way_to_it_and_does_nothing_else() -> None:
    (policy,) = ROLE["Policies"]
    cluster, way = policy["PolicyDocument"]["Statement"]
    assert cluster["Action"] == "eks:DescribeCluster"
    assert cluster["Resource"]["Fn::Sub"].endswith(":cluster/${ClusterName}")
    assert all(action.split(":")[1].startswith("Describe") for action in way["Action"])
    assert {action.split(":")[0] for action in way["Action"]} == {"ec2", "elasticloadbalancing"}
    assert "ManagedPolicyArns" not in ROLE


def test_only_the_readers_with_the_external_id_become_it() -> None:
    (trust,) = ROLE["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": {"Ref": "ReaderRoleArns"}}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}}


def test_whoever_may_assume_is_who_is_named_as_a_reader() -> None:
    template = Filled()
    readers = set(template.fill(template.template["Outputs"]["ReaderRoleArns"]["Value"]).split(","))
    assuming = {
        template.arn(name)
        for name, role in template.of_type("AWS::IAM::Role").items()
        for policy in role.get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if "sts:AssumeRole" in statement["Action"]
    }
    gates = template.fill(template.template["Outputs"]["GateRoleArn"]["Value"])
    ports = template.arn("OpenPortsFunctionRole")
    assert assuming - {gates, ports} == readers


def test_without_other_accounts_nobody_assumes_anything() -> None:
    template = Filled(ClusterRoleArns=[""])
    for role in template.of_type("AWS::IAM::Role").values():
        for policy in role.get("Policies", ()):
            assert all("sts:AssumeRole" not in statement["Action"] for statement in policy["PolicyDocument"]["Statement"])
