"""What is installed, for whom it is built and on what it stands is pinned: by version and hash, by digest, and never built from source."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from world.deploy import ROOT

SHIPPED = {
    "layers": [ROOT / "layers" / "packages" / "deps.txt"],
    "watcher": [ROOT / "watcher" / "requirements.txt"],
    "xds": [ROOT / "xds" / "requirements.txt"],
}
LOCKS = [*ROOT.glob("requirements/*.txt"), ROOT / "xds" / "descriptors.txt", *(file for files in SHIPPED.values() for file in files)]
INSTALLERS = (
    "Makefile",
    "watcher/Dockerfile",
    "xds/Dockerfile",
    "layers/packages/Makefile",
    "layers/packages/build.py",
    ".ci/run",
    "tools/lock.py",
)
INSTALL = re.compile(r"""pip["', ]+install\b""")
PINNED = re.compile(r"^ARG BASE=[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$", re.MULTILINE)


def pins(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", file.read_text(), re.MULTILINE))


def whole(text: str, begin: int) -> str:
    """The command that stands there: its line with those that it goes on in, or the Python statements up to the next blank line or call."""
    rest = text[begin:].replace("\\\n", " ")
    return re.split(r"\n(?!\s+command \+=)", rest, maxsplit=1)[0]


def faults(text: str) -> list[str]:
    """Installing commands that would take what no hash pins or what must be built first."""
    commands = [whole(text, found.start()) for found in INSTALL.finditer(text)]
    third = [command for command in commands if "-e ." not in command]  # the project itself, by the pinned build backend
    return [command for command in third if not ("--require-hashes" in command and re.search(r"--only-binary[ \"',]+:all:", command))]


@pytest.mark.parametrize("name", INSTALLERS)
def test_every_installation_takes_hashed_wheels_only(name: str) -> None:
    text = (ROOT / name).read_text()
    assert faults(text) == []
    assert "uv tool run" not in text
    assert "uvx" not in text


def test_the_installations_are_found_and_a_loose_one_is_a_fault() -> None:
    assert sum(len(INSTALL.findall((ROOT / name).read_text())) for name in INSTALLERS) == 7
    loose = (ROOT / "watcher" / "Dockerfile").read_text()
    for flag in ("--only-binary :all: ", "--require-hashes "):
        assert len(faults(loose.replace(flag, ""))) == 1
    script = (ROOT / "layers" / "packages" / "build.py").read_text()
    for flag in ('"--only-binary", ":all:"', '"--require-hashes", '):
        assert len(faults(script.replace(flag, ""))) == 1


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_pin_has_a_hash_and_no_registry_is_written_down(lock: Path) -> None:
    text = lock.read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(re.findall(r"^\S", text, re.MULTILINE)) >= 1
    assert [entry.split("\n")[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_what_ships_is_what_is_tested() -> None:
    everything = pins(ROOT / "requirements" / "dev.txt")
    for files in SHIPPED.values():
        for file in files:
            assert {name: version for name, version in pins(file).items() if everything.get(name) != version} == {}


@pytest.mark.parametrize("image", ["watcher", "xds"])
def test_an_images_base_is_a_digest_and_the_only_one(image: str) -> None:
    text = (ROOT / image / "Dockerfile").read_text()
    assert len(PINNED.findall(text)) == 1
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert PINNED.findall(text) == PINNED.findall((ROOT / "watcher" / "Dockerfile").read_text()), "one base for both"


def test_the_tools_of_the_audit_are_pinned_with_everything_else() -> None:
    assert {"pip-audit", "cyclonedx-bom"} <= set(pins(ROOT / "requirements" / "dev.txt"))
    recipe = (ROOT / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert "--require-hashes" in recipe
    assert all(str(file.relative_to(ROOT)) in recipe for files in SHIPPED.values() for file in files), recipe


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_bill_of_materials_names_every_package_that_ships_with_its_hashes(name: str, tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nsbom:")[2].partition("\n\n")[0]
    command = next(line.strip() for line in recipe.splitlines() if f"{name}.cdx.json" in line).removeprefix("@")
    made = tmp_path / "sbom.json"
    command = command.replace(f"build/sbom/{name}.cdx.json", str(made))
    subprocess.run(["/bin/sh", "-euc", command], cwd=ROOT, check=True, env={"PATH": f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin"})
    components = json.loads(made.read_text())["components"]
    wanted = {key: value for file in SHIPPED[name] for key, value in pins(file).items()}
    assert {one["name"]: one["version"] for one in components} == wanted
    assert all(reference["hashes"] for one in components for reference in one["externalReferences"])
