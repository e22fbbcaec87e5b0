"""HTTP to the front load balancer, each phase timed apart. Never raises for what a server does: that is a `Sample` with its class of error.

Each request opens a connection of its own, so that the load balancer spreads them, and has one deadline over all its phases and hops: a server that drips
bytes holds nobody. Requests begin at a bounded pace, a few side by side, for the front is probed and not loaded. Redirects lead to declared hosts only.
"""

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, cast
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from crossmesh import __version__
from crossmesh.adapters import tracing
from crossmesh.adapters.resolve import ForbiddenAddressError, Resolve, resolve_within, resolver_at, system_resolve
from crossmesh.core.canary import Sample

__all__ = ["Front", "Resolve", "resolver_at", "system_resolve"]

BODY_LIMIT = 65_536  # bytes read of an answer
AT_ONCE = 8  # requests side by side
PACE = 100.0  # requests begun a second, at most
BUDGET = 40.0  # seconds after which a run begins no request any more: it must end before the function does
REDIRECTS = 3
_REDIRECTING = {301, 302, 303, 307, 308}
_DAY = 86_400.0


class Front:
    """Implements `ports.Front`.

    `hosts`: where a redirect may lead besides the host that was asked. `trust`: whose certificates are believed, by default the system's.
    `sampled` False: not even the first request of a run is traced.
    """

    def __init__(
        self,
        resolve: Resolve = system_resolve,
        *,
        hosts: Collection[str] = (),
        trust: ssl.SSLContext | None = None,
        pace: float = PACE,
        budget: float = BUDGET,
        sampled: bool = True,
    ) -> None:
        self._resolve = resolve
        self._hosts = {host.lower() for host in hosts}
        self._trust = trust
        self._pace = pace
        self._budget = budget
        self._sampled = sampled

    def probe(self, url: str, requests: int, timeout: float, canary: str, *, follow: bool = True) -> tuple[Sample, ...]:
        """`requests` GETs of `url`, each within `timeout` seconds; the first carries a sampled trace header.

        Fewer samples come back where the budget ran out, never none. `follow` False: a redirect is the answer.
        """
        if self._trust is None and url.startswith("https:"):
            self._trust = ssl.create_default_context()  # once, for it reads all authorities: no phase of a request
        began = time.monotonic()

        def one(number: int) -> Sample | None:
            waited = time.monotonic() - began
            if number and waited > self._budget:
                return None
            time.sleep(max(0.0, number / self._pace - waited))
            if number == 0 and self._sampled:
                return self._traced(url, timeout, canary, follow=follow)
            trace = tracing.new_trace()
            return self._request(timeout, canary, trace, sampled=False).run(url, self._hosts, follow=follow)

        with ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, requests))) as pool:
            return tuple(sample for sample in pool.map(one, range(requests)) if sample is not None)

    def _traced(self, url: str, timeout: float, canary: str, *, follow: bool) -> Sample:
        """The one request whose way is recorded: below this invocation's own trace where there is one, so that the map begins at the canary."""
        invocation = tracing.invocation_trace()
        trace = tracing.below(invocation) if invocation else tracing.new_trace()
        start = time.time()
        sample = self._request(timeout, canary, trace, sampled=True).run(url, self._hosts, follow=follow)
        if invocation:
            tracing.send_call(invocation, trace, urlsplit(url).hostname or url, url, sample.status, start, time.time())
        return sample

    def _request(self, timeout: float, canary: str, trace: tracing.Trace, *, sampled: bool) -> "_Request":
        return _Request(self._resolve, self._trust, timeout, _headers(canary, trace.header(sampled=sampled)), trace.root)


def _headers(canary: str, trace: str) -> dict[str, str]:
    name = "".join(char if char.isascii() and char.isprintable() else "?" for char in canary)
    return {
        "User-Agent": f"crossmesh-canary/{__version__} (+{name})",
        "X-Amzn-Trace-Id": trace,
        "Connection": "close",
    }


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
    secure = parts.scheme == "https"
    path = quote(parts.path or "/", safe="/:@!$&'()*+,;=~%") + (f"?{quote(parts.query, safe='/:@!$&()*+,;=~%?')}" if parts.query else "")
    return _Target(secure, parts.hostname.lower(), parts.port or (443 if secure else 80), path)


