"""What an unquoted word of YAML means to Kubernetes: booleans, numbers and null as go-yaml v2
(under sigs.k8s.io/yaml) resolves them.

It follows YAML 1.1 for booleans (`y`, `on`, `No`…) and Go's notation for integers (0x, 0b, 0o, a
leading 0 is octal, `_` between digits); sexagesimal numbers and timestamps stay text.
"""

import math
import re
from typing import Any

_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(_TRUE, True),
    **dict.fromkeys(_FALSE, False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TAGS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}
_PREFIX = "tag:yaml.org,2002:"


class Unreadable(Exception):
    """The scalar has no meaning in JSON; the message says why."""


def resolve(text: str, *, plain: bool, tag: str | None) -> Any:
    """The value of a scalar: text, bool, int, float or None. Raises Unreadable."""
    if tag in (None, ""):
        return _resolve_plain(text) if plain else text
    name = str(tag).removeprefix(_PREFIX)
    if name in ("str", "!", "timestamp"):
        return text
    if name not in _TAGS:
        raise Unreadable(f"{text!r} has the tag {tag}, which manifests do not know")
    value = _resolve_plain(text)
    wanted = _TAGS[name]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise Unreadable(f"{text!r} is no {name}, as its tag says")
    return value


def key_text(text: str, *, plain: bool) -> tuple[str, bool]:
    """A key as JSON has it, and whether that is not what a reader would expect (`on:` becomes
    "true"). Raises Unreadable.
    """
    if not plain or text == "<<":
        return text, False
    value = _resolve_plain(text)
    if value is None:
        raise Unreadable(f"a key is empty or reads as null ({text!r})")
    if isinstance(value, bool):
        return ("true" if value else "false"), text not in ("true", "false")
    if isinstance(value, int):
        return str(value), str(value) != text
    return text, False


def _resolve_plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if not text or text[0] not in "+-.0123456789":
        return text
    digits = text.replace("_", "") if text[0] != "." else text
    if match := _INTEGER.fullmatch(digits):
        sign = -1 if match[1] == "-" else 1
        for group, base in ((2, 16), (3, 2), (4, 8), (5, 10)):
            if match[group] is not None and len(match[group]) <= 64:
                number = sign * int(match[group], base)
                if -(2**63) <= number < 2**64:
                    return number
    if _FLOAT.fullmatch(digits):
        number_ = float(digits)
        if math.isinf(number_):
            raise Unreadable(f"the number {text[:40]} is out of range")
        return number_
    if _INFINITE.fullmatch(text):
        raise Unreadable(f"{text} is no number that JSON has")
    return text
