"""What App Mesh's configuration does on the wire: real Envoys of nodes and of a gateway, asked as programs, callers and load balancers ask them.

Matches, weights and counted retries are in test_envoy_traffic.py.
"""

import asyncio
import http.client
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.envoy_side import MESH, Redirected, Stage, ask, grpc, network
from tests.support.model_mesh import Document
from tests.support.oracle_files import Files
from world.clusters.client import wait_for
from world.pods.apps import App, Color, behind

HTTP = {"port": 8080, "protocol": "http"}


class Told(App):
    """Tells path and host back; `aborts` requests are cut before an answer; keeps what it was asked."""

    def __init__(self, address: str, name: str) -> None:
        super().__init__(address, ())
        self.name, self.aborts = name, 0
        self.asked: list[tuple[str, str]] = []

    async def answer(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        host = headers.get("host") or headers.get(":authority", "")
        self.asked.append((path, host))
        if path == "/health":
            return (500 if self.behaviour.get("outlier") else 200), ""
        if self.aborts:
            self.aborts -= 1
            raise ConnectionError
        return 200, f"{self.name} {path} {host}"


class Echo(App):
    """Switches protocols on request and gives back what it gets; without that, raw bytes from the first line on."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line.startswith(b"GET"):
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        else:
            writer.write(b"raw " + line)
        while data := await reader.read(100):
            writer.write(data)


def goes(kind: str, *targets: str, match: Document | None = None, weights: tuple[int, ...] = (), **more: Any) -> Document:
    weighted = [{"virtualNode": node, "weight": weight} for node, weight in zip(targets, weights or (1,) * len(targets), strict=True)]
    matched = {} if kind == "tcp" and not match else {"match": match or ({} if kind == "grpc" else {"prefix": "/"})}
    return {f"{kind}Route": {**matched, "action": {"weightedTargets": weighted}, **more}}


def enters(service: str, path: str, **rewrite: Document) -> Document:
    target = {"target": {"virtualService": {"virtualServiceName": service}}, **({"rewrite": rewrite} if rewrite else {})}
    return {"httpRoute": {"match": {"prefix": path}, "action": target}}


class Wire(Stage):
    """front calls; `one` and `two` answer without an Envoy, `many` and `safe` behind one; `gate` stands before all."""

    def __init__(self, folder: Any) -> None:
        super().__init__(folder, network(50))
        self.files = Files(folder)
        self.front, self.many, self.safe, self.gate = self.at(2), self.at(3), self.at(4), self.at(5)
        self.one, self.two = Told(self.at(11), "one"), Told(self.at(12), "two")
        self.programs()
        self.declare()
        self.envoy("virtualNode/many", self.many)
        self.envoy("virtualNode/safe", self.safe)
        self.envoy("virtualNode/front", self.front)
        self.envoy("virtualGateway/gate", self.gate)

    def programs(self) -> None:
        for app in (self.one, self.two):
            self.program(app, 8080, 9001)
            self.register("pair", app.address, 8080)
        self.register("one", self.one.address, 8080)
        self.program(Echo(self.at(13), ()), 8080, 9000)
        self.register("echo", self.at(13), 8080)
        self.program(Color(self.many, (), "many"), behind(8080), behind(9090))
        self.program(Echo(self.many, ()), behind(9000))
        self.behind_safe = Told(self.safe, "safe")
        self.program(self.behind_safe, behind(8080))
        self.register("many", self.many, 8080)
        self.register("safe", self.safe, 8080)

    def declare(self) -> None:
        listener = {"portMapping": HTTP}
        self.node("one", listener)
        self.node("pair", listener)
        self.node("echo", listener)
        self.node("many", {"portMapping": {"port": 8080, "protocol": "http2"}}, {"portMapping": {"port": 9090, "protocol": "grpc"}}, self.raw())
        self.node("safe", self.secured("STRICT"))
        self.node("local", listener, serviceDiscovery={"dns": {"hostname": "localhost"}})
        never = {"maxRetries": 0, "perRetryTimeout": {"unit": "s", "value": 9}}
        self.service("one.local", 8080, "http", goes("http", "one"))
        admin = goes("http", "many", match={"prefix": "/admin"}) | {"priority": 1}
        self.service("paths.local", 8080, "http", goes("http", "one"), admin)
        once = {"maxRetries": 1, "perRetryTimeout": {"unit": "s", "value": 9}, "httpRetryEvents": ["server-error"]}
        self.service("pair.local", 8080, "http", goes("http", "pair", retryPolicy=once))
        self.service("gate.local", 8080, "http", goes("http", "one", match={"prefix": "/kept"}))
        self.service("cut.local", 8080, "http", goes("http", "one", retryPolicy=never))
        self.service("echo.local", 8080, "http", goes("http", "echo"))
        self.service("safe.local", 8080, "http", goes("http", "safe"))
        two = [{"virtualNode": "many", "weight": 1, "port": port} for port in (8080, 9090, 9000)]
        self.service("many.local", 8082, "http2", {"http2Route": {"match": {"prefix": "/"}, "action": {"weightedTargets": two[:1]}}})
        self.service("calls.local", 9090, "grpc", {"grpcRoute": {"match": {"serviceName": "s.S"}, "action": {"weightedTargets": two[1:2]}}})
        self.service("raw.local", 9000, "tcp", {"tcpRoute": {"action": {"weightedTargets": two[2:]}}})
        self.node("front", **self.calls())
        gateway = {"meshName": "m", "virtualGatewayName": "gate"}
        self.mesh.create_virtual_gateway(**gateway, spec={"listeners": [{"portMapping": {"port": 8088, "protocol": "http"}}]})
        keeping = enters("gate.local", "/kept", hostname={"defaultTargetHostname": "DISABLED"}, prefix={"defaultPrefix": "DISABLED"})
        entries = [enters("one.local", "/"), enters("one.local", "/x"), enters("pair.local", "/x/pair"), keeping, enters("many.local", "/two")]
        for index, spec in enumerate(entries):
            self.mesh.create_gateway_route(**gateway, gatewayRouteName=f"g{index}", spec=spec)

    def raw(self) -> Document:
        return {"portMapping": {"port": 9000, "protocol": "tcp"}}

    def secured(self, mode: str, **more: Any) -> Document:
        pair = self.files.pair("safe", "safe.n.local")
        return {"portMapping": HTTP, "tls": {"mode": mode, "certificate": {"file": pair}, **more}}

    def calls(self, **policies: Document) -> Document:
        """front's spec: all backends, with client policies by service."""
        names = ("one", "paths", "pair", "cut", "echo", "safe", "many", "calls", "raw")
        backends = []
        for name in names:
            policy = {"clientPolicy": {"tls": policies[name]}} if name in policies else {}
            backends.append({"virtualService": {"virtualServiceName": f"{name}.local", **policy}})
        return {
            "backends": backends,
            "logging": {"accessLog": {"file": {"path": "front.log", "format": {"text": "%RESPONSE_CODE% %UPSTREAM_CLUSTER%\n"}}}},
        }

    def call(self, name: str, path: str = "/", port: int = 8080, **more: Any) -> tuple[int, str]:
        """front calls a service, as a program does: its host is the name, with the port."""
        return ask(Redirected(self.front, port), path, f"{name}:{port}", **more)

    def enter(self, path: str, host: str = "shop.test") -> tuple[int, str]:
        """Somebody outside calls the gateway."""
        return ask(http.client.HTTPConnection(self.gate, 8088, timeout=20), path, host)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    found = Wire(tmp_path_factory.mktemp("wire"))
    try:
        yield found
        assert found.refusals() == [], "every configuration that was made, with --mode validate"
    finally:
        found.stop()


def tcp(ip: str, port: int, host: str, first: bytes) -> socket.socket:
    """A redirected connection, its first bytes sent."""
    connection = Redirected(ip, port, host)
    connection.connect()
    connection.sock.sendall(first)
    return connection.sock


def test_a_service_is_called_by_its_name_with_or_without_its_port_and_by_no_other(wire: Wire) -> None:
    assert wire.call("one.local") == (200, "one / one.local:8080")
    assert ask(Redirected(wire.front, 8080), "/", "one.local")[0] == 200
    assert ask(Redirected(wire.front, 8080), "/", "one.local:9999")[0] == 404
    assert ask(Redirected(wire.front, 8080), "/", "elsewhere.local")[0] == 404


def test_a_port_of_no_backend_is_closed(wire: Wire) -> None:
    assert ask(Redirected(wire.front, 7777), "/", "one.local:7777") == (0, "")


@pytest.mark.parametrize("path", ["/admin", "/x/../admin", "//admin", "/./admin//"])
def test_paths_are_made_plain_before_they_are_matched(wire: Wire, path: str) -> None:
    assert wire.call("paths.local", path) == (200, "many")
    assert wire.call("paths.local", "/x/%2e%2e/other")[1].startswith("one /other")


def test_a_websocket_passes(wire: Wire) -> None:
    head = b"GET / HTTP/1.1\r\nHost: echo.local:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    with tcp(wire.front, 8080, "127.255.255.254", head) as sock:
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(1000)
        assert answer.startswith(b"HTTP/1.1 101")
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"


def test_a_connection_cut_before_the_answer_is_tried_again_unless_the_route_says_no(wire: Wire) -> None:
    wire.one.aborts = 1
    assert wire.call("one.local")[0] == 200
    wire.one.aborts = 1
    assert wire.call("cut.local")[0] == 503


def test_a_retry_goes_to_another_host(wire: Wire) -> None:
    """Half of all first tries fail. At once, so that turns do not lead a second try to the other host by themselves."""
    wire.two.behaviour = {"status": 500}
    try:
        with ThreadPoolExecutor(8) as callers:
            assert set(callers.map(lambda _: wire.call("pair.local")[0], range(64))) == {200}
    finally:
        wire.two.behaviour = {}


def test_a_server_that_says_how_long_it_may_take_ends_a_slow_answer(wire: Wire) -> None:
    """At the server's side: the caller's route waits longer."""
    timeout = {"timeout": {"http": {"perRequest": {"unit": "ms", "value": 200}}}}
    wire.node("safe", {**wire.secured("DISABLED"), **timeout})
    wire.settle()
    wire.behind_safe.behaviour = {"delay_ms": 900}
    try:
        assert ask(http.client.HTTPConnection(wire.safe, 8080, timeout=20))[0] == 504
    finally:
        wire.behind_safe.behaviour = {}
        wire.node("safe", wire.secured("STRICT"))
        wire.settle()


def test_http2_grpc_and_tcp_reach_a_program_behind_its_envoy(wire: Wire) -> None:
    assert ask(Redirected(wire.front, 8082), "/any", "many.local:8082") == (200, "many")
    calls = Redirected(wire.front, 9090)
    calls.connect()
    assert grpc(calls.sock, "calls.local:9090", "/s.S/Get") == ("0", "many")
    calls = Redirected(wire.front, 9090)
    calls.connect()
    assert grpc(calls.sock, "calls.local:9090", "/other.S/Get")[0] == "12", "no route: UNIMPLEMENTED, as Envoy tells 404"
    with tcp(wire.front, 9000, "127.255.255.254", b"bytes\n") as sock:
        assert sock.recv(100) == b"raw bytes\n"


def plain(ip: str) -> tuple[int, str]:
    return ask(http.client.HTTPConnection(ip, 8080, timeout=20))


def encrypted(wire: Wire, client: dict[str, str] | None = None) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=wire.files.authority)
    context.check_hostname = False
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if client:
        context.load_cert_chain(client["certificateChain"], client["privateKey"])
    return ask(http.client.HTTPSConnection(wire.safe, 8080, timeout=20, context=context))


