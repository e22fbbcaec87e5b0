"""The server of Envoys, asked by a real Envoy over TLS with a token: it gets what was published, follows changes, and is refused where it may not."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from crossmesh_xds import codec
from crossmesh_xds.mesh import Kind
from crossmesh_xds.peers import Peer
from crossmesh_xds.sources import Unavailable

from tests.support.snapshots import Shelf, proxy
from tests.support.xds_server import Envoy, Running, until, write
from world.state import free_ports

NODE = "mesh/shop/virtualNode/front_shop"
HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}


class Application(ThreadingHTTPServer):
    """Answers with its name."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def cluster(name: str, **more: Any) -> dict[str, Any]:
    ads = {"eds_config": {"ads": {}, "resource_api_version": "V3"}, "service_name": name}
    return {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": ads, **more}


def endpoints(name: str, *applications: Application) -> dict[str, Any]:
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": one.server_address[1]}}}} for one in applications
    ]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}] if hosts else []}


def listener(port: int) -> dict[str, Any]:
    http = {"@type": HTTP, "stat_prefix": "egress", "http_filters": [ROUTER]}
    http["rds"] = {"route_config_name": "routes", "config_source": {"ads": {}, "resource_api_version": "V3"}}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": "egress", "address": address, "filter_chains": [{"filters": [{"name": "http", "typed_config": http}]}]}


def routes(**weights: int) -> dict[str, Any]:
    targets = [{"name": name, "weight": weight} for name, weight in weights.items()]
    action = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": targets}}}
    return {"name": "routes", "virtual_hosts": [{"name": "shop", "domains": ["*"], "routes": [action]}]}


