"""Sampled requests, as Envoy wrote them down, become X-Ray segments: front calls a colour."""

import asyncio
import json
import re
import secrets
from pathlib import Path
from typing import Any

from world.aws.clients import client

EVERY_S = 0.5


class Segments:
    """Follows the access logs of the proxies."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._folder = Path(document["dir"])
        self._xray = client(document, "xray", retries={"max_attempts": 1}, connect_timeout=1, read_timeout=5)
        self._read: dict[Path, int] = {}

    async def follow(self, names: Any) -> None:
        """Until cancelled. `names` gives proxy ids, from which a log's own virtual node is known."""
        while True:
            own = {proxy.rpartition("|")[2]: proxy.rpartition("|")[0].rpartition("/")[2] for proxy in names()}
            documents = []
            for file in self._folder.glob("access-*.log"):
                name = own.get(file.stem.removeprefix("access-"), "front")
                for line in self._new(file):
                    documents += _segments(name, line)
            if documents:
                try:
                    await asyncio.to_thread(self._xray.put_trace_segments, TraceSegmentDocuments=documents)
                except Exception:
                    await asyncio.sleep(EVERY_S)
            await asyncio.sleep(EVERY_S)

    def _new(self, file: Path) -> list[dict[str, Any]]:
        with file.open() as lines:
            lines.seek(self._read.get(file, 0))
            data = lines.read()
            self._read[file] = lines.tell()
        return [json.loads(line) for line in data.splitlines() if line.startswith("{")]


def _segments(front: str, line: dict[str, Any]) -> list[str]:
    found = re.search(r"Root=([0-9a-f-]+)", str(line.get("trace") or ""))
    if not found:
        return []
    start, seconds, code = float(line["start"]), float(line["ms"]) / 1000, int(line["code"])
    caller, call, callee = (secrets.token_hex(8) for _ in range(3))
    about = {"request": {"method": "GET", "url": f"http://{line['authority']}/"}, "response": {"status": code}}
    times = {"start_time": start, "end_time": start + seconds, "trace_id": found[1]}
    target = str(line.get("cluster") or "none")
    sub = {
        "id": call,
        "name": target,
        "start_time": start,
        "end_time": start + seconds,
        "namespace": "remote",
        "http": about,
        "fault": code >= 500,
    }
    return [
        json.dumps({**times, "id": caller, "name": front, "http": about, "fault": code >= 500, "subsegments": [sub]}),
        json.dumps({**times, "id": callee, "parent_id": call, "name": target, "http": about, "fault": code >= 500}),
    ]
