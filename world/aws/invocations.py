"""Lambda's own segments: with Tracing: Active each invocation is one, and ministack, which hands functions their trace, sends none. In its process only."""

import json
import logging
import queue
import re
import threading
import time
from typing import Any

from ministack.core import lambda_runtime

from world.aws.clients import client
from world.aws.config import Document

log = logging.getLogger(__name__)
AT_ONCE = 20


class Invocations:
    """Sends what it saw in a thread of its own: an invocation never waits for X-Ray."""

    def __init__(self, world: Document) -> None:
        self._xray = client(world, "xray", retries={"max_attempts": 1}, connect_timeout=1, read_timeout=5)
        self._seen: queue.SimpleQueue[str] = queue.SimpleQueue()

    def install(self) -> None:
        """Around every invocation of a warm worker."""
        invoke = lambda_runtime.Worker.invoke

        def traced(worker: Any, event: Any, request_id: str, *, trace_id: str | None = None, **named: Any) -> Any:
            start = time.time()
            answer = invoke(worker, event, request_id, trace_id=trace_id, **named)
            if trace_id:
                self._seen.put(segment(worker.func_name, request_id, trace_id, start, time.time(), failed=answer.get("status") != "ok"))
            return answer

        lambda_runtime.Worker.invoke = traced
        threading.Thread(target=self._send, daemon=True, name="invocations").start()

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
