"""Cloud Map behaves as AWS documents it, in the model under a virtual clock and through boto3 alike.

Where a rule is not plain from the API model, the test names the operation's own documentation.
"""

import uuid
from typing import Any

import pytest

from tests.conformance.aws_drivers import Document, ModelDriver, RefusedError, WireDriver

Driver = ModelDriver | WireDriver
A_RECORD = {"DnsRecords": [{"Type": "A", "TTL": 300}]}


class Registry:
    """A namespace of its own with one service, and short names for calls."""

    def __init__(self, aws: Driver, **service: Any) -> None:
        self.aws = aws
        self.name = f"{uuid.uuid4().hex}.local"
        self.operation = self.call("CreatePrivateDnsNamespace", Name=self.name, Vpc="vpc-1")["OperationId"]
        self.namespace = self.call("GetOperation", OperationId=self.operation)["Operation"]["Targets"]["NAMESPACE"]
        self.service = self.call("CreateService", Name="colorapp", NamespaceId=self.namespace, DnsConfig=A_RECORD, **service)["Service"]["Id"]

    def call(self, operation: str, **request: Any) -> Document:
        return self.aws.call("servicediscovery", operation, **request)

    def register(self, ident: str, /, **attributes: str) -> str:
        given = {"AWS_INSTANCE_IPV4": "127.2.0.3", **attributes}
        token = uuid.uuid4().hex
        return self.call("RegisterInstance", ServiceId=self.service, InstanceId=ident, CreatorRequestId=token, Attributes=given)["OperationId"]

    def deregister(self, ident: str) -> str:
        return self.call("DeregisterInstance", ServiceId=self.service, InstanceId=ident)["OperationId"]

    def discover(self, **request: Any) -> set[str]:
        return {found["InstanceId"] for found in self.discovered(**request)}

    def discovered(self, **request: Any) -> list[Document]:
        return self.call("DiscoverInstances", NamespaceName=self.name, ServiceName="colorapp", **request)["Instances"]

    def revision(self) -> int:
        return self.call("DiscoverInstancesRevision", NamespaceName=self.name, ServiceName="colorapp")["InstancesRevision"]

    def listed(self) -> dict[str, dict[str, str]]:
        return {one["Id"]: one["Attributes"] for one in self.call("ListInstances", ServiceId=self.service)["Instances"]}

    def status(self, operation: str) -> Document:
        return self.call("GetOperation", OperationId=operation)["Operation"]

    def health(self) -> dict[str, str]:
        return self.call("GetInstancesHealthStatus", ServiceId=self.service)["Status"]


@pytest.fixture
def registry(aws: Driver) -> Registry:
    return Registry(aws)


@pytest.fixture
def checked(aws: Driver) -> Registry:
    return Registry(aws, HealthCheckCustomConfig={"FailureThreshold": 1})


def refused(code: str) -> Any:
    return pytest.raises(RefusedError, match=f"^{code}:")


def test_a_private_namespace_has_a_hosted_zone_and_is_found_by_name(registry: Registry) -> None:
    found = registry.call("ListNamespaces", Filters=[{"Name": "NAME", "Values": [registry.name], "Condition": "EQ"}])["Namespaces"]
    assert [one["Id"] for one in found] == [registry.namespace]
    shown = registry.call("GetNamespace", Id=registry.namespace)["Namespace"]
    assert shown["Type"] == "DNS_PRIVATE"
    assert shown["Properties"]["DnsProperties"]["HostedZoneId"].startswith("Z")
    assert shown["ServiceCount"] == 1


