"""Step `Open gates`: pods that declare the readiness gate of AWS's controller become Ready once
they are registered and found (setting `readiness_gate`).

So a rolling update waits for registration, as it did under that controller. The only step that
writes to a cluster, and only this one condition of a pod.
"""

from typing import Any

import msgspec

from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import OpenGate, RegistryPlan
from crossmesh.effects import Step, batch, to
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clusters, PodRef, Registry
from crossmesh.usecases import lease, state
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.outcomes import GATE_OPEN
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run and its plan."""

    run: Run
    plan: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """How many gates were opened, and how many could not be (not found yet, or the cluster
    refused): the run looks again for these.
    """

    opened: int
    closed: int


def run(request: Request, context: Context) -> Step[Response]:
    """Ask discovery once a service, then open the gates of what it shows."""
    plan = yield from state.load(request.plan, RegistryPlan)
    if request.run.config != context.config or not plan.gates:
        return Response(opened=0, closed=len(plan.gates))
    yield from lease.check(request.run)
    found = yield from _found(plan)
    ready = [gate for gate in plan.gates if gate.place[1] and found.get(gate.id) == gate.uid]
    calls = [to(Clusters.open_gate, context.cluster(gate.cluster), _pod(gate)) for gate in ready]
    answers = yield from batch(calls)
    results = {gate.id: "not found by discovery yet" for gate in plan.gates}
    results |= {gate.id: _told(answer) for gate, answer in zip(ready, answers, strict=True)}
    yield from state.save(state.key(request.run.id, "gates"), results)
    opened = sum(1 for result in results.values() if result == GATE_OPEN)
    return Response(opened=opened, closed=len(results) - opened)


def _found(plan: RegistryPlan) -> Step[dict[str, str]]:
    """Instance id -> uid of its pod, as discovery shows them; a service that cannot be asked shows
    nothing.
    """
    services = sorted({(gate.namespace, gate.service) for gate in plan.gates})
    answers = yield from batch(
        [to(Registry.discover, *plan.discovered_by(namespace, service)) for namespace, service in services]
    )
    shown = [answer for answer in answers if not isinstance(answer, CrossmeshError)]
    return {instance.id: instance.attributes.get(ep.POD_UID, "") for instances in shown for instance in instances}


def _pod(gate: OpenGate) -> PodRef:
    return PodRef(namespace=gate.place[0], name=gate.place[1], uid=gate.uid)


def _told(answer: Any) -> str:
    return str(answer) if isinstance(answer, CrossmeshError) else GATE_OPEN


TASK = Task(name="open_gates", request=Request, run=run)
