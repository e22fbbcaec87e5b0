"""The mistakes that people make in their first configuration: each says where, what and how to fix it."""

from pathlib import Path

import pytest
from crossmesh.adapters import aws
from crossmesh.core.documents import Finding
from crossmesh.manifests import load
from crossmesh.manifests.config import LoadedConfig, load_config

from tests.support.manifest_texts import HEAD, built, manifest, node

TARGET = "action: {weightedTargets: [{virtualNodeRef: {name: a}, weight: 1}]}"
SETTINGS = """\
owner: prod
region: us-east-1
mesh: {manifests: {files: [mesh/*.yaml]}}
clusters: {one: {}, two: {}}
"""


def only(*texts: str) -> Finding:
    """The one finding about these documents."""
    (finding,) = built(HEAD, *texts)[1]
    return finding


def config(files: dict[str, str]) -> LoadedConfig:
    """A configuration folder held in memory."""

    def read_files(pattern: str) -> list[tuple[str, bytes]]:
        path = Path(pattern)
        return [(name, text.encode()) for name, text in sorted(files.items()) if Path(name).match(pattern) and Path(name).parent == path.parent]

    return load_config(Path("unused"), read_files)


# References and namespaces


@pytest.mark.parametrize(("name", "near"), [("order-v2", "orders-v2"), ("Orders-v2", "orders-v2"), ("orders-v22", "orders-v2")])
def test_a_reference_with_a_typo_suggests_the_name(name: str, near: str) -> None:
    target = f"provider: {{virtualNode: {{virtualNodeRef: {{name: {name}}}}}}}"
    findings = [f for f in built(HEAD, node("orders-v2"), manifest("VirtualService", "s", target))[1] if f.code == "missing-reference"]
    assert [f.fix for f in findings] == [f"did you mean {near}? in shop there are: orders-v2"]


def test_a_reference_like_nothing_suggests_nothing() -> None:
    target = "provider: {virtualNode: {virtualNodeRef: {name: zzz}}}"
    assert only(node("orders-v2"), manifest("VirtualService", "s", target)).fix == "in shop there are: orders-v2"


def test_a_misspelt_namespace_suggests_the_declared_one() -> None:
    finding = only(manifest("VirtualNode", "orders", "{}", namespace="shopp"))
    assert finding.message == "VirtualNode shopp/orders is in namespace shopp, which no Namespace document declares"
    assert finding.fix == "did you mean shop? otherwise add the Namespace shopp with the labels that its Mesh selects"


def test_a_namespace_without_the_label_of_its_mesh_is_told_which_label() -> None:
    (finding,) = built(HEAD.replace("labels: {mesh: shop}", "labels: {team: x}"), node("a"), node("b"))[1]
    assert finding.message == (
        "Namespace shop belongs to no mesh: Mesh shop selects the label mesh=shop, which is missing here (VirtualNode shop/a and 1 more affected)"
    )
    assert finding.fix == 'add "mesh: shop" to its labels'


def test_of_several_meshes_the_closest_is_suggested() -> None:
    far = manifest("Mesh", "far", "namespaceSelector: {matchLabels: {a: b, c: d}}").replace("  namespace: shop\n", "")
    (finding,) = built(HEAD.replace("labels: {mesh: shop}", "labels: {mesh: shopp}"), far, node("a"))[1]
    assert finding.fix == 'add "mesh: shop" to its labels'
    assert "Mesh far selects the label a=b, which is missing here and the label c=d, which is missing here" in finding.message


# API groups and versions


@pytest.mark.parametrize("group", ["appmesh.k8s.aws.com", "appmesh.k8s.aw", "appmesh.k8.aws", "AppMesh.k8s.aws"])
def test_a_group_that_only_means_app_meshs_is_an_error(group: str) -> None:
    text = manifest("GatewayRoute", "r", "{}").replace("appmesh.k8s.aws/", f"{group}/")
    loaded = load([("mesh.yaml", text.encode())])
    (finding,) = loaded.findings
    assert (finding.level, finding.code, finding.place.line) == ("error", "unknown-group", 2)
    assert finding.fix == "did you mean appmesh.k8s.aws/v1beta2?"
    assert loaded.documents == loaded.skipped == ()


def test_documents_of_other_groups_are_counted() -> None:
    others = "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n---\n" + HEAD
    loaded = load([("mesh.yaml", others.encode())])
    assert loaded.findings == ()
    assert loaded.skipped == ("Deployment (apps/v1)", "VirtualService (networking.istio.io/v1)")


