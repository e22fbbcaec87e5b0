"""HTTPS to one cluster's API, bounded by the one who waits: by the time of a whole answer, by its
bytes as sent, and by its bytes as decoded.
"""

import contextlib
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote

import urllib3
import urllib3.exceptions as failed
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from crossmesh.adapters.kubernetes.client import client
from crossmesh.core.observed import Cause

# Seconds: of a connection with its handshake, and between two bytes
CONNECT_TIMEOUT, READ_TIMEOUT = 3.0, 10.0
# Bytes of one answer; a page of 500 real pods is about 3 MB, a tenth of it as sent
MOST_SENT, MOST_DECODED = 8_000_000, 24_000_000
_CHUNK = 65_536
WAITED_FOR = "crossmesh-cluster"  # the name of the thread that asks one

T = TypeVar("T")


class NotSeen(Exception):
    """Why a cluster could not be seen."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause: Cause = cause
        self.detail = detail


class TooLarge(NotSeen):
    """An answer above the bounds."""

    def __init__(self, what: str, most: int, how: str) -> None:
        super().__init__("too-large", f"{what}: the answer is larger than {most // 1_000_000} MB {how}")


def within(seconds: float, do: Callable[[], T], late: Callable[[], T]) -> T:
    """`do()`, or `late()` after so many seconds, whatever `do` waits for. It goes on in a thread
    that nobody waits for.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(do())
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            failed.append(error)

    thread = threading.Thread(target=work, name=WAITED_FOR, daemon=True)
    thread.start()
    thread.join(seconds)
    if done:
        return done[0]
    if failed:
        raise failed[0]
    return late()


def context(ca: bytes) -> ssl.SSLContext:
    """TLS that trusts this authority alone.

    Python 3.13 verifies strictly by default (VERIFY_X509_STRICT) and so refuses authorities without
    key identifiers, which EKS made up to Kubernetes 1.16.
    """
    made = ssl.create_default_context(cadata=ca.decode())
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


class Transport:
    """Requests over the Kubernetes client's connection pool for one cluster."""

    def __init__(self, endpoint: str, tls: ssl.SSLContext, at_once: int) -> None:
        self._sockets = set[Any]()
        self._pools = _pools(endpoint, tls, at_once)
        self._pools.pool_classes_by_scheme = {**self._pools.pool_classes_by_scheme, "https": _watched(self._sockets)}

    def request(
        self, verb: str, url: str, headers: dict[str, str], body: bytes | None, until: float, most: int = MOST_DECODED
    ) -> tuple[int, bytes]:
        """Status and whole body, decoded. Raises NotSeen where no complete answer came by `until`
        (seconds since the epoch).
        """
        room, what = until - time.time(), url.partition("?")[0]
        if room <= 0:
            raise NotSeen("timeout", "no time was left to ask")
        try:
            timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, room), read=min(READ_TIMEOUT, room))
            # Whether to ask again is ours to decide: with urllib3's default of 3 retries a timeout
            # of 3 s takes 12 (measured).
            response: Any = self._pools.request(
                verb,
                url,
                body=body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                return response.status, _read(response, what, until, most)
            except BaseException:
                response.close()  # never to be used again: the rest of the answer is still in it
                raise
        except NotSeen:
            raise
        except (failed.SSLError, ssl.SSLError) as error:
            raise NotSeen("tls", f"{what}: {_reason(error)}") from error
        except (
            failed.ConnectTimeoutError,
            failed.NewConnectionError,
            failed.NameResolutionError,
            ConnectionRefusedError,
        ) as error:
            raise NotSeen("unreachable", f"no connection to {what} ({type(error).__name__})") from error
        except (TimeoutError, failed.ReadTimeoutError) as error:
            raise NotSeen("timeout", f"{what}: no answer within {min(READ_TIMEOUT, room):.0f} s") from error
        except (failed.ProtocolError, failed.DecodeError, zlib.error) as error:
            raise NotSeen("cut", f"{what}: the answer ended early ({type(error).__name__})") from error
        except Exception as error:
            raise NotSeen("unreachable", f"{what}: {type(error).__name__}") from error

    def sever(self) -> None:
        """End every connection now: whoever reads from one stops reading."""
        for held in tuple(self._sockets):
            with contextlib.suppress(OSError):
                # Not SSLSocket's, which takes TLS away under its reader
                socket.socket.shutdown(held, socket.SHUT_RDWR)
        self._sockets.clear()


def _pools(endpoint: str, tls: ssl.SSLContext, at_once: int) -> Any:
    """The Kubernetes client's connections to one host, at most `at_once` of them kept. It follows
    the environment's proxies.
    """
    loaded = client()
    configuration = loaded.configuration(host=endpoint)
    configuration.connection_pool_maxsize = at_once
    if configuration.proxy and "://" not in configuration.proxy:  # as curl and AWS's SDK read it
        configuration.proxy = f"http://{configuration.proxy}"
    if configuration.proxy and (secret := urllib3.util.parse_url(configuration.proxy).auth):
        configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=unquote(secret))
    pools = loaded.rest(configuration).pool_manager
    pools.connection_pool_kw["ssl_context"] = tls
    return pools


def _read(response: Any, what: str, until: float, most: int) -> bytes:
    """The whole body, piece by piece, so that neither its time nor its size is the sender's to
    choose.
    """
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding not in ("gzip", "identity"):
        raise NotSeen("cut", f"{what}: an answer in a coding that was not asked for")
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if coding == "gzip" else None
    pieces: list[bytes] = []
    sent = size = 0
    while piece := response.read1(_CHUNK, decode_content=False):
        if time.time() > until:
            raise NotSeen("timeout", f"{what}: the answer had not ended in time")
        sent += len(piece)
        if sent > min(MOST_SENT, most):
            raise TooLarge(what, min(MOST_SENT, most), "as sent")
        if unpack is not None:
            piece = unpack.decompress(piece, most - size + 1)
        size += len(piece)
        if size > most:
            raise TooLarge(what, most, "decoded")
        pieces.append(piece)
    if unpack is not None and (not unpack.eof or unpack.unused_data):
        raise NotSeen("cut", f"{what}: its compressed answer does not end where it should")
    return b"".join(pieces)


def _reason(error: BaseException) -> str:
    """What TLS refused, in OpenSSL's words."""
    inner = error.args[0] if error.args and isinstance(error.args[0], ssl.SSLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {inner.verify_message}"
    return str(getattr(inner, "reason", None) or inner)[:200]


def _watched(sockets: set[Any]) -> type:
    """A pool whose connections are known as long as they are open."""

    class Connection(HTTPSConnection):
        """As urllib3's."""

        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

        def close(self) -> None:
            sockets.discard(self.sock)
            super().close()

    class Pool(HTTPSConnectionPool):
        """As urllib3's."""

        ConnectionCls = Connection

    return Pool
