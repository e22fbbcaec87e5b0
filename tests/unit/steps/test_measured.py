"""What runs and canaries report for alarms, and how little a canary's run keeps while all is well."""

import msgspec
import pytest
from crossmesh.adapters.dynamodb import packed, unpacked
from crossmesh.adapters.memory import MemoryRegistry
from crossmesh.core.canary.sample import Sample
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.errors import RefusedError
from crossmesh.runtime import shortened
from crossmesh.telemetry import deployment_values
from crossmesh.usecases import look_lease, state

from tests.support.builders import context, pod
from tests.support.passes import MemoryWorld


def last(world: MemoryWorld) -> Report:
    return world.telemetry.reports[-1]


def test_a_run_that_could_do_all_has_nothing_pending_and_tells_how_long_pods_waited() -> None:
    world = MemoryWorld()
    world.clusters.put("a", msgspec.structs.replace(pod("u1"), changed=world.clock.now() - 900))
    world.run(context())
    assert (last(world).failed, last(world).lag) == (0, -1.0), "a first run finds old pods: that is no lag of ours"
    world.clock.sleep(60)
    world.clusters.put("a", msgspec.structs.replace(pod("u22"), changed=world.clock.now() - 7))
    world.run(context())
    assert last(world).lag == pytest.approx(7.0, abs=1.0)
    assert deployment_values(last(world))["PendingActions"] == 0
    world.clock.sleep(60)
    world.clusters.put("a", msgspec.structs.replace(pod("u333"), changed=world.clock.now() - 7))
    world.run(msgspec.structs.replace(context(), config="another"))
    assert last(world).lag == -1.0, "another configuration may select old pods anew"


def test_a_removal_that_is_refused_stays_pending_and_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    world = MemoryWorld()
    for uid in ("u1", "u22"):
        world.clusters.put("a", pod(uid))
    world.run(context())

    def refuse(*_: object) -> str:
        raise RefusedError("AccessDeniedException", "no")

    monkeypatch.setattr(MemoryRegistry, "deregister", refuse)
    world.clusters.put("a", pod("u1", terminating=True))
    world.look(context())
    assert deployment_values(last(world))["StaleInstances"] == 1
    world.run(context())
    values = deployment_values(last(world))
    assert (values["PendingActions"], values["StaleInstances"]) == (1, 1)
    monkeypatch.undo()
    world.run(context())
    values = deployment_values(last(world))
    assert (values["PendingActions"], values["StaleInstances"]) == (0, 0)


def test_what_waits_on_purpose_is_not_pending_and_a_failure_says_nothing_else() -> None:
    report = Report(id="r", kind="observe", at=0.0, config="c", adds=3)
    assert deployment_values(report)["PendingActions"] == 0
    assert deployment_values(msgspec.structs.replace(report, kind="paused"))["PendingActions"] == 0
    assert deployment_values(msgspec.structs.replace(report, kind="apply"))["PendingActions"] == 3
    assert deployment_values(msgspec.structs.replace(report, kind="failed")) == {"Failures": 1}


def test_samples_travel_with_the_state_and_large_ones_are_kept_elsewhere() -> None:
    world = MemoryWorld()
    small = tuple(Sample(status=200, body="blue", latency_ms=float(number)) for number in range(60))
    carried = drive(state.inline_or_store("runs/x/samples.json", small, 120_000), world.ports)
    assert carried.startswith("gzip:")
    assert len(carried) < 4_000, "a run of 60 requests"
    assert drive(state.load(carried, tuple[Sample, ...]), world.ports) == small
    assert drive(state.inline_or_store("runs/x/samples.json", small, 100), world.ports) == "runs/x/samples.json"
    assert drive(state.load("runs/x/samples.json", tuple[Sample, ...]), world.ports) == small


def test_documents_are_kept_compressed_and_older_ones_are_read_as_they_are() -> None:
    document = b'{"rounds":[' + b'{"at":1.0,"good":true},' * 200 + b"{}]}"
    assert unpacked(packed(document)) == document
    assert len(packed(document)) < 1024 < len(document), "one write unit"
    assert packed(b"{}") == unpacked(b"{}") == b"{}"


def test_what_a_state_carries_is_not_logged() -> None:
    logged = shortened({"probed": ({"samples": "x" * 5_000, "url": "http://front/"},), "count": 3})
    assert len(logged["probed"][0]["samples"]) < 400
    assert "5000 characters" in logged["probed"][0]["samples"]
    assert (logged["probed"][0]["url"], logged["count"]) == ("http://front/", 3)


def test_a_look_that_fails_while_somebody_asks_again_gives_its_lease_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every retry and hint would find it held, and a broken look would count as a good one for a minute."""
    world = MemoryWorld()
    world.clusters.put("a", pod("u1"))
    world.run(context())
    world.look(context())

    def refuse(*_: object) -> int:
        found = world.state.read_lease(look_lease.LEASE)
        assert found is not None
        world.state.ask_again(look_lease.LEASE, found)
        raise RefusedError("AccessDeniedException", "no")

    monkeypatch.setattr(MemoryRegistry, "revision", refuse)
    monkeypatch.setattr(MemoryRegistry, "find_services", refuse)
    for _ in range(2):
        with pytest.raises(RefusedError):
            world.look(context())
    monkeypatch.undo()
    assert world.look(context()).decision == "quiet"


def test_a_storm_of_hints_ends_with_the_looks_lease_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody asks during every single look: it looks a bounded number of times, and the next hint finds nobody in the way."""
    world = MemoryWorld()
    world.clusters.put("a", pod("u1"))
    world.run(context())
    asked = []
    revision = MemoryRegistry.revision

    def asking(registry: MemoryRegistry, namespace: str, service: str) -> int:
        found = world.state.read_lease(look_lease.LEASE)
        assert found is not None
        asked.append(world.state.ask_again(look_lease.LEASE, found))
        return revision(registry, namespace, service)

    monkeypatch.setattr(MemoryRegistry, "revision", asking)
    assert world.look(context()).decision == "quiet"
    assert len(asked) > 1
    found = world.state.read_lease(look_lease.LEASE)
    assert found is not None
    assert found.holder == "", "held, it would stop every look for a minute"
