"""One request of a run belongs to the invocation's own trace, and X-Ray's daemon is told of the call."""

import json
import socket

import pytest
from crossmesh.adapters import tracing
from crossmesh.adapters.front import Front

from tests.conformance.servers import answer, serve

ROOT, PARENT = "1-67a1b2c3-0123456789abcdef01234567", "00112233aabbccdd"


@pytest.mark.parametrize("header", ["", f"Root={ROOT}", f"Root={ROOT};Parent={PARENT};Sampled=0", "Sampled=1;Parent=x"])
def test_without_a_recorded_invocation_there_is_no_trace_to_join(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    assert tracing.invocation_trace() is None


def test_the_marked_request_hangs_below_the_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={ROOT};Parent={PARENT};Sampled=1;Lineage=1:2:3")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"127.0.0.1:{daemon.getsockname()[1]}")
        with serve(answer("blue")) as served:
            samples = Front(also=["127.0.0.0/8"]).probe(served.url("/color"), 3, 2.0, "front-color")
        header, _, document = daemon.recv(65_536).partition(b"\n")
    told = json.loads(document)
    assert json.loads(header) == {"format": "json", "version": 1}
    assert (told["trace_id"], told["parent_id"], told["type"], told["namespace"]) == (ROOT, PARENT, "subsegment", "remote")
    assert told["http"]["response"]["status"] == samples[0].status == 200
    assert told["start_time"] <= told["end_time"]
    assert samples[0].trace_id == ROOT
    sent = [head.decode() for head in served.requests]
    assert sum(f"X-Amzn-Trace-Id: Root={ROOT};Parent={told['id']};Sampled=1\r\n" in head for head in sent) == 1
    assert sum(ROOT in head for head in sent) == 1, "the others are other traces"


def test_without_a_daemon_the_canary_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root={ROOT};Parent={PARENT};Sampled=1")
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", "nowhere")
    with serve(answer("blue")) as served:
        assert [sample.status for sample in Front(also=["127.0.0.0/8"]).probe(served.url("/color"), 2, 2.0, "c")] == [200, 200]
