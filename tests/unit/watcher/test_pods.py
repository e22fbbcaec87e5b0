"""Which events of pods are worth a hint."""

from typing import Any

import msgspec
import pytest
from crossmesh_watcher.pods import Known, Pod


def pod(uid: str = "u", *, ready: bool = True, lost: bool = False, ip: str = "10.0.0.1", phase: str = "Running", **meta: Any) -> Pod:
    about = {"uid": uid, "resourceVersion": "7", "labels": {"app": "x"}, **meta}
    states = {"ContainersReady": ready, "Ready": ready and not lost}
    conditions = [{"type": kind, "status": str(state), "lastTransitionTime": "t"} for kind, state in states.items()]
    document = {"metadata": about, "spec": {"nodeName": "n"}, "status": {"phase": phase, "podIP": ip, "conditions": conditions}}
    return msgspec.json.decode(msgspec.json.encode(document), type=Pod)


@pytest.fixture
def known() -> Known:
    found = Known()
    assert found.listed([pod()]), "the first list after a start counts as a change"
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"ready": False},
        {"ip": "10.0.0.2"},
        {"labels": {"app": "y"}},
        {"labels": None},
        {"deletionTimestamp": "2026-11-25T12:00:00Z"},
        {"phase": "Succeeded"},
        {"phase": "Failed"},
        {"lost": True},
        {"annotations": {"appmesh.k8s.aws/virtualNode": "other"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_about_an_endpoint_is_a_change_once(known: Known, change: dict[str, Any]) -> None:
    assert known.moved(pod(**change))
    assert not known.moved(pod(**change))
    assert known.moved(pod()), "and so is the way back"


@pytest.mark.parametrize(
    "change", [{"resourceVersion": "8"}, {"annotations": {"a": "b"}}, {"deletionTimestamp": None}], ids=lambda change: next(iter(change))
)
def test_everything_else_is_none(known: Known, change: dict[str, Any]) -> None:
    assert not known.moved(pod(**change))


def test_a_pod_counts_from_its_first_readiness_on_until_it_is_gone(known: Known) -> None:
    assert not known.moved(pod("new", ready=False, ip=""))
    assert not known.moved(pod("new", ready=False))
    assert not known.moved(pod("new", ready=False, labels={"app": "y"}))
    assert known.moved(pod("new"))
    assert known.moved(pod("new", ready=False)), "it had an instance, so its unreadiness counts"
    assert known.deleted(pod("new", ready=False))
    assert not known.deleted(pod("new")), "once"


def test_a_pod_that_never_was_ready_leaves_without_a_word(known: Known) -> None:
    assert not known.moved(pod("new", ready=False))
    assert not known.deleted(pod("new", ready=False))


def test_a_list_counts_only_where_it_differs(known: Known) -> None:
    assert not known.listed([pod(resourceVersion="99")])
    assert known.listed([pod(), pod("second")])
    assert known.listed([])
    assert not known.listed([])
    assert len(known) == 0
