"""Shifts in the deployed steps: recorded by a person, stepped by runs, judged by the canary by what is in force, reverted when it turns red."""

import argparse
from typing import Any, Literal

import msgspec
import pytest
from crossmesh import codec
from crossmesh.cli import shift as cli
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.split_test import CanaryRun
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.mesh import shift_lines, shift_weights, traffic_shift
from crossmesh.core.settings import CanarySettings, Expect, Mix
from crossmesh.driver import drive
from crossmesh.errors import RefusedError
from crossmesh.steps import judge_canary, reconcile_mesh, report_run
from crossmesh.usecases import look, state, traffic_shifts
from crossmesh.usecases.canary import Probed
from crossmesh.usecases.context import Context
from msgspec.structs import replace

from tests.support.builders import pod
from tests.support.cutting import cut
from tests.support.mesh_runs import AFTER, ONE, app_mesh, declared_by, new_world, reconcile, starting
from tests.support.passes import MemoryWorld

KEY = ("route", "shop", "r_shop", "one")
CANARY = CanarySettings(name="front", url="http://front", expect=Expect(mix=Mix(of="s", bodies=(("a", "a"), ("b", "b")))))


def here(*texts: str) -> Context:
    found = declared_by(*(texts or ONE))
    return msgspec.structs.replace(found, settings=msgspec.structs.replace(found.settings, canaries=(CANARY,)))


def weights(world: MemoryWorld) -> dict[str, int]:
    targets = app_mesh(world).model._resources[KEY].spec["httpRoute"]["action"]["weightedTargets"]
    return {target["virtualNode"]: target["weight"] for target in targets}


def ground(world: MemoryWorld, where: Context) -> cli.Ground:
    found, progress = drive(traffic_shifts.recorded(), world.ports)
    now = world.clock.now()
    return cli.Ground(settings=where.settings, topology=where.topology, state=world.state, shifts=found, progress=progress, now=now)


def say(world: MemoryWorld, kind: Literal["good", "failed", "no-data"] = "good") -> None:
    """The canary's verdict of now."""
    data = world.state.read("canary/front")
    memory = codec.decode(data, CanaryHistory) if data else CanaryHistory()
    now = world.clock.now()
    verdict = Verdict(canary="front", kind=kind, at=now, says=f"it is {kind}")
    this = CanaryRun(at=now, good=kind == "good", counts={} if kind == "no-data" else {"a_shop": 1})
    world.state.write("canary/front", codec.encode(msgspec.structs.replace(memory, rounds=(*memory.rounds, this), last=verdict)))


def ask(world: MemoryWorld, where: Context, to: str = "a=90,b=10", *, end: bool = False, step: int = 20, route: str = "one") -> str:
    say(world)
    arguments = argparse.Namespace(service="s", route=route, to=to, end=end, step=step, every=60.0)
    changed, told = (cli._ended if end else cli._begun)(arguments, ground(world, where))
    world.state.write(traffic_shifts.SHIFTS, codec.encode(changed))
    return told


@pytest.fixture
def world() -> MemoryWorld:
    found = new_world()
    assert reconcile(found, here()).failed == 0
    return found


def test_a_shift_goes_step_by_step_and_is_then_quiet(world: MemoryWorld) -> None:
    where, taken = here(), []
    ask(world, where)
    for _ in range(2):
        assert world.look(where).decision == "apply"
        reconcile(world, where)
        taken.append(weights(world))
        assert world.look(where).decision == "quiet", "until the next step is due"
        world.clock.sleep(60)
    assert [(found["a_shop"], found["b_shop"]) for found in taken] == [(70, 30), (90, 10)]
    assert world.look(where).decision == "quiet", "at its goal it stays"


