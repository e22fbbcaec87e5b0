"""One template, many places: two stacks in an account, one stack name in two Regions, every partition, clusters of other accounts alone."""

import re
from typing import Any

import botocore.session
import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from tests.contract.template import ACCOUNT, REGION, STACK, Filled, written
from world.deploy import ROOT

GLOBAL = {"AWS::CloudWatch::Dashboard", "AWS::S3::Bucket", "AWS::IAM::Role"}  # named once an account (a bucket: once a partition)
SESSION = botocore.session.get_session()
PLACES = [
    (partition, region) for partition in SESSION.get_available_partitions() for region in SESSION.get_available_regions("sts", partition)[:2]
]
LONGEST = {  # characters of a name, by the API models and guides of each service
    "AWS::StepFunctions::StateMachine": 80,
    "AWS::Events::EventBus": 256,
    "AWS::SNS::Topic": 256,
    "AWS::CloudWatch::Alarm": 255,
    "AWS::CloudWatch::CompositeAlarm": 255,
    "AWS::CloudWatch::Dashboard": 255,
    "AWS::Logs::LogGroup": 512,
    "AWS::Lambda::LayerVersion": 140,
}


def names(place: Filled) -> dict[str, tuple[str, str]]:
    """Logical id -> (type, name) of every resource that the template names: the properties that identify it, where they are given."""
    found = {}
    for logical, resource in place.made().items():
        kind = resource["Type"]
        identity = [path.rpartition("/")[2] for path in PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema["primaryIdentifier"]]
        given = place.resource(logical)
        parts = [one for one in (*identity, *NAMED.get(kind, ())) if one in given]
        if parts and not any(attached(resource["Properties"][one], place) for one in parts):
            found[logical] = kind, "/".join(str(given[one]) for one in parts)
    return found


def attached(value: Any, place: Filled) -> bool:
    """Whether what identifies a resource is another one of the stack, as with a policy."""
    return isinstance(value, dict) and value.get("Ref") in place.resources


NAMED = {  # these are identified by an ARN that is made of their name
    "AWS::StepFunctions::StateMachine": ("StateMachineName",),
    "AWS::SNS::Topic": ("TopicName",),
    "AWS::Scheduler::Schedule": ("GroupName",),
    "AWS::Events::Rule": ("Name",),
    "AWS::Lambda::LayerVersion": ("LayerName",),
}


def place(stack: str = STACK, region: str = REGION, partition: str = "aws", **parameters: Any) -> Filled:
    """The template as it is deployed somewhere."""
    ident = f"arn:{partition}:cloudformation:{region}:{ACCOUNT}:stack/{stack}/0a1b2c3d-0000-0000-0000-000000000000"
    pseudo = {"AWS::StackName": stack, "AWS::Region": region, "AWS::Partition": partition, "AWS::StackId": ident}
    return Filled(pseudo, **parameters)


def collisions(one: Filled, other: Filled, kinds: set[str] | None = None) -> set[str]:
    """Logical ids whose names are the same in both."""
    there = names(other)
    return {
        f"{logical} ({name})" for logical, (kind, name) in names(one).items() if (kinds is None or kind in kinds) and there[logical][1] == name
    }


def test_a_second_stack_in_the_account_meets_no_name_of_the_first() -> None:
    found = names(place())
    assert {"AWS::StepFunctions::StateMachine", "AWS::Events::EventBus", "AWS::CloudWatch::Alarm"} <= {kind for kind, _ in found.values()}
    assert collisions(place(), place("crossmesh-dev")) == set()


def test_the_same_stack_name_in_a_second_region_meets_no_name_of_the_first() -> None:
    assert collisions(place(), place(region="eu-west-1"), GLOBAL) == set()
    assert names(place())["Dashboard"][1] == f"{STACK}-{REGION}"


def test_names_are_short_enough_for_the_stack_names_that_the_docs_allow() -> None:
    allowed = int(re.search(r"stack name of at most (\d+) characters", (ROOT / "docs" / "how-to" / "prepare-an-account.md").read_text())[1])  # type: ignore[index]
    long = names(place("s" * allowed))
    assert {kind for kind, _ in long.values()} & LONGEST.keys()
    assert [(kind, name) for kind, name in long.values() if kind in LONGEST and len(name) > LONGEST[kind]] == []
    longer = names(place("s" * (allowed + 1)))
    assert [kind for kind, name in longer.values() if kind in LONGEST and len(name) > LONGEST[kind]], "the docs may allow more"


