"""Every leaf of the CRDs by its path, and what else it may say: for the table of fields and its test."""

from collections.abc import Iterator
from typing import Any

from crossmesh.manifests.crd import KINDS
from crossmesh.manifests.schema import Flag, Listing, Record, Rule, Table, Text, Whole


def leaves() -> Iterator[tuple[str, str, Rule]]:
    """(kind, path, rule) of every leaf: `spec.listeners[].portMapping.port`."""
    for kind in sorted(KINDS):
        for path, rule in _leaves(KINDS[kind], "spec"):
            yield kind, path, rule


def _leaves(rule: Rule, path: str) -> Iterator[tuple[str, Rule]]:
    if isinstance(rule, Record):
        for name in sorted(rule.fields):
            yield from _leaves(rule.fields[name].rule, f"{path}.{name}")
    elif isinstance(rule, Listing):
        yield from _leaves(rule.item, f"{path}[]")
    elif isinstance(rule, Table):
        yield from _leaves(rule.item, f"{path}.*")
    else:
        yield path, rule


def others(rule: Rule, value: Any) -> list[Any]:
    """Values that a leaf may have besides."""
    match rule:
        case Flag():
            return [not value]
        case Whole(least=least, most=most):
            return [other for other in (value + 1, value - 1) if least <= other <= most][:1]
        case Text(choices=choices) if choices:
            return [choice for choice in choices if choice != value] or [""]
        case Text():
            return [f"{value}x", f"/x{value}"]
    raise AssertionError(rule)


def occurrences(value: Any, path: list[str]) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of everything that stands at a path, `a.b[].c` split at its dots, with [] and * apart."""
    head, *rest = path
    keys: list[Any] = list(range(len(value))) if head == "[]" and isinstance(value, list) else []
    if head == "*" and isinstance(value, dict):
        keys = list(value)
    elif head != "[]" and isinstance(value, dict) and head in value:
        keys = [head]
    for key in keys:
        if rest:
            yield from occurrences(value[key], rest)
        else:
            yield value, key


def steps(path: str) -> list[str]:
    """A path as `occurrences` wants it."""
    return path.replace("[]", ".[]").split(".")
