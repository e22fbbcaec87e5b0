"""The check of a value against a schema: all mistakes, each with its place, what was found and what
is allowed.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

from crossmesh.core import bounds
from crossmesh.core.documents import Finding, SourceLocation
from crossmesh.core.suggestions import nearest
from crossmesh.manifests.schema import Field, Flag, Listing, Number, Record, Rule, Share, Span, Table, Text, Whole
from crossmesh.manifests.yaml_composer import Tree
from crossmesh.manifests.yaml_documents import line_of

FINDINGS = 500  # that are told of one document; of the others only how many there are
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SPAN = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+")
_SPAN_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_NOTHING: Any = object()  # what a wrong value is handed on as: absent


class Checker:
    """Collects findings about one document. `unknown` is how grave a member that nobody knows is:
    clusters drop it silently.
    """

    def __init__(self, file: str, tree: Tree, *, unknown: Literal["error", "warning"] = "warning") -> None:
        self.file, self.tree, self.unknown = file, tree, unknown
        self.findings: list[Finding] = []
        self.more = 0

    def value(self, rule: Rule, value: Any, field: str) -> Any:
        """`value` in the schema's form; wrong parts are left out of it and reported."""
        made = _CHECKS[type(rule)](self, rule, value, field)
        return None if made is _NOTHING else made

    def report(
        self, code: str, field: str, message: str, fix: str = "", level: Literal["error", "warning"] = "error"
    ) -> None:
        """Add a finding about `field`."""
        if self.more or len(self.findings) >= FINDINGS:
            self._another(level)
            return
        place = SourceLocation(
            file=self.file,
            line=line_of(self.tree.lines, field, self.tree.line),
            document=self.tree.document,
            field=field,
        )
        self.findings.append(Finding(level=level, code=code, place=place, message=bounds.text(message, 1_000), fix=fix))

    def _another(self, level: Literal["error", "warning"]) -> None:
        """One more than is told. An error among them counts as one, or its document would pass."""
        if self.more and self.findings.pop().level == "error":
            level = "error"
        self.more += 1
        place = SourceLocation(file=self.file, line=self.tree.line, document=self.tree.document)
        message = f"{self.more:,} more mistakes in this document"
        self.findings.append(
            Finding(level=level, code="more-mistakes", place=place, message=message, fix="correct those named first")
        )

    def wrong(self, field: str, value: Any, wanted: str, fix: str = "", code: str = "bad-value") -> Any:
        """Report a value that is not `wanted`."""
        self.report(code, field, f"found {self.shown(value, field)}, wanted {wanted}", fix)
        return _NOTHING

    def shown(self, value: Any, field: str) -> str:
        """A found value in few words, as it was written."""
        written = self.tree.written.get(field)
        if isinstance(value, bool):
            plain = str(value).lower()
            return f"the boolean {plain}" + (
                f" (YAML reads an unquoted {written} as one)" if written not in (None, plain) else ""
            )
        if value is None:
            return "nothing"
        if isinstance(value, str):
            return repr(value if len(value) <= 60 else value[:57] + "...")
        if isinstance(value, int | float):
            return f"the number {written or value}"
        return "a list" if isinstance(value, list) else "an object"


def _text(check: Checker, rule: Text, value: Any, field: str) -> Any:
    if not isinstance(value, str):
        fix = "quote it" if isinstance(value, bool | int | float) else ""
        return check.wrong(field, value, _allowed(rule), fix, "not-text")
    if rule.choices and value not in rule.choices:
        near = nearest(value, rule.choices)
        return check.wrong(field, value, _allowed(rule), f"write {near}" if near else "", "not-allowed")
    if len(value) < rule.least or (rule.most is not None and len(value) > rule.most):
        return check.wrong(field, value, _allowed(rule), f"it has {len(value)} characters", "bad-length")
    if rule.pattern and not _compiled(rule.pattern).fullmatch(value):
        return check.wrong(field, value, _allowed(rule), "", "not-allowed")
    return value


def _allowed(rule: Text) -> str:
    if rule.choices:
        return f"one of {', '.join(rule.choices)}" if len(rule.choices) > 1 else rule.choices[0]
    if rule.says:
        return rule.says
    if rule.most is not None:
        return f"text of {rule.least} to {rule.most} characters"
    return "text, not empty" if rule.least else "text"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _whole(check: Checker, rule: Whole, value: Any, field: str) -> Any:
    wanted = "a whole number"
    if rule.most < 2**63 - 1:
        wanted += f" from {rule.least} to {rule.most}"
    elif rule.least > -(2**63):
        wanted += f" of at least {rule.least}"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        fix = "take the quotes away" if isinstance(value, str) and value.isdigit() else ""
        return check.wrong(field, value, wanted, fix, "not-a-number")
    return value if rule.least <= value <= rule.most else check.wrong(field, value, wanted, "", "out-of-range")