def test_a_shift_whose_canary_falls_silent_waits_and_then_goes_back(world: MemoryWorld) -> None:
    where = here()
    ask(world, where, step=10)
    reconcile(world, where)
    assert weights(world) == {"a_shop": 60, "b_shop": 40}
    world.clock.sleep(traffic_shift.FRESH + 1)
    seen = world.look(where)
    assert seen.decision == "quiet", "no step on a stale verdict"
    told = drive(look.observe_and_plan(where), world.ports).shifts[0]
    assert "step 1 of 4" in told
    assert "waits for a fresh verdict of canary front" in told
    asked = starting(world, where)
    assert drive(traffic_shifts.next_due(where), world.ports) == 0, "and no run is started for it"
    drive(reconcile_mesh.run(asked, where), world.ports)
    assert weights(world) == {"a_shop": 60, "b_shop": 40}
    say(world, "no-data")
    assert world.look(where).decision == "quiet", "no data is no verdict"
    world.clock.sleep(traffic_shift.PATIENCE)
    assert world.look(where).decision == "apply"
    reconcile(world, where)
    assert weights(world) == {"a_shop": 1, "b_shop": 1}
    assert _pairs(world)[1][0].ended == "canary front has given no verdict for 10 minutes"


def test_a_hints_look_sees_the_mesh_where_a_shift_goes_on_though_pods_wait(world: MemoryWorld) -> None:
    where = here()
    assert world.look(where).decision == "quiet"
    world.registry.namespaces["shop.local"] = ("ns-2", "DNS_PRIVATE")
    world.clusters.put("a", replace(pod("new"), namespace="shop", labels={"app": "a"}))
    alone = drive(look.observe_and_plan(where, pods_alone=True), world.ports)
    assert (bool(alone.plan.actions), alone.shifting) == (True, False)
    ask(world, where)
    assert drive(look.observe_and_plan(where, pods_alone=True), world.ports).shifting


def test_a_shift_goes_on_when_its_canary_speaks_again(world: MemoryWorld) -> None:
    where = here()
    ask(world, where, step=10)
    reconcile(world, where)
    world.clock.sleep(traffic_shift.FRESH + 60)
    say(world)
    reconcile(world, where)
    assert weights(world) == {"a_shop": 70, "b_shop": 30}


def test_a_shift_asked_for_while_its_canary_is_silent_does_not_begin(world: MemoryWorld) -> None:
    where = here()
    ask(world, where)
    world.clock.sleep(traffic_shift.FRESH + 1)
    assert world.look(where).decision == "quiet"
    assert traffic_shifts.SHIFTING not in world.state.documents
    assert "begins with the next look; it waits for a fresh verdict" in drive(look.observe_and_plan(where), world.ports).shifts[0]


def test_a_report_asks_to_look_again_when_the_next_step_is_due(world: MemoryWorld) -> None:
    where = here()
    ask(world, where)
    asked = starting(world, where)
    drive(reconcile_mesh.run(asked, where), world.ports)
    told = drive(report_run.run(report_run.Request(run=asked.run), where), world.ports)
    assert told.look_again
    assert drive(traffic_shifts.next_due(where), world.ports) == pytest.approx(world.clock.now() + 60, abs=2)


