"""All that the command line prints goes through here: colour on a terminal, plain text in a pipe,
JSON on request.

Names, messages and answers come from clusters, AWS and fronts, so each text is cleaned before it is
printed: it cannot move the cursor, forge a line, write to the clipboard, draw a link or reorder
what is read. No other module of the command line writes to stdout or stderr, or imports rich.
"""

import re
import sys
import traceback
import unicodedata
from collections.abc import Iterable
from typing import Any, Self, TextIO

import msgspec
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.status import Status
from rich.text import Text
from rich.tree import Tree

from crossmesh import __version__

_UNSAFE = frozenset(
    {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
)  # control, format (bidi, zero width, tags), surrogate, private use, separators of lines
_PLAIN = re.compile(r"[\x20-\x7e]*")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")  # JSON escapes U+0000 to U+001F by itself

_WIDEST = 10_000  # characters of a tree's line: a terminal folds it, nobody cuts it
Branch = Tree  # a tree, or a part of one
Part = str | tuple[str, str]  # a text, or a text and its style


def clean(text: str) -> str:
    r"""The text with every character that a terminal may act on replaced by \xNN or \uNNNN, line
    breaks included.
    """
    return text if _PLAIN.fullmatch(text) else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def text(*parts: Part, style: str = "") -> Text:
    """One line made of parts, each cleaned."""
    return Text.assemble(*((clean(p), "") if isinstance(p, str) else (clean(p[0]), p[1]) for p in parts), style=style)


class Screen(Console):
    """A console to which every string is text: no markup, no emoji codes, no highlighting, nothing
    that a terminal acts on.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """One line of text (or a table or tree made here)."""
        for one in objects:
            if isinstance(one, Grid):
                for line in one.lines(self.width):
                    super().print(line)
            elif isinstance(one, Tree):
                before, self.width = self.width, _WIDEST
                try:
                    super().print(one, **options)
                finally:
                    self.width = before
            else:
                super().print(text(one) if isinstance(one, str) else one, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is drawn; a text that came by another way is cleaned here."""
        for segment in super().render(renderable, options):
            yield segment if segment.control or segment.text == "\n" else Segment(clean(segment.text), segment.style)


def console(to: TextIO | None = None) -> Screen:
    """A console that folds nothing in a pipe."""
    stream = to or sys.stdout
    width = None if stream.isatty() else 200
    return Screen(file=stream, width=width, soft_wrap=True, markup=False, emoji=False, highlight=False)


def error_console() -> Screen:
    """The console for what is no result: progress, questions, errors."""
    return console(sys.stderr)


def error(said: str) -> None:
    """A line on stderr that names the program."""
    error_console().print(f"crossmesh: {said}")


def crash(problem: BaseException) -> None:
    """An error that nobody foresaw, with what a bug report needs."""
    out = error_console()
    for line in "".join(traceback.format_tb(problem.__traceback__)).splitlines():
        out.print(line)
    out.print(f"{type(problem).__name__}: {problem}")
    out.print(f"crossmesh {__version__}: this is a bug in crossmesh; please report it with the lines above")


class Grid:
    """Texts under headers. Columns where each row fits in a line, else each row as `header: value`
    lines: nothing is ever cut.
    """

    def __init__(self, *headers: str) -> None:
        self._headers = tuple(text(header) for header in headers)
        self._rows: list[tuple[tuple[Text, ...], str]] = []

    def add_row(self, *cells: str, style: str = "") -> None:
        """A row; each cell is cleaned."""
        self._rows.append((tuple(text(cell) for cell in cells), style))

    def lines(self, width: int) -> list[Text]:
        """What is printed where a line holds `width` characters."""
        table = [self._headers, *(cells for cells, _ in self._rows)]
        widths = [max(cell.cell_len for cell in column) for column in zip(*table, strict=True)]
        if sum(widths) + _GAP * (len(widths) - 1) > width:
            return self._listed()
        styled = [(self._headers, "bold"), *self._rows] if any(header.plain for header in self._headers) else self._rows
        return [Text.assemble(_aligned(cells, widths), style=style) for cells, style in styled]

    def _listed(self) -> list[Text]:
        found: list[Text] = []
        for cells, style in self._rows:
            named = zip(self._headers, cells, strict=True)
            found += [
                Text.assemble(header, ": " if header.plain else "", cell, style=style)
                for header, cell in named
                if cell.plain
            ]
            found.append(Text())
        return found


_GAP = 2  # blanks between columns


def _aligned(cells: tuple[Text, ...], widths: list[int]) -> Text:
    line = Text()
    for cell, wide in zip(cells, widths, strict=True):
        line.append_text(cell).append(" " * (wide - cell.cell_len + _GAP))
    line.rstrip()
    return line


def table(*headers: str) -> Grid:
    """A table without borders."""
    return Grid(*headers)


def tree(*label: Part) -> Tree:
    """A tree; its branches are added with `text`."""
    return Tree(text(*label))


class Progress:
    """One line that changes on a terminal while something goes on; nothing in a pipe."""

    def __init__(self, said: str) -> None:
        self._status = Status(text(said), console=error_console())

    def update(self, said: str) -> None:
        """Say something else."""
        self._status.update(text(said))

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()


def print_json(value: Any) -> None:
    """Indented, keys sorted; what a terminal may act on is escaped as JSON escapes it."""
    shown = msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode()
    sys.stdout.write(_BEYOND_ASCII.sub(_json, shown) + "\n")


def _json(match: re.Match[str]) -> str:
    character = match.group()
    if unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def can_ask() -> bool:
    """Whether a person is there to answer."""
    return sys.stdin.isatty()


def ask(question: str) -> str:
    """What a person answers; "" where the input ended."""
    error_console().print(question, end=" ")
    try:
        return input().strip()
    except EOFError:
        return ""


def on_terminal() -> bool:
    """Whether progress is shown as one changing line."""
    return sys.stderr.isatty()
