"""Fixtures of the conformance suites: every test runs against each way to the service."""

from collections.abc import Iterator

import pytest

from tests.conformance.aws_drivers import ModelDriver, ServerProcess, StandInControl, WireDriver

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
