"""What an account lacks is told before the first deployment: each case by its own finding and command, and nothing where all is there."""

import msgspec
import pytest
from crossmesh.cli.account import cluster_facts, subnet_facts, writes
from crossmesh.core.diagnosis.account_facts import Account, ClusterFacts, SubnetFacts, TrailFacts
from crossmesh.core.diagnosis.preconditions import ALWAYS, GATEWAYS, groups_of, missing, network, same_names
from crossmesh.core.settings import CanarySettings, ClusterSettings, MeshSettings, Settings

from tests.support.builders import context

BASE = msgspec.structs.replace(context(clusters=("a", "b")).settings, canaries=())
TRAIL = (TrailFacts(name="all", logging=True, writes=True),)
PUBLIC = ClusterFacts(
    name="a", eks="a", region="us-east-1", public=True, cidrs=("0.0.0.0/0",), private=True, vpc="vpc-1", subnets=("s-1",), group="g-a"
)
PRIVATE = msgspec.structs.replace(PUBLIC, public=False, cidrs=("0.0.0.0/0",))
INNER = SubnetFacts(id="s-1", vpc="vpc-1", public=False, out=True)
GIVEN = {"VpcSubnetIds": "s-1", "VpcSecurityGroupIds": "g-a"}


def account(*clusters: ClusterFacts, subnets: tuple[SubnetFacts, ...] = (INNER,), **more: object) -> Account:
    return msgspec.structs.replace(Account(clusters=clusters, subnets=subnets, trails=TRAIL), **more)


def said(found: Account, parameters: dict[str, str] | None = None, settings: Settings = BASE) -> list[str]:
    return [one.what for one in missing(settings, found, GIVEN if parameters is None else parameters)]


@pytest.mark.parametrize(
    ("cidrs", "private", "way"),
    [
        (("0.0.0.0/0",), False, "internet"),
        (("0.0.0.0/1", "128.0.0.0/1"), False, "internet"),
        (("203.0.113.5/32",), True, "vpc"),
        (("203.0.113.5/32",), False, "none"),
        (("::/0",), True, "vpc"),
        (("no block",), False, "none"),
    ],
)
def test_a_public_endpoint_counts_only_where_it_takes_every_address(cidrs: tuple[str, ...], private: bool, way: str) -> None:
    facts = msgspec.structs.replace(PUBLIC, cidrs=cidrs, private=private)
    assert facts.way == way
    assert bool(network(account(facts))) == (way == "vpc")
    (closed,) = [one.fix for one in missing(BASE, account(facts), GIVEN)] or [""]
    assert closed.startswith("aws eks update-cluster-config --name a --region us-east-1 --resources-vpc-config") == (way == "none")


def test_describe_clusters_answer_is_read_whole() -> None:
    network_of = {"endpointPublicAccess": False, "endpointPrivateAccess": True, "vpcId": "v", "subnetIds": ["s"], "clusterSecurityGroupId": "g"}
    facts = cluster_facts("n", "e", "r", {"resourcesVpcConfig": network_of, "accessConfig": {"authenticationMode": "API"}})
    assert facts == ClusterFacts(
        name="n", eks="e", region="r", public=False, cidrs=("0.0.0.0/0",), private=True, vpc="v", subnets=("s",), group="g", mode="API"
    )
    assert cluster_facts("n", "e", "r", {}).way == "internet", "an old answer without these fields says nothing against it"


def test_only_private_subnets_and_every_private_clusters_group_are_given() -> None:
    other = msgspec.structs.replace(PRIVATE, name="b", group="g-b", subnets=("s-1", "s-2", "s-3"))
    elsewhere = msgspec.structs.replace(PRIVATE, name="c", vpc="vpc-2", subnets=("s-9",), group="g-c")
    subnets = (
        INNER,
        msgspec.structs.replace(INNER, id="s-2", public=True, out=False),
        msgspec.structs.replace(INNER, id="s-3"),
        msgspec.structs.replace(INNER, id="s-9", vpc="vpc-2"),
    )
    found = account(PRIVATE, other, elsewhere, subnets=subnets)
    assert network(found) == {"VpcSubnetIds": "s-1,s-3", "VpcSecurityGroupIds": "g-a,g-b"}
    assert said(found, network(found)) == ["c lies in vpc-2, the functions in vpc-1"]
    many = [msgspec.structs.replace(PRIVATE, name=f"c{n}", group=f"g{n}") for n in range(7)]
    assert network(account(*many))["VpcSecurityGroupIds"] == "g0,g1,g2,g3,g4", "Lambda takes five"
    assert said(account(*many)) == ["7 clusters of one VPC are private, a function takes 5 security groups"]


