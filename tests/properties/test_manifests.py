"""Whatever the order of files and documents, the topology is the same; whatever the input, nothing crashes and every finding has a place."""

import json
from typing import Any

from crossmesh import codec
from crossmesh.core.compiler.build import build
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.manifests import load
from crossmesh.manifests.crd import KINDS, VERSION
from crossmesh.manifests.legacy import KINDS as OLD_KINDS
from crossmesh.manifests.schema import Flag, Listing, Record, Rule, Table, Text
from crossmesh.manifests.settings.load import load_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.manifest_texts import HEAD, manifest, node

DOCUMENTS = [
    *HEAD.split("---\n"),
    *(node(name, service="all", attributes=f"[{{key: v, value: {name}}}]").removeprefix("---\n") for name in ("a", "b", "c")),
    manifest("VirtualService", "s", "provider: {virtualRouter: {virtualRouterRef: {name: r}}}").removeprefix("---\n"),
    manifest(
        "VirtualRouter",
        "r",
        "listeners: [{portMapping: {port: 8080, protocol: http}}]\n"
        "routes: [{name: x, httpRoute: {match: {prefix: /}, action: {weightedTargets: [{virtualNodeRef: {name: a}, weight: 1}]}}}]",
    ).removeprefix("---\n"),
    manifest("VirtualNode", "user", "backendGroups: [{name: '*'}]").removeprefix("---\n"),
]


@given(st.permutations(range(len(DOCUMENTS))), st.lists(st.integers(0, 3), min_size=len(DOCUMENTS), max_size=len(DOCUMENTS)))
def test_any_order_of_files_gives_the_same_bytes(order: list[int], twice: list[int]) -> None:
    """Each document in a file of its own, some of them in a second file too."""
    files = [(f"{number}.yaml", DOCUMENTS[number].encode()) for number in range(len(DOCUMENTS))]
    files += [(f"z{number}.yaml", DOCUMENTS[number].encode()) for number in order if twice[number] == 0]
    plain = build(load(files).documents)
    shuffled = build(load([files[number] for number in order] + files[len(DOCUMENTS) :]).documents)
    assert codec.encode(shuffled.topology) == codec.encode(plain.topology)
    assert shuffled.findings == plain.findings == ()


@given(st.permutations(DOCUMENTS))
def test_any_order_of_documents_means_the_same_requests(order: list[str]) -> None:
    made = [build(load([("mesh.yaml", "---\n".join(texts).encode())]).documents) for texts in (DOCUMENTS, order)]
    assert codec.encode(requests(made[0].topology)) == codec.encode(requests(made[1].topology))
    assert len(made[0].topology.nodes) == 4


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    _survives(data)


YAML_WORDS = st.sampled_from(
    [
        "a",
        "b:",
        "- ",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "&x ",
        "*x",
        "<<: ",
        "|",
        ">",
        "'",
        '"',
        "---\n",
        "...\n",
        "!",
        "!!int ",
        "? ",
        "#",
        "%",
        "\t",
        "y",
        "~",
    ]
)


@given(st.lists(YAML_WORDS, max_size=60).map("".join))
def test_no_yaml_crashes_the_reader(text: str) -> None:
    _survives(text.encode())
    _survives(f"apiVersion: {VERSION}\nkind: VirtualNode\nmetadata: {{name: a}}\nspec:\n  {text}".encode())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 70_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "/", "arn:"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "name", "match", "port", "virtualNode"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def _values(rule: Rule, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of roughly the right shape, so that mistakes get deep inside."""
    if isinstance(rule, Record):
        inner = {name: _values(field.rule, depth + 1) for name, field in rule.fields.items()}
        right: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=inner)
    elif isinstance(rule, Listing):
        right = st.lists(_values(rule.item, depth + 1), max_size=2)
    elif isinstance(rule, Table):
        right = st.dictionaries(st.sampled_from(["a", "b"]), _values(rule.item, depth + 1), max_size=2)
    elif isinstance(rule, Text):
        right = st.sampled_from(rule.choices or ("a", "b", "*", "/", "arn:aws:appmesh:r:1:mesh/m/virtualNode/a"))
    else:
        right = st.booleans() if isinstance(rule, Flag) else st.integers(0, 9_000)
    return st.one_of(right, right, right, right, right, right, right, right, right, JSON) if depth else right


def _documents(kinds: dict[str, Record], version: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(sorted(kinds)).flatmap(
        lambda kind: st.fixed_dictionaries(
            {
                "apiVersion": st.just(version),
                "kind": st.just(kind),
                "metadata": st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "s"]), "namespace": st.just("shop")}),
                "spec": _values(kinds[kind]),
            }
        )
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(_documents(KINDS, VERSION) | _documents(OLD_KINDS, "appmesh.k8s.aws/v1beta1"), max_size=6))
def test_no_document_crashes_the_builder(items: list[dict[str, Any]]) -> None:
    _survives((HEAD + "".join(f"---\n{json.dumps(item)}\n" for item in items)).encode())


def _survives(data: bytes) -> None:
    loaded = load([("mesh.yaml", data)])
    made = build(loaded.documents)
    codec.encode(requests(made.topology))
    lines = (
        data.count(b"\n") + data.count(b"\r") + data.count("\u2028".encode()) + data.count("\u2029".encode()) + data.count("\x85".encode()) + 1
    )
    for finding in (*loaded.findings, *made.findings, *load_settings("mesh.yaml", data).findings):
        assert finding.place.file == "mesh.yaml"
        assert 1 <= finding.place.line <= lines
        assert finding.message
