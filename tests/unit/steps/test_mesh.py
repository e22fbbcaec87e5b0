"""The mesh step over in-memory App Mesh: as declared, then quiet; own before touch; a lost update is noticed; a gone API blocks nothing."""

from pathlib import Path

import msgspec
import pytest
from crossmesh.core.mesh_plan import differences
from crossmesh.core.mesh_view import MeshTarget
from crossmesh.errors import ServiceGone
from crossmesh.manifests.config import load_config
from crossmesh.steps import reconcile_mesh, take_lease
from crossmesh.steps.context import Context
from crossmesh.steps.drive import drive

from tests.passes import MemoryWorld

ROUTE = MeshTarget(mesh="appmesh-demo", kind="route", parent="colorapp_appmesh-demo", name="color-route")


@pytest.fixture(scope="module")
def walkthrough() -> Context:
    config = load_config(Path(__file__).parents[3] / "config")
    assert config.settings is not None
    return Context(settings=config.settings, topology=config.topology, config=config.sha256, deployment="1/r/s")


def reconcile(world: MemoryWorld, where: Context) -> reconcile_mesh.Response:
    world.count += 1
    arn = f"arn:mesh-{world.count}"
    world.executions.alive = {arn}
    world.clock.sleep(1)
    lease = drive(take_lease.run(take_lease.Request(id=f"m{world.count}", execution=arn), where), world.ports)
    return drive(reconcile_mesh.run(reconcile_mesh.Request(run=lease.run), where), world.ports)


def test_the_walkthrough_is_built_in_order_and_then_quiet(walkthrough: Context) -> None:
    world = MemoryWorld()
    assert (reconcile(world, walkthrough).applied, reconcile(world, walkthrough).actions) == (7, 0)
    kinds = [what.split()[0] for verb, what in world.mesh.writes]
    assert kinds == ["mesh", "virtualNode", "virtualNode", "virtualNode", "virtualRouter", "route", "virtualService"]
    assert all(resource.tags == {"crossmesh:owner": "demo"} for resource in world.mesh.resources.values())


@pytest.mark.parametrize("target", range(7))
def test_any_single_resource_deleted_or_altered_is_back_after_one_pass(walkthrough: Context, target: int) -> None:
    world = MemoryWorld()
    reconcile(world, walkthrough)
    declared = dict(world.mesh.resources)
    victim = sorted(declared)[target]
    del world.mesh.resources[victim]
    reconcile(world, walkthrough)
    assert {t: r.spec for t, r in world.mesh.resources.items()} == {t: r.spec for t, r in declared.items()}
    world.mesh.resources[victim] = msgspec.structs.replace(
        world.mesh.resources[victim], spec={"listeners": [{"portMapping": {"port": 1, "protocol": "tcp"}}]}
    )
    reconcile(world, walkthrough)
    assert differences(declared[victim].spec, world.mesh.resources[victim].spec) == ()


def test_what_carries_no_tag_of_ours_is_neither_changed_nor_removed(walkthrough: Context) -> None:
    world = MemoryWorld()
    reconcile(world, walkthrough)
    foreign = MeshTarget(mesh="appmesh-demo", kind="virtualNode", name="somebody")
    world.mesh.resources[foreign] = msgspec.structs.replace(world.mesh.resources[ROUTE], target=foreign, arn="arn:foreign", tags={})
    altered = msgspec.structs.replace(world.mesh.resources[ROUTE], tags={"crossmesh:owner": "other"}, spec={})
    world.mesh.resources[ROUTE] = altered
    answer = reconcile(world, walkthrough)
    assert (answer.actions, answer.withheld) == (0, 1)
    assert world.mesh.resources[ROUTE] == altered
    assert foreign in world.mesh.resources


def test_what_is_ours_and_no_longer_declared_goes(walkthrough: Context) -> None:
    world = MemoryWorld()
    reconcile(world, walkthrough)
    left = MeshTarget(mesh="appmesh-demo", kind="virtualNode", name="left-over")
    world.mesh.resources[left] = msgspec.structs.replace(world.mesh.resources[ROUTE], target=left, arn="arn:left")
    reconcile(world, walkthrough)
    assert left not in world.mesh.resources


def test_an_update_that_another_writer_undid_is_no_success(walkthrough: Context) -> None:
    world = MemoryWorld()
    reconcile(world, walkthrough)
    wrong = msgspec.structs.replace(world.mesh.resources[ROUTE], spec={})
    world.mesh.resources[ROUTE] = wrong
    update = world.mesh.update

    def undone(operation: str, request: dict[str, object], token: str) -> None:
        update(operation, request, token)
        world.mesh.resources[ROUTE] = wrong

    world.mesh.update = undone  # type: ignore[method-assign]
    answer = reconcile(world, walkthrough)
    assert (answer.applied, answer.failed) == (0, 1)


def test_an_api_that_is_gone_is_an_outcome_and_no_error(walkthrough: Context) -> None:
    world = MemoryWorld()

    def gone(*_: object) -> None:
        raise ServiceGone("EndpointConnectionError", "could not connect to App Mesh")

    world.mesh.describe = gone  # type: ignore[method-assign,assignment]
    answer = reconcile(world, walkthrough)
    assert answer.done
    assert "could not connect" in answer.unavailable
    assert world.mesh.writes == []


def test_a_run_killed_at_any_call_of_the_mesh_ends_exact(walkthrough: Context) -> None:
    from tests.unit.steps.test_crash import cut

    at = 0
    while True:
        world = MemoryWorld()
        world.executions.alive = {"arn:cut"}
        lease = drive(take_lease.run(take_lease.Request(id="cut", execution="arn:cut"), walkthrough), world.ports)
        whole = cut(reconcile_mesh.run(reconcile_mesh.Request(run=lease.run), walkthrough), world, at, after=True)
        reconcile(world, walkthrough)
        assert reconcile(world, walkthrough).actions == 0
        assert len(world.mesh.resources) == 7
        if whole:
            break
        at += 1
    assert at > 25
