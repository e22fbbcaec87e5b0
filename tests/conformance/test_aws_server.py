"""The AWS server on the wire: signatures, permissions, faults, counts, CloudTrail's events, and the smaller services."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from tests.conformance.aws_drivers import Document, ServerProcess, StandInControl, post
from world.aws.clients import client, client_as

ONCE = {"total_max_attempts": 1}


class Wire:
    """Clients and the control interface of one server."""

    def __init__(self, process: ServerProcess, control: StandInControl) -> None:
        self.process, self.control, self.world = process, control, process.world
        self.base = f"http://127.0.0.1:{process.world['ports']['aws']}"

    def client(self, service: str, **settings: Any) -> Any:
        return client(self.world, service, **{"retries": ONCE, **settings})

    def fault(self, **fault: Any) -> None:
        post(f"{self.base}/_world/faults", fault)

    def counts(self, operation: str) -> dict[str, int]:
        calls = json.load(urllib.request.urlopen(f"{self.base}/_world/calls"))["calls"]
        return {call["outcome"]: call["count"] for call in calls if call["operation"] == operation}

    def signed(self, service: str, body: bytes, headers: dict[str, str], region: str = "us-east-1", path: str = "/") -> tuple[int, Document]:
        """A request made by hand: what no SDK would send."""
        admin = self.world["admin"]
        request = AWSRequest("POST", f"{self.base}{path}", data=body, headers=headers)
        SigV4Auth(Credentials(admin["access_key_id"], admin["secret_access_key"]), service, region).add_auth(request)
        return self.send(body, dict(request.headers), path)

    def send(self, body: bytes, headers: dict[str, str], path: str = "/") -> tuple[int, Document]:
        request = urllib.request.Request(f"{self.base}{path}", data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture
def wire(server: tuple[ServerProcess, StandInControl]) -> Iterator[Wire]:
    wire = Wire(*server)
    wire.control.denied = "nothing"
    wire.control.events.clear()
    post(f"{wire.base}/_world/settings", {"operation_lag_s": 0, "rates": {}, "latency_s": 0})
    for what in ("faults", "calls", "verdicts"):
        post(f"{wire.base}/_world/{what}", None, "DELETE")
    yield wire
    post(f"{wire.base}/_world/faults", None, "DELETE")


@pytest.fixture
def service(wire: Wire) -> str:
    registry = wire.client("servicediscovery")
    name = f"{time.monotonic_ns()}.local"
    operation = registry.create_private_dns_namespace(Name=name, Vpc="vpc-1")["OperationId"]
    namespace = registry.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    records = {"DnsRecords": [{"Type": "A", "TTL": 300}]}
    return registry.create_service(Name="colorapp", NamespaceId=namespace, DnsConfig=records)["Service"]["Id"]


def register(wire: Wire, service: str, ident: str = "i-1", **settings: Any) -> str:
    registry = wire.client("servicediscovery", **settings)
    attributes = {"AWS_INSTANCE_IPV4": "127.2.0.3"}
    return registry.register_instance(ServiceId=service, InstanceId=ident, Attributes=attributes)["OperationId"]


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


TARGET = {"X-Amz-Target": "Route53AutoNaming_v20170314.ListNamespaces", "Content-Type": "application/x-amz-json-1.1"}


def test_a_wrong_secret_and_an_unknown_key_are_refused(wire: Wire) -> None:
    key = wire.world["admin"]["access_key_id"]
    with pytest.raises(ClientError) as error:
        client_as(wire.world, "servicediscovery", key, "wrong", retries=ONCE).list_namespaces()
    assert code(error) == "InvalidSignatureException"
    with pytest.raises(ClientError) as error:
        client_as(wire.world, "appmesh", "AKIANOBODY", "wrong", retries=ONCE).list_meshes()
    assert code(error) == "UnrecognizedClientException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_what_was_signed_must_be_what_came(wire: Wire) -> None:
    admin = wire.world["admin"]
    request = AWSRequest("POST", f"{wire.base}/", data=b"{}", headers=TARGET)
    SigV4Auth(Credentials(admin["access_key_id"], admin["secret_access_key"]), "servicediscovery", "us-east-1").add_auth(request)
    good = dict(request.headers)
    assert wire.send(b"{}", good)[0] == 200
    assert wire.send(b'{"MaxResults": 1}', good)[1]["__type"] == "InvalidSignatureException"
    assert wire.send(b"{}", {**good, "X-Amz-Date": "20200101T000000Z"})[1]["__type"] == "InvalidSignatureException"
    assert wire.send(b"{}", TARGET)[1]["__type"] == "MissingAuthenticationTokenException"
    assert wire.signed("servicediscovery", b"{}", TARGET, region="eu-west-1")[1]["__type"] == "InvalidSignatureException"


def test_names_that_need_encoding_are_signed_right(wire: Wire) -> None:
    mesh = wire.client("appmesh")
    with pytest.raises(ClientError) as error:
        mesh.describe_virtual_service(meshName="a b", virtualServiceName="c/d:e%f")
    assert code(error) == "NotFoundException"


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("RegisterInstance", {"ServiceId": 5, "InstanceId": "i", "Attributes": {}}, "InvalidInput"),
        ("RegisterInstance", {"ServiceId": "s"}, "InvalidInput"),
        ("RegisterInstance", {"ServiceId": "s", "InstanceId": "i", "Attributes": {"a": 1}}, "InvalidInput"),
        ("DiscoverInstances", {"NamespaceName": "n", "ServiceName": "s", "HealthStatus": "FINE"}, "InvalidInput"),
        ("ListServices", {"Filter": []}, "InvalidInput"),
        ("ListServices", {"MaxResults": True}, "InvalidInput"),
        ("NoSuchOperation", {}, "UnknownOperationException"),
    ],
    ids=["wrong type", "members missing", "wrong type in a map", "not in the enum", "unknown member", "boolean for a number", "operation"],
)
def test_wrong_shapes_are_refused(wire: Wire, operation: str, body: Document, code: str) -> None:
    target = {**TARGET, "X-Amz-Target": f"Route53AutoNaming_v20170314.{operation}"}
    status, answer = wire.signed("servicediscovery", json.dumps(body).encode(), target)
    assert (status, answer["__type"]) == (404 if operation == "NoSuchOperation" else 400, code)


def test_a_body_that_is_not_json(wire: Wire) -> None:
    assert wire.signed("servicediscovery", b"{", TARGET)[1]["__type"] == "SerializationException"


@pytest.mark.parametrize(
    "action", ["servicediscovery:RegisterInstance", "route53:ChangeResourceRecordSets", "route53:CreateHealthCheck", "route53:GetHealthCheck"]
)
def test_registering_in_a_dns_namespace_needs_route_53_too(wire: Wire, service: str, action: str) -> None:
    wire.control.denied = action
    with pytest.raises(ClientError) as error:
        register(wire, service)
    assert code(error) == "AccessDeniedException"
    assert f"user/admin is not authorized to perform: {action} on resource: " in str(error.value)
    assert wire.counts("RegisterInstance") == {"AccessDeniedException": 1}


def test_a_fault_strikes_as_often_as_it_says(wire: Wire) -> None:
    wire.fault(service="servicediscovery", operation="List.*", times=2, code="ThrottlingException", message="slow down")
    registry = wire.client("servicediscovery")
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            registry.list_namespaces()
        assert code(error) == "ThrottlingException"
    registry.list_namespaces()
    shown = json.load(urllib.request.urlopen(f"{wire.base}/_world/faults"))
    assert [fault["struck"] for fault in shown] == [2]


def test_a_fault_may_set_the_status_and_name_the_principal(wire: Wire) -> None:
    wire.fault(service="appmesh", principal=".*user/somebody", code="InternalServerErrorException")
    wire.client("appmesh").list_meshes()
    wire.fault(service="appmesh", principal=".*user/admin", code="InternalServerErrorException", status=503)
    with pytest.raises(ClientError) as error:
        wire.client("appmesh").list_meshes()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_a_malformed_fault_is_refused(wire: Wire) -> None:
    for fault in ({"operation": "("}, {"colour": "blue"}):
        with pytest.raises(urllib.error.HTTPError):
            wire.fault(**fault)


def test_a_cut_before_has_no_effect_and_a_cut_after_has(wire: Wire, service: str) -> None:
    for name, when, ident, there in (("drop_before", "cut before", "i-1", False), ("drop_after", "cut after", "i-2", True)):
        wire.fault(operation="RegisterInstance", times=1, **{name: True})
        with pytest.raises(ConnectionClosedError):
            register(wire, service, ident)
        listed = wire.client("servicediscovery").list_instances(ServiceId=service)["Instances"]
        assert (ident in {one["Id"] for one in listed}) is there
        assert wire.counts("RegisterInstance")[when] == 1


def test_a_retry_after_a_lost_answer_finds_its_own_operation(wire: Wire, service: str) -> None:
    post(f"{wire.base}/_world/settings", {"operation_lag_s": 5})
    wire.fault(operation="RegisterInstance", times=1, drop_after=True)
    operation = register(wire, service, retries={"total_max_attempts": 2})
    registry = wire.client("servicediscovery")
    assert registry.get_operation(OperationId=operation)["Operation"]["Status"] in ("SUBMITTED", "PENDING")
    assert wire.counts("RegisterInstance") == {"cut after": 1, "ok": 1}


def test_a_fault_may_be_slow_or_a_bucket(wire: Wire) -> None:
    wire.fault(operation="ListServices", delay_s=0.3)
    before = time.monotonic()
    wire.client("servicediscovery").list_services()
    assert time.monotonic() - before >= 0.3
    wire.fault(service="appmesh", operation="ListMeshes", throttle={"rate": 0.1, "burst": 2})
    mesh = wire.client("appmesh")
    mesh.list_meshes()
    mesh.list_meshes()
    with pytest.raises(ClientError) as error:
        mesh.list_meshes()
    assert code(error) == "TooManyRequestsException"


def test_unknown_settings_are_refused_and_none_is_turned(wire: Wire) -> None:
    with pytest.raises(urllib.error.HTTPError):
        post(f"{wire.base}/_world/settings", {"health_lag_s": 1, "colour": "blue"})
    assert json.load(urllib.request.urlopen(f"{wire.base}/_world/settings"))["health_lag_s"] != 1


def test_writes_that_succeeded_are_told_as_cloudtrail_would(wire: Wire, service: str) -> None:
    operation = register(wire, service, user_agent_extra="crossmesh/test")
    wire.client("servicediscovery").list_instances(ServiceId=service)
    with pytest.raises(ClientError):
        wire.client("servicediscovery").deregister_instance(ServiceId=service, InstanceId="none")
    wire.client("appmesh").create_mesh(meshName=f"m{time.monotonic_ns()}", spec={"egressFilter": {"type": "ALLOW_ALL"}})
    until = time.monotonic() + 3
    while not any(told["detail"]["eventName"] == "CreateMesh" for told in wire.control.events) and time.monotonic() < until:
        time.sleep(0.02)
    told = [
        event
        for event in wire.control.events
        if event["detail"]["eventName"] in ("RegisterInstance", "ListInstances", "DeregisterInstance", "CreateMesh")
    ]
    registered, created = told
    assert (registered["source"], registered["detail-type"]) == ("aws.servicediscovery", "AWS API Call via CloudTrail")
    detail = registered["detail"]
    assert (detail["eventSource"], detail["eventName"]) == ("servicediscovery.amazonaws.com", "RegisterInstance")
    assert detail["requestParameters"]["attributes"] == {"AWS_INSTANCE_IPV4": "127.2.0.3"}
    assert (detail["requestParameters"]["serviceId"], detail["responseElements"]) == (service, {"operationId": operation})
    assert detail["userIdentity"]["arn"] == "arn:aws:iam::111122223333:user/admin"
    assert detail["userIdentity"]["type"] == "IAMUser"
    assert "crossmesh/test" in detail["userAgent"]
    assert created["detail"]["requestParameters"]["spec"] == {"egressFilter": {"type": "ALLOW_ALL"}}


def test_eks_describes_clusters_and_keeps_access_entries(wire: Wire) -> None:
    eks = wire.client("eks")
    assert eks.list_clusters()["clusters"] == ["eksc1", "eksc2"]
    (wire.process.folder / "eksc1.ca.pem").write_text("a certificate")
    post(f"{wire.base}/_world/network", {"vpc_id": "vpc-9", "groups": {"eksc1-nodes": "sg-9"}})
    cluster = eks.describe_cluster(name="eksc1")["cluster"]
    assert cluster["endpoint"] == f"https://127.0.0.1:{wire.world['clusters']['eksc1']['port']}"
    assert cluster["certificateAuthority"]["data"] == "YSBjZXJ0aWZpY2F0ZQ=="
    assert (cluster["resourcesVpcConfig"]["vpcId"], cluster["resourcesVpcConfig"]["clusterSecurityGroupId"]) == ("vpc-9", "sg-9")
    assert cluster["createdAt"].year >= 2024
    role = "arn:aws:iam::111122223333:role/observer"
    where = {"clusterName": "eksc1", "principalArn": role}
    eks.create_access_entry(**where, kubernetesGroups=["crossmesh-readers"])
    scope = {"type": "namespace", "namespaces": ["appmesh-demo"]}
    view = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    eks.associate_access_policy(**where, policyArn=view, accessScope=scope)
    groups = json.load(urllib.request.urlopen(f"{wire.base}/_world/access-entries/eksc1"))
    assert groups[role] == ["crossmesh-readers", "eks-access-policy:AmazonEKSViewPolicy:appmesh-demo"]
    assert groups["arn:aws:iam::111122223333:user/admin"] == ["system:masters"]
    with pytest.raises(eks.exceptions.ResourceInUseException):
        eks.create_access_entry(**where)
    eks.delete_access_entry(**where)
    with pytest.raises(eks.exceptions.ResourceNotFoundException):
        eks.describe_access_entry(**where)
    with pytest.raises(eks.exceptions.ResourceNotFoundException):
        eks.describe_cluster(name="none")


def test_eks_keeps_pod_identity_associations(wire: Wire) -> None:
    eks = wire.client("eks")
    account = {"clusterName": "eksc1", "namespace": "crossmesh", "serviceAccount": "crossmesh-watcher"}
    made = eks.create_pod_identity_association(**account, roleArn="arn:aws:iam::111122223333:role/w")["association"]
    assert made["associationArn"].endswith(f":podidentityassociation/eksc1/{made['associationId']}")
    (listed,) = eks.list_pod_identity_associations(**account)["associations"]
    assert listed == {name: made[name] for name in ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")}
    assert eks.list_pod_identity_associations(clusterName="eksc1", namespace="other")["associations"] == []
    with pytest.raises(eks.exceptions.ResourceInUseException):
        eks.create_pod_identity_association(**account, roleArn="arn:aws:iam::111122223333:role/x")
    roles = json.load(urllib.request.urlopen(f"{wire.base}/_world/pod-identities/eksc1"))
    assert roles == {"crossmesh/crossmesh-watcher": "arn:aws:iam::111122223333:role/w"}
    where = {"clusterName": "eksc1", "associationId": made["associationId"]}
    assert eks.describe_pod_identity_association(**where)["association"]["roleArn"] == made["roleArn"]
    eks.delete_pod_identity_association(**where)
    with pytest.raises(eks.exceptions.ResourceNotFoundException):
        eks.describe_pod_identity_association(**where)


def test_elb_describes_what_the_data_plane_made_known(wire: Wire) -> None:
    balancer = {
        "name": "front",
        "hostname": "abc.us-east-1.elb.amazonaws.com",
        "listeners": [{"port": 80, "instance_port": 30080, "protocol": "tcp"}],
        "instances": [{"id": "i-1"}, {"id": "i-2", "state": "OutOfService", "reason": "Instance"}],
        "tags": {"kubernetes.io/service-name": "appmesh-demo/front"},
    }
    post(f"{wire.base}/_world/load-balancers", balancer)
    elb = wire.client("elb")
    (shown,) = elb.describe_load_balancers(LoadBalancerNames=["front"])["LoadBalancerDescriptions"]
    assert (shown["DNSName"], shown["ListenerDescriptions"][0]["Listener"]["InstancePort"]) == (balancer["hostname"], 30080)
    assert shown["CreatedTime"].year >= 2024
    states = elb.describe_instance_health(LoadBalancerName="front")["InstanceStates"]
    assert {state["InstanceId"]: state["State"] for state in states} == {"i-1": "InService", "i-2": "OutOfService"}
    tags = elb.describe_tags(LoadBalancerNames=["front"])["TagDescriptions"][0]["Tags"]
    assert tags == [{"Key": "kubernetes.io/service-name", "Value": "appmesh-demo/front"}]
    with pytest.raises(elb.exceptions.AccessPointNotFoundException):
        elb.describe_load_balancers(LoadBalancerNames=["none"])


def test_xray_draws_its_map_from_the_segments_put(wire: Wire) -> None:
    xray, now = wire.client("xray"), time.time()
    trace = f"1-{int(now):08x}-{time.monotonic_ns():024x}"
    call = {"id": "b" * 16, "name": "colorapp", "namespace": "remote", "start_time": now - 0.9, "end_time": now - 0.1}
    front = {"id": "a" * 16, "trace_id": trace, "name": "front", "start_time": now - 1, "end_time": now, "subsegments": [call]}
    front["http"] = {"request": {"method": "GET", "url": "http://front/color"}, "response": {"status": 200}}
    blue = {"id": "c" * 16, "trace_id": trace, "parent_id": "b" * 16, "name": "colorapp-blue", "start_time": now - 0.8, "end_time": now - 0.2}
    bad = json.dumps({"id": "x"})
    refused = xray.put_trace_segments(TraceSegmentDocuments=[json.dumps(front), json.dumps({**blue, "fault": True}), bad])
    assert len(refused["UnprocessedTraceSegments"]) == 1
    (summary,) = xray.get_trace_summaries(StartTime=now - 2, EndTime=now)["TraceSummaries"]
    assert (summary["Id"], summary["HasFault"], summary["Http"]["HttpStatus"]) == (trace, True, 200)
    assert summary["Duration"] == pytest.approx(1, abs=0.01)
    answer = xray.batch_get_traces(TraceIds=[trace, "1-00000000-000000000000000000000000"])
    assert {segment["Id"] for segment in answer["Traces"][0]["Segments"]} == {"a" * 16, "c" * 16}
    assert len(answer["UnprocessedTraceIds"]) == 1
    nodes = {node["Name"]: node for node in xray.get_service_graph(StartTime=now - 2, EndTime=now)["Services"]}
    assert set(nodes) == {"front", "colorapp-blue"}
    assert (nodes["front"]["Root"], nodes["colorapp-blue"]["Root"]) == (True, False)
    (edge,) = nodes["front"]["Edges"]
    assert edge["ReferenceId"] == nodes["colorapp-blue"]["ReferenceId"]
    assert nodes["colorapp-blue"]["SummaryStatistics"]["FaultStatistics"]["TotalCount"] == 1


def test_what_is_not_offered_says_so(wire: Wire) -> None:
    for service, operation, request in (
        ("eks", "list_nodegroups", {"clusterName": "eksc1"}),
        ("elb", "describe_account_limits", {}),
        ("xray", "get_groups", {}),
    ):
        with pytest.raises(ClientError) as error:
            getattr(wire.client(service), operation)(**request)
        assert code(error) in ("UnknownOperationException", "InvalidAction")


def test_a_restart_keeps_what_was_written_and_finishes_what_was_under_way(wire: Wire, service: str) -> None:
    register(wire, service, "i-1")
    mesh = f"m{time.monotonic_ns()}"
    wire.client("appmesh").create_mesh(meshName=mesh)
    post(f"{wire.base}/_world/settings", {"operation_lag_s": 1.5})
    operation = register(wire, service, "i-2")
    (running,) = (process for process in wire.process.processes if process.args[2] == "world.aws.server")
    post(f"{wire.base}/_world/restart", {"seconds": 1.0})
    time.sleep(0.3)
    with pytest.raises(EndpointConnectionError):
        wire.client("servicediscovery").list_namespaces()
    registry = wire.client("servicediscovery", retries={"total_max_attempts": 10})
    until = time.monotonic() + 20
    while registry.get_operation(OperationId=operation)["Operation"]["Status"] != "SUCCESS":
        assert time.monotonic() < until
        time.sleep(0.1)
    assert {one["Id"] for one in registry.list_instances(ServiceId=service)["Instances"]} == {"i-1", "i-2"}
    assert wire.client("appmesh").describe_mesh(meshName=mesh)["mesh"]["status"]["status"] == "ACTIVE"
    assert running.poll() is None
