"""Step `Judge canary`: compare what came with what the routes promise, and remember the verdict."""

import msgspec

from crossmesh import codec
from crossmesh.core.canary import Memory, Sample, glitch_of, judge, shares
from crossmesh.core.settings import CanarySettings
from crossmesh.ports import Clock, State, Telemetry
from crossmesh.steps import shifts, sick, store
from crossmesh.steps.calls import Step, call
from crossmesh.steps.context import Context
from crossmesh.steps.probe_front import Probed


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The samples to judge: of the first attempt or, where that failed by anything but the mix, of the second and last, with what the first failed by.

    `canary`, `failure`: whose probe itself failed and how, as the state machine caught it; then there are no samples.
    """

    id: str
    probed: tuple[Probed, ...] = ()
    attempt: int = 2
    glitch: str = ""
    canary: str = ""
    failure: dict[str, str] = {}


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One canary's verdict in short."""

    canary: str
    kind: str
    says: str
    failures: int
    samples: str = ""
    problem: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`failed`: at least one canary failed, so look now. `again`: nothing is remembered yet, for it may have been a glitch (`glitch`): probe once more."""

    id: str
    failed: bool
    verdicts: tuple[Judged, ...]
    again: bool = False
    glitch: str = ""
    sick: bool = False


def memory_key(canary: str) -> str:
    """Where a canary's history is kept."""
    return f"canary/{canary}"


def run(request: Request, context: Context) -> Step[Response]:
    """Judge each; keep verdict and history, unless a first try should be repeated."""
    now = yield from call(Clock.now)
    contexts = yield from shifts.answering(context)
    verdicts, glitches = [], []
    for probed in request.probed or _unprobed(request, context):
        canary = context.canary(probed.canary)
        samples = (yield from store.load(probed.samples, tuple[Sample, ...])) if probed.samples else ()
        data = yield from call(State.read, memory_key(canary.name))
        before = codec.decode(data, Memory) if data else Memory()
        judged = [judge(canary, samples, shares(c.topology, canary), before, bodies(canary, c), at=now) for c in contexts]
        verdict, memory = next((found for found in judged if found[0].kind == "good"), judged[0])
        if request.attempt == 1 and (glitch := glitch_of(verdict)):
            glitches.append(glitch)
            continue
        said = f"{verdict.says} ({probed.problem})" if probed.problem else verdict.says
        trace = samples[0].trace_id if samples else ""
        verdict = msgspec.structs.replace(verdict, says=said, glitch=request.glitch, run=request.id, trace=trace)
        memory = msgspec.structs.replace(memory, last=verdict)
        yield from call(State.write, memory_key(canary.name), codec.encode(memory))
        if verdict.kind != "good":  # artefacts; a good one is in the history, and its answers are as promised
            yield from store.save(store.key(request.id, f"samples/{canary.name}"), samples)
            yield from store.save(store.key(request.id, f"verdicts/{canary.name}"), verdict)
        yield from call(Telemetry.verdict, verdict, memory)
        verdicts.append(
            Judged(
                canary=canary.name,
                kind=verdict.kind,
                says=verdict.says,
                failures=memory.failures,
                samples=store.key(request.id, f"samples/{canary.name}") if verdict.kind != "good" else "",
                problem=probed.problem,
            )
        )
    remembered = yield from sick.read()
    return Response(
        id=request.id,
        failed=any(v.kind != "good" for v in verdicts),
        verdicts=tuple(verdicts),
        again=bool(glitches),
        glitch="; ".join(glitches)[:500],
        sick=bool(remembered),
    )


def _unprobed(request: Request, context: Context) -> tuple[Probed, ...]:
    """One entry a canary whose probe failed as a whole: no data is a failure too, and says why."""
    names = (request.canary,) if request.canary else tuple(canary.name for canary in context.settings.canaries)
    why = f"{request.failure.get('Error', '')}: {request.failure.get('Cause', '')[:1000]}" if request.failure else ""
    return tuple(
        Probed(canary=name, samples="", problem=f"the probe itself failed: {why}" if why else "the probe itself failed") for name in names
    )


def bodies(canary: CanarySettings, context: Context) -> dict[str, str]:
    """Declared body -> AWS name of the virtual node it means."""
    if canary.expect.mix is None:
        return {}
    names = {key: node.aws_name for node in context.topology.nodes for key in (node.name, node.key, node.aws_name)}
    return {body: names.get(node, node) for body, node in canary.expect.mix.bodies}
