"""AWS's App Mesh controller in one of our clusters (rule 2): it deregisters what it does not know, so nothing of that cluster is written."""

import msgspec
import pytest

from tests.builders import context, pod
from tests.planning import decide, registered, seen, service, verbs

CONTROLLER = "appmesh-system/appmesh-controller"


def test_nothing_of_its_cluster_is_written_and_the_other_goes_on() -> None:
    dying = msgspec.structs.replace(pod("u1"), terminating=True)
    there = service(registered("a", pod("u1")), registered("a", pod("u333"), color="mauve"))
    found = decide(context(), seen("a", dying, pod("u22"), pod("u333"), controller=CONTROLLER), seen("b", pod("v1")), registry=there)
    assert verbs(found) == [("Register", "demo/pod-v1")]
    assert {(w.what, w.pod, w.why) for w in found.withheld} == {
        ("deregister", "demo/pod-u1", "controller"),
        ("register", "demo/pod-u22", "controller"),
    }


def test_the_note_names_the_deployment_and_the_cure() -> None:
    (note,) = decide(context(), seen("a", controller=CONTROLLER), seen("b"), registry=service()).notes
    assert CONTROLLER in note
    assert "write rights" in note
    assert "webhook" in note
    assert "controller: injector-only" in note


def test_injector_only_is_taken_at_its_word() -> None:
    found = decide(context(injector_only=("a",)), seen("a", pod("u1"), controller=CONTROLLER), seen("b"), registry=service())
    assert verbs(found) == [("Register", "demo/pod-u1")]
    assert found.notes == ()


@pytest.mark.parametrize(("injector_only", "notes"), [((), 1), (("a",), 0)])
def test_not_knowing_blocks_nothing_and_is_said(injector_only: tuple[str, ...], notes: int) -> None:
    blind = seen("a", pod("u1"), controller_unknown="HTTP 403: deployments.apps is forbidden")
    found = decide(context(injector_only=injector_only), blind, seen("b"), registry=service())
    assert verbs(found) == [("Register", "demo/pod-u1")]
    assert len(found.notes) == notes
    assert all("clusters/reader.yaml" in note for note in found.notes)
