"""Step `Judge canary`: compare what came with what the routes promise, and remember the verdict."""

import msgspec

from crossmesh import codec
from crossmesh.core.canary import Memory, Sample, judge, shares
from crossmesh.core.settings import CanarySettings
from crossmesh.ports import Clock, State, Telemetry
from crossmesh.steps import shifts, store
from crossmesh.steps.calls import Step, call
from crossmesh.steps.context import Context
from crossmesh.steps.probe_front import Probed


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The samples to judge."""

    id: str
    probed: tuple[Probed, ...]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One canary's verdict in short."""

    canary: str
    kind: str
    says: str
    failures: int


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`failed`: at least one canary failed, so look now."""

    id: str
    failed: bool
    verdicts: tuple[Judged, ...]


def memory_key(canary: str) -> str:
    """Where a canary's history is kept."""
    return f"canary/{canary}"


def run(request: Request, context: Context) -> Step[Response]:
    """Judge each; keep verdict and history."""
    now = yield from call(Clock.now)
    context = yield from shifts.in_force(context)
    canaries = {canary.name: canary for canary in context.settings.canaries}
    verdicts = []
    unprobed = tuple(Probed(canary=name, samples="", problem="the probe itself failed") for name in canaries) if not request.probed else ()
    for probed in request.probed or unprobed:
        canary = canaries[probed.canary]
        samples = (yield from store.load(probed.samples, tuple[Sample, ...])) if probed.samples else ()
        data = yield from call(State.read, memory_key(canary.name))
        memory = codec.decode(data, Memory) if data else Memory()
        verdict, memory = judge(canary, samples, shares(context.topology, canary), memory, bodies(canary, context), at=now)
        says = f"{verdict.says} ({probed.problem})" if probed.problem else verdict.says
        verdict = msgspec.structs.replace(verdict, says=says, run=request.id, trace=samples[0].trace_id if samples else "")
        memory = msgspec.structs.replace(memory, last=verdict)
        yield from call(State.write, memory_key(canary.name), codec.encode(memory))
        if verdict.kind != "good":  # artefacts; a good one is in the history, and its answers are as promised
            yield from store.save(store.key(request.id, f"samples/{canary.name}"), samples)
            yield from store.save(store.key(request.id, f"verdicts/{canary.name}"), verdict)
        yield from call(Telemetry.verdict, verdict, memory)
        verdicts.append(Judged(canary=canary.name, kind=verdict.kind, says=verdict.says, failures=memory.failures))
    return Response(id=request.id, failed=any(v.kind != "good" for v in verdicts), verdicts=tuple(verdicts))


def bodies(canary: CanarySettings, context: Context) -> dict[str, str]:
    """Declared body -> AWS name of the virtual node it means."""
    if canary.expect.mix is None:
        return {}
    names = {key: node.aws_name for node in context.topology.nodes for key in (node.name, node.key, node.aws_name)}
    return {body: names.get(node, node) for body, node in canary.expect.mix.bodies}
