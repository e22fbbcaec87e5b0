"""Membership, names, references and the union of documents."""

import pytest
from crossmesh.core.compiler.build import build
from crossmesh.manifests import load

from tests.support.manifest_texts import HEAD, built, manifest, node, say, told

ARN = "arn:aws:appmesh:us-east-1:123456789012:mesh"


def router(name: str, target: str, *, namespace: str = "shop") -> str:
    spec = f"""\
listeners: [{{portMapping: {{port: 8080, protocol: http}}}}]
routes:
  - name: all
    httpRoute:
      match: {{prefix: /}}
      action:
        weightedTargets:
          - {target}"""
    return manifest("VirtualRouter", name, spec, namespace=namespace)


def test_names_are_those_of_the_controller() -> None:
    topology = built(
        HEAD,
        node("cart"),
        node("stock", more='awsName: ""'),
        manifest("VirtualNode", "own", "awsName: mine"),
        manifest("VirtualService", "cart", "provider: {virtualNode: {virtualNodeRef: {name: cart}}}"),
        router("r", "{virtualNodeRef: {name: cart}, weight: 1}"),
    )[0].topology
    assert [n.aws_name for n in topology.nodes] == ["cart_shop", "mine", "stock_shop"]
    assert [s.aws_name for s in topology.services] == ["cart.shop"]
    assert [r.aws_name for r in topology.routers] == ["r_shop"]
    assert [m.aws_name for m in topology.meshes] == ["shop"]


def test_references_stand_resolved_in_the_spec() -> None:
    topology = built(HEAD, node("cart"), router("r", "{virtualNodeRef: {name: cart}, weight: 3}"))[0].topology
    (route,) = (route.spec for route in topology.routers[0].routes)
    assert route["httpRoute"]["action"]["weightedTargets"] == [{"@VirtualNode": "cart_shop", "weight": 3}]
    assert topology.routers[0].references == {"spec.routes[0].httpRoute.action.weightedTargets[0].virtualNodeRef": "cart_shop"}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{virtualNodeRef: {name: cart, namespace: ''}, weight: 1}", []),
        (f"{{virtualNodeARN: '{ARN}/any/virtualNode/cart_shop', weight: 1}}", []),
        (
            "virtualNodeRef: {name: gone}\n            weight: 1",
            [
                "error missing-reference mesh.yaml:35 {0}.virtualNodeRef.name: VirtualRouter shop/r refers to VirtualNode shop/gone, which no document declares"
            ],
        ),
        (
            "virtualNodeRef: {name: cart, namespace: other}\n            weight: 1",
            [
                (
                    "error missing-reference mesh.yaml:35 {0}.virtualNodeRef.name: VirtualRouter shop/r refers to VirtualNode other/cart, which no document declares"  # noqa: E501
                )
            ],
        ),
        (
            f"weight: 1\n            virtualNodeARN: '{ARN}/any/virtualRouter/cart_shop'",
            ["error bad-arn mesh.yaml:36 {0}.virtualNodeARN: found the ARN of a virtualRouter, wanted one of a virtualNode"],
        ),
        (
            "weight: 1\n            virtualNodeARN: node-ARN",
            ["error bad-arn mesh.yaml:36 {0}.virtualNodeARN: found 'node-ARN', wanted the ARN of a virtualNode"],
        ),
        (
            f"weight: 1\n            virtualNodeARN: '{ARN}/any/virtualNode/elsewhere'",
            [
                "warning unknown-arn mesh.yaml:36 {0}.virtualNodeARN: no document declares the virtualNode elsewhere; of an ARN only this name is used"
            ],
        ),
        ("{weight: 1}", ["warning api-refuses mesh.yaml:35 {0}: neither virtualNodeRef nor virtualNodeARN: App Mesh refuses the empty name"]),
    ],
)
def test_references(target: str, said: list[str]) -> None:
    field = "spec.routes[0].httpRoute.action.weightedTargets[0]"
    assert told(HEAD, node("cart"), router("r", target)) == [line.format(field) for line in said]


def test_an_arn_wins_over_a_reference_that_must_lead_somewhere_all_the_same() -> None:
    both = f"{{virtualNodeRef: {{name: %s}}, virtualNodeARN: '{ARN}/x/virtualNode/stock_shop', weight: 1}}"
    topology = built(HEAD, node("cart"), node("stock"), router("r", both % "cart"))[0].topology
    assert topology.routers[0].routes[0].spec["httpRoute"]["action"]["weightedTargets"] == [{"@VirtualNode": "stock_shop", "weight": 1}]
    assert [line.split()[1] for line in told(HEAD, node("cart"), node("stock"), router("r", both % "gone"))] == ["missing-reference"]