def test_a_namespace_is_made_asynchronously_and_once(aws: Driver, registry: Registry) -> None:
    name = f"{uuid.uuid4().hex}.local"
    aws.settings(operation_lag_s=aws.unit)
    first = registry.call("CreateHttpNamespace", Name=name)["OperationId"]
    with refused("DuplicateRequest") as duplicate:
        registry.call("CreateHttpNamespace", Name=name)
    assert duplicate.value.members["DuplicateOperationId"] == first
    with refused("NamespaceNotFound"):
        registry.call("DiscoverInstances", NamespaceName=name, ServiceName="x")
    aws.advance(1.2)
    held = registry.status(first)["Targets"]["NAMESPACE"]
    with refused("NamespaceAlreadyExists") as exists:
        registry.call("CreateHttpNamespace", Name=name)
    assert exists.value.members["NamespaceId"] == held


def test_one_name_in_two_vpcs_is_made_side_by_side_with_two_http_names(aws: Driver, registry: Registry) -> None:
    name = f"{uuid.uuid4().hex}.local"
    aws.settings(operation_lag_s=aws.unit)
    made = [registry.call("CreatePrivateDnsNamespace", Name=name, Vpc=vpc)["OperationId"] for vpc in ("vpc-a", "vpc-b")]
    made.append(registry.call("CreateHttpNamespace", Name=name)["OperationId"])
    with refused("DuplicateRequest") as duplicate:
        registry.call("CreatePrivateDnsNamespace", Name=name, Vpc="vpc-b")
    assert duplicate.value.members["DuplicateOperationId"] == made[1]
    aws.advance(1.2)
    shown = [registry.call("GetNamespace", Id=registry.status(one)["Targets"]["NAMESPACE"])["Namespace"] for one in made]
    assert {one["Name"] for one in shown} == {name}
    assert len({one["Properties"]["HttpProperties"]["HttpName"] for one in shown}) == 3


def test_a_service_is_unique_in_its_namespace_and_its_creator_may_ask_again(registry: Registry) -> None:
    asked = {"Name": "front", "NamespaceId": registry.namespace, "DnsConfig": A_RECORD, "CreatorRequestId": "intent-1"}
    made = registry.call("CreateService", **asked)["Service"]
    assert registry.call("CreateService", **asked)["Service"]["Id"] == made["Id"]
    with refused("ServiceAlreadyExists") as exists:
        registry.call("CreateService", **{**asked, "CreatorRequestId": "intent-2"})
    assert exists.value.members["ServiceId"] == made["Id"]
    assert exists.value.members["CreatorRequestId"] == "intent-1"
    with refused("ServiceAlreadyExists"):
        registry.call("CreateService", **{**asked, "Name": "FRONT", "CreatorRequestId": "intent-3"})


@pytest.mark.parametrize(
    "settings",
    [
        {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 1}, {"Type": "SRV", "TTL": 1}]}},
        {"DnsConfig": {"DnsRecords": [{"Type": "CNAME", "TTL": 1}]}},
        {"DnsConfig": A_RECORD, "HealthCheckConfig": {"Type": "HTTP"}},
        {},
    ],
    ids=["records that do not go together", "CNAME without WEIGHTED", "Route 53 health check in private DNS", "no records in a DNS namespace"],
)
def test_settings_that_no_service_can_have(registry: Registry, settings: Document) -> None:
    with refused("InvalidInput"):
        registry.call("CreateService", Name="bad", NamespaceId=registry.namespace, **settings)


def test_a_service_and_a_namespace_go_only_when_empty(registry: Registry) -> None:
    registry.register("i-1")
    with refused("ResourceInUse"):
        registry.call("DeleteService", Id=registry.service)
    with refused("ResourceInUse"):
        registry.call("DeleteNamespace", Id=registry.namespace)
    registry.deregister("i-1")
    registry.call("DeleteService", Id=registry.service)
    with refused("ServiceNotFound"):
        registry.call("GetService", Id=registry.service)
    registry.call("DeleteNamespace", Id=registry.namespace)
    with refused("NamespaceNotFound"):
        registry.call("GetNamespace", Id=registry.namespace)


