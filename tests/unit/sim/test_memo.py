"""What is kept between equal inputs changes no play, and a play starts no thread."""

import threading

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.registry import endpoints

from tests.sim import memo
from tests.sim.explore import BASES, randomly
from tests.sim.play import play
from tests.sim.schedule import Fault

SCHEDULES = [msgspec.structs.replace(BASES["mesh"], seed=3, faults=(Fault(at=30, do="lost"),)), *(randomly(seed) for seed in range(40, 52))]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: f"seed {schedule.seed}")
def test_with_and_without_every_call_is_the_same(schedule) -> None:
    kept: list[str] = []
    plain: list[str] = []
    assert play(schedule, kept) == play(schedule, plain, memos=False)
    assert kept == plain
    assert len(kept) > 40


def test_an_equal_input_is_worked_out_once_and_another_anew() -> None:
    before = codec.decode, endpoints.desired
    with memo.kept():
        first, second = codec.decode(b'{"a": 1}', dict), codec.decode(bytes(bytearray(b'{"a": 1}')), dict)
        assert first is second
        assert codec.decode(b'{"a": 2}', dict) == {"a": 2}
        assert codec.decode(b'{"a": 1}', dict[str, float]) is not first, "another type"
        for number in range(memo.MOST + 1):
            assert codec.decode(b"%d" % number, int) == number
        assert codec.decode(b'{"a": 1}', dict) == first
    assert (codec.decode, endpoints.desired) == before, "as shipped when the play has ended"


def test_a_play_starts_no_thread(monkeypatch) -> None:
    """Adapters read side by side on AWS; here the simulator alone decides what comes when (and a thread costs more than all calls of a look)."""

    def start(self) -> None:
        raise AssertionError(f"{self} was started")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert play(randomly(7)).property == ""
