"""Many changes, few hints: the first at once, then at most one a second, and always one after the
last change.
"""

import logging
import threading
import time
from collections.abc import Callable

from .backoff import delay
from .bus import NotSent

LOG = logging.getLogger("crossmesh.watcher")
APART_S = 1.0  # between two hints, however many pods move
FIRST_S, MOST_S = 0.1, 10.0  # waits between tries while the bus takes none


class Hints(threading.Thread):
    """Sends for as long as the process lives. A change that comes while a hint is on its way counts
    as new: the look may have begun before it.
    """

    def __init__(self, send: Callable[[], None]) -> None:
        super().__init__(name="hints", daemon=True)
        self._send = send
        self._changed = threading.Condition()
        self._pending = self._ended = False
        self.failures = 0  # in a row

    def note(self) -> None:
        """Something relevant changed."""
        with self._changed:
            self._pending = True
            self._changed.notify()

    def end(self, seconds: float) -> None:
        """Send what is pending, once and at once, and stop; wait for that no longer than
        `seconds`.
        """
        with self._changed:
            self._ended = True
            self._changed.notify()
        self.join(seconds)

    def run(self) -> None:
        """Until ended."""
        while True:
            with self._changed:
                while not self._pending and not self._ended:
                    self._changed.wait()
                if not self._pending:
                    return
                self._pending, last = False, self._ended
            wait = self._try()
            if last:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._ended, wait)

    def _try(self) -> float:
        """One hint; the seconds until the next may follow. What was not sent is pending again."""
        began = time.monotonic()
        try:
            self._send()
        except Exception as error:  # the thread must go on: a watcher that cannot hint would be alive and dumb
            self.failures += 1
            with self._changed:
                self._pending = True
            wait = delay(self.failures, FIRST_S, MOST_S)
            known = isinstance(error, NotSent)
            LOG.warning(
                "hint not sent",
                exc_info=None if known else error,
                extra={"data": {"cause": f"{error}", "failures": self.failures}},
            )
            return wait
        LOG.info(
            "hint sent", extra={"data": {"ms": round(1000 * (time.monotonic() - began)), "failures": self.failures}}
        )
        self.failures = 0
        return max(0.0, began + APART_S - time.monotonic())
