"""Fixtures of the conformance suites: every test runs against each way to the service."""

import os
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.aws_drivers import ModelDriver, ServerProcess, StandInControl, WireDriver
from tests.conformance.kubernetes_tiers import Api, Tier, differences, running_tier
from tests.support.adapted_cluster import cluster
from world.clusters.real.binaries import MISSING, find, required
from world.supervisor import ROOT

__all__ = ["cluster"]

PLAIN = {
    "operation_lag_s": 0.0,
    "operation_jitter": 0.0,
    "health_lag_s": 30.0,
    "discovery_lag_s": 0.0,
    "token_memory_s": 600.0,
    "namespaces": 5000,
    "instances_per_service": 1000,
    "instances_per_namespace": 2000,
    "rates": {},
    "late_failures": [],
    "app_mesh": {"rates": {}, "quotas": {"mesh": 15, "virtualNode": 200, "route": 50}, "backends": 50},
}


# A folder a worker: two workers must not start the same world.
WORLDS = ROOT / ".world" / "conformance" / os.environ.get("PYTEST_XDIST_WORKER", "alone")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, StandInControl]]:
    """The server process, with a stand-in for ministack's host."""
    process = ServerProcess(tmp_path_factory.mktemp("world"))
    control = StandInControl(process.world)
    try:
        process.start("world.aws.server")
        yield process, control
    finally:
        process.stop()
        control.server.shutdown()
        control.server.server_close()


@pytest.fixture(params=["model", "wire"])
def aws(request: pytest.FixtureRequest) -> Iterator[ModelDriver | WireDriver]:
    """One service, two ways; knobs as AWS has them but without lag."""
    if request.param == "model":
        yield ModelDriver()
        return
    process, control = request.getfixturevalue("server")
    control.denied = "nothing"
    driver = WireDriver(process.world)
    driver.settings(**PLAIN)
    yield driver


@pytest.fixture(scope="session")
def embedded() -> Iterator[Tier]:
    """The embedded tier."""
    with running_tier("embedded", WORLDS) as tier:
        yield tier


@pytest.fixture(scope="session")
def real() -> Iterator[Tier]:
    """The real tier; without its binaries a skip that pytest lists, or a failure where CROSSMESH_REAL asks for it."""
    if find() is None:
        (pytest.fail if required() else pytest.skip)(MISSING)
    with running_tier("real", WORLDS) as tier:
        yield tier


TOLD: dict[str, dict[str, list[Any]]] = {}


@pytest.fixture(params=["embedded", "real"])
def tier(request: pytest.FixtureRequest) -> Tier:
    """Each tier in turn."""
    found: Tier = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def api(request: pytest.FixtureRequest, tier: Tier) -> Iterator[Api]:
    """A cluster with a namespace of the test's own. When a test has passed on both tiers, what both told is compared, answer by answer."""
    name = request.node.name.replace(tier.name, "", 1)
    slug = request.node.originalname.removeprefix("test_").replace("_", "-")[:50]
    here = Api(tier, getattr(request.function, "cluster", "eksc1"), f"{slug}-{zlib.crc32(name.encode()):08x}")
    here.ask("POST", "/api/v1/namespaces", {"metadata": {"name": here.namespace}}, record=False)
    yield here
    here.ask("DELETE", f"/api/v1/namespaces/{here.namespace}", record=False)
    told = TOLD.setdefault(name, {})
    told[tier.name] = here.told
    if len(told) == 2:
        found = differences(told["embedded"], told["real"])
        if found:
            pytest.fail("the tiers do not answer alike:\n" + "\n".join(found[:40]), pytrace=False)
