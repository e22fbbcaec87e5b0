"""Step Functions carries 256 KiB; the design allows 16 KB at 5,000 pods. What each step answers is measured, not believed."""

import msgspec
from crossmesh.core.views import Pod
from crossmesh.steps import apply_registry, observe_cluster, observe_registry, plan_registry, release_lease, take_lease, verify_registry
from crossmesh.steps.context import Run
from crossmesh.steps.drive import drive

from tests.builders import context, node
from tests.passes import MemoryWorld


def test_state_stays_small_at_5000_pods() -> None:
    nodes = [node(f"n{i}", service=f"s{i}", color=f"c{i}") for i in range(6)]
    where = context(*nodes, clusters=tuple(f"c{i}" for i in range(10)))
    world = MemoryWorld()
    for index in range(5_000):
        pod = Pod(
            namespace="demo",
            name=f"p{index}",
            uid=f"{index:036}",
            ip="10.0.0.1",
            labels={"version": f"n{index % 6}"},
            phase="Running",
            containers_ready=True,
        )
        world.clusters.pods.setdefault(f"c{index % 10}", {})[pod.uid] = pod
    world.executions.alive.add("arn:run")
    state: dict[str, object] = {}
    lease = drive(take_lease.run(take_lease.Request(id="run", execution="arn:run"), where), world.ports)
    state["lease"] = lease
    registry = drive(observe_registry.run(observe_registry.Request(run=lease.run), where), world.ports)
    state["registry"] = registry
    state["views"] = [
        drive(observe_cluster.run(observe_cluster.Request(run=lease.run, cluster=name, registry=registry.registry), where), world.ports)
        for name in registry.clusters
    ]
    plan = drive(plan_registry.run(plan_registry.Request(run=lease.run, clusters=registry.clusters), where), world.ports)
    state["plan"] = plan
    assert plan.actions == 5_006
    state["apply"] = drive(apply_registry.run(apply_registry.Request(run=lease.run, plan=plan.plan, stage=1), where), world.ports)
    state["verified"] = drive(verify_registry.run(verify_registry.Request(run=lease.run, plan=plan.plan, stage=1), where), world.ports)
    assert len(msgspec.json.encode(state)) < 16_384


def test_a_hundred_clusters_fit_into_one_inline_map() -> None:
    """docs/decisions/0012: payload of 256 KiB, history of 25,000 events, five passes a run."""
    name = "a-cluster-with-a-rather-long-name-00"
    run = take_lease.Response(
        held=False, run=Run(id="look-" + "0" * 40, execution="arn:aws:states:" + "x" * 120, config="0" * 64, look="runs/" + "0" * 60)
    )
    view = observe_cluster.Response(cluster=name, view=f"runs/look-{'0' * 40}/views/{name}.json", pods=5_000, cause="list-incomplete")
    state = {"lease": run, "registry": {"clusters": [name] * 100}, "views": [view] * 100}
    assert len(msgspec.json.encode(state)) < 262_144 / 4
    events = 8  # entered, scheduled, started, succeeded, exited; iteration started and ended; one more for a retry's failure
    assert 100 * events * release_lease.PASSES_AT_MOST < 25_000 / 4
