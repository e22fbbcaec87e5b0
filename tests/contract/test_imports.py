"""Who may import whom: the package's contracts each turn red on a planted import, and no test module imports another."""

import ast
import copy
import itertools
import tomllib
from functools import cache
from typing import Any

import grimp
import pytest
from importlinter import Contract
from importlinter.configuration import configure
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

from world.deploy import ROOT

LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
KINDS: dict[str, type[Contract]] = {
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
    "layers": LayersContract,
    "protected": ProtectedContract,
}


configure()


@cache
def package() -> grimp.ImportGraph:
    return grimp.build_graph(
        LINTER["root_package"], include_external_packages=LINTER["include_external_packages"], cache_dir=None
    )  # fmt: skip


def kept(options: dict[str, Any], graph: grimp.ImportGraph) -> bool:
    session = {"root_packages": [LINTER["root_package"]], **{k: v for k, v in LINTER.items() if k not in ("contracts", "root_package")}}
    contract = KINDS[options["type"]](options["name"], session, {k: v for k, v in options.items() if k not in ("name", "type")})
    return contract.check(copy.deepcopy(graph), verbose=False).kept


def forbidden(options: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of importer and imported that a contract names, one for each module or layer of it."""
    if options["type"] == "forbidden":
        sources, targets = options["source_modules"], options["forbidden_modules"]
        return [(sources[0], target) for target in targets] + [(source, targets[0]) for source in sources]
    if options["type"] == "independence":
        (pattern,) = options["modules"]
        modules = sorted(package().find_children(pattern.removesuffix(".*")))
        return [*zip(modules, modules[1:] + modules[:1], strict=True)]
    if options["type"] == "protected":
        (target,) = options["protected_modules"]
        inside, outside = package().find_descendants(target), {f"{name}." for name in (target, *options["allowed_importers"])}
        others = [name for name in sorted(package().modules) if name.startswith("crossmesh.") and not f"{name}.".startswith(tuple(outside))]
        return [(other, target) for other in others if not package().find_children(other)][::7] + [(others[0], name) for name in sorted(inside)]
    found = []
    for container in options.get("containers", [""]):
        layers = [[f"{container}.{name.strip()}".lstrip(".") for name in line.replace("|", ":").split(":")] for line in options["layers"]]
        found += [(low, high) for above, below in itertools.pairwise(layers) for high in above for low in below]
        found += [(layers[i][0], layers[i][1]) for i, line in enumerate(options["layers"]) if "|" in line]
    return found


def plants() -> list[Any]:
    found = []
    for options in LINTER["contracts"]:
        for importer, imported in forbidden(options):
            found.append(pytest.param(options, importer, imported, id=f"{importer} imports {imported}"))
    return found


@pytest.mark.parametrize("options", LINTER["contracts"], ids=lambda options: options["name"])
def test_the_package_keeps_each_contract(options: dict[str, Any]) -> None:
    assert kept(options, package())


@pytest.mark.parametrize(("options", "importer", "imported"), plants())
def test_each_contract_breaks_on_a_planted_import(options: dict[str, Any], importer: str, imported: str) -> None:
    """Planted in the deepest module of the importer, and in the importer's place a module that is new."""
    deep = max(package().find_descendants(importer) or {importer}, key=lambda name: (name.count("."), name))
    for module in {deep, f"{importer}.planted"}:
        graph = copy.deepcopy(package())
        graph.add_module(module)
        graph.add_import(importer=module, imported=imported)
        assert not kept(options, graph), f"{options['name']}: {module} may import {imported}"


def imported_tests(source: str) -> list[str]:
    """Test modules that a source imports, at its head or inside a function, or by name in a text."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module or ''}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            found += [line.split()[1] for line in node.value.splitlines() if line.startswith(("from tests.", "import tests.")) and " " in line]
    return [name for name in found if any(part.startswith("test_") for part in name.split(".")[:-1]) or name.split(".")[-1].startswith("test_")]


@pytest.mark.parametrize("folder", ["tests", "tools", "world", "functions", "watcher", "xds", "layers"])
def test_no_test_module_is_imported(folder: str) -> None:
    """What tests share stands in tests/support: a test can be moved or deleted without a look at the others."""
    found = {
        str(path.relative_to(ROOT)): names for path in sorted((ROOT / folder).rglob("*.py")) if (names := imported_tests(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "planted",
    [
        "from tests.unit.steps.TEST_mesh import ONE",
        "from tests.unit.steps import TEST_mesh",
        "from . import TEST_mesh as other",
        "import tests.unit.steps.TEST_mesh",
        "def f() -> None:\n    from .TEST_mesh import ONE",
        "before = 'import msgspec\\nfrom tests.unit.steps.TEST_mesh import *\\n'",
    ],
)
def test_a_planted_import_of_a_test_module_is_found(planted: str) -> None:
    assert imported_tests(planted.replace("TEST_", "test_"))


@pytest.mark.parametrize("allowed", ["from tests.support.mesh_runs import ONE", "import pytest", "from tests.conformance import servers"])
def test_helpers_may_be_imported(allowed: str) -> None:
    assert imported_tests(allowed) == []


def test_the_sources_are_read() -> None:
    """A guard that reads nothing finds nothing."""
    assert len(list((ROOT / "tests").rglob("test_*.py"))) > 100
    assert len(package().modules) > 150
