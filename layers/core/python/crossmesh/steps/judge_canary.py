"""Step `Judge canary`: compare what came with what the routes promise, and remember the verdict."""

import msgspec

from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.canary.history import CanaryHistory, bounded, memory_key
from crossmesh.core.canary.judge import flake_of, judge
from crossmesh.core.canary.sample import Sample
from crossmesh.core.mesh.expected_split import shares
from crossmesh.effects import Step, call
from crossmesh.ports import Clock, State, Telemetry
from crossmesh.usecases import canary_runs, state, traffic_shifts
from crossmesh.usecases import outliers as outliers
from crossmesh.usecases.canary import SAID, Judged, Judgement, Probed, bodies
from crossmesh.usecases.context import Context
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The samples to judge: of the first attempt or, where that failed by anything but the mix, of
    the second and last, with what the first failed by.

    `canary`, `failure`: whose probe itself failed and how, as the state machine caught it; then
    there are no samples. `requested`: somebody asked for the run. Where it gave no data, that says
    nothing of the canary: whoever may ask could make it so.
    """

    id: str
    probed: tuple[Probed, ...] = ()
    attempt: int = 2
    flake: str = ""
    canary: str = ""
    failure: dict[str, str] = {}
    requested: bool = False


# Of one canary, of all: the diagnosis reads the missing right out of it
PROBLEM, PROBLEMS = 400, 26_000


def run(request: Request, context: Context) -> Step[Judgement]:
    """Judge each; keep verdict and history, unless a first try should be repeated."""
    now = yield from call(Clock.now)
    contexts = yield from traffic_shifts.answering(context)
    verdicts, flakes = [], []
    for probed in request.probed or _unprobed(request, context):
        canary = context.canary(probed.canary)
        samples = (yield from state.load(probed.samples, tuple[Sample, ...])) if probed.samples else ()
        data = yield from call(State.read, memory_key(canary.name))
        before = codec.decode(data, CanaryHistory) if data else CanaryHistory()
        judged = [
            judge(canary, samples, shares(c.topology, canary), before, bodies(canary, c), at=now) for c in contexts
        ]
        verdict, memory = next((found for found in judged if found[0].kind == "good"), judged[0])
        if request.attempt == 1 and (flake := flake_of(verdict)):
            flakes.append(flake)
            continue
        said = f"{verdict.says} ({probed.problem[:1000]})" if probed.problem else verdict.says
        trace = samples[0].trace_id if samples else ""
        verdict = msgspec.structs.replace(verdict, says=said, flake=request.flake, run=request.id, trace=trace)
        memory = bounded(msgspec.structs.replace(memory, last=verdict))
        empty = request.requested and verdict.kind == "no-data"
        if not empty:
            yield from call(State.write, memory_key(canary.name), codec.encode(memory))
        # Artefacts; a good one is in the history, and its answers are as promised
        if verdict.kind != "good":
            yield from state.save(state.key(request.id, f"samples/{canary.name}"), samples)
            yield from state.save(state.key(request.id, f"verdicts/{canary.name}"), verdict)
        yield from canary_runs.end(canary.name, request.id, requested=request.requested)
        if empty:
            continue
        yield from call(Telemetry.verdict, verdict, memory)
        verdicts.append(
            Judged(
                canary=canary.name,
                kind=verdict.kind,
                says=bounds.text(verdict.says, SAID),
                failures=memory.failures,
                samples=state.key(request.id, f"samples/{canary.name}") if verdict.kind != "good" else "",
                problem=problem_of(probed.problem, len(context.settings.canaries)),
            )
        )
    remembered = yield from outliers.read()
    return Judgement(
        id=request.id,
        failed=any(v.kind != "good" for v in verdicts),
        verdicts=tuple(verdicts),
        again=bool(flakes),
        flake=bounds.text("; ".join(flakes), SAID),
        outliers=bool(remembered),
    )


def problem_of(said: str, canaries: int) -> str:
    """What a state carries of why a probe failed, one canary of so many."""
    return bounds.text(said, min(PROBLEM, PROBLEMS // max(1, canaries)))


def _unprobed(request: Request, context: Context) -> tuple[Probed, ...]:
    """One entry a canary whose probe failed as a whole: no data is a failure too, and says why."""
    names = (request.canary,) if request.canary else tuple(canary.name for canary in context.settings.canaries)
    why = f"{request.failure.get('Error', '')}: {request.failure.get('Cause', '')[:1000]}" if request.failure else ""
    return tuple(
        Probed(canary=name, samples="", problem=f"the probe itself failed: {why}" if why else "the probe itself failed")
        for name in names
    )


TASK = Task(name="judge_canary", request=Request, run=run, manifests="active")
