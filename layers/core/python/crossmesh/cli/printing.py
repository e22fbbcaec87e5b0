"""How the command line prints: colour and tables on a terminal, plain text in a pipe, JSON on request."""

import sys
from typing import Any, TextIO

import msgspec
from rich.console import Console


def console(to: TextIO | None = None) -> Console:
    """A console that folds nothing in a pipe."""
    stream = to or sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 200, soft_wrap=True)


def print_json(value: Any) -> None:
    """Indented, keys sorted."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode() + "\n")
