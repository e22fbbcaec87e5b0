"""A whole run over in-memory ports, driven by the shipped state machine, for tests of the steps themselves."""

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
from crossmesh.adapters.memory import (
    MemoryClock,
    MemoryClusters,
    MemoryExecutions,
    MemoryRegistry,
    MemoryRunStore,
    MemorySnapshots,
    MemoryState,
    MemoryTelemetry,
)
from crossmesh.adapters.memory_app_mesh import MemoryMesh
from crossmesh.core.registry.plan import RegistryPlan
from crossmesh.driver import drive, execute
from crossmesh.effects import Batch, Call, Step
from crossmesh.errors import CrossmeshError
from crossmesh.steps import look, release_lease, report_run, take_lease
from crossmesh.usecases import state
from crossmesh.usecases.context import Context
from crossmesh.usecases.manifests import with_active_manifests

from tests.sim import application, asl
from tests.support.builders import NAMESPACE


class MemoryWorld:
    """Clusters, registry and state in memory, and passes over them."""

    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.clusters = MemoryClusters(self.clock)
        self.registry = MemoryRegistry()
        self.registry.namespaces[NAMESPACE] = ("ns-1", "DNS_PRIVATE")
        self.state, self.runs, self.executions, self.mesh = MemoryState(), MemoryRunStore(), MemoryExecutions(), MemoryMesh()
        self.telemetry, self.snapshots = MemoryTelemetry(), MemorySnapshots(self.clock)
        self.count = 0
        self.more = False  # whether the last run went once more
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
            "AppMeshApi": self.mesh,
            "Telemetry": self.telemetry,
            "Snapshots": self.snapshots,
        }

    def look(self, context: Context) -> look.Response:
        self.count += 1
        return drive(look.run(look.Request(id=f"look-{self.count}"), context), self.ports)

    def run(self, context: Context, asked: str = "") -> RegistryPlan:
        """One run from lease to release; `asked`: the document of the look that asked for it, by whose name it goes."""
        self.count += 1
        return drive(self.steps(context, asked.split("/")[1] if asked else f"run-{self.count}", asked), self.ports)

    def steps(self, context: Context, name: str, asked: str = "") -> Step[RegistryPlan]:
        """The steps of a run as the shipped state machine strings them; the plan of its last pass.

        Waits take no time, and starts of other machines do nothing. An error of a step ends it: what the machine makes of errors is the simulator's part.
        """
        arn = f"arn:{name}"
        self.executions.alive.add(arn)
        self.more = False
        shipped = application.load()
        data, context_object = {"id": name, "look": asked}, {"Execution": {"Id": arn, "Name": name}}
        flow, answer, plan = asl.flow(shipped.machines["Reconcile"].definition, data, context_object, Random(0)), None, ""
        while True:
            try:
                reached = flow.send(answer)
            except StopIteration:
                break
            answer = {} if isinstance(reached, asl.Start) else None
            if not isinstance(reached, asl.Invoke):
                continue
            step = shipped.functions[reached.resource].module
            request = msgspec.convert(reached.payload, step.Request)
            answered = yield from with_active_manifests(step.TASK, request, context)
            answer = msgspec.to_builtins(answered)
            if step is take_lease:
                assert not answered.held
            if step is release_lease:
                self.more = self.more or answered.again
            if step is report_run:
                self.look_again.append(_seconds(answered.wait_until) if answered.look_again else 0.0)
            planned = getattr(answered, "planned", None)
            plan = planned.plan if planned is not None else plan
        self.executions.alive.discard(arn)
        return (yield from state.load(plan, RegistryPlan)) if plan else RegistryPlan()

    def pods_in(self, service: str = "color") -> set[str]:
        """uids registered in a service."""
        found = self.registry._service(NAMESPACE, service)
        return {a["crossmesh/pod-uid"] for a in self.registry.instances.get(found.id, {}).values() if "crossmesh/pod-uid" in a}


def played(step: Step[Any], world: MemoryWorld, go_on: Callable[[Call | Batch], bool]) -> bool:
    """Drive `step` for as long as `go_on`, told of each thing asked before it is done; True where the step ended by itself. Errors reach it as in `drive`."""
    answer, error = None, None
    while True:
        try:
            asked = step.throw(error) if error else step.send(answer)
        except StopIteration:
            return True
        if not go_on(asked):
            return False
        answers = [_attempted(call, world) for call in (asked.calls if isinstance(asked, Batch) else (asked,))]
        first = answers[0]
        error = first if isinstance(first, CrossmeshError) and not isinstance(asked, Batch) else None
        answer = answers if isinstance(asked, Batch) else first


def _attempted(call: Call, world: MemoryWorld) -> Any:
    try:
        return execute(call, world.ports)
    except CrossmeshError as error:
        return error


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
