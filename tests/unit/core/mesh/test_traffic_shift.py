"""Weight shifts: steps that only ever go one way, end exactly, stop for a red canary, and end with their route's document."""

from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import msgspec
import pytest
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.split_test import CanaryRun
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.mesh import shift_lines, shift_weights, traffic_shift
from crossmesh.core.mesh.expected_split import shares
from crossmesh.core.settings import CanarySettings, Expect, Mix
from crossmesh.core.topology import Topology
from hypothesis import given
from hypothesis import strategies as st

from tests.support.routed_topology import topology

CANARY = CanarySettings(name="front", url="http://x", expect=Expect(mix=Mix(of="s", bodies=(("blue", "blue"), ("red", "red")))))


def asked(*, step: int = 10, **more: Any) -> shift_weights.Shift:
    found = topology()
    route = found.routers[0].routes[0]
    about = {"id": "one", "service": "demo/s", "mesh": "demo", "router": "r_demo", "route": "all", "document": shift_weights.digest_of(route)}
    given_ = {"start": {"blue_demo": 1, "red_demo": 1}, "goal": {"blue_demo": 90, "red_demo": 10}, "step": step, "every": 60.0, "begun": 1000.0}
    return shift_weights.Shift(**{**about, **given_, **more})


@pytest.mark.parametrize("step", [0, 1, 100])
@pytest.mark.parametrize("start", [{}, {"blue": 1}])
def test_a_stored_shift_without_a_goal_has_one_step(step: int, start: dict[str, int]) -> None:
    assert shift_weights.steps_of(asked(step=step, start=start, goal={})) == 1


def weights(found: Topology) -> dict[str, int]:
    return found.routers[0].routes[0].weights


def red_at(at: float, *, last_good: float = 0.0) -> CanaryHistory:
    return CanaryHistory(last=Verdict(canary="front", kind="failed", at=at, says="red answers 503"), failures=1, last_good=last_good)


def test_half_and_half_to_ninety_ten_in_steps_of_ten_points() -> None:
    wanted = asked()
    found = [shift_weights.weights_at(wanted, step) for step in range(shift_weights.steps_of(wanted) + 1)]
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
    last = shift_weights.steps_of(wanted)
    taken = [shift_weights.weights_at(wanted, number) for number in range(1, last + 1)]
    assert taken[-1] == goal
    assert shift_weights.weights_at(wanted, last + 7) == goal
    for found in taken:
        assert 0 < sum(found.values()) <= 100
        assert min(found.values()) >= 0
    ends = shift_weights.shares_of(start), shift_weights.shares_of(goal)
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
        found = traffic_shift.advance(shifts, found, topology(), [], at=at)
        taken.append(found["one"].step)
    assert taken == [1, 1, 2, 3, 3, 4, 4, 4]
    assert traffic_shift.next_due(shifts, found) == 0.0
    assert traffic_shift.next_due(shifts, {"one": shift_weights.Progress(step=2, at=1060.0)}) == 1120.0


def test_what_is_in_force_is_what_was_recorded_for_the_mesh_and_for_the_canary_alike() -> None:
    found = shift_weights.overlaid(topology(), (asked(),), {"one": shift_weights.Progress(step=2, at=1.0)})
    assert weights(found) == {"blue_demo": 70, "red_demo": 30}
    assert shares(found, CANARY) == {"blue_demo": Fraction(7, 10), "red_demo": Fraction(3, 10)}
    assert shift_weights.overlaid(topology(), (asked(),), {}) == topology(), "not begun"


def test_a_deploy_that_changes_the_routes_document_ends_the_shift_and_says_so() -> None:
    running = {"one": shift_weights.Progress(step=2, at=1.0)}
    changed = topology(blue=3)
    assert weights(shift_weights.overlaid(changed, (asked(),), running)) == {"blue_demo": 3, "red_demo": 1}, "at once, before any record"
    ended = traffic_shift.advance((asked(),), running, changed, [], at=2000.0)["one"]
    assert ended.ended == "a deploy changed its route's document"
    back = traffic_shift.advance((asked(),), {"one": ended}, topology(), [], at=3000.0)
    assert back == {"one": ended}, "what ended stays ended"
    assert traffic_shift.advance((asked(),), running, Topology(), [], at=2.0)["one"].ended == "its route is no longer declared"


