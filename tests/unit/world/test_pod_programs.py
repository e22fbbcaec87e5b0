"""Programs of the world's pods: whom they say they call, and that they speak HTTP/2 and gRPC."""

import asyncio
import socket
from typing import Any

import pytest
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, TrailersReceived

from world.pods.apps import App, Color, called
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
