"""What people ordered is told first and in its own words: never as drift, and never behind what it causes."""

from typing import Any

import msgspec
import pytest
from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.diagnosis.diagnose import diagnose
from crossmesh.core.diagnosis.facts import Facts, Workloads
from crossmesh.core.mesh.appmesh.backend import AppMeshBackend
from crossmesh.core.mesh.appmesh.diff import Change
from crossmesh.core.mesh.appmesh.plan import MeshAction, MeshPlan
from crossmesh.core.mesh.appmesh.state import AppMeshRequest
from crossmesh.core.mesh.backend import MeshSummary, MeshTarget
from crossmesh.core.mesh.shift_weights import Progress, Shift
from crossmesh.core.observed import DeploymentFacts, RegistryView
from crossmesh.core.registry.plan import ManualOverrides
from crossmesh.core.registry.planner import PlanInputs, plan

from tests.support.diagnosis_world import RED as RED_POD
from tests.support.diagnosis_world import SETTINGS, TOPOLOGY, VIEWS, facts, registry, verdict

BLUE, RED = "colorapp-blue_appmesh-demo", "colorapp-red_appmesh-demo"
ROUTER, ROUTE, MESH = "colorapp_appmesh-demo", "color-route", "appmesh-demo"
WHO = {"drain": "assumed-role/Admin/alice", "pause": "assumed-role/Admin/alice"}
SHIFT = Shift(
    id="s",
    service="appmesh-demo/colorapp",
    mesh=MESH,
    router=ROUTER,
    route=ROUTE,
    document="d",
    start={BLUE: 50, RED: 50},
    goal={BLUE: 100, RED: 0},
    step=25,
    begun=1_700_000_000.0,
)


def emptied() -> RegistryView:
    held = registry()
    return msgspec.structs.replace(held, services=tuple(msgspec.structs.replace(s, instances=()) for s in held.services))


def route_update(found: dict[str, int], wanted: dict[str, int], *more: Change) -> MeshSummary:
    targets = [{"virtualNode": name, "weight": weight} for name, weight in wanted.items()]
    changes = [
        Change(field=f"httpRoute.action.weightedTargets.{index}.weight", old=found[name], new=weight)
        for index, (name, weight) in enumerate(wanted.items())
        if found[name] != weight
    ]
    action = MeshAction(
        verb="update",
        target=MeshTarget(mesh=MESH, kind="route", parent=ROUTER, name=ROUTE),
        stage="route",
        request=AppMeshRequest(
            service="appmesh", operation="UpdateRoute", input={"spec": {"httpRoute": {"action": {"weightedTargets": targets}}}}
        ),
        changes=(*changes, *more),
        reason="2 fields differ from the manifest",
    )
    return AppMeshBackend().summarize(MeshPlan(actions=(action,)))


def shifting(mesh: MeshSummary, state: Progress | None) -> Facts:
    return facts(mesh=mesh, shifts=(SHIFT,), progress={"s": state} if state else {}, verdict=verdict())


def layers(found: tuple[Diagnosis, ...]) -> list[str]:
    return [one.layer for one in found]


def test_a_drain_comes_first_and_what_it_causes_is_left_to_it() -> None:
    """The reported case: the drain was told second, behind virtual nodes without instances."""
    operator = ManualOverrides(draining=1_700_000_000.0, by=WHO)
    found = diagnose(facts(registry=emptied(), operator=operator, plan=None))
    assert layers(found) == ["ordered"]
    assert found[0].what.startswith("DRAINED by hand by assumed-role/Admin/alice, since 2023-11-14 22:13Z")
    assert "crossmesh resume" in found[0].fix


def test_what_a_drain_does_not_cause_is_told_behind_it() -> None:
    closed = MeshSummary(unavailable="it has ended")
    found = diagnose(facts(registry=emptied(), operator=ManualOverrides(draining=1.0), plan=None, mesh=closed))
    assert layers(found) == ["ordered", "mesh"]


def test_without_a_drain_the_pods_are_what_is_missing() -> None:
    found = [one for one in diagnose(facts(registry=emptied(), plan=None)) if one.layer == "instances"]
    assert found
    assert all("DRAINED" not in one.evidence[0] for one in found)


@pytest.mark.parametrize(
    ("order", "said", "fix"),
    [
        (
            {"operator": ManualOverrides(paused=1_700_000_000.0, by=WHO)},
            "PAUSED by hand by assumed-role/Admin/alice",
            "`crossmesh resume` first",
        ),
        ({"mode": "observe"}, "Mode is observe: nothing is applied", "deploy with Mode=apply first"),
    ],
)
def test_while_nothing_is_applied_no_run_is_promised(order: dict[str, Any], said: str, fix: str) -> None:
    drift = route_update({BLUE: 10, RED: 90}, {BLUE: 50, RED: 50})
    found = diagnose(facts(mesh=drift, **order))
    assert layers(found) == ["ordered", "mesh"]
    assert found[0].what.startswith(said)
    assert fix in found[1].fix
    assert not found[1].heals
    assert diagnose(facts(mesh=drift))[0].fix.startswith("the next run puts it back"), "a run does, where runs are made"