def test_an_operation_passes_through_its_states(aws: Driver, registry: Registry) -> None:
    aws.settings(operation_lag_s=2 * aws.unit)
    operation = registry.register("i-1")
    assert registry.status(operation)["Status"] == "SUBMITTED"
    assert registry.listed() == {}
    with refused("InstanceNotFound"):
        registry.call("GetInstance", ServiceId=registry.service, InstanceId="i-1")
    aws.advance(1)
    assert registry.status(operation)["Status"] == "PENDING"
    aws.advance(1.2)
    done = registry.status(operation)
    assert (done["Status"], done["Type"], done["Targets"]["INSTANCE"]) == ("SUCCESS", "REGISTER_INSTANCE", "i-1")
    assert set(registry.listed()) == {"i-1"}


def test_one_operation_at_a_time_for_an_instance(aws: Driver, registry: Registry) -> None:
    aws.settings(operation_lag_s=aws.unit)
    first = registry.register("i-1", color="blue")
    for again in (lambda: registry.register("i-1", color="red"), lambda: registry.deregister("i-1")):
        with refused("DuplicateRequest") as duplicate:
            again()
        assert duplicate.value.members["DuplicateOperationId"] == first
    registry.register("i-2")
    aws.advance(1.2)
    assert registry.listed()["i-1"]["color"] == "blue"
    second = registry.deregister("i-1")
    with refused("DuplicateRequest") as duplicate:
        registry.register("i-1")
    assert duplicate.value.members["DuplicateOperationId"] == second


def test_an_operation_may_fail_late_and_then_changes_nothing(aws: Driver, registry: Registry) -> None:
    aws.settings(operation_lag_s=aws.unit) if isinstance(aws, WireDriver) else None
    failure = {"operation": "REGISTER_INSTANCE", "instance": "bad", "times": 1, "code": "THROTTLED_REQUEST", "message": "Route 53"}
    lay_late_failure(aws, failure)
    operation, good = registry.register("bad-1"), registry.register("good-1")
    aws.advance(1.2)
    failed = registry.status(operation)
    assert (failed["Status"], failed["ErrorCode"]) == ("FAIL", "THROTTLED_REQUEST")
    assert registry.status(good)["Status"] == "SUCCESS"
    assert set(registry.listed()) == {"good-1"}
    registry.register("bad-1")
    aws.advance(1.2)
    assert set(registry.listed()) == {"good-1", "bad-1"}


def lay_late_failure(aws: Driver, failure: Document) -> None:
    if isinstance(aws, WireDriver):
        aws.settings(late_failures=[failure])
    else:
        from world.aws.models.cloud_map_records import LateFailure

        aws.cloud_map.settings.late_failures = [LateFailure(**failure)]


def test_a_registration_fails_when_its_service_goes_meanwhile(aws: Driver, registry: Registry) -> None:
    aws.settings(operation_lag_s=aws.unit)
    operation = registry.register("i-1")
    registry.call("DeleteService", Id=registry.service)
    aws.advance(1.2)
    assert registry.status(operation)["Status"] == "FAIL"


def test_registering_again_replaces_all_attributes(registry: Registry) -> None:
    registry.register("i-1", color="blue", zone="a")
    registry.register("i-1", color="red")
    assert registry.listed() == {"i-1": {"AWS_INSTANCE_IPV4": "127.2.0.3", "color": "red"}}
    assert registry.call("GetService", Id=registry.service)["Service"]["InstanceCount"] == 1


def test_the_same_request_with_the_same_token_is_the_same_operation(registry: Registry) -> None:
    asked = {"ServiceId": registry.service, "InstanceId": "i-1", "CreatorRequestId": "t", "Attributes": {"AWS_INSTANCE_IPV4": "127.2.0.3"}}
    first = registry.call("RegisterInstance", **asked)["OperationId"]
    revision = registry.revision()
    assert registry.call("RegisterInstance", **asked)["OperationId"] == first
    assert registry.revision() == revision
    changed = {**asked, "Attributes": {"AWS_INSTANCE_IPV4": "127.2.0.4"}}
    assert registry.call("RegisterInstance", **changed)["OperationId"] != first
    assert registry.call("GetInstance", ServiceId=registry.service, InstanceId="i-1")["Instance"]["CreatorRequestId"] == "t"


