"""What a role that somebody else controls may not do: write what other functions believe, start what it may not, take over what is another's."""

from typing import Any

import pytest
from ministack.core import iam_evaluator

from tests.contract.iam.account import BUCKET, TABLE
from tests.contract.template import ACCOUNT, REGION, Filled

TEMPLATE = Filled(SecurityGroups="open")
FUNCTIONS = sorted(TEMPLATE.of_type("AWS::Lambda::Function"))
ITEM = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{TABLE}"
OBJECT = f"arn:aws:s3:::{BUCKET}/"
SERVICE = f"arn:aws:servicediscovery:{REGION}:{ACCOUNT}:service/srv-1"
ROUTE = f"arn:aws:appmesh:{REGION}:{ACCOUNT}:mesh/shop/virtualRouter/r/route/x"
OWN = {"aws:RequestTag/crossmesh:owner": "demo"}


def allowed(role: str, action: str, resource: str, template: Filled = TEMPLATE, **context: Any) -> bool:
    """Whether a role's own policies allow a call."""
    policies = [iam_evaluator.parse_policy_document(policy["PolicyDocument"]) for policy in template.resource(role).get("Policies", ())]
    asked = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/x",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region=REGION,
        service_context={key.lower(): value for key, value in context.items()},
    )
    return bool(iam_evaluator.evaluate(asked, policies).decision == "Allow")


def writes(function: str, key: str) -> bool:
    """Whether a function may write an item of the table, by any call that it may make at all."""
    keys = {"dynamodb:LeadingKeys": [key]}
    return any(allowed(f"{function}Role", f"dynamodb:{call}", ITEM, **keys) for call in ("PutItem", "UpdateItem", "DeleteItem"))


def keeps(function: str, key: str) -> bool:
    """Whether a function may write an object of the run store."""
    return allowed(f"{function}Role", "s3:PutObject", OBJECT + key)


ONLY: dict[str, set[str]] = {  # who may write what decides over the registry; everybody else is denied
    "document/operator": set(),
    "document/shifts": set(),
    "document/memory": {"ReportRunFunction"},
    "document/run": {"ReportRunFunction"},
    "document/look": {"LookFunction", "ReportLookFunction"},
    "document/manifests": {"LookFunction"},
    "document/shifting": {"ReconcileMeshFunction"},
    "document/outliers": {"DiagnoseCanaryFunction"},
    "document/canary/front": {"JudgeCanaryFunction", "DiagnoseCanaryFunction"},
    "lease/look": {"LookFunction", "ReportLookFunction"},
    "lease/outliers": {"DiagnoseCanaryFunction"},
    "lease/canary/front": {"ListCanariesFunction", "JudgeCanaryFunction"},
}
KEPT: dict[str, set[str]] = {
    "runs/any/plan.json": {"LookFunction"},
    "runs/any/look.json": {"LookFunction"},
    "runs/any/registry.json": {"LookFunction"},
    "runs/any/views/eksc1.json": {"LookFunction"},
    "runs/any/outcomes/1-0000.json": {"ApplyRegistryFunction"},
    "runs/any/mesh/0/outcomes.json": {"ReconcileMeshFunction"},
    "registry/last.json": {"LookFunction"},
    "manifests/0a.json": {"LookFunction"},
}


@pytest.mark.parametrize("key", ONLY)
def test_an_item_is_written_by_its_functions_alone(key: str) -> None:
    assert {function for function in FUNCTIONS if writes(function, key)} == ONLY[key]


@pytest.mark.parametrize("key", KEPT)
def test_an_object_is_written_by_its_functions_alone(key: str) -> None:
    assert {function for function in FUNCTIONS if keeps(function, key)} == KEPT[key]


def test_a_call_that_names_no_item_is_denied() -> None:
    assert not any(allowed(f"{function}Role", "dynamodb:PutItem", ITEM) for function in FUNCTIONS)


@pytest.mark.parametrize("function", ["ProbeFrontFunction", "JudgeCanaryFunction", "DiagnoseCanaryFunction"])
def test_who_reads_what_strangers_send_moves_no_lease_of_a_run(function: str) -> None:
    assert not writes(function, "lease/run")


def hints(**context: Any) -> bool:
    bus = TEMPLATE.fill({"Fn::GetAtt": ["Hints", "Arn"]})
    return allowed("WatcherRole", "events:PutEvents", bus, **context)


