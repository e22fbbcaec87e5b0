"""Step `Diagnose canary`: name what is broken for each canary that failed, keep it with its verdict, and mark instances that are proven dead.

One call for all canaries of an execution: what they share is read once, and one healer decides. Also called while marks are in force though every canary is
good: a mark must end when its instance answers again.
"""

import msgspec

from crossmesh import codec
from crossmesh.core.canary import Memory, Sample, Verdict
from crossmesh.core.diagnosis import diagnose, way_through
from crossmesh.core.diagnosis_mesh import closed
from crossmesh.core.openings import Opening
from crossmesh.ports import State
from crossmesh.steps import facts, judge_canary, open_ports, shifts, sick, store
from crossmesh.steps.calls import Step, call
from crossmesh.steps.context import Context


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was judged in this execution."""

    id: str
    judged: tuple[judge_canary.Response, ...]


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """One canary and what is broken for it, in path order, each as `layer:subject`."""

    canary: str
    broken: tuple[str, ...]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """`failed`: a canary failed, so look now; `marked`: instances newly marked."""

    id: str
    failed: bool
    named: tuple[Named, ...] = ()
    marked: tuple[str, ...] = ()


def run(request: Request, context: Context) -> Step[Response]:
    """Gather, diagnose each, remember, heal."""
    known = yield from facts.common(context)
    context = yield from shifts.in_force(known.seen.context if known.seen else context)
    named = []
    closed_ports: list[Opening] = []
    judged = [verdict for response in request.judged for verdict in response.verdicts if verdict.kind != "good"]
    for one in judged:
        where = store.key(request.id, f"verdicts/{one.canary}")
        verdict = yield from store.load(where, Verdict)
        samples = (yield from store.load(one.samples, tuple[Sample, ...])) if one.samples else ()
        found = yield from facts.of_canary(context.canary(one.canary), verdict, samples, one.problem, known, context)
        diagnoses = diagnose(found)
        verdict = msgspec.structs.replace(verdict, diagnoses=diagnoses)
        yield from store.save(where, verdict)
        yield from _remember(verdict)
        if context.settings.security_groups == "open":
            closed_ports += closed(found, way_through(found))
        named.append(Named(canary=one.canary, broken=tuple(d.key for d in diagnoses)))
    if closed_ports:
        yield from open_ports.ask(closed_ports)
    marked: tuple[str, ...] = ()
    if known.seen is not None and context.mode == "apply" and not known.seen.operator.paused:
        marked = yield from sick.review(request.id, known.seen.registry, known.seen.views, known.probes, owner=context.settings.owner)
    return Response(id=request.id, failed=bool(judged), named=tuple(named), marked=marked)


def _remember(verdict: Verdict) -> Step[None]:
    """Put the diagnosed verdict into the canary's history, unless a later run has left its own there meanwhile."""
    key = judge_canary.memory_key(verdict.canary)
    data = yield from call(State.read, key)
    memory = codec.decode(data, Memory) if data else Memory()
    if memory.last is not None and memory.last.at == verdict.at:
        yield from call(State.write, key, codec.encode(msgspec.structs.replace(memory, last=verdict)))