def _number(check: Checker, rule: Number, value: Any, field: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not rule.least <= value <= rule.most:
        return check.wrong(field, value, f"a number from {rule.least:g} to {rule.most:g}", "", "out-of-range")
    return value


def _flag(check: Checker, _: Flag, value: Any, field: str) -> Any:
    return value if isinstance(value, bool) else check.wrong(field, value, "true or false", "", "not-a-boolean")


def _share(check: Checker, _: Share, value: Any, field: str) -> Any:
    found: Any = value
    if isinstance(value, str) and (match := _SHARE.fullmatch(value)):
        found = round(float(match[1]) / 100, 12)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 1:
        bare = str(value) if not isinstance(value, bool) else ""
        fix = f"write {bare}%" if re.fullmatch(r"[0-9]+(\.[0-9]+)?", bare) and float(bare) <= 100 else ""
        return check.wrong(field, value, "a share such as 15% or 0.15, from 0% to 100%", fix, "bad-percentage")
    return float(found)


def seconds_of(text: str) -> float | None:
    """A duration such as 20s, 1m30s or 500ms in seconds; None for what is none."""
    return (
        sum(float(part[1]) * _UNITS[part[2]] for part in _SPAN_PART.finditer(text)) if _SPAN.fullmatch(text) else None
    )


def _span(check: Checker, rule: Span, value: Any, field: str) -> Any:
    found: Any = value
    if isinstance(value, str):
        found = seconds_of(value)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= rule.most:
        return check.wrong(
            field, value, f"a duration such as 20s, 1m or 500ms, at most {rule.most:g} s", "", "bad-duration"
        )
    return float(found)


def _listing(check: Checker, rule: Listing, value: Any, field: str) -> Any:
    if not isinstance(value, list):
        return check.wrong(
            field, value, "a list", f"write [{value}]" if isinstance(value, str | int) else "", "not-a-list"
        )
    if len(value) < rule.least or (rule.most is not None and len(value) > rule.most):
        most = f" to {rule.most}" if rule.most is not None else " or more"
        check.report("bad-length", field, f"found {len(value)} items, wanted {rule.least}{most}")
    made = [
        item
        for index, raw in enumerate(value)
        if (item := _item(check, rule.item, raw, f"{field}[{index}]")) is not _NOTHING
    ]
    if rule.unique:
        seen: set[str] = set()
        for index, item in enumerate(made):
            text = repr(item)
            if text in seen:
                check.report(
                    "duplicate", f"{field}[{index}]", f"{check.shown(item, '')} stands in the list twice", "keep one"
                )
            seen.add(text)
    return made


def _item(check: Checker, rule: Rule, value: Any, field: str) -> Any:
    """An item or entry; here null is a mistake, unless an empty object may be written so."""
    if value is None and isinstance(rule, Record) and rule.empty:
        value = {}
    return _CHECKS[type(rule)](check, rule, value, field)


def _table(check: Checker, rule: Table, value: Any, field: str) -> Any:
    if not isinstance(value, dict):
        fix = (
            f"write a name and a colon before each, such as `{value[0]}: {{}}`"
            if isinstance(value, list) and value and isinstance(value[0], str)
            else ""
        )
        return check.wrong(field, value, "an object", fix, "not-an-object")
    if len(value) < rule.least:
        check.report("bad-length", field, f"found {len(value)} entries, wanted {rule.least} or more")
    if rule.most is not None and len(value) > rule.most:
        check.report("bad-length", field, f"found {len(value):,} entries, wanted at most {rule.most}")
    made = {}
    for key, raw in value.items():
        here = f"{field}.{key}"
        if (
            _text(check, rule.key, key, here) is not _NOTHING
            and (item := _item(check, rule.item, raw, here)) is not _NOTHING
        ):
            made[key] = item
    return made


def _record(check: Checker, rule: Record, value: Any, field: str) -> Any:
    if value is None and rule.empty:
        value = {}
    if not isinstance(value, dict):
        return check.wrong(field, value, "an object", "", "not-an-object")
    made: dict[str, Any] = {}
    for key, raw in value.items():
        here = f"{field}.{key}" if field else key
        known: Field | None = rule.fields.get(key)
        if known is None:
            _unknown(check, rule, key, here)
        elif raw is not None or (isinstance(known.rule, Record) and known.rule.empty):
            item = _CHECKS[type(known.rule)](check, known.rule, raw, here)
            if item is not _NOTHING:
                made[key] = item
    _complete(check, rule, value, field)
    return made


def _complete(check: Checker, rule: Record, value: dict[Any, Any], field: str) -> None:
    """Report required fields that are missing, and groups of which not exactly one is given."""
    for key, known in rule.fields.items():
        if known.required and value.get(key) is None:
            check.report("missing-field", field, f"{key} is missing", known.says or _wanted(known.rule))
    for group in rule.one_of:
        given = [key for key in group if value.get(key) not in (None, "", [], {})]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            check.report("one-of", field, f"found {found}, wanted exactly one of {', '.join(group)}")


def _wanted(rule: Rule) -> str:
    return f"wanted {_allowed(rule)}" if isinstance(rule, Text) and (rule.choices or rule.says) else ""


def _unknown(check: Checker, rule: Record, key: str, field: str) -> None:
    near = nearest(key, rule.fields, cutoff=0.75) if len(check.findings) < FINDINGS else ""
    fix = f"did you mean {near}?" if near else f"known are {', '.join(sorted(rule.fields)) or 'none'}"
    dropped = "" if check.unknown == "error" else "; clusters drop it silently"
    check.report("unknown-field", field, f"{key} is no field here{dropped}", fix, check.unknown)


_CHECKS: dict[type, Callable[[Checker, Any, Any, str], Any]] = {
    Text: _text,
    Whole: _whole,
    Number: _number,
    Flag: _flag,
    Share: _share,
    Span: _span,
    Listing: _listing,
    Table: _table,
    Record: _record,
}