def test_references_cross_namespaces_and_files_but_not_meshes() -> None:
    other = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other, labels: {mesh: %s}}\n"
    route = router("r", "{virtualNodeRef: {name: cart, namespace: shop}, weight: 1}", namespace="other")
    assert told(HEAD, node("cart"), other % "shop", route) == []
    second = (
        "---\napiVersion: appmesh.k8s.aws/v1beta2\nkind: Mesh\nmetadata: {name: two}\nspec: {namespaceSelector: {matchLabels: {mesh: two}}}\n"
    )
    (said,) = told(HEAD, node("cart"), other % "two", second, route)
    assert said.startswith("error other-mesh mesh.yaml:44 ")
    assert said.endswith("VirtualRouter other/r of mesh two refers to VirtualNode shop/cart of mesh shop")


@pytest.mark.parametrize(
    ("selector", "differs"),
    [
        ("{}", ""),
        ("{matchLabels: {mesh: shop}}", ""),
        ("{matchLabels: {mesh: other}}", "selects the label mesh=other, which is shop here"),
        ("{matchLabels: {team: shop}}", "selects the label team=shop, which is missing here"),
        ("{matchLabels: {kubernetes.io/metadata.name: shop}}", ""),
        ("{matchExpressions: [{key: mesh, operator: In, values: [a, shop]}]}", ""),
        ("{matchExpressions: [{key: mesh, operator: NotIn, values: [shop]}]}", "selects mesh NotIn (shop), which is shop here"),
        ("{matchExpressions: [{key: mesh, operator: Exists}, {key: team, operator: DoesNotExist}]}", ""),
        ("null", "has no namespaceSelector, which selects nothing"),
    ],
)
def test_the_mesh_is_the_one_whose_selector_fits_the_namespace(selector: str, differs: str) -> None:
    said = told(HEAD.replace("{matchLabels: {mesh: shop}}", selector), manifest("VirtualNode", "a", "{}"))
    message = f"Namespace shop belongs to no mesh: Mesh shop {differs} (VirtualNode shop/a affected)"
    assert said == ([f"error mesh-membership mesh.yaml:3 metadata.labels: {message}"] if differs else [])


def test_two_meshes_that_fit_are_a_mistake() -> None:
    second = "---\napiVersion: appmesh.k8s.aws/v1beta2\nkind: Mesh\nmetadata: {name: all}\nspec: {namespaceSelector: {}}\n"
    assert told(HEAD, second, node("a"), node("b")) == [
        (
            "error mesh-membership mesh.yaml:3 metadata.labels: Namespace shop belongs to 2 meshes at once: "
            "Mesh all (mesh.yaml:10) and Mesh shop (mesh.yaml:5) select it (VirtualNode shop/a and 1 more affected)"
        )
    ]


def test_a_missing_namespace_document_is_told_once() -> None:
    assert told(node("a"), node("b")) == [
        (
            "error missing-namespace mesh.yaml:6 metadata.namespace: VirtualNode shop/a and 1 more are in namespace shop, "
            "which no Namespace document declares"
        )
    ]


def test_a_selector_whose_operator_and_values_disagree() -> None:
    text = HEAD.replace("{matchLabels: {mesh: shop}}", "{matchExpressions: [{key: mesh, operator: In}]}")
    assert "error bad-selector mesh.yaml:8 spec.namespaceSelector.matchExpressions[0]: In without values" in told(text)
    text = HEAD.replace("{matchLabels: {mesh: shop}}", "{matchExpressions: [{key: mesh, operator: Exists, values: [a]}]}")
    assert told(text) == ["error bad-selector mesh.yaml:8 spec.namespaceSelector.matchExpressions[0].values: Exists takes no values"]


def union(one: str, two: str) -> list[str]:
    loaded = load([("one.yaml", one.encode()), ("two.yaml", two.encode())])
    return [say(f) for f in (*loaded.findings, *build(loaded.documents).findings)]


def test_identical_documents_of_two_clusters_are_one() -> None:
    loaded = load([("b.yaml", (HEAD + node("a")).encode()), ("a.yaml", (HEAD + "# again\n" + node("a")).encode())])
    made = build(loaded.documents)
    assert made.findings == ()
    assert [(n.key, str(n.place)) for n in made.topology.nodes] == [("shop/a", "a.yaml:11")]


def test_a_contradiction_names_both_places() -> None:
    assert union(HEAD + node("a"), node("a", port=9090)) == [
        (
            "error contradiction two.yaml:10 spec.listeners[0].portMapping.port: "
            "VirtualNode shop/a differs from the one at one.yaml:18 (spec.listeners[0].portMapping.port)"
        )
    ]


def test_namespaces_are_the_union_of_their_labels_unless_they_disagree() -> None:
    assert union(HEAD + node("a"), HEAD.replace("mesh: shop}", "team: x}", 1)) == []
    assert union(HEAD + node("a"), HEAD.replace("mesh: shop}", "mesh: other}", 1).split("---")[0]) == [
        "error contradiction two.yaml:3 metadata.labels.mesh: Namespace shop has mesh=other here and shop at one.yaml:3"
    ]


def test_two_documents_may_not_have_one_aws_name() -> None:
    assert told(HEAD, manifest("VirtualNode", "a", "awsName: b_shop"), manifest("VirtualNode", "b", "{}")) == [
        "error same-name mesh.yaml:17 spec.awsName: VirtualNode shop/a has the AWS name b_shop, as has shop/b at mesh.yaml:19"
    ]