def test_a_watcher_hints_and_starts_nothing_else() -> None:
    assert hints(**{"events:source": ["crossmesh.watcher"], "events:detail-type": ["Pods changed"]})
    assert not hints(**{"events:source": ["crossmesh.cli"], "events:detail-type": ["Canary requested"]})
    assert not hints(**{"events:source": ["crossmesh.watcher", "crossmesh.cli"], "events:detail-type": ["Pods changed"]})
    assert not hints(**{"events:source": ["crossmesh.watcher"], "events:detail-type": ["Canary requested"]})
    assert not hints()


def test_a_server_of_envoys_reads_one_item_and_writes_its_heartbeat_alone() -> None:
    def may(action: str, *keys: str) -> bool:
        return allowed("EnvoyServerRole", action, ITEM, **({"dynamodb:LeadingKeys": list(keys)} if keys else {}))

    assert may("dynamodb:GetItem", "snapshots/pointer")
    assert may("dynamodb:PutItem", "snapshots/servers/eksc1/xds-0")
    assert not may("dynamodb:GetItem", "document/look")
    assert not may("dynamodb:PutItem", "snapshots/pointer")
    assert not may("dynamodb:PutItem", "lease/run")
    assert not may("dynamodb:PutItem", "snapshots/servers/eksc1/xds-0", "snapshots/pointer")
    assert not may("dynamodb:GetItem")
    assert not may("dynamodb:PutItem")


def marks(**context: Any) -> bool:
    return allowed("ReconcileMeshFunctionRole", "appmesh:TagResource", ROUTE, **context)


def test_a_mark_is_never_put_over_another_owners() -> None:
    assert marks(**OWN)
    assert not marks(**OWN, **{"aws:ResourceTag/crossmesh:owner": "other"})
    assert not marks(**{"aws:RequestTag/crossmesh:owner": "other"})


def tags(*keys: str) -> bool:
    return allowed("ApplyRegistryFunctionRole", "servicediscovery:TagResource", SERVICE, **{"aws:TagKeys": list(keys) or None})


def test_only_this_owners_tags_are_written_on_services() -> None:
    assert tags("crossmesh:owner", "crossmesh:deployment/demo")
    assert tags("crossmesh:conflict/demo")
    assert not tags("crossmesh:conflict/other")
    assert not tags("crossmesh:deployment/other")
    assert not tags("crossmesh:owner", "team")
    assert not tags()


def test_only_records_that_cloud_map_makes_are_changed() -> None:
    zone, action = "arn:aws:route53:::hostedzone/Z1", "route53:ChangeResourceRecordSets"

    def changes(*types: str) -> bool:
        return allowed("ApplyRegistryFunctionRole", action, zone, **{"route53:ChangeResourceRecordSetsRecordTypes": list(types)})

    assert changes("A")
    assert changes("AAAA", "SRV")
    assert not changes("MX")
    assert not changes("A", "NS")


GROUP = f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-1"
NAMED = Filled(SecurityGroups="open", SecurityGroupArns=[GROUP])


def opens(group: str, template: Filled = TEMPLATE, **tags: str) -> bool:
    """Whether the function that opens ports may change a group's rules, in either way."""
    context = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    found = {
        allowed("OpenPortsFunctionRole", f"ec2:{verb}SecurityGroupIngress", group, template, **context) for verb in ("Authorize", "Revoke")
    }
    assert len(found) == 1
    return found.pop()


def test_a_group_without_this_owners_tag_is_not_opened() -> None:
    assert opens(GROUP, **{"crossmesh:owner": "demo"})
    assert not opens(GROUP)
    assert not opens(GROUP, **{"crossmesh:owner": "other"})
    assert not opens(GROUP, **{"kubernetes.io/cluster/eksc1": "owned"})


@pytest.mark.parametrize("elsewhere", [GROUP.replace(REGION, "eu-west-1"), GROUP.replace(ACCOUNT, "444455556666")])
def test_a_tagged_group_of_another_place_is_not_opened(elsewhere: str) -> None:
    assert not opens(elsewhere, **{"crossmesh:owner": "demo"})