def test_a_server_that_is_strict_takes_no_plain_text_and_its_callers_encrypt_by_themselves(wire: Wire) -> None:
    assert wire.call("safe.local")[0] == 200
    assert wire.stats(wire.front, "cds_egress_m_safe_http_8080.ssl.handshake") != {}
    assert encrypted(wire)[0] == 200
    assert plain(wire.safe) == (0, "")


def test_a_server_that_is_permissive_takes_both(wire: Wire) -> None:
    wire.node("safe", wire.secured("PERMISSIVE"))
    try:
        wait_for(lambda: plain(wire.safe)[0] == 200, 30, "plain text")
        assert encrypted(wire)[0] == 200
        assert wire.call("safe.local")[0] == 200
    finally:
        wire.node("safe", wire.secured("STRICT"))
        wait_for(lambda: plain(wire.safe)[0] == 0, 30, "TLS alone")


def trust(wire: Wire, *names: str) -> Document:
    alternatives = {"subjectAlternativeNames": {"match": {"exact": list(names)}}} if names else {}
    return {"trust": {"file": {"certificateChain": wire.files.authority}}, **alternatives}


def test_callers_check_the_name_that_the_node_is_found_by_or_those_of_their_policy(wire: Wire) -> None:
    try:
        for names, status in (((), 200), (("other.local",), 503), (("other.local", "safe.n.local"), 200)):
            wire.node("front", **wire.calls(safe={"validation": trust(wire, *names)}))
            wait_for(lambda status=status: wire.call("safe.local")[0] == status, 30, f"{status} with {names}")
    finally:
        wire.node("front", **wire.calls())
        wait_for(lambda: wire.call("safe.local")[0] == 200, 30, "no policy")


