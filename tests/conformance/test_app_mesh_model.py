"""App Mesh behaves as AWS documents it, in the model under a virtual clock and through boto3 alike."""

import uuid
from typing import Any

import pytest

from tests.conformance.aws_drivers import Document, ModelDriver, RefusedError, WireDriver

Driver = ModelDriver | WireDriver
LISTENER = {"portMapping": {"port": 8080, "protocol": "http"}}
DISCOVERY = {"awsCloudMap": {"namespaceName": "a.local", "serviceName": "colorapp", "attributes": [{"key": "color", "value": "blue"}]}}
NODE = {"listeners": [LISTENER], "serviceDiscovery": DISCOVERY}


class Mesh:
    """A mesh of its own and short names for calls."""

    def __init__(self, aws: Driver) -> None:
        self.aws, self.name = aws, f"m-{uuid.uuid4().hex[:12]}"
        self.call("CreateMesh")

    def call(self, operation: str, **request: Any) -> Document:
        return self.aws.call("appmesh", operation, meshName=self.name, **request)

    def plain(self, operation: str, **request: Any) -> Document:
        return self.aws.call("appmesh", operation, **request)

    def node(self, name: str, **spec: Any) -> Document:
        return self.call("CreateVirtualNode", virtualNodeName=name, spec={**NODE, **spec})["virtualNode"]

    def router(self, name: str = "router", *ports: tuple[int, str]) -> Document:
        listeners = [{"portMapping": {"port": port, "protocol": protocol}} for port, protocol in ports or ((8080, "http"),)]
        return self.call("CreateVirtualRouter", virtualRouterName=name, spec={"listeners": listeners})["virtualRouter"]

    def route(self, name: str, *nodes: str, router: str = "router", kind: str = "httpRoute", verb: str = "Create", **match: Any) -> Document:
        weighted = [{"virtualNode": node, "weight": 1} for node in nodes]
        matched = match if kind == "grpcRoute" else {"prefix": "/", **match}
        spec = {kind: {"match": matched, "action": {"weightedTargets": weighted}}}
        return self.call(f"{verb}Route", virtualRouterName=router, routeName=name, spec=spec)["route"]

    def service(self, name: str, **provider: Any) -> Document:
        return self.call("CreateVirtualService", virtualServiceName=name, spec={"provider": provider} if provider else {})["virtualService"]


@pytest.fixture
def mesh(aws: Driver) -> Mesh:
    if isinstance(aws, WireDriver):
        aws.settings(app_mesh={"quotas": {"mesh": 500}})
    return Mesh(aws)


def refused(code: str) -> Any:
    return pytest.raises(RefusedError, match=f"^{code}:")


def to_router(name: str = "router") -> Document:
    return {"virtualRouter": {"virtualRouterName": name}}


def test_the_walkthroughs_mesh_goes_in_in_order_and_out_in_reverse(mesh: Mesh) -> None:
    mesh.node("blue")
    mesh.node("red")
    mesh.router()
    mesh.route("color", "red", "blue")
    mesh.service("colorapp.a.local", **to_router())
    mesh.node("front", backends=[{"virtualService": {"virtualServiceName": "colorapp.a.local"}}])
    for operation, request, culprit in (
        ("DeleteVirtualNode", {"virtualNodeName": "blue"}, "route color"),
        ("DeleteVirtualRouter", {"virtualRouterName": "router"}, "route color"),
        ("DeleteMesh", {}, "still has"),
    ):
        with refused("ResourceInUseException") as error:
            mesh.call(operation, **request)
        assert culprit in error.value.message
    mesh.call("DeleteRoute", virtualRouterName="router", routeName="color")
    with refused("ResourceInUseException") as error:
        mesh.call("DeleteVirtualRouter", virtualRouterName="router")
    assert "virtualService colorapp.a.local" in error.value.message
    mesh.call("DeleteVirtualService", virtualServiceName="colorapp.a.local")
    mesh.call("DeleteVirtualRouter", virtualRouterName="router")
    for node in ("blue", "red", "front"):
        assert mesh.call("DeleteVirtualNode", virtualNodeName=node)["virtualNode"]["status"] == {"status": "DELETED"}
    mesh.call("DeleteMesh")
    with refused("NotFoundException"):
        mesh.call("DescribeMesh")


