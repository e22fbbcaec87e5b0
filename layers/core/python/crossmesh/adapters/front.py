"""HTTP to the front load balancer, each phase timed apart. Never raises for what a server does: that is a `Sample` with its class of error.

Each request opens a connection of its own, so that the load balancer spreads them. Only declared hosts are reached: redirects are not followed, and
link-local addresses (instance metadata among them) are refused after resolution.
"""

import http.client
import ipaddress
import json
import secrets
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from urllib.parse import urlsplit

from crossmesh import __version__
from crossmesh.core.canary import Sample

Resolve = Callable[[str, int], tuple[str, int]]
BODY_LIMIT = 65_536  # bytes read of an answer
AT_ONCE = 6  # requests side by side: the front is probed, not loaded


def system_resolve(host: str, port: int) -> tuple[str, int]:
    """The first address that the system's resolver gives."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return str(found[0][4][0]), port


def resolver_at(base: str) -> Resolve:
    """Resolve by asking `GET {base}/resolve?host=&port=`, for places where names of load balancers exist in no DNS."""

    def resolve(host: str, port: int) -> tuple[str, int]:
        try:
            with urllib.request.urlopen(f"{base}/resolve?host={host}&port={port}", timeout=5) as answer:  # noqa: S310 - the base is configuration
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} does not resolve") from error
        return str(found["address"]), int(found["port"])

    return resolve


class Front:
    """Implements `ports.Front`."""

    def __init__(self, resolve: Resolve = system_resolve) -> None:
        self._resolve = resolve

    def probe(self, url: str, requests: int, timeout: float, canary: str) -> tuple[Sample, ...]:
        """`requests` GETs of `url`, a few side by side; one of them carries a sampled trace header."""
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, requests)) as pool:
            return tuple(pool.map(lambda number: self._one(url, timeout, canary, sampled=number == 0), range(requests)))

    def _one(self, url: str, timeout: float, canary: str, *, sampled: bool) -> Sample:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        trace = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
        marks = [time.perf_counter()]
        address = ""
        try:
            if parts.scheme not in ("http", "https"):
                raise ValueError(f"{parts.scheme} is not HTTP")
            address, real_port = self._resolve(host, port)
            if ipaddress.ip_address(address).is_link_local:
                raise ValueError(f"{address} is a link-local address")
            marks.append(time.perf_counter())
            connection = socket.create_connection((address, real_port), timeout=timeout)
            marks.append(time.perf_counter())
            if parts.scheme == "https":
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
            marks.append(time.perf_counter())
            with connection:
                return _exchange(connection, parts.path or "/", parts.query, host, port, canary, trace, marks, address, sampled=sampled)
        except socket.gaierror as error:
            return _failed("dns", error, marks, address, trace)
        except TimeoutError as error:
            return _failed("timeout", error, marks, address, trace)
        except ConnectionRefusedError as error:
            return _failed("refused", error, marks, address, trace)
        except ssl.SSLError as error:
            return _failed("tls", error, marks, address, trace)
        except (ConnectionError, http.client.IncompleteRead, http.client.RemoteDisconnected) as error:
            return _failed("reset", error, marks, address, trace)
        except (http.client.HTTPException, ValueError) as error:
            return _failed("protocol", error, marks, address, trace)
        except OSError as error:
            return _failed("unreachable", error, marks, address, trace)


def _exchange(
    connection: socket.socket,
    path: str,
    query: str,
    host: str,
    port: int,
    canary: str,
    trace: str,
    marks: list[float],
    address: str,
    *,
    sampled: bool,
) -> Sample:
    wire = http.client.HTTPConnection(host, port)
    wire.sock = connection
    headers = {
        "User-Agent": f"crossmesh-canary/{__version__} (+{canary})",
        "X-Amzn-Trace-Id": f"Root={trace};Sampled={int(sampled)}",
        "Connection": "close",
    }
    wire.request("GET", f"{path}?{query}" if query else path, headers=headers)
    answer = wire.getresponse()
    marks.append(time.perf_counter())
    body = answer.read(BODY_LIMIT).decode("utf-8", "replace")
    times = [round((after - before) * 1000, 3) for before, after in pairwise(marks)]
    return Sample(
        status=answer.status,
        body=body,
        latency_ms=round((time.perf_counter() - marks[0]) * 1000, 3),
        dns_ms=times[0],
        connect_ms=times[1],
        tls_ms=times[2],
        first_byte_ms=times[3],
        address=address,
        trace_id=trace,
        headers={name.lower(): value for name, value in answer.getheaders()},
    )


def _failed(kind: str, error: Exception, marks: list[float], address: str, trace: str) -> Sample:
    spent = round((time.perf_counter() - marks[0]) * 1000, 3)
    return Sample(error=kind, detail=f"{type(error).__name__}: {error}"[:200], latency_ms=spent, address=address, trace_id=trace)
