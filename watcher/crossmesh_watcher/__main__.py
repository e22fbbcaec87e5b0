"""`python -m crossmesh_watcher`: watch until SIGTERM or SIGINT. Exit codes: 0 told to end, 2 the
environment is not usable.
"""

import os
import signal
import sys
import threading
from functools import partial

from . import health, logs, settings
from .access import in_cluster
from .api import Api
from .bus import Bus
from .hints import Hints
from .watch import LOG, NamespaceWatch

# How long the end waits for a pending hint, well within the 10 s that the manifest allows
LAST_HINT_S = 3.0


def main() -> int:
    """Wire the parts and wait."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        given = settings.read(os.environ)
    except settings.SettingsError as error:
        print(f"crossmesh-watcher: {error}".replace("\n", "\ncrossmesh-watcher: "), file=sys.stderr)
        return 2
    logs.start(given.cluster)
    hints = Hints(Bus(given.bus, given.region, given.cluster).send)
    watches = [
        NamespaceWatch(namespace, Api(partial(in_cluster, given.account), given.selector), hints.note, ended)
        for namespace in given.namespaces
    ]

    def live() -> list[str]:
        still = [f"{watch.namespace}: the watch does not move" for watch in watches if not watch.beats()]
        return still + ([] if hints.is_alive() else ["the thread that sends hints is gone"])

    def ready() -> list[str]:
        unlisted = [f"{watch.namespace}: not listed yet" for watch in watches if not watch.listed]
        return unlisted + (
            [f"{hints.failures} hints in a row were not taken; the log says why"] if hints.failures else []
        )

    LOG.info("started", extra={"data": {"namespaces": given.namespaces, "selector": given.selector, "bus": given.bus}})
    for thread in (hints, *watches):
        thread.start()
    server = health.serve(given.health, {"/livez": live, "/readyz": ready})
    ended.wait()
    server.server_close()
    hints.end(LAST_HINT_S)
    LOG.info("ended", extra={"data": {"pending": bool(hints.failures)}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
