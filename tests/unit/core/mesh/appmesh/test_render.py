"""The requests: equal to the controller's, valid for the API's model, in apply order."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from crossmesh.core.compiler.build import build
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.mesh.appmesh.state import AppMeshRequest
from crossmesh.core.mesh.backends import unsupported
from crossmesh.manifests import load
from crossmesh.manifests.config import load_config
from crossmesh.manifests.crd import KINDS
from crossmesh.manifests.schema import Listing, Record, Rule, Table
from crossmesh.manifests.yaml_documents import read

from tests.support.manifest_texts import HEAD, built, manifest, node, rendered

ROOT = Path(__file__).parents[5]
GOLDEN = ROOT / "tests" / "golden"
EVERY = (GOLDEN / "every-field.yaml").read_bytes()


@pytest.fixture(scope="module")
def model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("appmesh", "service-2"))


def plain(made: tuple[AppMeshRequest, ...]) -> Any:
    return [msgspec.to_builtins(request) for request in made]


def refusals(model: ServiceModel, request: AppMeshRequest) -> str:
    return ParamValidator().validate(request.input, model.operation_model(request.operation).input_shape).generate_report()


def test_the_walkthrough() -> None:
    config = load_config(ROOT / "config")
    assert config.findings == ()
    assert plain(requests(config.topology)) == json.loads((GOLDEN / "walkthrough.requests.json").read_text())


def test_every_field() -> None:
    """The file beside the manifest equals what AWS's own controller (7588d122c3c4) sends for it; backends of groups, which it adds in no order, apart."""
    loaded = load([("every-field.yaml", EVERY)])
    made = build(loaded.documents)
    assert [f.code for f in (*loaded.findings, *made.findings, *unsupported(made))] == ["unknown-arn", "api-refuses"]
    assert plain(requests(made.topology)) == json.loads((GOLDEN / "every-field.requests.json").read_text())


def test_the_every_field_manifest_has_every_field() -> None:
    """Each member of each part of the schema once, wherever it is used; but for what a manifest may not have, which clusters write."""
    written: set[tuple[int, str]] = set()
    members: dict[tuple[int, str], str] = {}
    for kind, rule in KINDS.items():
        _members(rule, kind, members)
    for tree in read("every-field.yaml", EVERY)[0]:
        if (rule := KINDS.get(tree.value["kind"])) is not None:
            _written(rule, tree.value["spec"], written)
    missing = {path for member, path in members.items() if member not in written}
    panics = {"VirtualGateway.listeners[].tls.validation.subjectAlternativeNames"}  # the controller has no request to compare with
    assert {path for path in missing if "meshRef" not in path and "virtualGatewayRef" not in path} == panics


def _members(rule: Rule, path: str, found: dict[tuple[int, str], str]) -> None:
    if isinstance(rule, Record):
        for name, field in rule.fields.items():
            found.setdefault((id(rule), name), f"{path}.{name}")
            _members(field.rule, f"{path}.{name}", found)
    if isinstance(rule, Listing | Table):
        _members(rule.item, f"{path}[]", found)


def _written(rule: Rule, value: Any, found: set[tuple[int, str]]) -> None:
    if isinstance(rule, Record):
        for name in value:
            found.add((id(rule), name))
            _written(rule.fields[name].rule, value[name], found)
    if isinstance(rule, Listing | Table):
        for item in value.values() if isinstance(value, dict) else value:
            _written(rule.item, item, found)


def _paths(value: Any, path: str, found: set[str]) -> None:
    found.add(path)
    if isinstance(value, dict):
        for key, item in value.items():
            _paths(item, f"{path}.{key}", found)
    if isinstance(value, list):
        for item in value:
            _paths(item, f"{path}[]", found)


def test_requests_fit_the_model_of_the_api(model: ServiceModel) -> None:
    made = requests(build(load([("every-field.yaml", EVERY)]).documents).topology)
    said = [line for request in made if (line := refusals(model, request))]
    assert said == ["Must set one of the following keys for tagged unionstructure spec.listeners[2].tls.validation.trust: file, sds."]


def test_apply_order() -> None:
    made = requests(build(load([("every-field.yaml", EVERY)]).documents).topology)
    order = ["Mesh", "VirtualNode", "VirtualGateway", "VirtualRouter", "Route", "VirtualService", "GatewayRoute"]
    kinds = [request.operation.removeprefix("Create") for request in made]
    assert kinds == sorted(kinds, key=order.index)
    assert set(kinds) == set(order)
    assert [r.input["routeName"] for r in made if r.operation == "CreateRoute"] == ["exact", "grpc", "http", "http2", "tcp"]


