"""Resources come out as Envoy reads them: what is no message of its type is refused, and what names a cluster is found wherever it stands."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crossmesh_xds import codec
from crossmesh_xds.assembly import Workshop
from crossmesh_xds.mesh import Kind, Snapshot
from crossmesh_xds.published import Unusable, read_endpoints, read_pointer, read_proxies, read_root

from tests.support.snapshots import Shelf, proxy
from world.deploy import ROOT

CLUSTER = {"name": "c", "type": "EDS", "eds_cluster_config": {"service_name": "shop/c/8080", "eds_config": {"ads": {}}}}
ROUTE = {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"}}]}]}
HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_response_is_what_protobuf_itself_would_make() -> None:
    one = codec.resource(Kind.CLUSTERS, raw(CLUSTER))
    other = codec.resource(Kind.CLUSTERS, raw({"name": "long" * 100}))
    data = codec.response(Kind.CLUSTERS, "7.abc", "3", [one, other], "pod-1")
    read = codec._type("envoy.service.discovery.v3.DiscoveryResponse").FromString(data)
    assert (read.version_info, read.nonce, read.type_url, read.control_plane.identifier) == ("7.abc", "3", Kind.CLUSTERS.value, "pod-1")
    assert [found.type_url for found in read.resources] == [Kind.CLUSTERS.value] * 2
    assert codec._type("envoy.config.cluster.v3.Cluster").FromString(read.resources[0].value).eds_cluster_config.service_name == "shop/c/8080"
    assert read.SerializeToString() == data
    assert one.endpoints == "shop/c/8080"
    assert codec.resource(Kind.CLUSTERS, raw({"name": "s", "type": "STATIC"})).endpoints == ""


def test_a_request_is_read_with_node_version_and_refusal() -> None:
    said = codec._type("envoy.service.discovery.v3.DiscoveryRequest")(type_url=Kind.ROUTES.value, version_info="5.x", response_nonce="2")
    said.node.id = "mesh/m/virtualNode/front"
    said.node.user_agent_build_version.version.major_number = 1
    said.node.user_agent_build_version.version.minor_number = 40
    said.resource_names.append("r")
    asked = codec.request(said.SerializeToString())
    assert (asked.kind, asked.node, asked.minor, asked.names, asked.error) == (Kind.ROUTES, "mesh/m/virtualNode/front", "1.40", ("r",), "")
    said.error_detail.code = 3
    assert codec.request(said.SerializeToString()).error == "refused", "a refusal without words is one"
    said.error_detail.message = "w" * 9_000
    assert len(codec.request(said.SerializeToString()).error) == 2_000
    said.type_url = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    assert codec.request(said.SerializeToString()).kind is None
    with pytest.raises(Unusable):
        codec.request(b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.CLUSTERS, {"name": "c", "typo": 1}),
        (Kind.CLUSTERS, {"name": "c", "type": "NO_SUCH"}),
        (Kind.CLUSTERS, {"name": "c", "connect_timeout": "1 second"}),
        (Kind.CLUSTERS, {"type": "EDS"}),
        (Kind.CLUSTERS, {"@type": Kind.ROUTES.value, "name": "c"}),
        (Kind.ENDPOINTS, {"name": "c"}),
        (
            Kind.LISTENERS,
            {"name": "l", "filter_chains": [{"filters": [{"name": "f", "typed_config": {"@type": "type.googleapis.com/no.such.Filter"}}]}]},
        ),
        (Kind.LISTENERS, []),
        (Kind.LISTENERS, "l"),
    ],
)
def test_what_is_no_resource_of_its_type_is_refused(kind: Kind, value: Any) -> None:
    with pytest.raises(Unusable):
        codec.resource(kind, raw(value))


@pytest.mark.parametrize(
    "action",
    [
        {"route": {"cluster": "c"}},
        {"route": {"weighted_clusters": {"clusters": [{"name": "c", "weight": 1}, {"name": "d", "weight": 1}]}}},
        {"route": {"cluster": "d", "request_mirror_policies": [{"cluster": "c"}]}},
    ],
)
def test_clusters_that_a_route_names_are_found(action: dict[str, Any]) -> None:
    value = {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]}
    assert "c" in codec.resource(Kind.ROUTES, raw(value), ["c", "e"]).uses
    assert "e" not in codec.resource(Kind.ROUTES, raw(value), ["c", "e"]).uses


def test_clusters_that_a_listener_names_in_a_filter_are_found() -> None:
    tcp = {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": "c"}
    value = {"name": "l", "filter_chains": [{"filters": [{"name": "f", "typed_config": tcp}]}]}
    assert codec.resource(Kind.LISTENERS, raw(value), ["c"]).uses == {"c"}


def assembled(shelf: Shelf, workshop: Workshop, before: Snapshot | None = None) -> Snapshot:
    pointer = read_pointer(shelf.pointer)
    root = read_root(pointer, shelf.objects[pointer.root])
    proxies: dict[str, Any] = {}
    endpoints: dict[str, msgspec.Raw] = {}
    for digest in root.proxies:
        proxies |= read_proxies(root, digest, shelf.objects[digest])
    for digest in root.endpoints.parts:
        endpoints |= read_endpoints(digest, shelf.objects[digest])
    return workshop.snapshot(pointer, root, proxies, endpoints, before)


def test_what_did_not_change_is_the_same_value_in_the_next_snapshot() -> None:
    shelf, workshop = Shelf(), Workshop()
    sets = {"shop/c/8080": {"cluster_name": "shop/c/8080"}}
    shelf.publish(1, {"front": proxy(1, [CLUSTER], routes=[ROUTE])}, sets)
    first = assembled(shelf, workshop)
    other = proxy(1, [CLUSTER], routes=[ROUTE])
    other["routes"] = {"number": 2, "resources": [{**ROUTE, "validate_clusters": False}]}
    shelf.publish(2, {"front": other}, sets, endpoints_number=1)
    second = assembled(shelf, workshop, first)
    before, after = (one.proxies["front"].contents for one in (first, second))
    assert after[Kind.CLUSTERS].resources is before[Kind.CLUSTERS].resources
    assert second.endpoints["shop/c/8080"] is first.endpoints["shop/c/8080"]
    assert after[Kind.ROUTES].resources["r"].hash != before[Kind.ROUTES].resources["r"].hash
    assert after[Kind.ROUTES].resources["r"].uses == {"c"}


def test_other_content_with_the_number_of_the_one_before_is_refused() -> None:
    shelf, workshop = Shelf(), Workshop()
    shelf.publish(1, {"front": proxy(1, [CLUSTER])}, {})
    first = assembled(shelf, workshop)
    shelf.publish(2, {"front": proxy(1, [{**CLUSTER, "connect_timeout": "2s"}])}, {})
    with pytest.raises(Unusable, match="front: other clusters with the number 1"):
        assembled(shelf, workshop, first)


@pytest.mark.parametrize(
    ("proxies", "sets"),
    [
        ({"front": proxy(1, [CLUSTER, CLUSTER])}, {}),
        ({"front": proxy(1, [{"name": "c", "typo": 1}])}, {}),
        ({}, {"one": {"cluster_name": "other"}}),
    ],
)
def test_one_wrong_resource_keeps_the_whole_snapshot_out(proxies: dict[str, Any], sets: dict[str, Any]) -> None:
    shelf = Shelf()
    shelf.publish(1, {"good": proxy(1, [CLUSTER]), **proxies}, sets)
    with pytest.raises(Unusable):
        assembled(shelf, Workshop())


def test_the_descriptors_are_small_and_plain_data() -> None:
    assert codec.DESCRIPTORS.stat().st_size < 200_000
    assert len(gzip.decompress(codec.DESCRIPTORS.read_bytes())) < 1_000_000


@pytest.mark.parametrize("golden", sorted((ROOT / "tests" / "golden" / "envoy").glob("*.json")), ids=lambda path: path.stem)
def test_all_that_crossmesh_renders_is_taken(golden: Path) -> None:
    """Every type and extension of the goldens is among the descriptors, and the clusters that routes and listeners name are found."""
    rendered = json.loads(golden.read_text())
    named = False
    for proxy_id, found in rendered["proxies"].items():
        clusters = [codec.resource(Kind.CLUSTERS, raw(one)).name for one in found["clusters"]]
        for kind, key in ((Kind.LISTENERS, "listeners"), (Kind.ROUTES, "routes")):
            made = [codec.resource(kind, raw(one), clusters) for one in found[key]]
            named |= any(one.uses for one in made)
            assert len({one.name for one in made}) == len(made), proxy_id
    assert named
    for sets in rendered["endpoints"].values():
        for name, value in sets.items():
            assert codec.resource(Kind.ENDPOINTS, raw(value)).name == name
