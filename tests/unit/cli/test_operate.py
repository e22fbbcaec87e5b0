"""What `resume SERVICE` takes: a service that another hand or another deployment has stopped, and no other."""

import argparse

import pytest
from crossmesh.cli import operate
from crossmesh.core.actions import Memory, Neighbour, Operator
from crossmesh.errors import RefusedError

MEMORY = Memory(contested={"front.demo.local": (1.0, "a.u")}, neighbours={"color.demo.local": Neighbour(deployment="2/r/other", since=1.0)})


@pytest.mark.parametrize("service", ["front.demo.local", "color.demo.local"])
def test_what_is_stopped_goes_on(service: str) -> None:
    asked, told = operate._changed(argparse.Namespace(verb="resume", service=service), Operator(resumed={"x.y": 1.0}), MEMORY, 5.0)
    assert asked.resumed == {"x.y": 1.0, service: 5.0}
    assert service in told


def test_what_is_not_stopped_is_refused_with_what_is() -> None:
    with pytest.raises(RefusedError, match=r"stopped are: color.demo.local, front.demo.local"):
        operate._changed(argparse.Namespace(verb="resume", service="other.demo.local"), Operator(), MEMORY, 5.0)
