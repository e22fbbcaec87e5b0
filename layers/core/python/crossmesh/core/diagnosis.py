"""Why a canary failed: the path of a request walked from the user to the pods, each broken layer named with its evidence and its cure. Pure.

The walk is a list of questions in the order in which a request meets their answers; what is broken comes out in that order, so that the first is the one to
mend first. Three rules keep it from blaming wrongly: what could not be read is not broken; what follows from something deeper that is seen to be broken is
left to that; and what lies beside the canary's way is not looked at.
"""

from collections.abc import Iterator

from crossmesh.core.denied import permission
from crossmesh.core.diagnosis_front import front_breaks
from crossmesh.core.diagnosis_instances import instance_breaks
from crossmesh.core.diagnosis_mesh import mesh_breaks
from crossmesh.core.diagnosis_pods import pod_breaks
from crossmesh.core.facts import Facts
from crossmesh.core.path import Diagnosis
from crossmesh.core.way import Way, way_of

_WALK = (front_breaks, pod_breaks, mesh_breaks, instance_breaks)


def diagnose(facts: Facts) -> tuple[Diagnosis, ...]:
    """Every broken layer on the canary's way, the first in path order first. A failure that no layer explains is said to be that: layer `answers`."""
    way = way_through(facts)
    found = [broken for question in _WALK for broken in question(facts, way)]
    if not found and facts.verdict.kind != "good":
        found = list(_unexplained(facts))
    return (*found, *_own_reads(facts))


def way_through(facts: Facts) -> Way:
    """The way of the canary's requests."""
    return way_of(facts.topology, facts.canary, facts.shares, facts.service.selector if facts.service else {})


def _unexplained(facts: Facts) -> Iterator[Diagnosis]:
    traced = [sample.trace_id for sample in facts.verdict.evidence if sample.trace_id]
    unread = f"; not looked at: {', '.join(u.what for u in facts.unread)}" if facts.unread else ""
    yield Diagnosis(
        layer="answers",
        subject=facts.canary.name,
        what=f"no broken layer was found, and still: {facts.verdict.says}{unread}",
        evidence=tuple(f"{s.status} {s.error} {s.body[:80]!r}" for s in facts.verdict.evidence[:3]),
        cure="the program's own logs" + (f"; trace {traced[0]}" if traced else ""),
        certainty="likely",
    )


def _own_reads(facts: Facts) -> Iterator[Diagnosis]:
    """What the diagnosis itself was not allowed to read: told last, for it breaks no request."""
    for unread in facts.unread:
        broken = permission("diagnosis", unread.why, f"{unread.what} could not be looked at")
        if broken:
            yield broken