def test_a_description_gives_back_what_was_written(mesh: Mesh) -> None:
    spec = {
        "listeners": [
            {
                **LISTENER,
                "timeout": {"http": {"idle": {"unit": "s", "value": 60}, "perRequest": {"unit": "ms", "value": 500}}},
                "outlierDetection": {
                    "maxServerErrors": 5,
                    "interval": {"unit": "s", "value": 10},
                    "baseEjectionDuration": {"unit": "s", "value": 30},
                    "maxEjectionPercent": 50,
                },
            }
        ],
        "serviceDiscovery": DISCOVERY,
        "logging": {"accessLog": {"file": {"path": "/dev/stdout"}}},
    }
    made = mesh.call("CreateVirtualNode", virtualNodeName="blue", spec=spec)["virtualNode"]
    shown = mesh.call("DescribeVirtualNode", virtualNodeName="blue")["virtualNode"]
    assert shown == made
    assert shown["spec"] == spec
    assert shown["status"] == {"status": "ACTIVE"}
    metadata = shown["metadata"]
    assert metadata["arn"] == f"arn:aws:appmesh:us-east-1:111122223333:mesh/{mesh.name}/virtualNode/blue"
    assert (metadata["version"], metadata["meshOwner"], metadata["resourceOwner"]) == (1, "111122223333", "111122223333")


def test_an_update_replaces_the_spec_and_raises_the_version(aws: Driver, mesh: Mesh) -> None:
    before = mesh.node("blue", logging={"accessLog": {"file": {"path": "/dev/stdout"}}})
    aws.advance(0.1)
    after = mesh.call("UpdateVirtualNode", virtualNodeName="blue", spec=NODE)["virtualNode"]
    assert after["spec"] == NODE
    assert after["metadata"]["version"] == 2
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["lastUpdatedAt"] > after["metadata"]["createdAt"] == before["metadata"]["createdAt"]


def test_routes_lie_under_their_router(mesh: Mesh) -> None:
    mesh.node("blue")
    mesh.router()
    made = mesh.route("color", "blue")
    assert made["metadata"]["arn"].endswith(f"mesh/{mesh.name}/virtualRouter/router/route/color")
    assert made["virtualRouterName"] == "router"
    assert [route["routeName"] for route in mesh.call("ListRoutes", virtualRouterName="router")["routes"]] == ["color"]
    with refused("NotFoundException"):
        mesh.call("ListRoutes", virtualRouterName="other")
    with refused("NotFoundException"):
        mesh.route("color", "blue", router="other")


@pytest.mark.parametrize("verb", ["Create", "Update"])
def test_what_is_referred_to_must_exist(mesh: Mesh, verb: str) -> None:
    mesh.node("blue")
    mesh.router()
    if verb == "Update":
        mesh.route("color", "blue")
        mesh.service("s.local", **to_router())
    with refused("NotFoundException") as error:
        mesh.route("color", "blue", "missing", verb=verb)
    assert "missing" in error.value.message
    for provider in (to_router("missing"), {"virtualNode": {"virtualNodeName": "missing"}}):
        with refused("NotFoundException"):
            mesh.call(f"{verb}VirtualService", virtualServiceName="s.local", spec={"provider": provider})


def test_a_backend_need_not_exist(mesh: Mesh) -> None:
    mesh.node("front", backends=[{"virtualService": {"virtualServiceName": "not.yet.local"}}])


