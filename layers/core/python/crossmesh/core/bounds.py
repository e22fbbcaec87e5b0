"""How much of what others wrote is kept. Each text, list and table that reaches a stored document
passes through here. Pure.

A bound counts bytes of JSON, because that is what a store limits: a control character takes six, an
emoji four. What is left out is said with its count.
"""

import gzip
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TypeVar

import msgspec

STORED = 200_000  # bytes of a document in the table: half of DynamoDB's 400 KB for an item
PAYLOAD = 128_000  # bytes that a state of a state machine hands on: half of Step Functions' 256 KB
LINE = 500  # bytes of one line for people
LINES = 50
_KILOBYTE = 1024  # what a write to the table is charged by

T = TypeVar("T")
V = TypeVar("V")


def text(said: str, most: int = LINE) -> str:
    """`said`, or its beginning and how many characters more there are, in at most `most` bytes of
    JSON.
    """
    if not said.isascii():
        said = said.encode(errors="replace").decode()  # half of a surrogate pair is no text
    if len(said) * 6 <= most or _size(said) <= most:
        return said
    room = most - 40  # for the count
    low, high = 0, min(len(said), room)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(said[:middle]) <= room else (low, middle - 1)
    return f"{said[:low]}… ({len(said) - low:,} characters more)"


def lines(said: Iterable[str], most: int = LINES, each: int = LINE, *, count: int | None = None) -> tuple[str, ...]:
    """The first `most` lines, and how many more there are. `count`: how many there are in all,
    where `said` has only some.
    """
    known = list(said) if count is None else None
    total = len(known) if known is not None else count or 0
    shown = [text(line, each) for line in islice(known if known is not None else said, most)]
    return (*shown, f"and {total - len(shown):,} more") if total > len(shown) else tuple(shown)


def newest(table: Mapping[str, V], most: int, when: Callable[[V], float]) -> dict[str, V]:
    """The `most` entries with the latest times, sorted by key."""
    if len(table) <= most:
        return dict(sorted(table.items()))
    return dict(sorted(sorted(table.items(), key=lambda item: (-when(item[1]), item[0]))[:most]))


def oldest(table: Mapping[str, float], most: int) -> dict[str, float]:
    """The `most` entries with the earliest times, sorted by key."""
    return newest(table, most, lambda at: -at)


def packed(document: bytes) -> bytes:
    """A document as the table keeps it: compressed where that spares a write unit."""
    return gzip.compress(document, compresslevel=6, mtime=0) if len(document) > _KILOBYTE else document


def fits(document: bytes) -> bool:
    """Whether the table may keep it. What is twenty times as large is not tried: ids and times
    never pack so well.
    """
    return len(document) <= STORED or (len(document) <= 20 * STORED and len(packed(document)) <= STORED)


def _size(said: str) -> int:
    return len(msgspec.json.encode(said)) - 2
