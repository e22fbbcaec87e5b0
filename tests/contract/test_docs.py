"""The documentation is a graph without holes: links and anchors resolve, the index reaches every page, commands and files that it names exist."""

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from crossmesh.cli.verbs import parser
from crossmesh.core.canary.layers import Layer
from crossmesh.core.observed import Cause
from crossmesh.core.registry.plan import WithheldWhy
from crossmesh.core.reporting.report import Report
from crossmesh.manifests.settings.json_schema import settings_schema
from crossmesh.telemetry import deployment_values

from world.deploy import ROOT

DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob(".github/**/*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "watcher").glob("*.md"),
        *(ROOT / "xds").glob("*.md"),
        *(ROOT / "changelog.d").glob("*.md"),
    ]
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^\s*```.*?^\s*```", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page as GitHub makes them from its headings."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", FENCE.sub("", page.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return frozenset(names)


def broken(page: Path) -> Iterator[str]:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: no such heading; there are {', '.join(sorted(anchors(target)))}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_and_anchor_resolves(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One `thing`, twice\n[a](gone.md) [b](#gone) [c](#one-thing-twice) `[d](code.md)`\n```\n[e](code.md)\n```\n")
    assert [found.partition(":")[0] for found in broken(page)] == ["gone.md", "#gone"]


def reached() -> set[Path]:
    """All pages that links lead to from the index; a link to a folder leads to its README or, without one, to its generated pages."""
    found, todo = set(), [INDEX]
    while todo:
        page = todo.pop()
        if page in found:
            continue
        found.add(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.is_dir() and not (target / "README.md").is_file():  # its listing: enough for pages that a program writes
                found |= {page for page in target.glob("*.md") if page in GENERATED}
            target = target / "README.md" if target.is_dir() else target
            if target.suffix == ".md" and target.is_file() and ROOT in target.parents:
                todo.append(target)
    return found


def test_the_index_reaches_every_page() -> None:
    assert {name(page) for page in DOCS.rglob("*.md")} - {name(page) for page in reached()} == set()
    assert INDEX in {(ROOT / link).resolve() for link in links(ROOT / "README.md")} | reached(), "README links the index"


def test_no_file_names_a_page_that_is_not_there() -> None:
    """Messages, alarms, comments and tests name pages by path."""
    named = {}
    for folder in ("layers/core", "functions", "statemachines", "template.yaml", "tools", "tests", "world", "watcher", "Makefile", "clusters"):
        top = ROOT / folder
        for file in [top] if top.is_file() else [f for f in top.rglob("*") if f.suffix in {".py", ".yaml", ".json", ".md", ".sh"}]:
            if "build" not in file.parts and ".aws-sam" not in file.parts:
                for path, anchor in re.findall(r"\b(docs/[\w/-]+\.(?:md|json))(?:#([\w-]+))?", file.read_text()):
                    named[path, anchor] = name(file)
    assert len(named) > 10
    lost = {f"{path}#{anchor}": file for (path, anchor), file in named.items() if not (ROOT / path).is_file()}
    assert lost == {}
    assert {p: f for (p, a), f in named.items() if a and a not in anchors(ROOT / p)} == {}


def test_each_decision_has_a_status_and_its_row_in_the_index() -> None:
    folder = DOCS / "decisions"
    index = (folder / "README.md").read_text()
    for page in sorted(folder.glob("[0-9]*.md")):
        number = int(page.name[:4])
        title, _, status = page.read_text().partition("\n\n")
        assert title.startswith(f"# {number}. "), name(page)
        assert re.match(r"Status: (proposed|accepted, \d{4}-\d\d-\d\d|superseded by \[)", status), f"{name(page)} says no status"
        assert number == 0 or f"| [{number}]({page.name}) | {title.partition('. ')[2]} |" in index, f"{name(page)} is not in the index"


NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|ya?ml|json|txt|sh|md|toml|jsonl))(?:::(\w+))?`")
HISTORY = {ROOT / "CHANGELOG.md", *(DOCS / "decisions").glob("*.md")}  # records name what was there
PLACES = (ROOT, ROOT / "layers" / "core" / "python")


@cache
def names_of(file: Path) -> frozenset[str]:
    """Functions, classes and values that a module defines, at its top or in a class."""
    tree = ast.parse(file.read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return frozenset(found | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)})


def strays(text: str) -> Iterator[str]:
    """Files that a page names and that are not there, and functions that are not in them. `path::name` is pytest's spelling."""
    for path, inside in NAMED.findall(text):
        files = [place / path for place in PLACES if (place / path).is_file()]
        if not files:
            yield path
        elif inside and not any(inside in names_of(file) for file in files):
            yield f"{path}::{inside}"


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY], ids=name)
def test_every_file_and_function_that_a_page_names_exists(page: Path) -> None:
    own = {f"{page.parent.name}/{file.name}" for file in page.parent.iterdir()}
    assert [stray for stray in strays(page.read_text()) if stray not in own and not stray.startswith(MADE)] == []


MADE = ("config/", "runs/", "build/", "YOUR-")  # what a user has, or a run makes


def test_a_stray_file_and_a_stray_function_are_found() -> None:
    good = (
        "`crossmesh/core/registry/deletion_guard.py::guard`"
        if (PLACES[1] / "crossmesh/core/registry/deletion_guard.py").is_file()
        else "`tests/contract/test_docs.py::strays`"
    )
    assert list(strays(f"{good} `crossmesh/core/gone.py` `tests/contract/test_docs.py::gone`")) == [
        "crossmesh/core/gone.py",
        "tests/contract/test_docs.py::gone",
    ]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("how-to/fix-what-status-reports.md", get_args(Cause)),
        ("how-to/fix-what-status-reports.md", get_args(WithheldWhy)),
        ("how-to/read-a-diagnosis.md", get_args(Layer)),
    ],
    ids=["causes", "withheld", "layers"],
)
def test_whatever_the_code_reports_has_a_row_with_its_fix(page: str, words: tuple[str, ...]) -> None:
    rows = [line.split("|")[1] for line in (DOCS / page).read_text().splitlines() if line.startswith("|")]
    told = {word for row in rows for word in re.findall(r"[a-z-]+", row)}
    assert set(words) - told == set()


def fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The settings that a JSON Schema describes, by path; NAME stands for a key that the user chooses."""
    if path and schema.get("type") != "object" and "description" in schema:
        yield path
    for key, inner in schema.get("properties", {}).items():
        yield from fields(inner, f"{path}.{key}".lstrip("."))
    if isinstance(inner := schema.get("additionalProperties"), dict):
        yield from fields(inner, f"{path}.NAME")


def test_every_setting_has_its_row() -> None:
    text = (DOCS / "reference" / "settings.md").read_text()
    described = set(fields(settings_schema()))
    assert len(described) > 30
    assert described - set(re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)) == set()


def test_every_alarm_and_metric_has_its_row() -> None:
    rows = set(re.findall(r"^\| `([\w-]+)` \|", (DOCS / "reference" / "alarms-and-metrics.md").read_text(), re.MULTILINE))
    alarms = set(re.findall(r"AlarmName: !Sub \$\{AWS::StackName\}-(\S+)", (ROOT / "template.yaml").read_text())) - {"unwell"}
    assert len(alarms) > 10
    assert alarms | deployment_values(Report(id="", kind="quiet", at=0.0, config="")).keys() <= rows


def verbs() -> set[str]:
    return {name for action in parser()._actions if isinstance(action, argparse._SubParsersAction) for name in action.choices}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_gives_exists(page: Path) -> None:
    """In code alone: `crossmesh VERB` and `make TARGET`."""
    text = page.read_text()
    code = [*re.findall(r"`([^`\n]+)`", FENCE.sub("", text)), *(line for block in FENCE.findall(text) for line in block.splitlines())]
    given = {verb for line in code for verb in re.findall(r"(?:^|\$ |&& )crossmesh ([a-z]+)", line)}
    assert given - verbs() == set()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {word for line in code for words in re.findall(r"(?:^|\$ |&& )make ((?:[a-z-]+ ?)+)", line) for word in words.split()}
    assert asked - targets == set()


WIDTH = 100
GENERATED = {page for page in PAGES if "do not edit" in page.read_text()[:600]}


def wide(text: str) -> Iterator[str]:
    """Lines of prose above 100 columns. Tables, code and the addresses of links may be as long as they must."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fenced ^= line.lstrip().startswith("```")
        shown = re.sub(r"\]\([^)]*\)", "]", line)
        if len(shown) > WIDTH and not fenced and not line.lstrip().startswith(("|", "```")):
            yield f"{number}: {len(shown)} columns"


@pytest.mark.parametrize("page", [page for page in PAGES if page not in GENERATED and page.parent.name != "changelog.d"], ids=name)
def test_prose_fits_in_a_hundred_columns(page: Path) -> None:
    assert list(wide(page.read_text())) == []


def test_a_wide_line_is_found_but_no_table_code_or_address() -> None:
    long = "x " * 51
    assert list(wide(f"{long}\n| {long} |\n```\n{long}\n```\n- [a]({'x' * 120})\n")) == ["1: 102 columns"]


def test_each_term_of_the_glossary_has_a_meaning_and_an_origin_and_its_word_of_today_is_in_the_code() -> None:
    code = "\n".join(file.read_text() for file in (ROOT / "layers/core/python").rglob("*.py")) + (ROOT / "tests/sim/mutants.py").read_text()
    rows = re.findall(r"^\| (.+) \|$", (DOCS / "reference" / "glossary.md").read_text(), re.MULTILINE)
    terms = [[cell.strip() for cell in row.split(" | ")] for row in rows if not row.startswith(("---", "term"))]
    assert len(terms) > 60
    for term, meaning, origin, *today in terms:
        assert meaning, term
        assert origin, term
        for word in re.findall(r"`([\w.]+)`", " ".join(today)):
            assert re.search(rf"\b{word.rpartition('.')[2]}\b", code, re.IGNORECASE), f"{term}: no code says {word} any more"
