"""Following a namespace over the wire, against the world's Kubernetes API: whatever the API does, a change is noted, and nothing but a change."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crossmesh_watcher import api as api_module
from crossmesh_watcher import watch as watch_module
from crossmesh_watcher.access import in_cluster
from crossmesh_watcher.api import Api, Expired
from crossmesh_watcher.pods import Meta, Pod
from crossmesh_watcher.watch import NamespaceWatch

from tests.support.one_cluster import TOKEN, Cluster
from world.clusters.store import Store


class Watching:
    """A watch and what it noted."""

    def __init__(self, cluster: Cluster, selector: str = "") -> None:
        self.notes: list[float] = []
        self.ended = threading.Event()
        environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(cluster.port)}
        api = Api(partial(in_cluster, cluster.folder, environment), selector)
        self.watch = NamespaceWatch("demo", api, lambda: self.notes.append(time.monotonic()), self.ended)
        self.watch.start()
        self.until(lambda: self.watch.listed or not self.watch.is_alive())

    def until(self, what: Callable[[], Any], seconds: float = 5.0) -> None:
        end = time.monotonic() + seconds
        while not what() and time.monotonic() < end:
            time.sleep(0.005)
        assert what()

    def noted(self, count: int) -> None:
        self.until(lambda: len(self.notes) >= count)
        assert len(self.notes) == count


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(watch_module, "FIRST_S", 0.02)
    monkeypatch.setattr(watch_module, "MOST_S", 0.1)
    found = Cluster(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def watching(cluster: Cluster) -> Iterator[Watching]:
    found = Watching(cluster)
    found.noted(1)  # the first list
    yield found
    found.ended.set()


def test_a_ready_pod_and_its_end_are_noted_within_milliseconds(cluster: Cluster, watching: Watching) -> None:
    cluster.pod("a")
    watching.noted(2)
    cluster.pod("b", ready=False)
    cluster.gone("b")
    cluster.gone("a")
    watching.noted(4)  # marked Terminating, then gone
    assert watching.watch.beats()


def test_only_chosen_pods_count(cluster: Cluster) -> None:
    watching = Watching(cluster, "app=a")
    cluster.pod("b")
    cluster.pod("a")
    watching.noted(2)
    watching.ended.set()


def test_a_list_of_many_pages_is_one_snapshot(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "PAGE", 3)
    for index in range(10):
        cluster.pod(f"p{index}")
    watching = Watching(cluster)
    assert len(watching.watch._known) == 10
    watching.ended.set()


def test_a_stream_that_breaks_is_taken_up_where_it_was(cluster: Cluster, watching: Watching, caplog: pytest.LogCaptureFixture) -> None:
    cluster.pod("a")
    watching.noted(2)
    cluster.faults.dark = True
    cluster.pod("b")
    time.sleep(0.1)
    cluster.faults.dark = False
    watching.noted(3)


def test_an_expired_version_costs_a_list_and_no_change(cluster: Cluster, watching: Watching, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "crossmesh.watcher")
    cluster.faults.set(b'{"path": "/pods$", "code": 410, "times": 1}')
    cluster.faults.dark = True
    cluster.pod("a")
    cluster.store.compact()
    time.sleep(0.05)
    cluster.faults.dark = False
    watching.noted(2)
    watching.until(lambda: sum(record.message == "listed" for record in caplog.records) >= 1)


def test_an_api_that_comes_back_with_lower_versions_is_listed_anew(cluster: Cluster, watching: Watching) -> None:
    cluster.pod("a")
    watching.noted(2)
    for index in range(20):
        cluster.pod(f"other{index}", ready=False)
    cluster.stop()
    cluster.store = Store()  # restored from a backup: empty, versions from the beginning
    cluster.start()
    watching.noted(3)
    cluster.pod("a")
    watching.noted(4)


@pytest.mark.parametrize("fault", ['"code": 500', '"code": 429, "retry_after": 0', '"drop": true', '"cut": true'])
def test_a_failing_list_is_tried_again_and_known_pods_stay_known(cluster: Cluster, watching: Watching, fault: str) -> None:
    cluster.pod("a")
    watching.noted(2)
    cluster.stop()
    cluster.start(fault=f'{{"path": "/pods$", "times": 2, {fault}}}')
    watching.until(lambda: cluster.faults.rules[0]["times"] == 0)
    cluster.pod("b")
    watching.noted(3)


def test_a_replaced_token_is_taken_up(cluster: Cluster, watching: Watching) -> None:
    cluster.stop()
    cluster.start("another")
    time.sleep(0.1)
    assert watching.watch.beats()
    (cluster.folder / "token").write_text("another")
    cluster.pod("a")
    watching.until(lambda: len(watching.notes) >= 2)


def test_nothing_ends_it_and_no_log_line_holds_the_token(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    cluster.faults.set(b'[{"path": "/pods$", "code": 401, "times": 1}, {"path": "/pods$", "code": 500, "times": 2}]')
    (cluster.folder / "ca.crt").rename(cluster.folder / "away")
    watching = Watching.__new__(Watching)
    threading.Timer(0.1, lambda: (cluster.folder / "away").rename(cluster.folder / "ca.crt")).start()
    watching.__init__(cluster)  # type: ignore[misc]
    watching.noted(1)
    watching.ended.set()
    causes = [record.data["cause"] for record in caplog.records if hasattr(record, "data") and "cause" in record.data]
    assert any("service account" in cause for cause in causes)
    assert any("status 401" in cause for cause in causes)
    assert TOKEN not in caplog.text + "".join(causes)
    assert TOKEN not in repr(in_cluster(cluster.folder, {"KUBERNETES_SERVICE_HOST": "h"}))


class Expiring(Api):
    """Streams that end in a 410 after an event."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def snapshot(self, namespace: str) -> tuple[str, list[Pod]]:
        self.asked.append("list")
        return "5", []

    def watch(self, namespace: str, version: str, seconds: int) -> Iterator[tuple[str, Pod]]:
        self.asked.append(version)
        yield "ADDED", Pod(metadata=Meta(uid="u", resource_version="7"))
        raise Expired("too old")


def test_a_version_that_expires_in_mid_stream_costs_a_list() -> None:
    api = Expiring()
    watch = NamespaceWatch("demo", api, lambda: None, threading.Event())
    for _ in range(2):
        watch._once()
    assert api.asked == ["list", "5", "list", "5"]
