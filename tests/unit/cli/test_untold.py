"""What `status` cannot know it does not call good; and Ctrl-C while the verbs are being imported ends politely, too."""

import importlib
import re
from datetime import UTC, datetime

import pytest

from tests.support.desk import Desk


@pytest.mark.parametrize("how", ["missing", "wrong"])
def test_without_usable_settings_status_is_never_green(desk: Desk, how: str) -> None:
    """The canaries' names stand in crossmesh.yaml: where there is none, whether users are served is not known."""
    desk.pods(blue=1, red=1)
    desk.settle()
    assert desk.run("status")[0] == 0
    file = desk.folder / "config" / "crossmesh.yaml"
    if how == "missing":
        file.unlink()
    else:
        file.write_text(file.read_text().replace("15%", "150%"))
    code, out, _ = desk.run("status", "--region", "eu-west-1")
    assert code == 3
    assert "whether the canaries keep their promises is not told here" in out
    assert "everything is as declared" not in out


def test_a_canary_without_a_verdict_is_named(desk: Desk) -> None:
    desk.pods(blue=1, red=1)
    desk.settle()
    assert "canary front: no verdict yet (`crossmesh canary run front` asks for one)" in desk.run("status")[1]


def test_a_canary_that_never_gives_a_verdict_is_not_green_for_ever(desk: Desk) -> None:
    """A canary whose workflow fails from the first: nobody knows whether users are served."""
    desk.pods(blue=1, red=1)
    desk.settle()
    stack = desk.amazon.stacks["eu-west-1", "crossmesh"]
    stack["Parameters"].append({"ParameterKey": "Schedule", "ParameterValue": "ENABLED"})
    code, out, _ = desk.run("status")
    assert code == 3
    assert "not as declared" in out
    assert "canary front: no verdict since the deployment 60 minutes ago, so nobody knows whether users are served" in out
    stack["LastUpdatedTime"] = datetime.fromtimestamp(desk.now - 100, UTC)
    desk.look()
    code, out, _ = desk.run("status")
    assert "no verdict since" not in out, "its first is on its way"
    assert code != 0, "nobody knows yet whether users are served"
    assert "everything is as declared" not in out
    assert "canary front: no verdict yet: its first good verdict is awaited" in out
    stack["LastUpdatedTime"] = datetime.fromtimestamp(desk.now - 3600, UTC)
    stack["Parameters"][-1]["ParameterValue"] = "DISABLED"
    assert desk.run("status")[0] == 0, "who switched the schedule off awaits no verdict"


def test_interrupted_while_verbs_are_imported(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("crossmesh.cli.main"), "parser", interrupted)
    code, _, err = desk.run("plan")
    assert code == 130
    assert "interrupted; nothing was changed" in err


def test_one_of_a_thing_is_not_told_as_many(desk: Desk) -> None:
    """The reported case: "1 adds"."""
    desk.pods(blue=1)
    desk.reconcile()
    desk.look()
    desk.reconcile()
    desk.pods(red=1)
    desk.look()
    out = desk.run("status")[1]
    assert "(1 add, 0 removals, 0 in the mesh)" in out
    assert not re.search(r"\b1 (adds|removals|changes|mesh changes)\b", out)
