"""X-Ray as a function sees it: the trace that its invocation belongs to, and the daemon that takes
subsegments.

Lambda makes the function's own segment (Tracing: Active); what is sent here hangs below it. One
datagram, no library: X-Ray's developer guide, "Sending trace data to X-Ray" (header line, then the
document) and "Segment documents".
"""

import json
import os
import secrets
import socket
import time
from typing import NamedTuple

_HEADER = b'{"format": "json", "version": 1}\n'


class Trace(NamedTuple):
    """A trace and the place in it below which one hangs; "" = at the top."""

    root: str
    parent: str = ""

    def header(self, *, sampled: bool) -> str:
        """As X-Amzn-Trace-Id carries it."""
        return f"Root={self.root}" + (f";Parent={self.parent}" if self.parent else "") + f";Sampled={int(sampled)}"


def new_trace() -> Trace:
    """One of its own."""
    return Trace(f"1-{int(time.time()):08x}-{secrets.token_hex(12)}")


def invocation_trace() -> Trace | None:
    """The trace of this invocation; None outside Lambda and where X-Ray does not record it."""
    parts = dict(part.partition("=")[::2] for part in os.environ.get("_X_AMZN_TRACE_ID", "").split(";"))
    if parts.get("Sampled") != "1" or not parts.get("Root") or not parts.get("Parent"):
        return None
    return Trace(parts["Root"], parts["Parent"])


def below(trace: Trace) -> Trace:
    """A new place below: the id of the subsegment that will be sent."""
    return Trace(trace.root, secrets.token_hex(8))


class HttpCall(NamedTuple):
    """A GET that was made. `start`, `end`: seconds since the epoch; `status` 0: no answer came."""

    host: str
    url: str
    status: int
    start: float
    end: float


def send_call(parent: Trace, this: Trace, call: HttpCall) -> None:
    """Tell that a call was made: a remote subsegment of the invocation. Losing it loses a line of a
    picture, so nothing is raised.
    """
    host_port = os.environ.get("AWS_XRAY_DAEMON_ADDRESS", "")
    address, _, port = host_port.rpartition(":")
    if not address or not port.isdigit():
        return
    document = {
        "id": this.parent,
        "trace_id": this.root,
        "parent_id": parent.parent,
        "type": "subsegment",
        "namespace": "remote",
        "name": call.host[:200],
        "start_time": call.start,
        "end_time": call.end,
        "fault": call.status >= 500 or not call.status,
        "error": 400 <= call.status < 500,
        "http": {"request": {"method": "GET", "url": call.url}, "response": {"status": call.status}},
    }
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(_HEADER + json.dumps(document).encode(), (address, int(port)))
    except OSError:
        return
