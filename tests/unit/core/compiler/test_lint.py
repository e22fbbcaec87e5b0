"""The silent black holes, told with document and line."""

import pytest

from tests.support.manifest_texts import HEAD, manifest, node, told


def router(*targets: str, listeners: str = "{port: 8080, protocol: http}", kind: str = "httpRoute", match: str = "{prefix: /}") -> str:
    lines = [f"        - {target}" for target in targets]
    ports = ", ".join(f"{{portMapping: {listener}}}" for listener in listeners.split(";"))
    spec = [
        f"listeners: [{ports}]",
        "routes:",
        "  - name: all",
        f"    {kind}:",
        f"      match: {match}",
        "      action:",
        "       weightedTargets:",
        *lines,
    ]
    return manifest("VirtualRouter", "r", "\n".join(spec))


TO_A = "{virtualNodeRef: {name: a}, weight: 1}"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([node("a"), router(TO_A)], []),
        (
            [node("a"), router("{virtualNodeRef: {name: a}, weight: 1, port: 9090}")],
            [
                (
                    "error port-differs mesh.yaml:35 {0}.action.weightedTargets[0].port: the target's port is 9090, but shop/a listens on 8080: its requests are lost"  # noqa: E501
                )
            ],
        ),
        (
            [node("a"), node("b", port=9090), router(TO_A, "{virtualNodeRef: {name: b}, weight: 1}")],
            [
                (
                    "warning port-differs mesh.yaml:45 {0}.action.weightedTargets: the targets of one route listen on different ports (shop/a on 8080, shop/b on 9090)"  # noqa: E501
                )
            ],
        ),
        (
            [manifest("VirtualNode", "a", "serviceDiscovery: {dns: {hostname: a}}"), router(TO_A)],
            ["warning no-listener mesh.yaml:33 {0}.action.weightedTargets[0]: the target shop/a has no listener: nothing can reach it"],
        ),
        (
            [node("a"), router(TO_A, match="{prefix: /, port: 81}")],
            ["warning port-differs mesh.yaml:32 {0}.match.port: the route matches port 81, its router listens on 8080"],
        ),
        (
            [node("a"), router(TO_A, listeners="{port: 8080, protocol: http};{port: 81, protocol: http}")],
            ["warning api-refuses mesh.yaml:31 {0}: the router listens on 8080 and 81 and the route says no port: App Mesh refuses it"],
        ),
        (
            [node("a"), router(TO_A, listeners="{port: 8080, protocol: grpc}")],
            ["warning protocol-differs mesh.yaml:31 {0}: a route for http on a listener for grpc: App Mesh refuses it"],
        ),
    ],
)
def test_ports_and_protocols(texts: list[str], said: list[str]) -> None:
    assert told(HEAD, *texts) == [line.format("spec.routes[0].httpRoute") for line in said]


def mixed(*texts: str) -> list[str]:
    return [line.split(": ", 1)[1].split(" (")[0] for line in told(HEAD, *texts) if "mixed-traffic" in line]


def test_nodes_that_share_a_service_need_an_attribute_that_tells_them_apart() -> None:
    blue, red = "[{key: color, value: blue}]", "[{key: color, value: red}]"
    assert mixed(node("a", service="s", attributes=blue), node("b", service="s", attributes=red)) == []
    assert mixed(node("a", service="s"), node("b", service="t")) == []
    assert mixed(node("a", service="s"), node("b", service="s", attributes=red)) == ["VirtualNode shop/a also receives the instances of shop/b"]
    assert mixed(node("a", service="s", attributes=red), node("b", service="s", attributes=red)) == [
        "VirtualNode shop/a also receives the instances of shop/b",
        "VirtualNode shop/b also receives the instances of shop/a",
    ]


def test_pod_labels_tell_apart_too_for_they_are_attributes() -> None:
    assert mixed(node("a", service="s", attributes="[{key: app, value: a}]"), node("b", service="s", attributes="[{key: app, value: b}]")) == []
    assert mixed(node("a", service="s", attributes="[{key: app, value: b}]"), node("b", service="s", attributes="[{key: x, value: '1'}]")) == [
        "VirtualNode shop/a also receives the instances of shop/b"
    ]


