"""When `crossmesh status` is green, and what it says instead while it is not: read as a person does, in front of an application in memory."""

import itertools
import json
import re
from datetime import UTC, datetime

import msgspec
import pytest
from crossmesh import codec
from crossmesh.cli import status
from crossmesh.core.canary.history import CanaryHistory, memory_key
from crossmesh.core.canary.split_test import CanaryRun
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.mesh import shift_weights
from crossmesh.core.observed import Unseen
from crossmesh.core.registry.plan import ManualOverrides
from crossmesh.core.reporting.overview import Sighting, overview
from crossmesh.core.reporting.report import ClusterLine, Report
from crossmesh.ports import Lease
from crossmesh.usecases import lease, state, traffic_shifts

from tests.support.desk import Desk


@pytest.fixture
def running(desk: Desk) -> Desk:
    """Two blue pods and a red one, not registered yet; no canary has run."""
    desk.write(WITHOUT_CANARY)
    desk.pods("a", blue=2)
    desk.pods("b", red=1)
    return desk


WITHOUT_CANARY = (
    "owner: shop-prod\nregion: eu-west-1\nmesh: {manifests: {files: [mesh/*.yaml]}, backend: appmesh}\nclusters: {a: {}, b: {}}\n"
    "policy: {removals: sync, confirm_above: 15%, confirm_after: 20s}\n"
)


def headline(desk: Desk) -> tuple[int, str]:
    """The exit code and the second line: the first names the target."""
    code, out, _ = desk.run("status")
    return code, out.splitlines()[1]


def test_it_is_green_where_every_number_agrees(running: Desk) -> None:
    running.settle()
    assert headline(running) == (0, "everything is as declared: 3 of 3 endpoints registered, looked 0 s ago")


def test_a_look_that_a_run_has_overtaken_is_not_green(running: Desk) -> None:
    """The reported case: `everything is as declared: 0 of 3 endpoints registered` (green, exit 0) after the first run."""
    running.look()
    running.reconcile()
    code, said = headline(running)
    assert (code, said) == (3, "converging: 0 registered, 3 wanted at the last look, 1 s ago")
    assert "applied 3 adds" in running.run("status")[1]
    assert "the next look, within a minute, confirms it" in running.run("status")[1]
    running.look()
    running.reconcile()
    running.look()
    assert headline(running)[0] == 0


def test_after_a_run_the_registry_is_as_the_run_left_it(running: Desk) -> None:
    """The reported case: up to 45 s after a run the figures were those of the look before it."""
    running.settle()
    running.world.clusters.remove("a", "blue-a-1")
    running.look()
    assert headline(running) == (3, "converging: 3 registered, 2 wanted at the last look, 0 s ago")
    running.reconcile()
    code, said = headline(running)
    assert (code, said.partition(", as run ")[0]) == (0, "everything is as declared: 2 of 2 endpoints registered")
    assert re.search(r"as run r?\S+ left it 0 s ago$", said), said
    counts = json.loads(running.run("status", "--json")[1])["counts"]
    assert (counts["registered"], counts["wanted"], counts["found_by"][:4]) == (2, 2, "run-")
    running.look()
    assert json.loads(running.run("status", "--json")[1])["counts"]["found_by"] == "look"


def test_after_a_drain_the_run_tells_that_all_have_left(running: Desk) -> None:
    running.settle()
    running.types("crossmesh")
    running.run("drain")
    running.look()
    running.reconcile()
    code, out, _ = running.run("status")
    assert (code, out.splitlines()[2].partition(", as run ")[0]) == (3, "drained: 0 of 0 endpoints registered")