def test_thirty_custom_attributes_and_reserved_ones_beside_them(registry: Registry) -> None:
    registry.register("i-1", AWS_INSTANCE_PORT="8080", **{f"k{number}": "v" for number in range(30)})
    with refused("InvalidInput"):
        registry.register("i-2", **{f"k{number}": "v" for number in range(31)})


@pytest.mark.parametrize(
    ("attributes", "good"),
    [
        ({"k" * 255: "v"}, True),
        ({"k" * 256: "v"}, False),
        ({"k": "v" * 1024}, True),
        ({"k": "v" * 1025}, False),
        ({f"k{n}": "v" * 1000 for n in range(4)}, True),
        ({f"k{n}": "v" * 1000 for n in range(5)}, False),
        ({"k": "ü"}, False),
        ({"k k": "v"}, False),
        ({"AWS_INSTANCE_IPV4": "not an address"}, False),
        ({"AWS_INSTANCE_PORT": "70000"}, False),
        ({"AWS_INIT_HEALTH_STATUS": "FINE"}, False),
        ({"AWS_EC2_INSTANCE_ID": "i-0"}, False),
        ({"k": ""}, True),
    ],
    ids=lambda value: None if isinstance(value, dict) else ("taken" if value else "refused"),
)
def test_limits_of_attributes(registry: Registry, attributes: dict[str, str], good: bool) -> None:
    if good:
        registry.register("i-1", **attributes)
    else:
        with refused("InvalidInput"):
            registry.register("i-1", **attributes)


def test_a_record_needs_its_address(registry: Registry) -> None:
    with refused("InvalidInput"):
        registry.call("RegisterInstance", ServiceId=registry.service, InstanceId="i-1", Attributes={"color": "blue"})


@pytest.mark.parametrize(("ident", "good"), [("a" * 64, True), ("a" * 65, False), ("a_/:.@-Z9", True), ("a b", False), ("ä", False)])
def test_instance_ids(registry: Registry, ident: str, good: bool) -> None:
    if good:
        registry.register(ident)
        assert ident in registry.listed()
    else:
        with refused("InvalidInput"):
            registry.register(ident)


def test_what_is_not_there(registry: Registry) -> None:
    with refused("InstanceNotFound"):
        registry.deregister("i-none")
    with refused("ServiceNotFound"):
        registry.call("ListInstances", ServiceId="srv-none")
    with refused("ServiceNotFound"):
        registry.call("DiscoverInstances", NamespaceName=registry.name, ServiceName="none")
    with refused("NamespaceNotFound"):
        registry.call("DiscoverInstances", NamespaceName="none.local", ServiceName="colorapp")
    with refused("OperationNotFound"):
        registry.call("GetOperation", OperationId="none")
    with refused("InstanceNotFound"):
        registry.call("GetInstancesHealthStatus", ServiceId=registry.service, Instances=["i-none"])


def test_the_quota_of_a_service_counts_what_is_under_way(aws: Driver, registry: Registry) -> None:
    aws.settings(instances_per_service=2, operation_lag_s=aws.unit)
    registry.register("i-1")
    registry.register("i-2")
    with refused("ResourceLimitExceeded"):
        registry.register("i-3")
    aws.advance(1.2)
    registry.register("i-1", color="red")
    aws.advance(1.2)
    registry.deregister("i-2")
    with refused("ResourceLimitExceeded"):
        registry.register("i-3")
    aws.advance(1.2)
    registry.register("i-3")


def test_the_quota_of_a_namespace(aws: Driver, registry: Registry) -> None:
    aws.settings(instances_per_namespace=1)
    registry.register("i-1")
    other = registry.call("CreateService", Name="front", NamespaceId=registry.namespace, DnsConfig=A_RECORD)["Service"]["Id"]
    asked = {"ServiceId": other, "InstanceId": "i-1", "Attributes": {"AWS_INSTANCE_IPV4": "127.2.0.3"}}
    with refused("ResourceLimitExceeded"):
        registry.call("RegisterInstance", **asked)
    registry.deregister("i-1")
    registry.call("RegisterInstance", **asked)