class Mesh:
    """What is published: one proxy, clusters `blue` and `green`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port, self.shelf, self.number = folder, port, Shelf(), 0
        self.numbers = {"clusters": 1, "listeners": 1, "routes": 1}
        self.now: dict[str, Any] = {}
        self.sets: dict[str, Any] = {}

    def publish(self, clusters: list[Any], route: dict[str, Any], sets: dict[str, Any], allowed: Any = None) -> None:
        self.number += 1
        wanted = {"clusters": clusters, "listeners": [listener(self.port)], "routes": [route]}
        for kind, found in wanted.items():
            if self.now.get(kind) != found:
                self.numbers[kind] = self.number
        self.now = wanted
        made = proxy(1, clusters, wanted["listeners"], wanted["routes"], allowed)
        for kind, number in self.numbers.items():
            made[kind]["number"] = number
        self.shelf.publish(self.number, {NODE: made}, sets)
        write(self.folder, self.shelf)


@pytest.fixture(scope="module")
def blue() -> Iterator[Application]:
    found = Application("blue")
    yield found
    found.server_close()


@pytest.fixture(scope="module")
def green() -> Iterator[Application]:
    found = Application("green")
    yield found
    found.server_close()


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    return Mesh(folder, free_ports(1)[0])


@pytest.fixture
def running(mesh: Mesh) -> Iterator[Running]:
    found = Running(mesh.folder)
    yield found
    if found._thread.is_alive():
        found.stop()


@pytest.fixture
def envoy(tmp_path: Path, mesh: Mesh, running: Running) -> Iterator[Callable[..., Envoy]]:
    made: list[Envoy] = []

    def start(**more: Any) -> Envoy:
        made.append(Envoy(tmp_path / f"envoy-{len(made)}", running, NODE, (free_ports(1)[0], mesh.port), **more))
        return made[-1]

    yield start
    for one in made:
        one.end()


def answers(one: Envoy, count: int = 20) -> set[str]:
    return {text if status == 200 else str(status) for status, text in (one.get("/") for _ in range(count))}


def test_an_envoy_gets_what_was_published_and_follows_weights_endpoints_and_clusters(
    mesh: Mesh, running: Running, envoy: Callable[..., Envoy], blue: Application, green: Application
) -> None:
    both = [cluster("blue"), cluster("green")]
    mesh.publish(both, routes(blue=1, green=0), {"blue": endpoints("blue", blue), "green": endpoints("green", green)})
    until(lambda: running.loader.snapshot)
    one = envoy()
    until(lambda: one.get("/")[0] == 200, said=lambda: one.log.read_text()[-3_000:])
    assert answers(one) == {"blue"}
    mesh.publish(both, routes(blue=0, green=1), {"blue": endpoints("blue", blue), "green": endpoints("green", green)})
    until(lambda: answers(one, 3) == {"green"})
    mesh.publish(both, routes(blue=0, green=1), {"blue": endpoints("blue", blue), "green": endpoints("green", blue)})
    until(lambda: answers(one, 3) == {"blue"})
    changed = [cluster("green", connect_timeout="2s"), cluster("third")]
    mesh.publish(changed, routes(green=1, third=1), {"green": endpoints("green", green), "third": endpoints("third", blue)})
    seen: set[str] = set()
    until(lambda: seen.update(answers(one, 5)) or {"green", "blue"} <= seen)
    assert seen <= {"green", "blue"}, "no request was lost on the way"
    until(lambda: "cluster.blue." not in one.get("/clusters", one.admin)[1] and "blue::" not in one.get("/clusters", one.admin)[1])
    assert one.stats("cluster_manager.warming_clusters") == {"cluster_manager.warming_clusters": 0}
    assert not any(one.stats("update_rejected").values())


def test_only_what_a_snapshot_causes_counts_as_pushed(
    mesh: Mesh, running: Running, envoy: Callable[..., Envoy], blue: Application, green: Application
) -> None:
    mesh.publish([cluster("blue")], routes(blue=1), {"blue": endpoints("blue", blue)})
    until(lambda: running.loader.snapshot)
    one = envoy()
    until(lambda: answers(one, 1) == {"blue"}, said=lambda: one.log.read_text()[-3_000:])
    assert "crossmesh_xds_push_seconds_count 0.0" in running.metrics.text().decode(), "what a new Envoy is answered is no push"
    mesh.publish([cluster("blue")], routes(blue=1), {"blue": endpoints("blue", green)})
    until(lambda: "crossmesh_xds_push_seconds_count 1.0" in running.metrics.text().decode())


def test_a_refused_cluster_is_told_and_stopped_and_the_rest_goes_on(
    mesh: Mesh, running: Running, envoy: Callable[..., Envoy], blue: Application, green: Application
) -> None:
    sets = {"blue": endpoints("blue", blue), "green": endpoints("green", green)}
    mesh.publish([cluster("blue")], routes(blue=1), sets)
    until(lambda: running.loader.snapshot)
    one = envoy()
    until(lambda: answers(one, 1) == {"blue"}, said=lambda: one.log.read_text()[-3_000:])
    broken = cluster("broken", lb_policy="CLUSTER_PROVIDED")  # each message is valid; together they are not
    mesh.publish([cluster("blue"), broken, cluster("green")], routes(blue=1, green=1), sets)
    seen: set[str] = set()
    until(lambda: seen.update(answers(one, 5)) or "green" in seen, said=lambda: running.metrics.text().decode())
    assert seen == {"blue", "green"}
    assert 'crossmesh_xds_refusals_total{type="clusters"} 1.0' in running.metrics.text().decode()
    assert {name for name in ("blue", "green", "broken") if f"{name}::" in one.get("/clusters", one.admin)[1]} == {"blue", "green"}


def test_a_server_that_restarts_finds_its_envoys_and_sends_them_nothing_new(
    mesh: Mesh, running: Running, envoy: Callable[..., Envoy], blue: Application
) -> None:
    mesh.publish([cluster("blue")], routes(blue=1), {"blue": endpoints("blue", blue)})
    until(lambda: running.loader.snapshot)
    one = envoy()
    until(lambda: answers(one, 1) == {"blue"}, said=lambda: one.log.read_text()[-3_000:])
    before = {name: one.stats(name) for name in ("lds.update_success", "cds.update_success")}
    running.stop()
    assert answers(one, 5) == {"blue"}, "Envoys go on"
    again = Running(mesh.folder, port=running.port, signer=running.signer)
    try:
        until(lambda: "crossmesh_xds_streams 1.0" in again.metrics.text().decode(), said=lambda: one.log.read_text()[-3_000:])
        mesh.publish([cluster("blue")], routes(blue=1), {"blue": endpoints("blue")})
        until(lambda: answers(one, 1) == {"503"})
        assert {name: one.stats(name) for name in before} == before
    finally:
        again.stop()


@pytest.mark.parametrize("token", ["other-namespace", "other-audience", "no-audience", "expired", "nobody"])
def test_a_token_that_proves_nothing_gets_nothing_and_is_counted(
    mesh: Mesh, running: Running, envoy: Callable[..., Envoy], blue: Application, token: str
) -> None:
    mesh.publish([cluster("blue")], routes(blue=1), {"blue": endpoints("blue", blue)})
    until(lambda: running.loader.snapshot)
    one = envoy(token=token)
    reason = "not_allowed" if token == "other-namespace" else "token"
    until(
        lambda: f'crossmesh_xds_refused_streams_total{{reason="{reason}"}}' in running.metrics.text().decode(),
        said=lambda: one.log.read_text()[-3_000:],
    )
    assert not any(one.stats("lds.update_success").values())
    assert json.loads(one.get("/server_info", one.admin)[1])["state"] != "LIVE"


def ask(running: Running, token: str, version: str = "") -> list[Any]:
    """The responses that a client gets until the server closes its stream; raises its grpc.RpcError."""
    said = codec._type("envoy.service.discovery.v3.DiscoveryRequest")(type_url=Kind.CLUSTERS.value, version_info=version)
    said.node.id = NODE
    options = [("grpc.ssl_target_name_override", "xds.test")]
    done = threading.Event()

    def requests() -> Iterator[bytes]:
        yield said.SerializeToString()
        done.wait(20)

    with grpc.secure_channel(f"127.0.0.1:{running.port}", grpc.ssl_channel_credentials(running.signer.certificate), options) as channel:
        answers = channel.stream_stream(codec.DISCOVERY)(requests(), timeout=20, metadata=[("authorization", f"Bearer {token}")])
        try:
            return list(answers)
        finally:
            done.set()


def test_an_older_replica_answers_nothing_and_closes_the_stream(
    mesh: Mesh, running: Running, blue: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossmesh_xds.server.BEHIND_S", 0.3)
    mesh.publish([cluster("blue")], routes(blue=1), {"blue": endpoints("blue", blue)})
    until(lambda: running.loader.snapshot)
    with pytest.raises(grpc.RpcError) as closed:
        ask(running, "good", "9.0123456789abcdef")
    assert (closed.value.code(), closed.value.details()) == (grpc.StatusCode.UNAVAILABLE, "another replica has a newer snapshot")
    assert "crossmesh_xds_behind_streams_total 1.0" in running.metrics.text().decode()
    assert not [line for line in running.metrics.text().decode().splitlines() if line.startswith("crossmesh_xds_responses_total")]


def test_a_refusal_is_slower_each_time(mesh: Mesh, running: Running, blue: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossmesh_xds.identity.FIRST_REFUSAL_S", 0.4)
    mesh.publish([cluster("blue")], routes(blue=1), {"blue": endpoints("blue", blue)})
    until(lambda: running.loader.snapshot)
    took = []
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as refused:
            ask(running, "expired")
        took.append(time.monotonic() - began)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert took[0] >= 0.4
    assert took[1] >= 0.8


def test_a_stream_that_asks_for_an_object_of_the_snapshot_must_be_a_servers(mesh: Mesh, running: Running, blue: Application) -> None:
    mesh.publish([cluster("blue")], routes(blue=1), {"blue": endpoints("blue", blue)})
    until(lambda: running.loader.snapshot)
    for token, allowed in (("server", True), ("good", False), ("expired", False)):
        peer = Peer(f"127.0.0.1:{running.port}", running.signer.certificate, "xds.test", lambda token=token: token)
        if allowed:
            assert peer.pointer() == mesh.shelf.pointer
            assert peer.object(mesh.shelf.pointer["root"]) == mesh.shelf.objects[mesh.shelf.pointer["root"]]
            with pytest.raises(Unavailable, match="NOT_FOUND"):
                peer.object("0" * 64)
        else:
            with pytest.raises(Unavailable, match=r"PERMISSION_DENIED|UNAUTHENTICATED"):
                peer.pointer()
        peer.close()
