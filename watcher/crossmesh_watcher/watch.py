"""Following one namespace for as long as the process lives: list, watch, resume, list again when
that is what it takes.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from .api import Api, Expired, Failed
from .backoff import delay
from .pods import Known

LOG = logging.getLogger("crossmesh.watcher")
FIRST_S, MOST_S = 0.2, 10.0  # waits between tries
STEADY_S = 5.0  # a watch that lasted this long was no failure, however it ended
WATCH_S = (240, 300)  # a watch's length is drawn from this, so that watchers spread out
PULSE_S = 300.0  # longer than any single wait, silence or list


class NamespaceWatch(threading.Thread):
    """Calls `note` at every relevant change. No exception ends it: the process would be alive and
    blind.
    """

    def __init__(self, namespace: str, api: Api, note: Callable[[], None], ended: threading.Event) -> None:
        super().__init__(name=f"watch-{namespace}", daemon=True)
        self.namespace, self.listed = namespace, False
        self._api, self._note, self._ended = api, note, ended
        self._known, self._version = Known(), ""
        self._pulse = time.monotonic()

    def beats(self) -> bool:
        """Whether the thread lives and moved not long ago."""
        return self.is_alive() and time.monotonic() - self._pulse < PULSE_S

    def run(self) -> None:
        """Until the process ends."""
        failures = 0
        while not self._ended.is_set():
            self._pulse = began = time.monotonic()
            asked = self._once()
            failures = 0 if time.monotonic() - began >= STEADY_S and asked <= 0.0 else failures + 1
            if failures:
                self._ended.wait(max(delay(failures, FIRST_S, MOST_S), min(asked, 3 * MOST_S)))

    def _once(self) -> float:
        """List if need be, then one watch to its end. The seconds that the API asked to be left
        alone (0 mostly).
        """
        opened = False
        try:
            if not self._version:
                self._list()
            opened = True
            self._follow()
        except Expired as error:
            self._version = ""
            LOG.info(
                "version too old, listing again", extra={"data": {"namespace": self.namespace, "cause": str(error)}}
            )
        except Exception as error:  # whatever went wrong: say it, wait, go on
            known = isinstance(error, Failed | OSError | RuntimeError)
            LOG.warning(
                "watch lost" if opened else "list failed",
                exc_info=None if known else error,
                extra={"data": {"namespace": self.namespace, "cause": f"{error}"}},
            )
            return error.after if isinstance(error, Failed) else 0.0
        return 0.0

    def _list(self) -> None:
        version, pods = self._api.snapshot(self.namespace)
        if self._known.listed(pods):
            self._note()
        self._version, self.listed = version, True
        LOG.info("listed", extra={"data": {"namespace": self.namespace, "pods": len(self._known), "version": version}})

    def _follow(self) -> None:
        """One watch. If it cannot even be opened the API was away, perhaps restored from a backup:
        then its versions mean nothing to us.
        """
        resumed, self._version = self._version, ""
        for kind, pod in self._api.watch(self.namespace, resumed, random.randint(*WATCH_S)):
            self._pulse = time.monotonic()
            self._version = pod.metadata.resource_version
            if kind == "BOOKMARK":
                continue
            if self._known.deleted(pod) if kind == "DELETED" else self._known.moved(pod):
                self._note()
        self._version = self._version or resumed