def test_a_server_that_trusts_somebody_demands_a_certificate_of_its_callers(wire: Wire) -> None:
    client = wire.files.pair("client", "front.n.local")
    wire.node("safe", wire.secured("STRICT", validation=trust(wire, "front.n.local")))
    try:
        wait_for(lambda: encrypted(wire)[0] == 0, 30, "a certificate demanded")
        assert encrypted(wire, client)[0] == 200
        assert encrypted(wire, wire.files.pair("stranger", "stranger.local"))[0] == 0
        wait_for(lambda: wire.call("safe.local")[0] == 503, 30, "connections of before to be drained")
        wire.node("front", **wire.calls(safe={"certificate": {"file": client}, "validation": trust(wire)}))
        wait_for(lambda: wire.call("safe.local")[0] == 200, 30, "front's certificate")
    finally:
        wire.node("front", **wire.calls())
        wire.node("safe", wire.secured("STRICT"))
        wait_for(lambda: wire.call("safe.local")[0] == 200, 30, "no certificate demanded")


def test_a_gateway_enters_by_the_longest_prefix_rewrites_it_and_the_host(wire: Wire) -> None:
    wait_for(lambda: wire.enter("/")[0] == 200, 30, "the gateway's routes")
    assert wire.enter("/any/path") == (200, "one /any/path one.local")
    assert wire.enter("/x/any") == wire.enter("/xany") == (200, "one /any one.local")
    assert wire.enter("/x") == (200, "one / one.local")
    assert wire.enter("/x/pair/any")[1].endswith(" /any pair.local")
    assert wire.enter("/two") == (200, "many"), "HTTP/2 behind"


