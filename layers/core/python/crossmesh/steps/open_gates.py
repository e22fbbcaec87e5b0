"""Step `Open gates`: pods that declare the readiness gate of AWS's controller become Ready once they are registered and found (setting `readiness_gate`).

So a rolling update waits for registration, as it did under that controller. The only step that writes to a cluster, and only this one condition of a pod.
"""

from typing import Any

import msgspec

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import OpenGate, RegistryPlan
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clusters, PodRef, Registry
from crossmesh.steps import lease, store
from crossmesh.steps.calls import Step, to, together
from crossmesh.steps.context import Context, Run

OPEN = "open"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run and its plan."""

    run: Run
    plan: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """How many gates were opened, and how many could not be (not found yet, or the cluster refused): the run looks again for these."""

    opened: int
    closed: int


def run(request: Request, context: Context) -> Step[Response]:
    """Ask discovery once a service, then open the gates of what it shows."""
    plan = yield from store.load(request.plan, RegistryPlan)
    if request.run.config != context.config or not plan.gates:
        return Response(opened=0, closed=len(plan.gates))
    yield from lease.check(request.run)
    found = yield from _found(plan.gates)
    ready = [gate for gate in plan.gates if found.get(gate.id) == gate.uid]
    calls = [to(Clusters.open_gate, context.cluster(gate.cluster), _pod(gate)) for gate in ready]
    answers = yield from together(calls)
    results = {gate.id: "not found by discovery yet" for gate in plan.gates}
    results |= {gate.id: _told(answer) for gate, answer in zip(ready, answers, strict=True)}
    yield from store.save(store.key(request.run.id, "gates"), results)
    opened = sum(1 for result in results.values() if result == OPEN)
    return Response(opened=opened, closed=len(results) - opened)


def _found(gates: tuple[OpenGate, ...]) -> Step[dict[str, str]]:
    """Instance id -> uid of its pod, as discovery shows them; a service that cannot be asked shows nothing."""
    services = sorted({(gate.namespace, gate.service) for gate in gates})
    answers = yield from together([to(Registry.discover, namespace, service) for namespace, service in services])
    shown = [answer for answer in answers if not isinstance(answer, CrossmeshError)]
    return {instance.id: instance.attributes.get(ep.POD_UID, "") for instances in shown for instance in instances}


def _pod(gate: OpenGate) -> PodRef:
    namespace, _, name = gate.pod.partition("/")
    return PodRef(namespace=namespace, name=name, uid=gate.uid)


def _told(answer: Any) -> str:
    return str(answer) if isinstance(answer, CrossmeshError) else OPEN