def test_what_was_ordered_after_the_last_look_is_on_its_way(running: Desk) -> None:
    """Seen on a day of trying: right after `drain` it was `drained: 3 of 3`, right after `resume` it was red and `the registry is drained`."""
    running.settle()
    running.world.clock.sleep(5)
    running.types("crossmesh")
    running.run("drain")
    running.world.clock.sleep(2)
    out = running.run("status")[1]
    assert out.splitlines()[2].startswith("draining: 3 of 3 endpoints registered at the last look")
    assert "- drain asked for 2 s ago, and no look has run since" in out
    running.look()
    assert headline_of(running, 2) == "draining"
    running.reconcile()
    assert headline_of(running, 2) == "drained"
    running.world.clock.sleep(5)
    running.run("resume")
    code, out, _ = running.run("status")
    assert (code, out.splitlines()[1].partition(":")[0]) == (3, "converging")
    assert "- resumed 0 s ago, and no look has run since" in out
    running.settle()
    assert headline(running)[0] == 0
    running.world.clock.sleep(5)
    running.run("pause")
    assert "- pause asked for 0 s ago, and no look has run since" in running.run("status")[1]


def headline_of(running: Desk, line: int) -> str:
    return running.run("status")[1].splitlines()[line].partition(":")[0]


def test_what_waits_for_a_second_look_is_told_alike_before_and_after_a_run(running: Desk) -> None:
    running.settle()
    running.world.clusters.remove("b", "red-b-0")
    running.look()
    before = headline(running)[1].partition(":")[0]
    running.reconcile()
    code, out, _ = running.run("status")
    assert (code, out.splitlines()[1].partition(":")[0]) == (3, before)
    assert "EMPTIES virtual node shop/red (1 instance): no pod matches app=red any more" in out


def test_a_run_that_proved_not_all_or_that_began_before_the_look_tells_nothing() -> None:
    look = Report(id="l", kind="apply", at=100.0, config="c", registered=0, endpoints=2, adds=2)
    run = Report(id="r", kind="applied", at=110.0, seconds=5.0, config="c", adds=2, endpoints=2, ours=2)
    assert overview(Sighting(now=120.0, look=look, run=run)).state == "as declared"
    for other in (
        {"ours": -1},
        {"failed": 1},
        {"seconds": 15.0},
        {"config": "d"},
        {"kind": "superseded"},
        {"mesh_actions": 1},
        {"health": 1},
        {"ours": 1},
        {"withheld": ("x: unseen: y",), "withheld_counts": {"unseen": 1}},
        {"clusters": (ClusterLine(name="a", cause="timeout", detail="d"),)},
    ):
        assert overview(Sighting(now=120.0, look=look, run=msgspec.structs.replace(run, **other))).state != "as declared", other


def first_look(running: Desk, *, after: float, detail: str = "HTTP 401: Unauthorized") -> tuple[int, str]:
    """The screen of `status` so many seconds after the first deployment, where cluster b admits nobody."""
    running.amazon.deploy("crossmesh", "eu-west-1", owner="shop-prod", at=running.now)
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="refused", detail=detail)
    running.reconcile()
    running.look()
    running.world.clock.sleep(after)
    running.look()
    return running.run("status")[:2]


@pytest.mark.parametrize("detail", ["HTTP 401: Unauthorized", "HTTP 403: Forbidden"])
def test_access_that_is_not_yet_in_effect_is_waited_for_until_a_stated_time(running: Desk, detail: str) -> None:
    """The reported case: the first `status` after the first deployment said `not as declared`, for an access entry took its time."""
    deployed = running.now
    code, out = first_look(running, after=20, detail=detail)
    assert (code, out.splitlines()[1].partition(":")[0]) == (3, "converging")
    until = datetime.fromtimestamp(deployed + 180, UTC).strftime("%H:%M:%SZ")
    assert (
        f"cluster b does not admit the functions yet (refused: {detail}): their access may not be in effect; from {until} on it counts" in out
    )
    assert "To fix it: " in out
    running.world.clock.sleep(180)
    running.look()
    code, out, _ = running.run("status")
    assert (code, out.splitlines()[1].partition(":")[0]) == (3, "not as declared")
    assert "cluster b is unseen: refused" in out