def test_an_update_lets_go_of_what_it_no_longer_refers_to(mesh: Mesh) -> None:
    mesh.node("blue")
    mesh.node("red")
    mesh.router()
    mesh.route("color", "blue")
    mesh.route("color", "red", verb="Update")
    mesh.call("DeleteVirtualNode", virtualNodeName="blue")
    with refused("ResourceInUseException"):
        mesh.call("DeleteVirtualNode", virtualNodeName="red")


def test_a_refused_update_changes_nothing(mesh: Mesh) -> None:
    mesh.node("blue")
    mesh.router()
    before = mesh.route("color", "blue")
    with refused("NotFoundException"):
        mesh.route("color", "missing", verb="Update")
    assert mesh.call("DescribeRoute", virtualRouterName="router", routeName="color")["route"] == before
    with refused("ResourceInUseException"):
        mesh.call("DeleteVirtualNode", virtualNodeName="blue")


def test_gateways(mesh: Mesh) -> None:
    mesh.node("blue")
    mesh.service("s.local", virtualNode={"virtualNodeName": "blue"})
    mesh.call("CreateVirtualGateway", virtualGatewayName="edge", spec={"listeners": [LISTENER]})
    asked = {"virtualGatewayName": "edge", "gatewayRouteName": "all"}

    def spec(name: str) -> Document:
        return {"httpRoute": {"match": {"prefix": "/"}, "action": {"target": {"virtualService": {"virtualServiceName": name}}}}}

    with refused("NotFoundException"):
        mesh.call("CreateGatewayRoute", **asked, spec=spec("missing.local"))
    made = mesh.call("CreateGatewayRoute", **asked, spec=spec("s.local"))["gatewayRoute"]
    assert made["metadata"]["arn"].endswith("virtualGateway/edge/gatewayRoute/all")
    with refused("ResourceInUseException"):
        mesh.call("DeleteVirtualService", virtualServiceName="s.local")
    with refused("ResourceInUseException"):
        mesh.call("DeleteVirtualGateway", virtualGatewayName="edge")
    mesh.call("DeleteGatewayRoute", **asked)
    mesh.call("DeleteVirtualService", virtualServiceName="s.local")


def test_a_token_repeats_its_answer_and_refuses_another_spec(mesh: Mesh) -> None:
    asked = {"virtualNodeName": "blue", "spec": NODE, "clientToken": "t-1"}
    first = mesh.call("CreateVirtualNode", **asked)
    assert mesh.call("CreateVirtualNode", **asked) == first
    with refused("ConflictException"):
        mesh.call("CreateVirtualNode", **{**asked, "spec": {}})
    with refused("ConflictException"):
        mesh.call("CreateVirtualNode", **{**asked, "clientToken": "t-2"})
    updated = {"virtualNodeName": "blue", "spec": {}, "clientToken": "u-1"}
    mesh.call("UpdateVirtualNode", **updated)
    mesh.call("UpdateVirtualNode", **updated)
    assert mesh.call("DescribeVirtualNode", virtualNodeName="blue")["virtualNode"]["metadata"]["version"] == 2


def test_what_is_not_there_cannot_be_described_updated_or_deleted(mesh: Mesh) -> None:
    for verb, more in (("Describe", {}), ("Update", {"spec": {}}), ("Delete", {})):
        with refused("NotFoundException"):
            mesh.call(f"{verb}VirtualService", virtualServiceName="none.local", **more)
    with refused("NotFoundException"):
        mesh.plain("ListVirtualNodes", meshName="none")
    with refused("NotFoundException"):
        mesh.call("DescribeMesh", meshOwner="444455556666")


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {
            "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [{"virtualNode": "blue", "weight": 1}]}},
            "tcpRoute": {"action": {"weightedTargets": [{"virtualNode": "blue", "weight": 1}]}},
        },
        {"tcpRoute": {"action": {"weightedTargets": [{"virtualNode": "blue", "weight": 1}]}}},
        {"httpRoute": {"match": {"prefix": "/", "port": 9090}, "action": {"weightedTargets": [{"virtualNode": "blue", "weight": 1}]}}},
    ],
    ids=["no kind", "two kinds", "another protocol than the listener's", "a port without listener"],
)
def test_routes_that_cannot_be(mesh: Mesh, spec: Document) -> None:
    mesh.node("blue")
    mesh.router()
    with refused("BadRequestException"):
        mesh.call("CreateRoute", virtualRouterName="router", routeName="color", spec=spec)


