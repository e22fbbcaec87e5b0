"""A look that is deferred looks again by itself, once for all that were deferred with it."""

import random
from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.registry.churn import FLOOR, RUNS, Deferral, deferral
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.ports import Lease
from crossmesh.steps import look
from crossmesh.usecases import look as looks
from crossmesh.usecases import look_lease

from tests.sim import application, asl
from tests.support.builders import context, node, pod
from tests.support.passes import MemoryWorld

WHERE = context(node("blue"))
MACHINE = application.load().machines["Look"].definition
BUSY = 1_000_000.0  # when the world is first looked at


class Looks:
    """Executions of the shipped look machine over one world; those that wait go on when their time comes."""

    def __init__(self) -> None:
        self.world = MemoryWorld()
        self.world.clock.sleep(max(0.0, BUSY - self.world.clock.now()))
        self.waiting: list[tuple[float, str, asl.Flow]] = []
        self.decisions: list[tuple[str, str]] = []  # cause and decision of each look
        self.started = self.executions = 0

    def busy(self) -> None:
        """As many runs began lately as are free, the last one just now."""
        report = Report(id="before", kind="apply", at=self.now, config="", ran=(self.now,) * RUNS)
        self.world.state.documents[looks.LAST] = codec.encode(report)

    @property
    def now(self) -> float:
        return self.world.clock.now()

    @property
    def last(self) -> Report:
        return codec.decode(self.world.state.documents[looks.LAST], Report)

    def execute(self, cause: str) -> str:
        """Start an execution; its name."""
        self.executions += 1
        name = f"look-{self.executions}"
        self._go_on(name, asl.flow(MACHINE, {"cause": cause}, {"Execution": {"Id": f"arn:{name}", "Name": name}}, random.Random(0)), None)
        return name

    def pass_time(self, seconds: float) -> None:
        """Let it pass; whoever waited in between goes on."""
        end = self.now + seconds
        while due := [one for one in self.waiting if one[0] <= end]:
            first = min(due, key=lambda one: one[0])
            self.waiting.remove(first)
            self.world.clock.sleep(max(0.0, first[0] - self.now))
            self._go_on(first[1], first[2], None)
        self.world.clock.sleep(end - self.now)

    def _go_on(self, name: str, flow: asl.Flow, answer: Any) -> None:
        while True:
            try:
                asked = flow.send(answer)
            except StopIteration:
                return
            if isinstance(asked, asl.Sleep):
                self.waiting.append((asked.until or self.now + asked.seconds, name, flow))
                return
            answer = self._answer(asked)

    def _answer(self, asked: Any) -> Any:
        if isinstance(asked, asl.Start) and asked.machine == "Look":
            self.execute(asked.payload["cause"])
            return {}
        if isinstance(asked, asl.Start):
            self.started += 1
            self.world.run(WHERE, asked.payload["look"])
            return {}
        request = msgspec.convert(asked.payload, look.Request)
        response = drive(look.run(request, WHERE), self.world.ports)
        self.decisions.append((request.cause, response.decision))
        return msgspec.to_builtins(response)


@pytest.fixture
def here() -> Looks:
    found = Looks()
    found.busy()
    return found


def test_a_deferred_look_looks_again_when_the_floor_is_over(here: Looks) -> None:
    here.world.clusters.put("a", pod("u1"))
    here.execute("hint")
    assert (here.decisions, here.started) == ([("hint", "deferred")], 0)
    here.pass_time(FLOOR - 1)
    assert here.started == 0
    here.pass_time(3.0)
    assert here.decisions[1:] == [("deferred", "apply")]
    assert (here.started, here.waiting) == (1, [])
    assert here.world.pods_in() == {"u1"}


def test_many_hints_make_one_later_look_which_sees_what_all_of_them_told_of(here: Looks) -> None:
    for number in range(18):
        here.world.clusters.put("a", pod(f"u{number}"))
        here.execute("hint")
        here.pass_time(0.5)
    assert len(here.waiting) == 1
    here.pass_time(5.0)
    assert [cause for cause, _ in here.decisions].count("deferred") == 1
    assert (here.started, here.waiting) == (1, [])
    assert here.world.pods_in() == {f"u{number}" for number in range(18)}


@pytest.mark.parametrize("cause", ["schedule", "drift", "alarm"])
def test_who_looks_first_does_the_work_and_the_later_look_is_quiet(here: Looks, cause: str) -> None:
    here.world.clusters.put("a", pod("u1"))
    here.execute("hint")
    here.pass_time(2.0)
    here.execute(cause)
    here.pass_time(2.0)
    assert here.started == 1
    assert here.last.deferral is not None, "the execution that waits is not forgotten"
    here.execute("hint")
    here.pass_time(20.0)
    assert here.started == 1, "one run in all"
    assert here.waiting == []


