"""The parts of the AWS server that need no wire: operations offered, tokens, buckets, faults, permissions, CloudTrail's shape."""

import copy
import random
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from world.aws.faults import Faults
from world.aws.models import app_mesh, cloud_map
from world.aws.models.app_mesh import AppMesh
from world.aws.models.cloud_map import CloudMap
from world.aws.models.cloud_map_records import CloudMapSettings
from world.aws.models.errors import AwsError
from world.aws.models.pages import BadTokenError, decode, page
from world.aws.models.throttle import Throttle
from world.aws.permissions import app_mesh_needs, cloud_map_needs
from world.aws.protocols import HttpRequest, Protocol
from world.aws.signature import check_signature, read_signature
from world.aws.trail import _lowered, is_write

RECORDS = {"DnsRecords": [{"Type": "A", "TTL": 300}]}


def registry(settings: CloudMapSettings | None = None, clock: Any = lambda: 0.0) -> tuple[CloudMap, str, str]:
    model = CloudMap(clock, random.Random(3), settings=settings)
    model.call("CreatePrivateDnsNamespace", {"Name": "a.local", "Vpc": "vpc-1"})
    (namespace,) = model.namespaces
    service = model.call("CreateService", {"Name": "colorapp", "NamespaceId": namespace, "DnsConfig": RECORDS})["Service"]["Id"]
    return model, namespace, service


@pytest.mark.parametrize(("name", "operations"), [("servicediscovery", cloud_map.OPERATIONS), ("appmesh", app_mesh.OPERATIONS)])
def test_every_operation_of_the_api_model_is_offered(name: str, operations: tuple[str, ...]) -> None:
    assert sorted(operations) == sorted(Protocol(name).model.operation_names)


def test_the_same_seed_and_calls_give_the_same_answers() -> None:
    def run() -> list[Any]:
        model, _, service = registry()
        for number in range(20):
            attributes = {"AWS_INSTANCE_IPV4": f"127.2.0.{number + 1}"}
            model.call("RegisterInstance", {"ServiceId": service, "InstanceId": f"i{number}", "Attributes": attributes})
        return [model.call("DiscoverInstances", {"NamespaceName": "a.local", "ServiceName": "colorapp"}) for _ in range(3)]

    first = run()
    assert first == run()
    assert first[0] != first[1]


def test_a_copy_of_a_model_goes_its_own_way() -> None:
    now = [0.0]
    model, _, service = registry(CloudMapSettings(), lambda: now[0])
    model.settings.operation_lag_s = 5.0
    model.call("RegisterInstance", {"ServiceId": service, "InstanceId": "i", "Attributes": {"AWS_INSTANCE_IPV4": "127.2.0.1"}})
    fork = copy.deepcopy(model)
    assert fork.next_due() == 5.0
    now[0] = 6.0
    assert len(fork.call("ListInstances", {"ServiceId": service})["Instances"]) == 1
    assert model.next_due() == 5.0
    assert not model.services[service].instances


def test_pages_go_on_after_the_place_of_the_token() -> None:
    chosen, token = page("abcde", [1, 3, 5, 7, 9], None, 2)
    assert (chosen, decode(token or "")) == (["a", "b"], 3)
    assert page("acde", [1, 5, 7, 9], token, 9) == (["c", "d", "e"], None)
    with pytest.raises(BadTokenError):
        page("ab", [1, 2], "bogus", 1)