def test_access_that_is_lost_is_red_at_once(running: Desk) -> None:
    running.settle()
    code, out = first_look(running, after=1)
    assert (code, out.splitlines()[1].partition(":")[0]) == (3, "not as declared"), "cluster b was seen before"
    assert "cluster b is unseen: refused: HTTP 401" in out
    assert "does not admit the functions yet" not in out
    del running.world.clusters.failing["b"]
    running.world.clusters.failing["a"] = Unseen(cluster="a", cause="timeout", detail="no answer")
    running.look()
    assert headline(running)[1].startswith("not as declared"), "no access entry makes a cluster silent"


def test_a_cluster_that_a_run_has_seen_since_is_not_called_unseen(running: Desk) -> None:
    """The reported case: a minute after the first deployment `status` and `plan` said `unseen: refused` with a fix, though the run had seen all clusters."""
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="refused", detail="HTTP 401: Unauthorized")
    running.look()
    assert "the deployed functions do not see cluster b" in running.run("plan")[1]
    del running.world.clusters.failing["b"]
    running.world.clock.sleep(5)
    running.reconcile()
    code, said = headline(running)
    assert (code, said.partition(":")[0]) == (3, "converging")
    out = running.run("status")[1]
    assert "cluster b was unseen at the last look (refused), and run run-" in out
    assert "To fix it" not in out
    assert "do not see cluster" not in running.run("plan")[1]
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="refused", detail="HTTP 401: Unauthorized")
    running.look()
    assert headline(running)[1].startswith("not as declared"), "a later look counts"
    assert "the deployed functions do not see cluster b" in running.run("plan")[1]


def judged(desk: Desk, *good: bool) -> None:
    """The canary's verdicts, a minute apart, the last one just now."""
    rounds = tuple(CanaryRun(at=desk.now - 60.0 * (len(good) - 1 - n), counts={"x": 1}, good=one) for n, one in enumerate(good))
    last = Verdict(canary="front", kind="good" if good[-1] else "failed", at=desk.now, says="60 of 60 answers carry no declared body")
    desk.world.state.documents[memory_key("front")] = codec.encode(CanaryHistory(rounds=rounds, last=last, last_good=1.0))


def test_after_a_resume_the_canarys_next_verdict_is_waited_for(desk: Desk) -> None:
    """The reported case: after `resume` the status was red for the better part of a minute, for what the drain had done."""
    desk.pods("a", blue=2)
    desk.pods("b", red=1)
    desk.settle()
    desk.run("drain", "--yes")
    desk.reconcile()
    desk.look()
    judged(desk, True, False, False, False, False)
    assert "waiting for the canary's next verdict" not in desk.run("status")[1], "while it is drained"
    desk.world.clock.sleep(10)
    desk.run("resume")
    desk.settle()
    code, out, _ = desk.run("status")
    assert (code, out.splitlines()[1].partition(":")[0]) == (3, "converging"), out
    assert "canary front: failed: 60 of 60 answers carry no declared body" in out
    assert "that was before the last change; waiting for the canary's next verdict" in out
    judged(desk, True, False, False, False, False, False)
    assert headline(desk)[1].startswith("not as declared"), "a verdict of afterwards counts"
    judged(desk, True)
    assert headline(desk)[1].startswith("everything is as declared")


def test_a_run_that_repaired_something_is_waited_for_and_one_of_many_failures_is_not(desk: Desk) -> None:
    desk.pods("a", blue=2)
    desk.settle()
    judged(desk, True, False)
    desk.world.clock.sleep(5)
    desk.pods("b", red=1)
    desk.settle()
    assert headline(desk)[1].startswith("converging")
    desk.world.clock.sleep(200)
    desk.look()
    assert headline(desk)[1].startswith("not as declared"), "the next verdict stays away"
    judged(desk, True, False, False, False)
    desk.world.clock.sleep(5)
    desk.pods("b", red=2)
    desk.settle()
    assert headline(desk)[1].startswith("not as declared"), "it fails whatever runs do"


