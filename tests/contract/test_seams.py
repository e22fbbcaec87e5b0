"""What is App Mesh's spelling stays with those who read documents and those who write to App Mesh."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "layers" / "core" / "python" / "crossmesh"
SPELLED = {"weightedTargets", "httpRoute", "http2Route", "grpcRoute", "tcpRoute", "@VirtualNode", "@VirtualRouter", "@VirtualService"}
ALLOWED = ("manifests/", "core/compiler/", "core/mesh/appmesh/", "core/mesh/xds/")  # the compiler, and backends that carry specs out
LISTED = {"core/topology.py": {"httpRoute", "http2Route", "grpcRoute", "tcpRoute"}}  # the one list of kinds


def spelled(source: str) -> set[str]:
    """The members of App Mesh's documents that a module's strings name; what it explains is not among them."""
    tree = ast.parse(source)
    explained = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained
    ]
    return {word for text in texts for word in SPELLED if word in text}


@pytest.mark.parametrize(
    "source",
    ['targets = action["weightedTargets"]', 'x = f"{kind}.action.weightedTargets"', 'KINDS = ("httpRoute",)', 'n = target.get("@VirtualNode")'],
)
def test_a_module_that_takes_routes_apart_is_noticed(source: str) -> None:
    assert spelled(f'"""weightedTargets may be explained."""\n{source}')


def test_only_the_compiler_and_the_backends_take_app_meshs_documents_apart() -> None:
    modules = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    found = {name: spelled(text) for name, text in modules.items() if not name.startswith(ALLOWED)}
    assert {name: words for name, words in found.items() if words} == LISTED


def test_the_kinds_of_routes_are_listed_once() -> None:
    """A list of them anywhere else, in whatever order, is one that a new kind would miss."""
    lists = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Tuple | ast.List | ast.Dict | ast.Set)
        and len(_words(node) & {"httpRoute", "http2Route", "grpcRoute", "tcpRoute"}) > 2
    }
    assert lists == {"core/topology.py"}


def _words(node: ast.Tuple | ast.List | ast.Dict | ast.Set) -> set[str]:
    items = node.keys if isinstance(node, ast.Dict) else node.elts
    return {item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)}