@pytest.mark.parametrize(
    ("found_weights", "wanted", "state", "said"),
    [
        ({BLUE: 50, RED: 50}, {BLUE: 75, RED: 25}, Progress(step=1, at=1.0), f"step 1 of 2, now {BLUE} 75, {RED} 25"),
        ({BLUE: 75, RED: 25}, {BLUE: 100, RED: 0}, Progress(step=1, at=1.0), "step 1 of 2"),
        ({BLUE: 75, RED: 25}, {BLUE: 50, RED: 50}, Progress(step=1, at=1.0, ended="canary front is red"), "ended: canary front is red"),
        ({BLUE: 50, RED: 50}, {BLUE: 75, RED: 25}, None, "begins with the next look"),
    ],
)
def test_a_step_of_a_shift_is_no_drift(found_weights: dict[str, int], wanted: dict[str, int], state: Progress | None, said: str) -> None:
    """The reported case: the operator's own shift was `route … is not as declared`, with the fix `CloudTrail tells who changed it`."""
    told = diagnose(shifting(route_update(found_weights, wanted), state))
    assert told[0].layer == "ordered"
    assert told[0].what.startswith("shift of appmesh-demo/colorapp (route color-route)")
    assert said in told[0].what
    assert "asked for by hand at 2023-11-14 22:13:20Z" in told[0].evidence
    assert "mesh" not in layers(told)
    assert not any("CloudTrail" in one.fix for one in told)


def test_a_shift_in_force_stands_before_what_is_found_of_the_answers() -> None:
    told = diagnose(shifting(MeshSummary(), Progress(step=2, at=1.0)))
    assert layers(told) == ["ordered", "answers"]
    assert "`crossmesh shift appmesh-demo/colorapp --route color-route --end`" in told[0].fix


def test_weights_that_no_step_of_the_shift_has_are_drift_beside_it() -> None:
    told = diagnose(shifting(route_update({BLUE: 3, RED: 97}, {BLUE: 75, RED: 25}), Progress(step=1, at=1.0)))
    assert layers(told) == ["ordered", "mesh"]
    other = Change(field="httpRoute.match.prefix", old="/x", new="/")
    told = diagnose(shifting(route_update({BLUE: 50, RED: 50}, {BLUE: 75, RED: 25}, other), Progress(step=1, at=1.0)))
    assert layers(told) == ["ordered", "mesh"]


def test_of_a_shift_and_the_one_it_replaced_the_one_in_force_is_told() -> None:
    old = msgspec.structs.replace(SHIFT, id="old", successor="s", called_off=2.0)
    mesh = route_update({BLUE: 50, RED: 50}, {BLUE: 75, RED: 25})
    new = msgspec.structs.replace(SHIFT, by="assumed-role/Admin/bob")
    told = diagnose(facts(mesh=mesh, shifts=(old, new), progress={"old": Progress(step=1, ended="replaced"), "s": Progress(step=1)}))
    assert [one.evidence[0] for one in told if one.layer == "ordered"] == ["asked for by assumed-role/Admin/bob at 2023-11-14 22:13:20Z"]


def test_a_shift_that_ended_or_lies_beside_the_way_is_not_told() -> None:
    assert "ordered" not in layers(diagnose(shifting(MeshSummary(), Progress(step=1, at=1.0, ended="ended by hand"))))
    beside = msgspec.structs.replace(SHIFT, router="other_appmesh-demo")
    assert "ordered" not in layers(diagnose(facts(shifts=(beside,), progress={"s": Progress(step=1, at=1.0)})))


def test_an_instance_that_waits_for_a_second_look_names_why_its_virtual_node_is_empty() -> None:
    """Red was scaled to 0: its instance waits, and what is to be mended is the Deployment."""
    none_of_red = (VIEWS[0], msgspec.structs.replace(VIEWS[1], pods=VIEWS[1].pods[:1], gone=(RED_POD.uid,)))
    made = DeploymentFacts(namespace="appmesh-demo", name="colorapp-red", replicas=0, max_unavailable=0, labels=RED_POD.labels)
    held = registry()
    work = {"eksc2": Workloads(cluster="eksc2", deployments=(made,))}
    waits = plan(PlanInputs(settings=SETTINGS, topology=TOPOLOGY, views=none_of_red, registry=held, deployment="d"))
    assert [one.why for one in waits.withheld] == ["unconfirmed"]
    found = [one for one in diagnose(facts(views=none_of_red, registry=held, workloads=work)) if one.layer == "instance"]
    assert [one.what.partition(") ")[2] for one in found] == ["is stale, and its removal waits for a second look"]
    assert "no pod matches app=colorapp,version=red: Deployment appmesh-demo/colorapp-red of eksc2 is scaled to 0" in found[0].evidence
    assert "kubectl scale deployment colorapp-red -n appmesh-demo" in found[0].fix
