"""What a value may be, as data, and a check that finds every mistake of it at once.

One description serves three: the check with its messages, the values it hands on (members nobody
knows left out, as clusters drop them; whole floats as integers; null as absent), and the JSON
Schema that is published for crossmesh.yaml.
"""

import msgspec


class Text(msgspec.Struct, frozen=True):
    """Text of `least` to `most` characters, one of `choices`, or fitting `pattern`, which `says`
    puts into words.
    """

    least: int = 0
    most: int | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    says: str = ""


class Whole(msgspec.Struct, frozen=True):
    """An integer. Without bounds, of 64 bits."""

    least: int = -(2**63)
    most: int = 2**63 - 1


class Number(msgspec.Struct, frozen=True):
    """A number in JSON's sense, whole or not."""

    least: float
    most: float


class Flag(msgspec.Struct, frozen=True):
    """True or false."""


class Share(msgspec.Struct, frozen=True):
    """A part of a whole: 15% or 0.15; handed on as a float of 0 to 1."""


class Span(msgspec.Struct, frozen=True):
    """A length of time: 20s, 1m, 500ms, or seconds as a number; handed on in seconds, at most
    `most`.
    """

    most: float = 86_400.0


class Listing(msgspec.Struct, frozen=True):
    """A list of `item`s."""

    item: "Rule"
    least: int = 0
    most: int | None = None
    unique: bool = False


class Table(msgspec.Struct, frozen=True):
    """An object whose keys are free (within `key`) and whose values are all `item`s."""

    item: "Rule"
    key: Text = Text()
    least: int = 0
    most: int | None = None


class Field(msgspec.Struct, frozen=True):
    """A member of a Record."""

    rule: "Rule"
    required: bool = False
    says: str = ""


class Record(msgspec.Struct, frozen=True):
    """An object with named members. Of each group in `one_of` exactly one must be there. `empty`:
    null stands for an empty one.
    """

    fields: dict[str, Field]
    one_of: tuple[tuple[str, ...], ...] = ()
    empty: bool = False


Rule = Text | Whole | Number | Flag | Share | Span | Listing | Table | Record


def record(_one_of: tuple[tuple[str, ...], ...] = (), /, **members: "Rule | Field") -> Record:
    """A Record from its members; a bare rule is an optional member."""
    return Record({name: m if isinstance(m, Field) else Field(m) for name, m in members.items()}, _one_of)


def need(rule: Rule, says: str = "") -> Field:
    """A member that must be there."""
    return Field(rule, True, says)


def may(rule: Rule, says: str = "") -> Field:
    """A member that may be there, with words for the published schema."""
    return Field(rule, False, says)


def with_members(base: Record, **members: "Rule | Field") -> Record:
    """`base` with more members, or others of the same name."""
    return Record({**base.fields, **record(**members).fields}, base.one_of)


def one_of(*choices: str) -> Text:
    """Text out of a few words."""
    return Text(choices=choices)
