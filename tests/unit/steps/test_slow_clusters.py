"""A dripping cluster delays the others' pods once; the looks after it wait three seconds for it, and nothing of it is removed."""

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.observed import Seen, Unseen, View
from crossmesh.core.patience import SHORT, TRIAL_EVERY, WHOLE
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.ports import Lease
from crossmesh.steps import look, report_look
from crossmesh.usecases import look as looks
from crossmesh.usecases import look_lease, state
from crossmesh.usecases.context import Run
from crossmesh.usecases.plan_handoff import PlanHandoff

from tests.support.builders import context, node, pod
from tests.support.cluster_objects import deployment, objects
from tests.support.manifest_texts import HEAD
from tests.support.mesh_runs import ONE, new_world
from tests.support.passes import MemoryWorld

WHERE = context(node("blue"))
QUICK = 1.0  # seconds that a look takes beside its clusters; none, here


def standing() -> MemoryWorld:
    """A pod of each cluster is registered, and all is quiet."""
    world = MemoryWorld()
    for cluster in ("a", "b"):
        world.clusters.put(cluster, pod(f"u-{cluster}", ip=f"10.0.0.{ord(cluster)}"))
    world.run(WHERE, world.look(WHERE).look)
    assert world.pods_in() == {"u-a", "u-b"}
    return world


def looked(world: MemoryWorld, cause: str = "schedule") -> tuple[look.Response, float]:
    """A look a minute later, and the seconds that it took."""
    world.clock.sleep(60.0)
    world.count += 1
    began = world.clock.now()
    answer = drive(look.run(look.Request(id=f"look-{world.count}", cause=cause), WHERE), world.ports)
    return answer, world.clock.now() - began


def last(world: MemoryWorld) -> Report:
    return codec.decode(world.state.documents[looks.LAST], Report)


@pytest.mark.parametrize("cause", ["schedule", "hint"])
def test_a_dripping_cluster_delays_the_others_once_and_stays_unseen(cause: str) -> None:
    world = standing()
    world.clusters.needs["b"] = 1e9
    answer, took = looked(world)
    assert (answer.unseen, took) == (("b",), WHOLE)
    world.clusters.put("a", pod("u-new", ip="10.0.0.7"))
    world.clusters.remove("b", "u-b")
    answer, took = looked(world, cause)
    assert took <= SHORT + QUICK
    assert (answer.decision, answer.unseen) == ("apply", ("b",))
    world.run(WHERE, answer.look)
    assert world.pods_in() == {"u-a", "u-b", "u-new"}, "the other's pod came in; nothing of the unseen one went"
    for _ in range(3):
        assert looked(world, cause)[1] <= SHORT + QUICK


def test_a_cluster_that_answers_again_is_seen_and_has_its_whole_limit_back() -> None:
    world = standing()
    world.clusters.needs["b"] = 1e9
    looked(world)
    world.clusters.needs["b"] = 1.0
    answer, _ = looked(world)
    assert (answer.unseen, last(world).slow) == ((), {})
    world.clusters.needs["b"] = SHORT + 5.0
    answer, took = looked(world)
    assert (answer.unseen, took) == ((), SHORT + 5.0)


def test_an_honest_cluster_that_needs_longer_is_seen_again_by_a_trial_beside_the_looks() -> None:
    world = standing()
    world.clusters.needs["b"] = 1e9
    looked(world)
    world.clusters.needs["b"] = SHORT + 5.0
    for _ in range(int(TRIAL_EVERY / 60) + 2):
        answer, _ = looked(world)
        if not answer.unseen:
            break
    assert answer.unseen == ()
    assert last(world).slow == {}
    assert looked(world)[1] == SHORT + 5.0, "from now on it is waited for"


def test_a_trial_holds_no_lease_and_is_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    world = standing()
    world.clusters.needs["b"] = 1e9
    looked(world)
    world.clock.sleep(TRIAL_EVERY)
    held: list[tuple[float, Lease | None]] = []
    observe = world.clusters.observe

    def noting(cluster, *args, limit: float) -> Seen | Unseen:
        held.append((limit, world.state.leases.get(look_lease.LEASE)))
        return observe(cluster, *args, limit=limit)

    monkeypatch.setattr(world.clusters, "observe", noting)
    before = last(world)
    answer, took = looked(world)
    assert took == SHORT + WHOLE
    (trial,) = [lease for limit, lease in held[2:] if limit == WHOLE]
    assert trial is None or not trial.holder, "who asks meanwhile looks at once"
    assert answer.unseen == ("b",)
    assert last(world).slow["b"].since == before.slow["b"].since
    assert last(world).slow["b"].tried > before.slow["b"].tried
    assert looked(world)[1] <= SHORT + QUICK, "the next trial comes minutes later"


def test_a_look_that_asks_for_a_run_makes_no_trial() -> None:
    world = standing()
    world.clusters.needs["b"] = 1e9
    looked(world)
    world.clock.sleep(TRIAL_EVERY)
    world.clusters.put("a", pod("u-new", ip="10.0.0.7"))
    answer, took = looked(world)
    assert (answer.decision, took) == ("apply", SHORT)


def test_a_run_that_observes_for_itself_waits_no_longer_than_its_look_did() -> None:
    world = standing()
    world.clusters.needs["b"] = 1e9
    looked(world)
    world.runs.put("handed", codec.encode(PlanHandoff(report=last(world))))
    for where in ("handed", ""):
        run = Run(id="r", execution="arn", epoch=1, config=WHERE.config, look=where)
        began = world.clock.now()
        assert drive(look.run(look.Request(run=run), WHERE), world.ports).planned is not None
        assert world.clock.now() - began == SHORT
        assert codec.decode(world.runs.get(state.key("r", "views/b")), View).cause == "timeout"


def test_a_failed_look_forgets_no_slow_cluster() -> None:
    world = standing()
    world.clusters.needs["b"] = 1e9
    looked(world)
    drive(report_look.run(report_look.Request(id="x", failure={"Error": "States.Timeout"}), WHERE), world.ports)
    assert last(world).kind == "failed"
    assert looked(world)[1] <= SHORT + QUICK


def test_manifests_that_drip_cost_one_whole_limit_in_all() -> None:
    """Pods and manifests come from one API: a look waits for it once, not twice."""
    world, where = new_world(), deployment()
    world.clusters.declared = {"one": objects(HEAD), "two": objects(*ONE)}
    world.registry.namespaces["shop.local"] = ("ns-2", "DNS_PRIVATE")
    drive(look.run(look.Request(id="l1"), where), world.ports)
    world.clusters.needs["two"] = 1e9
    for number, most in enumerate((WHOLE + SHORT, 2 * SHORT, 2 * SHORT)):
        world.clock.sleep(60.0)
        began = world.clock.now()
        answer = drive(look.run(look.Request(id=f"drip-{number}"), where), world.ports)
        assert answer.unseen == ("two",)
        assert world.clock.now() - began == most
    assert msgspec.structs.asdict(last(world))["slow"].keys() == {"two"}
