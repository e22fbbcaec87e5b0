"""What the tests' small HTTP servers share: an answer of known length, and no log."""

from http.server import BaseHTTPRequestHandler
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """Handlers derive from it and, so that the linter knows what `do_GET` is, from the library's class too."""

    def send(self, status: int, data: bytes) -> None:
        """The whole answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing."""
