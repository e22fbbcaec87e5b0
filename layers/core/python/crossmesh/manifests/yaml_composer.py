"""One part of a YAML file as plain values, with the line of every field.

PyYAML's own constructor will not do: it reads YAML 1.1's bare `y` and `n` as text where
sigs.k8s.io/yaml reads booleans, lets duplicate keys pass, and forgets where a value stood. It works
on the parser's events, so that depth and aliases are bounded before anything is built.
"""

import re
from typing import Any

import msgspec
import yaml

from crossmesh.core.documents import Finding, SourceLocation
from crossmesh.manifests.scalars import Unreadable, key_text, resolve

DEPTH = 100  # levels of nesting
# Characters of a key: no longer than the longest label that Kubernetes takes, 253 of prefix, a
# slash and 63 of name
KEY = 317
# Bytes that the values of a file and the paths of their fields may take: 10 to 30 times what
# manifests of that size need
MEMORY = 100_000_000
_FINDING = 1_000  # bytes of a mistake
_VALUE = 200  # bytes that a value takes at least, with its entry in the table of lines
ALIASED = 100_000  # values that aliases may stand for in one file: a bomb is refused, not unpacked
_VERSION = re.compile(r"^apiVersion:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_KIND = re.compile(r"^kind:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
# What a manifest of ours may be in
_OURS = re.compile(r"appmesh\.k8s\.aws/|v1 Namespace$|\S+ \w*List$")


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """One YAML document: its value, where it begins, the line of each dotted field, and the text of
    scalars that look otherwise than they read.
    """

    document: int
    value: Any
    line: int
    lines: dict[str, int]
    written: dict[str, str] = {}


class Refused(Exception):
    def __init__(self, code: str, line: int, message: str, fix: str) -> None:
        super().__init__(message)
        self.code, self.line, self.message, self.fix = code, line, message, fix


def finding_of(file: str, document: int, refused: Refused) -> Finding:
    place = SourceLocation(file=file, line=refused.line, document=document)
    return Finding(level="error", code=refused.code, place=place, message=refused.message, fix=refused.fix)


class Budget:
    """What is left to one file."""

    def __init__(self) -> None:
        self.aliased, self.memory = ALIASED, MEMORY


class Composer:
    """Plain values from the parser's events, for one part of a file."""

    def __init__(self, file: str, text: str, first: int, document: int, budget: "Budget") -> None:
        self.file, self.text, self.first, self.document, self.budget = file, text, first, document, budget
        self.findings: list[Finding] = []
        self.last = max(len(text.splitlines()) - 1, 0)
        self._begin()

    def _begin(self) -> None:
        self.lines: dict[str, int] = {}
        self.written: dict[str, str] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0

    def run(self) -> list[Tree]:
        """The documents of the part; a mistake of syntax ends it."""
        trees: list[Tree] = []
        try:
            self.events = _parser(self.text)
            while (event := self._next()) is not None:
                if isinstance(event, yaml.DocumentStartEvent):
                    self._begin()
                    root = self._next()
                    value = self._value(root, "", 0)
                    if value is not None:
                        trees.append(
                            Tree(
                                document=self.document,
                                value=value,
                                line=self._line(root),
                                lines=self.lines,
                                written=self.written,
                            )
                        )
                        self.document += 1
        except yaml.YAMLError as error:
            self._refuse(self._syntax(error))
        except Refused as refused:
            self._refuse(refused)
        return trees

    def _refuse(self, refused: Refused) -> None:
        """A part that cannot be read: an error, but for another tool's document, such as a
        Deployment with an unfilled template's braces.
        """
        found = finding_of(self.file, self.document, refused)
        if (
            (version := _VERSION.search(self.text))
            and (kind := _KIND.search(self.text))
            and not _OURS.match(f"{version[1]} {kind[1]}")
        ):
            message = f"{refused.message}; the {kind[1]} is read past, but kubectl will refuse it"
            found = msgspec.structs.replace(found, level="warning", message=message)
        self.findings.append(found)
        self.document += 1

    def _next(self) -> Any:
        return self.events.get_event()

    def _line(self, event: Any) -> int:
        """An empty value at the end of a text without a last line break begins, for libyaml, on a
        line that is not there.
        """
        return min(int(event.start_mark.line), self.last) + self.first

    def _value(self, event: Any, field: str, depth: int) -> Any:
        if not field:
            self.lines[""] = self._line(event)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, field)
        elif isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        elif depth >= DEPTH:
            raise Refused(
                "too-deep", self._line(event), f"found more than {DEPTH} levels of nesting", "no manifest nests so deep"
            )
        else:
            before = self.count
            build = self._mapping if isinstance(event, yaml.MappingStartEvent) else self._sequence
            value = build(field, depth)
            self._remember(event, value, self.count - before + 1)
            return value
        self._remember(event, value, 1)
        return value

    def _remember(self, event: Any, value: Any, size: int) -> None:
        self.count += 1
        if event.anchor:
            self.anchors[event.anchor] = (value, size)

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            raise Refused(
                "not-yaml", self._line(event), f"no anchor &{event.anchor} stands before this alias", "define it first"
            )
        value, size = self.anchors[event.anchor]
        self.count += size
        self.budget.aliased -= size
        if self.budget.aliased < 0:
            raise Refused(
                "alias-bomb",
                self._line(event),
                f"aliases stand for more than {ALIASED:,} values",
                "write the values out",
            )
        return value

    def _sequence(self, field: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            here = f"{field}[{len(found)}]"
            self._remember_line(here, event)
            found.append(self._value(event, here, depth + 1))
        return found

    def _mapping(self, field: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, line = self._key(event, field), self._line(event)
            here = f"{field}.{key}" if field else key
            if key == "<<" and event.style in ("", None):
                self._merge(merged, self._value(self._next(), here, depth + 1), line)
                continue
            if key in found:
                message = f"{key} stands here twice (first on line {self.lines[here]})"
                self._error("duplicate-key", line, here, message, "keep one of them")
            self._remember_line(here, event)
            found[key] = self._value(self._next(), here, depth + 1)
        return {**merged, **found} if merged else found

    def _key(self, event: Any, field: str) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise Refused("bad-key", self._line(event), "a key here is not text", "keys are single words")
        if len(event.value) > KEY:
            message = f"a key here has {len(event.value):,} characters, allowed are {KEY}"
            raise Refused("bad-key", self._line(event), message, "no key of a manifest is so long")
        plain = event.style in ("", None) and event.tag in (None, "")
        try:
            key, surprising = key_text(event.value, plain=plain)
        except Unreadable as error:
            raise Refused("bad-key", self._line(event), str(error), "quote the key if it is text") from None
        if surprising:
            here = f"{field}.{key}" if field else key
            self._error(
                "surprising-key",
                self._line(event),
                here,
                f"the key {event.value} reads as {key}",
                "quote it if it is text",
                "warning",
            )
        return key

    def _remember_line(self, here: str, event: Any) -> None:
        """Where a field stands. The path is kept whole for each of them, so long ones are paid for
        before they are many.
        """
        self.budget.memory -= _VALUE + here.__sizeof__()
        if self.budget.memory < 0:
            message = f"the values and the paths to them take more than {MEMORY // 1_000_000} MB"
            raise Refused("too-large", self._line(event), message, "split the file, or nest less")
        self.lines[here] = self._line(event)

    def _merge(self, merged: dict[str, Any], value: Any, line: int) -> None:
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict):
                raise Refused(
                    "not-yaml", line, "`<<` merges something that is not an object", "merge an alias of an object"
                )
            for key, part in item.items():
                merged.setdefault(key, part)

    def _scalar(self, event: Any, field: str) -> Any:
        try:
            value = resolve(event.value, plain=event.style in ("", None), tag=event.tag)
        except Unreadable as error:
            self._error("bad-value", self._line(event), field, str(error), "quote it if it is text")
            return None
        if value is not None and not isinstance(value, str) and str(value) != event.value:
            self.written[field] = event.value
        return value

    def _error(self, code: str, line: int, field: str, message: str, fix: str, level: Any = "error") -> None:
        place = SourceLocation(file=self.file, line=line, document=self.document, field=field)
        self.budget.memory -= _FINDING
        if self.budget.memory < 0:
            raise Refused(
                "too-large", line, "the file has more mistakes than anybody reads", "correct those named first"
            )
        self.findings.append(Finding(level=level, code=code, place=place, message=message, fix=fix))

    def _syntax(self, error: yaml.YAMLError) -> Refused:
        mark = getattr(error, "problem_mark", None)
        if mark is None:
            position = int(getattr(error, "position", 0) or 0)
            line = self.text.encode()[:position].count(b"\n") + self.first
            return Refused(
                "not-yaml", line, f"not YAML: {getattr(error, 'reason', '') or error}", "remove the character"
            )
        source = self.text.splitlines()
        row = min(mark.line, max(len(source) - 1, 0))
        text = source[row] if source else ""
        if "\t" in text[: len(text) - len(text.lstrip())]:
            return Refused(
                "not-yaml",
                row + self.first,
                "a tab indents this line; YAML indents with spaces",
                "replace the tab by spaces",
            )
        if marked := next(
            (number for number in range(row, -1, -1) if source and source[number].startswith("\ufeff")), None
        ):
            message = "a byte order mark (U+FEFF, invisible) begins this line: two files were joined here"
            return Refused(
                "byte-order-mark",
                marked + self.first,
                message,
                "delete the mark, and put a line --- between the documents",
            )
        context, begun = getattr(error, "context", None), getattr(error, "context_mark", None)
        since = (
            f" {context}" + (f" begun on line {begun.line + self.first}" if begun is not None else "")
            if context
            else ""
        )
        return Refused(
            "not-yaml", row + self.first, f"not YAML: {getattr(error, 'problem', '')}{since}", "correct the syntax"
        )


def _parser(text: str) -> Any:
    """libyaml's parser where PyYAML was built with it, else PyYAML's own: the same events,
    slower.
    """
    if yaml.__with_libyaml__:
        from yaml.cyaml import CParser  # type: ignore[attr-defined]

        return CParser(text)
    return yaml.SafeLoader(text)