@pytest.mark.parametrize(
    ("memory", "before", "halted"),
    [
        (red_at(1100.0, last_good=1050.0), (), True),
        (red_at(1100.0), (), True),
        (red_at(990.0), (), False),  # the verdict is older than the shift
        (red_at(1100.0), ("front",), False),  # it was red before: the shift may be the fix
        (red_at(1100.0, last_good=1050.0), ("front",), True),  # it was fixed, and is red again
        (CanaryHistory(), (), False),
    ],
)
def test_a_canary_that_turns_red_under_a_shift_halts_and_reverts_it(memory: CanaryHistory, before: tuple[str, ...], halted: bool) -> None:
    wanted, running = asked(red=before), {"one": shift_weights.Progress(step=2, at=1060.0)}
    found = traffic_shift.advance((wanted,), running, topology(), [(CANARY, memory)], at=1110.0)
    assert bool(found["one"].ended) is halted
    assert weights(shift_weights.overlaid(topology(), (wanted,), found)) == (
        {"blue_demo": 1, "red_demo": 1} if halted else {"blue_demo": 70, "red_demo": 30}
    )
    if halted:
        assert "canary front is red: red answers 503" in shift_lines.describe_shift(wanted, found["one"])


def test_a_red_canary_of_another_service_halts_nothing() -> None:
    other = msgspec.structs.replace(CANARY, expect=Expect(mix=Mix(of="elsewhere", bodies=(("a", "a"),))))
    running = {"one": shift_weights.Progress(step=2, at=1060.0)}
    assert not traffic_shift.advance((asked(),), running, topology(), [(other, red_at(1100.0))], at=1110.0)["one"].ended


def test_ended_by_hand_the_declared_weights_come_back() -> None:
    wanted = asked(called_off=1200.0)
    found = traffic_shift.advance((wanted,), {"one": shift_weights.Progress(step=2, at=1060.0)}, topology(), [], at=1201.0)
    assert found["one"].ended == "called off at 1970-01-01 00:20:00Z"
    told = shift_lines.describe_shift(wanted, found["one"])
    assert told.endswith("ended: called off at 1970-01-01 00:20:00Z; the declared weights are back")
    assert weights(shift_weights.overlaid(topology(), (wanted,), found)) == {"blue_demo": 1, "red_demo": 1}


def replaced() -> shift_weights.Shifts:
    """One at 70:30, and the one that a person put in its place, which begins there."""
    old = asked(called_off=1200.0, called_off_by="role/alice", successor="two")
    new = asked(id="two", begun=1200.0, start={"blue_demo": 70, "red_demo": 30}, goal={"blue_demo": 0, "red_demo": 100}, step=0)
    return old, new


def test_a_replaced_shift_says_by_what_when_and_by_whom() -> None:
    """The reported case: its record said `ended by hand`, and that the declared weights were in force."""
    shifts, before = replaced(), {"one": shift_weights.Progress(step=2, at=1060.0)}
    by = "replaced by the shift to blue_demo 0, red_demo 100 at 1970-01-01 00:20:00Z by role/alice"
    assert shift_lines.describe_shift(shifts[0], before["one"], shifts).endswith(
        f"step 2 of 4, now blue_demo 70, red_demo 30, {by}, which begins with the next look"
    )
    found = traffic_shift.advance(shifts, before, topology(), [], at=1201.0)
    assert found["one"].ended == by
    assert "declared weights" not in shift_lines.describe_shift(shifts[0], found["one"], shifts)
    assert weights(shift_weights.overlaid(topology(), shifts, found)) == {"blue_demo": 0, "red_demo": 100}


def test_a_replaced_shift_stays_in_force_until_its_successor_begins() -> None:
    """The successor begins where it stands: in between the declared weights would be a jump that nobody was shown."""
    shifts, before = replaced(), {"one": shift_weights.Progress(step=2, at=1060.0)}
    silence = [(CANARY, CanaryHistory(rounds=(CanaryRun(at=900.0, good=True),)))]
    found = traffic_shift.advance(shifts, before, topology(), silence, at=1201.0)
    assert weights(shift_weights.overlaid(topology(), shifts, found)) == {"blue_demo": 70, "red_demo": 30}
    heard = [(CANARY, CanaryHistory(rounds=(CanaryRun(at=1202.0, good=True),)))]
    found = traffic_shift.advance(shifts, found, topology(), heard, at=1203.0)
    assert (bool(found["one"].ended), found["two"].step) == (True, 1)
    ended = (shifts[0], msgspec.structs.replace(shifts[1], called_off=1202.0))
    found = traffic_shift.advance(ended, before, topology(), silence, at=1203.0)
    assert weights(shift_weights.overlaid(topology(), ended, found)) == {"blue_demo": 1, "red_demo": 1}, (
        "called off as well, nothing is left to begin"
    )


