"""crossmesh.yaml: every mistake with its line, at once; and the published JSON Schema says the same."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from crossmesh.core.settings import CanarySettings, ClusterSettings, Expect, ManifestSource, MeshSettings, Mix, Policy, ServiceTarget, Settings
from crossmesh.manifests.settings.json_schema import settings_schema
from crossmesh.manifests.settings.load import load_settings
from crossmesh.manifests.yaml_documents import read

from tests.support.manifest_texts import say

SMALL = """\
owner: prod
region: us-east-1
mesh: {manifests: {files: [mesh/*.yaml]}}
clusters: {one: {}}
"""


def told(text: str) -> list[str]:
    return [say(f) for f in load_settings("crossmesh.yaml", text.encode()).findings]


def settings(text: str) -> Settings:
    loaded = load_settings("crossmesh.yaml", text.encode())
    assert loaded.findings == ()
    assert loaded.settings is not None
    return loaded.settings


def test_the_smallest_settings_have_the_designs_defaults() -> None:
    assert settings(SMALL) == Settings(
        owner="prod",
        region="us-east-1",
        mesh=MeshSettings(manifests=ManifestSource(files=("mesh/*.yaml",)), backend="appmesh", adopt=False),
        clusters=(ClusterSettings(name="one", eks="one", region="us-east-1"),),
        policy=Policy(removals="sync", confirm_above=0.15, confirm_after=20.0),
        security_groups="check",
    )


def test_everything_that_can_be_said() -> None:
    text = """\
owner: prod
region: us-east-1
mesh: {manifests: {clusters: [two]}, backend: none, adopt: yes}
clusters:
  two:
    eks: real-two
    region: eu-west-1
    roleArn: arn:aws:iam::123456789012:role/crossmesh
    externalId: secret
    controller: injector-only
    nodes: [shop/cart, stock]
  one:
canaries:
  web:
    url: https://shop.example.com:8443
    path: /color?x=1
    requests: 10
    timeout_ms: 100
    expect: {status: 204, latency_p95_ms: 99.5, body: ok, headers: {x-b: b, x-a: a}, mix: {of: shop/color, bodies: {red: red, blue: shop/blue}}}
  front:
    service: {cluster: one, namespace: shop, name: front, port: 80}
policy: {removals: upsert-only, confirm_above: 0.5, confirm_after: 1m30s}
security_groups: open
"""
    found = settings(text)
    assert found.mesh == MeshSettings(manifests=ManifestSource(clusters=("two",)), backend="none", adopt=True)
    assert [cluster.name for cluster in found.clusters] == ["one", "two"]
    assert found.clusters[1] == ClusterSettings(
        name="two",
        eks="real-two",
        region="eu-west-1",
        role_arn="arn:aws:iam::123456789012:role/crossmesh",
        external_id="secret",
        controller="injector-only",
        nodes=("shop/cart", "stock"),
    )
    assert found.canaries == (
        CanarySettings(name="front", service=ServiceTarget(cluster="one", namespace="shop", name="front", port=80)),
        CanarySettings(
            name="web",
            url="https://shop.example.com:8443",
            path="/color?x=1",
            requests=10,
            timeout_ms=100,
            expect=Expect(
                status=204,
                latency_p95_ms=99.5,
                body="ok",
                headers=(("x-a", "a"), ("x-b", "b")),
                mix=Mix(of="shop/color", bodies=(("blue", "shop/blue"), ("red", "red"))),
            ),
        ),
    )
    assert found.policy == Policy(removals="upsert-only", confirm_above=0.5, confirm_after=90.0)
    assert found.security_groups == "open"


def test_all_mistakes_come_at_once() -> None:
    text = """\
owner: -prod
regoin: us-east-1
mesh:
  manifests: {}
clusters:
  one: {nodes: shop/cart}
canaries:
  web:
    service: {cluster: eksc3, namespace: shop, name: front, port: http}
    path: color
policy: {confirm_above: 15, confirm_after: soon}
"""
    assert told(text) == [
        "error missing-field crossmesh.yaml:1: region is missing",
        "error not-allowed crossmesh.yaml:1 owner: found '-prod', wanted 1 to 63 letters, digits, _ . -, beginning with a letter or digit",
        "error unknown-field crossmesh.yaml:2 regoin: regoin is no field here",
        "error one-of crossmesh.yaml:4 mesh.manifests: found none, wanted exactly one of files, clusters",
        "error not-a-list crossmesh.yaml:6 clusters.one.nodes: found 'shop/cart', wanted a list",
        "error unknown-cluster crossmesh.yaml:9 canaries.web.service.cluster: 'eksc3' is no cluster here",
        "error not-a-number crossmesh.yaml:9 canaries.web.service.port: found 'http', wanted a whole number from 1 to 65535",
        "error not-allowed crossmesh.yaml:10 canaries.web.path: found 'color', wanted a path that begins with /",
        "error bad-percentage crossmesh.yaml:11 policy.confirm_above: found the number 15, wanted a share such as 15% or 0.15, from 0% to 100%",
        "error bad-duration crossmesh.yaml:11 policy.confirm_after: found 'soon', wanted a duration such as 20s, 1m or 500ms, at most 86400 s",
    ]


@pytest.mark.parametrize(
    ("written", "share"),
    [("15%", 0.15), ("'15 %'", 0.15), ("0.15", 0.15), ("7.5%", 0.075), ("0", 0.0), ("1", 1.0), ("0%", 0.0), ("100%", 1.0)],
)
def test_percentages(written: str, share: float) -> None:
    assert settings(f"{SMALL}policy: {{confirm_above: {written}}}\n").policy.confirm_above == share


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ("15", "write 15%"),
        ("'15'", "write 15%"),
        ("101%", ""),
        ("-1%", ""),
        ("1.5", "write 1.5%"),
        ("yes", ""),
        ("a few", ""),
        ("[1]", ""),
        ("-0.1", ""),
    ],
)
def test_bad_percentages(written: str, fix: str) -> None:
    (finding,) = load_settings("c.yaml", f"{SMALL}policy: {{confirm_above: {written}}}\n".encode()).findings
    assert (finding.code, finding.place.line, finding.fix) == ("bad-percentage", 5, fix)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("20s", 20.0), ("1m", 60.0), ("20", 20.0), ("500ms", 0.5), ("1h", 3600.0), ("1m30s", 90.0), ("0", 0.0), ("2.5", 2.5)],
)
def test_durations(written: str, seconds: float) -> None:
    assert settings(f"{SMALL}policy: {{confirm_after: {written}}}\n").policy.confirm_after == seconds


@pytest.mark.parametrize("written", ["-1", "25h", "1d", "s", "'20'", "true", "{}", "1 m"])
def test_bad_durations(written: str) -> None:
    assert [line.split(" ")[1] for line in told(f"{SMALL}policy: {{confirm_after: {written}}}\n")] == ["bad-duration"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("owner: prod", "owner: no", "owner: found the boolean false (YAML reads an unquoted no as one), wanted 1 to 63 letters"),
        ("owner: prod", f"owner: {'a' * 64}", "owner: found 'aaaa"),
        ("owner: prod", "owner: 5", "owner: found the number 5, wanted 1 to 63 letters"),
        ("us-east-1", "us_east_1", "region: found 'us_east_1', wanted an AWS region such as us-east-1"),
        ("{one: {}}", "{}", "clusters: found 0 entries, wanted 1 or more"),
        ("{one: {}}", "{'a b': {}}", "clusters.a b: found 'a b', wanted a cluster's name"),
        (
            "{one: {}}",
            "{one: {controller: yes}}",
            "clusters.one.controller: found the boolean true (YAML reads an unquoted yes as one), wanted one of injector-only, none",
        ),
        ("{one: {}}", "{one: {roleArn: role}}", "clusters.one.roleArn: found 'role', wanted a role's ARN"),
        ("{one: {}}", "{one: {nodes: [a, a]}}", "clusters.one.nodes[1]: 'a' stands in the list twice"),
        ("files: [mesh/*.yaml]", "files: [../x.yaml]", "mesh.manifests.files[0]: found '../x.yaml', wanted a pattern inside the folder"),
        ("files: [mesh/*.yaml]", "files: [/x.yaml]", "mesh.manifests.files[0]: found '/x.yaml', wanted a pattern inside the folder"),
        (
            "files: [mesh/*.yaml]",
            "files: [x], clusters: [one]",
            "mesh.manifests: found files and clusters, wanted exactly one of files, clusters",
        ),
        ("files: [mesh/*.yaml]", "clusters: [two]", "mesh.manifests.clusters[0]: 'two' is no cluster here"),
        ("{manifests:", "{backend: lattice, manifests:", "mesh.backend: found 'lattice', wanted one of appmesh, envoy, none"),
        ("clusters:", "canaries: {web: {}}\nclusters:", "canaries.web: found none, wanted exactly one of service, url"),
        ("clusters:", "canaries: {web: {url: 'ftp://x'}}\nclusters:", "canaries.web.url: found 'ftp://x', wanted http(s)://HOST"),
        (
            "clusters:",
            "canaries: {web: {url: 'http://x', requests: 0}}\nclusters:",
            "canaries.web.requests: found the number 0, wanted a whole number from 1 to 1000",
        ),
        (
            "clusters:",
            "canaries: {web: {url: 'http://x', expect: {mix: {of: s, bodies: {}}}}}\nclusters:",
            "canaries.web.expect.mix.bodies: found 0 entries",
        ),
    ],
)
def test_one_mistake(old: str, new: str, said: str) -> None:
    (line,) = told(SMALL.replace(old, new))
    assert said in line
    assert line.startswith("error ")


def test_files_that_are_no_settings() -> None:
    assert told("") == ["error not-settings crossmesh.yaml:1: the file is empty"]
    assert told("a: 1\n---\nb: 2\n") == ["error not-settings crossmesh.yaml:1: found 2 documents, wanted one"]
    assert told("- a\n") == ["error not-an-object crossmesh.yaml:1: found a list, wanted an object"]
    assert told("a: [\n")[0].startswith("error not-yaml crossmesh.yaml:1: ")
    assert told(f"{SMALL}owner: two\n") == ["error duplicate-key crossmesh.yaml:5 owner: owner stands here twice (first on line 1)"]


SCHEMA = settings_schema()


@pytest.mark.parametrize("text", [SMALL, (Path(__file__).parents[4] / "config" / "crossmesh.yaml").read_text()])
def test_the_schema_takes_good_settings(text: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert valid(text)


def valid(text: str) -> bool:
    (tree,) = read("crossmesh.yaml", text.encode())[0]
    value: Any = tree.value
    return not list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(value))


@pytest.mark.parametrize(
    "text",
    [
        SMALL.replace("owner: prod", "owner: -prod"),
        SMALL.replace("{one: {}}", "{}"),
        SMALL.replace("{one: {}}", "{one: {foo: 1}}"),
        SMALL.replace("{files: [mesh/*.yaml]}", "{}"),
        SMALL.replace("{files: [mesh/*.yaml]}", "{files: [a], clusters: [one]}"),
        SMALL + "policy: {confirm_above: 15}\n",
        SMALL + "policy: {confirm_above: 101%}\n",
        SMALL + "policy: {confirm_after: soon}\n",
        SMALL + "canaries: {web: {}}\n",
        SMALL + "security_groups: yes\n",
        SMALL + "more: 1\n",
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(text: str) -> None:
    assert load_settings("crossmesh.yaml", text.encode()).settings is None
    assert not valid(text)


def load_text(text: str) -> Any:
    return load_settings("crossmesh.yaml", text.encode())


def test_services_and_names_by_namespace_and_ports_that_may_be_opened() -> None:
    found = load_text(
        "owner: me\nregion: us-east-1\nclusters: {one: {}}\nopen_ports: [8443, 443]\n"
        "mesh: {manifests: {clusters: [one], services: {payments: [pay.prod.local]}, names: {shop: [front, cart]}}}\n"
    )
    assert found.settings is not None, found.findings
    assert found.settings.mesh.manifests.services == (("payments", ("pay.prod.local",)),)
    assert found.settings.mesh.manifests.names == (("shop", ("front", "cart")),)
    assert found.settings.open_ports == (443, 8443)


@pytest.mark.parametrize(
    "line", ["services: {Payments: [a.b]}", "services: {p: []}", "services: [a.b]", "names: {p: [a, a]}", "services: {p: a.b}"]
)
def test_what_is_no_table_of_names_by_namespace_is_an_error(line: str) -> None:
    found = load_text(f"owner: me\nregion: us-east-1\nclusters: {{one: {{}}}}\nmesh: {{manifests: {{clusters: [one], {line}}}}}\n")
    assert found.settings is None
    assert all(finding.place.field.startswith("mesh.manifests.") for finding in found.findings)


def test_more_clusters_than_a_report_can_name_are_an_error() -> None:
    many = "\n".join(f"  c{number}: {{}}" for number in range(301))
    found = load_text(f"owner: me\nregion: us-east-1\nmesh: {{manifests: {{clusters: [c1]}}}}\nclusters:\n{many}\n")
    assert [finding.message for finding in found.findings] == ["found 301 entries, wanted at most 300"]


@pytest.mark.parametrize(
    ("canary", "refused"),
    [
        ("service: {cluster: one, namespace: shop, name: front, port: 443}", True),  # the reported case: asked by the load balancer's own name
        ("url: https://front-17.us-east-1.elb.amazonaws.com", True),
        ("url: https://front-17.elb.eu-west-1.amazonaws.com", True),
        ("url: https://front-17.cn-north-1.elb.amazonaws.com.cn", True),
        ("url: http://front-17.us-east-1.elb.amazonaws.com", False),
        ("url: https://shop.example.com", False),
        ("url: https://elb.example.com", False),
        ("service: {cluster: one, namespace: shop, name: front, port: 80}", False),
    ],
)
def test_a_canary_that_tls_must_refuse_is_warned_of(canary: str, refused: bool) -> None:
    text = f"owner: o\nregion: us-east-1\nmesh: {{manifests: {{files: [a.yaml]}}}}\nclusters: {{one: {{}}}}\ncanaries:\n  c:\n    {canary}\n"
    found = load_settings("crossmesh.yaml", text.encode())
    assert [(f.level, f.code, f.place.line) for f in found.findings] == ([("warning", "tls-refuses", 7)] if refused else [])
    assert found.settings is not None


SHARED = "arn:aws:servicediscovery:eu-west-1:444455556666:namespace/ns-abc"


def test_namespaces_by_id_or_arn_and_networks_of_pods() -> None:
    found = settings(
        SMALL.replace("*.yaml]}", f"*.yaml]}}, namespaces: {{prod.local: ns-abc, other.local: '{SHARED}'}}").replace(
            "one: {}", "one: {pod_cidrs: [10.1.0.0/16, 'fd12::/64']}"
        )
    )
    assert found.mesh.namespaces == (("other.local", SHARED), ("prod.local", "ns-abc"))
    assert found.clusters[0].pod_cidrs == ("10.1.0.0/16", "fd12::/64")


@pytest.mark.parametrize("reference", ["prod", "ns-", "arn:aws:servicediscovery:eu-west-1:444455556666:service/srv-abc", "'1'"])
def test_a_namespace_that_is_neither_an_id_nor_an_arn_is_an_error_at_its_line(reference: str) -> None:
    (line,) = told(SMALL.replace("*.yaml]}}", f"*.yaml]}}\n  , namespaces: {{prod: {reference}}}}}"))
    assert line.startswith("error ")
    assert " crossmesh.yaml:4 mesh.namespaces.prod: " in line


@pytest.mark.parametrize("cidr", ["10.1.0.0", "10.1.0.0/33", "10.1.0.5/16", "10.1.0.256/24", "x/8"])
def test_a_network_that_is_none_is_an_error_at_its_line(cidr: str) -> None:
    (line,) = told(SMALL.replace("one: {}", f"one: {{pod_cidrs: ['{cidr}']}}"))
    assert line.startswith("error ")
    assert " crossmesh.yaml:4 clusters.one.pod_cidrs[0]: " in line


def test_an_external_id_without_a_role_has_no_effect_and_that_is_told() -> None:
    """The reported case: it was accepted in silence, and the other account's role went unnamed."""
    text = "owner: x\nregion: us-east-1\nmesh: {manifests: {files: [mesh/*.yaml]}}\nclusters: {a: {externalId: secret}, b: {}}\n"
    (found,) = load_settings("crossmesh.yaml", text.encode()).findings
    assert (found.level, found.code, found.place.field) == ("warning", "no-role", "clusters.a.externalId")
    role = "roleArn: 'arn:aws:iam::111122223333:role/reader'"
    assert not load_settings("crossmesh.yaml", text.replace("externalId: secret", f"externalId: secret, {role}").encode()).findings
    assert not load_settings("crossmesh.yaml", text.replace("externalId: secret", role).encode()).findings
