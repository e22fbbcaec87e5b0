"""Shapes of manifests that people have published, written anew: each renders, applies to App Mesh in order, or is refused with a finding that says why."""

import pytest

from tests.support.manifest_texts import HEAD, manifest, node, rendered, told
from tests.support.model_mesh import ACCOUNT, ModelMesh

GATEWAY = """\
namespaceSelector: {matchLabels: {mesh: shop}}
podSelector: {matchLabels: {app: ingress}}
listeners: [{portMapping: {port: 8088, protocol: http}}]
logging: {accessLog: {file: {path: /dev/stdout}}}
"""
TO_S = "target: {virtualService: {virtualServiceRef: {name: s}}}"
SERVICE = manifest("VirtualService", "s", "awsName: s.shop.svc.cluster.local\nprovider: {virtualNode: {virtualNodeRef: {name: a}}}")
SECOND = """\
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {mesh: other}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: Mesh
metadata: {name: other}
spec: {egressFilter: {type: ALLOW_ALL}, namespaceSelector: {matchLabels: {mesh: other}}}
"""
GRPC = """\
listeners: [{portMapping: {port: 8080, protocol: grpc}}]
routes:
  - name: all
    grpcRoute:
      match: {serviceName: shop.Color}
      retryPolicy: {grpcRetryEvents: [deadline-exceeded], maxRetries: 2, perRetryTimeout: {unit: ms, value: 2000}}
      action: {weightedTargets: [{virtualNodeRef: {name: a}, weight: 1}]}
"""
DEPLOYMENT = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: shop}\nspec: {template: {}}\n"
LEFTOVER = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\nspec: {image: {{IMAGE}}}\n"


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        ((HEAD, node("a"), SERVICE, DEPLOYMENT), 3),
        ((HEAD, node("a", protocol="grpc"), manifest("VirtualRouter", "r", GRPC)), 4),
        (
            (
                HEAD,
                node(
                    "a",
                    more="backendDefaults: {clientPolicy: {tls: {enforce: true, validation: {trust: {file: {certificateChain: /c.pem}}}}}}\n",
                ),
                SERVICE,
            ),
            3,
        ),
        (
            (
                HEAD,
                node("a"),
                SERVICE,
                manifest("VirtualGateway", "ingress", GATEWAY),
                manifest("GatewayRoute", "in", f"httpRoute: {{match: {{prefix: /a}}, action: {{{TO_S}}}}}"),
                manifest("GatewayRoute", "h2", f"http2Route: {{match: {{prefix: /b}}, action: {{{TO_S}}}}}"),
            ),
            6,
        ),
        ((HEAD, SECOND, node("a"), node("a").replace("namespace: shop", "namespace: other")), 4),
        (
            (
                HEAD,
                manifest("VirtualService", "outside", "awsName: api.example.com\nprovider: {virtualNode: {virtualNodeRef: {name: a}}}"),
                node("a"),
            ),
            3,
        ),
        ((HEAD, node("a"), manifest("VirtualService", "s", ""), manifest("BackendGroup", "all", "virtualservices: [{name: s}]")), 3),
    ],
    ids=["beside other kinds", "grpc with retries", "TLS to backends", "gateway", "two meshes", "outside name", "a service without provider"],
)
def test_it_renders_and_applies(texts: tuple[str, ...], count: int) -> None:
    made = rendered(*(text.replace("spec:\n\n", "spec: {}\n") for text in texts))
    assert len(made) == count
    api = ModelMesh()
    for request in made:
        api.create(request.operation, request.input, {"crossmesh:owner": "me"}, f"token-{request.operation}-{len(api.specs())}")
    assert len(api.specs()) == count
    assert ACCOUNT in next(iter(api.model._arns))


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ((HEAD, node("a").replace("namespace: shop", "namespace: nowhere")), "missing-namespace"),
        ((HEAD.replace("labels: {mesh: shop}", "labels: {}"), node("a")), "mesh-membership"),
        ((HEAD.partition("---")[0], node("a")), "mesh-membership"),
        ((HEAD, SECOND.replace("matchLabels: {mesh: other}", "matchLabels: {}"), node("a")), "mesh-membership"),
        ((HEAD, node("a", more="backends: [{virtualService: {virtualServiceARN: some-service-ARN}}]\n")), "bad-arn"),
        ((HEAD, node("a", more="backends: [{virtualService: {virtualServiceRef: {name: none}}}]\n")), "missing-reference"),
        (
            (HEAD, node("a"), SERVICE, manifest("GatewayRoute", "in", f"httpRoute: {{match: {{prefix: /a}}, action: {{{TO_S}}}}}")),
            "gateway-membership",
        ),
        ((HEAD, manifest("VirtualNode", "a", "listeners: [{portMapping: {port: 8080, protocol: http}}]")), "no-discovery"),
    ],
)
def test_what_the_controller_refuses_is_an_error_with_its_reason(texts: tuple[str, ...], code: str) -> None:
    assert [line for line in told(*texts) if line.startswith(f"error {code} mesh.yaml:")]


def test_an_unfilled_template_of_another_kind_keeps_nothing_from_being_rendered() -> None:
    found = told(HEAD, node("a"), LEFTOVER)
    assert [line.split(" mesh.yaml")[0] for line in found] == ["warning bad-key"]
    assert len(rendered(HEAD, node("a"), LEFTOVER)) == 2
