"""A front on this machine is asked only where the environment declares it: the world does, and no template."""

import pytest
from crossmesh.runtime import Ports

from tests.conformance.servers import answer, serve
from world.aws.config import endpoints
from world.deploy import ROOT

VARIABLE = "CROSSMESH_FRONTS_ALSO_IN"


@pytest.mark.parametrize(("declared", "error"), [("", "forbidden"), ("10.0.0.0/8", "forbidden"), ("10.0.0.0/8,127.0.0.0/8", "")])
def test_loopback_is_asked_where_it_is_declared(monkeypatch: pytest.MonkeyPatch, declared: str, error: str) -> None:
    monkeypatch.setenv(VARIABLE, declared)
    monkeypatch.delenv("CROSSMESH_RESOLVER", raising=False)
    with serve(answer("blue")) as served:
        (sample,) = Ports("us-east-1", "t", "b")["Front"].probe(served.url(), 1, 2.0, "c")
    assert sample.error == error


def test_only_the_world_declares_it() -> None:
    ports = dict.fromkeys(("ministack", "aws", "xray", "resolver"), 1)
    assert endpoints({"ports": ports, "region": "us-east-1"})[VARIABLE] == "127.0.0.0/8"
    assert VARIABLE not in (ROOT / "template.yaml").read_text()
