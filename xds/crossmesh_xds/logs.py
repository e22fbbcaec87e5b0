"""Log lines as JSON on standard output, one an event: time, level, message, and the `data` it was
given. No request, header or token is ever logged.
"""

import json
import logging
import sys
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """`extra={"data": {...}}` becomes keys of the line."""

    def __init__(self, **always: str) -> None:
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "timestamp": at,
            "level": record.levelname,
            "message": record.getMessage(),
            **self._always,
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start(**always: str) -> None:
    """Send every logger's lines there: ours from INFO on, libraries' from WARNING on. Each has the
    keys of `always`.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(**always))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("crossmesh.xds").setLevel(logging.INFO)
