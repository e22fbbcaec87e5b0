"""A whole pass over in-memory ports: what the deployed state machine does, for tests of the steps themselves.

The deployed machines are exercised in tests/e2e; this only strings their steps together.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from crossmesh.adapters.memory import (
    MemoryClock,
    MemoryClusters,
    MemoryExecutions,
    MemoryMesh,
    MemoryRegistry,
    MemoryRunStore,
    MemoryState,
    MemoryTelemetry,
)
from crossmesh.core.actions import RegistryPlan
from crossmesh.errors import CrossmeshError
from crossmesh.steps import (
    apply_registry,
    look,
    observe_cluster,
    observe_registry,
    open_gates,
    plan_registry,
    release_lease,
    report_run,
    store,
    take_lease,
    verify_registry,
)
from crossmesh.steps.calls import Call, Step, Together
from crossmesh.steps.context import Context
from crossmesh.steps.drive import drive, perform

from tests.builders import NAMESPACE


class MemoryWorld:
    """Clusters, registry and state in memory, and passes over them."""

    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.clusters = MemoryClusters(self.clock)
        self.registry = MemoryRegistry()
        self.registry.namespaces[NAMESPACE] = ("ns-1", "DNS_PRIVATE")
        self.state, self.runs, self.executions, self.mesh = MemoryState(), MemoryRunStore(), MemoryExecutions(), MemoryMesh()
        self.telemetry = MemoryTelemetry()
        self.count = 0
        self.more = False  # whether the last run found pods on their way
        self.look_again: list[float] = []  # of each run: when it asked to look again, 0 = it did not

    @property
    def ports(self) -> dict[str, object]:
        return {
            "Clock": self.clock,
            "Clusters": self.clusters,
            "Registry": self.registry,
            "State": self.state,
            "RunStore": self.runs,
            "Executions": self.executions,
            "MeshApi": self.mesh,
            "Telemetry": self.telemetry,
        }

    def look(self, context: Context) -> look.Response:
        self.count += 1
        return drive(look.run(look.Request(id=f"look-{self.count}"), context), self.ports)

    def run(self, context: Context, asked: str = "") -> RegistryPlan:
        """One run from lease to release; `asked`: the document of the look that asked for it, by whose name it goes."""
        self.count += 1
        return drive(self.steps(context, asked.split("/")[1] if asked else f"run-{self.count}", asked), self.ports)

    def steps(self, context: Context, name: str, asked: str = "") -> Step[RegistryPlan]:
        """The steps of a run, in the order of the state machine."""
        arn = f"arn:{name}"
        self.executions.alive.add(arn)
        lease = yield from take_lease.run(take_lease.Request(id=name, execution=arn, look=asked), context)
        assert not lease.held
        this, planned = lease.run, lease.planned
        if planned is None:
            seen = yield from observe_registry.run(observe_registry.Request(run=this), context)
            for cluster in seen.clusters:
                yield from observe_cluster.run(observe_cluster.Request(run=this, cluster=cluster, registry=seen.registry), context)
            planned = yield from plan_registry.run(plan_registry.Request(run=this, clusters=seen.clusters), context)
        stage = planned.first_stage
        while stage:
            part, done = 0, False
            while not done:
                applied = yield from apply_registry.run(apply_registry.Request(run=this, plan=planned.plan, stage=stage, part=part), context)
                part, done = applied.part, applied.done
            verified = yield from verify_registry.run(verify_registry.Request(run=this, plan=planned.plan, stage=stage), context)
            stage = verified.next_stage
        if planned.gates:
            yield from open_gates.run(open_gates.Request(run=this, plan=planned.plan), context)
        reported = yield from report_run.run(report_run.Request(run=this), context)
        self.more = reported.more
        self.look_again.append(_seconds(reported.wait_until) if reported.look_again else 0.0)
        yield from release_lease.run(release_lease.Request(run=this), context)
        self.executions.alive.discard(arn)
        plan = yield from store.load(planned.plan, RegistryPlan)
        return plan

    def pods_in(self, service: str = "color") -> set[str]:
        """uids registered in a service."""
        found = self.registry._service(NAMESPACE, service)
        return {a["crossmesh/pod-uid"] for a in self.registry.instances.get(found.id, {}).values() if "crossmesh/pod-uid" in a}


def played(step: Step[Any], world: MemoryWorld, go_on: Callable[[Call | Together], bool]) -> bool:
    """Drive `step` for as long as `go_on`, told of each thing asked before it is done; True where the step ended by itself. Errors reach it as in `drive`."""
    answer, error = None, None
    while True:
        try:
            asked = step.throw(error) if error else step.send(answer)
        except StopIteration:
            return True
        if not go_on(asked):
            return False
        answers = [_attempted(call, world) for call in (asked.calls if isinstance(asked, Together) else (asked,))]
        first = answers[0]
        error = first if isinstance(first, CrossmeshError) and not isinstance(asked, Together) else None
        answer = answers if isinstance(asked, Together) else first


def _attempted(call: Call, world: MemoryWorld) -> Any:
    try:
        return perform(call, world.ports)
    except CrossmeshError as error:
        return error


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
