"""One request of the prober: a connection of its own, one deadline over all its phases and hops,
and a bound for whatever a server sends.

Never raises for what a server does: that is a `Sample` with its class of error.
"""

import contextlib
import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Collection
from typing import NamedTuple, cast
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from crossmesh.adapters import tls
from crossmesh.adapters.http_body import ACCEPTED, UnreadableError, text_of
from crossmesh.adapters.resolve import ForbiddenAddressError, Resolve, resolve_within
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis import probe_policy

HEAD_LIMIT = 16_384  # bytes of status line and headers, interim answers among them
REDIRECTS = 3
_USUAL = {80, 443}  # ports that a redirect may lead to besides the canary's own
_REDIRECTING = {301, 302, 303, 307, 308}
_READ_AHEAD = 4096
_DAY = 86_400.0
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?\.?|[0-9a-f:.]{2,45}(%[a-z0-9_.-]{1,30})?")


class Way(NamedTuple):
    """What the requests of a run have in common. `hosts`: where a redirect may lead besides the
    host that was asked; `also`: see `reach.probeable`.
    """

    resolve: Resolve
    trust: ssl.SSLContext | None
    hosts: Collection[str]
    also: Collection[str]
    body_limit: int
    follow: bool


class _Target(NamedTuple):
    """What a URL says, checked."""

    secure: bool
    host: str
    port: int
    path: str