def test_the_warning_names_both_places() -> None:
    (said,) = list(told(HEAD, node("a"), node("b", service="a", attributes="[{key: x, value: '1'}]")))
    assert said == (
        "warning mixed-traffic mesh.yaml:19 spec.serviceDiscovery.awsCloudMap: "
        "VirtualNode shop/a also receives the instances of shop/b (mesh.yaml:21): they share the Cloud Map service a"
    )


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("AWS_INSTANCE_PORT", "the attribute AWS_INSTANCE_PORT is AWS's own: App Mesh refuses it"),
        ("crossmesh/owner", "the attribute crossmesh/owner is overwritten at registration, so the node's filter finds no instance"),
        ("k8s.io/pod", "the attribute k8s.io/pod is overwritten at registration, so the node's filter finds no instance"),
    ],
)
def test_attributes_that_others_write(key: str, said: str) -> None:
    field = "spec.serviceDiscovery.awsCloudMap.attributes"
    assert told(HEAD, node("a", attributes=f"[{{key: {key}, value: x}}]")) == [f"error reserved-attribute mesh.yaml:19 {field}: {said}"]


def attributes(count: int, size: int = 1) -> str:
    return "[" + ", ".join(f"{{key: k{i:02}, value: {'v' * size}}}" for i in range(count)) + "]"


def test_the_attribute_budget() -> None:
    """12 are always written: address, port, initial health, pod, namespace, mesh, node, region, zone, and our three marks."""
    assert told(HEAD, node("a", attributes=attributes(17))) == []
    (said,) = told(HEAD, node("a", attributes=attributes(18)))
    assert said.startswith("warning attribute-budget mesh.yaml:19 ")
    assert "1 labels of the podSelector and 30 other attributes are more than 30" in said
    (said,) = told(HEAD, node("a", attributes=attributes(19)))
    assert said.startswith("error attribute-budget mesh.yaml:19 ")
    assert "an instance would carry 31 attributes" in said
    (said,) = told(HEAD, node("a", attributes=attributes(5, 1000)))
    assert "error attribute-budget" in said
    assert "5 attributes" not in said
    assert "17 attributes of 5,2" in said


def test_selectors_that_include_each_other() -> None:
    wide = manifest("VirtualNode", "wide", "podSelector: {matchLabels: {}}")
    (said,) = told(HEAD, wide, node("a"))
    assert said.startswith(
        "warning shared-pods mesh.yaml:17 spec.podSelector: the podSelector of shop/wide also takes every pod of shop/a (mesh.yaml:19)"
    )
    narrow = manifest("VirtualNode", "narrow", "podSelector: {matchLabels: {app: a, version: v1}}")
    assert [line.split(": ")[1] for line in told(HEAD, node("a"), narrow)] == [
        "the podSelector of shop/a also takes every pod of shop/narrow (mesh.yaml:21)"
    ]
    assert told(HEAD, node("a"), manifest("VirtualNode", "b", "podSelector: {matchLabels: {app: b}}")) == []


def test_a_node_that_selects_no_pods() -> None:
    spec = "serviceDiscovery: {awsCloudMap: {namespaceName: local, serviceName: s}}"
    assert [line.split(" ")[1] for line in told(HEAD, manifest("VirtualNode", "a", spec))] == ["no-pods"]


def test_a_backend_nobody_provides() -> None:
    user = manifest("VirtualNode", "user", "backends: [{virtualService: {virtualServiceRef: {name: s}}}]")
    assert told(HEAD, manifest("VirtualService", "s", "{}"), user) == [
        "warning no-provider mesh.yaml:16 spec: VirtualService shop/s is a backend, but has no provider: requests to it go nowhere"
    ]
    assert told(HEAD, manifest("VirtualService", "s", "{}")) == []


# --- gateway routes -----------------------------------------------------------------------------------------------------------------------

GATEWAY = manifest("VirtualGateway", "g", "namespaceSelector: {}\nlisteners: [{portMapping: {port: 80, protocol: http}}]\npodSelector: {}")
SERVICE = manifest("VirtualService", "s", "provider: {virtualRouter: {virtualRouterRef: {name: r}}}")


