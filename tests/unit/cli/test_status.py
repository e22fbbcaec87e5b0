"""What `crossmesh status` says when no look can be taken: functions that refuse their configuration have the cause told all the same."""

import argparse
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crossmesh import codec, runtime
from crossmesh.adapters.memory import MemoryClock, MemoryRunStore, MemoryState, MemoryTelemetry
from crossmesh.cli import canaries, stack, status
from crossmesh.cli.target import Place
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.split_test import CanaryRun
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.reporting.report import Report
from crossmesh.errors import CrossmeshError
from crossmesh.manifests.config import load_config
from crossmesh.steps import look, report_look, take_lease

from world.deploy import ROOT

GOOD = Report(id="look-1", kind="quiet", at=1_700_000_000.0, config="c", endpoints=3, registered=3)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MemoryState]:
    """A deployed function's environment, its configuration layer a copy that a test may spoil; the last look was good."""
    shutil.copytree(ROOT / "config", tmp_path / "layer")
    arns = ",".join(f"arn:aws:eks:us-east-1:111122223333:cluster/{name}" for name in ("eksc1", "eksc2"))
    given = {"CROSSMESH_OWNER": "demo", "CROSSMESH_CLUSTER_ARNS": arns, "CROSSMESH_DEPLOYMENT": "111122223333/us-east-1/crossmesh"}
    for name, value in {"AWS_REGION": "us-east-1", **given}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(tmp_path / "layer"))
    held = MemoryState()
    held.write(look.LAST, codec.encode(GOOD))
    ports = {"State": held, "Clock": MemoryClock(1_700_000_600.0), "Telemetry": MemoryTelemetry(), "RunStore": MemoryRunStore()}
    monkeypatch.setattr(runtime, "live_ports", lambda: ports)
    target = stack.Target(stack="crossmesh", account="111122223333", region="us-east-1", owner="demo", mode="apply")
    here = stack.Deployed(place=Place(region="us-east-1", stack="crossmesh", config=load_config(ROOT / "config")), target=target, ports=ports)
    monkeypatch.setattr(stack, "reach", lambda *_, **__: here)
    monkeypatch.setattr(status, "_deployed", lambda _: 0.0)
    monkeypatch.setattr("time.time", lambda: 1_700_000_605.0)
    runtime.live_context.cache_clear()
    yield held
    runtime.live_context.cache_clear()


def deployed(function: str) -> Any:
    """The handler that Lambda calls."""
    spec = importlib.util.spec_from_file_location(function, ROOT / "functions" / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lambda_handler


def look_and_report(times: int = 1) -> None:
    """What the look's workflow does: the function, and its failure to the report as Step Functions and Lambda word it."""
    for number in range(times):
        try:
            deployed("look")({"id": f"look-{number}", "cause": "schedule"}, None)
        except (CrossmeshError, OSError) as error:
            cause = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": ["…"]})
            deployed("report_look")({"id": f"look-{number}", "failure": {"Error": type(error).__name__, "Cause": cause}}, None)
        else:
            raise AssertionError("the function did not refuse")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert status.run(argparse.Namespace(json=True, wait=0, watch=False)) == 3
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    return str(problem)


def test_other_parameters_are_told_with_their_fix(
    state: MemoryState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSMESH_OWNER", "other")
    look_and_report(3)
    assert said(capsys) == (
        "no look since 2023-11-14 22:13:20Z: settings and parameters disagree: parameter Owner is other, crossmesh.yaml means demo: "
        "run `crossmesh init` and deploy again"
    )


def test_mistakes_in_what_was_deployed_are_told_with_their_places(
    state: MemoryState, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "layer" / "crossmesh.yaml"
    file.write_text(file.read_text().replace("of: colorapp,", "of: colourapp,"))
    look_and_report()
    told = said(capsys)
    assert told.startswith("no look since 2023-11-14 22:13:20Z: settings or manifests have mistakes (`crossmesh validate`")
    assert "crossmesh.yaml:" in told
    assert "colourapp" in told


def test_a_layer_without_settings_is_told(state: MemoryState, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "layer" / "crossmesh.yaml").unlink()
    look_and_report()
    assert "no crossmesh.yaml" in said(capsys)


def test_where_no_look_ever_succeeded_that_is_said(
    state: MemoryState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state.documents.clear()
    monkeypatch.setenv("CROSSMESH_OWNER", "other")
    look_and_report(2)
    assert said(capsys).startswith("no look yet: settings and parameters disagree: ")


def test_a_step_that_acts_refuses_all_the_same(state: MemoryState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSMESH_OWNER", "other")
    with pytest.raises(CrossmeshError, match="OtherParameters"):
        runtime.entrypoint(take_lease.TASK)({"id": "r", "execution": "e"}, None)
    with pytest.raises(CrossmeshError, match="OtherParameters"):
        runtime.entrypoint(msgspec.structs.replace(report_look.TASK, unconfigured=False))({"id": "r", "failure": {}}, None)


def test_people_see_no_counts_of_a_look_that_failed(
    state: MemoryState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSMESH_OWNER", "other")
    look_and_report()
    capsys.readouterr()
    assert status.run(argparse.Namespace(json=False, wait=0, watch=False)) == 3
    shown = capsys.readouterr().out
    assert "not known: the last look failed" in shown
    assert "endpoints registered" not in shown


# --- a canary that says nothing any more --------------------------------------------------------------------------------------------------


def asked(state: MemoryState, monkeypatch: pytest.MonkeyPatch, age: float, verb: Any, capsys: pytest.CaptureFixture[str], **more: Any) -> Any:
    """The verb's exit code and what it says, `age` seconds after the canary was last good."""
    now = 1_700_000_605.0
    state.write(look.LAST, codec.encode(msgspec.structs.replace(GOOD, at=now)))
    verdict = Verdict(canary="front", kind="good", at=now - age, says="all is well")
    rounds = (CanaryRun(at=now - age, counts={"a": 1}),)
    state.write("canary/front", codec.encode(CanaryHistory(last=verdict, rounds=rounds, last_good=now - age)))
    monkeypatch.setattr(stack, "canaries", lambda *_: ("front",))
    code = verb(argparse.Namespace(wait=0, watch=False, **more))
    return code, capsys.readouterr().out


@pytest.mark.parametrize(("age", "code"), [(0, 0), (179, 0), (181, 3), (86_400, 3)])
def test_status_and_history_never_keep_saying_good(
    state: MemoryState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], age: float, code: int
) -> None:
    found, told = asked(state, monkeypatch, age, status.run, capsys, json=True)
    assert (found, json.loads(told)["canaries"]["front"]["kind"]) == (code, "stale" if code else "good")
    assert bool(json.loads(told)["problems"]) is bool(code)
    found, told = asked(state, monkeypatch, age, canaries.history, capsys, json=True, name="front")
    assert (found, json.loads(told)["front"]["stale"]) == (code, bool(code))
    for verb, words in ((status.run, "canary front: stale, good"), (canaries.history, "no verdict for")):
        found, told = asked(state, monkeypatch, age, verb, capsys, json=False, name="front")
        assert (found, words in told) == (code, bool(code))