def test_drift_under_a_shift_is_repaired_to_the_weights_in_force(world: MemoryWorld) -> None:
    where = here()
    ask(world, where)
    reconcile(world, where)
    app_mesh(world).model._resources[KEY].spec["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 1
    reconcile(world, where)
    assert weights(world) == {"a_shop": 70, "b_shop": 30}


def test_the_canary_expects_what_is_in_force_and_a_red_one_reverts_it(world: MemoryWorld) -> None:
    where = here()
    ask(world, where)
    reconcile(world, where)

    def judged(a: int, b: int, bad: int = 0) -> Verdict:
        world.clock.sleep(5)
        samples = [Sample(status=200, body="a")] * a + [Sample(status=200, body="b")] * b + [Sample(status=200, body="broken")] * bad
        name = f"c{world.clock.now():.0f}"
        key = drive(state.save(state.key(name, "samples"), tuple(samples)), world.ports)
        drive(judge_canary.run(judge_canary.Request(id=name, probed=(Probed(canary="front", samples=key),)), where), world.ports)
        memory = codec.decode(world.state.documents["canary/front"], CanaryHistory)
        assert memory.last is not None
        return memory.last

    good = judged(42, 18)
    assert (good.kind, good.expected) == ("good", {"a_shop": "7/10", "b_shop": "3/10"})
    assert world.look(where).decision == "quiet"
    assert judged(30, 10, bad=20).kind == "failed"
    assert world.look(where).decision == "apply"
    reconcile(world, where)
    assert weights(world) == {"a_shop": 1, "b_shop": 1}
    (told,) = (shift_lines.describe_shift(s, p) for s, p in zip(*_pairs(world), strict=True))
    assert "ended: canary front is red" in told
    world.clock.sleep(600)
    assert world.look(where).decision == "quiet", "what was halted does not begin again by itself"


def test_answers_given_while_a_step_settles_are_judged_by_the_weights_before_it_too(world: MemoryWorld) -> None:
    where = here()
    ask(world, where, "a=100,b=0", step=0)
    reconcile(world, where)

    def judged() -> str:
        samples = tuple([Sample(status=200, body="a")] * 30 + [Sample(status=200, body="b")] * 30)
        key = drive(state.inline_or_store("k", samples, 100_000), world.ports)
        asked = judge_canary.Request(id=f"c{world.clock.now():.0f}", probed=(Probed(canary="front", samples=key),))
        return drive(judge_canary.run(asked, where), world.ports).verdicts[0].kind

    assert judged() == "good"
    world.clock.sleep(shift_weights.SETTLES)
    assert judged() == "failed"


def _pairs(world: MemoryWorld) -> tuple[list[shift_weights.Shift], list[shift_weights.Progress]]:
    found, progress = drive(traffic_shifts.recorded(), world.ports)
    return list(found), [progress[s.id] for s in found]


def test_a_deploy_that_changes_the_route_ends_the_shift_and_one_that_does_not_leaves_it(world: MemoryWorld) -> None:
    where = here()
    ask(world, where)
    reconcile(world, where)
    other = here(*ONE, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: elsewhere}\n")
    reconcile(world, other)
    assert weights(world) == {"a_shop": 70, "b_shop": 30}
    changed = here(*AFTER["weights"])
    reconcile(world, changed)
    assert weights(world) == {"b_shop": 1, "a_shop": 1}
    assert _pairs(world)[1][0].ended == "a deploy changed its route's document"
    reconcile(world, where)
    assert weights(world) == {"a_shop": 1, "b_shop": 1}, "and stays ended when the document comes back"


def test_ended_by_hand_and_replaced_by_another(world: MemoryWorld) -> None:
    where = here()
    ask(world, where)
    reconcile(world, where)
    ask(world, where, "a=10,b=90", step=0)
    reconcile(world, where)
    assert weights(world) == {"a_shop": 10, "b_shop": 90}
    assert _pairs(world)[0][1].start == {"a_shop": 70, "b_shop": 30}, "it began where the other stood"
    ask(world, where, end=True)
    reconcile(world, where)
    assert weights(world) == {"a_shop": 1, "b_shop": 1}
    with pytest.raises(RefusedError, match="no shift of shop/s is in force"):
        ask(world, where, end=True)


def test_a_run_killed_at_any_call_of_a_step_never_goes_back() -> None:
    at = 0
    while True:
        world, where = new_world(), here()
        reconcile(world, where)
        ask(world, where)
        reconcile(world, where)
        world.clock.sleep(60)
        whole = cut(reconcile_mesh.run(starting(world, where), where), world, at, after=True)
        assert weights(world)["a_shop"] in (70, 90)
        reconcile(world, where)
        assert weights(world) == {"a_shop": 90, "b_shop": 10}, f"cut after call {at}"
        if whole:
            break
        at += 1
    assert at > 10


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"to": "a=90,b=11"}, "add up to 101, allowed are 1 to 100"),
        ({"to": "a=0,b=0"}, "add up to 0"),
        ({"to": "c=1"}, "'c' is no target of the route; it has: a_shop, b_shop"),
        ({"to": "a=x"}, "found 'a=x', wanted NODE=WEIGHT"),
        ({"route": ""}, "has the routes one, two: name one with --route"),
        ({"route": "three"}, "has no route 'three'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_recorded(world: MemoryWorld, wish: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        ask(world, here(), **wish)
    assert traffic_shifts.SHIFTS not in world.state.documents


def test_looks_without_a_shift_read_one_small_document_more_and_no_histories(world: MemoryWorld) -> None:
    read: list[str] = []
    inner = world.state.read
    world.state.read = lambda key: (read.append(key), inner(key))[1]  # type: ignore[method-assign]
    drive(look.observe_and_plan(here()), world.ports)
    assert not [key for key in read if key.startswith("canary/")]
