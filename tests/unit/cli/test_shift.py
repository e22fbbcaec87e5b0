"""What `crossmesh shift` shows before it begins, and what it refuses."""

import json

import pytest
from crossmesh import codec
from crossmesh.cli import shift
from crossmesh.core.canary.history import CanaryHistory, memory_key
from crossmesh.core.canary.split_test import CanaryRun
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.mesh.shift_weights import Shifts
from crossmesh.core.observed import Unseen
from crossmesh.core.registry.plan import ManualOverrides
from crossmesh.usecases import state, traffic_shifts

from tests.support.desk import Desk

TO = ("shift", "s", "--to", "blue=90,red=10")


@pytest.fixture
def running(running: Desk) -> Desk:
    """Blue and red are registered, and the canary was good just now."""
    verdict(running)
    return running


def verdict(desk: Desk, kind: str = "good", age: float = 5.0) -> None:
    at = desk.now - age
    last = Verdict(canary="front", kind=kind, at=at, says="29 of 60 requests failed" if kind != "good" else "all is well")  # type: ignore[arg-type]
    memory = CanaryHistory(rounds=(CanaryRun(at=at, counts={"x": 1}, good=kind == "good"),), last=last)
    desk.world.state.documents[memory_key("front")] = codec.encode(memory)


def recorded(desk: Desk) -> Shifts:
    data = desk.world.state.documents.get(traffic_shifts.SHIFTS)
    return codec.decode(data, Shifts) if data else ()


def test_from_to_steps_and_times_are_shown_before_it_is_asked(running: Desk) -> None:
    running.types("n")
    code, out, err = running.run(*TO, "--step", "20", "--every", "90s")
    assert code == 1
    assert recorded(running) == ()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[1].startswith("shift of shop/s (route one): 2 steps of 20 points, each held for at least 90 s; the last begins about 22:1")
    assert lines[2:6] == ["blue_shop red_shop", "now 60 % 40 %", "step 1 80 % 20 %", "step 2 90 % 10 %"]
    assert "reverted when red: front" in out
    assert "shift shop/s of stack crossmesh as shown. Go ahead? [y/N]" in err
    running.types("y")
    assert running.run(*TO, "--step", "20", "--every", "90s")[0] == 0
    assert [one.goal for one in recorded(running)] == [{"blue_shop": 90, "red_shop": 10}]


def test_a_target_without_a_ready_instance_is_refused_unless_forced(running: Desk) -> None:
    """The reported case: 45 % of the requests went to nothing."""
    running.world.clusters.remove("b", "red-b-0")
    running.reconcile()
    running.look()
    code, out, err = running.run("shift", "s", "--to", "red=100", "--yes")
    assert code == 1
    assert "refusing to shift: shop/red would get 100 % and has no ready instance in color.shop.local: no pod matches app=red" in err
    assert recorded(running) == ()
    code, out, _ = running.run("shift", "s", "--to", "red=100", "--yes", "--force")
    assert (code, len(recorded(running))) == (0, 1)
    assert "! shop/red would get 100 %" in out


def test_an_instance_whose_pod_is_not_ready_any_more_does_not_count(running: Desk) -> None:
    running.world.clusters.pods["b"].clear()
    running.pods("b", ready=False, red=1)
    code, _, err = running.run("shift", "s", "--to", "red=100", "--yes")
    assert code == 1
    assert "no ready instance in color.shop.local: 1 of its pods is not ready" in err


def test_a_target_that_gets_nothing_need_not_be_there(running: Desk) -> None:
    running.world.clusters.remove("b", "red-b-0")
    running.reconcile()
    running.look()
    assert running.run("shift", "s", "--to", "blue=100", "--yes")[0] == 0


@pytest.mark.parametrize("twice", ["red=50,red=40", "red=50,shop/red=40", "red_shop=50,red=40"])
def test_a_target_named_twice_is_refused_by_whatever_names(running: Desk, twice: str) -> None:
    code, _, err = running.run("shift", "s", "--to", twice, "--yes", "--force")
    assert code == 2
    assert "red_shop stands twice in --to" in err
    assert recorded(running) == ()


@pytest.mark.parametrize("words", [("--step", "0"), ("--step", "101"), ("--step", "-5"), ("--every", "0s")])
def test_steps_below_one_are_wrong_usage(running: Desk, words: tuple[str, ...]) -> None:
    assert running.run(*TO, "--yes", *words)[0] == 2
    assert recorded(running) == ()


@pytest.mark.parametrize(
    ("kind", "age", "says"),
    [
        ("failed", 5.0, "canary front is red: 29 of 60 requests failed"),
        ("no-data", 5.0, "canary front is without data"),
        ("good", 400.0, "canary front has given no verdict for 7 minutes"),
    ],
)
def test_a_canary_that_cannot_halt_it_refuses_the_shift(running: Desk, kind: str, age: float, says: str) -> None:
    verdict(running, kind, age)
    code, _, err = running.run(*TO, "--yes")
    assert code == 1
    assert says in err
    assert running.run(*TO, "--yes", "--force")[0] == 0


def test_a_canary_that_never_ran_and_a_service_that_none_watches_are_refused(running: Desk) -> None:
    del running.world.state.documents[memory_key("front")]
    assert "canary front has not run yet" in running.run(*TO, "--yes")[2]
    settings = running.folder / "config" / "crossmesh.yaml"
    text = settings.read_text()
    settings.write_text(text[: text.index("canaries:")] + text[text.index("policy:") :])
    running.look()
    assert "no canary watches shop/s (`expect.mix.of`): nothing would revert it" in running.run(*TO, "--yes")[2]