def test_lists_come_in_pages_of_a_hundred_that_survive_changes(registry: Registry) -> None:
    for number in range(205):
        registry.register(f"i-{number:03}")
    with refused("InvalidInput"):
        registry.call("ListInstances", ServiceId=registry.service, MaxResults=101)
    first = registry.call("ListInstances", ServiceId=registry.service)
    assert len(first["Instances"]) == 100
    assert "HealthStatus" not in first["Instances"][0]
    registry.deregister(first["Instances"][0]["Id"])
    second = registry.call("ListInstances", ServiceId=registry.service, NextToken=first["NextToken"])
    third = registry.call("ListInstances", ServiceId=registry.service, NextToken=second["NextToken"])
    assert "NextToken" not in third
    seen = [one["Id"] for answer in (first, second, third) for one in answer["Instances"]]
    assert len(seen) == len(set(seen)) == 205
    with refused("InvalidInput"):
        registry.call("ListInstances", ServiceId=registry.service, NextToken="bogus")


def test_discovery_gives_a_hundred_unless_asked_and_a_thousand_at_most(registry: Registry) -> None:
    for number in range(120):
        registry.register(f"i-{number:03}")
    assert len(registry.discovered()) == 100
    assert len(registry.discover(MaxResults=1000)) == 120
    orders = {tuple(one["InstanceId"] for one in registry.discovered(MaxResults=1000)) for _ in range(3)}
    assert len(orders) > 1
    with refused("InvalidInput"):
        registry.discovered(MaxResults=1001)


def test_discovery_filters_by_all_query_parameters_and_prefers_optional_ones(registry: Registry) -> None:
    registry.register("blue-a", color="blue", zone="a")
    registry.register("blue-b", color="blue", zone="b")
    registry.register("red-a", color="red", zone="a")
    assert registry.discover(QueryParameters={"color": "blue"}) == {"blue-a", "blue-b"}
    assert registry.discover(QueryParameters={"color": "blue", "zone": "b"}) == {"blue-b"}
    assert registry.discover(QueryParameters={"color": "green"}) == set()
    assert registry.discover(QueryParameters={"color": "blue"}, OptionalParameters={"zone": "a"}) == {"blue-a"}
    assert registry.discover(QueryParameters={"color": "blue"}, OptionalParameters={"zone": "c"}) == {"blue-a", "blue-b"}


def test_without_a_health_check_health_is_unknown_and_no_filter(registry: Registry) -> None:
    registry.register("i-1", AWS_INIT_HEALTH_STATUS="UNHEALTHY")
    assert registry.discovered()[0]["HealthStatus"] == "UNKNOWN"
    assert registry.discover(HealthStatus="HEALTHY") == {"i-1"}
    assert registry.health() == {"i-1": "UNKNOWN"}
    with refused("CustomHealthNotFound"):
        registry.call("UpdateInstanceCustomHealthStatus", ServiceId=registry.service, InstanceId="i-1", Status="HEALTHY")


def test_custom_health_begins_as_said_and_filters_discovery(checked: Registry) -> None:
    checked.register("well")
    checked.register("ill", AWS_INIT_HEALTH_STATUS="UNHEALTHY")
    assert checked.health() == {"well": "HEALTHY", "ill": "UNHEALTHY"}
    assert checked.discover() == {"well", "ill"}
    assert checked.discover(HealthStatus="HEALTHY") == {"well"}
    assert checked.discover(HealthStatus="UNHEALTHY") == {"ill"}
    assert checked.discover(HealthStatus="HEALTHY_OR_ELSE_ALL") == {"well"}
    checked.deregister("well")
    assert checked.discover(HealthStatus="HEALTHY_OR_ELSE_ALL") == {"ill"}


