"""Right after a deployment the configuration in force is still the one before: verbs wait for the first look, and do not call it undeployed."""

import pytest
from crossmesh import codec
from crossmesh.cli import canaries, waiting
from crossmesh.core.canary.history import CanaryHistory, memory_key
from crossmesh.core.canary.split_test import CanaryRun
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.mesh.shift_weights import Shifts
from crossmesh.usecases import traffic_shifts as shifts

from tests.support.desk import Desk

SHIFT = ("shift", "s", "--to", "blue=90,red=10", "--yes")
VERBS = [("apply", "--yes"), SHIFT, ("canary", "run", "new")]


def changed(desk: Desk) -> None:
    """The local configuration is edited: a canary more, which never ran."""
    text = (desk.folder / "config" / "crossmesh.yaml").read_text()
    desk.write(text.replace("canaries:\n", "canaries:\n  new: {url: http://new.example}\n"))


@pytest.fixture
def deployed(running: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The edited configuration was deployed just now; no look ran since."""
    last = Verdict(canary="front", kind="good", at=running.now, says="all is well")
    memory = CanaryHistory(rounds=(CanaryRun(at=running.now, counts={"blue_shop": 1}, good=True),), last=last)
    running.world.state.documents[memory_key("front")] = codec.encode(memory)
    running.look()
    running.world.clock.sleep(30)
    changed(running)
    running.amazon.deploy("crossmesh", "eu-west-1", owner="shop-prod", at=running.now)
    monkeypatch.setattr(canaries, "PATIENCE", 0.0)
    monkeypatch.setattr(waiting, "FIRST", 5.0)
    monkeypatch.setattr(waiting.time, "sleep", lambda _: running.look())  # the deployed application looks meanwhile
    return running


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_a_verb_asks_for_a_look_and_waits(deployed: Desk, words: tuple[str, ...]) -> None:
    """`shift` and `canary run` said that the configuration here was not deployed, just after it was."""
    _, out, err = deployed.run(*words)
    assert [entry["DetailType"] for call in deployed.amazon.asked("put_events") for entry in call["Entries"]], "a look is asked for"
    assert "not the one in force" not in out + err
    assert "not in the deployed configuration" not in out + err
    if words == SHIFT:
        assert codec.decode(deployed.world.state.documents[shifts.SHIFTS], Shifts)
    if words[0] == "canary":
        assert deployed.amazon.asked("start_execution"), err


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_where_no_look_follows_it_refuses(deployed: Desk, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST", 0.0)
    code, _, err = deployed.run(*words)
    assert code == 1
    assert {"apply": "the next look puts it in force within a minute", "shift": "is not the one in force", "canary": "it never ran"}[
        words[0]
    ] in err
    assert not deployed.amazon.asked("start_execution")
    assert shifts.SHIFTS not in deployed.world.state.documents


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_what_was_never_deployed_is_not_waited_for(running: Desk, words: tuple[str, ...]) -> None:
    changed(running)
    code, _, err = running.run(*words)
    assert code == 1
    assert "eploy" in err
    assert not running.amazon.asked("put_events")


def test_a_shift_can_be_ended_whatever_is_in_the_folder(deployed: Desk) -> None:
    """Somebody else deployed since; the person who ends it at night has another configuration checked out."""
    assert deployed.run(*SHIFT)[0] == 0
    text = (deployed.folder / "config" / "crossmesh.yaml").read_text()
    deployed.write(text.replace("confirm_after: 20s", "confirm_after: 30s"))
    assert deployed.run(*SHIFT)[0] == 1
    code, out, err = deployed.run("shift", "s", "--end", "--yes")
    assert (code, err) == (0, ""), out
    assert all(one.called_off for one in codec.decode(deployed.world.state.documents[shifts.SHIFTS], Shifts))


def test_plan_does_not_say_ended_of_a_shift_still_in_force(deployed: Desk) -> None:
    """It said "ended: …; the declared weights are back" because of weights edited here, which nobody had deployed."""
    assert deployed.run(*SHIFT)[0] == 0
    deployed.reconcile()
    file = deployed.folder / "config" / "mesh" / "shop.yaml"
    file.write_text(file.read_text().replace("weight: 60", "weight: 50"))
    out = deployed.run("plan")[1]
    (told,) = (line for line in out.splitlines() if line.strip().startswith("shift of shop/s"))
    assert "ends with the next run of this configuration: a deploy changed its route's document; the declared weights come back then" in told
    assert "now blue_shop" in told
    assert "ended" not in told
    assert "are back" not in out
    status = deployed.run("status")[1]
    assert "ends" not in next(line for line in status.splitlines() if "shift of shop/s" in line)
