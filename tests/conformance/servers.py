"""Real servers on loopback that misbehave in one way each: what the prober has to live with. Each runs in a thread and ends with its `with`."""

import datetime as dt
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Talk = Callable[[socket.socket, bytes], None]


class Served:
    """A running server: its port and the requests that came, as bytes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[bytes] = []
        self.most_at_once = 0

    def url(self, path: str = "/", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@contextmanager
def serve(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[Served]:
    """Answer each connection by `talk(connection, request head)` in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.settimeout(0.05)
    served, stop, now, lock = Served(listener.getsockname()[1]), threading.Event(), [0], threading.Lock()
    workers: list[threading.Thread] = []

    def work(raw: socket.socket) -> None:
        with lock:
            now[0] += 1
            served.most_at_once = max(served.most_at_once, now[0])
        try:
            raw.settimeout(5)
            with context.wrap_socket(raw, server_side=True) if context else raw as wire:
                head = b""
                while b"\r\n\r\n" not in head and head[:1] != b"\x16" and (piece := wire.recv(4096)):  # 0x16: a TLS greeting has no end of head
                    head += piece
                served.requests.append(head)
                talk(wire, head)
        except OSError:
            pass  # the client went away, which is what half of these tests are about
        finally:
            with lock:
                now[0] -= 1

    def accept() -> None:
        while not stop.is_set():
            try:
                raw, _ = listener.accept()
            except TimeoutError:
                continue
            workers.append(threading.Thread(target=work, args=(raw,)))
            workers[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield served
    finally:
        stop.set()
        acceptor.join()
        listener.close()
        for worker in workers:
            worker.join()


def answer(body: str = "blue", status: str = "200 OK", **headers: str) -> Talk:
    """A plain answer."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    data = f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    return lambda wire, _: wire.sendall(data)


def raw(data: bytes) -> Talk:
    """Exactly these bytes, then the end."""
    return lambda wire, _: wire.sendall(data)


def reset(wire: socket.socket, _: bytes) -> None:
    """RST instead of an answer."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


def drip(wire: socket.socket, _: bytes) -> None:
    """A header that never ends, a byte every 20 ms: no single read ever times out."""
    wire.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(200):
        wire.sendall(b"a")
        time.sleep(0.02)


def silent(wire: socket.socket, _: bytes) -> None:
    """No answer, until the client leaves."""
    wire.recv(1)


@contextmanager
def refusing() -> Iterator[int]:
    """A port on which nobody listens while the `with` lasts."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def certificate(folder: Path, days: float, name: str = "front.test") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server, client) contexts of a self-signed certificate for `name` that ends in `days` days (negative: has ended)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - dt.timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(secret + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())