def test_a_dead_pod_is_never_waited_for_and_the_later_look_still_comes(here: Looks) -> None:
    here.world.clusters.put("a", pod("u1"))
    here.execute("schedule")
    here.busy()
    here.world.clusters.put("a", pod("u2"))
    here.execute("hint")
    here.world.clusters.put("a", pod("u1", terminating=True))
    here.execute("hint")
    assert here.decisions[-1] == ("hint", "apply")
    here.world.clusters.put("a", pod("u3"))
    here.execute("hint")
    assert len(here.waiting) == 1
    here.pass_time(25.0)
    assert here.world.pods_in() == {"u2", "u3"}


def test_a_storm_never_runs_more_often_than_the_floor_allows(here: Looks) -> None:
    began, before = here.now, here.started
    for number in range(120):
        here.world.clusters.put("a", pod(f"u{number}"))
        here.execute("hint")
        assert len(here.waiting) <= 1
        here.pass_time(1.0)
    here.pass_time(FLOOR + 2)
    assert here.started - before <= (here.now - began) / FLOOR + 1
    assert len(here.world.pods_in()) == 120


def test_a_wait_that_was_lost_holds_nobody_up(here: Looks) -> None:
    """Its execution died: the next hint after its time decides anew."""
    here.world.clusters.put("a", pod("u1"))
    here.execute("hint")
    here.waiting.clear()
    here.pass_time(FLOOR + 1)
    here.execute("hint")
    assert here.started == 1


def test_a_deferred_look_that_is_tried_again_waits_for_itself(here: Looks) -> None:
    """Its answer was lost: the retry finds its own name in the report."""
    here.world.clusters.put("a", pod("u1"))
    request = look.Request(id="lost", cause="hint")
    first, second = (drive(look.run(request, WHERE), here.world.ports) for _ in range(2))
    assert (first.look_again, second.look_again) == (True, True)
    assert first.wait_until == second.wait_until


def test_whoever_meets_a_look_that_is_deferred_is_not_lost(here: Looks) -> None:
    """Perhaps it was the later look: the one under way looks once more, or waits in its place."""
    here.world.clusters.put("a", pod("u1"))
    other = here.execute("hint")
    assert here.last.deferral == Deferral(by=other, until=here.last.ran[-1] + FLOOR)
    calls = 0

    def meeting() -> Any:
        """Ask again for as long as the look holds its lease."""
        nonlocal calls
        calls += 1
        lease = here.world.state.leases.get(look_lease.LEASE)
        if isinstance(lease, Lease) and lease.holder == "meets" and not lease.again:
            here.world.state.leases[look_lease.LEASE] = msgspec.structs.replace(lease, again=True)

    response = _interrupted(look.run(look.Request(id="meets", cause="hint"), WHERE), here.world, meeting)
    assert calls
    assert response.decision == "deferred"
    assert response.look_again


def _interrupted(step: Any, world: MemoryWorld, between: Any) -> Any:
    """Drive a step; `between` happens before each of its calls."""
    ports = {name: _Watched(port, between) for name, port in world.ports.items()}
    return drive(step, ports)


class _Watched:
    def __init__(self, port: Any, between: Any) -> None:
        self._port, self._between = port, between

    def __getattr__(self, name: str) -> Any:
        self._between()
        return getattr(self._port, name)


def test_the_later_look_leaves_no_wait_behind_however_late_its_clock_is(here: Looks) -> None:
    here.world.clusters.put("a", pod("u1"))
    here.execute("hint")
    here.world.clock.sleep(FLOOR - 1)
    drive(look.run(look.Request(id="later", cause="deferred"), WHERE), here.world.ports)
    assert here.last.deferral is None


@pytest.mark.parametrize(
    ("before", "due", "left"),
    [
        (None, 0.0, None),
        (None, 110.0, Deferral(by="me", until=110.0)),
        (Deferral(by="other", until=105.0), 110.0, Deferral(by="other", until=105.0)),
        (Deferral(by="other", until=105.0), 0.0, Deferral(by="other", until=105.0)),
        (Deferral(by="other", until=100.0), 110.0, Deferral(by="me", until=110.0)),
        (Deferral(by="other", until=100.0), 0.0, None),
        (Deferral(by="me", until=105.0), 105.0, Deferral(by="me", until=105.0)),
        (Deferral(by="me", until=105.0), 0.0, None),
    ],
)
def test_who_waits(before: Deferral | None, due: float, left: Deferral | None) -> None:
    assert deferral(before, "me", 100.0, due) == left