def test_a_gateway_that_keeps_the_host_finds_the_service_by_its_header(wire: Wire) -> None:
    assert wire.enter("/kept/any", "shop.test:8088") == (200, "one /kept/any shop.test:8088")
    connection = http.client.HTTPConnection(wire.gate, 8088, timeout=20)
    connection.request("GET", "/kept", headers={"Host": "shop.test"})
    assert connection.getresponse().getheader("x-app-mesh-virtual-service") is None
    connection.close()


def test_what_is_no_backend_is_reached_only_where_the_mesh_allows_all(wire: Wire) -> None:
    def outside(port: int = 9001, host: str = "any.test") -> tuple[int, str]:
        return ask(Redirected(wire.front, port, wire.two.address), "/", host)

    assert outside() == (0, "")
    assert outside(8080)[0] == 404
    wire.mesh.update_mesh(**MESH, spec={"egressFilter": {"type": "ALLOW_ALL"}})
    try:
        wait_for(lambda: outside()[0] == 200, 30, "the way out")
        assert outside() == (200, "two / any.test")
        wait_for(lambda: outside(8080)[0] == 200, 30, "another host on a backend's port")
        assert wire.call("one.local") == (200, "one / one.local:8080"), "a backend goes where its routes say"
    finally:
        wire.mesh.update_mesh(**MESH, spec={"egressFilter": {"type": "DROP_ALL"}})
        wait_for(lambda: outside() == (0, ""), 30, "no way out")


def test_a_name_of_dns_is_resolved(wire: Wire) -> None:
    wire.program(Told("127.0.0.1", "local"), port := free_port())
    listener = {"portMapping": {"port": port, "protocol": "http"}}
    for response in ("LOADBALANCER", "ENDPOINTS"):
        wire.node("local", listener, serviceDiscovery={"dns": {"hostname": "localhost", "responseType": response, "ipPreference": "IPv4_ONLY"}})
        route = {"meshName": "m", "virtualRouterName": "cut.local", "routeName": "r0"}
        kept = wire.mesh.describe_route(**route)["route"]["spec"]
        wire.mesh.update_route(**route, spec=goes("http", "local"))
        try:
            wait_for(lambda: wire.call("cut.local")[1].startswith("local"), 30, response)
        finally:
            wire.mesh.update_route(**route, spec=kept)
            wait_for(lambda: wire.call("cut.local")[1].startswith("one"), 30, "the node of before")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


CHECK = {
    "protocol": "http",
    "path": "/health",
    "port": 9001,
    "intervalMillis": 500,
    "timeoutMillis": 400,
    "healthyThreshold": 2,
    "unhealthyThreshold": 2,
}