def test_health_changes_after_its_lag_and_repeating_does_not_hurry_it(aws: Driver, checked: Registry) -> None:
    aws.settings(health_lag_s=4 * aws.unit)
    checked.register("i-1")
    revision = checked.revision()

    def say(status: str) -> None:
        checked.call("UpdateInstanceCustomHealthStatus", ServiceId=checked.service, InstanceId="i-1", Status=status)

    say("UNHEALTHY")
    aws.advance(2)
    say("UNHEALTHY")
    assert checked.health() == {"i-1": "HEALTHY"}
    aws.advance(2.4)
    assert checked.health() == {"i-1": "UNHEALTHY"}
    assert checked.revision() == revision
    say("HEALTHY")
    aws.advance(1)
    say("UNHEALTHY")
    aws.advance(4)
    assert checked.health() == {"i-1": "UNHEALTHY"}


def test_a_new_registration_keeps_the_health_that_is_in_force(aws: Driver, checked: Registry) -> None:
    aws.settings(health_lag_s=0)
    checked.register("i-1", AWS_INIT_HEALTH_STATUS="HEALTHY")
    checked.call("UpdateInstanceCustomHealthStatus", ServiceId=checked.service, InstanceId="i-1", Status="UNHEALTHY")
    checked.register("i-1", AWS_INIT_HEALTH_STATUS="HEALTHY", color="red")
    assert checked.health() == {"i-1": "UNHEALTHY"}


def test_the_revision_rises_with_registrations_only(checked: Registry) -> None:
    revisions = [checked.revision()]
    for change in (lambda: checked.register("i-1"), lambda: checked.register("i-1", color="red"), lambda: checked.deregister("i-1")):
        change()
        revisions.append(checked.revision())
    assert revisions == sorted(set(revisions))
    assert checked.call("DiscoverInstances", NamespaceName=checked.name, ServiceName="colorapp")["InstancesRevision"] == revisions[-1]


def test_discovery_lags_behind_lists(aws: Driver, registry: Registry) -> None:
    aws.settings(discovery_lag_s=2 * aws.unit)
    before = registry.revision()
    registry.register("i-1")
    assert set(registry.listed()) == {"i-1"}
    assert registry.discover() == set()
    assert registry.revision() == before
    aws.advance(2.4)
    assert registry.discover() == {"i-1"}
    assert registry.revision() > before