@pytest.mark.parametrize(
    ("version", "spec", "found", "meant"),
    [
        ("v1beta1", "podSelector: {matchLabels: {app: a}}", "podSelector", "v1beta2"),
        ("v1beta1", "listeners: []\nserviceDiscovery: {awsCloudMap: {}}", "serviceDiscovery.awsCloudMap", "v1beta2"),
        ("v1beta1", "awsName: a\npodSelector: {}", "awsName, podSelector", "v1beta2"),
        ("v1beta2", "meshName: shop\nlisteners: []", "meshName", "v1beta1"),
    ],
)
def test_a_document_that_says_one_version_and_is_written_as_the_other(version: str, spec: str, found: str, meant: str) -> None:
    (finding,) = load([("mesh.yaml", manifest("VirtualNode", "a", spec, version=version).encode())]).findings
    here, there = f"appmesh.k8s.aws/{version}", f"appmesh.k8s.aws/{meant}"
    assert finding.message == f"this document says {here}, but is written as {there} ({found})"
    assert finding.fix == f"write apiVersion: {there}"


def test_a_kind_of_the_newer_version_only() -> None:
    (finding,) = load([("mesh.yaml", manifest("VirtualRouter", "r", "{}", version="v1beta1").encode())]).findings
    assert finding.fix == "VirtualRouter is a kind of appmesh.k8s.aws/v1beta2: write apiVersion: appmesh.k8s.aws/v1beta2"


def test_a_misspelt_kind_is_suggested() -> None:
    (finding,) = load([("mesh.yaml", manifest("VirtualNod", "r", "{}").encode())]).findings
    assert finding.fix.startswith("did you mean VirtualNode? ")


# Routes that no request reaches


def codes(*routes: str) -> list[tuple[str, str]]:
    """Code and place of each finding about a router of these routes."""
    spec = "listeners: [{portMapping: {port: 8080, protocol: http}}]\nroutes:\n" + "\n".join(f"  - {route}" for route in routes)
    return [(f.code, f.place.field) for f in built(HEAD, node("a"), manifest("VirtualRouter", "r", spec))[1]]


def http(name: str, match: str, priority: str = "") -> str:
    return f"{{name: {name}, {priority}httpRoute: {{match: {{{match}}}, {TARGET}}}}}"


HEADER = "headers: [{name: x, match: {exact: beta}}]"


@pytest.mark.parametrize(
    ("one", "two", "code"),
    [
        (http("a", "prefix: /"), http("b", "prefix: /"), "duplicate-match"),
        (http("a", "prefix: /, method: GET"), http("b", "prefix: /, method: GET"), "duplicate-match"),
        (http("a", "path: {exact: /x}", "priority: 3, "), http("b", "path: {exact: /x}", "priority: 3, "), "duplicate-match"),
        (http("a", "prefix: /", "priority: 1, "), http("b", f"prefix: /, {HEADER}", "priority: 2, "), "unreachable-route"),
        (http("a", "prefix: /", "priority: 1, "), http("b", "prefix: /x"), "unreachable-route"),
        (http("a", "prefix: /x", "priority: 1, "), http("b", "path: {exact: /xy}"), "unreachable-route"),
        (http("a", "prefix: /", "priority: 0, "), http("b", "path: {regex: /x.*}", "priority: 9, "), "unreachable-route"),
    ],
)
def test_a_route_behind_one_that_takes_everything(one: str, two: str, code: str) -> None:
    assert codes(one, two) == [(code, "spec.routes[1]")]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (http("a", "prefix: /"), http("b", "prefix: /x")),
        (http("a", f"prefix: /, {HEADER}", "priority: 1, "), http("b", "prefix: /", "priority: 2, ")),
        (http("a", "prefix: /x", "priority: 1, "), http("b", "prefix: /", "priority: 2, ")),
        (http("a", "prefix: /, method: GET", "priority: 1, "), http("b", "prefix: /", "priority: 2, ")),
        (http("a", "path: {exact: /x}", "priority: 1, "), http("b", "path: {exact: /y}", "priority: 2, ")),
        (http("a", "prefix: /x", "priority: 1, "), http("b", "path: {regex: /x.*}", "priority: 2, ")),
    ],
)
def test_routes_that_are_all_reached(one: str, two: str) -> None:
    assert codes(one, two) == []


def test_an_unreachable_route_names_the_other_and_the_fix() -> None:
    spec = "listeners: [{portMapping: {port: 8080, protocol: http}}]\nroutes:\n  - %s\n  - %s"
    routes = http("all", "prefix: /", "priority: 1, "), http("beta", "prefix: /b", "priority: 2, ")
    finding = only(node("a"), manifest("VirtualRouter", "r", spec % routes))
    assert finding.level == "warning"
    assert finding.message == "no request reaches the route beta: all (line 30) comes first and matches all of its requests"
    assert finding.fix == "give beta a lower priority number than all, or narrow the match of all"


