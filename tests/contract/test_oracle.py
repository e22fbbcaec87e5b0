"""The world's data plane is the second opinion on what manifests mean: it reads nothing of the package, directly or through others."""

import ast
from functools import cache
from pathlib import Path

import grimp
import pytest

from world.deploy import ROOT

ORACLE, PRODUCT = "world.dataplane", "crossmesh"


@cache
def world() -> grimp.ImportGraph:
    return grimp.build_graph("world", include_external_packages=True, cache_dir=None)


def ways(graph: grimp.ImportGraph) -> list[tuple[str, ...]]:
    """From each module of the data plane to the package, over whatever lies between."""
    modules = sorted({ORACLE, *graph.find_descendants(ORACLE)})
    found = (graph.find_shortest_chain(importer=module, imported=PRODUCT) for module in modules)
    return [chain for chain in found if chain]


def named(source: str) -> list[str]:
    """Modules of the package that a source names, in an import or in a text by which it could be loaded."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            found.append(node.value)
    return [name for name in found if name.partition(".")[0] == PRODUCT]


def test_nothing_of_the_package_is_reached_from_the_data_plane() -> None:
    assert len(world().find_descendants(ORACLE)) > 8, "a guard that reads nothing finds nothing"
    assert ways(world()) == []


def test_no_source_of_the_data_plane_names_the_package() -> None:
    sources = sorted((ROOT / Path(*ORACLE.split("."))).rglob("*.py"))
    assert {str(path.relative_to(ROOT)): names for path in sources if (names := named(path.read_text()))} == {}


@pytest.mark.parametrize("importer", ["world.dataplane.management", "world.pods.apps", "world.aws.clients"])
def test_a_planted_import_is_found_in_the_data_plane_and_in_what_it_imports(importer: str) -> None:
    graph = grimp.build_graph("world", include_external_packages=True, cache_dir=None)
    graph.add_import(importer=importer, imported=PRODUCT)
    assert {chain[-2:] for chain in ways(graph)} == {(importer, PRODUCT)}


@pytest.mark.parametrize(
    "planted",
    [
        "import crossmesh.core.mesh",
        "from crossmesh import errors",
        "def f() -> None:\n    from crossmesh.core.mesh.xds import render",
        "importlib.import_module('crossmesh.core.mesh.xds')",
    ],
)
def test_a_planted_name_is_found(planted: str) -> None:
    assert named(planted)
