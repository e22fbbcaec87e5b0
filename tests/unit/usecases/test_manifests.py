"""Manifests live from clusters: what a look leaves in force is what a run uses; the unseen and the wrong change nothing."""

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.compiler.cluster_manifests import ActiveManifests, describe_source
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.observed import Unseen
from crossmesh.driver import drive
from crossmesh.errors import ConfigError, RefusedError
from crossmesh.steps import look, reconcile_mesh, report_run, take_lease
from crossmesh.usecases import look as looks
from crossmesh.usecases import manifests
from crossmesh.usecases.context import Context

from tests.support.cluster_objects import deployment, objects
from tests.support.manifest_texts import HEAD, manifest, node
from tests.support.mesh_runs import ONE, app_mesh, new_world, route, router
from tests.support.passes import MemoryWorld

DARK = Unseen(cluster="two", cause="unreachable", detail="no connection")


@pytest.fixture
def world() -> MemoryWorld:
    found = new_world()
    found.clusters.declared = {"one": objects(HEAD), "two": objects(*ONE)}
    found.registry.namespaces["shop.local"] = ("ns-2", "DNS_PRIVATE")
    return found


def see(world: MemoryWorld, where: Context) -> looks.Observation:
    world.clock.sleep(60)
    return drive(looks.observe_and_plan(where, keep=True), world.ports)


def run(world: MemoryWorld, where: Context) -> reconcile_mesh.Response:
    """The mesh's part of a run, each step by itself as functions do it."""
    world.count += 1
    arn = f"arn:{world.count}"
    world.executions.alive = {arn}
    taken = drive(
        manifests.with_active_manifests(take_lease.TASK, take_lease.Request(id=f"r{world.count}", execution=arn), where),
        world.ports,
    )
    asked = reconcile_mesh.Request(run=taken.run)
    answer = drive(manifests.with_active_manifests(reconcile_mesh.TASK, asked, where), world.ports)
    drive(manifests.with_active_manifests(report_run.TASK, report_run.Request(run=taken.run), where), world.ports)
    return answer


def current(world: MemoryWorld) -> ActiveManifests:
    return codec.decode(world.state.documents[manifests.MANIFESTS], ActiveManifests)


def test_what_a_look_reads_is_what_a_run_makes_and_identical_documents_of_two_clusters_are_one(world: MemoryWorld) -> None:
    where = deployment()
    seen = see(world, where)
    assert len(seen.mesh.changes) == 7
    assert [line.documents for line in current(world).lines] == [2, 6]
    assert (run(world, where).applied, run(world, where).actions) == (7, 0)
    assert see(world, where).mesh.changes == ()
    assert [report.kind for report in world.telemetry.reports] == ["applied", "applied"], "no run is superseded by its own documents"


