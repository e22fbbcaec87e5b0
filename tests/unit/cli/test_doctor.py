"""What a person reads in `crossmesh doctor`: its own requests beside the deployed canary's verdict, and what people ordered before all else."""

import json

import pytest
from crossmesh import codec
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.mesh.shift_weights import Progress, Shift, digest_of, route_of
from crossmesh.usecases import traffic_shifts

from tests.support.desk import GOOD, Desk

ONLY_PATH = ("doctor", "--skip", "account", "--skip", "rollouts")
BAD = tuple(Sample(status=503, body="no healthy upstream", latency_ms=3.0) for _ in range(20))


@pytest.fixture
def running(running: Desk) -> Desk:
    """Everything is registered, and the front answers as the routes say."""
    running.front.runs = [GOOD]
    return running


def verdict(desk: Desk, kind: str, *, ago: float) -> None:
    """What the deployed canary said."""
    last = Verdict(canary="front", kind=kind, at=desk.now - ago, says="7 of 60 requests failed: 7 × status 503", requests=60)  # type: ignore[arg-type]
    desk.world.state.documents["canary/front"] = codec.encode(CanaryHistory(last=last))


def test_a_red_canary_is_told_beside_requests_from_here_that_are_good(running: Desk) -> None:
    """The reported case: 20 good requests from here, and not a word of the canary that failed a minute ago."""
    verdict(running, "failed", ago=42)
    code, out, _ = running.run(*ONLY_PATH)
    assert code == 3
    assert "canary front: good, by 20 requests from here at 2023-11-14 22:13:" in out
    assert "  the deployed canary: failed, by 60 requests at 2023-11-14 22:12:" in out
    assert ", 42 s before: 7 of 60 requests failed: 7 × status 503" in out
    assert "  ! the two disagree; the one from here is newer. `crossmesh canary run front` asks the deployed canary again" in out
    assert "the deployed canary front failed at 2023-11-14 22:12:" in out, "a finding, so that it is not green"
    found = json.loads(running.run(*ONLY_PATH, "--json")[1])
    assert (found["verdicts"][0]["kind"], found["deployed"]["front"]["kind"], found["ok"]) == ("good", "failed", False)


def test_requests_from_here_that_fail_are_told_beside_a_good_canary(running: Desk) -> None:
    verdict(running, "good", ago=10)
    running.front.runs = [BAD]
    code, out, _ = running.run(*ONLY_PATH)
    assert code == 3
    assert "canary front: failed, by 20 requests from here" in out
    assert "  the deployed canary: good, by 60 requests" in out
    assert "! the two disagree; the one from here is newer" in out


def test_a_verdict_that_came_meanwhile_is_the_newer_one(running: Desk) -> None:
    verdict(running, "failed", ago=-5)
    assert "! the two disagree; the deployed canary's is newer" in running.run(*ONLY_PATH)[1]


def test_where_they_agree_both_are_told_and_nothing_is_found(running: Desk) -> None:
    verdict(running, "good", ago=10)
    _, out, _ = running.run(*ONLY_PATH, "--skip", "setup")
    assert "  the deployed canary: good, by 60 requests" in out
    assert "disagree" not in out
    verdict(running, "good", ago=600)
    assert "that verdict is too old to speak for now" in running.run(*ONLY_PATH)[1]
    del running.world.state.documents["canary/front"]
    assert "the deployed canary has given no verdict yet" in running.run(*ONLY_PATH)[1]


@pytest.mark.parametrize(
    ("verb", "said"), [("drain", "DRAINED by hand by assumed-role/Admin/alice"), ("pause", "PAUSED by hand by assumed-role/Admin/alice")]
)
def test_what_people_ordered_is_the_first_finding_once(running: Desk, verb: str, said: str) -> None:
    running.types("crossmesh")
    running.run(verb)
    running.look()
    if verb == "drain":
        running.reconcile()
    running.front.runs = [BAD]
    code, out, _ = running.run(*ONLY_PATH, "--json")
    findings = json.loads(out)["findings"]
    assert code == 3
    assert findings[0]["what"].startswith(said)
    assert [one["what"].startswith(said) for one in findings].count(True) == 1
    assert "`crossmesh resume`" in findings[0]["fix"]


def test_a_shift_in_force_comes_before_what_is_found_and_is_no_finding_where_all_is_well(running: Desk) -> None:
    one = Shift(
        id="x",
        service="shop/s",
        mesh="shop",
        router="r_shop",
        route="one",
        document="",
        start={"blue_shop": 60, "red_shop": 40},
        goal={"blue_shop": 0, "red_shop": 100},
    )
    route = route_of(running.context().topology, one)
    assert route is not None
    one = Shift(**{**{name: getattr(one, name) for name in one.__struct_fields__}, "document": digest_of(route)})
    running.world.state.documents[traffic_shifts.SHIFTS] = codec.encode((one,))
    running.world.state.documents[traffic_shifts.SHIFTING] = codec.encode({"x": Progress(step=1, at=running.now - 100)})
    running.front.runs = [BAD]
    found = json.loads(running.run(*ONLY_PATH, "--json")[1])["findings"]
    assert found[0]["what"].startswith("shift of shop/s (route one) to blue_shop 0, red_shop 100: step 1 of 1")
    assert "crossmesh shift shop/s --route one --end" in found[0]["fix"]
    running.front.runs = [tuple(Sample(status=200, body="red", latency_ms=3.0) for _ in range(20))]
    assert not any("shift of" in one["what"] for one in json.loads(running.run(*ONLY_PATH, "--json")[1])["findings"])