def test_where_groups_are_named_the_others_are_not_opened() -> None:
    assert opens(GROUP, NAMED)
    assert not opens(GROUP.replace("sg-1", "sg-2"), NAMED)
    assert not opens(GROUP.replace("sg-1", "sg-2"), NAMED, **{"crossmesh:owner": "demo"}), "a tag adds nothing then"
    assert not opens(GROUP.replace(REGION, "eu-west-1"), NAMED)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("call", ["CreateTags", "CreateSecurityGroup", "ModifySecurityGroupRules", "AuthorizeSecurityGroupEgress"])
def test_nobody_tags_groups_or_changes_them_otherwise(function: str, call: str) -> None:
    own = {"aws:ResourceTag/crossmesh:owner": "demo"}
    assert not any(allowed(f"{function}Role", f"ec2:{call}", GROUP, template, **own) for template in (TEMPLATE, NAMED))


@pytest.mark.parametrize("function", sorted(set(FUNCTIONS) - {"OpenPortsFunction"}))
def test_no_other_function_opens_ports(function: str) -> None:
    own = {"aws:ResourceTag/crossmesh:owner": "demo"}
    assert not any(allowed(f"{function}Role", f"ec2:{verb}SecurityGroupIngress", GROUP, NAMED, **own) for verb in ("Authorize", "Revoke"))


def test_a_foreign_service_or_resource_is_not_deleted() -> None:
    for role, action, resource in (
        ("ApplyRegistryFunctionRole", "servicediscovery:DeleteService", SERVICE),
        ("ReconcileMeshFunctionRole", "appmesh:DeleteRoute", ROUTE),
        ("ReconcileMeshFunctionRole", "appmesh:UpdateRoute", ROUTE),
    ):
        assert allowed(role, action, resource, **{"aws:ResourceTag/crossmesh:owner": "demo"})
        assert not allowed(role, action, resource, **{"aws:ResourceTag/crossmesh:owner": "other"})
        assert not allowed(role, action, resource)


ZONED = Filled(HostedZoneArns=["arn:aws:route53:::hostedzone/Z1"])
RECORDS = {"route53:ChangeResourceRecordSetsRecordTypes": ["A"]}


def test_only_the_zones_that_are_named_are_changed() -> None:
    role, action = "ApplyRegistryFunctionRole", "route53:ChangeResourceRecordSets"
    assert allowed(role, action, "arn:aws:route53:::hostedzone/Z1", ZONED, **RECORDS)
    assert not allowed(role, action, "arn:aws:route53:::hostedzone/PUBLIC", ZONED, **RECORDS)
    for none in ([""], ["none"]):
        assert not allowed(role, action, "arn:aws:route53:::hostedzone/Z1", Filled(HostedZoneArns=none), **RECORDS)


@pytest.mark.parametrize("none", ["", "none"])
def test_without_a_zone_no_health_check_is_touched(none: str) -> None:
    check = "arn:aws:route53:::healthcheck/c"
    for verb in ("Create", "Delete", "Get", "Update"):
        resource = "*" if verb == "Create" else check
        assert allowed("ApplyRegistryFunctionRole", f"route53:{verb}HealthCheck", resource, ZONED)
        assert not allowed("ApplyRegistryFunctionRole", f"route53:{verb}HealthCheck", resource, Filled(HostedZoneArns=[none]))


@pytest.mark.parametrize("function", sorted(set(FUNCTIONS) - {"ApplyRegistryFunction"}))
def test_no_other_function_changes_records_or_checks(function: str) -> None:
    assert not allowed(f"{function}Role", "route53:ChangeResourceRecordSets", "arn:aws:route53:::hostedzone/Z1", **RECORDS)
    assert not allowed(f"{function}Role", "route53:DeleteHealthCheck", "arn:aws:route53:::healthcheck/c")


def test_an_application_that_writes_names_its_zones() -> None:
    def refused(**parameters: Any) -> bool:
        template = Filled(**parameters)
        rule = template.template["Rules"]["ZonesAreNamed"]
        return template.holds(rule["RuleCondition"]) and not all(template.holds(one["Assert"]) for one in rule["Assertions"])

    assert refused(Mode="apply", HostedZoneArns=[""])
    assert not refused(Mode="apply", HostedZoneArns=["none"])
    assert not refused(Mode="apply")
    assert not refused(Mode="observe", HostedZoneArns=[""])
    assert not refused(Mode="apply", World="local", HostedZoneArns=[""])
