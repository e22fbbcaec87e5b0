"""What a tenant, a cluster, a front and a person can and cannot do: each line of the security page is held by tests that exist."""

import ast
import re
from functools import cache

import pytest

from tests.sim.application import ROOT

PAGE = (ROOT / "docs/explanation/security.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def lines(page: str) -> list[tuple[str, str, str, str]]:
    """Who, can, cannot, held by."""
    part = page.partition("## Who can do what\n")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in part.splitlines() if row.startswith("|")]
    return [row for row in rows[2:] if len(row) == 4]


def faults(row: tuple[str, str, str, str]) -> list[str]:
    """What is wrong with a line."""
    found = NAMED.findall(row[3])
    empty = ["a cell is empty"] if not all(row) else []
    return empty + [f"{path}::{name}" for path, name in found if name not in named_in(path)] + ([] if found else ["no test"])


@cache
def named_in(path: str) -> frozenset[str]:
    """The tests that pytest collects from a file."""
    file = ROOT / path
    body = ast.parse(file.read_text()).body if file.is_file() else []
    return frozenset(one.name for one in body if isinstance(one, ast.FunctionDef) and one.name.startswith("test_"))


@pytest.mark.parametrize("row", lines(PAGE), ids=lambda row: f"{row[0]}: {row[2][:40]}")
def test_each_line_is_held_by_tests_that_exist(row: tuple[str, str, str, str]) -> None:
    assert faults(row) == []


@pytest.mark.parametrize("who", ["tenant", "cluster", "front", "person"])
def test_everybody_who_may_harm_others_has_lines(who: str) -> None:
    assert len([row for row in lines(PAGE) if row[0].startswith(who)]) >= 3


def test_a_line_without_a_test_and_one_with_a_stray_test_are_found() -> None:
    made = "## Who can do what\n\n| who | can | cannot | held by |\n|---|---|---|---|\n"
    page = (
        made
        + "| a | b | c | `tests/contract/test_security_page.py` |\n| a | b | | `tests/gone.py::test_gone` |\n\n## Next\n| x | y | z | - |\n"
    )
    assert [faults(row) for row in lines(page)] == [["no test"], ["a cell is empty", "tests/gone.py::test_gone"]]
    nested = ("a", "b", "c", "`tests/contract/test_security_page.py::test_everybody_who_may_harm_others_has_lines`")
    assert faults(nested) == []
    assert faults((*nested[:3], "`tests/contract/test_security_page.py::test_nobody`")) == ["tests/contract/test_security_page.py::test_nobody"]
