"""The list of runs, and what `explain` shows of one: registry, mesh, cause."""

from datetime import UTC, datetime

import msgspec
from crossmesh import codec
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.ports import Lease
from crossmesh.steps import look, reconcile_mesh, release_lease, report_run, take_lease
from crossmesh.usecases import lease as lease_uses
from crossmesh.usecases import state
from crossmesh.usecases.context import Run
from crossmesh.usecases.mesh.driver import MeshOutcome

from tests.support.desk import Desk


def run_of(desk: Desk, cause: str) -> str:
    """A look and the run that it asks for, mesh included and reported at the end, as the state machine does it; the run's id."""
    context = desk.context()
    name = f"run-{cause}"
    drive(look.run(look.Request(id=name, cause=cause), context), desk.world.ports)
    desk.world.executions.alive = {name}
    lease = drive(take_lease.run(take_lease.Request(id=name, execution=name, look=state.key(name, "look")), context), desk.world.ports)
    drive(reconcile_mesh.run(reconcile_mesh.Request(run=lease.run), context), desk.world.ports)
    drive(report_run.run(report_run.Request(run=lease.run), context), desk.world.ports)
    desk.world.state.leases.clear()
    at = datetime.fromtimestamp(desk.now, UTC)
    desk.amazon.executions.insert(0, {"name": name, "status": "SUCCEEDED", "startDate": at, "stopDate": at})
    return name


def test_the_runs_are_listed_with_cause_and_result(desk: Desk) -> None:
    desk.pods(blue=2)
    run_of(desk, "hint")
    desk.world.clock.sleep(60)
    run_of(desk, "drift")
    code, out, _ = desk.run("runs")
    assert code == 0
    lines = [line for line in out.splitlines() if line.startswith("run-")]
    assert [line.split()[0] for line in lines] == ["run-drift", "run-hint"], "newest first"
    assert "a change that somebody else made (CloudTrail)" in lines[0]
    assert "an event from a watcher" in lines[1]
    assert "applied" in lines[1]
    assert "mesh changes" in lines[1]


def test_every_pass_of_a_run_is_listed_as_the_run_names_it(desk: Desk) -> None:
    """The reported case: the first deployment's run went once more and registered all pods; `runs` told of its first pass alone."""
    desk.pods(blue=2)
    name = run_of(desk, "deploy")
    first = codec.decode(desk.world.runs.get(state.key(name, "report")), Report)
    again, ids = Run(id=name, execution=name, epoch=1), []
    for count in range(release_lease.PASSES_AT_MOST):
        lease = Lease(epoch=1, holder=name, expires=desk.now + 60)
        desk.world.state.leases[lease_uses.NAME] = msgspec.structs.replace(lease, again=True)
        answer = drive(release_lease.run(release_lease.Request(run=again), desk.context()), desk.world.ports)
        assert answer.again
        again = answer.run
        ids.append(again.id)
        kept = msgspec.structs.replace(first, id=again.id, at=first.at + count + 1, adds=count + 1, mesh_actions=0)
        desk.world.runs.put(state.key(again.id, "report"), codec.encode(kept))
    lines = [line for line in desk.run("runs")[1].splitlines() if line.startswith(name)]
    assert [line.split()[0] for line in lines] == [*reversed(ids), name]
    assert "5 registered" in lines[0]
    assert f"it went once more: crossmesh explain {ids[0]}" in desk.run("explain", name)[1]


def test_a_run_whose_report_is_not_kept_is_listed_by_its_execution(desk: Desk) -> None:
    at = datetime.fromtimestamp(desk.now - 86_400 * 40, UTC)
    desk.amazon.executions.append({"name": "old", "status": "TIMED_OUT", "startDate": at, "stopDate": at})
    _, out, _ = desk.run("runs")
    assert "timed_out" in out
    assert desk.run("runs", "--json")[1].count('"id": "old"') == 1


def test_without_runs_it_says_so(desk: Desk) -> None:
    assert "no run was kept" in desk.run("runs")[1]


def test_explain_shows_the_changes_of_the_mesh_and_why_the_run_began(desk: Desk) -> None:
    desk.pods(blue=1)
    name = run_of(desk, "drift")
    _, out, _ = desk.run("explain", name)
    assert "started by a change that somebody else made (CloudTrail)" in out
    assert "+ VirtualNode blue_shop" in out.replace("virtualNode", "VirtualNode")
    assert "[applied]" in out
    assert '"mesh": [' in desk.run("explain", name, "--json")[1]


def test_what_was_planned_for_the_mesh_and_not_reached_is_shown_so(desk: Desk) -> None:
    desk.pods(blue=1)
    name = run_of(desk, "hint")
    key = state.key(name, "mesh/0/outcomes")
    kept = codec.decode(desk.world.runs.get(key), tuple[MeshOutcome, ...])
    desk.world.runs.put(key, codec.encode(kept[:1]))
    _, out, _ = desk.run("explain", name)
    assert out.count("[applied]") == 1
    assert out.count("declared and not there [not reached]") == len(kept) - 1


def test_a_run_by_hand_says_so(desk: Desk) -> None:
    desk.world.executions.alive = {"x"}
    lease = drive(take_lease.run(take_lease.Request(id="x", execution="x"), desk.context()), desk.world.ports)
    drive(report_run.run(report_run.Request(run=lease.run), desk.context()), desk.world.ports)
    report = codec.decode(desk.world.state.documents[state.LAST_RUN], Report)
    assert report.cause == "manual"


def test_an_unknown_run_names_the_list(desk: Desk) -> None:
    code, _, err = desk.run("explain", "nope")
    assert code == 2
    assert "there is no run 'nope'" in err
    assert "`crossmesh runs` lists the last ones" in err


def test_a_run_that_went_once_more_is_told_by_the_pass_that_did_the_work(desk: Desk) -> None:
    """Met in the world: `explain` after a pod was deleted showed the empty last pass, and `status` said 0 adds, 0 removals."""
    desk.pods(blue=2)
    name = run_of(desk, "hint")
    first = codec.decode(desk.world.runs.get(state.key(name, "report")), Report)
    last = msgspec.structs.replace(first, id=f"{name}~1", adds=0, removals=0, health=0, gates=0, mesh_actions=0)
    desk.world.runs.objects[state.key(last.id, "report")] = codec.encode(last)
    desk.world.state.documents[state.LAST_RUN] = codec.encode(last)
    _, out, _ = desk.run("explain")
    assert out.splitlines()[1].startswith(f"run {name}: applied"), out
    assert f"it went once more: crossmesh explain {name}~1 (did: " in out
    assert f"run {name}~1: applied" in desk.run("explain", f"{name}~1")[1]
    _, out, _ = desk.run("status")
    assert f"last run {name}~1: applied, 2 adds, 0 removals, {first.mesh_actions} mesh changes in 0.0 s and 2 passes" in out, out
    assert (first.adds, last.adds) == (2, 0)
