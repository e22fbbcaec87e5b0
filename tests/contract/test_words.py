"""The glossary's words hold: names that are gone stay away, and every reference can be followed."""

import ast
import io
import json
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from world.deploy import ROOT

PACKAGES = (ROOT / "layers/core/python/crossmesh", ROOT / "watcher/crossmesh_watcher")
GLOSSARY = ROOT / "docs/reference/glossary.md"
RULES = ROOT / "docs/explanation/the-thirteen-rules.md"
KINDS = {ast.ClassDef: "class", ast.FunctionDef: "function", ast.AsyncFunctionDef: "function"}


GONE_KINDS = ("class", "function", "module", "word", "phrase", "state")


def gone() -> dict[str, set[str]]:
    """The glossary's names that are gone, by kind."""
    found: dict[str, set[str]] = {}
    table = GLOSSARY.read_text().split("## Names that are gone")[1].split("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[1] in GONE_KINDS:
            found.setdefault(cells[1], set()).update(re.findall(r"`([^`]+)`", cells[2]))
    return found


GONE = gone()


def sources() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text() for package in PACKAGES for path in sorted(package.rglob("*.py"))
    }  # fmt: skip


def definitions(path: str, source: str) -> Iterator[tuple[str, str]]:
    """Kind and name, without a leading underscore, of the module and of all that it defines, at any depth."""
    for part in Path(path).with_suffix("").parts:
        yield "module", part.strip("_")
    for node in ast.walk(ast.parse(source)):
        if (kind := KINDS.get(type(node))) is not None:
            yield kind, node.name.strip("_")  # type: ignore[attr-defined]


def forbidden_names(path: str, source: str) -> list[str]:
    return [f"{path}: {kind} {name}" for kind, name in definitions(path, source) if name in GONE[kind]]


def prose(source: str) -> Iterator[str]:
    """Comments and docstrings without what stands in backticks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node)):
            yield re.sub(r"`[^`]*`", "", text)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield re.sub(r"`[^`]*`", "", token.string)


def forbidden_words(path: str, source: str) -> list[str]:
    return [f"{path}: {word}" for text in prose(source) for word in re.findall(r"[a-z]+", text.lower()) if word in GONE["word"]]


def test_the_names_that_are_gone_stay_away() -> None:
    assert [line for path, source in sources().items() for line in forbidden_names(path, source)] == []


def test_the_words_that_are_gone_stay_out_of_comments() -> None:
    assert [line for path, source in sources().items() for line in forbidden_words(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("crossmesh/a.py", "class Scene: ..."),
        ("crossmesh/a.py", "class _Sick: ..."),
        ("crossmesh/a.py", "def confirm() -> None: ..."),
        ("crossmesh/a.py", "class A:\n    async def _together(self) -> None: ..."),
        ("crossmesh/core/registry/brake.py", ""),
        ("crossmesh/core/_neighbour/__init__.py", ""),
        ("crossmesh/utils.py", ""),
    ],
)
def test_a_planted_name_is_found(path: str, source: str) -> None:
    assert forbidden_names(path, source)


@pytest.mark.parametrize(
    "source", ['"""The Brake holds it."""', "X = 1  # the neighbour's word", "# no run cures it", 'class A:\n    """The scene."""']
)
def test_a_planted_word_is_found(source: str) -> None:
    assert forbidden_words("crossmesh/a.py", source)


def test_what_is_allowed_passes() -> None:
    """A kind counts for itself: a field or a variable of a name that is gone is not looked at."""
    assert forbidden_names("crossmesh/a.py", "class A:\n    sick: str = ''\n    def memory(self) -> None: ...") == []
    assert forbidden_words("crossmesh/a.py", '"""The document `sick`."""') == []
    assert {kind: len(names) >= 5 for kind, names in GONE.items()} == dict.fromkeys(GONE_KINDS, True)
    assert len(sources()) > 150


def tracked() -> dict[str, str]:
    """The text files of the repository, without this one and without recorded data."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = [name for name in listed.split("\0") if name.endswith((".py", ".md", ".yaml", ".json", ".toml", "Makefile"))]
    skip = ("tests/golden/", "tests/contract/test_words.py")
    return {name: (ROOT / name).read_text(errors="replace") for name in names if not name.startswith(skip) and (ROOT / name).is_file()}


TELLS = ("CHANGELOG.md", "changelog.d/", "docs/reference/glossary.md")  # pages that name what is gone


