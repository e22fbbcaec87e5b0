"""Routes as values: what documents say of them, once; a shift changes the targets in force and leaves the document."""

import msgspec
import pytest
from crossmesh.core.compiler.routes import backends_of, provider_of, route_of
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.topology import ROUTE_KINDS, NodeProvider, RouteMatch, RouterProvider, Topology, ValueMatch, WeightedTarget

from tests.support.builders import router

TARGETS = [{"@VirtualNode": "blue_demo", "weight": 3, "port": 8080}, {"@VirtualNode": "red_demo"}]


@pytest.mark.parametrize("kind", ROUTE_KINDS)
def test_a_route_of_each_kind(kind: str) -> None:
    found = route_of({"name": "r", "priority": 0, kind: {"action": {"weightedTargets": TARGETS}, "retryPolicy": {"maxRetries": 1}}})
    assert (found.name, found.protocol, found.priority, found.retries) == ("r", ROUTE_KINDS[kind], 0, True)
    assert found.targets == (WeightedTarget(virtual_node="blue_demo", weight=3, port=8080), WeightedTarget(virtual_node="red_demo"))
    assert found.match == RouteMatch()


def test_what_a_route_matches() -> None:
    header = {"name": "x", "invert": True, "match": {"exact": "1"}}
    found = route_of({"http2Route": {"match": {"path": {"regex": "/a.*"}, "method": "GET", "port": 80, "headers": [header]}}})
    assert found.match == RouteMatch(regex="/a.*", method="GET", port=80, headers=(ValueMatch(name="x", invert=True, match={"exact": "1"}),))
    assert found.match.whole_path
    grpc = route_of({"grpcRoute": {"match": {"serviceName": "s", "methodName": "m", "metadata": [{"name": "k"}]}}})
    assert grpc.match == RouteMatch(grpc_service="s", grpc_method="m", metadata=(ValueMatch(name="k"),))


def test_a_document_without_a_kind_is_a_route_of_no_protocol() -> None:
    found = route_of({"name": "r"})
    assert (found.protocol, found.targets, found.priority) == (None, (), None)


def test_a_node_that_stands_twice_has_the_sum() -> None:
    twice = [{"@VirtualNode": "blue_demo", "weight": 1}, {"@VirtualNode": "blue_demo", "weight": 2}]
    assert route_of({"httpRoute": {"action": {"weightedTargets": twice}}}).weights == {"blue_demo": 3}


def test_providers_and_backends() -> None:
    assert provider_of({"provider": {"virtualNode": {"@VirtualNode": "n"}}}) == NodeProvider(name="n")
    assert provider_of({"provider": {"virtualRouter": {"@VirtualRouter": "r"}}}) == RouterProvider(name="r")
    assert provider_of({"provider": {"virtualRouter": {"@VirtualRouter": ""}}}) is None
    assert provider_of({}) is None
    assert backends_of({"backends": [{"virtualService": {"@VirtualService": "s.demo"}}, {"virtualService": {}}]}) == ("s.demo",)


@pytest.mark.parametrize("kind", ROUTE_KINDS)
def test_app_mesh_is_sent_the_weights_in_force_and_else_what_was_written(kind: str) -> None:
    declared = router("r", {"name": "all", "priority": 7, kind: {"action": {"weightedTargets": TARGETS}}})
    (route,) = declared.routes
    shifted = msgspec.structs.replace(route, targets=tuple(msgspec.structs.replace(t, weight=50) for t in route.targets))
    sent = [requests(Topology(routers=(msgspec.structs.replace(declared, routes=(one,)),)))[-1].input["spec"] for one in (route, shifted)]
    weights = [[target.get("weight") for target in spec[kind]["action"]["weightedTargets"]] for spec in sent]
    assert weights == [[3, None], [50, 50]], "a weight that was not written is not sent"
    assert all(spec["priority"] == 7 and spec[kind]["action"]["weightedTargets"][0]["port"] == 8080 for spec in sent)
    assert route.spec == shifted.spec
