"""The process as its image starts it: an API server and AWS by HTTP, a client by gRPC. Start, readiness, heartbeat, a server away, the end."""

import base64
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from crossmesh_xds import codec
from crossmesh_xds.cluster import SECRET
from crossmesh_xds.identity import AUDIENCE
from crossmesh_xds.mesh import Kind
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.answering import Answering
from tests.support.snapshots import LINEAGE, Shelf, proxy
from tests.support.xds_server import until
from world.deploy import ROOT
from world.state import free_ports

NODE = "mesh/shop/virtualNode/front_shop"
NAME = "crossmesh-xds.crossmesh.svc"
FRONT = "system:serviceaccount:shop:front"
SECRETS = ("se3ret", "front-token", "server-token", "foreign-token", "aimed-token", "unaimed-token", "expired-token", "nobody", "PRIVATE KEY")


def known(user: str, *audiences: str) -> dict[str, Any]:
    """The status of a TokenReview of a token that the cluster knows."""
    return {"authenticated": True, "user": {"username": user}, "audiences": list(audiences)}


REVIEWS = {
    "front-token": known(FRONT, AUDIENCE),
    "server-token": known("system:serviceaccount:crossmesh:crossmesh-xds", AUDIENCE),
    "foreign-token": known("system:serviceaccount:other:front", AUDIENCE),
    "aimed-token": known(FRONT, "sts.amazonaws.com"),
    "unaimed-token": known(FRONT),
    "expired-token": {"error": "token has expired"},
}