def test_a_cluster_with_public_subnets_alone_gets_none_and_is_told() -> None:
    found = account(PRIVATE, subnets=(msgspec.structs.replace(INNER, public=True, out=False),))
    assert network(found) == {}
    assert said(found, {}) == ["a can only be reached from inside a VPC, and no private subnet of vpc-1 is known"]
    assert "subnet s-1 is public: a function in it has no public address and no way out" in said(found)


@pytest.mark.parametrize(
    ("routes", "public", "out"),
    [
        ([{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}], True, False),
        ([{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}], False, True),
        ([{"DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayId": "tgw-1"}], False, True),
        ([{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"}], False, False),
        ([{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}], False, False),
    ],
)
def test_a_subnet_is_known_by_its_default_route(routes: list[dict[str, str]], public: bool, out: bool) -> None:
    other = {"VpcId": "v", "Associations": [{"SubnetId": "x"}], "Routes": [{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-9"}]}
    own = {"VpcId": "v", "Associations": [{"SubnetId": "s"}], "Routes": routes}
    main = {"VpcId": "v", "Associations": [{"Main": True}], "Routes": routes}
    wanted = SubnetFacts(id="s", vpc="v", public=public, out=out)
    assert subnet_facts("s", "v", [other, own]) == wanted
    assert subnet_facts("s", "v", [other, main]) == wanted, "a subnet without a table of its own has the main one"
    assert subnet_facts("s", "v", [other]) == SubnetFacts(id="s", vpc="v", public=False, out=False)


def test_a_vpc_without_nat_needs_an_endpoint_of_each_service_states_among_them() -> None:
    closed = (msgspec.structs.replace(INNER, out=False),)
    whole = {"vpc-1": (*ALWAYS, *GATEWAYS)}
    assert said(account(PRIVATE, subnets=closed, endpoints=whole)) == []
    for service in whole["vpc-1"]:
        left = {"vpc-1": tuple(one for one in whole["vpc-1"] if one != service)}
        assert said(account(PRIVATE, subnets=closed, endpoints=left)) == [
            f"s-1 have no NAT gateway, and vpc-1 no endpoint of {service}: functions there wait until they fail"
        ]
    assert "states" in ALWAYS
    assert said(account(PRIVATE, subnets=closed, endpoints={})) == [], "endpoints that could not be read are not judged"
    assert said(account(PRIVATE, endpoints={"vpc-1": ()})) == [], "with a NAT gateway none is needed"


def test_what_lies_on_the_internet_or_in_another_region_needs_nat() -> None:
    closed, whole = (msgspec.structs.replace(INNER, out=False),), {"vpc-1": (*ALWAYS, *GATEWAYS, "sts", "elasticloadbalancing", "ec2")}
    far = msgspec.structs.replace(PRIVATE, name="b", region="eu-west-1")
    beside = msgspec.structs.replace(PUBLIC, name="b")
    assert said(account(PRIVATE, far, subnets=closed, endpoints=whole)) == ["s-1 have no NAT gateway, and the API of b is of eu-west-1"]
    assert said(account(PRIVATE, beside, subnets=closed, endpoints=whole)) == ["s-1 have no NAT gateway, and the API of b is on the Internet"]
    asked = msgspec.structs.replace(BASE, canaries=(CanarySettings(name="c", url="http://front"),))
    assert said(account(PRIVATE, subnets=closed, endpoints=whole), settings=asked) == [
        "s-1 have no NAT gateway: canaries cannot ask a front on the Internet"
    ]


@pytest.mark.parametrize(("mode", "told"), [("CONFIG_MAP", True), ("API_AND_CONFIG_MAP", False), ("API", False), ("", False)])
def test_a_cluster_that_takes_no_access_entries_is_told_with_the_command(mode: str, told: bool) -> None:
    found = missing(BASE, account(msgspec.structs.replace(PUBLIC, mode=mode)), {})
    assert bool(found) == told
    assert all("--access-config authenticationMode=API_AND_CONFIG_MAP" in one.fix for one in found)


@pytest.mark.parametrize(
    ("trails", "told"),
    [
        ((), True),
        ((TrailFacts(name="t", logging=False, writes=True),), True),
        ((TrailFacts(name="t", logging=True, writes=False),), True),
        ((TrailFacts(name="t", logging=True, writes=False), *TRAIL), False),
        (None, False),
    ],
)
def test_drift_events_need_a_trail_that_logs_management_writes(trails: tuple[TrailFacts, ...] | None, told: bool) -> None:
    found = missing(BASE, account(PUBLIC, trails=trails), {})
    assert bool(found) == told
    assert all("aws cloudtrail create-trail" in one.fix for one in found)
    assert missing(BASE, account(PUBLIC, trails=()), {"World": "local"}) == (), "the local world brings events without one"


CATEGORY = {"Field": "eventCategory", "Equals": ["Management"]}
MAP = "servicediscovery.amazonaws.com"


@pytest.mark.parametrize(
    ("selectors", "taken"),
    [
        ({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]}, True),
        ({"EventSelectors": [{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True}]}, True),
        ({"EventSelectors": [{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": True}]}, False),
        ({"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": False}]}, False),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [CATEGORY]}]}, True),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [CATEGORY, {"Field": "readOnly", "Equals": ["false"]}]}]}, True),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [CATEGORY, {"Field": "readOnly", "Equals": ["true"]}]}]}, False),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [CATEGORY, {"Field": "eventSource", "NotEquals": [MAP]}]}]}, False),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [CATEGORY, {"Field": "eventSource", "NotEquals": ["kms.amazonaws.com"]}]}]}, True),
        ({"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}]}, False),
        ({}, False),
    ],
)
def test_a_trails_selectors_tell_whether_it_takes_writes_of_cloud_map(selectors: dict[str, object], taken: bool) -> None:
    assert writes(selectors) == taken


