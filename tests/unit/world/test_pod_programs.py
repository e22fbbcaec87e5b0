"""Programs of the world's pods: whom they say they call, and that they speak HTTP/2 and gRPC."""

import asyncio
import socket
from typing import Any

import pytest
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, TrailersReceived

from world.pods.apps import App, Color, Front, app_for, called
from world.pods.http2 import message, text


@pytest.mark.parametrize(("upstream", "host"), [("colors.local:8080", "127.255.255.254"), ("127.1.2.3:8080", "127.1.2.3")])
def test_whom_a_program_calls(upstream: str, host: str) -> None:
    assert called("127.9.9.9", upstream) == f"PROXY TCP4 127.9.9.9 {host} 1024 8080\r\n".encode()


async def _asked(app: App, *headers: tuple[str, str], body: bytes = b"") -> tuple[dict[str, str], bytes]:
    """Header fields, trailers among them, and data that a program answers one HTTP/2 request with."""
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=there)
    serving = asyncio.create_task(app.serve(reader, writer))
    back, out = await asyncio.open_connection(sock=here)
    connection, found, data, ended = H2Connection(), {}, b"", False
    connection.initiate_connection()
    connection.send_headers(1, [(":scheme", "http"), (":authority", "a"), *headers], end_stream=not body)
    if body:
        connection.send_data(1, body, end_stream=True)
    out.write(connection.data_to_send())
    while not ended:
        for event in connection.receive_data(await back.read(65_536)):
            if isinstance(event, ResponseReceived | TrailersReceived):
                found |= {name.decode(): value.decode() for name, value in event.headers}
            if isinstance(event, DataReceived):
                data += event.data
            ended |= getattr(event, "stream_ended", None) is not None
    out.close()
    writer.close()
    await asyncio.wait_for(serving, 5)
    return found, data


def test_a_program_answers_http2() -> None:
    app = Color("127.9.9.9", (), "blue")
    found, data = asyncio.run(_asked(app, (":method", "GET"), (":path", "/")))
    assert (found[":status"], data) == ("200", b"blue")
    app.behaviour = {"status": 500, "body": "broken"}
    found, data = asyncio.run(_asked(app, (":method", "GET"), (":path", "/")))
    assert (found[":status"], data) == ("500", b"broken")


@pytest.mark.parametrize(("behaviour", "status", "said"), [({}, "0", "blue"), ({"status": 503}, "14", ""), ({"status": 418}, "2", "")])
def test_a_program_answers_grpc(behaviour: dict[str, Any], status: str, said: str) -> None:
    app = Color("127.9.9.9", (), "blue")
    app.behaviour = behaviour
    head = ((":method", "POST"), (":path", "/s.S/Get"), ("content-type", "application/grpc"))
    found, data = asyncio.run(_asked(app, *head, body=message("?")))
    assert (found[":status"], found["grpc-status"], text(data)) == ("200", status, said)


def pod(image: str, *containers: str, ports: tuple[int, ...] = (), **env: str) -> dict[str, Any]:
    declared = [{"containerPort": port} for port in ports]
    told = [{"name": name, "value": value} for name, value in env.items()]
    found = [{"name": name, "image": image, "ports": declared, "env": told} for name in containers]
    return {"status": {"podIP": "127.9.9.9"}, "spec": {"containers": found}}


@pytest.mark.parametrize(("image", "ports"), [("colorapp", ()), ("feapp", (8080,)), ("other", (8080, 60_000))])
def test_a_program_beside_an_envoy_listens_behind_its_ports(image: str, ports: tuple[int, ...]) -> None:
    alone = app_for(pod(image, "app", ports=ports), sidecar=False)
    assert alone.ports == (ports or (8080,))
    for containers in (("app", "envoy"), ("envoy", "app")):
        assert app_for(pod(image, *containers, ports=ports), sidecar=True).ports == tuple(
            {8080: 18_080, 60_000: 50_000}[port] for port in alone.ports
        )


def test_a_gateways_pod_has_no_program() -> None:
    assert app_for(pod("aws-appmesh-envoy", "envoy", ports=(8088,)), sidecar=True).ports == ()


async def _passed_on(monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[int, str], list[str]]:
    """What feapp answers, and the lines that it sends to the Envoy beside it."""
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=there)
    connection = await asyncio.open_connection(sock=here)
    asked: list[tuple[Any, ...]] = []

    async def connect(*address: Any, **_: Any) -> Any:
        asked.append(address)
        return connection

    monkeypatch.setattr(asyncio, "open_connection", connect)
    answering = asyncio.create_task(Front("127.9.9.9", (), "colors.local:8080", 15001).answer("/color", {"color_side": "blue"}))
    lines = [(await reader.readline()).decode().strip()]
    while lines[-1]:
        lines.append((await reader.readline()).decode().strip())
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue")
    answer = await asyncio.wait_for(answering, 5)
    writer.close()
    assert asked == [("127.9.9.9", 15001)]
    return answer, lines


def test_feapp_says_first_whom_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, lines = asyncio.run(_passed_on(monkeypatch))
    assert answer == (200, "blue")
    assert lines[:3] == ["PROXY TCP4 127.9.9.9 127.255.255.254 1024 8080", "GET / HTTP/1.1", "Host: colors.local:8080"]
    assert "color_side: blue" in lines