def test_before_the_first_look_it_says_what_it_waits_for_and_until_when(running: Desk) -> None:
    running.amazon.deploy("crossmesh", "eu-west-1", owner="shop-prod", at=running.now)
    running.world.clock.sleep(10)
    code, out, _ = running.run("status")
    assert (code, out.splitlines()[1]) == (3, "converging: waiting for the first look")
    assert "- deployed 10 s ago, and the first look has not been taken yet: the schedule takes one each minute; from 22:16:20Z on" in out
    running.amazon.stacks["eu-west-1", "crossmesh"]["StackStatus"] = "CREATE_IN_PROGRESS"
    assert "a deployment is under way, and the first look" in running.run("status")[1]
    running.amazon.stacks["eu-west-1", "crossmesh"]["StackStatus"] = "CREATE_COMPLETE"
    running.world.clock.sleep(300)
    code, out, _ = running.run("status")
    assert (code, out.splitlines()[1].partition(" since")[0]) == (3, "not known: no look has been taken")
    assert "since the deployment 5 minutes ago: check that the schedule is enabled" in out


def test_a_first_look_that_new_rights_explain_is_waited_for_and_a_mistake_is_not() -> None:
    look = Report(id="l", kind="failed", at=100.0, config="", failure="AccessDeniedException: not authorized to perform: dynamodb:GetItem")
    assert overview(Sighting(now=110.0, look=look, deployed=50.0)).state == "converging"
    for at, one in (
        (300.0, look),
        (110.0, msgspec.structs.replace(look, failure="ConfigError: crossmesh.yaml:3")),
        (110.0, msgspec.structs.replace(look, well=60.0)),
    ):
        assert overview(Sighting(now=at, look=one, deployed=50.0)).state == "unknown"


def test_a_canary_that_was_never_good_is_waited_for_after_a_deployment() -> None:
    look = Report(id="l", kind="quiet", at=100.0, config="c")
    line = "canary front: failed: 60 of 60 requests failed"
    soon = overview(Sighting(now=110.0, look=look, deployed=50.0, never_good=(line,)))
    assert (soon.state, soon.waits[0]) == ("converging", f"{line}: its first good verdict is awaited; from 00:03:50Z on it counts as an error")
    assert overview(Sighting(now=250.0, look=look, deployed=50.0, never_good=(line,))).state == "not as declared"
    assert overview(Sighting(now=110.0, look=look, deployed=50.0, canaries=(line,))).state == "not as declared"


def test_waiting_asks_for_a_look_at_once_and_again_and_goes_on_where_it_may_not(running: Desk) -> None:
    running.settle()
    running.run("status", "--wait=30")
    assert not running.amazon.asked("put_events"), "nothing is awaited"
    running.world.clusters.remove("a", "blue-a-1")
    running.look()
    ticks = itertools.count(0, 3)
    running.monkeypatch.setattr(status.time, "sleep", lambda _: None)
    running.monkeypatch.setattr(status.time, "monotonic", lambda: float(next(ticks)))
    assert running.run("status", "--wait=30")[0] == 3
    assert len(running.amazon.asked("put_events")) == 3, "at once, and each 10 s"
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="timeout", detail="no answer")
    running.look()
    running.monkeypatch.setattr(status.time, "sleep", lambda _: running.world.clock.sleep(2))
    err = running.run("status", "--wait=30")[2]
    assert err.count("\n") == 1, "seconds that go by are no change"
    assert err.startswith("not as declared: cluster b is unseen: timeout"), "the reason, not the figures"
    running.amazon.refused = {"put_events"}
    code, _, err = running.run("status", "--wait=30")
    assert (code, err.count("no look could be asked for (")) == (3, 1)
    assert "waiting for the next one by schedule" in err


def test_a_run_under_way_and_one_that_is_about_to_start_are_converging(running: Desk) -> None:
    running.look()
    assert headline(running)[1].startswith("converging")
    assert "the last look asked for a run, which starts now" in running.run("status")[1]
    running.world.clock.sleep(31)
    code, said = headline(running)
    assert (code, said.partition(":")[0]) == (3, "not as declared"), "no run came"
    running.world.state.leases[lease.NAME] = Lease(epoch=1, holder="arn:aws:states:eu-west-1:1:execution:run:r-7", expires=running.now + 60)
    assert headline(running)[1].startswith("converging")
    assert "run r-7 is under way" in running.run("status")[1]


