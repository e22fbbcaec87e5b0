"""What each cloud is asked, through the adapters wherever an adapter asks it. An answer holds no ids and no times, so that two clouds' can be compared.

Every question makes what it needs under names of its own.
"""

from collections.abc import Callable
from typing import Any

from tests.conformance.second.clouds import Cloud

QUESTIONS: dict[str, Callable[[Cloud], Any]] = {}


def question(ask: Callable[[Cloud], Any]) -> Callable[[Cloud], Any]:
    """Named after the function."""
    QUESTIONS[ask.__name__.replace("_", " ")] = ask
    return ask
