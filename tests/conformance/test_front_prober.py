"""The prober against real servers on loopback that fail in every way that the canary must name."""

import gzip
import http.server
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import brotli
import pytest
from crossmesh import __version__
from crossmesh.adapters import tls
from crossmesh.adapters.front import BODY_LIMIT, Front, Limits, Resolve, resolver_at, system_resolve
from crossmesh.core.canary.certificates import refusal_of
from crossmesh.core.canary.sample import Sample

from tests.conformance import servers
from tests.conformance.servers import answer, serve


def local(*args: Any, **kwargs: Any) -> Front:
    """A prober that may ask the test's own machine, as only a test and the world may."""
    limits = Limits(**{name: kwargs.pop(name) for name in Limits._fields if name in kwargs})
    return Front(*args, also=["127.0.0.0/8"], limits=limits, **kwargs)


def one(url: str, timeout: float = 2.0, front: Front | None = None, **kwargs: bool) -> Sample:
    (sample,) = (front or local()).probe(url, 1, timeout, "front-color", **kwargs)
    return sample


def to(port: int) -> Resolve:
    """Every name is on loopback at `port`."""
    return lambda _host, _port: ("127.0.0.1", port)


def test_a_good_answer_with_its_times_and_marks() -> None:
    with serve(answer("blue\n", X_Color="b")) as served:
        sample = one(served.url("/color?x=1&y=ä"))
    assert (sample.status, sample.body, sample.error, sample.address) == (200, "blue\n", "", "127.0.0.1")
    assert sample.headers["x-color"] == "b"
    phases = (sample.dns_ms, sample.connect_ms, sample.first_byte_ms)
    assert all(phase > 0 for phase in phases)
    assert sample.tls_ms == 0
    assert sample.tls_days is None
    assert sum(phases) <= sample.latency_ms < 2000
    head = served.requests[0].decode()
    assert head.startswith("GET /color?x=1&y=%C3%A4 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{served.port}\r\n" in head
    assert f"User-Agent: crossmesh-canary/{__version__} (+front-color)\r\n" in head
    assert f"X-Amzn-Trace-Id: Root={sample.trace_id};Sampled=1\r\n" in head
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", sample.trace_id)


def test_sixty_requests_are_sixty_connections_quickly_at_most_eight_at_once_one_of_them_traced() -> None:
    def talk(wire: socket.socket, head: bytes) -> None:
        time.sleep(0.02)
        answer("blue")(wire, head)

    began = time.monotonic()
    with serve(talk) as served:
        samples = local().probe(served.url(), 60, 2.0, "c")
        took = time.monotonic() - began
    assert [s.body for s in samples] == ["blue"] * 60
    assert len(served.requests) == 60
    assert sum(b";Sampled=1" in head for head in served.requests) == 1
    assert sum(b";Sampled=0" in head for head in served.requests) == 59
    assert len({s.trace_id for s in samples}) == 60
    assert 1 < served.most_at_once <= 8
    assert 0.5 < took < 5, "at most 100 are begun a second, and they do not queue up one by one"


def test_the_pace_is_kept() -> None:
    with serve(answer()) as served:
        began = time.monotonic()
        local(pace=20).probe(served.url(), 11, 2.0, "c")
        assert time.monotonic() - began >= 0.5


def test_a_run_ends_within_its_budget_with_the_samples_it_has() -> None:
    with serve(servers.silent) as served:
        samples = local(budget=0.2).probe(served.url(), 200, 0.3, "c")
    assert 8 <= len(samples) < 30
    assert {s.error for s in samples} == {"timeout"}


@pytest.mark.parametrize("talk", [servers.silent, servers.drip])
def test_a_slow_server_is_a_timeout_in_time_even_when_it_drips(talk: servers.Talk) -> None:
    with serve(talk) as served:
        began = time.monotonic()
        sample = one(served.url(), timeout=0.3)
        took = time.monotonic() - began
    assert (sample.error, sample.status) == ("timeout", 0)
    assert 0.25 < took < 1.5
    assert 250 < sample.latency_ms < 1500
    assert sample.first_byte_ms > 200, "the phase that took the time is named"


def test_a_body_that_drips_is_a_timeout_too() -> None:
    def talk(wire: socket.socket, _: bytes) -> None:
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(100):
            wire.sendall(b"b")
            time.sleep(0.02)

    with serve(talk) as served:
        assert one(served.url(), timeout=0.3).error == "timeout"


def test_refused() -> None:
    with servers.refusing() as port:
        sample = one(f"http://127.0.0.1:{port}/")
    assert (sample.error, sample.address) == ("refused", "127.0.0.1")


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (servers.reset, "reset"),
        (servers.raw(b""), "reset"),
        (servers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nblue"), "reset"),
        (servers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nblue"), "reset"),
        (servers.raw(b"\x16\x03garbage \xff\xfe\r\n\r\n"), "protocol"),
        (servers.raw(b"HTTP/1.1 99999 What\r\n\r\n"), "protocol"),
        (servers.raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), "protocol"),
        (servers.raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), "protocol"),
    ],
)
def test_what_is_no_whole_answer_has_its_class(talk: servers.Talk, error: str) -> None:
    with serve(talk) as served:
        sample = one(served.url())
    assert (sample.error, sample.status) == (error, 0)
    assert sample.detail


