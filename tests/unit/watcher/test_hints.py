"""Coalescing: the first at once, then at most one in a while, and always one after the last change."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from crossmesh_watcher import hints as module
from crossmesh_watcher.backoff import delay
from crossmesh_watcher.bus import NotSent
from crossmesh_watcher.hints import Hints

APART = 0.15


class Bus:
    """Takes hints, or not."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.refuse = 0
        self.during: Callable[[], None] = lambda: None

    def send(self) -> None:
        self.during()
        if self.refuse:
            self.refuse -= 1
            raise NotSent("ThrottlingException")
        self.sent.append(time.monotonic())

    def wait(self, count: int, seconds: float = 5.0) -> None:
        until = time.monotonic() + seconds
        while len(self.sent) < count and time.monotonic() < until:
            time.sleep(0.005)
        assert len(self.sent) == count


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    monkeypatch.setattr(module, "APART_S", APART)
    monkeypatch.setattr(module, "FIRST_S", 0.01)
    return Bus()


@pytest.fixture
def hints(bus: Bus) -> Iterator[Hints]:
    found = Hints(bus.send)
    found.start()
    yield found
    found.end(2)
    assert not found.is_alive()


def test_the_contract_says_one_a_second() -> None:
    assert module.APART_S == 1.0


def test_the_first_goes_at_once_and_a_storm_costs_one_a_while(bus: Bus, hints: Hints) -> None:
    began = time.monotonic()
    hints.note()
    bus.wait(1)
    assert bus.sent[0] - began < APART
    until = began + 4 * APART
    while time.monotonic() < until:
        hints.note()
        time.sleep(0.001)
    last = time.monotonic()
    time.sleep(2 * APART)
    gaps = [b - a for a, b in zip(bus.sent, bus.sent[1:], strict=False)]
    assert 3 <= len(bus.sent) <= 6
    assert min(gaps) >= 0.95 * APART
    assert bus.sent[-1] >= last - 0.005, "the last change is never lost"


def test_no_change_no_hint(bus: Bus, hints: Hints) -> None:
    hints.note()
    time.sleep(3 * APART)
    assert len(bus.sent) == 1


def test_a_change_while_a_hint_is_on_its_way_gets_its_own(bus: Bus, hints: Hints) -> None:
    def once() -> None:
        bus.during = lambda: None
        hints.note()

    bus.during = once
    hints.note()
    bus.wait(2)


def test_a_hint_that_was_refused_is_sent_again_and_the_refusals_show(bus: Bus, hints: Hints) -> None:
    bus.refuse = 1_000
    hints.note()
    until = time.monotonic() + 5
    while hints.failures < 3 and time.monotonic() < until:
        time.sleep(0.005)
    assert hints.failures >= 3
    bus.refuse = 0
    bus.wait(1)
    time.sleep(0.02)
    assert hints.failures == 0


def test_even_an_error_nobody_thought_of_does_not_end_it(bus: Bus, hints: Hints) -> None:
    def once() -> None:
        bus.during = lambda: None
        raise ZeroDivisionError

    bus.during = once
    hints.note()
    bus.wait(1)


def test_the_end_sends_what_is_pending_without_waiting_for_its_turn(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "APART_S", 60.0)
    hints = Hints(bus.send)
    hints.start()
    hints.note()
    bus.wait(1)
    hints.note()
    hints.end(5)
    assert (len(bus.sent), hints.is_alive()) == (2, False)


def test_the_end_does_not_wait_for_a_bus_that_hangs(bus: Bus) -> None:
    free = threading.Event()
    bus.during = lambda: (free.wait(10), None)[1]
    hints = Hints(bus.send)
    hints.start()
    hints.note()
    began = time.monotonic()
    hints.end(0.1)
    assert time.monotonic() - began < 2
    free.set()
    hints.join(5)


def test_waits_double_up_to_a_cap_and_differ() -> None:
    for failures in (1, 2, 5, 1_000):
        drawn = {delay(failures, 0.1, 10.0) for _ in range(200)}
        full = min(10.0, 0.1 * 2.0 ** min(failures - 1, 30))
        assert min(drawn) >= full / 2
        assert max(drawn) <= full
        assert len(drawn) > 100
