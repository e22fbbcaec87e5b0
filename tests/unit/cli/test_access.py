"""`crossmesh access`: Kubernetes objects that kubectl takes, from the settings; refused where they would not hold."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from crossmesh.cli import main
from crossmesh.core.diagnosis.cluster_access import rights
from crossmesh.manifests.config import load_config

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path / "config"


def test_the_printed_text_is_the_rights_as_yaml_or_as_one_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config(folder)
    assert config.settings is not None
    for cluster in config.settings.clusters:
        assert main(["access", cluster.name, "--config", str(folder)]) == 0
        out = capsys.readouterr().out
        assert list(yaml.safe_load_all(out)) == list(rights(config.settings, config.topology, cluster))
        assert "&id" not in out, "kubectl's YAML has anchors, people do not want them"
        assert main(["access", cluster.name, "--config", str(folder), "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert (listed["kind"], len(listed["items"])) == ("List", len(rights(config.settings, config.topology, cluster)))


def test_only_the_front_in_its_own_cluster_is_read(folder: Path) -> None:
    config = load_config(folder)
    assert config.settings is not None
    services = {c.name: "services" in str(rights(config.settings, config.topology, c)) for c in config.settings.clusters}
    assert services == {"eksc1": True, "eksc2": False}


def test_an_unknown_cluster_is_refused_with_the_known_ones(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["access", "eksc9", "--config", str(folder)]) == 2
    assert "only eksc1, eksc2" in capsys.readouterr().err


def test_where_documents_are_read_live_no_namespace_is_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tenant's document in a namespace without a Role would leave the whole cluster unseen."""
    file = folder / "crossmesh.yaml"
    text = file.read_text()
    assert "manifests: {files: [mesh/*.yaml]}" in text
    file.write_text(text.replace("manifests: {files: [mesh/*.yaml]}", "manifests: {clusters: [eksc2]}"))
    assert main(["access", "eksc2", "--config", str(folder)]) == 1
    assert "manifests-reader.yaml" in capsys.readouterr().err
