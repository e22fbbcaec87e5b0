"""What a person sees of canaries and requests, by the command line against the deployed application."""

from typing import Any

import pytest

from tests.e2e.conftest import Deployed
from tests.support.command_line import crossmesh
from world.clusters.client import wait_for

pytestmark = pytest.mark.e2e


def test_a_canarys_request_is_followed_from_the_load_balancer_over_front_to_a_colour(here: Deployed) -> None:
    code, verdict = crossmesh(here, "canary", "run", "front-color", "--requests", "20")
    assert (code, verdict["kind"], verdict["requests"]) == (0, "good", 20), verdict
    assert verdict["run"]
    code, shown = wait_for(lambda: whole(here, verdict["trace"]), 20, "the trace in X-Ray")
    assert code == 0
    path = names(shown["spans"])
    assert path[0].startswith("crossmesh-ProbeFrontFunction"), path
    assert path[1].endswith(".us-east-1.elb.amazonaws.com"), path
    assert path[2] == "front_appmesh-demo", path
    assert path[3] in ("colorapp-blue_appmesh-demo", "colorapp-red_appmesh-demo"), path
    code, drawn = crossmesh(here, "trace")
    assert code in (0, 3)  # 3: what other tests broke in the last minutes is in the map, too
    calls = {(call["from"], call["to"]) for call in drawn["calls"]}
    assert any(one == "front_appmesh-demo" and two.startswith("colorapp-") for one, two in calls), calls
    assert any(one.startswith("crossmesh-ProbeFront") and two == "front_appmesh-demo" for one, two in calls), calls
    assert verdict["trace"] in drawn["traces"]
    here.app.look()
    code, found = crossmesh(here, "status", "--wait=60")
    assert (code, found["canaries"]["front-color"]["kind"]) == (0, "good")
    code, runs = crossmesh(here, "canary", "history", "front-color")
    assert (code, runs["front-color"]["last"]["run"]) == (0, verdict["run"])


def whole(here: Deployed, trace: str) -> tuple[int, Any] | None:
    """The trace once all four of its spans have arrived."""
    code, shown = crossmesh(here, "trace", trace)
    return (code, shown) if isinstance(shown, dict) and len(names(shown["spans"])) >= 4 else None


def names(spans: list[dict[str, Any]]) -> list[str]:
    """Down the first branch."""
    return [str(spans[0]["name"]), *names(spans[0].get("children") or [])] if spans else []


def test_a_broken_promise_is_told_with_its_answers_and_exit_code_3(here: Deployed) -> None:
    pod = next(name for name in here.colour_pods() if "red" in name)
    here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {"status": 503, "body": "broken"})
    try:
        code, verdict = crossmesh(here, "canary", "run", "front-color", "--requests", "20")
        assert (code, verdict["kind"]) == (3, "failed")
        assert any("broken" in sample["body"] for sample in verdict["evidence"])
        assert crossmesh(here, "canary", "history")[0] == 3
        code, found = crossmesh(here, "status")
        assert code == 3
        assert any("canary front-color: failed" in problem for problem in found["problems"])
    finally:
        here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {})
        here.app.canary(requests=20)


def test_what_does_not_exist_is_refused(here: Deployed) -> None:
    code, said = crossmesh(here, "canary", "run", "nobody")
    assert code == 2
    assert "front-color" in said, "it names those there are"
    code, said = crossmesh(here, "trace", "1-67a1b2c3-0123456789abcdef01234567")
    assert code == 1
    assert "no trace" in said
    assert crossmesh(here, "trace", "nonsense")[0] == 2