class _Request:
    """One request with its redirects: fills its sample as it goes, so that what was measured before an error is kept."""

    def __init__(self, resolve: Resolve, trust: ssl.SSLContext | None, timeout: float, headers: dict[str, str], trace: str) -> None:
        self._resolve, self._trust, self._headers = resolve, trust, headers
        self._began = self._mark = time.perf_counter()
        self._deadline = self._began + timeout
        self._times = {"dns_ms": 0.0, "connect_ms": 0.0, "tls_ms": 0.0, "first_byte_ms": 0.0}
        self._sample = Sample(trace_id=trace)

    def run(self, url: str, hosts: Collection[str], *, follow: bool) -> Sample:
        """The sample, whatever happens."""
        try:
            target = _target(url)
            hosts = {target.host, *hosts}
            while True:
                location = self._hop(target)
                if not (follow and location):
                    break
                following = _target(urljoin(f"http{'s' if target.secure else ''}://{_netloc(target)}{target.path}", location))
                refusal = self._refusal(target, following, hosts)
                if refusal:
                    self._set(detail=f"redirect to {location[:200]!r} not followed: {refusal}")
                    break
                target = following
                self._set(hops=self._sample.hops + 1, status=0, headers={}, body="")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._set(error=_class_of(error), detail=f"{type(error).__name__}: {error}"[:200], status=0)
        times = {name: round(spent, 3) for name, spent in self._times.items()}
        return msgspec.structs.replace(self._sample, latency_ms=round((time.perf_counter() - self._began) * 1000, 3), **times)

    def _refusal(self, target: _Target, following: _Target, hosts: Collection[str]) -> str:
        if self._sample.hops >= REDIRECTS:
            return f"more than {REDIRECTS} redirects"
        if following.host not in hosts:
            return f"{following.host} is not a declared host"
        return "it leads from https to http" if target.secure and not following.secure else ""

    def _hop(self, target: _Target) -> str:
        """One exchange; where it redirects to, "" = nowhere."""
        self._mark = time.perf_counter()
        try:
            address, port = resolve_within(self._resolve, target.host, target.port, self._left())
        finally:
            self._spent("dns_ms")
        self._set(address=address)
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
        connection.default_port = 443 if target.secure else 80  # the Host header names a port only where it is not the usual one
        connection.sock = cast("socket.socket", _Limited(wire, self._deadline))
        try:
            try:
                connection.request("GET", target.path, headers=self._headers)
                answer = connection.getresponse()
            finally:
                self._spent("first_byte_ms")
            headers = {name.lower(): value for name, value in answer.getheaders()}
            self._set(status=answer.status, headers=headers)
            body = answer.read(BODY_LIMIT)
            self._set(body=body.decode("utf-8", "replace"))
            if answer.length and len(body) < BODY_LIMIT:
                raise ConnectionResetError(f"the body was cut: {answer.length} of {answer.length + len(body)} bytes are missing")
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
    """A socket for http.client on which every read and write ends by one deadline, however slowly bytes drip. Closing it is the owner's business."""

    def __init__(self, wire: socket.socket, deadline: float) -> None:
        self._wire, self._deadline = wire, deadline

    def sendall(self, data: bytes) -> None:
        self._wire.settimeout(_left(self._deadline))
        self._wire.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._wire, self._deadline))

    def close(self) -> None:
        """http.client closes as soon as it has handed the answer over, while that is still to be read."""


class _Reader(io.RawIOBase):
    def __init__(self, wire: socket.socket, deadline: float) -> None:
        self._wire, self._deadline = wire, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._wire.settimeout(_left(self._deadline))
        return self._wire.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.perf_counter()
    if left <= 0:
        raise TimeoutError("the request took longer than it may")
    return left


def _netloc(target: _Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


def _class_of(error: Exception) -> str:
    """The stable class of an error; the order matters, for the standard library's classes overlap."""
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
