"""v1beta1 documents, as the original walkthrough is written, become what their v1beta2 counterparts are."""

from tests.support.manifest_texts import built, manifest, rendered, told

MESH = "apiVersion: appmesh.k8s.aws/v1beta1\nkind: Mesh\nmetadata: {name: demo}\nspec: {serviceDiscoveryType: dns}\n"


def node(name: str, *, more: str = "", attributes: str = "") -> str:
    spec = f"""\
meshName: demo
listeners: [{{portMapping: {{port: 8080, protocol: http}}}}]
serviceDiscovery: {{cloudMap: {{namespaceName: demo.local, serviceName: color{attributes}}}}}
{more}"""
    return manifest("VirtualNode", name, spec, version="v1beta1")


SERVICE = manifest(
    "VirtualService",
    "color.demo.local",
    """\
meshName: demo
virtualRouter: {name: color-router}
routes:
  - name: color-route
    http:
      match: {prefix: /}
      action:
        weightedTargets:
          - {virtualNodeName: red, weight: 1}
          - {virtualNodeName: blue.shop, weight: 2}
      retryPolicy: {perRetryTimeoutMillis: 250, maxRetries: 2, httpRetryEvents: [server-error]}""",
    version="v1beta1",
)


def test_the_whole_of_a_walkthrough() -> None:
    front = node("front", more="backends: [{virtualService: {virtualServiceName: color.demo.local}}]")
    red, blue = node("red", attributes=", attributes: {color: red, b: x}"), node("blue", attributes=", attributes: {color: blue}")
    made = {
        (r.operation, *[v for k, v in r.input.items() if k.endswith("Name")]): r.input["spec"]
        for r in rendered(MESH, front, red, blue, SERVICE)
    }
    assert made["CreateMesh", "demo"] == {}
    assert made["CreateVirtualNode", "demo", "front_shop"]["backends"] == [{"virtualService": {"virtualServiceName": "color.demo.local"}}]
    assert made["CreateVirtualNode", "demo", "red_shop"]["serviceDiscovery"]["awsCloudMap"]["attributes"] == [
        {"key": "b", "value": "x"},
        {"key": "color", "value": "red"},
    ]
    assert made["CreateVirtualService", "demo", "color.demo.local"] == {
        "provider": {"virtualRouter": {"virtualRouterName": "color-router_shop"}}
    }
    assert made["CreateVirtualRouter", "demo", "color-router_shop"] == {"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]}
    assert made["CreateRoute", "demo", "color-router_shop", "color-route"] == {
        "httpRoute": {
            "match": {"prefix": "/"},
            "action": {"weightedTargets": [{"virtualNode": "red_shop", "weight": 1}, {"virtualNode": "blue_shop", "weight": 2}]},
            "retryPolicy": {"perRetryTimeout": {"unit": "ms", "value": 250}, "maxRetries": 2, "httpRetryEvents": ["server-error"]},
        }
    }


def test_nodes_are_selected_by_annotation_or_deployment() -> None:
    (made,) = built(MESH, node("red"))[0].topology.nodes
    assert (made.legacy, made.selector, made.mesh, made.key) == (True, None, "demo", "shop/red")


def test_missing_attributes_give_the_mixing_warning() -> None:
    assert [line.split(" ")[:2] for line in told(MESH, node("red"), node("blue"), SERVICE)] == [["warning", "mixed-traffic"]] * 2


def test_certificates_are_spelled_anew() -> None:
    more = "backendDefaults: {clientPolicy: {tls: {validation: {trust: {acm: {certificateAuthorityArns: [one]}}}}}}"
    tls = "tls: {mode: STRICT, certificate: {acm: {certificateArn: two}}}"
    text = node("red", more=more).replace("protocol: http}}]", f"protocol: http}}, {tls}}}]")
    spec = rendered(MESH, text)[1].input["spec"]
    assert spec["backendDefaults"] == {"clientPolicy": {"tls": {"validation": {"trust": {"acm": {"certificateAuthorityArns": ["one"]}}}}}}
    assert spec["listeners"][0]["tls"] == {"mode": "STRICT", "certificate": {"acm": {"certificateArn": "two"}}}


def test_mistakes_have_their_line_in_the_old_spelling() -> None:
    assert told(MESH, node("red", more="backnds: []").replace("port: 8080", "port: 0")) == [
        "error out-of-range mesh.yaml:14 spec.listeners[0].portMapping.port: found the number 0, wanted a whole number from 1 to 65535",
        "warning unknown-field mesh.yaml:16 spec.backnds: backnds is no field here; clusters drop it silently",
    ]
    assert told(node("red")) == [
        "error unknown-mesh mesh.yaml:9 spec.meshName: VirtualNode shop/red names the mesh demo, which no document declares"
    ]
    service = SERVICE.replace("virtualNodeName: red", "virtualNodeName: gone")
    assert [line.split(": ")[0] for line in told(MESH, node("blue"), service) if line.startswith("error")] == [
        "error no-listener mesh.yaml:25 spec.virtualRouter",
        "error missing-reference mesh.yaml:32 spec.routes[0].httpRoute.action.weightedTargets[0]",
    ]


def test_a_backend_that_no_document_declares_is_sent_with_a_warning() -> None:
    front = node("front", more="backends: [{virtualService: {virtualServiceName: other.example}}]")
    assert [line.split(" ")[1] for line in told(MESH, front)] == ["unknown-backend"]
    assert rendered(MESH, front)[1].input["spec"]["backends"] == [{"virtualService": {"virtualServiceName": "other.example"}}]


def test_an_unnamed_router_has_the_services_name_without_dots() -> None:
    made = rendered(MESH, node("red"), SERVICE.replace("virtualRouter: {name: color-router}", "").replace("blue.shop", "red"))
    assert [r.input["virtualRouterName"] for r in made if r.operation == "CreateVirtualRouter"] == ["color-demo-local_shop"]