@pytest.mark.parametrize(
    ("given", "ip_family", "sent"),
    [
        ("", "ipv4", {}),
        ("meshServiceDiscovery: {ipPreference: IPv6_ONLY}, ", "ipv4", {"serviceDiscovery": {"ipPreference": "IPv4_ONLY"}}),
        ("meshServiceDiscovery: {}, ", "ipv4", {"serviceDiscovery": {"ipPreference": "IPv4_ONLY"}}),
        ("", "ipv6", {"serviceDiscovery": {"ipPreference": "IPv6_ONLY"}}),
        ("meshServiceDiscovery: {ipPreference: IPv4_ONLY}, ", "ipv6", {"serviceDiscovery": {"ipPreference": "IPv6_ONLY"}}),
    ],
)
def test_the_ip_preference_is_the_clusters(given: str, ip_family: str, sent: dict[str, Any]) -> None:
    assert rendered(HEAD.replace("spec: {", "spec: {" + given), ip_family=ip_family)[0].input == {"meshName": "shop", "spec": sent}


def test_the_mesh_owner_goes_with_all_but_the_mesh() -> None:
    made = rendered(HEAD.replace("spec: {", 'spec: {meshOwner: "123456789012", '), node("a"))
    assert ["meshOwner" in request.input for request in made] == [False, True]


def test_empty_lists_are_not_sent_empty_objects_are() -> None:
    spec = "serviceDiscovery: {dns: {hostname: a}}\nlisteners: []\nbackends: []\nbackendDefaults: {clientPolicy: {}}\nlogging: {}"
    assert rendered(HEAD, manifest("VirtualNode", "a", spec))[1].input["spec"] == {
        "serviceDiscovery": {"dns": {"hostname": "a"}},
        "backendDefaults": {"clientPolicy": {}},
        "logging": {},
    }


def test_an_empty_reference_is_an_empty_name() -> None:
    texts = [
        HEAD,
        manifest("VirtualService", "s", "provider: {virtualNode: {}}"),
        manifest("VirtualNode", "a", "backends: [{virtualService: {}}]"),
    ]
    made = {request.operation: request.input["spec"] for request in requests(built(*texts)[0].topology)}
    assert made["CreateVirtualService"] == {"provider": {"virtualNode": {"virtualNodeName": ""}}}
    assert made["CreateVirtualNode"] == {"backends": [{"virtualService": {"virtualServiceName": ""}}]}


def test_where_the_controller_panics_the_api_gets_what_it_takes(model: ServiceModel) -> None:
    gateway = """\
namespaceSelector: {}
listeners:
  - portMapping: {port: 1, protocol: grpc}
    tls:
      mode: STRICT
      certificate: {sds: {secretName: a}}
      validation: {trust: {sds: {secretName: b}}, subjectAlternativeNames: {match: {exact: [c]}}}"""
    route = "grpcRoute: {match: {serviceName: s}, action: {target: {virtualService: {virtualServiceRef: {name: s}}}, rewrite: {}}}"
    service = manifest("VirtualService", "s", "provider: {virtualNode: {virtualNodeRef: {name: a}}}")
    made = rendered(HEAD, node("a"), service, manifest("VirtualGateway", "g", gateway), manifest("GatewayRoute", "r", route))
    assert [refusals(model, request) for request in made] == [""] * len(made)
    by_kind = {request.operation: request.input["spec"] for request in made}
    assert by_kind["CreateVirtualGateway"]["listeners"][0]["tls"]["validation"]["subjectAlternativeNames"] == {"match": {"exact": ["c"]}}
    assert by_kind["CreateGatewayRoute"]["grpcRoute"]["action"] == {
        "target": {"virtualService": {"virtualServiceName": "s.shop"}},
        "rewrite": {},
    }


def test_what_only_selects_is_never_sent() -> None:
    made = requests(build(load([("every-field.yaml", EVERY)]).documents).topology)
    keys: set[str] = set()
    for request in made:
        _paths(request.input, "", keys)
    words = {word.rstrip("[]") for path in keys for word in path.split(".")}
    assert not words & {
        "podSelector",
        "namespaceSelector",
        "gatewayRouteSelector",
        "backendGroups",
        "meshRef",
        "awsName",
        "tags",
        "clientToken",
    }
    assert not {word for word in words if word.startswith("@") or word.endswith(("Ref", "ARN", "ARNs"))}
