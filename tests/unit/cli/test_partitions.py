"""Every partition that botocore knows, and two Regions of each: the token's host, what `init` writes, which settings are taken."""

import base64
import re
import urllib.parse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.credentials import Credentials
from crossmesh.adapters import aws
from crossmesh.adapters.eks import Eks, bearer_token
from crossmesh.cli.init import access
from crossmesh.cli.samconfig import overrides
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.stack_parameters import LIST, LISTS, STACK_NAME, disagreements, parameters, too_long
from crossmesh.errors import RefusedError
from crossmesh.manifests.settings import rules as settings_rules
from msgspec.structs import replace

from tests.contract.template import Filled
from tests.support.builders import context

SESSION = botocore.session.get_session()
PLACES = [
    (partition, region) for partition in SESSION.get_available_partitions() for region in SESSION.get_available_regions("sts", partition)[:2]
]
KEYS = Credentials("AKIDEXAMPLE", "secret", "token")
ACCOUNT = "111122223333"


@pytest.mark.parametrize(("partition", "region"), PLACES)
def test_the_token_is_signed_for_the_host_that_the_partition_has(partition: str, region: str) -> None:
    token = bearer_token(KEYS, region, "one").removeprefix("k8s-aws-v1.")
    url = urllib.parse.urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    client = SESSION.create_client("sts", region_name=region, aws_access_key_id="a", aws_secret_access_key="b")
    assert f"{url.scheme}://{url.netloc}" == client.meta.endpoint_url
    assert f"/{region}/sts/aws4_request" in urllib.parse.unquote(url.query)
    assert aws.partition(region) == client.meta.partition == partition


def test_there_is_more_than_the_commercial_partition() -> None:
    assert {"aws", "aws-cn", "aws-us-gov"} < {partition for partition, _ in PLACES}


@pytest.mark.parametrize(("partition", "region"), PLACES)
def test_what_init_writes_is_what_the_functions_take(partition: str, region: str) -> None:
    settings = replace(context(clusters=("a", "b")).settings, region=region)
    settings = replace(settings, clusters=tuple(replace(cluster, region=region) for cluster in settings.clusters))
    given = parameters(settings, ACCOUNT, aws.partition(region))
    assert given["EksClusterArns"].startswith(f"arn:{partition}:eks:{region}:{ACCOUNT}:cluster/")
    assert disagreements(settings, ACCOUNT, given) == ()
    assert settings_rules._REGION.pattern
    assert re.fullmatch(settings_rules._REGION.pattern, region)
    assert re.fullmatch(settings_rules._ROLE.pattern, f"arn:{partition}:iam::{ACCOUNT}:role/reader")


@pytest.mark.parametrize(("region", "partition"), [("us-east-99", "aws"), ("cn-new-1", "aws-cn"), ("us-gov-new-1", "aws-us-gov")])
def test_a_region_that_botocore_does_not_list_yet_is_told_by_its_name(region: str, partition: str) -> None:
    assert aws.partition(region) == partition


@pytest.mark.parametrize("endpoint", ["http://10.0.0.1", "HTTP://x", "10.0.0.1", "ftp://x"])
def test_no_token_goes_to_an_endpoint_without_tls(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"cluster": {"endpoint": endpoint, "certificateAuthority": {"data": "Y2E="}}}
    monkeypatch.setattr(aws, "client", lambda *_, **__: SimpleNamespace(describe_cluster=lambda **_: described))
    eks, cluster = Eks("us-east-1"), ClusterSettings(name="a", eks="a", region="us-east-1")
    with pytest.raises(RefusedError, match="https only"):
        eks.access(cluster, 0.0)
    described["cluster"]["endpoint"] = "https://10.0.0.1"
    assert eks.access(cluster, 0.0).endpoint == "https://10.0.0.1"


