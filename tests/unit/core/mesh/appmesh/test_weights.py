"""What App Mesh's plan changes of a route's weights, told by virtual node."""

from typing import Any

import pytest
from crossmesh.core.mesh.appmesh.diff import differences
from crossmesh.core.mesh.appmesh.plan import MeshAction
from crossmesh.core.mesh.appmesh.state import AppMeshRequest
from crossmesh.core.mesh.appmesh.weights import differences_of, weights_found
from crossmesh.core.mesh.backend import MeshTarget

TARGET = MeshTarget(mesh="m", kind="route", parent="r", name="one")


def spec(*targets: dict[str, Any], kind: str = "httpRoute", **more: Any) -> dict[str, Any]:
    return {kind: {"action": {"weightedTargets": list(targets)}, **more}}


def to(node: str, weight: int, **more: Any) -> dict[str, Any]:
    return {"virtualNode": node, "weight": weight, **more}


def update(found: dict[str, Any], declared: dict[str, Any], target: MeshTarget = TARGET) -> MeshAction:
    request = AppMeshRequest(service="appmesh", operation="CreateRoute", input={"spec": declared})
    return MeshAction(verb="update", target=target, stage="route", request=request, changes=differences(declared, found), reason="why")


@pytest.mark.parametrize("kind", ["httpRoute", "http2Route", "grpcRoute", "tcpRoute"])
def test_a_weight_is_told_by_its_virtual_node(kind: str) -> None:
    action = update(spec(to("blue", 0), to("red", 2), kind=kind), spec(to("blue", 1), to("red", 2), kind=kind))
    assert [str(one) for one in differences_of(action)] == ["weight of blue: found 0, declared 1"]
    assert weights_found(action) == {"red": 2}


def test_a_target_that_comes_or_goes_is_a_weight_that_was_or_will_be_absent() -> None:
    action = update(spec(to("blue", 1), to("red", 2), to("old", 4)), spec(to("blue", 1), to("red", 3)))
    assert [str(one) for one in differences_of(action)] == ["weight of old: found 4, declared None", "weight of red: found 2, declared 3"]
    assert weights_found(action) is None, "more than weights differs"


def test_what_is_no_weight_keeps_its_path() -> None:
    port = update(spec(to("blue", 1, port=80), to("red", 1)), spec(to("blue", 1)))
    assert [one.field for one in differences_of(port)] == ["weight of red"]
    same = update(spec(to("blue", 1), to("blue", 1)), spec(to("blue", 2)))
    assert [one.field for one in differences_of(same)] == ["httpRoute.action.weightedTargets"], "the weights are the same"
    match = update(spec(to("blue", 1), match={"prefix": "/a"}), spec(to("blue", 1), match={"prefix": "/"}))
    assert [str(one) for one in differences_of(match)] == ["httpRoute.match.prefix: found '/a', declared '/'"]


def test_a_route_of_another_kind_of_resource_has_no_weights() -> None:
    gateway = MeshTarget(mesh="m", kind="gatewayRoute", parent="g", name="one")
    action = update(spec(to("blue", 0)), spec(to("blue", 1)), gateway)
    assert [one.field for one in differences_of(action)] == ["httpRoute.action.weightedTargets.0.weight"]
