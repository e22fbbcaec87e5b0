"""Sampled requests, as Envoy wrote them down, become X-Ray segments: front calls a colour. And X-Ray's daemon: what functions send goes to the API."""

import asyncio
import json
import re
import secrets
from pathlib import Path
from typing import Any

from world.aws.clients import client
from world.dataplane.names import called_node

EVERY_S = 0.5


class Segments:
    """Follows the access logs of the proxies."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._folder = Path(document["dir"])
        self._xray = client(document, "xray", retries={"max_attempts": 1}, connect_timeout=1, read_timeout=5)
        self._read: dict[Path, int] = {}
        self._port = document["ports"]["xray"]
        self.received: list[str] = []

    async def follow(self, names: Any) -> None:
        """Until cancelled. `names` gives proxy ids, from which a log's own virtual node is known."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Daemon(self.received), ("127.0.0.1", self._port))
        try:
            await self._follow(names)
        finally:
            transport.close()

    async def _follow(self, names: Any) -> None:
        while True:
            own = {proxy.rpartition("|")[2]: proxy.rpartition("|")[0] for proxy in names()}
            documents, self.received[:] = list(self.received), []
            for file in self._folder.glob("access-*.log"):
                name = own.get(file.stem.removeprefix("access-"), "mesh//virtualNode/front")
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


class _Daemon(asyncio.DatagramProtocol):
    """A header line, then a document."""

    def __init__(self, received: list[str]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Keep what looks right."""
        header, _, document = data.partition(b"\n")
        if b'"format"' in header and document.startswith(b"{"):
            self._received.append(document.decode("utf-8", "replace"))


def _segments(proxy: str, line: dict[str, Any]) -> list[str]:
    """Of a request that the Envoy of `mesh/<mesh>/<kind>/<name>` sent on."""
    _, mesh, _, front = proxy.split("/")
    found = re.search(r"Root=([0-9a-f-]+)", str(line.get("trace") or ""))
    if not found:
        return []
    start, seconds, code = float(line["start"]), float(line["ms"]) / 1000, int(line["code"])
    caller, call, callee = (secrets.token_hex(8) for _ in range(3))
    about = {"request": {"method": "GET", "url": f"http://{line['authority']}/"}, "response": {"status": code}}
    times = {"start_time": start, "end_time": start + seconds, "trace_id": found[1]}
    above = re.search(r"Parent=([0-9a-f]{16})", str(line["trace"]))
    target = called_node(str(line.get("cluster") or "none"), mesh)
    sub = {
        "id": call,
        "name": target,
        "start_time": start,
        "end_time": start + seconds,
        "namespace": "remote",
        "http": about,
        "fault": code >= 500,
    }
    parent = {"parent_id": above[1]} if above else {}
    return [
        json.dumps({**times, **parent, "id": caller, "name": front, "http": about, "fault": code >= 500, "subsegments": [sub]}),
        json.dumps({**times, "id": callee, "parent_id": call, "name": target, "http": about, "fault": code >= 500}),
    ]