def test_a_chunked_answer_is_read_whole() -> None:
    with serve(servers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbl\r\n2\r\nue\r\n0\r\n\r\n")) as served:
        assert one(served.url()).body == "blue"


def test_a_huge_body_is_read_up_to_its_limit() -> None:
    sent = [0]

    def talk(wire: socket.socket, _: bytes) -> None:
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            wire.sendall(b"x" * 65_536)
            sent[0] += 65_536

    with serve(talk) as served:
        sample = one(served.url())
    assert (sample.error, sample.status, len(sample.body)) == ("", 200, BODY_LIMIT)
    assert sent[0] < 50_000_000, "the rest was not taken"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 503 No\r\n" + b"".join(b"X-%d-%s: y\r\n" % (n, b"n" * 8_000) for n in range(20)),  # names
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 8_000) for n in range(95)),  # values
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000 + b"HTTP/1.1 200 OK\r\n",  # interim answers
        b"HTTP/1.1 200 " + b"O" * 60_000 + b"\r\n",  # the reason
    ],
)
def test_the_head_of_an_answer_is_bounded_whatever_it_is_made_of(head: bytes) -> None:
    with serve(servers.raw(head + b"Content-Length: 0\r\n\r\n")) as served:
        sample = one(served.url())
    assert (sample.error, sample.status, sample.headers) == ("protocol", 0, {})


_MEASURED = """
import sys
from crossmesh import codec
from crossmesh.adapters.front import Front, Limits
from crossmesh.core.canary.sample import lean
from crossmesh.core.settings import CanarySettings
from tests.support.measured import peak
before = peak()
samples = Front(also=["127.0.0.0/8"], limits=Limits(pace=1000.0)).probe(sys.argv[1], 60, 5.0, "c")
kept = codec.encode([lean(CanarySettings(name="c"), sample) for sample in samples])
print(len(samples), len(kept), peak() - before)
"""
_BIG = b"".join(b"X-%d: %s\r\n" % (n, b"\x01" * 60_000) for n in range(95))


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n" + _BIG + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + _BIG[:15_000] + b"\r\nContent-Length: 70000\r\n\r\n" + b"\x01" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress("\U0001f600".encode() * 10_000_000),
    ],
    ids=["headers", "bodies", "bombs"],
)
def test_a_hostile_front_costs_the_prober_little_memory_and_its_samples_little_room(data: bytes) -> None:
    """The reported case took 1,188 MB for 326 MB of samples; the function has 256 MB."""
    with serve(servers.raw(data)) as served:
        run = subprocess.run([sys.executable, "-c", _MEASURED, served.url()], capture_output=True, check=True, timeout=60)
    count, kept, megabytes = map(int, run.stdout.split())
    assert count == 60
    assert kept < 1_000_000
    assert megabytes < 80


