"""Kubernetes answers field by field and byte by byte: a cluster is seen with sound pods, or unseen with a cause. It never crashes its observer."""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from crossmesh.adapters.kubernetes import clusters
from crossmesh.core import kubernetes_names
from crossmesh.core.observed import Seen, Unseen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import hostile_answers as answers
from tests.support.hostile_answers import CLUSTER, GOOD, Liar
from tests.support.hostile_cluster import SETTINGS, UID, pod, pods, serving
from tests.support.measured import measured

CAUSES = {"cut", "malformed", "too-large", "list-incomplete", "timeout", "unreachable"}
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PODS = "/api/v1/namespaces/demo/pods"
WHOLE: dict[str, Any] = {
    "metadata": {
        "name": "a", "namespace": "shop", "uid": "u1", "labels": {"app": "front"}, "annotations": {"x": "y"}, "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [{"kind": "ReplicaSet", "name": "front-7d4"}], "resourceVersion": "7",
    },
    "spec": {"nodeName": "n1", "restartPolicy": "Always", "readinessGates": [{"conditionType": "conditions.appmesh.k8s.aws/aws-cloudmap-healthy"}]},
    "status": {
        "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}, {"type": "ContainersReady", "status": "True"}],
        "containerStatuses": [{"name": "app", "ready": True, "state": {"running": {}}}],
    },
}  # fmt: skip
ODD = st.sampled_from(
    [
        None, "", "x" * 100_000, "../..", "\x00", "\ud7ff", "\u202e", "1e999", -1, 0, 2**63, 1e308, True, [], {}, [None], {"": ""}, [[[[[]]]]],
        "9999-99-99T99:99:99Z", "2026-01-01T00:00:00+99:99", "0000-00-00T00:00:00Z", "169.254.169.254", "::1", "1.2.3.4/0", {"a": {"a": {"a": {}}}},
    ]
)  # fmt: skip


class ByPath(Liar):
    """Answers a list of pods that is as given, and the rest as a sound cluster does."""

    def request(self, verb: str, url: str, *_: Any) -> tuple[int, bytes]:
        self.turn += 1
        if "/pods/" in url:
            return 404, b"{}"
        kind = "NodeList" if "/nodes" in url else "DeploymentList"
        rest = json.dumps({"kind": kind, "metadata": {"resourceVersion": "1"}, "items": []}).encode()
        return 200, json.dumps(GOOD[0]).encode() if "kube-system" in url else self.answers[0][1] if "/pods?" in url else rest


def observe(listed: Any) -> Seen | Unseen:
    """A view of a cluster whose list of pods is this."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(answers, "Liar", ByPath)
        return answers.observe([(200, json.dumps(listed).encode())])


def spoiled(value: Any, data: st.DataObject) -> Any:
    """The value with one part of it, however deep, in the place of something odd, gone, or there many times."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(value)))
        changed = spoiled(value[key], data)
        return {k: v for k, v in value.items() if k != key} | ({} if changed is ... else {key: changed})
    if isinstance(value, list) and value and data.draw(st.integers(0, 4)):
        changed = spoiled(value[0], data) if data.draw(st.booleans()) else value[0]
        return [] if changed is ... else [changed] * data.draw(st.sampled_from([1, 2, 300]))
    return data.draw(st.just(...) | ODD)


@QUICK
@given(data=st.data())
def test_a_pod_of_odd_parts_is_sound_or_its_cluster_unseen(data: st.DataObject) -> None:
    item = spoiled(WHOLE, data)
    listed = {**GOOD[1], "items": [{} if item is ... else item, WHOLE | {"metadata": WHOLE["metadata"] | {"name": "b", "uid": "u2"}}]}
    found = observe(listed)
    if isinstance(found, Seen):
        assert [fault for one in found.pods if (fault := kubernetes_names.pod_fault(one, "shop"))] == []
        assert len(found.pods) == 2, "none of the list is left out"
    else:
        assert found.cause in CAUSES, found
        assert len(found.detail) <= 300


@QUICK
@given(data=st.data())
def test_a_list_of_odd_parts_is_whole_or_its_cluster_unseen(data: st.DataObject) -> None:
    whole = {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "", "remainingItemCount": 0}, "items": [WHOLE]}
    page = spoiled(whole, data)
    found = observe({} if page is ... else page)
    if isinstance(found, Unseen):
        assert found.cause in CAUSES, found
        assert len(found.detail) <= 300


