"""Checks of documents against botocore's service models, the truth for shapes: type, required and unknown members, lengths, patterns, enums.

A shape is compiled once into a closure, so that a check costs microseconds. Unknown members are refused: a client that sends one means
something that would be lost.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

Check = Callable[[Any, str, list[str]], Any]
"""(value, where, problems) -> the value as the models take it; what is wrong is added to `problems`."""


def checker(shape: Shape) -> Check:
    """The compiled check of a shape (no input of these services is recursive)."""
    build = {"structure": _structure, "list": _list, "map": _map, "string": _string, "timestamp": _timestamp, "blob": _string}
    return build.get(shape.type_name, _scalar)(shape)


def member_name(shape: Shape, name: str) -> str:
    """A member's name on the wire."""
    return shape.serialization.get("name", name)


def _structure(shape: StructureShape) -> Check:
    members = {member_name(member, name): (name, checker(member)) for name, member in shape.members.items()}
    required = [(name, member_name(shape.members[name], name)) for name in shape.required_members]
    union = shape.is_tagged_union

    def check(value: Any, where: str, problems: list[str]) -> Any:
        if not isinstance(value, dict):
            problems.append(f"{where or 'the request'}: expected a structure, got {type(value).__name__}")
            return {}
        found = {}
        for wire, item in value.items():
            if wire not in members:
                problems.append(f"{where}.{wire}: unknown member")
            elif item is not None:
                name, inner = members[wire]
                found[name] = inner(item, f"{where}.{wire}", problems)
        problems.extend(f"{where}.{wire}: required" for name, wire in required if name not in found)
        if union and len(found) > 1:
            problems.append(f"{where}: only one of {', '.join(sorted(found))} may be given")
        return found

    return check


def _list(shape: ListShape) -> Check:
    inner, least, most = checker(shape.member), shape.metadata.get("min", 0), shape.metadata.get("max")

    def check(value: Any, where: str, problems: list[str]) -> Any:
        if not isinstance(value, list):
            problems.append(f"{where}: expected a list, got {type(value).__name__}")
            return []
        _in_bounds(len(value), least, most, f"{where}: number of items", problems)
        return [inner(item, f"{where}[{place}]", problems) for place, item in enumerate(value)]

    return check


def _map(shape: MapShape) -> Check:
    keys, values = checker(shape.key), checker(shape.value)

    def check(value: Any, where: str, problems: list[str]) -> Any:
        if not isinstance(value, dict):
            problems.append(f"{where}: expected a map, got {type(value).__name__}")
            return {}
        return {keys(key, f"{where} key", problems): values(item, f"{where}.{key}", problems) for key, item in value.items()}

    return check


def _string(shape: Shape) -> Check:
    least, most, enum = shape.metadata.get("min", 0), shape.metadata.get("max"), shape.metadata.get("enum")
    pattern = _pattern(shape.metadata.get("pattern"))

    def check(value: Any, where: str, problems: list[str]) -> Any:
        if not isinstance(value, str):
            problems.append(f"{where}: expected a string, got {type(value).__name__}")
            return ""
        _in_bounds(len(value), least, most, f"{where}: length", problems)
        if enum and value not in enum:
            problems.append(f"{where}: '{value[:80]}' is not one of {', '.join(enum)}")
        if pattern and not pattern.search(value):
            problems.append(f"{where}: '{value[:80]}' does not match {pattern.pattern}")
        return value

    return check


def _pattern(text: str | None) -> re.Pattern[str] | None:
    """A pattern of the model, where Python can read it (a few use the syntax of other engines)."""
    if not text:
        return None
    try:
        return re.compile(text if text.startswith(("^", "(")) else f"^(?:{text})$")
    except re.error:
        return None


def _timestamp(_: Shape) -> Check:
    def check(value: Any, where: str, problems: list[str]) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        try:
            return datetime.fromisoformat(str(value)).timestamp()
        except ValueError:
            problems.append(f"{where}: '{value}' is no time")
            return 0.0

    return check


def _scalar(shape: Shape) -> Check:
    wanted: tuple[type, ...] = {"boolean": (bool,), "float": (int, float), "double": (int, float)}.get(shape.type_name, (int,))
    least, most = shape.metadata.get("min"), shape.metadata.get("max")

    def check(value: Any, where: str, problems: list[str]) -> Any:
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            problems.append(f"{where}: expected {shape.type_name}, got {type(value).__name__}")
            return 0
        if wanted != (bool,):
            _in_bounds(value, least, most, where, problems)
        return value

    return check


def _in_bounds(number: float, least: float | None, most: float | None, what: str, problems: list[str]) -> None:
    if least is not None and number < least:
        problems.append(f"{what} is {number}, at least {least} is needed")
    if most is not None and number > most:
        problems.append(f"{what} is {number}, at most {most} is allowed")
