"""The JSON Schema of crossmesh.yaml, for editors and other tools: the rules of `settings_rules` in
JSON Schema's words.
"""

from collections.abc import Callable
from typing import Any

from crossmesh.manifests.schema import Flag, Listing, Number, Record, Rule, Share, Span, Table, Text, Whole
from crossmesh.manifests.settings.rules import SETTINGS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SHARE = "^(?:[0-9]{1,2}(?:\\.[0-9]+)?|100(?:\\.0+)?) ?%$"
_SPAN = "^(?:[0-9]+(?:\\.[0-9]+)?(?:ms|s|m|h))+$"


def settings_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    head = {"$schema": DIALECT, "title": "crossmesh.yaml", "description": "The settings of a crossmesh deployment."}
    return {**head, **to_json_schema(SETTINGS)}


def to_json_schema(rule: Rule) -> dict[str, Any]:
    """One rule as JSON Schema."""
    return _WRITERS[type(rule)](rule)


def _text(rule: Text) -> dict[str, Any]:
    if rule.choices:
        return {"enum": list(rule.choices)}
    made: dict[str, Any] = {"type": "string"}
    if rule.least:
        made["minLength"] = rule.least
    if rule.most is not None:
        made["maxLength"] = rule.most
    if rule.pattern:
        made["pattern"] = f"^(?:{rule.pattern})$"
    return made


def _whole(rule: Whole) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "integer"}
    if rule.least > -(2**63):
        made["minimum"] = rule.least
    if rule.most < 2**63 - 1:
        made["maximum"] = rule.most
    return made


def _number(rule: Number) -> dict[str, Any]:
    return {"type": "number", "minimum": rule.least, "maximum": rule.most}


def _flag(_: Flag) -> dict[str, Any]:
    return {"type": "boolean"}


def _share(_: Share) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "pattern": _SHARE}, {"type": "number", "minimum": 0, "maximum": 1}]}


def _span(rule: Span) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "pattern": _SPAN}, {"type": "number", "minimum": 0, "maximum": rule.most}]}


def _listing(rule: Listing) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "array", "items": to_json_schema(rule.item)}
    if rule.least:
        made["minItems"] = rule.least
    if rule.most is not None:
        made["maxItems"] = rule.most
    return made | ({"uniqueItems": True} if rule.unique else {})


def _table(rule: Table) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "additionalProperties": to_json_schema(rule.item)}
    if rule.key != Text():
        made["propertyNames"] = {key: value for key, value in _text(rule.key).items() if key != "type"}
    if rule.most is not None:
        made["maxProperties"] = rule.most
    return made | ({"minProperties": rule.least} if rule.least else {})


def _record(rule: Record) -> dict[str, Any]:
    members = {
        name: {**to_json_schema(f.rule), **({"description": f.says} if f.says else {})}
        for name, f in rule.fields.items()
    }
    made: dict[str, Any] = {
        "type": ["object", "null"] if rule.empty else "object",
        "properties": members,
        "additionalProperties": False,
    }
    required = [name for name, field in rule.fields.items() if field.required]
    if required:
        made["required"] = required
    if rule.one_of:
        made["allOf"] = [{"oneOf": [{"required": [name]} for name in group]} for group in rule.one_of]
    return made


_WRITERS: dict[type, Callable[[Any], dict[str, Any]]] = {
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
