"""The walkthrough's programs: feapp passes on a body with 200 whatever its upstream said; colorapp tells its colour."""

import asyncio
import ipaddress
import random
from typing import Any

BEHIND = 10_000  # a pod has one address here, so that a program beside an Envoy cannot listen where the Envoy does
ENVOY = "envoy"  # the container's name, as the injecting webhook adds it
NOWHERE = "127.255.255.254"  # what a name resolves to that only an Envoy knows


def behind(port: int) -> int:
    """Where a program listens whose Envoy listens at `port`."""
    return port + BEHIND if port + BEHIND < 65_536 else port - BEHIND


class App:
    """A program: `ports` it listens on, `serve` a connection (several requests on one)."""

    def __init__(self, address: str, ports: tuple[int, ...]) -> None:
        self.address, self.ports = address, ports
        self.connections: set[asyncio.StreamWriter] = set()
        self.behaviour: dict[str, Any] = {}

    async def answer(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and body."""
        raise NotImplementedError

    async def reply(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Status and body, as it is told to behave."""
        if self.behaviour.get("delay_ms"):
            await asyncio.sleep(self.behaviour["delay_ms"] / 1000)
        if random.random() < self.behaviour.get("fail_rate", 1.0 if "status" in self.behaviour else 0.0):
            return int(self.behaviour.get("status", 503)), str(self.behaviour.get("body", ""))
        return await self.answer(path, headers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """HTTP/1.1 with keep-alive; HTTP/2 and gRPC where the other side begins so."""
        while True:
            line = await asyncio.wait_for(reader.readline(), 60)
            if not line:
                return
            if line == b"PRI * HTTP/2.0\r\n":
                from world.pods.http2 import serve

                await serve(self.reply, line, reader, writer)
                return
            path = line.split()[1].decode()
            headers = await read_headers(reader)
            await reader.readexactly(int(headers.get("content-length", "0")))
            status, body = await self.reply(path, headers)
            close = headers.get("connection", "").lower() == "close"
            data = body.encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {len(data)}\r\nConnection: {'close' if close else 'keep-alive'}\r\n\r\n"
            writer.write(head.encode() + data)
            await writer.drain()
            if close:
                return


class Color(App):
    """colorapp: `/ping` → Pong, anything else its colour."""

    def __init__(self, address: str, ports: tuple[int, ...], color: str) -> None:
        super().__init__(address, ports)
        self.color = color

    async def answer(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """The colour."""
        return 200, "Pong" if path == "/ping" else self.color


class Front(App):
    """feapp: `/color` asks COLOR_HOST at `/` through the Envoy beside it, without a timeout of its own, and passes the body on with 200."""

    def __init__(self, address: str, ports: tuple[int, ...], upstream: str, via: int) -> None:
        super().__init__(address, ports)
        self.upstream, self.via = upstream, via

    async def answer(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Pong, a colour, or 404."""
        if path == "/ping":
            return 200, "Pong"
        if path.partition("?")[0] != "/color":
            return 404, "404 page not found"
        try:
            reader, writer = await asyncio.open_connection(self.address, self.via, local_addr=(self.address, 0))
        except OSError:
            return 500, "Internal Server Error"
        trace = headers.get("x-amzn-trace-id", "")
        extra = f"X-Amzn-Trace-Id: {trace}\r\n" if trace else ""
        extra += "".join(f"{name}: {value}\r\n" for name, value in headers.items() if name.startswith("color_"))
        try:
            writer.write(called(self.address, self.upstream))
            writer.write(f"GET / HTTP/1.1\r\nHost: {self.upstream}\r\n{extra}Connection: close\r\n\r\n".encode())
            await reader.readline()
            answered = await read_headers(reader)
            length = answered.get("content-length")
            body = await (reader.readexactly(int(length)) if length is not None else reader.read())
            return 200, body.decode()
        except (OSError, asyncio.IncompleteReadError):
            return 500, "Internal Server Error"
        finally:
            writer.close()


class Echo(App):
    """Anything else: 200 with the path."""

    async def answer(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """The path."""
        return 200, path


async def read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    """Header lines up to the empty one, names in small letters."""
    found = {}
    while (line := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        found[name.lower()] = value.strip()
    return found


def called(source: str, upstream: str) -> bytes:
    """A PROXY line: tells an Envoy whom the program calls, as the pod's redirect would by the connection's first address."""
    host, _, port = upstream.rpartition(":")
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        host = NOWHERE
    return f"PROXY TCP4 {source} {host} 1024 {port}\r\n".encode()


_PORTS = {"colorapp": (8080,), "feapp": (8080,)}  # of programs whose containers declare none


def app_for(pod: dict[str, Any], *, sidecar: bool) -> App:
    """The program that a pod's image names. Beside an Envoy it listens behind its ports; in a gateway's pod there is none."""
    container = next((one for one in pod["spec"]["containers"] if one["name"] != ENVOY), None)
    address = pod["status"]["podIP"]
    if container is None:
        return Echo(address, ())
    env = {item["name"]: item.get("value", "") for item in container.get("env") or ()}
    image = container.get("image", "").rpartition("/")[2].partition(":")[0]
    declared = tuple(int(port["containerPort"]) for port in container.get("ports") or ()) or _PORTS.get(image, ())
    ports = tuple(behind(port) for port in declared) if sidecar else declared
    if image == "colorapp":
        return Color(address, ports, env.get("COLOR", "n/a"))
    if image == "feapp":
        host, _, port = env.get("COLOR_HOST", "").partition(":")
        return Front(address, ports, f"{host}:{port or 80}", 15001)
    if image == "curler":
        return Echo(address, ())
    return Echo(address, ports)
