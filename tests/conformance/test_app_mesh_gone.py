"""App Mesh has ended on AWS: where nobody answers, it costs one question of bounded time in ten minutes, and no pod waits for it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.adapters import app_mesh
from crossmesh.core.mesh.appmesh.state import MeshResource
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.registry.plan import Register
from crossmesh.core.reporting.report import Report
from crossmesh.core.settings import MeshSettings
from crossmesh.core.topology import Resource
from crossmesh.driver import drive
from crossmesh.steps import look, reconcile_mesh, take_lease
from crossmesh.usecases import look as looks
from crossmesh.usecases.context import Context
from crossmesh.usecases.mesh.appmesh import observing

from tests.support.builders import PLACE, context, node, pod
from tests.support.passes import MemoryWorld

PATIENCE = 0.5  # seconds that stand for three


class Counting:
    """How often somebody came."""

    def __init__(self) -> None:
        self.came = 0


@contextmanager
def no_name(_: Counting) -> Iterator[str]:
    yield "http://appmesh.us-east-1.invalid"


@contextmanager
def dropped(_: Counting) -> Iterator[str]:
    """A listener whose queue is full: the next connection is never made."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


@contextmanager
def never_answers(count: Counting) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return
                count.came += 1

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        for one in held:
            one.close()


@contextmanager
def refused(count: Counting, status: int = 410, body: bytes = b"<html>Gone</html>") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            count.came += 1
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


GONE = {"no name": no_name, "packets dropped": dropped, "no answer": never_answers, "410": refused}


HERE = Resource(kind="Mesh", namespace="", name="demo", aws_name="demo", mesh="demo", place=PLACE)


def declared() -> Context:
    """48 virtual nodes in one mesh."""
    nodes = [node(f"n{i}") for i in range(47)]
    made = context(node("blue"), *nodes)
    topology = msgspec.structs.replace(made.topology, meshes=(HERE,))
    backend = MeshSettings(manifests=made.settings.mesh.manifests, backend="appmesh")
    return msgspec.structs.replace(made, settings=msgspec.structs.replace(made.settings, mesh=backend), topology=topology)


class Asked(app_mesh.AppMesh):
    """Counts what is asked of it."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.asked = 0

    def describe(self, target: MeshTarget) -> MeshResource | None:
        self.asked += 1
        return super().describe(target)


def asked(here: MemoryWorld) -> int:
    found: Any = here.mesh
    return int(found.asked)


def world(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> MemoryWorld:
    for name, value in {"AWS_ENDPOINT_URL_APP_MESH": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(app_mesh, "PATIENCE", PATIENCE)
    made = MemoryWorld()
    made.clock.sleep(10_000.0)
    made.mesh = Asked("us-east-1")  # type: ignore[assignment]
    made.clusters.put("a", pod("u1"))
    return made


def looked(here: MemoryWorld, where: Context, cause: str = "schedule") -> tuple[look.Response, Report, float]:
    here.count += 1
    began = time.monotonic()
    said = drive(look.run(look.Request(id=f"look-{here.count}", cause=cause), where), here.ports)
    report = here.state.documents[looks.LAST]
    return said, codec.decode(report, Report), time.monotonic() - began


@pytest.mark.parametrize("how", GONE)
def test_it_costs_one_bounded_question_remembered_for_ten_minutes_and_no_pod_waits(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count, where = Counting(), declared()
    with GONE[how](count) as endpoint:
        here = world(endpoint, monkeypatch)
        said, report, took = looked(here, where)
        assert took < 15, "48 resources, three tries each, took 43 s"
        assert asked(here) == 1
        assert (said.decision, report.adds) == ("apply", 1), "pods go on"
        assert report.mesh_unavailable
        assert report.mesh_gone > 0
        came = count.came
        assert came <= 1
        for cause in ("hint", "schedule", "hint"):
            here.clock.sleep(60.0)
            said, report, _ = looked(here, where, cause)
            assert asked(here) == 1, "nobody is asked"
            assert report.mesh_unavailable, "and it stays told: one alarm, one mail"
        here.executions.alive.add("arn:r")
        taken = drive(take_lease.run(take_lease.Request(id=said.id, execution="arn:r", look=said.look), where), here.ports)
        assert taken.planned is not None
        assert not taken.planned.mesh, "nor does the run look at the mesh"
        answer = drive(reconcile_mesh.run(reconcile_mesh.Request(run=taken.run), where), here.ports)
        assert answer.unavailable
        assert (asked(here), count.came) == (1, came)
        here.clock.sleep(observing.GONE_FOR)
        _, report, _ = looked(here, where)
        assert report.mesh_gone == pytest.approx(here.clock.now(), abs=5), "asked anew"
        assert asked(here) == 2


def test_another_configuration_asks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count, where = Counting(), declared()
    with refused(count) as endpoint:
        here = world(endpoint, monkeypatch)
        looked(here, where)
        looked(here, msgspec.structs.replace(where, config="c1"))
    assert count.came == 2


@pytest.mark.parametrize(("status", "body"), [(403, b'{"message": "no"}'), (429, b"{}"), (500, b"{}")], ids=["denied", "throttled", "error"])
def test_whoever_answers_is_not_gone(status: int, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    count, where = Counting(), declared()
    with refused(count, status, body) as endpoint:
        here = world(endpoint, monkeypatch)
        _, report, _ = looked(here, where)
        assert report.mesh_unavailable
        assert report.mesh_gone == 0.0
        came = count.came
        assert came <= 4, "the first question is the only one"
        looked(here, where)
        assert count.came > came


def test_a_pod_is_planned_while_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    where = declared()
    with dropped(Counting()) as endpoint:
        here = world(endpoint, monkeypatch)
        looked(here, where)
        here.clock.sleep(observing.GONE_FOR + 1)
        here.clusters.put("a", pod("u22"))
        seen = drive(looks.observe_and_plan(where, pods_alone=True), here.ports)
        assert asked(here) == 1, "a hint does not ask it even then: the schedule does"
    assert {action.pod for action in seen.plan.actions if isinstance(action, Register)} == {"demo/pod-u1", "demo/pod-u22"}
    assert seen.mesh.unavailable
