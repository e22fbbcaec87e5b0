"""One cluster that drips, floods, bombs or lies is Unseen with its cause, in time and in little memory; the others are seen meanwhile."""

import gzip
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from crossmesh.adapters.kubernetes import api as kubernetes_api
from crossmesh.adapters.kubernetes import clusters
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
from crossmesh.adapters.kubernetes.transport import WAITED_FOR
from crossmesh.core.observed import MOST_DETAIL, Seen, Unseen
from crossmesh.core.registry.plan import Register
from crossmesh.core.settings import ClusterSettings
from crossmesh.driver import drive
from crossmesh.errors import TransientError
from crossmesh.ports import PodRef
from crossmesh.steps import look
from crossmesh.usecases import look as looks
from crossmesh.usecases import look_lease

from tests.support.builders import context, node
from tests.support.hostile_cluster import SETTINGS, UID, Answer, OneEks, answer, old_authority, pod, pods, serving, system
from tests.support.passes import MemoryWorld
from world.clusters.credentials import certificate

PODS = "/api/v1/namespaces/demo/pods"
QUICK = 1.0  # seconds that stand for the deadline


def view(adapter: KubernetesClusters, *registered: PodRef) -> Seen | Unseen:
    return adapter.observe(SETTINGS, ("demo",), registered, "", {})


def drip(wire: Any) -> None:
    wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n")
    for _ in range(9000):
        wire.sendall(b" ")
        time.sleep(0.1)


def drip_head(wire: Any) -> None:
    for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 9000:
        wire.sendall(bytes([letter]))
        time.sleep(0.1)


def go_on(wire: Any) -> None:
    for _ in range(900):
        wire.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.1)


def chunks(wire: Any) -> None:
    wire.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(900):
        wire.sendall(b"1\r\n \r\n")
        time.sleep(0.1)


def silence(_: Any) -> None:
    time.sleep(60)


SLOW = {"a body by drops": drip, "headers by drops": drip_head, "100 Continue for ever": go_on, "chunks for ever": chunks, "silence": silence}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "DEADLINE", QUICK)
    monkeypatch.setattr(clusters, "LIMIT", QUICK + 0.5)


@pytest.mark.parametrize("how", SLOW)
def test_whoever_takes_for_ever_is_unseen_in_time_and_nobody_goes_on_reading(how: str, tmp_path: Path, quick: None) -> None:
    with serving(tmp_path, {PODS: SLOW[how]}) as (_, adapter):
        began = time.monotonic()
        found = view(adapter)
        assert time.monotonic() - began < QUICK + 1.5
        assert isinstance(found, Unseen)
        assert found.cause == "timeout", found
        with pytest.raises(TransientError, match="timeout"):
            adapter.workloads(SETTINGS, ("demo",))
        end = time.monotonic() + 5
        while (left := [t for t in threading.enumerate() if t.name == WAITED_FOR]) and time.monotonic() < end:
            time.sleep(0.02)
        assert not left, "its connections were ended, though the cluster goes on sending"


@pytest.mark.parametrize("how", SLOW)
def test_a_slow_cluster_is_waited_for_as_long_as_the_look_says(how: str, tmp_path: Path) -> None:
    with serving(tmp_path, {PODS: SLOW[how]}) as (_, adapter):
        began = time.monotonic()
        found = adapter.observe(SETTINGS, ("demo",), (), "", {}, limit=1.0)
        took = time.monotonic() - began
    assert isinstance(found, Unseen)
    assert found.cause == "timeout"
    assert 0.5 < found.spent < took + 0.01 < 2.5


def test_the_others_are_planned_for_and_the_look_ends_with_its_lease_given_back(tmp_path: Path, quick: None) -> None:
    world, where = MemoryWorld(), context(node("blue"))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    zones = {"/api/v1/nodes": answer({"kind": "NodeList", "metadata": {"resourceVersion": "1"}, "items": []})}
    with serving(tmp_path / "a", {PODS: answer(pods(pod())), **zones}) as (good, _), serving(tmp_path / "b", {PODS: drip}) as (bad, _):
        both = {"a": OneEks(good), "b": OneEks(bad)}

        class Two(OneEks):
            def access(self, cluster: ClusterSettings, now: float) -> Any:
                return both[cluster.name].access(cluster, now)

        ports = {**world.ports, "Clusters": KubernetesClusters("us-east-1", Two(good))}
        seen = drive(looks.observe_and_plan(where), ports)
        said = drive(look.run(look.Request(id="l1", cause="schedule"), where), ports)
    assert {v.cluster: getattr(v, "cause", "") for v in seen.views} == {"a": "", "b": "timeout"}
    assert [action.cluster for action in seen.plan.actions if isinstance(action, Register)] == ["a"]
    assert (said.decision, said.unseen) == ("apply", ("b",))
    held = world.state.leases.get(look_lease.LEASE)
    assert held is None or not held.holder