def test_a_router_keeps_the_listeners_that_its_routes_need(mesh: Mesh) -> None:
    mesh.node("blue")
    mesh.router()
    mesh.route("color", "blue")

    def listen(*ports: tuple[int, str]) -> None:
        listeners = [{"portMapping": {"port": port, "protocol": protocol}} for port, protocol in ports]
        mesh.call("UpdateVirtualRouter", virtualRouterName="router", spec={"listeners": listeners})

    with refused("BadRequestException"):
        listen((8080, "http2"))
    with refused("BadRequestException"):
        listen((8080, "http"), (9090, "grpc"))
    mesh.route("color", "blue", verb="Update", port=8080)
    listen((8080, "http"), (9090, "grpc"))
    with refused("BadRequestException"):
        listen((9090, "grpc"))


def test_quotas(aws: Driver, mesh: Mesh) -> None:
    aws.settings(app_mesh={"quotas": {"virtualNode": 2, "route": 1}, "backends": 1})
    mesh.node("a")
    mesh.node("b")
    with refused("LimitExceededException"):
        mesh.node("c")
    mesh.router()
    mesh.route("one", "a")
    with refused("LimitExceededException"):
        mesh.route("two", "a")
    backends = [{"virtualService": {"virtualServiceName": name}} for name in ("x.local", "y.local")]
    with refused("LimitExceededException"):
        mesh.call("UpdateVirtualNode", virtualNodeName="a", spec={**NODE, "backends": backends})


def test_lists_come_in_pages(mesh: Mesh) -> None:
    for name in "abcde":
        mesh.node(name)
    first = mesh.call("ListVirtualNodes", limit=2)
    rest = mesh.call("ListVirtualNodes", limit=100, nextToken=first["nextToken"])
    assert [node["virtualNodeName"] for node in first["virtualNodes"] + rest["virtualNodes"]] == list("abcde")
    assert "nextToken" not in rest
    assert "spec" not in first["virtualNodes"][0]
    with refused("BadRequestException"):
        mesh.call("ListVirtualNodes", nextToken="bogus")


def test_tags(mesh: Mesh) -> None:
    tags = [{"key": "crossmesh:owner", "value": "prod"}]
    arn = mesh.call("CreateVirtualNode", virtualNodeName="blue", spec=NODE, tags=tags)["virtualNode"]["metadata"]["arn"]
    mesh.plain("TagResource", resourceArn=arn, tags=[{"key": "b", "value": "1"}])
    assert mesh.plain("ListTagsForResource", resourceArn=arn)["tags"] == [*tags, {"key": "b", "value": "1"}]
    mesh.plain("UntagResource", resourceArn=arn, tagKeys=["b"])
    assert mesh.plain("ListTagsForResource", resourceArn=arn)["tags"] == tags
    with refused("NotFoundException"):
        mesh.plain("TagResource", resourceArn=arn + "x", tags=tags)
    with refused("TooManyTagsException"):
        mesh.plain("TagResource", resourceArn=arn, tags=[{"key": f"t{n}", "value": ""} for n in range(50)])


def test_calls_beyond_the_rate_are_refused(aws: Driver, mesh: Mesh) -> None:
    aws.settings(app_mesh={"rates": {"DescribeMesh": [1 / aws.unit, 1]}})
    mesh.call("DescribeMesh")
    with refused("TooManyRequestsException"):
        mesh.call("DescribeMesh")
    aws.advance(1.3)
    mesh.call("DescribeMesh")
