"""The silent black holes, told with document and line."""

import pytest

from tests.manifest_texts import HEAD, manifest, node, told


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