MEASURED = """
import resource, sys
from pathlib import Path
from crossmesh.adapters.kubernetes import clusters as kubernetes
from tests.support.hostile_cluster import *
from tests.support.measured import peak
folder, kind = Path(sys.argv[1]), sys.argv[2]
small = b'{"metadata":{"name":"a","namespace":"demo","uid":"u"}},'
page = json.dumps(pods()).encode()
many = {f"label-{n}": f"value-{n}" for n in range(300)}
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
if kind.endswith("annotations"):  # which are not kept: such pages may come until there is no time left
    kubernetes.DEADLINE = 3
body = {
    "spaces": lambda: bomb(400),
    "tiny objects": lambda: gzip.compress(page[:-2] + b"{}," * 7_000_000 + b"{}]}", 1),
    "small pods": lambda: gzip.compress(page[:-2] + small * 400_000 + small[:-1] + b"]}", 1),
    "labels": lambda: gzip.compress(json.dumps(pods(*(pod(labels={f"l{i}-{n}": "v" for i in range(9_000)}) for n in range(60)))).encode(), 1),
    "one long name": lambda: gzip.compress(json.dumps(pods(pod("a" * 20_000_000))).encode(), 1),
    "pages for ever": lambda: gzip.compress(json.dumps(pods(*[pod(labels=many)] * 500, **{"continue": "more"})).encode(), 1),
    "pages for ever of annotations": lambda: gzip.compress(json.dumps(pods(*[pod(annotations=many)] * 500, **{"continue": "more"})).encode(), 1),
}[kind]()
with serving(folder, {"/api/v1/namespaces/demo/pods": answer(body, Content_Encoding="gzip")}) as (api, adapter):
    adapter.observe(SETTINGS, ("other",), (), "", {})
    before = peak(anew=True)
    found = adapter.observe(SETTINGS, ("demo",), (), "", {})
    print(json.dumps({"cause": getattr(found, "cause", "seen"), "grew": peak() - before}))
"""


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("spaces", "too-large"),
        ("tiny objects", "too-large"),
        ("small pods", "malformed"),
        ("labels", "too-large"),
        ("one long name", "malformed"),
        ("pages for ever", "too-large"),
        ("pages for ever of annotations", "timeout"),
    ],
)
def test_little_that_was_sent_takes_little_memory(kind: str, cause: str, tmp_path: Path) -> None:
    """In a process of its own, whose peak is measured; the answer is made there before, in pieces that are given back."""
    done = subprocess.run([sys.executable, "-c", MEASURED, tmp_path, kind], capture_output=True, text=True, timeout=120, check=True)
    told = json.loads(done.stdout)
    assert told["cause"] == cause
    assert told["grew"] < 250, told


LIES: dict[str, tuple[dict[str, Answer], str]] = {
    "kube-system's uid": ({"/api/v1/namespaces/kube-system": system("x" * 700_000)}, "malformed"),
    "kube-system's uid with a dot": ({"/api/v1/namespaces/kube-system": system("eks.prod")}, "malformed"),
    "a name": ({PODS: answer(pods(pod("../services/front")))}, "malformed"),
    "a long name": ({PODS: answer(pods(pod("a" * 254)))}, "malformed"),
    "a namespace": ({PODS: answer(pods(pod(namespace="kube-system")))}, "malformed"),
    "a uid": ({PODS: answer(pods(pod(uid="prod.1234")))}, "malformed"),
    "no uid": ({PODS: answer(pods(pod(uid="")))}, "malformed"),
    "an address": ({PODS: answer(pods(pod(ip="evil.example.com")))}, "malformed"),
    "an address with a zone": ({PODS: answer(pods(pod(ip="fe80::1%eth0")))}, "malformed"),
    "a node": ({PODS: answer(pods(pod(node="n1/../x")))}, "malformed"),
    "a label's value": ({PODS: answer(pods(pod(labels={"version": "v" * 64})))}, "malformed"),
    "a label's key": ({PODS: answer(pods(pod(labels={"a b": "x"})))}, "malformed"),
    "a label with ESC": ({PODS: answer(pods(pod(labels={"version": "\x1b[2J"})))}, "malformed"),
    "a version": ({PODS: answer(pods(version="9" * 5_000))}, "cut"),
    "a version of other digits": ({PODS: answer(pods(version="²"))}, "cut"),
    "a continue token": ({PODS: answer(pods(**{"continue": "t" * 9_000}))}, "malformed"),
    "more items than asked for": ({PODS: answer(pods(*(pod(f"p{i}") for i in range(501))))}, "malformed"),
    "deep nesting": ({PODS: answer(b'{"kind": "PodList", "metadata": ' + b'{"a":' * 100_000 + b"}" * 100_001)}, "cut"),
    "a coding nobody asked for": ({PODS: answer(b"x", Content_Encoding="br")}, "cut"),
    "gzip cut short": ({PODS: answer(gzip.compress(json.dumps(pods()).encode())[:-9], Content_Encoding="gzip")}, "cut"),
    "gzip with more behind": ({PODS: answer(gzip.compress(json.dumps(pods()).encode()) + b"more", Content_Encoding="gzip")}, "cut"),
    "a long message": ({PODS: answer({"message": "m" * 100_000}, 500)}, "server-error"),
    "a redirect": ({PODS: answer({}, 302, Location="https://127.0.0.1:1/")}, "server-error"),
}


