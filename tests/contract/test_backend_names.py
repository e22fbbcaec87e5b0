"""Backends are found by name in one place: nobody else asks which one it is."""

import ast
from pathlib import Path
from typing import get_args

import pytest
from crossmesh.core.mesh.backends import BACKENDS
from crossmesh.core.settings import Backend
from crossmesh.usecases.mesh.drivers import DRIVERS

PACKAGE = Path(__file__).parents[2] / "layers" / "core" / "python" / "crossmesh"
ALLOWED = {"core/mesh/backends.py", "core/settings.py"}
ELSEWHERE = {"none"}  # a value of other settings, too: there it counts only beside the word "backend"


def asked(source: str) -> list[str]:
    """Comparisons with a backend's name, `match` on one included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            found += [ast.unparse(node)] if _names(node) else []
        elif isinstance(node, ast.Match):
            subject = ast.unparse(node.subject)
            found += [f"match {subject}" for case in node.cases if _names(case.pattern, subject)]
    return found


def _names(node: ast.AST, beside: str = "") -> bool:
    texts = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)} & BACKENDS.keys()
    return bool(texts - ELSEWHERE) or (bool(texts) and "backend" in f"{ast.unparse(node) if isinstance(node, ast.expr) else ''}{beside}")


@pytest.mark.parametrize(
    "planted",
    [
        'if settings.mesh.backend == "none": pass',
        'if "appmesh" != name: pass',
        'x = backend.name in ("none", "toy")',
        'y = 1 if backend_of(settings).name == "none" else 2',
        'match context.settings.mesh.backend:\n    case "none": pass',
        'match name:\n    case "appmesh" | "toy": pass',
    ],
)
def test_a_planted_comparison_is_found(planted: str) -> None:
    assert asked(planted)


@pytest.mark.parametrize(
    "allowed", ['if settings.security_groups != "none": pass', 'known = ", ".join(names) or "none"', 'x = PROBES["appmesh"]']
)
def test_other_settings_may_say_none(allowed: str) -> None:
    assert not asked(allowed)


def test_nobody_compares_with_the_name_of_a_backend() -> None:
    modules = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    assert len(modules) > 200
    found = {name: asked(text) for name, text in modules.items() if name not in ALLOWED}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_settings_backends_and_drivers_have_the_same_names() -> None:
    assert set(get_args(Backend)) == BACKENDS.keys() == DRIVERS.keys()
    assert all(driver.backend.name == name == BACKENDS[name].name for name, driver in DRIVERS.items())
