"""`crossmesh render --target envoy`: from files alone, each proxy by its id; refusals with place and fix."""

import json
from pathlib import Path

import pytest
from crossmesh.cli import main

GOLDEN = Path(__file__).parents[2] / "golden" / "envoy"


def test_each_proxy_has_its_four_kinds_of_resources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--target", "envoy", "--json", str(GOLDEN / "routes.yaml")]) == 0
    found = json.loads(capsys.readouterr().out)
    recorded = json.loads((GOLDEN / "routes.json").read_text())["proxies"]
    assert {ident: {kind: proxy[kind] for kind in ("listeners", "routes", "clusters")} for ident, proxy in found.items()} == recorded
    front = found["mesh/shop/virtualNode/front_shop"]
    assert [one["cluster_name"] for one in front["endpoints"]] == ["cds_egress_shop_one_shop_http_8080", "cds_egress_shop_two_shop_http_8080"]
    assert not any("endpoints" in one for one in front["endpoints"])


def test_a_lost_condition_is_refused_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mesh.yaml"
    text = (GOLDEN / "routes.yaml").read_text().replace("[0-9]+", "(?=a)")
    file.write_text(text)
    assert main(["render", "--target", "envoy", str(file)]) != 0
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "(?=a)" in one)
    assert f"mesh.yaml:{line}" in capsys.readouterr().out


def test_encryption_that_cannot_be_had_is_waived_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["render", "--target", "envoy", str(GOLDEN.parent / "every-field.yaml")]
    assert main(asked) != 0
    assert "mesh.envoy.plaintext" in capsys.readouterr().out
    assert main([*asked, "--plaintext", "shop/cart", "--plaintext", "shop/front"]) == 0
    assert "left out, as `mesh.envoy.plaintext` allows" in capsys.readouterr().err


def test_the_settings_waive_and_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mesh.yaml").write_text((GOLDEN.parent / "every-field.yaml").read_text())
    (tmp_path / "crossmesh.yaml").write_text(
        "owner: t\nregion: us-east-1\nclusters: {one: {}}\nmesh:\n  manifests: {files: [mesh.yaml]}\n"
        "  envoy: {plaintext: [shop/cart, shop/front], tracing: {provider: otlp, endpoint: 'otel.svc:4317'}}\n"
    )
    assert main(["render", "--target", "envoy", "--config", str(tmp_path)]) == 0
    assert "crossmesh_tracing" in capsys.readouterr().out