SIZES = st.sampled_from(
    [b"2", b"0", b"", b"-1", b"FFFFFFFFFFFFFFFF", b"0x2", b"2;x=" + b"y" * 70_000, b"\xff", b"2\r", b" 2", b"1_0", b"00000002"]
)
LINES = st.lists(st.tuples(SIZES, st.sampled_from([b"{}", b"", b"{", b"x" * 70_000]), st.sampled_from([b"\r\n", b"\n", b""])), max_size=5)
HEADS = st.sampled_from(
    [
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: x",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2", b"Content-Length: -2", b"Content-Length: 2\r\nContent-Length: 3", b"Content-Length: 9e9",
        b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked", b"Content-Encoding: gzip, gzip\r\nContent-Length: 2", b"X: \xff\xfe", b": ", b"",
        b"Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X", b"A: b\r\n" * 300,
    ]
)  # fmt: skip


def test_no_framing_of_an_answer_is_believed_or_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over real TLS: lengths, chunks and codings that contradict each other."""
    monkeypatch.setattr(clusters, "DEADLINE", 1.0)
    monkeypatch.setattr(clusters, "LIMIT", 1.5)
    said = [b""]

    def answer(wire: Any) -> None:
        wire.sendall(said[0])
        wire.close()

    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), {PODS: answer}) as (_, adapter):

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(head=HEADS, lines=LINES, status=st.sampled_from([b"200 OK", b"200", b"999 x", b"100 Continue", b"-1 x"]))
        def framed(head: bytes, lines: list[tuple[bytes, bytes, bytes]], status: bytes) -> None:
            body = b"".join(size + b"\r\n" + piece + end for size, piece, end in lines)
            said[0] = b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n\r\n" + body
            began = time.monotonic()
            found = adapter.observe(SETTINGS, ("demo",), (), "", {})
            assert time.monotonic() - began < 4.0, said[0][:200]
            assert isinstance(found, Unseen), "none of these is a list of pods"
            assert found.cause != "crashed", (found, said[0][:200])

        framed()
        page = json.dumps(pods(pod())).encode()
        said[0] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(page), page)
        found = adapter.observe(SETTINGS, ("demo",), (), "", {})
        assert isinstance(found, Seen), found
        assert [one.uid for one in found.pods] == [UID]


@pytest.mark.parametrize(("kind", "depth"), [("object", 8_000), ("list", 8_000), ("object", 90_000)])
def test_a_document_nested_very_deep_costs_little_and_holds_up_nobody(kind: str, depth: int) -> None:
    """Custom resources have fields of any depth where the CRD keeps unknown ones: read, judged, stored and read again."""
    opened, closed = {"object": ('{"a":', "}"), "list": ("[", "]")}[kind]
    before = f"""
import msgspec
from crossmesh import codec
from crossmesh.core.compiler.cluster_manifests import ClusterDocuments, kept
from crossmesh.manifests.judged import judged
from tests.support.tenants import *
text = '{{"metadata":{{"name":"deep","namespace":"mallory"}},"spec":{{"listeners":' + {opened!r} * {depth} + "1" + {closed!r} * {depth} + "}}}}"
"""
    work = """
try:
    item = kept(msgspec.json.decode(text), "VirtualNode", "appmesh.k8s.aws/v1beta2")
except RecursionError:
    answer = "refused"
else:
    new = ClusterDocuments(cluster="one", items=(*held(*ALL).items, item))
    for old in ([held(*ALL)], [], [new]):
        found = judged(settings(), [new], old)
        codec.decode(codec.encode(found.held), tuple[ClusterDocuments, ...])
    answer = nodes(found)
"""
    cost = measured(before, work)
    assert cost.answer == "refused" if depth > 50_000 else set(cost.answer) >= {"payments/pay"}, cost.answer
    assert cost.seconds < 10.0, cost
    assert cost.peak < 400, cost


def test_that_the_answers_are_sound_where_nobody_spoils_them() -> None:
    whole = {**GOOD[1], "items": [WHOLE, WHOLE | {"metadata": WHOLE["metadata"] | {"name": "b", "uid": "u2"}}]}
    found = observe(whole)
    assert isinstance(found, Seen), found
    assert {one.uid for one in found.pods} == {"u1", "u2"}
    assert CLUSTER.name == found.cluster
