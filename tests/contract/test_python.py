"""One Python version: the functions', the venv's by default, the watcher's image."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.template import written
from world.deploy import ROOT

DEPLOYED = (ROOT / "layers" / "packages" / "python-version").read_text().strip()


def fake_python(path: Path, version: str, *, works: bool = True) -> Path:
    """A command that answers as that Python would: 0 where it is the version asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\ncase "$2" in *"\'{version}\'"*) exit {0 if works else 127};; esac\nexit 1\n')
    path.chmod(0o755)
    return path


def found(bin_folder: Path, pyenv: Path) -> str:
    """What tools/find_python.sh prints on a machine with these folders."""
    bin_folder.mkdir(exist_ok=True)
    environment = {"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(pyenv.parent)}
    command = ["/bin/sh", str(ROOT / "tools" / "find_python.sh"), "3.99"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def test_template_and_watcher_use_the_version_that_the_layers_are_built_for() -> None:
    runtime = written()["Parameters"]["Runtime"]
    assert runtime["Default"] == f"python{DEPLOYED}"
    assert f"python{DEPLOYED}" in runtime["AllowedValues"]
    assert re.search(rf"^ARG BASE=python:{re.escape(DEPLOYED)}[.-]", (ROOT / "watcher" / "Dockerfile").read_text(), re.MULTILINE)


def test_every_allowed_runtime_is_one_that_the_locks_are_resolved_for() -> None:
    oldest = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest
    assert all(int(name.removeprefix("python3.")) >= int(oldest[1]) for name in written()["Parameters"]["Runtime"]["AllowedValues"])


def test_the_functions_python_is_taken_from_the_path(tmp_path: Path) -> None:
    fake_python(tmp_path / "bin" / "python3.99", "3.99")
    fake_python(tmp_path / ".pyenv" / "versions" / "3.99.1" / "bin" / "python3.99", "3.99")
    assert found(tmp_path / "bin", tmp_path / ".pyenv") == "python3.99"


@pytest.mark.parametrize("shim", ["absent", "of another version"])
def test_pyenvs_is_taken_where_the_path_has_none_that_works(tmp_path: Path, shim: str) -> None:
    if shim == "of another version":
        fake_python(tmp_path / "bin" / "python3.99", "3.99", works=False)
    own = fake_python(tmp_path / ".pyenv" / "versions" / "3.99.1" / "bin" / "python3.99", "3.99")
    assert found(tmp_path / "bin", tmp_path / ".pyenv") == str(own)


def test_python3_is_taken_where_the_machine_has_no_such_version(tmp_path: Path) -> None:
    assert found(tmp_path / "bin", tmp_path / ".pyenv") == "python3"


def test_setup_says_that_another_version_is_used() -> None:
    told = subprocess.run([sys.executable, str(ROOT / "tools" / "preflight.py")], check=True, capture_output=True, text=True).stderr
    other = f"{sys.version_info.major}.{sys.version_info.minor}" != DEPLOYED
    assert (f"on AWS the functions run on {DEPLOYED}" in told) == other