# Settings and manifests together


def test_mistakes_of_settings_and_of_manifests_are_told_at_once() -> None:
    loaded = config(
        {
            "crossmesh.yaml": SETTINGS + "policy: {confirm_above: 150%}\n",
            "mesh/a.yaml": HEAD + node("a", attributes='[{key: AWS_X, value: "y"}]'),
        }
    )
    assert loaded.settings is None
    assert sorted(f.code for f in loaded.findings) == ["bad-percentage", "reserved-attribute"]


def test_a_file_that_only_its_ending_keeps_out() -> None:
    loaded = config({"crossmesh.yaml": SETTINGS, "mesh/a.yaml": HEAD, "mesh/orders.yml": node("orders")})
    (finding,) = loaded.findings
    assert (finding.level, finding.code, finding.place.line) == ("warning", "unread-file", 3)
    assert finding.message == "'mesh/*.yaml' does not match mesh/orders.yml: not read"
    assert (
        config(
            {
                "crossmesh.yaml": SETTINGS.replace("[mesh/*.yaml]", "[mesh/*.yaml, mesh/*.yml]"),
                "mesh/a.yaml": HEAD,
                "mesh/b.yml": "# none yet\n",
            }
        ).findings
        == ()
    )


CANARY = """\
canaries:
  front:
    url: http://front.example
    expect: {mix: {of: s, bodies: {blue: a}}}
"""


def test_a_target_without_a_body_is_told_before_the_canary_fails() -> None:
    route = "{name: x, httpRoute: {match: {prefix: /}, action: {weightedTargets: [%s]}}}"
    mesh = (
        HEAD
        + node("a")
        + node("green")
        + manifest(
            "VirtualRouter",
            "r",
            "listeners: [{portMapping: {port: 8080, protocol: http}}]\nroutes:\n  - "
            + route % "{virtualNodeRef: {name: a}, weight: 1}, {virtualNodeRef: {name: green}, weight: 1}",
        )
        + manifest("VirtualService", "s", "provider: {virtualRouter: {virtualRouterRef: {name: r}}}")
    )
    (finding,) = config({"crossmesh.yaml": SETTINGS + CANARY, "mesh/a.yaml": mesh}).findings
    assert (finding.level, finding.code, finding.place.field) == ("warning", "missing-body", "canaries.front.expect.mix.bodies")
    assert finding.message.startswith("mix.bodies names no body for shop/green")
    unused = mesh.replace("{name: green}, weight: 1}", "{name: green}, weight: 0}")
    assert config({"crossmesh.yaml": SETTINGS + CANARY, "mesh/a.yaml": unused}).findings == ()


def test_a_misspelt_cluster_is_suggested() -> None:
    canary = CANARY.replace("url: http://front.example", "service: {cluster: onne, namespace: shop, name: front, port: 80}").replace(
        "    expect: {mix: {of: s, bodies: {blue: a}}}\n", ""
    )
    findings = config({"crossmesh.yaml": SETTINGS + canary, "mesh/a.yaml": HEAD}).findings
    assert [f.fix for f in findings] == ["did you mean one? clusters are: one, two"]


# Regions

REGIONS = aws.regions()


def said(text: str) -> list[tuple[str, str, int, str, str]]:
    """What is said of Regions: code, level, line, field and fix."""
    found = load_config(
        Path("unused"),
        lambda name: [("crossmesh.yaml", text.encode())] if name == "crossmesh.yaml" else [("mesh/a.yaml", HEAD.encode())],
        regions=REGIONS,
    )
    return [(f.code, f.level, f.place.line, f.place.field, f.fix) for f in found.findings if "region" in f.code]


@pytest.mark.parametrize(
    ("region", "level", "fix"),
    [
        ("eu-centrall-1", "warning", "did you mean eu-central-1? ignore this if the Region is new"),  # the reported one
        ("us-eats-1", "warning", "did you mean us-east-1? ignore this if the Region is new"),
        ("ap-southeast-42", "warning", "did you mean ap-southeast-4? ignore this if the Region is new"),
        ("cn-nort-1", "warning", "did you mean cn-north-1? ignore this if the Region is new"),
        ("uss-east-1", "error", "did you mean us-east-1? aws ec2 describe-regions lists those of your account"),
        ("zz-qqqq-7", "error", "aws ec2 describe-regions lists those of your account"),
    ],
)
def test_a_region_that_is_not_known_is_told_with_the_one_that_was_meant(region: str, level: str, fix: str) -> None:
    assert said(SETTINGS.replace("us-east-1", region)) == [("unknown-region", level, 2, "region", fix)]
    in_cluster = SETTINGS.replace("one: {}", f"one: {{region: {region}}}")
    assert said(in_cluster) == [("unknown-region", level, 4, "clusters.one.region", fix)]