def gateway_route(match: str, rewrite: str = "", kind: str = "httpRoute") -> str:
    more = f", rewrite: {rewrite}" if rewrite else ""
    return manifest(
        "GatewayRoute", "gr", f"{kind}: {{match: {match}, action: {{target: {{virtualService: {{virtualServiceRef: {{name: s}}}}}}{more}}}}}"
    )


def through(match: str, rewrite: str, *behind: str, kind: str = "httpRoute") -> list[str]:
    """What is said of a gateway route, in front of a router whose routes match `behind`."""
    listener = {"httpRoute": "http", "http2Route": "http2"}[kind]
    routes = "\n".join(
        f"  - {{name: r{number}, {kind}: {{match: {one}, action: {{weightedTargets: [{TO_A}]}}}}}}" for number, one in enumerate(behind)
    )
    router_ = manifest("VirtualRouter", "r", f"listeners: [{{portMapping: {{port: 8080, protocol: {listener}}}}}]\nroutes:\n{routes}")
    found = told(HEAD, node("a", protocol=listener), GATEWAY, SERVICE, router_, gateway_route(match, rewrite, kind))
    return [line for line in found if "prefix-cut-off" in line or "no-route-for-path" in line]


@pytest.mark.parametrize("kind", ["httpRoute", "http2Route"])
@pytest.mark.parametrize(
    ("match", "behind"),
    [
        ("{prefix: /color}", ["{prefix: /color}"]),  # the reported case
        ("{prefix: /shop/}", ["{prefix: /shop/cart}", "{prefix: /shop/}"]),
        ("{prefix: /color}", ["{path: {exact: /color}}"]),
        ("{prefix: /color}", ["{path: {regex: '/color/[a-z]+'}}"]),
    ],
)
def test_a_prefix_that_is_cut_off_and_that_every_route_behind_expects(match: str, behind: list[str], kind: str) -> None:
    (said,) = through(match, "", *behind, kind=kind)
    assert said.startswith("warning prefix-cut-off")
    assert "off the path unless told otherwise" in said
    assert "VirtualRouter shop/r (mesh.yaml:" in said
    assert through(match, "{prefix: {defaultPrefix: ENABLED}}", *behind, kind=kind), "that is the default"
    assert through(match, "{prefix: {defaultPrefix: DISABLED}}", *behind, kind=kind) == [], "and so it is kept"


@pytest.mark.parametrize(
    ("match", "rewrite", "behind"),
    [
        ("{prefix: /color}", "{prefix: {value: /paint/}}", ["{prefix: /color}"]),
        ("{prefix: /color}", "{prefix: {defaultPrefix: DISABLED}}", ["{prefix: /paint}"]),
        ("{path: {exact: /one}}", "", ["{path: {exact: /two}}"]),
        ("{path: {exact: /one}}", "{path: {exact: /two}}", ["{path: {exact: /one}}", "{prefix: /three}"]),
        ("{path: {regex: '/o.e'}}", "{path: {exact: /two}}", ["{path: {exact: /one}}"]),
    ],
)
def test_paths_that_no_route_behind_takes(match: str, rewrite: str, behind: list[str]) -> None:
    (said,) = through(match, rewrite, *behind)
    assert said.startswith("warning no-route-for-path")


@pytest.mark.parametrize(
    ("match", "rewrite", "behind"),
    [
        ("{prefix: /color}", "", ["{prefix: /}"]),
        ("{prefix: /api/}", "", ["{prefix: /v1}"]),  # /api/v1 arrives as /v1
        ("{prefix: /color}", "", ["{prefix: /color}", "{prefix: /}"]),  # one takes what arrives
        ("{prefix: /}", "", ["{prefix: /color}"]),
        ("{prefix: /color}", "", ["{path: {regex: '/.*'}}"]),
        ("{path: {regex: '/o.e'}}", "", ["{path: {exact: /one}}"]),  # nobody can tell
        ("{path: {exact: /one}}", "", ["{prefix: /}"]),
        ("{prefix: /color}", "{prefix: {value: /paint/}}", ["{prefix: /paint}"]),
        ("{prefix: /color}", "{prefix: {value: /}}", ["{prefix: /x}"]),
    ],
)
def test_paths_that_some_route_may_take_are_not_spoken_of(match: str, rewrite: str, behind: list[str]) -> None:
    assert through(match, rewrite, *behind) == []
