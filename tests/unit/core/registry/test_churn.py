"""A pod that flaps is written ever more seldom; the dead, the unready and everybody else never wait for it."""

from collections.abc import Callable

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.observed import Instance, Pod
from crossmesh.core.registry.churn import FLOOR, FREE, MOST, RUNS, pause
from crossmesh.core.registry.plan import Deregister, PlannerState, RegistryPlan, SetHealth
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.steps import look
from crossmesh.usecases import look as looks

from tests.support.builders import context, node, pod
from tests.support.passes import MemoryWorld
from tests.support.planning import decide, registered, seen, service, verbs

OTHERS = [pod(f"o{i}") for i in range(9)]
WHERE = context(node("blue"))


class Play:
    """Passes over one service, each carried out at once; `writes` to the one instance."""

    def __init__(self, *, custom_health: bool = False) -> None:
        self.custom, self.memory, self.writes, self.now = custom_health, PlannerState(), 0, 1_000.0
        self.held: dict[str, Instance] = {f"a.{p.uid}": registered("a", p) for p in OTHERS}
        self.health: dict[str, str] = {}

    def pass_over(self, flapping: Pod | None, *pods: Pod) -> RegistryPlan:
        there = service(*self.held.values(), custom_health=self.custom, health=dict(self.health))
        shown = (*OTHERS, *pods, *((flapping,) if flapping else ()))
        gone = () if flapping else ("flap",)
        view, other = seen("a", *shown, begun=self.now, gone=gone), seen("b", begun=self.now)
        found = decide(WHERE, view, other, registry=there, memory=self.memory, now=self.now)
        for action in found.actions:
            self.writes += getattr(action, "id", "") == "a.flap"
            if isinstance(action, Deregister):
                self.held.pop(action.id)
            elif isinstance(action, SetHealth):
                self.health[action.id] = action.status
            elif hasattr(action, "attributes"):
                self.held[action.id] = Instance(id=action.id, attributes=action.attributes)
        self.memory = found.memory
        return found


def readiness(turn: int) -> Pod:
    return pod("flap", ready=turn % 2 == 0)


def labels(turn: int) -> Pod:
    return pod("flap", release=f"r{turn}")


@pytest.mark.parametrize(
    ("flaps", "custom_health"), [(readiness, False), (readiness, True), (labels, False)], ids=["ready", "marked", "labels"]
)
def test_a_pod_that_flaps_every_two_seconds_for_four_minutes_is_written_few_times(flaps: Callable[[int], Pod], custom_health: bool) -> None:
    play = Play(custom_health=custom_health)
    for turn in range(120):
        found = play.pass_over(flaps(turn))
        play.now += 2.0
    assert play.writes <= 20, "it was 120"
    assert len(play.memory.turns["a.flap"]) <= 12
    assert [w.why for w in found.withheld if w.id == "a.flap"] in ([], ["churn"])


def test_it_is_written_as_it_is_once_it_rests() -> None:
    play = Play()
    for turn in range(60):
        play.pass_over(readiness(turn))
        play.now += 2.0
    held = play.pass_over(pod("flap"))
    if "a.flap" not in play.held:
        assert 0 < held.again_at <= play.now + MOST, "and the pass says when to look again"
        play.now = held.again_at
        play.pass_over(pod("flap"))
    assert "a.flap" in play.held
    play.now += 601.0
    assert play.pass_over(pod("flap")).memory.turns == {}


def flapped() -> Play:
    play = Play()
    for turn in range(40):
        play.pass_over(readiness(turn))
        play.now += 2.0
    return play


def test_others_do_not_wait_for_it() -> None:
    play = flapped()
    found = play.pass_over(pod("flap"), pod("newcomer"))
    assert ("Register", "demo/pod-newcomer") in verbs(found)


@pytest.mark.parametrize("how", ["terminating", "Failed"])
def test_once_dead_it_leaves_at_once(how: str) -> None:
    play = flapped()
    play.held["a.flap"] = registered("a", pod("flap"))
    dead = msgspec.structs.replace(pod("flap"), terminating=how == "terminating", phase="Failed" if how == "Failed" else "Running")
    assert verbs(play.pass_over(dead)) == [("Deregister", "demo/pod-flap")]


def test_unready_it_leaves_at_once_too() -> None:
    play = flapped()
    play.held["a.flap"] = registered("a", pod("flap"))
    assert verbs(play.pass_over(pod("flap", ready=False))) == [("Deregister", "demo/pod-flap")]


def test_what_stands_as_it_should_is_no_news() -> None:
    play = flapped()
    play.held["a.flap"] = registered("a", pod("flap"))
    found = play.pass_over(pod("flap"))
    assert (found.actions, found.withheld) == ((), ())


def test_the_pause_grows_and_has_an_end() -> None:
    pauses = [pause([0.0] * turns) for turns in range(FREE, FREE + 8)]
    assert pauses[0] == 0.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == MOST


# --- a floor between runs ------------------------------------------------------------------------------------------------------------------


def hinted(world: MemoryWorld, number: int) -> str:
    world.count += 1
    asked = look.Request(id=f"hint-{world.count}", cause="hint" if number else "schedule")
    return drive(look.run(asked, WHERE), world.ports).decision


def stormed(world: MemoryWorld) -> list[str]:
    """A new pod every two seconds, and a hint for each, for as long as runs are free and a little longer."""
    said = []
    for number in range(RUNS + 5):
        world.clusters.put("a", pod(f"n{number}"))
        said.append(hinted(world, number))
        world.clock.sleep(2.0)
    return said


def test_beyond_very_many_runs_a_hint_waits_for_the_floor_and_the_schedule_does_not() -> None:
    world = MemoryWorld()
    said = stormed(world)
    assert said[:RUNS] == ["apply"] * RUNS
    assert said[RUNS:].count("apply") <= 1
    assert "deferred" in said
    assert hinted(world, 0) == "apply", "the schedule's look asks as before"
    assert len(codec.decode(world.state.documents[looks.LAST], Report).ran) <= RUNS


def test_a_dead_pods_instance_waits_for_no_floor() -> None:
    world = MemoryWorld()
    world.clusters.put("a", pod("u1"))
    world.run(WHERE)
    stormed(world)
    world.clusters.put("a", pod("u1", terminating=True))
    assert hinted(world, 1) == "apply"


def test_after_the_floor_a_hint_asks_again() -> None:
    world = MemoryWorld()
    stormed(world)
    world.clock.sleep(FLOOR)
    assert hinted(world, 1) == "apply"
