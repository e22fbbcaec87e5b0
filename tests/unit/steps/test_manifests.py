"""Manifests live from clusters: what a look leaves in force is what a run uses; the unseen and the wrong change nothing."""

from typing import Any

import msgspec
import pytest
import yaml
from crossmesh import codec
from crossmesh.core.live import InForce, told
from crossmesh.core.mesh_view import MeshTarget
from crossmesh.core.settings import ClusterSettings, ManifestSource, MeshSettings, Settings
from crossmesh.core.topology import Topology
from crossmesh.core.views import Unseen
from crossmesh.errors import ConfigError, RefusedError
from crossmesh.steps import look, manifests, observe_registry, reconcile_mesh, report_run, take_lease
from crossmesh.steps.context import Context
from crossmesh.steps.drive import drive

from tests.manifest_texts import HEAD, node
from tests.passes import MemoryWorld
from tests.unit.steps.test_mesh import ONE, app_mesh, new_world, route, router

DARK = Unseen(cluster="two", cause="unreachable", detail="no connection")


def objects(*texts: str) -> list[dict[str, Any]]:
    """Documents as a cluster's API answers them: with uids, versions, and what AWS's webhooks add."""
    found = [item for item in yaml.safe_load_all("".join(texts)) if item]
    for number, item in enumerate(found):
        item["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": str(number), "managedFields": [{}]}
        if item["kind"] not in ("Namespace", "Mesh"):
            item["spec"]["meshRef"] = {"name": "shop", "uid": f"uid-{number}"}
        item["status"] = {"conditions": []}
    return found


def deployment(*clusters: str) -> Context:
    """The configuration layer of a deployment that reads its manifests from `clusters`: it knows no topology of its own."""
    settings = Settings(
        owner="me",
        region="us-east-1",
        mesh=MeshSettings(manifests=ManifestSource(clusters=clusters or ("one", "two"))),
        clusters=tuple(ClusterSettings(name=name, eks=name, region="us-east-1") for name in ("one", "two")),
    )
    return Context(settings=settings, topology=Topology(), config="layer", deployment="1/r/s")


@pytest.fixture
def world() -> MemoryWorld:
    found = new_world()
    found.clusters.declared = {"one": objects(HEAD), "two": objects(*ONE)}
    found.registry.namespaces["shop.local"] = ("ns-2", "DNS_PRIVATE")
    return found


def see(world: MemoryWorld, where: Context) -> look.Seen:
    world.clock.sleep(60)
    return drive(look.see(where), world.ports)


def run(world: MemoryWorld, where: Context) -> reconcile_mesh.Response:
    """The mesh's part of a run, each step by itself as functions do it."""
    world.count += 1
    arn = f"arn:{world.count}"
    world.executions.alive = {arn}
    taken = drive(manifests.within("take_lease", take_lease.run, take_lease.Request(id=f"r{world.count}", execution=arn), where), world.ports)
    asked = reconcile_mesh.Request(run=taken.run)
    answer = drive(manifests.within("reconcile_mesh", reconcile_mesh.run, asked, where), world.ports)
    drive(manifests.within("report_run", report_run.run, report_run.Request(run=taken.run), where), world.ports)
    return answer


def current(world: MemoryWorld) -> InForce:
    return codec.decode(world.state.documents[manifests.MANIFESTS], InForce)


def test_what_a_look_reads_is_what_a_run_makes_and_identical_documents_of_two_clusters_are_one(world: MemoryWorld) -> None:
    where = deployment()
    seen = see(world, where)
    assert len(seen.mesh.actions) == 7
    assert [line.documents for line in current(world).lines] == [2, 6]
    assert (run(world, where).applied, run(world, where).actions) == (7, 0)
    assert see(world, where).mesh.actions == ()
    assert [report.kind for report in world.telemetry.reports] == ["applied", "applied"], "no run is superseded by its own documents"