def test_a_large_head_within_its_bound_is_read() -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"v" * 1_000) for n in range(15))
    with serve(servers.raw(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 1\r\n\r\nb")) as served:
        sample = one(served.url())
    assert (sample.error, sample.body, len(sample.headers)) == ("", "b", 16)


def test_more_requests_than_a_run_has_are_not_made_and_its_end_is_kept() -> None:
    """The reported case: a million requests were queued at once, and the budget ended none of those that waited for their turn."""
    with serve(answer()) as served:
        began = time.monotonic()
        samples = local(pace=20, budget=0.5).probe(served.url(), 1_000_000, 2.0, "c")
        took = time.monotonic() - began
    assert 8 <= len(samples) <= 12
    assert took < 3


def test_no_request_is_waited_for_past_the_end_of_its_run() -> None:
    with serve(servers.silent) as served:
        began = time.monotonic()
        samples = local(ends=0.4).probe(served.url(), 4, 60.0, "c")
        took = time.monotonic() - began
    assert [sample.error for sample in samples] == ["timeout"] * 4
    assert took < 3


def test_of_many_requests_less_is_read_of_each() -> None:
    with serve(answer("b" * 60_000)) as served:
        samples = local(pace=2000).probe(served.url(), 256, 5.0, "c")
    assert {len(sample.body) for sample in samples} == {16_384}


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(b"blue")), ("deflate", zlib.compress(b"blue")), ("br", brotli.compress(b"blue"))],
    ids=["gzip", "deflate", "br"],
)
def test_a_compressed_answer_is_asked_for_and_read(encoding: str, packed: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with serve(servers.raw(head + packed)) as served:
        sample = one(served.url())
    assert (sample.body, sample.error) == ("blue", "")
    assert b"Accept-Encoding: gzip, deflate, br\r\n" in served.requests[0]


def test_a_body_that_is_not_what_its_encoding_says_is_a_protocol_error() -> None:
    with serve(answer("blue", Content_Encoding="gzip")) as served:
        sample = one(served.url())
    assert (sample.error, sample.status) == ("protocol", 0)
    assert "not gzip" in sample.detail


def test_a_body_that_is_no_text_is_no_error() -> None:
    with serve(servers.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\n\xff\xf0")) as served:
        assert one(served.url()).body == "\ufffd\ufffd"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://127.0.0.1:99999/", "http://[::1/", "nonsense"])
def test_what_is_no_http_url_is_a_protocol_error(url: str) -> None:
    assert one(url).error == "protocol"


# --- names and addresses ------------------------------------------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve() -> None:
    def nobody(host: str, _port: int) -> tuple[str, int]:
        raise socket.gaierror(socket.EAI_NONAME, host)

    sample = one("http://front.test/", front=local(nobody))
    assert (sample.error, sample.address) == ("dns", "")


def test_a_host_name_that_is_none_is_a_dns_error() -> None:
    assert one(f"http://{'a' * 70}.test/", front=local(system_resolve)).error == "dns"


def test_a_resolver_that_hangs_is_a_dns_error_in_time() -> None:
    release = threading.Event()

    def hangs(_host: str, port: int) -> tuple[str, int]:
        release.wait(10)
        return "127.0.0.1", port

    began = time.monotonic()
    sample = one("http://front.test/", timeout=0.2, front=local(hangs))
    release.set()
    assert sample.error == "dns"
    assert sample.dns_ms >= 190
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "2002:a9fe:a9fe::",
    ],
)
def test_no_address_is_asked_that_no_front_has(address: str) -> None:
    """Which these are is tested with `core.diagnosis.probe_policy`."""
    sample = one("http://innocent.test/latest/meta-data", front=Front(lambda _h, port: (address, port)))
    assert sample.error == "forbidden"
    assert (sample.connect_ms, sample.status) == (0, 0)


def test_metadata_written_as_a_number_is_seen_through() -> None:
    assert one("http://2852039166/", front=local(system_resolve)).error == "forbidden"


