"""`make kube`: built once whoever asks, found ever after, and clear words where it cannot be."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from world.clusters.real import binaries
from world.clusters.real.components import access_entries

GO = """#!/bin/sh
if [ "$1" = env ]; then echo {version}; exit 0; fi
echo "$@" >> "{log}"
sleep 0.3
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n' > "$2"; chmod +x "$2"; exit {code}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no Go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path / "crossmesh" / "kubeworld"


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str = "go1.26.8", code: int = 0) -> Path:
    """A Go that only pretends; the file that its builds are noted in."""
    script, calls = folder / "go", folder / "calls"
    script.write_text(GO.format(version=version, log=calls, code=code))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return calls


def test_built_once_by_callers_side_by_side(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pretend(tmp_path, monkeypatch)
    with ThreadPoolExecutor(3) as callers:
        service_names = set(callers.map(lambda _: binaries.build(), range(3)))
    assert len(service_names) == 1
    assert len(calls.read_text().splitlines()) == 2, "kubeworld and the authenticator, once each"
    monkeypatch.setenv("PATH", "/nowhere")
    assert {binaries.find()} == service_names, "found again without any Go"
    assert sorted(path.name for path in cache.iterdir()) == sorted({"lock", service_names.pop().kubeworld.parent.name})


def test_a_failed_build_leaves_nothing(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, code=1)
    with pytest.raises(binaries.BuildFailed, match="`go build` failed"):
        binaries.build()
    assert [path.name for path in cache.iterdir()] == ["lock"]
    assert binaries.find() is None


def test_an_old_go(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, version="go1.21.3")
    with pytest.raises(binaries.BuildFailed, match=r"this is go1\.21\.3\. Go 1\.26 or newer is needed"):
        binaries.build()


def test_no_go(cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert binaries.main() == 1
    assert "make kube: `go` is not on the PATH. Go 1.26 or newer is needed" in capsys.readouterr().err


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("0", False), ("", False)])
def test_required(monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool) -> None:
    monkeypatch.setenv(binaries.REQUIRED, value)
    assert binaries.required() is wanted


def test_access_entries_as_the_webhook_reads_them() -> None:
    found = access_entries({"arn:aws:iam::1:role/a": ["g"], "arn:aws:iam::1:user/b": []})
    assert found["mapRoles"] == [{"rolearn": "arn:aws:iam::1:role/a", "username": "arn:aws:iam::1:role/a", "groups": ["g"]}]
    assert found["mapUsers"] == [{"userarn": "arn:aws:iam::1:user/b", "username": "arn:aws:iam::1:user/b", "groups": []}]