def test_after_a_deployment_it_says_of_which_configuration_it_speaks(running: Desk) -> None:
    running.settle()
    before = running.context().config
    running.write(WITHOUT_CANARY + "# changed\n")
    running.world.clock.sleep(20)
    running.amazon.deploy("crossmesh", "eu-west-1", owner="shop-prod", at=running.now)
    running.world.clock.sleep(5)
    code, out, _ = running.run("status")
    assert code == 3
    assert out.splitlines()[1].startswith("converging")
    assert f"deployed 5 s ago, and no look has run on it yet: what follows is of configuration {before[:7]}" in out
    assert f"configuration in force {before[:7]}; the local one is {running.context().config[:7]}" in out
    running.look()
    assert headline(running)[0] == 0
    running.amazon.stacks["eu-west-1", "crossmesh"]["StackStatus"] = "UPDATE_IN_PROGRESS"
    assert "a deployment is under way" in running.run("status")[1]


def test_numbers_that_do_not_agree_are_never_green_whatever_else_is_said() -> None:
    """Every mix of counts, kinds, runs and wishes: green means registered = wanted and nothing open."""
    greens = 0
    for registered, wanted, down, adds, kind, ran, draining, paused in itertools.product(
        (0, 2, 3), (0, 3), (0, 1), (0, 1), ("quiet", "apply", "observe", "paused"), (-5, 5), (0.0, 9.0), (0.0, 9.0)
    ):
        last = Report(id="l", kind=kind, at=100.0, config="c", registered=registered, endpoints=wanted, down=down, adds=adds)
        run = Report(id="r", kind="applied", at=100.0 + ran, config="c", adds=adds)
        found = overview(Sighting(now=110.0, look=last, run=run, operator=ManualOverrides(draining=draining, paused=paused)))
        agree = registered - down == wanted and not adds and not draining and not paused
        assert found.ok == agree, (last, run, found)
        assert found.ok or found.lines, "what is not green has a reason"
        greens += found.ok
    assert greens


def test_a_drain_and_a_pause_stand_right_after_the_target_with_who_and_since_when(running: Desk) -> None:
    """The reported case: `status` named nobody and no drain, and blamed the Deployments."""
    running.settle()
    running.types("crossmesh")
    assert running.run("drain")[0] == 0
    running.look()
    running.reconcile()
    running.look()
    code, out, _ = running.run("status")
    assert code == 3
    first, second = out.splitlines()[1:3]
    assert first.startswith("DRAINED by hand by assumed-role/Admin/alice, since 2023-11-14 22:1")
    assert "(`crossmesh resume` ends it)" in first
    assert second.startswith("drained: ")
    assert "scale its Deployment" not in out
    running.run("resume")
    running.run("pause")
    running.look()
    code, out, _ = running.run("status")
    assert code == 3
    assert out.splitlines()[1].startswith("PAUSED by hand by assumed-role/Admin/alice")


def test_a_shift_in_force_is_named_and_is_not_green(running: Desk) -> None:
    running.settle()
    one = shift_weights.Shift(
        id="x", service="shop/s", mesh="shop", router="r_shop", route="one", document="d", start={"a": 60, "b": 40}, goal={"a": 0, "b": 100}
    )
    running.world.state.documents[traffic_shifts.SHIFTS] = codec.encode((one,))
    running.world.state.documents[traffic_shifts.SHIFTING] = codec.encode({"x": shift_weights.Progress(step=1, at=running.now)})
    code, said = headline(running)
    assert (code, said.partition(":")[0]) == (3, "as declared, except for a shift of weights in force")
    over = {"x": shift_weights.Progress(step=1, at=running.now - 601, ended="ended by hand")}
    running.world.state.documents[traffic_shifts.SHIFTING] = codec.encode(over)
    code, out, _ = running.run("status")
    assert code == 0
    assert "shift of" not in out, "one that ended long ago is history"