@pytest.mark.parametrize(("partition", "region"), PLACES)
def test_every_arn_is_of_the_partition_it_is_deployed_in(partition: str, region: str) -> None:
    """ARNs that the template makes itself; those that parameters and AWS's own resources bring are of the place anyway."""
    cluster, role = f"arn:{partition}:eks:{region}:{ACCOUNT}:cluster/one", f"arn:{partition}:iam::444455556666:role/reader"
    zone = f"arn:{partition}:route53:::hostedzone/Z1"
    given = {"EksClusterArns": [cluster], "ClusterRoleArns": [role], "HostedZoneArns": [zone], "SecurityGroups": "open"}
    here = place(region=region, partition=partition, **given)
    managed = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/[\w/]*")  # SAM's, by the Region that it translates for, which here is the test's
    text = managed.sub("", str([here.resource(name) for name in here.made() if here.made()[name]["Type"] != "AWS::CloudWatch::Dashboard"]))
    found = set(re.findall(r"arn:([\w-]+):", text))
    assert found == {partition}
    for machine, given in here.of_type("AWS::StepFunctions::StateMachine").items():
        assert given["DefinitionSubstitutions"]["StartExecution"] == f"arn:{partition}:states:::states:startExecution", machine


@pytest.mark.parametrize("file", sorted((ROOT / "statemachines").glob("*.json")), ids=lambda file: file.name)
def test_a_state_machine_names_no_partition(file: Any) -> None:
    assert "arn:aws" not in file.read_text()


@pytest.mark.parametrize(
    ("partition", "host"),
    [("aws", "console.aws.amazon.com"), ("aws-cn", "console.amazonaws.cn"), ("aws-us-gov", "console.amazonaws-us-gov.com"), ("aws-iso", "")],
)
def test_the_dashboards_address_is_of_the_partitions_console(partition: str, host: str) -> None:
    region = SESSION.get_available_regions("sts", partition)[0]
    here = place(region=region, partition=partition)
    output = here.template["Outputs"]["DashboardUrl"]
    assert here.holds({"Condition": output["Condition"]}) == bool(host)
    if host:
        assert here.fill(output["Value"]).startswith(f"https://{region}.{host}/cloudwatch/")


def granted(of: Filled) -> list[dict[str, Any]]:
    """Every statement of every role."""
    return [s for role in of.of_type("AWS::IAM::Role").values() for p in role.get("Policies", ()) for s in p["PolicyDocument"]["Statement"]]


def test_clusters_of_other_accounts_alone_need_no_cluster_of_this_one() -> None:
    assert "Default" in written()["Parameters"]["EksClusterArns"], "or `sam deploy` would ask for a value"
    alone = Filled(EksClusterArns=[""])
    assert [s for s in granted(alone) if "eks:DescribeCluster" in s["Action"]] == []
    assert [s for s in granted(alone) if s["Resource"] in ("", [""], [])] == [], "IAM refuses a statement without a resource"
    assert len([s for s in granted(alone) if "sts:AssumeRole" in s["Action"]]) >= 4
    assert len([s for s in granted(Filled()) if "eks:DescribeCluster" in s["Action"]]) >= 4


@pytest.mark.parametrize(
    "empty", ["ClusterRoleArns", "NamespaceArns", "HostedZoneArns", "SecurityGroupArns", "VpcSubnetIds", "VpcSecurityGroupIds"]
)
def test_any_list_may_be_empty(empty: str) -> None:
    of = Filled(**{empty: [""], "SecurityGroups": "open"})
    assert [s for s in granted(of) if s["Resource"] in ("", [""], [])] == []


def refused(of: Filled) -> list[str]:
    """The rules that refuse the parameters."""
    return [
        name
        for name, rule in of.template["Rules"].items()
        if of.holds(rule["RuleCondition"]) and not all(of.holds(one["Assert"]) for one in rule["Assertions"])
    ]


@pytest.mark.parametrize(
    ("subnets", "groups", "rules"),
    [
        ([""], [""], []),
        (["subnet-1"], ["sg-1"], []),
        (["subnet-1", "subnet-2"], [""], ["SubnetsNeedSecurityGroups"]),
        (["subnet-1"], [], ["SubnetsNeedSecurityGroups"]),
        ([""], ["sg-1"], ["SecurityGroupsNeedSubnets"]),
        ([], [], []),
    ],
)
def test_subnets_without_security_groups_are_refused_before_anything_is_made(subnets: list[str], groups: list[str], rules: list[str]) -> None:
    assert refused(Filled(VpcSubnetIds=subnets, VpcSecurityGroupIds=groups)) == rules


def test_canaries_of_a_public_front_may_ask_from_outside_of_the_vpc() -> None:
    private = {"VpcSubnetIds": ["subnet-1"], "VpcSecurityGroupIds": ["sg-1"]}
    inside = {name for name, f in Filled(**private).of_type("AWS::Lambda::Function").items() if "VpcConfig" in f}
    assert "ProbeFrontFunction" in inside
    assert inside - {n for n, f in Filled(**private, ProbeFrom="internet").of_type("AWS::Lambda::Function").items() if "VpcConfig" in f} == {
        "ProbeFrontFunction"
    }
    assert not any("VpcConfig" in f for f in Filled(ProbeFrom="vpc").of_type("AWS::Lambda::Function").values())