def test_a_run_keeps_to_the_documents_it_began_with(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    world.executions.alive = {"arn:x"}
    taken = drive(manifests.with_active_manifests(take_lease.TASK, take_lease.Request(id="x", execution="arn:x"), where), world.ports)
    world.clusters.declared["two"] = objects(HEAD, node("a"))
    see(world, where)
    answer = drive(manifests.with_active_manifests(reconcile_mesh.TASK, reconcile_mesh.Request(run=taken.run), where), world.ports)
    assert (answer.applied, answer.superseded) == (7, False)
    looked = drive(manifests.with_active_manifests(look.TASK, look.Request(run=taken.run), where), world.ports)
    assert (looked.decision, looked.run.live) == ("apply", current(world).digest), "a look under the lease goes on by the newer ones"
    assert run(world, where).failed == 0
    assert len(app_mesh(world).specs()) == 2, "the next one follows the newer ones"


def test_another_layer_supersedes_a_run_as_before(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    world.executions.alive = {"arn:x"}
    taken = drive(manifests.with_active_manifests(take_lease.TASK, take_lease.Request(id="x", execution="arn:x"), where), world.ports)
    other = msgspec.structs.replace(where, config="another layer")
    assert drive(manifests.with_active_manifests(reconcile_mesh.TASK, reconcile_mesh.Request(run=taken.run), other), world.ports).superseded


def test_the_documents_of_an_unseen_cluster_stay_in_force_and_their_age_is_told(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    run(world, where)
    world.clusters.failing["two"] = DARK
    assert see(world, where).mesh.changes == ()
    line = current(world).lines[1]
    assert describe_source(line, line.seen + 60) == "two: 6 documents seen 60 s ago stay in force: it is unseen (unreachable: no connection)"
    app_mesh(world).delete(MeshTarget(mesh="shop", kind="virtualService", name="s.shop"))
    assert [str(action.target) for action in see(world, where).mesh.changes] == ["virtualService s.shop in shop"], (
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
    assert see(world, where).mesh.changes == ()
    assert current(world).lines[1].cause == "not-found"


def test_documents_that_contradict_each_other_leave_the_last_good_ones_in_force_and_both_places_are_named(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    run(world, where)
    world.clusters.declared["one"] = objects(HEAD, node("a", port=9999))
    seen = see(world, where)
    assert seen.mesh.changes == ()
    (note,) = [note for note in seen.mesh.notes if "differs" in note]
    assert (
        "cluster two: VirtualNode shop/a spec.listeners[0].portMapping.port: VirtualNode shop/a differs from the one at cluster one: VirtualNode shop/a"
        in note
    )
    assert current(world).refused
    assert run(world, where).actions == 0, "a run uses what is in force"
    world.clusters.declared["one"] = objects(HEAD)
    assert see(world, where).mesh.changes == ()
    assert not current(world).refused


def test_a_wrong_document_with_none_before_it_is_set_aside_and_the_first_look_goes_on(world: MemoryWorld) -> None:
    world.clusters.declared["one"] = objects(HEAD, router(route("other", "nobody"), name="other"))
    seen = see(world, deployment())
    assert len(seen.mesh.changes) == 7
    (note,) = [note for note in seen.mesh.notes if note.startswith("set aside: ")]
    assert "cluster one: VirtualRouter shop/other" in note
    assert "refers to VirtualNode shop/nobody" in note
    assert [line.documents for line in current(world).lines] == [2, 6]


def test_settings_that_name_what_no_document_has_stop_the_look(world: MemoryWorld) -> None:
    where = deployment()
    clusters = (msgspec.structs.replace(where.settings.clusters[0], nodes=("shop/nobody",)), where.settings.clusters[1])
    where = msgspec.structs.replace(where, settings=msgspec.structs.replace(where.settings, clusters=clusters))
    with pytest.raises(ConfigError, match="no manifest declares the virtual node 'shop/nobody'"):
        see(world, where)


def test_thousands_of_faults_are_told_in_few_lines_with_their_count(world: MemoryWorld) -> None:
    faults = [manifest("VirtualNode", f"x{number}", "listeners: 7") for number in range(300)]
    world.clusters.declared["one"] = objects(HEAD, *faults)
    seen = see(world, deployment())
    assert len(current(world).refused) == 51
    assert current(world).refused[-1] == "and 250 more"
    assert len(seen.mesh.changes) == 7
    assert len(bounds.packed(world.state.documents[manifests.MANIFESTS])) < bounds.STORED


def test_what_is_in_force_is_written_anew_before_the_bucket_forgets_it(world: MemoryWorld) -> None:
    """Objects below manifests/ expire after RunDays, whether or not they are in force."""
    where = deployment()
    see(world, where)
    (key,) = [key for key in world.runs.objects if key.startswith("manifests/")]
    puts: list[str] = []
    whole = world.runs.put

    def put(where: str, value: bytes) -> None:
        puts.append(where)
        whole(where, value)

    world.runs.put = put  # type: ignore[method-assign]
    see(world, where)
    assert key not in puts, "not each minute"
    world.clock.sleep(manifests.KEEP_EVERY)
    see(world, where)
    assert puts.count(key) == 1
    see(world, where)
    assert puts.count(key) == 1


def test_after_a_stop_so_long_that_the_bucket_forgot_them_the_documents_are_read_anew(world: MemoryWorld) -> None:
    where = deployment()
    see(world, where)
    run(world, where)
    world.runs.objects = {key: value for key, value in world.runs.objects.items() if not key.startswith("manifests/")}
    assert see(world, where).mesh.changes == ()
    assert run(world, where).actions == 0
    world.runs.objects = {key: value for key, value in world.runs.objects.items() if not key.startswith("manifests/")}
    world.clusters.failing["two"] = DARK
    with pytest.raises(RefusedError, match="the manifests of two were never seen"):
        see(world, where)


def test_a_changed_document_changes_the_configuration_of_the_next_look_and_nothing_else_does(world: MemoryWorld) -> None:
    where = deployment()
    first, again = see(world, where).context.config, see(world, where).context.config
    assert first == again
    world.clusters.declared["two"][0]["metadata"]["resourceVersion"] = "9999"
    assert see(world, where).context.config == first
    world.clusters.declared["two"] = objects(*ONE[:2], node("b", port=8081), *ONE[3:])
    assert see(world, where).context.config != first