@pytest.mark.parametrize(
    ("operator", "says"), [({"paused": 1.0}, "the application is paused"), ({"draining": 1.0}, "DRAINED by hand since 1970-01-01 00:00Z")]
)
def test_an_application_that_would_not_carry_it_out_refuses(running: Desk, operator: dict[str, float], says: str) -> None:
    running.world.state.documents[state.OPERATOR] = codec.encode(ManualOverrides(**operator))  # type: ignore[arg-type]
    assert says in running.run(*TO, "--yes")[2]


def test_weights_that_are_in_force_already_are_refused(running: Desk) -> None:
    assert "the weights in force are these already" in running.run("shift", "s", "--to", "blue=60,red=40", "--yes")[2]


def test_steps_shorter_than_the_canarys_period_are_warned_of(running: Desk) -> None:
    code, out, _ = running.run(*TO, "--step", "10", "--every", "20s", "--yes")
    assert code == 0
    assert "! a step is held for 20 s and a canary runs each 60 s: several steps may pass before it sees one" in out
    code, out, _ = running.run("shift", "s", "--end", "--yes")
    assert code == 0
    assert "a step is held" not in running.run(*TO, "--step", "10", "--every", "60s", "--yes")[1]
    found = json.loads(running.run("shift", "s", "--end", "--yes", "--json")[1])
    assert found["against"] == []


def test_a_long_shift_is_shown_short(running: Desk) -> None:
    _, out, _ = running.run(*TO, "--step", "1", "--yes")
    assert "30 steps of 1 points" in out
    assert out.count("step ") < 15
    assert "step 30" in out


def test_a_shift_that_replaces_one_says_so_before_and_after(running: Desk) -> None:
    """The reported case: the preview said nothing, and the record of the first said `ended by hand`."""
    running.run(*TO, "--step", "20", "--yes")
    running.settle()
    verdict(running)
    running.types("n")
    code, out, err = running.run("shift", "s", "--to", "blue=20,red=80")
    assert code == 1
    assert "! replaces the shift to blue_shop 90, red_shop 10, begun at 2023-11-14 22:1" in out
    assert "Z by assumed-role/Admin/alice: step 1 of 2, now blue_shop 80, red_shop 20" in out
    assert "in place of the shift in force" in err
    running.run("shift", "s", "--to", "blue=20,red=80", "--yes")
    assert "replaced by the shift to blue_shop 20, red_shop 80 at 2023-11-14 22:1" in running.run("status")[1], "before a look"
    running.settle()
    ended = next(line for line in running.run("status")[1].splitlines() if "ended:" in line)
    assert "ended: replaced by the shift to blue_shop 20, red_shop 80 at 2023-11-14 22:1" in ended
    assert ended.endswith("by assumed-role/Admin/alice")
    running.run("shift", "s", "--end", "--yes")
    running.settle()
    lines = [line for line in running.run("status")[1].splitlines() if "ended:" in line]
    assert len(lines) == 2
    assert not [line for line in lines if "in force" in line], "one of them would contradict the other"
    assert lines[1].endswith("; the declared weights are back")


def overtaken(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the next shift is asked to be confirmed, somebody else records one."""
    meant = shift.confirmed

    def while_it_is_asked(*given: object, **more: object) -> bool:
        monkeypatch.setattr(shift, "confirmed", meant)
        assert running.run("shift", "s", "--to", "blue=20,red=80", "--yes")[0] == 0
        return True

    monkeypatch.setattr(shift, "confirmed", while_it_is_asked)


def test_of_two_recorded_at_once_the_second_is_refused(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reported case: both were told `recorded`, and one was lost."""
    overtaken(running, monkeypatch)
    code, _, err = running.run(*TO, "--yes")
    assert code == 1
    assert (
        "somebody else recorded or ended a shift meanwhile: nothing of this one was recorded. Read `crossmesh status`, then run it again" in err
    )
    assert [one.goal for one in recorded(running)] == [{"blue_shop": 20, "red_shop": 80}]
    assert running.run(*TO, "--yes")[0] == 0, "asked again it goes ahead"


def test_an_end_that_another_shift_overtook_is_refused(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    running.run(*TO, "--yes")
    running.settle()
    verdict(running)
    overtaken(running, monkeypatch)
    assert running.run("shift", "s", "--end", "--yes")[0] == 1
    assert not recorded(running)[-1].called_off


def test_one_recorded_and_not_begun_is_replaced_too_and_json_says_so(running: Desk) -> None:
    running.run(*TO, "--yes")
    found = json.loads(running.run("shift", "s", "--to", "blue=20,red=80", "--yes", "--json")[1])
    assert found["replaces"].startswith("replaces the shift to blue_shop 90, red_shop 10, begun at ")
    assert "step 0 of 1, now blue_shop 60, red_shop 40" in found["replaces"]


def test_the_first_shift_of_a_route_and_one_after_an_end_replace_nothing(running: Desk) -> None:
    assert "replaces" not in running.run(*TO, "--yes")[1]
    running.run("shift", "s", "--end", "--yes")
    running.settle()
    ended = next(line for line in running.run("status")[1].splitlines() if "ended" in line)
    assert "ended: called off at 2023-11-14 22:1" in ended or "ended before it began" in ended
    assert "replaces" not in running.run(*TO, "--yes")[1]


def test_pods_that_nobody_sees_are_no_ready_target(running: Desk) -> None:
    """Met in the world: all requests were shifted onto pods of a dark cluster without a word."""
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="timeout", detail="no answer within 10 s")
    code, out, err = running.run("shift", "s", "--to", "red=100", "--yes")
    assert code == 1
    assert "shop/red would get 100 % and has no ready instance in color.shop.local: no pod matches app=red; b is unseen" in err
    assert recorded(running) == ()
    code, out, _ = running.run("shift", "s", "--to", "blue=100", "--yes")  # away from the dark cluster
    assert (code, len(recorded(running))) == (0, 1), out
