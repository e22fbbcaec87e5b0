"""Watch a function of the emulator without changing what it does."""

import functools
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


def after(act: Callable[..., Any], then: Callable[..., None]) -> Callable[..., Any]:
    """`act`, and `then` with the same arguments. What goes wrong in `then` is logged: it must not break what it watches."""

    @functools.wraps(act)
    def both(*arguments: Any, **named: Any) -> Any:
        answer = act(*arguments, **named)
        try:
            then(*arguments, **named)
        except Exception:
            log.exception("after %s", act.__name__)
        return answer

    return both