@pytest.mark.parametrize(
    "region", ["us-east-1", "eu-central-2", "cn-north-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1", "mx-central-1"]
)
def test_a_region_of_any_partition_is_no_mistake(region: str) -> None:
    assert said(SETTINGS.replace("us-east-1", region)) == []


def test_a_region_is_told_beside_every_other_mistake_and_functions_do_not_ask() -> None:
    text = SETTINGS.replace("us-east-1", "eu-centrall-1") + "policy: {confirm_above: 150%}\n"
    assert [code for code, *_ in said(text)] == ["unknown-region"]
    assert not [
        f
        for f in config({"crossmesh.yaml": SETTINGS.replace("us-east-1", "eu-centrall-1"), "mesh/a.yaml": HEAD}).findings
        if "region" in f.code
    ]


# The Service that a canary asks

SERVICE = "---\napiVersion: v1\nkind: Service\nmetadata: {name: front, namespace: shop}\n"


def asked(namespace: str, name: str, *texts: str, mix: bool = True) -> list[tuple[str, str, int, str]]:
    """What is said of a canary's Service: code, message, line and fix."""
    expect = "\n    expect: {mix: {of: s, bodies: {a: a}}}" if mix else ""
    canary = (
        f"canaries:\n  front:\n    service:\n      cluster: one\n      namespace: {namespace}\n      name: {name}\n      port: 80{expect}\n"
    )
    provided = node("a") + manifest("VirtualService", "s", "provider: {virtualNode: {virtualNodeRef: {name: a}}}")
    found = config({"crossmesh.yaml": SETTINGS + canary, "mesh/a.yaml": "".join((HEAD, provided, *texts))})
    assert found.settings is not None, found.findings
    return [(f.code, f.message, f.place.line, f.fix) for f in found.findings if f.place.field.startswith("canaries.front.service")]


def test_a_misspelt_namespace_of_a_canary_is_told_with_file_and_line() -> None:
    """The reported case: nothing was said."""
    message = "no document names the namespace 'shopp', in which canary front asks a Service"
    assert asked("shopp", "front") == [("unknown-namespace", message, 9, "did you mean shop? the documents name: shop")]


def test_the_front_of_a_mesh_stands_in_a_namespace_of_the_documents_and_any_other_where_it_likes() -> None:
    assert [(code, fix) for code, _, _, fix in asked("edge", "front")] == [("unknown-namespace", "the documents name: shop")]
    assert asked("edge", "front", mix=False) == []
    assert asked("edge", "front", "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: front, namespace: edge}\n") == []
    assert asked("shop", "front") == []


def test_a_front_service_that_no_file_has_is_told_where_files_have_services() -> None:
    message = "no file declares Service shop/frnot, which canary front asks"
    assert asked("shop", "frnot", SERVICE) == [("unknown-service", message, 10, "did you mean front? the files declare: front")]
    assert asked("shop", "front", SERVICE) == []
    assert asked("shop", "frnot", SERVICE.replace("namespace: shop", "namespace: edge")) == [], "they tell nothing of this namespace"


@pytest.mark.parametrize(
    "metadata", ["metadata: {}", "metadata: 7", "metadata: {name: [a]}", "metadata: {name: front, namespace: {a: b}}", "spec: {}"]
)
def test_a_service_document_that_is_no_service_breaks_nothing(metadata: str) -> None:
    assert asked("shop", "frnot", f"---\napiVersion: v1\nkind: Service\n{metadata}\n") == []


# What follows from another mistake


