"""Step `Diagnose canary`: name what is broken for each canary that failed, keep it with its
verdict, and mark instances that are proven dead.

One call for all canaries of an execution: what they share is read once, and one holder of the
outliers' lease decides. It is also called while marks are in force and every canary is good: a mark
ends when its instance answers again.
"""

from collections.abc import Sequence

import msgspec

from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.canary.history import CanaryHistory, bounded, memory_key
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.diagnosis.diagnose import diagnose, way_through
from crossmesh.core.diagnosis.ingress_rules import RequiredIngress
from crossmesh.core.diagnosis.mesh import closed
from crossmesh.effects import Step, call
from crossmesh.ports import State
from crossmesh.usecases import facts, open_ports, state, traffic_shifts
from crossmesh.usecases import outliers as outliers
from crossmesh.usecases.canary import Judgement
from crossmesh.usecases.context import Context
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was judged in this execution."""

    id: str
    judged: tuple[Judgement, ...]


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
    known = yield from facts.shared(context)
    context = yield from traffic_shifts.in_force(known.seen.context if known.seen else context)
    named = []
    closed_ports: list[RequiredIngress] = []
    judged = [verdict for response in request.judged for verdict in response.verdicts if verdict.kind != "good"]
    for one in judged:
        where = state.key(request.id, f"verdicts/{one.canary}")
        verdict = yield from state.load(where, Verdict)
        samples = (yield from state.load(one.samples, tuple[Sample, ...])) if one.samples else ()
        found = yield from facts.of_canary(context.canary(one.canary), verdict, samples, one.problem, known, context)
        diagnoses = diagnose(found)
        verdict = bounded(CanaryHistory(last=msgspec.structs.replace(verdict, diagnoses=diagnoses))).last or verdict
        yield from state.save(where, verdict)
        yield from _remember(verdict)
        if context.settings.security_groups == "open":
            closed_ports += closed(found, way_through(found))
        named.append(Named(canary=one.canary, broken=told([d.key for d in diagnoses])))
    if closed_ports:
        yield from open_ports.ask(closed_ports, context.settings.open_ports)
    marked: tuple[str, ...] = ()
    if known.seen is not None and context.mode == "apply" and not known.seen.operator.paused:
        marked = yield from outliers.review_outliers(
            request.id, known.seen.registry, known.seen.views, known.probes, owner=context.settings.owner
        )
    return Response(id=request.id, failed=bool(judged), named=tuple(named), marked=marks(marked))


def told(broken: Sequence[str]) -> tuple[str, ...]:
    """What a state carries of a canary's findings; all of them are in its verdict."""
    return bounds.lines(broken, 3, 80)


def marks(ids: Sequence[str]) -> tuple[str, ...]:
    """What a state carries of the instances marked; all of them are in the table."""
    return bounds.lines(ids, 50, 80)


def _remember(verdict: Verdict) -> Step[None]:
    """Put the diagnosed verdict into the canary's history, unless a later run has left its own
    there meanwhile.
    """
    key = memory_key(verdict.canary)
    data = yield from call(State.read, key)
    memory = codec.decode(data, CanaryHistory) if data else CanaryHistory()
    if memory.last is not None and memory.last.at == verdict.at:
        yield from call(State.write, key, codec.encode(bounded(msgspec.structs.replace(memory, last=verdict))))


TASK = Task(name="diagnose_canary", request=Request, run=run)