@contextmanager
def resolver(code: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_http_resolver_names_address_and_port() -> None:
    with serve(answer("red")) as served, resolver(200, json.dumps({"address": "127.0.0.1", "port": served.port}).encode()) as (base, asked):
        sample = one("http://front-1.elb.test/color", front=local(resolver_at(base)))
    assert (sample.body, asked) == ("red", ["/resolve?host=front-1.elb.test&port=80"])
    assert b"Host: front-1.elb.test\r\n" in served.requests[0]


@pytest.mark.parametrize(
    ("code", "body"), [(404, b""), (500, b"{}"), (200, b"not json"), (200, b"[]"), (200, b'{"address": "127.0.0.1"}'), (200, b"x" * 9999)]
)
def test_an_http_resolver_without_an_answer_is_a_dns_error(code: int, body: bytes) -> None:
    with resolver(code, body) as (base, _):
        assert one("http://front.test/", front=local(resolver_at(base))).error == "dns"


def test_an_http_resolver_that_is_away_is_a_dns_error() -> None:
    with servers.refusing() as port:
        assert one("http://front.test/", front=local(resolver_at(f"http://127.0.0.1:{port}"))).error == "dns"


def test_an_address_that_is_none_is_a_protocol_error() -> None:
    assert one("http://front.test/", front=local(lambda _h, port: ("front.test", port))).error == "protocol"


# --- TLS ----------------------------------------------------------------------------------------------------------------------------------


def test_tls_is_timed_and_its_certificate_dated(tmp_path: Path) -> None:
    server, client = servers.certificate(tmp_path, days=20)
    with serve(answer("blue"), server) as served:
        sample = one("https://front.test/", front=local(to(served.port), trust=client))
    assert (sample.error, sample.body) == ("", "blue")
    assert sample.tls_ms > 0
    assert sample.tls_days == pytest.approx(20, abs=0.1)
    assert b"Host: front.test\r\n" in served.requests[0]


@pytest.mark.parametrize(
    ("days", "name", "cause", "says"),
    [
        (-1, "front.test", "expired", "expired"),
        (40, "front.test", "not-yet-valid", "has not begun"),
        (20, "other.test", "wrong-name", "for other names"),
    ],
)
def test_a_bad_certificate_is_a_tls_error_that_says_why(tmp_path: Path, days: float, name: str, cause: str, says: str) -> None:
    server, client = servers.certificate(tmp_path, days, name)
    with serve(answer(), server) as served:
        sample = one("https://front.test/", front=local(to(served.port), trust=client))
    assert (sample.error, sample.cause, sample.status) == ("tls", cause, 0)
    assert sample.detail.startswith("front.test ")
    assert says in sample.detail


def test_an_address_in_place_of_a_name_is_a_wrong_name(tmp_path: Path) -> None:
    server, client = servers.certificate(tmp_path, 20, "front.test")
    with serve(answer(), server) as served:
        sample = one(served.url(scheme="https"), front=local(trust=client))
    assert (sample.error, sample.cause) == ("tls", "wrong-name")


def test_a_front_that_offers_old_versions_only(tmp_path: Path) -> None:
    server, client = servers.certificate(tmp_path, 20)
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    with serve(answer(), server) as served:
        sample = one("https://front.test/", front=local(to(served.port), trust=client))
    assert (sample.error, sample.cause) == ("tls", "version")


def test_a_front_that_refuses_the_handshake(tmp_path: Path) -> None:
    server, client = servers.certificate(tmp_path, 20)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    with serve(answer(), server) as served:
        sample = one("https://front.test/", front=local(to(served.port), trust=client))
    assert (sample.error, sample.cause) == ("tls", "handshake")


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "client-certificate"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "version"),
        ("TLSV1_UNRECOGNIZED_NAME", "handshake"),
        ("HTTP_REQUEST", "not-tls"),
        ("SOMETHING_NEW", ""),
        (None, ""),
    ],
)
def test_an_alert_of_tls_has_its_cause(reason: str | None, cause: str) -> None:
    error = ssl.SSLError(1, "x")
    error.reason = reason  # type: ignore[assignment]
    found, words = tls.told(error, "front.test")
    assert (found, words.startswith("front.test ")) == (cause, True)
    assert refusal_of(cause).what in words


def test_an_authority_that_is_not_trusted_is_a_tls_error(tmp_path: Path) -> None:
    server, _ = servers.certificate(tmp_path, days=20)
    with serve(answer(), server) as served:
        sample = one("https://front.test/", front=local(to(served.port)))
    assert (sample.error, sample.cause) == ("tls", "self-signed")


def test_https_to_a_server_without_tls_is_a_tls_error() -> None:
    with serve(answer("x" * 100)) as served:
        sample = one("https://front.test/", front=local(to(served.port)))
    assert (sample.error, sample.cause) == ("tls", "not-tls")
    assert "does not speak TLS" in sample.detail


# --- redirects ----------------------------------------------------------------------------------------------------------------------------