def test_all_that_ended_long_ago_is_forgotten_and_nothing_in_force_is() -> None:
    shifts = tuple(asked(id=str(i), begun=float(i)) for i in range(30))
    progress = {s.id: shift_weights.Progress(step=1, ended="" if s.id == "0" else "by hand") for s in shifts}
    left, states = traffic_shift.kept(shifts, progress)
    assert len(left) == 21
    assert left[0].id == "0"
    assert states.keys() == {s.id for s in left}


# --- a canary that says nothing -----------------------------------------------------------------------------------------------------------


def judged(at: float, kind: Literal["good", "failed", "no-data"] = "good", *, rounds: tuple[CanaryRun, ...] = ()) -> CanaryHistory:
    return CanaryHistory(last=Verdict(canary="front", kind=kind, at=at, says="so it is"), rounds=rounds)


def last_of(memory: CanaryHistory, until: float, *, step: int = 1, every: float = 60.0) -> shift_weights.Progress:
    """Where a shift of four steps stands when passes each 10 s see nothing but this history."""
    wanted, found = asked(every=every), {"one": shift_weights.Progress(step=step, at=1000.0)}
    for at in range(1000, int(until) + 1, 10):
        found = traffic_shift.advance((wanted,), found, topology(), [(CANARY, memory)], at=float(at))
    return found["one"]


def test_no_step_is_made_on_a_stale_verdict_and_a_lasting_silence_undoes_the_shift() -> None:
    """The reported case: ten steps were made in eleven minutes of silence, onto a version that had silenced its canary."""
    assert last_of(judged(1000.0), 1180.0).step == 4, "fresh for three minutes"
    assert last_of(judged(1000.0), 1600.0, every=170.0).step == 2
    assert last_of(judged(1000.0), 1600.0, every=170.0).ended == ""
    assert last_of(judged(1000.0), 1620.0, every=170.0).ended == "canary front has given no verdict for 10 minutes"


@pytest.mark.parametrize(
    "memory",
    [
        CanaryHistory(),  # it never ran
        judged(800.0),  # it ran last before the shift was asked for
        judged(1590.0, "no-data", rounds=(CanaryRun(at=800.0, counts={"blue_demo": 3}),)),  # it runs and learns nothing
        judged(99_000.0),  # a clock far ahead
    ],
)
def test_whatever_is_no_fresh_verdict_moves_nothing(memory: CanaryHistory) -> None:
    assert last_of(memory, 1590.0) == shift_weights.Progress(step=1, at=1000.0)
    assert last_of(memory, 1620.0).ended


def test_what_arrived_while_it_was_watched_stays_and_what_arrived_blind_does_not() -> None:
    assert last_of(judged(1010.0), 9000.0, step=4).ended == "", "judged at its goal"
    assert last_of(judged(990.0), 9000.0, step=4).ended == "canary front has given no verdict for 10 minutes"


def test_a_failure_followed_by_runs_without_data_is_still_a_failure() -> None:
    failed = CanaryRun(at=1100.0, good=False, counts={"blue_demo": 0}, lost=60)
    found = last_of(judged(1110.0, "no-data", rounds=(failed, CanaryRun(at=1110.0, good=False))), 1120.0)
    assert found.ended == "canary front is red: a promise was not kept"


def test_a_probe_without_data_undoes_nothing() -> None:
    """Anybody who may ask for a run can make its probe fail."""
    good = CanaryRun(at=1100.0, counts={"blue_demo": 30})
    assert last_of(judged(1110.0, "no-data", rounds=(good, CanaryRun(at=1110.0, good=False))), 1120.0).ended == ""


@pytest.mark.parametrize("name", ["s", "demo/s", "s.demo"])
def test_a_canary_guards_the_shift_by_whichever_name_its_mix_has(name: str) -> None:
    canary = msgspec.structs.replace(CANARY, expect=Expect(mix=Mix(of=name, bodies=(("blue", "blue"),))))
    running = {"one": shift_weights.Progress(step=2, at=1060.0)}
    assert traffic_shift.advance((asked(),), running, topology(), [(canary, red_at(1100.0))], at=1110.0)["one"].ended


@given(st.lists(st.integers(0, 900), max_size=20), st.integers(1, 120))
def test_every_step_has_a_verdict_younger_than_three_minutes(verdicts: list[int], every: int) -> None:
    wanted, found, newest = asked(every=float(every)), dict[str, shift_weights.Progress](), 0.0
    for at in range(1000, 1900, 7):
        newest = max((1000.0 + v for v in verdicts if 1000 + v <= at), default=newest)
        before = found.get("one", shift_weights.Progress())
        found = traffic_shift.advance((wanted,), found, topology(), [(CANARY, judged(newest))], at=float(at))
        after = found.get("one", shift_weights.Progress())
        if after.step > before.step:
            assert at - newest <= traffic_shift.FRESH