def clusters(*given: tuple[str, str, str]) -> Settings:
    listed = tuple(ClusterSettings(name=name, eks=eks, region=f"{name}-1", role_arn=role) for name, eks, role in given)
    return Settings(owner="o", region="us-east-1", mesh=MeshSettings(manifests=BASE.mesh.manifests), clusters=listed)


def test_clusters_of_one_eks_name_and_identity_take_each_others_tokens() -> None:
    assert [one.subject for one in same_names(clusters(("east", "prod", ""), ("west", "prod", "")))] == ["west"]
    assert list(same_names(clusters(("east", "prod", ""), ("west", "prod", "arn:role")))) == []
    assert list(same_names(clusters(("east", "prod", "arn:role"), ("west", "prod", "arn:role")))) != []
    assert list(same_names(clusters(("east", "prod-1", ""), ("west", "prod-2", "")))) == []


OPENING = msgspec.structs.replace(BASE, security_groups="open")
HERE = "arn:aws:ec2:us-east-1:111122223333:security-group/"


def grouped(*owners: str | None, region: str = "us-east-1") -> Account:
    """Clusters a, b … whose groups g-a, g-b … have these tags crossmesh:owner."""
    names = "abc"[: len(owners)]
    return account(
        *(
            msgspec.structs.replace(PUBLIC, name=n, eks=n, group=f"g-{n}", owner=owner, region=region)
            for n, owner in zip(names, owners, strict=True)
        )
    )


@pytest.mark.parametrize(
    ("arns", "owners", "told"),
    [
        ("", (OPENING.owner, OPENING.owner), []),
        ("", (None, OPENING.owner), []),  # what was not read is not judged
        ("", (OPENING.owner, ""), ["g-b"]),
        ("", ("other", ""), ["g-a", "g-b"]),
        (f"{HERE}g-a,{HERE}g-b", ("", ""), []),
        (f"{HERE}g-a", ("", OPENING.owner), ["g-b"]),  # a tag adds nothing where groups are named
        (f"{HERE.replace('us-east-1', 'eu-west-1')}g-a,{HERE}g-b", ("", ""), ["g-a"]),
    ],
)
def test_a_group_that_the_function_may_not_open_is_told(arns: str, owners: tuple[str | None, ...], told: list[str]) -> None:
    parameters = {**GIVEN, "SecurityGroupArns": arns}
    found = [one for one in missing(OPENING, grouped(*owners), parameters) if one.subject == "SecurityGroupArns"]
    assert [group for one in found for group in ("g-a", "g-b") if group in one.what] == told
    assert not [one for one in missing(BASE, grouped(*owners), parameters) if one.subject == "SecurityGroupArns"], "nothing is opened then"
    if not arns:
        assert all(f"--tags Key=crossmesh:owner,Value={OPENING.owner}" in one.fix for one in found)


def test_a_tag_does_not_do_for_a_cluster_of_another_region() -> None:
    (one,) = [one for one in missing(OPENING, grouped(OPENING.owner, region="eu-west-1"), GIVEN) if one.subject == "SecurityGroupArns"]
    assert "create-tags" not in one.fix
    assert "crossmesh init" in one.fix


def test_init_names_the_groups_of_this_accounts_clusters() -> None:
    both = grouped("", "")
    assert groups_of(OPENING, both, "111122223333", "aws") == f"{HERE}g-a,{HERE}g-b"
    assert groups_of(OPENING, both, "1", "aws-cn").startswith("arn:aws-cn:ec2:us-east-1:1:")
    assert groups_of(OPENING, grouped(""), "1", "aws", before="kept") == "kept", "a cluster that was not read takes nothing away"