def test_a_redirect_within_the_host_is_followed_and_counted() -> None:
    def talk(wire: socket.socket, head: bytes) -> None:
        (answer("blue") if head.startswith(b"GET /there") else answer("", "302 Found", Location="/there"))(wire, head)

    with serve(talk) as served:
        sample = one(served.url("/here"))
        unfollowed = one(served.url("/here"), follow=False)
    assert (sample.status, sample.body, sample.hops) == (200, "blue", 1)
    assert (unfollowed.status, unfollowed.hops) == (302, 0)


def test_a_redirect_loop_ends_after_three() -> None:
    with serve(answer("", "302 Found", Location="/again")) as served:
        sample = one(served.url())
    assert len(served.requests) == 4
    assert (sample.status, sample.hops) == (302, 3)
    assert "more than 3 redirects" in sample.detail


def test_a_redirect_to_another_host_needs_it_declared() -> None:
    with serve(answer("blue")) as other, serve(answer("", "301 Moved", Location="http://other.test/")) as served:

        def resolve(host: str, port: int) -> tuple[str, int]:
            return "127.0.0.1", other.port if host == "other.test" else port

        refused = one(served.url(host="front.test"), front=local(resolve))
        allowed = one(served.url(host="front.test"), front=local(resolve, hosts=["Other.test"]))
    assert (refused.status, refused.hops) == (301, 0)
    assert "other.test is not a declared host" in refused.detail
    assert (allowed.status, allowed.body, allowed.hops) == (200, "blue", 1)
    assert len(other.requests) == 1


def test_a_redirect_leads_to_the_canarys_port_and_to_the_usual_ones_only() -> None:
    """The reported case: a redirect of the declared host to another of its ports, where an internal service listens."""
    with serve(answer("INTERNAL-DATA")) as other, serve(answer("", "302 Found", Location=f"http://front.test:{other.port}/")) as served:
        refused = one(served.url(host="front.test"), front=local(lambda _host, port: ("127.0.0.1", port)))
    assert (refused.status, refused.hops, other.requests) == (302, 0, [])
    assert f"{other.port} is not a declared port" in refused.detail


@pytest.mark.parametrize("internal", ["10.0.0.5", "192.168.1.1", "fd12::1", "::ffff:10.0.0.5", "64:ff9b::a00:5", "100.64.0.1"])
def test_a_host_asked_at_a_public_address_leads_to_no_internal_one(internal: str) -> None:
    """A name may answer one address for the first hop, and another for the next."""
    answers = iter([("127.0.0.1", 0), (internal, 80)])
    with serve(answer("", "302 Found", Location="http://front.test/next")) as served:

        def resolve(_host: str, _port: int) -> tuple[str, int]:
            address, port = next(answers)
            return address, port or served.port

        sample = one("http://front.test/", front=local(resolve))
    assert (sample.error, sample.status) == ("forbidden", 0)
    assert "was asked at a public address" in sample.detail


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "http://127.0.0.1:x/", "file:///etc/passwd"])
def test_a_redirect_to_what_is_no_http_url_is_a_protocol_error(location: str) -> None:
    with serve(answer("", "302 Found", Location=location)) as served:
        assert one(served.url()).error == "protocol"


def test_a_redirect_cannot_reach_metadata_by_a_declared_name() -> None:
    with serve(answer("", "302 Found", Location="http://meta.test/")) as served:

        def resolve(host: str, port: int) -> tuple[str, int]:
            return ("169.254.169.254" if host == "meta.test" else "127.0.0.1"), port

        assert one(served.url(host="front.test"), front=local(resolve, hosts=["meta.test"])).error == "forbidden"


def test_from_https_no_way_leads_back_to_http(tmp_path: Path) -> None:
    server, client = servers.certificate(tmp_path, days=20)
    with serve(answer("", "302 Found", Location="http://front.test/"), server) as served:
        sample = one("https://front.test/", front=local(to(served.port), trust=client))
    assert sample.status == 302
    assert "from https to http" in sample.detail


def test_a_canary_name_cannot_write_headers() -> None:
    with serve(answer()) as served:
        (sample,) = local().probe(served.url(), 1, 2.0, "a\r\nX-Evil: ü")
    assert sample.status == 200
    assert b"\r\nX-Evil" not in served.requests[0]
