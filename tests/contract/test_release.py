"""One version everywhere, and a changelog that is made from well-formed fragments."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from crossmesh import __version__

from world.deploy import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TYPES = {kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]}
FOLDER = ROOT / "changelog.d"
FRAGMENTS = sorted(file for file in FOLDER.iterdir() if file.name != "README.md")
PLACES = {  # where the version must be written again, since nothing there can read it
    "watcher/pyproject.toml": r'^version = "([^"]+)"$',
    "watcher/Dockerfile": r"crossmesh-watcher:(\d[\w.]*)",
    "watcher/README.md": r"crossmesh-watcher:(\d[\w.]*)",
    "watcher/deploy/example/kustomization.yaml": r"newTag: (\d[\w.]*\w)",
}


def faults(name: str, text: str) -> Iterator[str]:
    """What is wrong with a fragment."""
    form = re.fullmatch(r"\+[a-z0-9]+(?:-[a-z0-9]+)*\.([a-z]+)\.md", name)
    if not form or form[1] not in TYPES:
        yield f"its name is not +SLUG.TYPE.md with TYPE of {', '.join(sorted(TYPES))}"
    lines = text.splitlines()
    if not lines or any(not line.strip() for line in lines):
        yield "it is empty, or has an empty line"
    if re.match(r"[-*#] ", text):
        yield "it begins with a bullet or a heading; the changelog adds those"
    if not text.rstrip().endswith((".", ")", "`")):
        yield "it does not end as a sentence"


@pytest.mark.parametrize("place", sorted(PLACES))
def test_the_version_is_the_same_everywhere(place: str) -> None:
    assert set(re.findall(PLACES[place], (ROOT / place).read_text(), re.MULTILINE)) == {__version__}


def test_the_build_reads_the_version_where_it_stands() -> None:
    assert "version" not in PROJECT["project"]
    assert (ROOT / PROJECT["tool"]["hatch"]["version"]["path"]).read_text().count(f'__version__ = "{__version__}"') == 1


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda file: file.name)
def test_a_fragment_is_well_formed(fragment: Path) -> None:
    assert list(faults(fragment.name, fragment.read_text())) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("canary.fixed.md", "A sentence."),
        ("+canary.mended.md", "A sentence."),
        ("+Canary_1.fixed.md", "A sentence."),
        ("+canary.fixed.md", ""),
        ("+canary.fixed.md", "- A bullet."),
        ("+canary.fixed.md", "No end"),
    ],
)
def test_an_ill_formed_fragment_is_found(name: str, text: str) -> None:
    assert len(list(faults(name, text))) == 1 + (text == "")
    assert list(faults("+canary.fixed.md", "A sentence.\n")) == []


def test_every_fragment_arrives_in_the_changelog() -> None:
    draft = subprocess.run(
        [Path(sys.executable).parent / "towncrier", "build", "--draft", "--version", "9.9.9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "## 9.9.9 (" in draft
    for fragment in FRAGMENTS:
        assert " ".join(fragment.read_text().split()) in " ".join(draft.split()), fragment.name
    assert "<!-- releases -->\n" in (ROOT / "CHANGELOG.md").read_text(), "where towncrier writes"