class World(ThreadingHTTPServer):
    """The API server, DynamoDB and S3 in one. `aws_down` and `api_down` make them fail. `calls` has what was asked of AWS."""

    daemon_threads = True

    def __init__(self) -> None:
        self.shelf, self.aws_down, self.api_down = Shelf(), False, False
        self.secrets, self.heartbeats, self.calls = dict[str, Any](), list[Any](), set[tuple[str, str]]()
        world = self

        class Handler(Answering, BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                if self.path.startswith("/bucket/"):
                    world.calls.add(("GetObject", re.sub("[0-9a-f]{64}", "DIGEST", self.path.partition("?")[0])))
                    data = world.shelf.objects.get(self.path.partition("?")[0].rpartition("/")[2])
                    return self.send(503 if world.aws_down else 200 if data else 404, data or b"")
                name = self.path.rpartition("/")[2]
                found = world.secrets.get(name) if "/secrets/" in self.path else {"issuer": "https://i", "keys": []}
                return self.send(503 if world.api_down else 200 if found else 404, json.dumps(found).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                target = self.headers.get("X-Amz-Target", "").partition(".")[2]
                if target:
                    return self.dynamodb(target, body)
                if self.path.endswith("tokenreviews"):
                    status = REVIEWS.get(body["spec"]["token"], {"error": "unknown"})
                    return self.send(503 if world.api_down else 201, json.dumps({"kind": "TokenReview", "status": status}).encode())
                world.secrets[body["metadata"]["name"]] = body
                return self.send(201, json.dumps(body).encode())

            def dynamodb(self, target: str, body: Any) -> None:
                world.calls.add((target, body["Key"]["id"]["S"] if "Key" in body else body["Item"]["id"]["S"]))
                if world.aws_down:
                    return self.send(400, b'{"__type": "ThrottlingException"}')
                if target == "PutItem":
                    world.heartbeats.append(json.loads(body["Item"]["said"]["S"]))
                    return self.send(200, b"{}")
                item = {key: {"N": str(value)} if isinstance(value, int) else {"S": value} for key, value in world.shelf.pointer.items()}
                return self.send(200, json.dumps({"Item": item} if item else {}).encode())

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Process:
    """`python -m crossmesh_xds`, told where its API server and its peers are."""

    def __init__(self, folder: Path, world: World, peer: str = "", **more: str) -> None:
        self.port, self.http = free_ports(2)
        folder.mkdir(exist_ok=True)
        for name, text in {"token": "ours", "ca.crt": "", "own": "server-token"}.items():
            (folder / name).write_text(text)
        url = f"http://127.0.0.1:{world.server_address[1]}"
        variables = {
            "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "xds"), "PYTHONUNBUFFERED": "1", "XDS_TEST_API": url, "XDS_TEST_PEER": peer,
            "CROSSMESH_CLUSTER": "east", "CROSSMESH_POD": "xds-0", "CROSSMESH_ADDRESS": "127.0.0.1", "CROSSMESH_NAMESPACE": "crossmesh",
            "CROSSMESH_TABLE": "table", "CROSSMESH_BUCKET": "bucket", "CROSSMESH_REGION": "us-east-1",
            "CROSSMESH_LISTEN": f"127.0.0.1:{self.port}", "CROSSMESH_HTTP": f"127.0.0.1:{self.http}",
            "CROSSMESH_TOKEN": str(folder / "own"), "CROSSMESH_SERVICE_ACCOUNT_FOLDER": str(folder),
            "AWS_ENDPOINT_URL_DYNAMODB": url, "AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "se3ret",
            "AWS_EC2_METADATA_DISABLED": "true",
        } | more  # fmt: skip
        start = (
            "import os, sys; from crossmesh_xds import __main__ as m, cluster;"
            "m.cluster.in_cluster = lambda folder: cluster.Access(server=os.environ['XDS_TEST_API'], ca='', token='ours');"
            "m.addresses = lambda *_: [one for one in [os.environ['XDS_TEST_PEER']] if one];"
            "sys.exit(m.main())"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", start], env=variables, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def ready(self) -> None:
        until(lambda: self.get("/readyz")[0] == 200, said=lambda: f"{self.get('/readyz')} {self.process.poll()}")

    def ask(self, world: World, token: str = "front-token", node: str = NODE, version: str = "") -> Any:
        """The first response to a client that asks for clusters; a grpc.RpcError where there is none."""
        ca = base64.b64decode(world.secrets[SECRET]["data"]["ca.crt"])
        options = [("grpc.ssl_target_name_override", NAME)]
        with grpc.secure_channel(f"127.0.0.1:{self.port}", grpc.ssl_channel_credentials(ca), options) as channel:
            said = codec._type("envoy.service.discovery.v3.DiscoveryRequest")(type_url=Kind.CLUSTERS.value, version_info=version)
            said.node.id = node
            done = threading.Event()

            def requests() -> Iterator[bytes]:
                yield said.SerializeToString()
                done.wait(20)

            shown = [("authorization", f"Bearer {token}")] if token else []
            answers = channel.stream_stream(codec.DISCOVERY)(requests(), timeout=20, metadata=shown)
            try:
                return codec._type("envoy.service.discovery.v3.DiscoveryResponse").FromString(next(answers))
            finally:
                done.set()

    def counted(self, counter: str) -> int:
        """A counter with its labels, as the metrics have it."""
        line = re.search(rf"^crossmesh_xds_{re.escape(counter)} (\S+)", self.get("/metrics")[1], re.MULTILINE)
        return int(float(line.group(1))) if line else 0

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and log lines."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=20)
        assert not any(secret in output for secret in SECRETS), output
        return self.process.returncode, [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    found.shelf.publish(5, {NODE: proxy(4, [{"name": "c", "type": "EDS"}])}, {"c": {"cluster_name": "c"}})
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def started(tmp_path: Path, world: World) -> Iterator[list[Process]]:
    found = [Process(tmp_path / "first", world)]
    yield found
    for one in found:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_it_serves_tells_how_it_is_asks_aws_for_no_more_than_it_may_and_ends_cleanly(world: World, started: list[Process]) -> None:
    (one,) = started
    one.ready()
    answer = one.ask(world)
    assert (answer.version_info.partition(".")[0], len(answer.resources), answer.control_plane.identifier) == ("4", 1, "xds-0")
    for token, node, code in (
        ("nobody", NODE, grpc.StatusCode.UNAUTHENTICATED),
        ("server-token", NODE, grpc.StatusCode.PERMISSION_DENIED),
        ("front-token", "mesh/shop/virtualNode/other", grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            one.ask(world, token, node)
        assert refused.value.code() is code
    families = {family.name: family for family in text_string_to_metric_families(one.get("/metrics")[1])}
    assert families["crossmesh_xds_snapshot_number"].samples[0].value == 5
    reasons = {sample.labels["reason"] for sample in families["crossmesh_xds_refused_streams"].samples if sample.name.endswith("_total")}
    assert reasons == {"token", "not_allowed", "unknown"}
    until(lambda: world.heartbeats)
    assert {"cluster", "formats", "lineage", "number", "streams", "stopped", "read", "looked", "at"} == world.heartbeats[-1].keys()
    assert world.calls == {
        ("GetItem", "snapshots/pointer"),
        ("PutItem", "snapshots/servers/east/xds-0"),
        ("GetObject", "/bucket/snapshots/DIGEST"),
    }
    assert one.get("/livez")[0] == 200
    assert one.get("/other")[0] == 404
    code, lines = one.end()
    assert code == 0
    assert [line["message"] for line in lines if line["message"] in ("started", "snapshot", "ended")] == ["started", "snapshot", "ended"]
    assert {line["cluster"] for line in lines} == {"east"}


def test_a_new_server_takes_the_snapshot_from_its_peer_while_aws_is_away(tmp_path: Path, world: World, started: list[Process]) -> None:
    started[0].ready()
    world.aws_down = True
    started.append(Process(tmp_path / "second", world, peer=f"127.0.0.1:{started[0].port}"))
    started[1].ready()
    assert started[1].ask(world).version_info == started[0].ask(world).version_info
    assert started[0].get("/readyz")[0] == 200, "AWS away: it goes on with what it has"
    world.aws_down = False
    world.shelf.publish(6, {NODE: proxy(6, [{"name": "d", "type": "EDS"}])}, {"d": {"cluster_name": "d"}})
    until(lambda: all("crossmesh_xds_snapshot_number 6.0" in one.get("/metrics")[1] for one in started))


def test_without_a_snapshot_it_is_not_ready_and_plain_text_gets_nothing(world: World, started: list[Process], tmp_path: Path) -> None:
    world.shelf.pointer.clear()
    one = Process(tmp_path / "later", world)
    started.append(one)
    until(lambda: one.get("/livez")[0] == 200)
    until(lambda: "crossmesh_xds_looks_total" in one.get("/metrics")[1])
    assert one.get("/readyz") == (503, "no snapshot yet\n")
    with pytest.raises(grpc.RpcError) as refused:
        one.ask(world)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    with grpc.insecure_channel(f"127.0.0.1:{one.port}") as channel, pytest.raises(grpc.RpcError):
        next(channel.stream_stream(codec.DISCOVERY)(iter([b""]), timeout=5))


@pytest.mark.parametrize(
    ("token", "reason", "code", "detail"),
    [
        ("", "token", grpc.StatusCode.UNAUTHENTICATED, "no token"),
        ("expired-token", "token", grpc.StatusCode.UNAUTHENTICATED, "token has expired"),
        ("aimed-token", "token", grpc.StatusCode.UNAUTHENTICATED, "the token is for sts.amazonaws.com, not for crossmesh-xds"),
        ("unaimed-token", "token", grpc.StatusCode.UNAUTHENTICATED, "the token is for no audience, not for crossmesh-xds"),
        ("foreign-token", "not_allowed", grpc.StatusCode.PERMISSION_DENIED, f"other/front may not be {NODE}"),
    ],
)
def test_a_token_that_proves_nothing_is_refused_counted_and_told(
    world: World, started: list[Process], token: str, reason: str, code: grpc.StatusCode, detail: str
) -> None:
    (one,) = started
    one.ready()
    with pytest.raises(grpc.RpcError) as refused:
        one.ask(world, token)
    assert refused.value.code() is code
    assert detail in refused.value.details()
    assert one.counted(f'refused_streams_total{{reason="{reason}"}}') == 1
    assert one.ask(world).version_info.startswith("4."), "who may ask is still answered"
    told = [line for line in one.end()[1] if line["message"] == "stream refused"]
    assert [(line["level"], line["reason"]) for line in told] == [("WARNING", reason)]
    assert detail in told[0]["detail"]


@pytest.mark.parametrize(
    ("number", "root", "outcome", "detail"),
    [
        (6, {"lineage": "2b" * 16}, "foreign", f"lineage {'2b' * 16} with number 6"),
        (6, {"lineage": "2b" * 16, "parent": {"lineage": "3c" * 16, "number": 5}}, "foreign", f"lineage {'2b' * 16} with number 6"),
        (3, {"lineage": "2b" * 16, "parent": {"lineage": LINEAGE, "number": 5}}, "foreign", f"lineage {'2b' * 16} with number 3"),
        (4, {}, "older", "number 4 of epoch 1"),
        (6, {"epoch": 0}, "older", "number 6 of epoch 0"),
    ],
    ids=["forged lineage", "child of another lineage", "child with a lower number", "lower number", "lower epoch"],
)
def test_a_snapshot_that_does_not_follow_is_refused_counted_and_told(
    world: World, started: list[Process], number: int, root: dict[str, Any], outcome: str, detail: str
) -> None:
    (one,) = started
    one.ready()
    sets = {"forged": {"cluster_name": "forged"}}
    world.shelf.publish(number, {NODE: proxy(1, [{"name": "forged", "type": "EDS"}])}, sets, endpoints_number=1, **root)
    until(lambda: one.counted(f'looks_total{{outcome="{outcome}"}}') > 0, said=lambda: one.get("/metrics")[1])
    assert one.counted("snapshot_number") == 5
    assert b"forged" not in one.ask(world).SerializeToString(), "what was served goes on"
    told = [line for line in one.end()[1] if line["message"] == "snapshot not taken"]
    assert [(line["outcome"], detail in line["reason"]) for line in told] == [(outcome, True)], "told once, not at each look"


def test_a_replica_that_is_older_than_an_envoy_sends_it_nothing_and_is_counted(world: World, started: list[Process]) -> None:
    (one,) = started
    one.ready()
    with pytest.raises(grpc.RpcError) as closed:
        one.ask(world, version="9.0123456789abcdef")
    assert (closed.value.code(), closed.value.details()) == (grpc.StatusCode.UNAVAILABLE, "another replica has a newer snapshot")
    assert one.counted("behind_streams_total") == 1
    assert one.counted('responses_total{type="clusters"}') == 0


def test_it_says_all_that_is_missing_in_its_environment() -> None:
    command = [sys.executable, "-m", "crossmesh_xds"]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT / "xds"), "CROSSMESH_LISTEN": "x"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    for name in ("CLUSTER", "POD", "ADDRESS", "NAMESPACE", "TABLE", "BUCKET", "REGION", "LISTEN"):
        assert f"CROSSMESH_{name} is" in done.stderr