@pytest.mark.parametrize(
    "arn",
    [
        'arn:aws:iam::111122223333:role/x" Mode="apply',
        "arn:aws:iam::111122223333:role/x; touch y",
        "arn:aws:iam::111122223333:role/$(touch y)",
        "arn:aws:iam::111122223333:role/x\x1b[8m",
        "arn:aws:iam::111122223333:role/a,arn:aws:iam::111122223333:role/b",
        "arn:aws:iam::111122223333:role/",
    ],
)
def test_a_role_that_iam_would_not_have_is_refused(arn: str) -> None:
    assert not re.fullmatch(settings_rules._ROLE.pattern, arn)


@pytest.mark.parametrize("given", ["$(touch y)", "a b", "a`b`", 'a"b', "a\nb", "a;b", "ä!"])
def test_an_external_id_that_sts_would_not_take_is_refused(given: str) -> None:
    assert not re.fullmatch(settings_rules._EXTERNAL_ID.pattern, given)
    assert re.fullmatch(settings_rules._EXTERNAL_ID.pattern, "a-Z_0+=,.@:/")


def test_what_init_prints_is_one_command_a_line_whatever_the_settings_hold() -> None:
    """The settings' patterns stand before it; this is the second wall."""
    nasty = "x; touch y $(touch z) 'q'"
    cluster = ClusterSettings(name=nasty, eks=nasty, region=nasty, role_arn=f"arn:aws:iam::444455556666:role/{nasty}", external_id="$(touch y)")
    import shlex

    for line in access(cluster, [], ACCOUNT):
        words = shlex.split(line, comments=True)
        assert not {";", "touch", "$(touch"} & set(words), line


def test_a_parameter_that_is_emptied_is_written_as_empty_for_else_the_stack_would_keep_it() -> None:
    from crossmesh.cli.samconfig import changed
    from samcli.cli.types import CfnParameterOverridesType

    text = changed("version = 0.1\n", "default", {"EksClusterArns": "arn", "ClusterRoleArns": ""})
    assert overrides(text, "default") == {"EksClusterArns": "arn"}, "never given: the template's default"
    text = changed(text, "default", {"EksClusterArns": ""})
    assert overrides(text, "default") == {"EksClusterArns": ""}
    assert changed(text, "default", {"EksClusterArns": ""}) == text
    parser: Any = CfnParameterOverridesType()
    import tomllib

    given = tomllib.loads(text)["default"]["deploy"]["parameters"]["parameter_overrides"]
    assert parser.convert(given, None, None) == {"EksClusterArns": ""}, "as SAM reads it"


def test_values_with_quotes_stay_one_value() -> None:
    from crossmesh.cli.samconfig import changed

    text = changed("", "x", {"ClusterRoleArns": 'role/x" Mode="apply'})
    assert overrides(text, "x") == {"ClusterRoleArns": 'role/x" Mode="apply'}


def test_lists_that_aws_will_refuse_are_refused_before() -> None:
    assert too_long({"EksClusterArns": "x" * LISTS, "Owner": "o"}, "s" * STACK_NAME) == ()
    (lists,) = too_long({"EksClusterArns": "x" * LISTS, "ClusterRoleArns": "y"}, "crossmesh")
    assert "environment" in lists
    assert any("CloudFormation takes" in one for one in too_long({"NamespaceArns": "x" * (LIST + 1)}, "crossmesh"))
    (name,) = too_long({}, "s" * (STACK_NAME + 1))
    assert "stack name" in name


def test_the_longest_lists_fit_into_every_functions_environment() -> None:
    longest = {"AWS::StackName": "s" * STACK_NAME}
    filled = Filled(longest, Owner="o" * 63, EksClusterArns=["x" * (LISTS - 1)], ClusterRoleArns=["y"])
    for name, function in filled.of_type("AWS::Lambda::Function").items():
        variables = {**function["Environment"]["Variables"], "CROSSMESH_TABLE": "t" * 120, "CROSSMESH_BUCKET": "b" * 63}
        assert sum(len(key) + len(str(value)) for key, value in variables.items()) <= 4_096, name


def test_subnets_that_a_person_chose_stay(tmp_path: Path) -> None:
    from crossmesh.cli import init

    before = {"VpcSubnetIds": "subnet-mine", "VpcSecurityGroupIds": "sg-mine"}
    assert init.chosen(before) == before
    assert init.chosen({"Owner": "o"}) == {}