def _target(url: str) -> _Target:
    """Raises ValueError for what is not an http(s) URL with a host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url[:200]!r} is no http or https URL")
    if not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"{parts.hostname[:80]!r} is no host name")
    secure = parts.scheme == "https"
    path = quote(parts.path or "/", safe="/:@!$&'()*+,;=~%") + (
        f"?{quote(parts.query, safe='/:@!$&()*+,;=~%?')}" if parts.query else ""
    )
    return _Target(secure, parts.hostname.lower(), parts.port or (443 if secure else 80), path)


class Request:
    """One request with its redirects: fills its sample as it goes, so that what was measured before
    an error is kept.
    """

    def __init__(self, way: Way, timeout: float, headers: dict[str, str], trace: str) -> None:
        self._way, self._trust = way, way.trust
        self._headers = {**headers, "Accept-Encoding": ACCEPTED, "Connection": "close"}
        self._public: set[str] = set()  # hosts that were asked at an address of the Internet
        self._began = self._mark = time.perf_counter()
        self._deadline = self._began + timeout
        self._times = {"dns_ms": 0.0, "connect_ms": 0.0, "tls_ms": 0.0, "first_byte_ms": 0.0}
        self._sample = Sample(trace_id=trace)

    def run(self, url: str) -> Sample:
        """The sample, whatever happens."""
        try:
            target = _target(url)
            hosts, ports = {target.host, *self._way.hosts}, {target.port, *_USUAL}
            while True:
                location = self._hop(target)
                if not (self._way.follow and location):
                    break
                following = _target(
                    urljoin(f"http{'s' if target.secure else ''}://{_netloc(target)}{target.path}", location)
                )
                refusal = self._refusal(target, following, hosts, ports)
                if refusal:
                    self._set(detail=f"redirect to {location[:200]!r} not followed: {refusal}")
                    break
                target = following
                self._set(hops=self._sample.hops + 1, status=0, headers={}, body="")
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause, said = (
                tls.told(error, target.host) if _class_of(error) == "tls" else ("", f"{type(error).__name__}: {error}")
            )
            self._set(error=_class_of(error), cause=cause, detail=said[:200], status=0)
        times = {name: round(spent, 3) for name, spent in self._times.items()}
        return msgspec.structs.replace(
            self._sample, latency_ms=round((time.perf_counter() - self._began) * 1000, 3), **times
        )

    def _refusal(self, target: _Target, following: _Target, hosts: Collection[str], ports: Collection[int]) -> str:
        if self._sample.hops >= REDIRECTS:
            return f"more than {REDIRECTS} redirects"
        if following.host not in hosts:
            return f"{following.host} is not a declared host"
        if following.port not in ports:
            return f"{following.port} is not a declared port"
        return "it leads from https to http" if target.secure and not following.secure else ""

    def _hop(self, target: _Target) -> str:
        """One exchange; where it redirects to, "" = nowhere."""
        self._mark = time.perf_counter()
        try:
            address, port = resolve_within(self._way.resolve, target.host, target.port, self._left(), self._way.also)
        finally:
            self._spent("dns_ms")
        self._set(address=address)
        if not probe_policy.is_internal(address):
            self._public.add(target.host)
        elif target.host in self._public:
            raise ForbiddenAddressError(
                f"{target.host} was asked at a public address, and now resolves to the internal {address}"
            )
        with contextlib.ExitStack() as stack:
            try:
                wire = stack.enter_context(socket.create_connection((address, port), timeout=self._left()))
            finally:
                self._spent("connect_ms")
            if target.secure:
                wire = stack.enter_context(self._secured(wire, target.host))
            return self._exchange(wire, target)

    def _secured(self, wire: socket.socket, host: str) -> ssl.SSLSocket:
        self._trust = self._trust or ssl.create_default_context()  # reached by a redirect from http
        self._mark = time.perf_counter()
        wire.settimeout(self._left())
        try:
            secured = self._trust.wrap_socket(wire, server_hostname=host)
        finally:
            self._spent("tls_ms")
        ends = (secured.getpeercert() or {}).get("notAfter")
        if isinstance(ends, str):
            self._set(tls_days=round((ssl.cert_time_to_seconds(ends) - time.time()) / _DAY, 2))
        return secured

    def _exchange(self, wire: socket.socket, target: _Target) -> str:
        connection = http.client.HTTPConnection(target.host, target.port)
        # The Host header names a port only where it is not the usual one
        connection.default_port = 443 if target.secure else 80
        limited = _Limited(wire, self._deadline)
        connection.sock = cast("socket.socket", limited)
        try:
            try:
                connection.request("GET", target.path, headers=self._headers)
                answer = connection.getresponse()
                limited.head_left = None
            finally:
                self._spent("first_byte_ms")
            headers = {name.lower(): value for name, value in answer.getheaders()}
            self._set(status=answer.status, headers=headers)
            body = answer.read(self._way.body_limit)
            cut = answer.length if answer.length and len(body) < self._way.body_limit else 0
            try:
                self._set(body=text_of(body, headers, self._way.body_limit))
            except UnreadableError:
                if not cut:
                    raise
            if cut:
                raise ConnectionResetError(f"the body was cut: {cut} of {cut + len(body)} bytes are missing")
        finally:
            connection.close()
        return headers.get("location", "") if answer.status in _REDIRECTING else ""

    def _left(self) -> float:
        """Seconds to the deadline; raises TimeoutError past it."""
        return _left(self._deadline)

    def _spent(self, phase: str) -> None:
        now = time.perf_counter()
        self._times[phase] += (now - self._mark) * 1000
        self._mark = now

    def _set(self, **fields: object) -> None:
        self._sample = msgspec.structs.replace(self._sample, **fields)


class _Limited:
    """A socket for http.client: every read and write ends by one deadline, however slowly bytes
    drip, and the head of the answer is bounded.

    Closing it is the owner's business. `head_left`: bytes that the head may still have, None once
    it is whole.
    """

    def __init__(self, wire: socket.socket, deadline: float) -> None:
        self._wire, self._deadline = wire, deadline
        self.head_left: int | None = HEAD_LIMIT + _READ_AHEAD

    def sendall(self, data: bytes) -> None:
        self._wire.settimeout(_left(self._deadline))
        self._wire.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self), _READ_AHEAD)

    def receive(self, buffer: memoryview) -> int:
        self._wire.settimeout(_left(self._deadline))
        count = self._wire.recv_into(buffer)
        if self.head_left is not None:
            self.head_left -= count
            if self.head_left < 0:
                raise http.client.HTTPException(f"the head of the answer is longer than {HEAD_LIMIT:,} bytes")
        return count

    def close(self) -> None:
        """http.client closes as soon as it has handed the answer over, while that is still to be
        read.
        """


class _Reader(io.RawIOBase):
    def __init__(self, limited: _Limited) -> None:
        self._limited = limited

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._limited.receive(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.perf_counter()
    if left <= 0:
        raise TimeoutError("the request took longer than it may")
    return left


def _netloc(target: _Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


def _class_of(error: Exception) -> str:
    """The stable class of an error; the order matters, for the standard library's classes
    overlap.
    """
    classes: tuple[tuple[str, tuple[type[Exception], ...]], ...] = (
        ("dns", (socket.gaierror,)),
        ("timeout", (TimeoutError,)),
        ("refused", (ConnectionRefusedError,)),
        ("reset", (ssl.SSLEOFError, ssl.SSLZeroReturnError)),
        ("tls", (ssl.SSLError, ssl.CertificateError)),
        ("reset", (ConnectionError, http.client.IncompleteRead)),
        ("forbidden", (ForbiddenAddressError,)),
        ("protocol", (http.client.HTTPException, ValueError)),
    )
    return next((name for name, kinds in classes if isinstance(error, kinds)), "unreachable")
