"""Listing and watching the pods of a namespace over plain HTTPS. Raises; when to try again is the
caller's to decide.
"""

import socket
from collections.abc import Callable, Iterator
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3

from .access import Access
from .pods import Pod, PodList

PAGE = 250  # pods a page, about 1.5 MB of JSON
CONNECT_S, READ_S = 3.0, 15.0
# Bookmarks come about each minute; a longer silence is a connection that may be dead
SILENCE_S = 90.0
_LONGEST = 8 << 20  # bytes of one event; etcd takes objects up to 1.5 MB

T = TypeVar("T")


class Failed(RuntimeError):
    """The API did not answer as asked. `after`: seconds it wants to be left alone."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Expired(RuntimeError):
    """410: the version is too old, list again."""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


class Api:
    """One thread's connection to the API. `access` is asked for each new connection."""

    def __init__(self, access: Callable[[], Access], selector: str = "") -> None:
        self._access, self._chosen = access, {"labelSelector": selector} if selector else {}
        self._pool: urllib3.PoolManager | None = None
        self._server, self._headers = "", dict[str, str]()

    def snapshot(self, namespace: str) -> tuple[str, list[Pod]]:
        """All pods from one consistent snapshot, and its version; Failed, Expired."""
        pods: list[Pod] = []
        token = ""
        while True:
            response = self._get(
                namespace, {**self._chosen, "limit": str(PAGE), **({"continue": token} if token else {})}, READ_S
            )
            try:
                page = _decoded(response.data, PodList)
            except urllib3.exceptions.HTTPError as error:
                raise self._lost(error) from error
            if page.kind != "PodList":
                raise Failed(f"asked for pods and got a {page.kind}")
            pods += page.items or ()
            token = page.metadata.continue_
            if not token:
                return page.metadata.resource_version, pods

    def watch(self, namespace: str, version: str, seconds: int) -> Iterator[tuple[str, Pod]]:
        """(type, pod) of each event after `version`, bookmarks too, until the server ends it after
        `seconds`; Failed, Expired.

        A silence of SILENCE_S ends it as well: asking again from the same version loses nothing.
        """
        query = {
            **self._chosen,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        response = self._get(namespace, query, SILENCE_S, stream=True)
        try:
            for line in _lines(response):
                event = _decoded(line, _Event)
                if event.type == "ERROR":
                    status = _decoded(event.object, _Status)
                    raise (
                        Expired(status.message)
                        if status.code == 410
                        else Failed(f"the watch answered {status.code}: {status.message}")
                    )
                yield event.type, _decoded(event.object, Pod)
        except urllib3.exceptions.ReadTimeoutError:
            return
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._lost(error) from error
        finally:
            response.close()

    def _get(
        self, namespace: str, query: dict[str, str], read: float, *, stream: bool = False
    ) -> urllib3.BaseHTTPResponse:
        pool = self._connected()
        url = f"{self._server}/api/v1/namespaces/{namespace}/pods?{urlencode(query)}"
        headers = {**self._headers, **({} if stream else {"Accept-Encoding": "gzip"})}
        try:
            response = pool.request(
                "GET",
                url,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=read),
                retries=False,
                preload_content=not stream,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._lost(error) from error
        if response.status == 200:
            return response
        detail = (
            response.read(2048)[:300].decode(errors="replace")
            if stream
            else response.data[:300].decode(errors="replace")
        )
        response.close()
        self._pool = None
        if response.status == 410:
            raise Expired(detail)
        after = response.headers.get("Retry-After", "")
        raise Failed(f"status {response.status}: {detail}", float(after) if after.isdecimal() else 0.0)

    def _connected(self) -> urllib3.PoolManager:
        """The pool, and the token as it is now."""
        access = self._access()
        if self._pool is None:
            self._pool = urllib3.PoolManager(maxsize=1, ssl_context=access.tls(), socket_options=_keep_alive())
        self._server = access.server
        self._headers = {
            "Accept": "application/json",
            "User-Agent": "crossmesh-watcher",
            "Authorization": f"Bearer {access.token}",
        }
        return self._pool

    def _lost(self, error: Exception) -> Failed:
        self._pool = None
        return Failed(f"{type(error).__name__}: {error}")


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Whole lines as they come. What is left of a line when the stream ends is an event that was
    cut, and comes again.
    """
    rest = b""
    for chunk in response.stream(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST:
            raise Failed(f"an event longer than {_LONGEST} bytes")
        yield from (line for line in lines if line.strip())


def _decoded(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise Failed(f"not what Kubernetes answers: {error}") from error


def _keep_alive() -> list[tuple[int, int, int]]:
    """A peer that vanished without a word is noticed within 30 s."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
