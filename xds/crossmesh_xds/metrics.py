"""What people scrape, in the OpenMetrics form, and what probes ask, over plain HTTP."""

import logging
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], list[str]]
"""What is wrong, a line each; empty: nothing."""


class Metrics:
    """One registry for a process. Names of proxies and clusters are no labels: there can be
    thousands.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.read_at = self.looked_at = 0.0  # seconds since 1970; 0: never
        one: dict[str, Any] = {"registry": self.registry, "namespace": "crossmesh_xds"}
        self.streams = Gauge("streams", "Envoys that are connected.", **one)
        self.number = Gauge("snapshot_number", "Number of the snapshot that is served.", **one)
        self.pointer_read = Gauge("pointer_read_timestamp_seconds", "When the pointer was last read.", **one)
        self.looked = Gauge(
            "look_timestamp_seconds", "When a look last ended with the published snapshot in force here.", **one
        )
        self.looks = Counter("looks", "Looks at the pointer, by what they came to.", ["outcome"], **one)
        self.sent = Counter("responses", "Responses sent, by type of resource.", ["type"], **one)
        self.refusals = Counter("refusals", "Responses that Envoys refused, by type of resource.", ["type"], **one)
        self.stopped = Gauge(
            "stopped_resources", "Resources that are no longer sent because Envoys refused them.", **one
        )
        self.unknown = Counter("unknown_endpoint_sets", "Endpoint sets asked for that no snapshot had.", **one)
        self.refused = Counter("refused_streams", "Streams that were refused, by reason.", ["reason"], **one)
        self.behind = Counter("behind_streams", "Streams ended because Envoy held something newer.", **one)
        self.latency = Histogram(
            "push_seconds",
            "From a snapshot to each response that it caused, on its way; what Envoys that come are answered is none.",
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            **one,
        )

    def text(self) -> bytes:
        """The exposition."""
        made: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return made

    def read_now(self, *, in_force: bool) -> None:
        """The pointer was read; `in_force`: what it names is what is served."""
        self.read_at = time.time()
        self.pointer_read.set(self.read_at)
        if in_force:
            self.looked_at = self.read_at
            self.looked.set(self.looked_at)


def serve(address: tuple[str, int], metrics: Metrics, checks: dict[str, Check]) -> ThreadingHTTPServer:
    """Answer GET of /metrics and of each path in `checks` from a thread that ends with the process.
    Raises OSError where the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        """One scrape or probe."""

        timeout = 5  # seconds: a client that says nothing holds no thread for long

        def do_GET(self) -> None:
            """Metrics, or health in a status and lines of text."""
            if self.path == "/metrics":
                self._answer(200, metrics.text(), CONTENT_TYPE_LATEST)
                return
            check = checks.get(self.path)
            wrong = check() if check else ["no such path"]
            body = ("\n".join(wrong) or "ok").encode() + b"\n"
            self._answer(404 if check is None else 503 if wrong else 200, body, "text/plain; charset=utf-8")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server calls it
            """Probes are many; a debug line each."""
            logging.getLogger("crossmesh.xds.http").debug(format, *args)

    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