def test_tags(registry: Registry) -> None:
    arn = registry.call("GetService", Id=registry.service)["Service"]["Arn"]
    registry.call("TagResource", ResourceARN=arn, Tags=[{"Key": "crossmesh:owner", "Value": "prod"}, {"Key": "b", "Value": "1"}])
    registry.call("UntagResource", ResourceARN=arn, TagKeys=["b"])
    assert registry.call("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "crossmesh:owner", "Value": "prod"}]
    with refused("TooManyTagsException"):
        registry.call("TagResource", ResourceARN=arn, Tags=[{"Key": f"t{n}", "Value": ""} for n in range(50)])
    with refused("ResourceNotFoundException"):
        registry.call("ListTagsForResource", ResourceARN=arn + "x")


def test_service_attributes(registry: Registry) -> None:
    registry.call("UpdateServiceAttributes", ServiceId=registry.service, Attributes={"a": "1", "b": "2"})
    registry.call("DeleteServiceAttributes", ServiceId=registry.service, Attributes=["a"])
    assert registry.call("GetServiceAttributes", ServiceId=registry.service)["ServiceAttributes"]["Attributes"] == {"b": "2"}
    with refused("ServiceAttributesLimitExceededException"):
        registry.call("UpdateServiceAttributes", ServiceId=registry.service, Attributes={f"k{n}": "" for n in range(30)})


def test_updating_a_service_is_an_operation(aws: Driver, registry: Registry) -> None:
    aws.settings(operation_lag_s=aws.unit)
    change = {"Description": "new", "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 5}]}}
    registry.call("UpdateService", Id=registry.service, Service=change)
    assert registry.call("GetService", Id=registry.service)["Service"]["DnsConfig"]["DnsRecords"][0]["TTL"] == 300
    aws.advance(1.2)
    shown = registry.call("GetService", Id=registry.service)["Service"]
    assert (shown["Description"], shown["DnsConfig"]["DnsRecords"][0]["TTL"]) == ("new", 5)


def test_operations_are_listed_by_filter(registry: Registry) -> None:
    operation = registry.register("i-1")
    filters = [
        {"Name": "SERVICE_ID", "Values": [registry.service], "Condition": "EQ"},
        {"Name": "STATUS", "Values": ["SUCCESS"], "Condition": "EQ"},
    ]
    assert registry.call("ListOperations", Filters=filters)["Operations"] == [{"Id": operation, "Status": "SUCCESS"}]


def test_calls_beyond_the_rate_are_refused_and_cost_nothing(aws: Driver, registry: Registry) -> None:
    rate = 1 / aws.unit
    aws.settings(rates={"RegisterInstance": [rate, 2], "DiscoverInstances": [rate, 1]})
    registry.register("i-1")
    registry.register("i-2")
    for _ in range(3):
        with refused("ThrottlingException"):
            registry.register("i-3")
    registry.discover()
    with refused("RequestLimitExceeded"):
        registry.discover()
    assert set(registry.listed()) == {"i-1", "i-2"}
    aws.advance(1.3)
    registry.register("i-3")


def test_a_name_used_again_for_another_vpc_has_an_http_name_of_its_own(registry: Registry) -> None:
    """API model, DiscoverInstances: "if you reuse Name for namespace creation, a generated hash is added to HttpName"."""
    second = registry.call("CreatePrivateDnsNamespace", Name=registry.name, Vpc="vpc-2")["OperationId"]
    other = registry.call("GetOperation", OperationId=second)["Operation"]["Targets"]["NAMESPACE"]
    named = [{"Name": "NAME", "Values": [registry.name], "Condition": "EQ"}, {"Name": "RESOURCE_OWNER", "Values": ["SELF"], "Condition": "EQ"}]
    found = {n["Id"]: n["Properties"]["HttpProperties"]["HttpName"] for n in registry.call("ListNamespaces", Filters=named)["Namespaces"]}
    assert found.keys() == {registry.namespace, other}
    assert found[registry.namespace] == registry.name
    assert found[other].startswith(f"{registry.name}-")
    registry.call("CreateService", Name="colorapp", NamespaceId=other, DnsConfig=A_RECORD)
    registry.register("i-1")
    assert registry.discover() == {"i-1"}
    assert registry.call("DiscoverInstances", NamespaceName=found[other], ServiceName="colorapp")["Instances"] == []
    with pytest.raises(RefusedError, match="NamespaceAlreadyExists"):
        registry.call("CreatePrivateDnsNamespace", Name=registry.name, Vpc="vpc-2")


@pytest.mark.parametrize(("kind", "two"), [("Http", True), ("PublicDns", False)])
def test_names_of_services_may_differ_in_case_only_where_no_dns_tells_them_apart(aws: Driver, kind: str, two: bool) -> None:
    made = aws.call("servicediscovery", f"Create{kind}Namespace", Name=f"{uuid.uuid4().hex}.local")["OperationId"]
    place = aws.call("servicediscovery", "GetOperation", OperationId=made)["Operation"]["Targets"]["NAMESPACE"]
    more = {} if two else {"DnsConfig": A_RECORD}
    aws.call("servicediscovery", "CreateService", Name="api", NamespaceId=place, **more)
    if two:
        aws.call("servicediscovery", "CreateService", Name="API", NamespaceId=place)
    else:
        with pytest.raises(RefusedError, match="ServiceAlreadyExists"):
            aws.call("servicediscovery", "CreateService", Name="API", NamespaceId=place, **more)
