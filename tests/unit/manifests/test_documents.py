"""Documents: which are read, their metadata, and every mistake of their fields with file, line, field, what was found and what is allowed."""

import pytest
from crossmesh.manifests import load
from crossmesh.manifests.crd import KINDS
from crossmesh.manifests.schema import Listing, Record, Rule, Table

from tests.support.manifest_texts import HEAD, manifest, say


def told(text: str, *, strict: bool = False) -> list[str]:
    return [say(f) for f in load([("mesh.yaml", text.encode())], strict=strict).findings]


def test_other_kinds_are_read_past_and_an_empty_file_is_fine() -> None:
    text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, labels: {b: 5}}\n---\napiVersion: v1\nkind: Service\nmetadata: {}\n"
    loaded = load([("mesh.yaml", (text + "---\n" + HEAD).encode()), ("empty.yaml", b"")])
    assert loaded.findings == ()
    assert [(d.kind, d.name, d.place.document, d.place.line) for d in loaded.documents] == [
        ("Namespace", "shop", 2, 9),
        ("Mesh", "shop", 3, 13),
    ]


def test_lists_are_flattened_with_their_lines() -> None:
    text = """\
apiVersion: v1
kind: List
items:
  - apiVersion: appmesh.k8s.aws/v1beta2
    kind: MeshList
    items:
      - apiVersion: appmesh.k8s.aws/v1beta2
        kind: Mesh
        metadata: {name: shop}
        spec: {egressFilter: {type: NONE}}
  - apiVersion: v1
    kind: Namespace
    metadata: {name: shop}
"""
    loaded = load([("mesh.yaml", text.encode())])
    assert [(d.kind, d.place.line) for d in loaded.documents] == [("Mesh", 7), ("Namespace", 11)]
    assert [say(f) for f in loaded.findings] == [
        "error not-allowed mesh.yaml:10 items[0].items[0].spec.egressFilter.type: found 'NONE', wanted one of ALLOW_ALL, DROP_ALL"
    ]
    assert loaded.documents[0].broken == ("spec.egressFilter.type",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5\n", ["error not-a-manifest mesh.yaml:1: found the number 5, wanted an object with apiVersion, kind, metadata and spec"]),
        ("a: 1\n", ["warning not-a-manifest mesh.yaml:1 apiVersion: apiVersion is no text here: the document is read past"]),
        (
            "apiVersion: appmesh.k8s.aws/v1beta3\nkind: Mesh\n",
            [
                "error unknown-version mesh.yaml:1 apiVersion: found appmesh.k8s.aws/v1beta3, wanted appmesh.k8s.aws/v1beta2 or appmesh.k8s.aws/v1beta1"
            ],
        ),
        (
            "apiVersion: appmesh.k8s.aws/v1beta2\nkind: Route\n",
            ["error unknown-kind mesh.yaml:2 kind: appmesh.k8s.aws/v1beta2 has no kind Route"],
        ),
        ("apiVersion: appmesh.k8s.aws/v1beta2\nkind: Mesh\n", ["error missing-field mesh.yaml:1: metadata is missing"]),
        (
            "apiVersion: appmesh.k8s.aws/v1beta2\nkind: Mesh\nmetadata:\n  labels: {a: 1.10}\nspec: {awsName: 5}\n",
            [
                "error missing-field mesh.yaml:3 metadata: name is missing",
                (
                    "error not-text mesh.yaml:4 metadata.labels.a: found the number 1.10, wanted a label value: letters, digits, - _ ., "
                    "at most 63 characters"
                ),
                "error not-text mesh.yaml:5 spec.awsName: found the number 5, wanted text",
            ],
        ),
        (
            "apiVersion: appmesh.k8s.aws/v1beta2\nkind: Mesh\nmetadata:\n  name: n\n",
            [
                (
                    "error not-text mesh.yaml:4 metadata.name: found the boolean false (YAML reads an unquoted n as one), "
                    "wanted a Kubernetes name: small letters, digits, - and ., at most 253 characters"
                )
            ],
        ),
        (
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: Shop_1}\n",
            [
                "error not-allowed mesh.yaml:3 metadata.name: found 'Shop_1', wanted a Kubernetes namespace: small letters, digits and -, at most 63"
            ],
        ),
    ],
)
def test_mistakes_around_the_spec(text: str, said: list[str]) -> None:
    assert told(text) == said


