"""The parser of arguments: prints as all else does, and names the nearest word that exists."""

import argparse
import re
from collections.abc import Callable
from typing import Any, NoReturn

from crossmesh.cli import printing
from crossmesh.core.suggestions import nearest


class Parser(argparse.ArgumentParser):
    """Prints as all else does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """Usage and what is wrong, with the nearest word or flag that exists."""
        if wrong := re.match(r"argument (.*): invalid choice: '([^']*)' \(choose from (.*)\)", message):
            near = nearest(wrong[2], (word.strip(" '") for word in wrong[3].split(",")))
            flag = f"argument {wrong[1]}: " if wrong[1].startswith("-") else ""
            message = f"{flag}there is no {wrong[2]!r} here" + (
                f"; did you mean {near}?" if near else f": choose from {wrong[3]}"
            )
        elif message.startswith("unrecognized arguments: "):
            unknown = message.removeprefix("unrecognized arguments: ").split()
            flag = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
            near = nearest(flag, self.flags())
            message += f"; did you mean {near}?" if near else ""
        super().error(message)

    def flags(self) -> set[str]:
        """Every flag of this parser and of those below it."""
        found = set(self._option_string_actions)
        for action in self._actions:
            for below in action.choices.values() if isinstance(action.choices, dict) else ():
                found |= below.flags()
        return found

    def _print_message(self, message: str, file: Any = None) -> None:
        out = printing.console(file) if file else printing.error_console()
        for line in message.splitlines():
            out.print(line)


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return read


def above_zero(text: str) -> float:
    """A number above 0."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return found