def test_callers_check_health_at_its_port_by_the_nodes_name_and_go_on_if_nobody_is_well(wire: Wire) -> None:
    """Envoy's panic threshold: where most hosts are unwell, all are asked."""
    wire.two.asked.clear()
    wire.node("pair", {"portMapping": HTTP, "healthCheck": CHECK})

    def bodies() -> set[str]:
        return {wire.call("pair.local")[1].partition(" ")[0] for _ in range(6)}

    try:
        wait_for(lambda: ("/health", "pair.n.local:8080") in wire.two.asked, 30, "a health check")
        wire.two.behaviour = {"outlier": True}
        wait_for(lambda: bodies() == {"one"}, 30, "the host that is well")
        wire.one.behaviour = {"outlier": True}
        wait_for(lambda: bodies() == {"one", "two"}, 30, "panic")
        wire.one.behaviour, wire.two.behaviour = {}, {}
        wait_for(lambda: wire.stats(wire.front, "pair_http_8080.membership_healthy").popitem()[1] == 2, 30, "both well")
        wire.deregister("pair", wire.two.address)
        wait_for(lambda: wire.stats(wire.front, "pair_http_8080.membership_total").popitem()[1] == 1, 5, "gone, though it is well")
    finally:
        wire.one.behaviour, wire.two.behaviour = {}, {}
        wire.register("pair", wire.two.address, 8080)
        wire.node("pair", {"portMapping": HTTP})
        wait_for(lambda: bodies() == {"one", "two"}, 30, "both hosts")


def test_a_host_that_answers_with_errors_in_a_row_is_left_out(wire: Wire) -> None:
    outlier = {
        "maxServerErrors": 2,
        "interval": {"unit": "ms", "value": 100},
        "baseEjectionDuration": {"unit": "s", "value": 30},
        "maxEjectionPercent": 50,
    }
    wire.node("pair", {"portMapping": HTTP, "outlierDetection": outlier})
    wire.two.behaviour = {"status": 500}
    try:
        out = "pair_http_8080.outlier_detection.ejections_active"
        wait_for(lambda: wire.call("pair.local") and list(wire.stats(wire.front, out).values()) == [1], 30, "the host out")
    finally:
        wire.two.behaviour = {}
        wire.node("pair", {"portMapping": HTTP})
        wait_for(lambda: {wire.call("pair.local")[1][:3] for _ in range(6)} == {"one", "two"}, 30, "both hosts")


def test_a_pool_of_one_turns_away_what_is_more(wire: Wire) -> None:
    pool = {"connectionPool": {"http": {"maxConnections": 1, "maxPendingRequests": 1}}}
    wire.node("safe", {**wire.secured("DISABLED"), **pool})
    try:
        wait_for(lambda: plain(wire.safe)[0] == 200, 30, "plain text")
        wire.settle()
        wire.behind_safe.behaviour = {"delay_ms": 1000}

        def at_once() -> set[int]:
            with ThreadPoolExecutor(8) as callers:
                return set(callers.map(lambda _: plain(wire.safe)[0], range(8)))

        wait_for(lambda: at_once() == {200, 503}, 60, "some to be answered and some turned away")
    finally:
        wire.behind_safe.behaviour = {}
        wire.node("safe", wire.secured("STRICT"))
        wait_for(lambda: plain(wire.safe)[0] == 0, 30, "TLS alone")


def test_statistics_and_logs_have_the_names_that_dashboards_and_filters_go_by(wire: Wire) -> None:
    assert wire.call("one.local")[0] == 200
    front = wire.stats(wire.front, "rq_total|cx_total")
    for name in (
        "cluster.cds_egress_m_one_http_8080.upstream_rq_total",
        "http.egress.downstream_rq_total",
        "listener.0.0.0.0_15001.downstream_cx_total",
    ):
        assert front[name] > 0, name
    many = wire.stats(wire.many, "rq_total|cx_total")
    for name in (
        "listener.0.0.0.0_15000.downstream_cx_total",
        "http.ingress.http2.8080.downstream_rq_total",
        "tcp.ingress.tcp.9000.downstream_cx_total",
    ):
        assert name in many, name
    gate = wire.stats(wire.gate, "rq_total")
    assert {"http.ingress.downstream_rq_total", "cluster.cds_ingress_m_gate_self_redirect_http_15001.upstream_rq_total"} <= gate.keys()
    log = wire.folder / f"declared-{wire.front}-front.log"
    wait_for(lambda: "200 cds_egress_m_one_http_8080\n" in log.read_text(), 10, "the access log")
