"""HTTP/2 and gRPC for the world's programs: the same answers, as one message each."""

import asyncio
from collections.abc import Awaitable, Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

Reply = Callable[[str, dict[str, str]], Awaitable[tuple[int, str]]]
_CODES = {503: 14, 504: 4, 500: 13, 404: 12}  # gRPC's UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL, UNIMPLEMENTED


def message(text: str) -> bytes:
    """A gRPC message whose first field is a text, with its length before it; at most 127 bytes."""
    data = text.encode()[:120]
    body = bytes((10, len(data))) + data
    return bytes((0, *len(body).to_bytes(4, "big"))) + body


def text(message: bytes) -> str:
    """The first field of such a message."""
    return message[7 : 7 + message[6]].decode() if len(message) > 6 else ""


async def serve(reply: Reply, began: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, of which `began` was read already; streams are answered as they end, beside each other."""
    connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    connection.initiate_connection()
    asked: dict[int, dict[str, str]] = {}
    answering: set[asyncio.Task[None]] = set()

    async def answer(stream: int, headers: dict[str, str]) -> None:
        status, body = await reply(headers[":path"], headers)
        try:
            if headers.get("content-type", "").startswith("application/grpc"):
                _grpc(connection, stream, status, body)
            else:
                data = body.encode()
                connection.send_headers(stream, [(":status", str(status)), ("content-type", "text/plain"), ("content-length", str(len(data)))])
                connection.send_data(stream, data, end_stream=True)
        except ProtocolError:
            return  # the caller went away meanwhile
        writer.write(connection.data_to_send())

    data = began
    try:
        while data:
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    asked[event.stream_id] = dict(event.headers)
                elif isinstance(event, DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamReset):
                    asked.pop(event.stream_id, None)
                elif isinstance(event, StreamEnded) and event.stream_id in asked:
                    task = asyncio.create_task(answer(event.stream_id, asked.pop(event.stream_id)))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
            writer.write(connection.data_to_send())
            await writer.drain()
            data = await reader.read(65_536)
    finally:
        for task in answering:
            task.cancel()


def _grpc(connection: H2Connection, stream: int, status: int, body: str) -> None:
    """One message and good trailers, or the trailers alone."""
    head = [(":status", "200"), ("content-type", "application/grpc")]
    if status != 200:
        connection.send_headers(stream, [*head, ("grpc-status", str(_CODES.get(status, 2)))], end_stream=True)
        return
    connection.send_headers(stream, head)
    connection.send_data(stream, message(body))
    connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)
