"""Weight shifts: steps that only ever go one way, end exactly, stop for a red canary, and end with their route's document."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from crossmesh.core import shift
from crossmesh.core.canary import Memory, Verdict
from crossmesh.core.settings import CanarySettings, Expect, Mix
from crossmesh.core.shares import shares
from crossmesh.core.topology import Resource, Topology
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import PLACE

CANARY = CanarySettings(name="front", url="http://x", expect=Expect(mix=Mix(of="s", bodies=(("blue", "blue"), ("red", "red")))))


def topology(blue: int = 1, red: int = 1) -> Topology:
    targets = [{"@VirtualNode": "blue_demo", "weight": blue}, {"@VirtualNode": "red_demo", "weight": red}]
    routes = [{"name": "all", "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}]
    router = Resource(kind="VirtualRouter", namespace="demo", name="r", aws_name="r_demo", mesh="demo", spec={"routes": routes}, place=PLACE)
    provider = {"provider": {"virtualRouter": {"@VirtualRouter": "r_demo"}}}
    service = Resource(kind="VirtualService", namespace="demo", name="s", aws_name="s.demo", mesh="demo", spec=provider, place=PLACE)
    return Topology(routers=(router,), services=(service,))


def asked(*, step: int = 10, **more: Any) -> shift.Shift:
    found = topology()
    route = found.routers[0].spec["routes"][0]
    about = {"id": "one", "service": "demo/s", "mesh": "demo", "router": "r_demo", "route": "all", "document": shift.digest_of(route)}
    given_ = {"start": {"blue_demo": 1, "red_demo": 1}, "goal": {"blue_demo": 90, "red_demo": 10}, "step": step, "every": 60.0, "begun": 1000.0}
    return shift.Shift(**{**about, **given_, **more})


def weights(found: Topology) -> dict[str, int]:
    return shift.weights_of(found.routers[0].spec["routes"][0])


def red_at(at: float, *, last_good: float = 0.0) -> Memory:
    return Memory(last=Verdict(canary="front", kind="failed", at=at, says="red answers 503"), failures=1, last_good=last_good)


def test_half_and_half_to_ninety_ten_in_steps_of_ten_points() -> None:
    wanted = asked()
    found = [shift.weights_at(wanted, step) for step in range(shift.steps_of(wanted) + 1)]
    assert [(f["blue_demo"], f["red_demo"]) for f in found] == [(1, 1), (60, 40), (70, 30), (80, 20), (90, 10)]


weights_ = st.integers(1, 10).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(0, 100), min_size=count, max_size=count), st.lists(st.integers(0, 100 // count), min_size=count, max_size=count)
    )
)


@given(weights_, st.integers(1, 100))
def test_each_step_goes_one_way_stays_within_the_limits_and_the_last_is_the_goal(given_: tuple[list[int], list[int]], step: int) -> None:
    start, goal = ({f"n{i}": weight for i, weight in enumerate(part)} for part in given_)
    if not sum(start.values()) or not sum(goal.values()):
        return
    wanted = asked(start=start, goal=goal, step=step)
    last = shift.steps_of(wanted)
    taken = [shift.weights_at(wanted, number) for number in range(1, last + 1)]
    assert taken[-1] == goal
    assert shift.weights_at(wanted, last + 7) == goal
    for found in taken:
        assert 0 < sum(found.values()) <= 100
        assert min(found.values()) >= 0
    ends = shift.shares_of(start), shift.shares_of(goal)
    for node in start:
        moved = [found[node] for found in taken[:-1]]
        up = ends[1][node] >= ends[0][node]
        assert moved == sorted(moved, reverse=not up)
        low, high = sorted((ends[0][node], ends[1][node]))
        assert all(100 * low - 1 < weight <= 100 * high for weight in moved)
        jumps = [abs(b - a) for a, b in pairwise(moved)]
        assert all(jump <= step + 1 for jump in jumps)


def test_each_step_is_held_for_its_time_however_late_a_pass_comes() -> None:
    shifts, found, taken = (asked(),), {}, []
    for at in (1000.0, 1010.0, 1060.0, 2000.0, 2001.0, 2060.0, 2120.0, 9999.0):
        found = shift.advance(shifts, found, topology(), [], at=at)
        taken.append(found["one"].step)
    assert taken == [1, 1, 2, 3, 3, 4, 4, 4]
    assert shift.next_due(shifts, found) == 0.0
    assert shift.next_due(shifts, {"one": shift.Progress(step=2, at=1060.0)}) == 1120.0


def test_what_is_in_force_is_what_was_recorded_for_the_mesh_and_for_the_canary_alike() -> None:
    found = shift.overlaid(topology(), (asked(),), {"one": shift.Progress(step=2, at=1.0)})
    assert weights(found) == {"blue_demo": 70, "red_demo": 30}
    assert shares(found, CANARY) == {"blue_demo": Fraction(7, 10), "red_demo": Fraction(3, 10)}
    assert shift.overlaid(topology(), (asked(),), {}) == topology(), "not begun"


def test_a_deploy_that_changes_the_routes_document_ends_the_shift_and_says_so() -> None:
    running = {"one": shift.Progress(step=2, at=1.0)}
    changed = topology(blue=3)
    assert weights(shift.overlaid(changed, (asked(),), running)) == {"blue_demo": 3, "red_demo": 1}, "at once, before any record"
    ended = shift.advance((asked(),), running, changed, [], at=2000.0)["one"]
    assert ended.ended == "a deploy changed its route's document"
    back = shift.advance((asked(),), {"one": ended}, topology(), [], at=3000.0)
    assert back == {"one": ended}, "what ended stays ended"
    assert shift.advance((asked(),), running, Topology(), [], at=2.0)["one"].ended == "its route is no longer declared"


@pytest.mark.parametrize(
    ("memory", "before", "halted"),
    [
        (red_at(1100.0, last_good=1050.0), (), True),
        (red_at(1100.0), (), True),
        (red_at(990.0), (), False),  # the verdict is older than the shift
        (red_at(1100.0), ("front",), False),  # it was red before: the shift may be the cure
        (red_at(1100.0, last_good=1050.0), ("front",), True),  # it was cured, and is red again
        (Memory(), (), False),
    ],
)
def test_a_canary_that_turns_red_under_a_shift_halts_and_reverts_it(memory: Memory, before: tuple[str, ...], halted: bool) -> None:
    wanted, running = asked(red=before), {"one": shift.Progress(step=2, at=1060.0)}
    found = shift.advance((wanted,), running, topology(), [(CANARY, memory)], at=1110.0)
    assert bool(found["one"].ended) is halted
    assert weights(shift.overlaid(topology(), (wanted,), found)) == (
        {"blue_demo": 1, "red_demo": 1} if halted else {"blue_demo": 70, "red_demo": 30}
    )
    if halted:
        assert "canary front is red: red answers 503" in shift.told(wanted, found["one"])


def test_a_red_canary_of_another_service_halts_nothing() -> None:
    other = msgspec.structs.replace(CANARY, expect=Expect(mix=Mix(of="elsewhere", bodies=(("a", "a"),))))
    running = {"one": shift.Progress(step=2, at=1060.0)}
    assert not shift.advance((asked(),), running, topology(), [(other, red_at(1100.0))], at=1110.0)["one"].ended


def test_ended_by_hand_the_declared_weights_come_back() -> None:
    wanted = asked(called_off=1200.0)
    found = shift.advance((wanted,), {"one": shift.Progress(step=2, at=1060.0)}, topology(), [], at=1201.0)
    assert found["one"].ended == "ended by hand"
    assert weights(shift.overlaid(topology(), (wanted,), found)) == {"blue_demo": 1, "red_demo": 1}


def test_all_that_ended_long_ago_is_forgotten_and_nothing_in_force_is() -> None:
    shifts = tuple(asked(id=str(i), begun=float(i)) for i in range(30))
    progress = {s.id: shift.Progress(step=1, ended="" if s.id == "0" else "by hand") for s in shifts}
    left, states = shift.kept(shifts, progress)
    assert len(left) == 21
    assert left[0].id == "0"
    assert states.keys() == {s.id for s in left}
