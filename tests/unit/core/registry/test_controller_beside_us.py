"""AWS's App Mesh controller in one of our clusters (rule 2): it deregisters what it does not know, so nothing of that cluster is written."""

import msgspec
import pytest
from crossmesh.core.observed import Pod
from crossmesh.core.registry.plan import PlannerState

from tests.support.builders import context, pod
from tests.support.planning import decide, registered, seen, service, verbs

CONTROLLER = "appmesh-system/appmesh-controller"


def test_nothing_of_its_cluster_is_written_and_the_other_goes_on() -> None:
    dying = msgspec.structs.replace(pod("u1"), terminating=True)
    there = service(registered("a", pod("u1")), registered("a", pod("u333"), color="mauve"))
    found = decide(context(), seen("a", dying, pod("u22"), pod("u333"), controller=CONTROLLER), seen("b", pod("v1")), registry=there)
    assert verbs(found) == [("Deregister", "demo/pod-u1"), ("Register", "demo/pod-v1")]
    assert {(w.what, w.pod, w.why) for w in found.withheld} == {("register", "demo/pod-u22", "controller")}


@pytest.mark.parametrize("why", ["terminating", "Failed", "was terminating"])
def test_a_dead_pods_instance_leaves_all_the_same(why: str) -> None:
    live, there = pod("u22"), service(registered("a", pod("u1")), registered("a", pod("u22")))
    dead = {
        "terminating": (msgspec.structs.replace(pod("u1"), terminating=True),),
        "Failed": (msgspec.structs.replace(pod("u1"), phase="Failed"),),
        "was terminating": (),
    }[why]
    memory = PlannerState(terminating={"u1": 50.0})
    view = seen("a", *dead, live, controller=CONTROLLER, gone=() if dead else ("u1",))
    assert verbs(decide(context(), view, seen("b"), registry=there, memory=memory)) == [("Deregister", "demo/pod-u1")]


@pytest.mark.parametrize("pods", [(pod("u1", ready=False), pod("u22")), (pod("u22"),)], ids=["unready", "gone"])
def test_any_other_removal_waits(pods: tuple[Pod, ...]) -> None:
    there = service(registered("a", pod("u1")), registered("a", pod("u22")))
    found = decide(context(), seen("a", *pods, controller=CONTROLLER, gone=("u1",)), seen("b"), registry=there)
    assert (found.actions, [w.why for w in found.withheld]) == ((), ["controller"])


def test_the_note_names_the_deployment_and_the_fix() -> None:
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