GATEWAY = "namespaceSelector: {matchLabels: {mesh: shop}}\n"
ROUTE = "httpRoute: {match: {prefix: /}, action: {target: {virtualService: {virtualServiceRef: {name: s}}}}}"
SERVICE = manifest("VirtualService", "s", "provider: {virtualNode: {virtualNodeRef: {name: a}}}")


@pytest.mark.parametrize(
    ("gateways", "labels", "gateway"),
    [
        ({"g": GATEWAY}, "{}", "g_shop"),
        ({"g": GATEWAY + "gatewayRouteSelector: {matchLabels: {via: g}}"}, "{via: g}", "g_shop"),
        (
            {"g": GATEWAY + "gatewayRouteSelector: {matchLabels: {via: g}}", "h": GATEWAY + "gatewayRouteSelector: {matchLabels: {via: h}}"},
            "{via: h}",
            "h_shop",
        ),
        (
            {"g": GATEWAY + "gatewayRouteSelector: {matchLabels: {via: g}}"},
            "{}",
            (
                "GatewayRoute shop/r belongs to no VirtualGateway: "
                "VirtualGateway shop/g selects the label via=g, which is missing here (labels of the route)"
            ),
        ),
        (
            {"g": "{}"},
            "{}",
            (
                "GatewayRoute shop/r belongs to no VirtualGateway: "
                "VirtualGateway shop/g has no namespaceSelector, which selects nothing (labels of Namespace shop)"
            ),
        ),
        (
            {"g": GATEWAY, "h": "namespaceSelector: {}"},
            "{}",
            "GatewayRoute shop/r belongs to 2 VirtualGateways at once: shop/g, shop/h",
        ),
    ],
)
def test_the_gateway_of_a_route_follows_from_both_selectors(gateways: dict[str, str], labels: str, gateway: str) -> None:
    texts = [manifest("VirtualGateway", name, spec) for name, spec in gateways.items()]
    made, findings = built(HEAD, node("a"), SERVICE, *texts, manifest("GatewayRoute", "r", ROUTE, labels=labels))
    if " " in gateway:
        assert [f.message for f in findings] == [gateway]
    else:
        assert findings == ()
        assert made.topology.gateway_routes[0].references["virtualGateway"] == gateway


def backends(*specs: str) -> list[str]:
    topology = built(HEAD, *specs)[0].topology
    return [b["virtualService"]["@VirtualService"] for b in topology.nodes[0].spec.get("backends", ())]


def test_backend_groups_add_services_after_the_nodes_own() -> None:
    services = [manifest("VirtualService", name, "{}") for name in ("c", "b", "a")]
    group = manifest("BackendGroup", "some", "virtualservices: [{name: c}, {name: a, namespace: shop}, {name: c}]")
    own = "backends: [{virtualService: {virtualServiceRef: {name: a}}}]\n"
    assert backends(*services, group, manifest("VirtualNode", "user", own + "backendGroups: [{name: some}]")) == ["a.shop", "c.shop"]
    assert backends(*services, manifest("VirtualNode", "user", own + "backendGroups: [{name: '*'}]")) == ["a.shop", "b.shop", "c.shop"]
    assert backends(*services, group, manifest("VirtualNode", "user", "backendGroups: [{name: some}, {name: '*', namespace: shop}]")) == [
        "c.shop",
        "a.shop",
        "b.shop",
    ]


def test_a_groups_member_without_namespace_is_looked_for_in_the_nodes() -> None:
    other = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other, labels: {mesh: shop}}\n"
    group = manifest("BackendGroup", "some", "virtualservices: [{name: a}]", namespace="other")
    service = manifest("VirtualService", "a", "{}", namespace="other")
    user = manifest("VirtualNode", "user", "backendGroups: [{name: some, namespace: other}]")
    assert [line.split(": ", 1)[1] for line in told(HEAD, other, group, service, user)] == [
        "VirtualNode shop/user refers to VirtualService shop/a, which no document declares"
    ]


def test_a_missing_group_and_a_group_nobody_uses() -> None:
    assert told(HEAD, manifest("VirtualNode", "user", "backendGroups:\n  - name: gone")) == [
        "error missing-reference mesh.yaml:18 spec.backendGroups[0].name: VirtualNode shop/user refers to BackendGroup shop/gone, which no document declares"
    ]
    assert [line.split(" ")[:2] for line in told(HEAD, manifest("BackendGroup", "g", "virtualservices: [{name: gone}]"))] == [
        ["warning", "missing-reference"]
    ]


def test_a_live_document_may_carry_what_the_webhook_wrote() -> None:
    text = manifest("VirtualNode", "a", "meshRef: {name: shop, uid: one}")
    assert told(HEAD, text) == ["error read-only-field mesh.yaml:17 spec.meshRef: meshRef is read-only: the cluster writes it"]
    assert told(HEAD, text.replace("  name: a\n", "  name: a\n  uid: two\n")) == []
