"""What the kubelet asks. /livez: every thread moves, a restart would not help; /readyz: every
namespace was listed and hints are taken.
"""

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Check = Callable[[], list[str]]
"""What is wrong, a line each; empty: nothing."""


def serve(address: tuple[str, int], checks: dict[str, Check]) -> ThreadingHTTPServer:
    """Answer GET of each path in `checks`, 200 or 503, from a thread that ends with the process.
    Raises OSError where the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        """One probe."""

        timeout = 5  # seconds: a client that says nothing holds no thread for long

        def do_GET(self) -> None:
            """Health in a status and a line of text."""
            check = checks.get(self.path)
            wrong = check() if check else ["no such path"]
            body = ("\n".join(wrong) or "ok").encode() + b"\n"
            self.send_response(404 if check is None else 503 if wrong else 200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server calls it
            """Probes are many; a debug line each."""
            logging.getLogger("crossmesh.watcher.health").debug(format, *args)

    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
