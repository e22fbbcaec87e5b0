"""The snapshot of another server of this cluster, for one that starts: Envoys are served though AWS
does not answer.
"""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import msgspec

from .published import STORED_LIMIT, Unusable
from .server import OBJECTS, POINTER_NAME
from .sources import Unavailable

ASKED = 3  # peers
TIMEOUT_S = 3.0


class Peer:
    """A Source: one server at host:port, known by our authority and `name`."""

    def __init__(self, target: str, ca: bytes, name: str, token: Callable[[], str]) -> None:
        self._token = token
        options = [("grpc.ssl_target_name_override", name), ("grpc.max_receive_message_length", STORED_LIMIT + 1_024)]
        self._channel: Any = grpc.secure_channel(target, grpc.ssl_channel_credentials(ca), options)
        self._call = self._channel.unary_unary(OBJECTS)

    def pointer(self) -> dict[str, Any] | None:
        """As of Source."""
        try:
            return msgspec.json.decode(self._get(POINTER_NAME), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise Unusable(f"the peer's pointer: {error}") from error

    def object(self, digest: str) -> bytes:
        """As of Source."""
        return self._get(digest.encode())

    def close(self) -> None:
        """End its connection."""
        self._channel.close()

    def _get(self, name: bytes) -> bytes:
        try:
            found: bytes = self._call(name, timeout=TIMEOUT_S, metadata=[("authorization", f"Bearer {self._token()}")])
            return found
        except (grpc.RpcError, OSError) as error:
            raise Unavailable(
                f"a peer: {error.code().name if isinstance(error, grpc.Call) else type(error).__name__}"
            ) from error


def addresses(service: str, port: int, own: str) -> Iterator[str]:
    """The other servers behind a headless Service, at most ASKED."""
    try:
        found = sorted(
            {str(entry[4][0]) for entry in socket.getaddrinfo(service, port, type=socket.SOCK_STREAM)} - {own}
        )
    except OSError:
        return
    for address in found[:ASKED]:
        yield f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
