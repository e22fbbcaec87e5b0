"""docs/explanation/fidelity.md is true.

Its tests exist, every modelled operation has botocore's shapes, and what the simulator sends and gets has the API's shapes."""

import re

import pytest

from tests.conformance.aws_drivers import ModelDriver
from tests.sim.application import ROOT
from tests.sim.explore import BASES
from tests.sim.play import play
from tests.sim.world import World
from world.aws.models.app_mesh import OPERATIONS as APP_MESH
from world.aws.models.cloud_map import OPERATIONS as CLOUD_MAP
from world.aws.models.errors import AwsError
from world.aws.protocols import Protocol
from world.aws.shapes import checker

SUITES = "\n".join(path.read_text() for path in sorted((ROOT / "tests/conformance").glob("*.py")))


def test_every_behaviour_names_tests_that_exist() -> None:
    rows = [line for line in (ROOT / "docs/explanation/fidelity.md").read_text().splitlines() if line.startswith("| ") and "---" not in line][
        1:
    ]
    assert len(rows) > 25
    for row in rows:
        _, _, source, held, _ = row.split(" | ") if row.count(" | ") > 3 else ("", *row.strip("| ").split(" | "), "")
        assert source, row
        names = re.findall(r"`(test_\w+)`", held)
        assert names, row
        for name in names:
            assert f"def {name}(" in SUITES, name


class Noting(ModelDriver):
    """Checks every request and answer against botocore's model (as it does for the suites), and notes which operations were called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()

    def call(self, service: str, operation: str, **request):
        self.called.add(operation)
        return super().call(service, operation, **request)


def test_every_operation_of_cloud_map_has_the_apis_shapes() -> None:
    aws = Noting()

    def call(operation: str, **request):
        return aws.call("servicediscovery", operation, **request)

    for kind, name in (("PrivateDns", "a.local"), ("PublicDns", "b.example"), ("Http", "c")):
        call(f"Create{kind}Namespace", Name=name, **({"Vpc": "vpc-1"} if kind == "PrivateDns" else {}))
    spaces = {space["Name"]: space for space in call("ListNamespaces")["Namespaces"]}
    for kind, name in (("PrivateDns", "a.local"), ("PublicDns", "b.example"), ("Http", "c")):
        call(f"Update{kind}Namespace", Id=spaces[name]["Id"], Namespace={"Description": "seen"})
    records = {"DnsRecords": [{"Type": "A", "TTL": 300}]}
    service = call("CreateService", Name="s", NamespaceId=spaces["a.local"]["Id"], DnsConfig=records, HealthCheckCustomConfig={})["Service"]
    done = call("RegisterInstance", ServiceId=service["Id"], InstanceId="i", Attributes={"AWS_INSTANCE_IPV4": "10.0.0.1"})
    for name in ("Service", "Namespace"):
        call(f"Get{name}", Id=service["Id"] if name == "Service" else spaces["c"]["Id"])
    call("GetOperation", OperationId=done["OperationId"])
    call("ListOperations")
    call("ListServices")
    call("ListInstances", ServiceId=service["Id"])
    call("GetInstance", ServiceId=service["Id"], InstanceId="i")
    call("UpdateInstanceCustomHealthStatus", ServiceId=service["Id"], InstanceId="i", Status="UNHEALTHY")
    call("GetInstancesHealthStatus", ServiceId=service["Id"])
    call("DiscoverInstances", NamespaceName="a.local", ServiceName="s")
    call("DiscoverInstancesRevision", NamespaceName="a.local", ServiceName="s")
    call("UpdateService", Id=service["Id"], Service={"DnsConfig": records})
    call("UpdateServiceAttributes", ServiceId=service["Id"], Attributes={"k": "v"})
    call("GetServiceAttributes", ServiceId=service["Id"])
    call("DeleteServiceAttributes", ServiceId=service["Id"], Attributes=["k"])
    call("TagResource", ResourceARN=service["Arn"], Tags=[{"Key": "k", "Value": "v"}])
    call("ListTagsForResource", ResourceARN=service["Arn"])
    call("UntagResource", ResourceARN=service["Arn"], TagKeys=["k"])
    call("DeregisterInstance", ServiceId=service["Id"], InstanceId="i")
    call("DeleteService", Id=service["Id"])
    call("DeleteNamespace", Id=spaces["c"]["Id"])
    assert aws.called == set(CLOUD_MAP)


def test_every_operation_of_app_mesh_has_the_apis_shapes() -> None:
    aws, mesh = Noting(), {"meshName": "m"}
    listener = {"listeners": [{"portMapping": {"port": 80, "protocol": "http"}}]}
    route = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [{"virtualNode": "n", "weight": 1}]}}}
    onward = {"httpRoute": {"match": {"prefix": "/"}, "action": {"target": {"virtualService": {"virtualServiceName": "s.local"}}}}}
    made = (
        ("Mesh", mesh, {}),
        ("VirtualNode", {**mesh, "virtualNodeName": "n"}, {}),
        ("VirtualRouter", {**mesh, "virtualRouterName": "r"}, listener),
        ("Route", {**mesh, "virtualRouterName": "r", "routeName": "one"}, route),
        ("VirtualService", {**mesh, "virtualServiceName": "s.local"}, {"provider": {"virtualRouter": {"virtualRouterName": "r"}}}),
        ("VirtualGateway", {**mesh, "virtualGatewayName": "g"}, listener),
        ("GatewayRoute", {**mesh, "virtualGatewayName": "g", "gatewayRouteName": "in"}, onward),
    )
    arn = ""
    for kind, names, spec in made:
        aws.call("appmesh", f"Create{kind}", **names, spec=spec)
        described = aws.call("appmesh", f"Describe{kind}", **names)
        arn = next(iter(described.values()))["metadata"]["arn"]
        aws.call("appmesh", f"Update{kind}", **names, spec=spec)
        parents = {k: v for k, v in names.items() if k != f"{kind[0].lower()}{kind[1:]}Name"}
        aws.call("appmesh", "ListMeshes" if kind == "Mesh" else f"List{kind}s", **parents)
    aws.call("appmesh", "TagResource", resourceArn=arn, tags=[{"key": "k", "value": "v"}])
    aws.call("appmesh", "ListTagsForResource", resourceArn=arn)
    aws.call("appmesh", "UntagResource", resourceArn=arn, tagKeys=["k"])
    for kind, names, _ in reversed(made):
        aws.call("appmesh", f"Delete{kind}", **names)
    assert aws.called == set(APP_MESH)


@pytest.mark.parametrize("base", sorted(BASES))
def test_what_the_simulator_sends_and_gets_has_the_apis_shapes(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called = World.call
    protocols = {name: Protocol(name) for name in ("servicediscovery", "appmesh")}
    seen: set[str] = set()

    def checked(self, service, operation, request, stale=0):
        wire = protocols[service]
        wire.check(operation, request)
        try:
            answer = called(self, service, operation, request, stale)
        except AwsError:
            seen.add(operation)
            raise
        shape, problems = wire.operation(operation).output_shape, []
        if shape is not None:
            payload = shape.serialization.get("payload")
            checker(shape.members[payload] if payload else shape)(answer[payload] if payload else answer, "", problems)
        assert problems == [], operation
        seen.add(operation)
        return answer

    monkeypatch.setattr(World, "call", checked)
    assert play(BASES[base]).property == ""
    assert {"RegisterInstance", "ListInstances", "DiscoverInstances"} <= seen