def fixes(text: str, *, mix: str = "v2: orders-v2") -> dict[str, str]:
    """The fix by code, for a route to orders-v2 and a canary that names it."""
    target = "action: {weightedTargets: [{virtualNodeRef: {name: orders-v1}, weight: 1}, {virtualNodeRef: {name: orders-v2}, weight: 1}]}"
    router = (
        f"listeners: [{{portMapping: {{port: 8080, protocol: http}}}}]\nroutes: [{{name: all, httpRoute: {{match: {{prefix: /}}, {target}}}}}]"
    )
    mesh = (
        HEAD
        + node("orders-v1", service="orders", attributes="[{key: v, value: '1'}]")
        + manifest("VirtualRouter", "r", router)
        + manifest("VirtualService", "s", "provider: {virtualRouter: {virtualRouterRef: {name: r}}}")
    )
    canary = f"canaries:\n  front: {{url: 'http://x', expect: {{mix: {{of: s, bodies: {{v1: orders-v1, {mix}}}}}}}}}\n"
    found = config({"crossmesh.yaml": SETTINGS + canary, "mesh/a.yaml": mesh, "mesh/b.yaml": text}).findings
    return {f.code: f.fix for f in found}


GOOD = node("orders-v2", service="orders", attributes="[{key: v, value: '2'}]")
NOT_READ = "correct what is wrong at mesh/b.yaml:{} first: that document is not read"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("spec:\n", "spec:\n\tx: y\n"), 0),
        (GOOD.replace("/v1beta2", "/v1beta3"), 2),
        (GOOD.replace("appmesh.k8s.aws/", "appmesh.k8s.aws.com/"), 2),
        (GOOD.replace("kind: VirtualNode", "kind: VirtualNodes"), 3),
    ],
    ids=["tab", "version", "group", "kind"],
)
def test_a_name_whose_document_has_a_mistake_is_told_of_that_mistake_and_of_no_other_name(text: str, line: int) -> None:
    """It said `did you mean orders-v1?`, beside the mistake that keeps orders-v2 out."""
    assert GOOD not in text
    found = fixes(text)
    for code in ("missing-reference", "unknown-node"):
        assert "did you mean" not in found[code]
        assert found[code].startswith("correct what is wrong at mesh/b.yaml:")
        if line:
            assert found[code] == NOT_READ.format(line)


def test_a_typo_beside_another_documents_mistake_still_gets_its_suggestion() -> None:
    broken = node("cart").replace("/v1beta2", "/v1beta3")
    assert fixes(GOOD + broken, mix="v2: orders-v22")["unknown-node"].startswith("did you mean shop/orders-v2?")
    assert "missing-reference" not in fixes(GOOD + broken)


def test_a_document_without_a_namespace_is_told_to_write_one() -> None:
    """The reported case: the fix was to add a Namespace `default`, which nobody wants."""
    found = fixes(GOOD + node("cart").replace("  namespace: shop\n", ""))
    assert found["missing-namespace"].startswith("write metadata.namespace: without it a document is in default (declared: shop)")


def test_a_file_that_was_emptied_is_told() -> None:
    loaded = config({"crossmesh.yaml": SETTINGS, "mesh/a.yaml": HEAD + node("orders"), "mesh/b.yaml": "\n"})
    assert [(f.level, f.code, f.place.file) for f in loaded.findings] == [("warning", "empty-file", "mesh/b.yaml")]
    assert not config({"crossmesh.yaml": SETTINGS, "mesh/a.yaml": HEAD + node("orders")}).findings


def test_a_name_whose_document_is_in_no_mesh_is_told_so() -> None:
    found = fixes(GOOD.replace("namespace: shop", "namespace: shopp", 1))
    assert found["missing-namespace"].startswith("did you mean shop?")
    assert found["unknown-node"] == "VirtualNode shopp/orders-v2 (mesh/b.yaml:2) belongs to no mesh: correct that first"
    assert found["missing-reference"] == "correct the namespace of shopp/orders-v2 first (mesh/b.yaml:2)", "not: write its namespace"


def test_where_a_services_router_is_missing_nothing_is_said_of_its_routes() -> None:
    provided = manifest("VirtualService", "s", "provider: {virtualRouter: {virtualRouterRef: {name: nope}}}")
    canary = "canaries:\n  front: {url: 'http://x', expect: {mix: {of: s, bodies: {a: a}}}}\n"
    found = config({"crossmesh.yaml": SETTINGS + canary, "mesh/a.yaml": HEAD + node("a") + provided}).findings
    assert [f.code for f in found] == ["missing-reference"]


def test_clusters_as_a_list_are_told_how_to_write_them_and_nothing_else_is() -> None:
    settings = SETTINGS.replace("{one: {}, two: {}}", "[one, two]")
    canary = "canaries:\n  front: {service: {cluster: one, namespace: shop, name: front, port: 80}}\n"
    found = config({"crossmesh.yaml": settings + canary, "mesh/a.yaml": HEAD}).findings
    assert [(f.code, f.fix) for f in found] == [("not-an-object", "write a name and a colon before each, such as `one: {}`")]
