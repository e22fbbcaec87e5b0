"""All of the manifest that has every field, for its nodes and its gateway; and the same moved to this world's addresses: the real Envoy takes both."""

import json
from pathlib import Path
from typing import Any

import pytest
from crossmesh.core.compiler.build import build
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.manifests import load

from tests.support.oracle import refusal
from tests.support.oracle_files import Files
from world.dataplane import configuration as xds
from world.dataplane.placing import placed
from world.dataplane.reading import Reading, Service, kind_of

EVERY = Path(__file__).parents[2] / "golden" / "every-field.yaml"
IP = "127.2.0.9"


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Specs by kind and name, with certificates that are there."""
    files = Files(tmp_path_factory.mktemp("certificates"))
    pair = files.pair("one")
    made = requests(build(load([("every-field.yaml", EVERY.read_bytes())]).documents).topology)
    text = json.dumps([[one.operation.removeprefix("Create"), one.input] for one in made if one.operation.startswith("Create")])
    for path, there in (("chain.pem", pair["certificateChain"]), ("key.pem", pair["privateKey"]), ("ca.pem", files.authority)):
        text = text.replace(f"/certs/{path}", there)
    text = text.replace("/certs/client.pem", pair["certificateChain"]).replace("/certs/client.key", pair["privateKey"])
    return json.loads(text)


def read(declared: Any, kind: str, name: str) -> Reading:
    specs: dict[str, dict[str, Any]] = {}
    for operation, given in declared:
        key = f"{operation[0].lower()}{operation[1:]}"
        specs.setdefault(key, {})[given.get(f"{key}Name", given["meshName"])] = given["spec"]
    routes = [{"routeName": route, "spec": spec} for route, spec in specs["route"].items()]
    assert {kind_of(route) for route in routes} == {"httpRoute", "http2Route", "grpcRoute", "tcpRoute"}
    listeners = [(8080, "http"), (9090, "grpc"), (9091, "http2"), (9092, "tcp")]
    services = {name: Service(name, listeners, routes) for name in specs["virtualService"]}
    entries = [{"gatewayRouteName": entry, "spec": spec} for entry, spec in specs["gatewayRoute"].items()]
    nodes, own = specs["virtualNode"], specs[kind][name]
    return Reading("shop-mesh", kind, name, own, specs["mesh"]["shop-mesh"], services, entries, nodes)


@pytest.mark.parametrize(("kind", "name"), [("virtualNode", "cart-node"), ("virtualNode", "stock_shop"), ("virtualGateway", "front-gateway")])
@pytest.mark.parametrize("moved", [False, True], ids=["as sent", "moved to loopback"])
def test_the_real_envoy_takes_every_field(declared: Any, kind: str, name: str, moved: bool, tmp_path: Path) -> None:
    resources = xds.configuration(read(declared, kind, name))
    if moved:
        resources = placed(resources, IP, tmp_path)
        assert '"ads"' not in json.dumps(resources)
        assert {one["address"]["socket_address"]["address"] for one in resources[xds.LISTENER]} == {IP}
    assert refusal(resources, tmp_path) == ""
    resources[xds.CLUSTER][0]["connect_timeout"] = "nonsense"
    assert refusal(resources, tmp_path) != "", "validation can fail"


def test_moved_a_listener_stands_at_each_port_that_the_redirect_would_send_to_it(declared: Any, tmp_path: Path) -> None:
    found = {one["name"]: one for one in placed(xds.configuration(read(declared, "virtualNode", "cart-node")), IP, tmp_path)[xds.LISTENER]}
    enters, leaves = found["lds_ingress_::_15000"], found["lds_egress_::_15001"]
    assert [one["address"]["socket_address"]["port_value"] for one in enters["additional_addresses"]] == [8080, 9090, 9091, 9092]
    assert [one["name"].rpartition(".")[2] for one in leaves["listener_filters"]] == ["proxy_protocol", "tls_inspector"]
    assert "additional_addresses" not in leaves
    assert (enters["stat_prefix"], leaves["stat_prefix"]) == ("::_15000", "::_15001")


def test_moved_a_program_listens_behind_and_a_gateway_calls_itself(declared: Any, tmp_path: Path) -> None:
    def local(kind: str, name: str) -> set[tuple[str, int]]:
        clusters = placed(xds.configuration(read(declared, kind, name)), IP, tmp_path)[xds.CLUSTER]
        found = [one["load_assignment"]["endpoints"][0]["lb_endpoints"][0] for one in clusters if one["type"] == "STATIC"]
        sockets = [one["endpoint"]["address"]["socket_address"] for one in found]
        return {(socket["address"], socket["port_value"]) for socket in sockets}

    assert local("virtualNode", "stock_shop") == {(IP, 18080)}
    assert local("virtualGateway", "front-gateway") == {(IP, 15001)}
