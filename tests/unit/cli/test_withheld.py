"""What waits for a person is named with its own fix wherever that person looks: `plan`, `status`, `doctor`."""

import json
from typing import Any, get_args

import pytest
from crossmesh.core.diagnosis.withheld import FIXES, NO_FINDING
from crossmesh.core.observed import Pod, Problem, Unseen
from crossmesh.core.registry.plan import WithheldWhy

from tests.support.desk import GOOD, MANIFESTS, SETTINGS, Desk

MISTYPED = MANIFESTS.replace("namespaceName: shop.local", "namespaceName: shop.locl")
REST = ("doctor", "--skip", "account", "--skip", "rollouts")
COMMON = MANIFESTS.replace("podSelector: {matchLabels: {app: red}}", "podSelector: {matchLabels: {app: blue}}")


@pytest.fixture
def running(running: Desk) -> Desk:
    running.front.runs = [GOOD]
    return running


def findings(desk: Desk) -> dict[str, dict[str, str]]:
    """What doctor found, by subject."""
    code, out, err = desk.run(*REST, "--json")
    assert code in (0, 3), err
    return {one["subject"]: one for one in json.loads(out)["findings"]}


def test_every_reason_has_a_fix_or_ends_by_itself() -> None:
    assert set(get_args(WithheldWhy)) == FIXES.keys() | NO_FINDING
    assert not FIXES.keys() & NO_FINDING
    assert len(set(FIXES.values())) == len(FIXES)


@pytest.mark.parametrize("skip", ["path", "none"])
def test_doctor_names_a_namespace_that_is_not_there(running: Desk, skip: str) -> None:
    """The reported case: the mesh goes on asking the old place, every request is good, and doctor had nothing to say."""
    running.write(manifests=MISTYPED)
    code, out, _ = running.run("doctor", "--skip", "account", *(["--skip", skip] if skip == "path" else []))
    assert code == 3
    told = " ".join(out.split())
    assert "withheld until somebody acts: namespace-missing: 3 pods are not registered in color.shop.locl" in told
    assert "virtualNode blue_shop in shop" in told
    assert "Cloud Map namespace shop.locl does not exist" in told
    assert "correct namespaceName in the manifests, or create the namespace" in told


def test_doctor_names_pods_that_two_virtual_nodes_select(running: Desk) -> None:
    running.write(manifests=COMMON)
    found = findings(running)["withheld::claimed"]
    assert found["what"] == "withheld until somebody acts: claimed: 2 pods are not registered"
    assert "give each pod to one virtual node" in found["evidence"][0]
    assert found["fix"] == FIXES["claimed"]


def test_doctor_names_a_service_that_cannot_be_read_once_with_that_problems_own_fix(running: Desk) -> None:
    running.world.clock.sleep(700)
    running.world.registry.problems["color.shop.local"] = Problem(why="unreadable", detail="AccessDenied", fix="allow it")
    running.world.clusters.put("a", Pod(**{**fields(running), "name": "pod-new", "uid": "new", "ip": "10.9.9.9"}))
    assert [one["fix"] for one in findings(running).values() if "unreadable" in one["what"]] == ["allow it"]
    out = running.run(*REST, "--skip", "path", "--json")[1]
    assert [one["fix"] for one in json.loads(out)["findings"] if "unreadable" in one["what"]] == ["allow it"]


def fields(desk: Desk) -> dict[str, Any]:
    """Of a pod that runs in a."""
    one = next(iter(desk.world.clusters.pods["a"].values()))
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_doctor_names_instances_of_a_cluster_that_left_the_settings(running: Desk) -> None:
    running.write(SETTINGS.format(backend="appmesh").replace("b: {}}", "c: {}}"))
    fix = findings(running)["withheld:color.shop.local:orphaned:b"]["fix"]
    assert fix == "`crossmesh forget b` removes them; or put the cluster back into crossmesh.yaml"


def test_doctor_has_nothing_to_say_of_what_goes_ahead_by_itself(running: Desk) -> None:
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="timeout", detail="")
    running.world.clusters.remove("b", "red-b-0")
    assert not [subject for subject in findings(running) if subject.startswith("withheld")]


def test_a_cluster_that_eks_does_not_know_is_to_be_corrected_and_not_to_be_named_in_parameters(running: Desk) -> None:
    """The reported case: `bb` for `b`, and doctor said to add its ARN; the functions may then describe what is not there."""
    running.world.clusters.failing["bigshopp"] = Unseen(cluster="bigshopp", cause="not-found", detail="No cluster found.")
    running.write(SETTINGS.format(backend="appmesh").replace("b: {}}", "bigshopp: {}}"))
    arns = "arn:aws:eks:eu-west-1:1:cluster/a,arn:aws:eks:eu-west-1:1:cluster/bigshop"
    stack = running.amazon.stacks["eu-west-1", "crossmesh"]
    stack["Parameters"].append({"ParameterKey": "EksClusterArns", "ParameterValue": arns})
    found = findings(running)
    assert "EksClusterArns" not in found
    assert "did you mean bigshop?" in found["bigshopp"]["what"]
    assert found["bigshopp"]["fix"].startswith("correct crossmesh.yaml")
    assert found["bigshopp"]["fix"].endswith("then `crossmesh init` and deploy")
    assert "correct crossmesh.yaml first" in found["withheld:color.shop.local:orphaned:b"]["fix"]
    running.world.clusters.failing["bigshopp"] = Unseen(cluster="bigshopp", cause="refused", detail="HTTP 401")
    assert findings(running)["EksClusterArns"]["fix"] == "`crossmesh init` writes it; then deploy"


def mesh_of(desk: Desk, **tags: str) -> None:
    """The route is somebody else's, with other weights."""
    for key, resource in desk.world.mesh.model._resources.items():  # type: ignore[attr-defined]
        if key[0] == "route":
            resource.tags = dict(tags)
            resource.spec["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 1


@pytest.mark.parametrize(
    ("tags", "fix"),
    [
        ({}, "`crossmesh adopt` takes it over (always: `mesh.adopt: true`); or change the manifest"),
        ({"crossmesh:owner": "other"}, "take it out of the manifests here or give it another awsName, or have owner 'other' give it up"),
    ],
)
def test_plan_status_and_doctor_print_the_fix_of_a_withheld_change(running: Desk, tags: dict[str, str], fix: str) -> None:
    mesh_of(running, **tags)
    running.world.clock.sleep(100)
    running.look()
    name = "route r_shop/one in shop"
    plan = running.run("plan")[1].splitlines()
    line = next(number for number, line in enumerate(plan) if line.startswith(f"= {name} withheld: "))
    assert plan[line + 1] == f"    fix: {fix}"
    assert f"Fix: {fix}" in next(line for line in running.run("status")[1].splitlines() if f"withheld: {name}" in line)
    assert [one["fix"] for one in findings(running).values() if name in one["what"]] == [fix]


def test_a_node_that_must_not_move_has_a_fix_of_its_own(running: Desk) -> None:
    """The reported case: the text was always how to take something over."""
    running.write(manifests=MISTYPED)
    running.look()
    fix = "fix what withholds the registration there, or correct namespaceName, serviceName or the attributes in the manifest"
    assert f"    fix: {fix}" in running.run("plan")[1].splitlines()
    status = running.run("status")[1]
    assert f"Fix: {fix}" in status
    assert "adopt" not in status