def test_a_run_keeps_to_the_documents_it_began_with(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    world.executions.alive = {"arn:x"}
    taken = drive(manifests.within("take_lease", take_lease.run, take_lease.Request(id="x", execution="arn:x"), where), world.ports)
    world.clusters.declared["two"] = objects(HEAD, node("a"))
    see(world, where)
    answer = drive(manifests.within("reconcile_mesh", reconcile_mesh.run, reconcile_mesh.Request(run=taken.run), where), world.ports)
    assert (answer.applied, answer.superseded) == (7, False)
    drive(manifests.within("observe_registry", observe_registry.run, observe_registry.Request(run=taken.run), where), world.ports)
    assert run(world, where).failed == 0
    assert len(app_mesh(world).specs()) == 2, "the next one follows the newer ones"


def test_another_layer_supersedes_a_run_as_before(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    world.executions.alive = {"arn:x"}
    taken = drive(manifests.within("take_lease", take_lease.run, take_lease.Request(id="x", execution="arn:x"), where), world.ports)
    other = msgspec.structs.replace(where, config="another layer")
    assert drive(manifests.within("reconcile_mesh", reconcile_mesh.run, reconcile_mesh.Request(run=taken.run), other), world.ports).superseded


def test_the_documents_of_an_unseen_cluster_stay_in_force_and_their_age_is_told(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    run(world, where)
    world.clusters.failing["two"] = DARK
    assert see(world, where).mesh.actions == ()
    line = current(world).lines[1]
    assert told(line, line.seen + 60) == "two: 6 documents seen 60 s ago stay in force: it is unseen (unreachable: no connection)"
    app_mesh(world).delete(MeshTarget(mesh="shop", kind="virtualService", name="s.shop"))
    assert [str(action.target) for action in see(world, where).mesh.actions] == ["virtualService s.shop in shop"], (
        "and drift is repaired by them"
    )


@pytest.mark.parametrize("how", ["unreachable", "no CRDs", "another identity"])
def test_a_cluster_that_was_never_seen_stops_the_look_and_removes_nothing(world: MemoryWorld, how: str) -> None:
    where = deployment()
    if how == "unreachable":
        world.clusters.failing["two"] = DARK
    elif how == "no CRDs":
        del world.clusters.declared["two"]
    else:
        world.clusters.identities["two"] = "rebuilt"
        world.state.documents["memory"] = b'{"identities": {"two": "recorded"}}'
    with pytest.raises(RefusedError, match="the manifests of two were never seen"):
        see(world, where)


def test_the_crds_taken_away_do_not_take_the_mesh_away(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    run(world, where)
    del world.clusters.declared["two"]
    assert see(world, where).mesh.actions == ()
    assert current(world).lines[1].cause == "not-found"


def test_documents_that_contradict_each_other_leave_the_last_good_ones_in_force_and_both_places_are_named(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    run(world, where)
    world.clusters.declared["one"] = objects(HEAD, node("a", port=9999))
    seen = see(world, where)
    assert seen.mesh.actions == ()
    (note,) = [note for note in seen.mesh.notes if "differs" in note]
    assert (
        "cluster two: VirtualNode shop/a spec.listeners[0].portMapping.port: VirtualNode shop/a differs from the one at cluster one: VirtualNode shop/a"
        in note
    )
    assert current(world).refused
    assert run(world, where).actions == 0, "a run uses what is in force"
    world.clusters.declared["one"] = objects(HEAD)
    assert see(world, where).mesh.actions == ()
    assert not current(world).refused


def test_wrong_documents_with_none_before_them_stop_the_look(world: MemoryWorld) -> None:
    world.clusters.declared["one"] = objects(HEAD, router(route("r", "nobody")))
    with pytest.raises(ConfigError, match=r"cluster one: VirtualRouter shop/r .*refers to VirtualNode shop/nobody"):
        see(world, deployment())


def test_a_changed_document_changes_the_configuration_of_the_next_look_and_nothing_else_does(world: MemoryWorld) -> None:
    where = deployment()
    first, again = see(world, where).context.config, see(world, where).context.config
    assert first == again
    world.clusters.declared["two"][0]["metadata"]["resourceVersion"] = "9999"
    assert see(world, where).context.config == first
    world.clusters.declared["two"] = objects(*ONE[:2], node("b", port=8081), *ONE[3:])
    assert see(world, where).context.config != first