def test_an_emptied_virtual_node_is_told_by_the_label_that_differs(running: Desk) -> None:
    running.settle()
    file = running.folder / "config" / "mesh" / "shop.yaml"
    file.write_text(file.read_text().replace("{app: blue}}", "{app: bleu}}"))
    running.look()
    code, out, _ = running.run("status")
    assert code == 3
    assert "EMPTIES virtual node shop/blue (2 instances): no pod matches app=bleu; 2 pods have app=blue (app is blue, not bleu)" in out
    running.world.clock.sleep(25)
    running.settle()
    code, out, _ = running.run("status")
    assert code == 3
    assert "virtual node shop/blue" in out
    assert "no pod matches app=bleu; 2 pods have app=blue" in out, "once it is empty, too"


def test_an_unseen_cluster_and_a_failed_run_are_not_excused_by_what_is_on_its_way(running: Desk) -> None:
    running.look()
    running.reconcile()
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="refused", detail="HTTP 401")
    running.look()
    assert headline(running)[1].startswith("not as declared")
    running.world.clusters.failing.clear()
    running.look()
    running.world.state.documents[state.LAST_RUN] = codec.encode(
        Report(id="r-9", kind="failed", at=running.now + 1, config="c", failure="AccessDenied")
    )
    code, out, _ = running.run("status")
    assert code == 3
    assert "run r-9 failed: AccessDenied (`crossmesh explain r-9`)" in out


def test_mode_version_and_configuration_are_named(running: Desk) -> None:
    running.amazon.deploy("crossmesh", "eu-west-1", owner="shop-prod", mode="observe", at=0.0)
    running.look("observe")
    code, out, _ = running.run("status")
    assert code == 3
    assert "mode observe" in out.splitlines()[0]
    assert f"config {running.context().config[:7]}" in out.splitlines()[0]
    assert "and nothing is applied (Mode is observe" in out
    assert "version 0.1.0" in out


def test_waiting_ends_with_green_or_with_the_time(running: Desk) -> None:
    running.look()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        running.reconcile()
        running.look()

    running.monkeypatch.setattr(status.time, "sleep", sleep)
    ticks = iter(range(1000))
    running.monkeypatch.setattr(status.time, "monotonic", lambda: float(next(ticks)))
    code, out, err = running.run("status", "--wait")
    assert (code, bool(waited)) == (0, True)
    assert "everything is as declared" in out
    assert "converging: the last look asked for a run, which starts now" in err
    running.run("pause")
    running.monkeypatch.setattr(status.time, "sleep", waited.append)
    waited.clear()
    assert running.run("status", "--wait=5")[0] == 3
    assert 1 <= len(waited) <= 5


def test_where_no_cluster_is_seen_the_headline_counts_nothing_as_complete(running: Desk) -> None:
    """The reported case: a new world said `0 of 0 endpoints registered` while both clusters refused the functions."""
    for cluster in ("a", "b"):
        running.world.clusters.failing[cluster] = Unseen(cluster=cluster, cause="refused", detail="HTTP 401")
    running.look()
    code, said = headline(running)
    assert (code, said) == (
        3,
        "not as declared: 0 registered; how many are wanted is not known, for no cluster is seen, looked 0 s ago",
    )
    running.amazon.deploy("crossmesh", "eu-west-1", owner="shop-prod", at=running.now - 10)
    code, said = headline(running)
    assert (code, said.partition(", for")[0]) == (3, "converging: 0 registered; how many are wanted is not known")


def test_a_dark_cluster_wants_what_nobody_knows(running: Desk) -> None:
    """`3 registered, 2 wanted` read as if the dark cluster's instance were too many."""
    running.settle()
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="timeout", detail="no answer within 10 s")
    running.look()
    code, out, _ = running.run("status")
    assert code == 3
    assert "not as declared: 3 registered, 2 wanted by the clusters that are seen (b not), looked 0 s ago" in out, out
    assert "instances are registered" not in out