def test_a_bucket_fills_at_its_rate_up_to_its_burst() -> None:
    throttle = Throttle({"*": (2.0, 3.0)})
    assert [throttle.admits("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert [throttle.admits("a", 0.5) for _ in range(2)] == [True, False]
    assert [throttle.admits("a", 100.0) for _ in range(4)] == [True, True, True, False]
    assert throttle.admits("b", 100.0)


def test_faults_strike_by_service_operation_and_principal() -> None:
    faults = Faults()
    faults.add([{"service": "servicediscovery", "operation": "Register.*", "principal": ".*role/x/.*", "times": 1, "code": "InternalFailure"}])
    strikes = [
        len(faults.striking(service, operation, principal, 0.0))
        for service, operation, principal in (
            ("appmesh", "RegisterInstance", "a:role/x/s"),
            ("servicediscovery", "DeregisterInstance", "a:role/x/s"),
            ("servicediscovery", "RegisterInstance", "a:role/y/s"),
            ("servicediscovery", "RegisterInstance", "a:role/x/s"),
            ("servicediscovery", "RegisterInstance", "a:role/x/s"),
        )
    ]
    assert strikes == [0, 0, 0, 1, 0]
    with pytest.raises(TypeError):
        faults.add([{"code": "a"}, {"colour": "blue"}])
    assert len(faults.shown()) == 1
    faults.clear()
    assert faults.shown() == []


def test_what_a_registration_must_be_allowed() -> None:
    model, namespace, service = registry()
    asked = {"ServiceId": service, "InstanceId": "i", "Attributes": {}}
    needs = {need.action: need.resource for need in cloud_map_needs(model, "RegisterInstance", asked)}
    assert needs == {
        "servicediscovery:RegisterInstance": model.arn(f"service/{service}"),
        "route53:ChangeResourceRecordSets": f"arn:aws:route53:::hostedzone/{model.namespaces[namespace].zone}",
        "route53:GetHealthCheck": "arn:aws:route53:::healthcheck/*",
        "route53:CreateHealthCheck": "*",
        "route53:UpdateHealthCheck": "arn:aws:route53:::healthcheck/*",
    }
    plain = model.call("CreateService", {"Name": "api", "NamespaceId": namespace, "Type": "HTTP"})["Service"]["Id"]
    assert [need.action for need in cloud_map_needs(model, "RegisterInstance", {**asked, "ServiceId": plain})] == [
        "servicediscovery:RegisterInstance"
    ]


@pytest.mark.parametrize(
    ("operation", "request_", "resources"),
    [
        ("ListMeshes", {}, ["*"]),
        ("DescribeMesh", {"meshName": "m"}, ["mesh/m"]),
        ("ListRoutes", {"meshName": "m", "virtualRouterName": "r"}, ["mesh/m/virtualRouter/r"]),
        ("UpdateRoute", {"meshName": "m", "virtualRouterName": "r", "routeName": "x"}, ["mesh/m/virtualRouter/r/route/x"]),
        ("CreateVirtualNode", {"meshName": "m", "virtualNodeName": "n", "tags": [{"key": "a", "value": "b"}]}, ["mesh/m/virtualNode/n"] * 2),
    ],
)
def test_app_mesh_asks_for_the_resources_own_arn(operation: str, request_: dict[str, Any], resources: list[str]) -> None:
    needs = app_mesh_needs(AppMesh(lambda: 0.0, random.Random(1), account="111122223333", region="us-east-1"), operation, request_)
    assert [need.resource.removeprefix("arn:aws:appmesh:us-east-1:111122223333:") for need in needs] == resources


def test_cloudtrail_lowers_members_but_not_keys() -> None:
    shape = Protocol("servicediscovery").operation("RegisterInstance").input_shape
    assert _lowered(shape, {"ServiceId": "s", "Attributes": {"AWS_INSTANCE_IPV4": "x"}}) == {
        "serviceId": "s",
        "attributes": {"AWS_INSTANCE_IPV4": "x"},
    }
    assert is_write("UpdateInstanceCustomHealthStatus")
    assert not any(map(is_write, ("ListInstances", "DiscoverInstancesRevision", "PutTraceSegments", "BatchGetTraces")))


@pytest.mark.parametrize("url", ["http://h/", "http://h/v20190125/meshes/a%20b/virtualServices/c%2Fd", "http://h/x?b=2&a=1%2F&c"])
def test_a_signature_made_by_botocore_holds_and_a_changed_request_does_not(url: str) -> None:
    made = AWSRequest("PUT", url, data=b"{}", headers={"X-Extra": " a   b "})
    SigV4Auth(Credentials("AK", "secret"), "appmesh", "us-east-1").add_auth(made)
    headers = {name.lower(): value for name, value in made.headers.items()} | {"host": "h"}
    path, _, query = url.removeprefix("http://h").partition("?")
    request = HttpRequest("PUT", path, query, headers, b"{}")
    signature = read_signature(request)
    from datetime import UTC, datetime

    now = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    check_signature(request, signature, "secret", now)
    changed = (
        (HttpRequest("POST", path, query, headers, b"{}"), "secret", now),
        (HttpRequest("PUT", path + "x", query, headers, b"{}"), "secret", now),
        (HttpRequest("PUT", path, query + "&z=1", headers, b"{}"), "secret", now),
        (HttpRequest("PUT", path, query, {**headers, "x-extra": "other"}, b"{}"), "secret", now),
        (HttpRequest("PUT", path, query, headers, b"[]"), "secret", now),
        (request, "other", now),
        (request, "secret", now + 301),
    )
    for wrong, secret, moment in changed:
        with pytest.raises(AwsError, match="InvalidSignatureException"):
            check_signature(wrong, signature, secret, moment)


def test_a_mesh_model_is_forked_as_well() -> None:
    model = AppMesh(lambda: 0.0, random.Random(1))
    model.call("CreateMesh", {"meshName": "m"})
    fork = copy.deepcopy(model)
    fork.call("DeleteMesh", {"meshName": "m"})
    assert model.call("DescribeMesh", {"meshName": "m"})["mesh"]["meshName"] == "m"
