"""What Lambda tells of each invocation and ministack does not: its X-Ray segment (with Tracing: Active), how long it took, and how much processor it used.

Only imported in ministack's process.
"""

import json
import logging
import os
import queue
import re
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime

from world.aws.clients import client
from world.aws.config import Document

log = logging.getLogger(__name__)
AT_ONCE = 20


class Requests:
    """What crossmesh itself asks of ministack's services (by its user agent), counted: for what a call costs."""

    def __init__(self) -> None:
        self._counted: dict[str, int] = {}

    def count(self, method: str, headers: dict[bytes, bytes]) -> None:
        """One request; of writes to DynamoDB also the kilobytes, by which they are charged (the request is a little longer than the item)."""
        if b"crossmesh/" not in headers.get(b"user-agent", b""):
            return
        target = headers.get(b"x-amz-target", b"").decode().rpartition(".")[2]
        name = target or f"S3.{method}"
        self._counted[name] = self._counted.get(name, 0) + 1
        if target in ("PutItem", "UpdateItem"):
            kilobytes = -(-int(headers.get(b"content-length", b"0")) // 1024)
            self._counted["write units"] = self._counted.get("write units", 0) + kilobytes

    def shown(self, _: Document) -> Document:
        """All since the start."""
        return {"requests": dict(self._counted)}


REQUESTS = Requests()


class Invocations:
    """Sends what it saw in a thread of its own: an invocation never waits for X-Ray."""

    def __init__(self, world: Document) -> None:
        self._xray = client(world, "xray", retries={"max_attempts": 1}, connect_timeout=1, read_timeout=5)
        self._seen: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._kept: deque[Document] = deque(maxlen=2000)

    def install(self) -> None:
        """Around every invocation of a warm worker."""
        invoke = lambda_runtime.Worker.invoke

        def traced(worker: Any, event: Any, request_id: str, *, trace_id: str | None = None, **named: Any) -> Any:
            process = worker._proc
            start, before = time.time(), processor_ms(process)
            answer = invoke(worker, event, request_id, trace_id=trace_id, **named)
            end = time.time()
            warm = process is not None and worker._proc is process
            self._kept.append(
                {
                    "function": worker.func_name,
                    "at": start,
                    "ms": (end - start) * 1000,
                    "cold": not warm,
                    "processor_ms": processor_ms(worker._proc) - (before if warm else 0.0),
                }
            )
            if trace_id:
                self._seen.put(segment(worker.func_name, request_id, trace_id, start, end, failed=answer.get("status") != "ok"))
            return answer

        lambda_runtime.Worker.invoke = traced
        threading.Thread(target=self._send, daemon=True, name="invocations").start()

    def shown(self, _: Document) -> Document:
        """The last invocations."""
        return {"invocations": list(self._kept)}

    def _send(self) -> None:
        while True:
            documents = [self._seen.get()]
            time.sleep(0.3)
            while len(documents) < AT_ONCE and not self._seen.empty():
                documents.append(self._seen.get())
            try:
                self._xray.put_trace_segments(TraceSegmentDocuments=documents)
            except Exception as error:
                log.warning("segments lost: %s", error)


def processor_ms(process: Any) -> float:
    """Milliseconds of processor that a process has used so far (the kernel counts in ticks of 10); 0 where there is none."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except (AttributeError, OSError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def segment(function: str, request_id: str, header: str, start: float, end: float, *, failed: bool) -> str:
    """A segment document of one invocation, under the ids that its trace header gave to the function."""
    root, parent = re.search(r"Root=([^;]+)", header), re.search(r"Parent=([^;]+)", header)
    return json.dumps(
        {
            "id": parent[1] if parent else "",
            "trace_id": root[1] if root else "",
            "name": function,
            "origin": "AWS::Lambda::Function",
            "start_time": start,
            "end_time": end,
            "fault": failed,
            "aws": {"request_id": request_id},
        }
    )
