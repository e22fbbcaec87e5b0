"""What `resume SERVICE` takes: a service that another writer or another deployment has stopped, and no other."""

import argparse

import pytest
from crossmesh import codec
from crossmesh.cli import operate
from crossmesh.core.registry.plan import ConflictingDeployment, ManualOverrides, PlannerState
from crossmesh.errors import RefusedError
from crossmesh.usecases import state

from tests.support.desk import Desk

MEMORY = PlannerState(
    competing_writers={"front.demo.local": (1.0, "a.u")},
    conflicting_deployments={"color.demo.local": ConflictingDeployment(deployment="2/r/other", since=1.0)},
)


@pytest.mark.parametrize("service", ["front.demo.local", "color.demo.local"])
def test_what_is_stopped_goes_on(service: str) -> None:
    asked, told = operate._changed(argparse.Namespace(verb="resume", service=service), ManualOverrides(resumed={"x.y": 1.0}), MEMORY, 5.0, {})
    assert asked.resumed == {"x.y": 1.0, service: 5.0}
    assert service in told


def test_what_is_not_stopped_is_refused_with_what_is() -> None:
    with pytest.raises(RefusedError, match=r"stopped are: color.demo.local, front.demo.local"):
        operate._changed(argparse.Namespace(verb="resume", service="other.demo.local"), ManualOverrides(), MEMORY, 5.0, {})


def test_of_two_requests_at_once_the_second_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sibling of two shifts at once: a pause, and a drain that was asked for while it was recorded."""
    asked = operate.caller

    def meanwhile(region: str) -> str:
        monkeypatch.setattr(operate, "caller", asked)
        assert desk.run("drain", "--yes")[0] == 0
        return asked(region)

    monkeypatch.setattr(operate, "caller", meanwhile)
    code, _, err = desk.run("pause")
    assert code == 1
    assert "somebody else asked for something meanwhile: nothing of pause was recorded" in err
    kept = codec.decode(desk.world.state.documents[state.OPERATOR], ManualOverrides)
    assert kept.draining
    assert not kept.paused


def test_resume_says_where_there_was_nothing_to_resume(desk: Desk) -> None:
    code, out, _ = desk.run("resume")
    assert code == 0
    assert "nothing was paused or drained" in out
    desk.run("pause")
    assert "resumed" in desk.run("resume")[1]
