"""A configuration folder: files found, names resolved, one digest over all."""

from pathlib import Path

from crossmesh.manifests.config import LoadedConfig, load_config

from tests.support.manifest_texts import HEAD, manifest, node, say

SETTINGS = """\
owner: prod
region: us-east-1
mesh: {manifests: {files: [mesh/*.yaml]}}
clusters:
  one: {nodes: [cart]}
  two: {nodes: [shop/stock]}
"""
MESH = HEAD + node("cart") + node("stock")


def config(settings: str = SETTINGS, **files: str) -> LoadedConfig:
    """A folder in memory; `a` stands for mesh/a.yaml."""
    held = {"crossmesh.yaml": settings, **{f"mesh/{name}.yaml": text for name, text in (files or {"a": MESH}).items()}}

    def read_files(pattern: str) -> list[tuple[str, bytes]]:
        return [(name, text.encode()) for name, text in held.items() if Path(name).match(pattern)]

    return load_config(Path("unused"), read_files)


def told(loaded: LoadedConfig) -> list[str]:
    return [say(f) for f in loaded.findings]


def test_bare_names_become_whole_ones() -> None:
    loaded = config()
    assert loaded.findings == ()
    assert loaded.settings is not None
    assert [cluster.nodes for cluster in loaded.settings.clusters] == [("shop/cart",), ("shop/stock",)]
    assert [n.key for n in loaded.topology.nodes] == ["shop/cart", "shop/stock"]
    assert len(loaded.documents) == 4


def test_names_that_mean_nothing_or_too_much() -> None:
    other = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other, labels: {mesh: shop}}\n" + node("cart", service="another").replace(
        "namespace: shop", "namespace: other"
    )
    loaded = config(SETTINGS.replace("shop/stock", "shop/gone"), a=MESH, b=other)
    assert told(loaded) == [
        "error ambiguous-name crossmesh.yaml:5 clusters.one.nodes[0]: 'cart' means several virtual nodes: other/cart, shop/cart",
        "error unknown-node crossmesh.yaml:6 clusters.two.nodes[0]: no manifest declares the virtual node 'shop/gone'",
    ]


def test_a_node_whose_pods_count_nowhere() -> None:
    assert told(config(SETTINGS.replace("[shop/stock]", "[]"))) == [
        "warning uncounted-node crossmesh.yaml:4 clusters: the pods of virtual node shop/stock count in no cluster"
    ]
    assert told(config(SETTINGS.replace("{nodes: [shop/stock]}", "{}"))) == []


def test_a_canarys_mix() -> None:
    service = manifest("VirtualService", "all", "provider: {virtualRouter: {virtualRouterRef: {name: r}}}")
    targets = "{name: x, httpRoute: {match: {prefix: /}, action: {weightedTargets: [{virtualNodeRef: {name: cart}, weight: 1}]}}}"
    router = manifest("VirtualRouter", "r", f"listeners: [{{portMapping: {{port: 8080, protocol: http}}}}]\nroutes: [{targets}]")
    canary = SETTINGS + "canaries:\n  web:\n    url: http://x\n    expect: {mix: {of: all, bodies: {c: cart, s: stock, g: gone}}}\n"
    loaded = config(canary, a=MESH + service + router)
    assert told(loaded) == [
        "error unknown-node crossmesh.yaml:10 canaries.web.expect.mix.bodies.g: no manifest declares the virtual node 'gone'",
        "warning unrouted-node crossmesh.yaml:10 canaries.web.expect.mix.bodies.s: no route of virtual service shop/all leads to shop/stock",
    ]
    assert loaded.settings is not None
    assert loaded.settings.canaries[0].expect.mix is not None
    assert loaded.settings.canaries[0].expect.mix.of == "shop/all"
    assert told(config(canary.replace("of: all", "of: none"), a=MESH))[1] == (
        "error unknown-service crossmesh.yaml:10 canaries.web.expect.mix.of: no manifest declares the virtual service 'none'"
    )


def test_mistakes_of_settings_and_manifests_come_together() -> None:
    assert told(config("owner: 5\n")) == [
        "error missing-field crossmesh.yaml:1: clusters is missing",
        "error missing-field crossmesh.yaml:1: mesh is missing",
        "error missing-field crossmesh.yaml:1: region is missing",
        "error not-text crossmesh.yaml:1 owner: found the number 5, wanted 1 to 63 letters, digits, _ . -, beginning with a letter or digit",
    ]
    assert [line.split(" ")[1:3] for line in told(config(SETTINGS, a=MESH.replace("port: 8080", "port: 0", 1)))] == [
        ["out-of-range", "mesh/a.yaml:18"]
    ]
    assert told(config(SETTINGS.replace("[mesh/", "[mesch/")))[0] == (
        "error no-manifests crossmesh.yaml:3 mesh.manifests.files[0]: no file fits 'mesch/*.yaml'"
    )


def test_the_digest_is_of_names_and_contents_only() -> None:
    both = config(SETTINGS, a=HEAD + node("cart"), b=node("stock"))
    assert both.sha256 == config(SETTINGS, b=node("stock"), a=HEAD + node("cart")).sha256
    others = [
        config(),
        config(SETTINGS, b=HEAD + node("cart"), a=node("stock")),
        config(SETTINGS + "# x\n"),
        config(SETTINGS, a=MESH + "# x\n"),
    ]
    assert len({both.sha256, *(other.sha256 for other in others)}) == 5


def test_a_folder_on_disk(tmp_path: Path) -> None:
    assert told(load_config(tmp_path)) == ["error no-settings crossmesh.yaml:1: there is no crossmesh.yaml"]
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "a.yaml").write_text(MESH)
    (tmp_path / "mesh" / "b.txt").write_text("not: [read")
    (tmp_path / "crossmesh.yaml").write_text(SETTINGS)
    loaded = load_config(tmp_path)
    assert loaded.findings == ()
    assert loaded.sha256 == config().sha256


def test_live_manifests_leave_names_for_later() -> None:
    loaded = config(SETTINGS.replace("files: [mesh/*.yaml]", "clusters: [one]"))
    assert loaded.findings == ()
    assert loaded.documents == ()


def test_a_namespace_of_the_settings_that_no_node_names() -> None:
    given = SETTINGS.replace("mesh: {", "mesh: {namespaces: {gone.local: ns-1, shop.local: ns-2}, ")
    assert given != SETTINGS
    (line,) = told(config(given))
    assert line.startswith(
        "warning unused-namespace crossmesh.yaml:3 mesh.namespaces.gone.local: no virtual node names the Cloud Map namespace"
    )