@pytest.mark.parametrize(
    ("kind", "spec", "said"),
    [
        ("VirtualNode", "listeners: {}", "error not-a-list mesh.yaml:9 spec.listeners: found an object, wanted a list"),
        ("VirtualNode", "listeners: [5]", "error not-an-object mesh.yaml:9 spec.listeners[0]: found the number 5, wanted an object"),
        ("VirtualNode", "listeners:\n  - null", "error not-an-object mesh.yaml:10 spec.listeners[0]: found nothing, wanted an object"),
        ("VirtualNode", "listeners:\n  - {}", "error missing-field mesh.yaml:10 spec.listeners[0]: portMapping is missing"),
        (
            "VirtualNode",
            "listeners:\n  - portMapping:\n      port: '8080'\n      protocol: http",
            "error not-a-number mesh.yaml:11 spec.listeners[0].portMapping.port: found '8080', wanted a whole number from 1 to 65535",
        ),
        (
            "VirtualNode",
            "listeners:\n  - portMapping: {port: 0, protocol: http}",
            "error out-of-range mesh.yaml:10 spec.listeners[0].portMapping.port: found the number 0, wanted a whole number from 1 to 65535",
        ),
        (
            "VirtualNode",
            "listeners:\n  - portMapping: {port: 80.5, protocol: http}",
            "error not-a-number mesh.yaml:10 spec.listeners[0].portMapping.port: found the number 80.5, wanted a whole number from 1 to 65535",
        ),
        (
            "VirtualNode",
            "listeners:\n  - portMapping: {port: 80, protocol: HTTP}",
            "error not-allowed mesh.yaml:10 spec.listeners[0].portMapping.protocol: found 'HTTP', wanted one of grpc, http, http2, tcp",
        ),
        (
            "VirtualNode",
            "serviceDiscovery:\n  awsCloudMap: {namespaceName: '', serviceName: s}",
            "error bad-length mesh.yaml:10 spec.serviceDiscovery.awsCloudMap.namespaceName: found '', wanted text of 1 to 1024 characters",
        ),
        (
            "VirtualNode",
            "backendDefaults: {clientPolicy: {tls: {enforce: 'yes', validation: {trust: {}}}}}",
            "error not-a-boolean mesh.yaml:9 spec.backendDefaults.clientPolicy.tls.enforce: found 'yes', wanted true or false",
        ),
        (
            "VirtualRouter",
            "routes:\n  - name: r\n    tcpRoute:\n      action:\n        weightedTargets: []",
            "error bad-length mesh.yaml:13 spec.routes[0].tcpRoute.action.weightedTargets: found 0 items, wanted 1 to 10",
        ),
        (
            "VirtualGateway",
            "listeners: [{portMapping: {port: 80, protocol: tcp}}]",
            "error not-allowed mesh.yaml:9 spec.listeners[0].portMapping.protocol: found 'tcp', wanted one of grpc, http, http2",
        ),
        ("Mesh", "egressFilter: {}", "error missing-field mesh.yaml:9 spec.egressFilter: type is missing"),
        (
            "BackendGroup",
            "virtualServices: []",
            "warning unknown-field mesh.yaml:9 spec.virtualServices: virtualServices is no field here; clusters drop it silently",
        ),
    ],
)
def test_mistakes_in_a_spec(kind: str, spec: str, said: str) -> None:
    assert told(manifest(kind, "shop-one", spec)) == [said]


def test_words_that_read_as_booleans_are_told_as_written() -> None:
    spec = "serviceDiscovery:\n  awsCloudMap:\n    namespaceName: ns\n    serviceName: s\n    attributes:\n      - {key: on, value: yes}"
    field = "mesh.yaml:14 spec.serviceDiscovery.awsCloudMap.attributes[0]"
    assert told(manifest("VirtualNode", "one", spec)) == [
        f"error not-text {field}.key: found the boolean true (YAML reads an unquoted on as one), wanted text of 1 to 255 characters",
        f"error not-text {field}.value: found the boolean true (YAML reads an unquoted yes as one), wanted text of 1 to 1024 characters",
    ]


def test_all_mistakes_come_at_once() -> None:
    spec = "listeners:\n  - portMapping: {port: 0, protocol: x}\nserviceDiscovery: {dns: {}}\nlogging: 5"
    assert [f.split(":")[0] for f in told(manifest("VirtualNode", "Bad_Name", spec))] == [
        "error not-allowed mesh.yaml",
        "error out-of-range mesh.yaml",
        "error not-allowed mesh.yaml",
        "error missing-field mesh.yaml",
        "error not-an-object mesh.yaml",
    ]


def test_unknown_fields_are_warnings_with_a_hint_and_errors_when_strict() -> None:
    text = manifest("VirtualNode", "one", "listenners: []\nfoo: 1")
    findings = load([("mesh.yaml", text.encode())]).findings
    assert [(f.level, f.code, f.place.line, f.fix) for f in findings] == [
        ("warning", "unknown-field", 9, "did you mean listeners?"),
        (
            "warning",
            "unknown-field",
            10,
            "known are awsName, backendDefaults, backendGroups, backends, listeners, logging, meshRef, podSelector, serviceDiscovery",
        ),
    ]
    assert [line.split()[0] for line in told(text, strict=True)] == ["error", "error"]
    assert load([("mesh.yaml", text.encode())]).documents[0].spec == {}


def test_null_is_absent_and_a_whole_float_is_an_integer() -> None:
    text = manifest("VirtualNode", "one", "listeners: [{portMapping: {port: 8.08e3, protocol: http}, tls: null}]\nlogging: ~")
    loaded = load([("mesh.yaml", text.encode())])
    assert loaded.findings == ()
    assert loaded.documents[0].spec == {"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]}
    assert type(loaded.documents[0].spec["listeners"][0]["portMapping"]["port"]) is int


def test_a_document_without_namespace_is_in_default_and_a_mesh_in_none() -> None:
    loaded = load([("m.json", b'{"apiVersion":"appmesh.k8s.aws/v1beta2","kind":"VirtualNode","metadata":{"name":"a","uid":"u"}}')])
    assert (loaded.documents[0].key, loaded.documents[0].live) == ("default/a", True)
    text = "apiVersion: appmesh.k8s.aws/v1beta2\nkind: Mesh\nmetadata: {name: a, namespace: b}\n"
    assert load([("m.yaml", text.encode())]).documents[0].key == "a"


def _leaves(rule: Rule) -> int:
    if isinstance(rule, Record):
        return sum(_leaves(field.rule) for field in rule.fields.values())
    return _leaves(rule.item) if isinstance(rule, Listing | Table) else 1


def test_the_schema_has_every_field_of_the_seven_kinds() -> None:
    """Counts of leaf fields in the CRDs at 7588d122c3c4."""
    assert {kind: _leaves(rule) for kind, rule in KINDS.items()} == EXPECTED_FIELDS


EXPECTED_FIELDS = {
    "Mesh": 8,
    "VirtualNode": 82,
    "VirtualService": 9,
    "VirtualRouter": 101,
    "VirtualGateway": 50,
    "GatewayRoute": 74,
    "BackendGroup": 4,
}
