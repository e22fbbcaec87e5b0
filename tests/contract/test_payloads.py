"""Step Functions carries 256 KiB; the design allows 16 KB at 5,000 pods. What each step answers is measured, not believed."""

import msgspec
from crossmesh.core.views import Pod
from crossmesh.steps import apply_registry, observe_cluster, observe_registry, plan_registry, take_lease, verify_registry
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