@pytest.mark.parametrize("what", LIES)
def test_what_no_kubernetes_answers_leaves_the_cluster_unseen_with_its_cause_in_few_words(what: str, tmp_path: Path) -> None:
    paths, cause = LIES[what]
    with serving(tmp_path, paths) as (_, adapter):
        found = view(adapter)
    assert isinstance(found, Unseen), found
    assert found.cause == cause, found
    assert 0 < len(found.detail) <= MOST_DETAIL
    assert "\x1b" not in found.detail


@pytest.mark.parametrize("labels", [{f"l{i}": "v" * 63 for i in range(2_500)}, {"a.b/c-d_e.f": "", "app.kubernetes.io/name": "A_b.c-d"}])
def test_what_a_tenant_may_write_is_no_fault_of_its_cluster(labels: dict[str, str], tmp_path: Path) -> None:
    with serving(tmp_path, {PODS: answer(pods(pod(labels=labels)))}) as (_, adapter):
        found = view(adapter)
    assert isinstance(found, Seen), found
    assert found.pods[0].labels == labels


def test_where_a_page_is_too_large_small_ones_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_api, "_MANY_BRACES", 50)
    with serving(tmp_path, {f"{PODS}?limit=500": answer(pods(*(pod(f"p{i}") for i in range(20)))), PODS: answer(pods(pod()))}) as (
        api,
        adapter,
    ):
        found = view(adapter)
    assert isinstance(found, Seen), found
    assert [path for path in api.asked if path.startswith(PODS)] == [f"{PODS}?limit=500", f"{PODS}?limit={kubernetes_api.SMALL_PAGE}"]


# --- names that come from a registry anybody may write into --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../services/front",
        "../../../../apis/apps/v1/namespaces/kube-system/deployments/coredns?x=",
        "a/b",
        "..",
        "%2e%2e",
        "P1",
        "",
        "a" * 254,
        "p1\r\nx",
    ],
)
def test_a_name_that_no_pod_can_have_is_not_asked_for_and_blames_no_cluster(name: str, tmp_path: Path) -> None:
    anything = answer({"metadata": {"name": "front", "uid": "u-of-a-service"}})
    with serving(tmp_path, {f"{PODS}?": answer(pods()), "/": anything}) as (api, adapter):
        found = view(adapter, PodRef(namespace="demo", name=name, uid="u-of-a-service"))
    assert isinstance(found, Seen), found
    assert found.gone == ("u-of-a-service",)
    assert not [path for path in api.asked if "services" in path or "coredns" in path or path.startswith(f"{PODS}/")]


def test_a_pod_that_a_get_finds_still_says_that_the_list_was_short(tmp_path: Path) -> None:
    with serving(tmp_path, {f"{PODS}?": answer(pods()), f"{PODS}/p1": answer(pod())}) as (_, adapter):
        found = view(adapter, PodRef(namespace="demo", name="p1", uid=UID))
    assert isinstance(found, Unseen)
    assert found.cause == "list-incomplete"


# --- TLS -----------------------------------------------------------------------------------------------------------------------------------


def test_an_authority_without_key_identifiers_is_trusted_on_every_python(tmp_path: Path) -> None:
    with serving(tmp_path, {PODS: answer(pods(pod()))}, old_authority(tmp_path)) as (_, adapter):
        found = view(adapter)
    assert isinstance(found, Seen), found


@pytest.mark.parametrize("how", ["another authority", "another name", "no TLS at all"])
def test_what_tls_refuses_is_a_cause_of_its_own_in_openssls_words(how: str, tmp_path: Path) -> None:
    host = "127.0.0.2" if how == "another name" else "127.0.0.1"
    with serving(tmp_path, {PODS: answer(pods(pod()))}, host=host) as (api, adapter):
        if how == "another authority":
            (tmp_path / "other").mkdir()
            certificate(tmp_path / "other", "c")
            api.ca = (tmp_path / "other/c.ca.pem").read_bytes()
        if how == "no TLS at all":
            api.plain = True
        found = view(adapter)
    assert isinstance(found, Unseen)
    assert found.cause == "tls", found
    said = {"another authority": "certificate", "another name": "IP address mismatch", "no TLS at all": "WRONG_VERSION_NUMBER"}
    assert said[how].replace("_", " ").lower() in found.detail.replace("_", " ").lower()
