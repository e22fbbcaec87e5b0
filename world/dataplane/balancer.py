"""The front load balancer, as a classic ELB: ready pods of a Service, checked by connecting; 503 with an empty body where there is none."""

import asyncio
import secrets
import time
from typing import Any

from world.dataplane.pods_view import PodsView
from world.pods.apps import read_headers

CHECK_S = 0.5


class Balancer:
    """One listener for all Services of type LoadBalancer, told apart by Host; an unknown Host goes to the first, as an address would."""

    def __init__(self, document: dict[str, Any], view: PodsView) -> None:
        self.source = document["pod_network"].rpartition(".")[0].rpartition(".")[0] + ".255.1"
        self.view = view
        self.healthy: dict[tuple[str, int], bool] = {}
        self.detached = False  # a load balancer whose targets nobody registers
        self.turn = 0

    def services(self) -> list[dict[str, Any]]:
        """Those with a load balancer's name."""
        return [service for service in self.view.services if service["hostname"]]

    def targets(self, service: dict[str, Any]) -> list[tuple[str, int]]:
        """Addresses of ready pods that the Service selects; none while detached."""
        if self.detached:
            return []
        port = int(service["ports"][0]["targetPort"])
        return [
            (pod["ip"], port)
            for pod in self.view.pods
            if pod["cluster"] == service["cluster"]
            and pod["namespace"] == service["namespace"]
            and pod["ip"]
            and pod["ready"]
            and not pod["terminating"]
            and all(pod["labels"].get(key) == value for key, value in service["selector"].items())
        ]

    async def check(self) -> None:
        """Health checks, until cancelled."""
        while True:
            wanted = {target for service in self.services() for target in self.targets(service)}
            states = await asyncio.gather(*(self._connects(target) for target in wanted))
            self.healthy = dict(zip(wanted, states, strict=True))
            await asyncio.sleep(CHECK_S)

    async def _connects(self, target: tuple[str, int]) -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(*target, local_addr=(self.source, 0)), 1)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client connection, one request at a time."""
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readline()
        if not line:
            return False
        headers = await read_headers(reader)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        host = headers.get("host", "").partition(":")[0]
        keep = headers.get("connection", "").lower() != "close"
        if "x-amzn-trace-id" not in headers:
            headers["x-amzn-trace-id"] = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        headers["x-forwarded-for"] = writer.get_extra_info("peername")[0]
        headers["connection"] = "close"
        answer = await self._ask(host, line, headers, body)
        if answer is None:
            writer.write(
                b"HTTP/1.1 503 Service Unavailable: Back-end server is at capacity\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
            )
        else:
            status, found, data = answer
            head = [
                status.rstrip(),
                *(f"{k}: {v}".encode() for k, v in found.items() if k not in ("connection", "transfer-encoding", "content-length")),
            ]
            head += [f"content-length: {len(data)}".encode(), b"connection: keep-alive" if keep else b"connection: close"]
            writer.write(b"\r\n".join(head) + b"\r\n\r\n" + data)
        await writer.drain()
        return keep

    async def _ask(self, host: str, line: bytes, headers: dict[str, str], body: bytes) -> tuple[bytes, dict[str, str], bytes] | None:
        services = self.services()
        service = next((s for s in services if s["hostname"] == host), services[0] if services else None)
        up = [target for target in self.targets(service) if self.healthy.get(target)] if service else []
        if not up:
            return None
        self.turn += 1
        try:
            reader, writer = await asyncio.open_connection(*up[self.turn % len(up)], local_addr=(self.source, 0))
            writer.write(line + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items()) + b"\r\n" + body)
            status = await asyncio.wait_for(reader.readline(), 60)
            found = await read_headers(reader)
            if found.get("transfer-encoding", "").lower() == "chunked":
                data = await _chunks(reader)
            elif "content-length" in found:
                data = await reader.readexactly(int(found["content-length"]))
            else:
                data = await reader.read()
            writer.close()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            return b"HTTP/1.1 504 GATEWAY_TIMEOUT\r\n", {}, b""
        return (status, found, data) if status else None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while size := int((await reader.readline()).split(b";")[0] or b"0", 16):
        data += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readline()
    return data