def gone_in_text(name: str, text: str) -> list[str]:
    """Words and phrases that are gone, in a whole file: names, strings and prose alike."""
    text = re.sub(r"`[^`]*`", "", text) if name.endswith(".md") else text
    flat = " ".join(text.lower().split())
    return sorted(set(re.findall("[a-z]+", flat)) & GONE["word"]) + sorted(phrase for phrase in GONE["phrase"] if phrase in flat)


def test_words_and_phrases_that_are_gone_stay_out_of_every_file() -> None:
    texts = {name: text for name, text in tracked().items() if not name.startswith(TELLS)}
    assert {name: found for name, text in texts.items() if (found := gone_in_text(name, text))} == {}


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("tests/unit/test_a.py", "def test_a_sick_pod() -> None: ..."),
        ("tests/unit/test_a.py", 'X = "the brake holds"'),
        ("world/a.py", "def _neighbours(): ..."),
        ("docs/README.md", "removed by another\nhand twice"),
        ("template.yaml", "aws:TagKeys: [crossmesh:contested/demo]"),
        ("docs/README.md", "A brake, not a wall"),
    ],
)
def test_a_planted_word_or_phrase_is_found_in_any_file(name: str, planted: str) -> None:
    assert gone_in_text(name, planted)


def state_names(machine: dict[str, Any]) -> Iterator[str]:
    """Names of all states, those inside maps too."""
    for name, state in machine["States"].items():
        yield name
        if "ItemProcessor" in state:
            yield from state_names(state["ItemProcessor"])


def test_states_that_are_gone_stay_away() -> None:
    machines = {path.name: json.loads(path.read_text()) for path in sorted(ROOT.glob("statemachines/*.asl.json"))}
    names = {name: set(state_names(machine)) for name, machine in machines.items()}
    assert sum(map(len, names.values())) > 50
    assert {name: found & GONE["state"] for name, found in names.items() if found & GONE["state"]} == {}
    planted = {"States": {"Each": {"ItemProcessor": {"States": {"Unjudged": {}}}}}}
    assert set(state_names(planted)) & GONE["state"] == {"Unjudged"}


NUMBERS = re.compile(r"^## (\d+)\. ", re.MULTILINE)
LEGEND = re.compile(r"^\| ([A-Za-z, ]+) \| ", re.MULTILINE)


def dangling(text: str) -> list[str]:
    """References of a text that no reader can follow: private papers, rules without a section, projects without a legend."""
    rules = set(NUMBERS.findall(RULES.read_text()))
    legend = {
        name.strip() for line in LEGEND.findall(RULES.read_text().split("## Names of other projects")[1]) for name in line.split(",")
    }  # fmt: skip
    found = re.findall(r"\bresearch/[\w.]+|\bshared/(?:design|research|house|kube)\b|\(research\b|\bdesign (?:section|rule)\b", text)
    for numbers in re.findall(r"\b[Rr]ules? (\d+(?:(?:, | and )\d+)*)", text):
        found += [f"rule {number}" for number in re.findall(r"\d+", numbers) if number not in rules]
    found += [f"{name}#" for name in re.findall(r"\b([A-Z]{2,5})#\d+", text) if name not in legend | {"PR"}]
    return found


def test_every_reference_can_be_followed() -> None:
    texts = tracked()
    assert len(texts) > 500, "the files are those that git knows"
    assert {name: found for name, text in texts.items() if (found := dangling(text))} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "(research/peers.md 3)",
        "design section 3",
        "design rule 10",
        "(rule 14)",
        "rules 2 and 15",
        "see XYZ#12",
        "shared/design.md",
        "(research, f)",
    ],
)
def test_a_planted_reference_is_found(planted: str) -> None:
    assert dangling(planted)


@pytest.mark.parametrize("good", ["(rule 6)", "rules 1, 2 and 13", "AMC#159", "PR#12", "internetsearch/engine", "rule of thumb 20"])
def test_a_reference_that_leads_somewhere_passes(good: str) -> None:
    assert dangling(good) == []


def test_the_package_names_the_page_of_the_rules() -> None:
    """A reader of "rule 6" in a comment finds its page and the glossary from the package itself."""
    told = (PACKAGES[0] / "core/__init__.py").read_text()
    for page in (RULES, GLOSSARY):
        assert str(page.relative_to(ROOT)) in told
