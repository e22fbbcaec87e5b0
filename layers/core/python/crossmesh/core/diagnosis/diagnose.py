"""Why a canary failed: each broken layer between the user and the pods, with evidence and
remediation.

What people ordered comes first (`diagnosis_ordered`). Then follows the walk: a list of questions in
the order in which a request meets their answers. What is broken comes out in that order, so that
the first is the one to mend first. Three rules keep it from blaming wrongly: what could not be read
is not broken; what follows from something deeper that is seen to be broken is left to that; and
what lies beside the canary's way is not looked at.
"""

from collections.abc import Iterator

from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.diagnosis.access_denied import permission, refused_by_cluster
from crossmesh.core.diagnosis.facts import Facts
from crossmesh.core.diagnosis.ingress import front_breaks
from crossmesh.core.diagnosis.instances import instance_breaks
from crossmesh.core.diagnosis.mesh import mesh_breaks
from crossmesh.core.diagnosis.ordered import held_back, ordered
from crossmesh.core.diagnosis.pods import front_pods, pod_breaks
from crossmesh.core.mesh.request_path import RequestPath, request_path_of

_WALK = (front_breaks, pod_breaks, mesh_breaks, instance_breaks)


def diagnose(facts: Facts) -> tuple[Diagnosis, ...]:
    """What people ordered, then every broken layer on the canary's way in path order. A failure
    that no layer explains is said to be that: layer `answers`.
    """
    way = way_through(facts)
    found = [broken for question in _WALK for broken in question(facts, way)]
    if not found and facts.verdict.kind != "good" and not facts.operator.draining:
        found = list(_unexplained(facts))
    return (*ordered(facts, way), *held_back(facts, found), *_own_reads(facts))


def way_through(facts: Facts) -> RequestPath:
    """The way of the canary's requests."""
    selector = facts.service.selector if facts.service else {}
    return request_path_of(facts.topology, facts.canary, facts.shares, selector, front_pods(facts))


def _unexplained(facts: Facts) -> Iterator[Diagnosis]:
    unknown = _unknown_bodies(facts)
    if unknown:
        shown = ", ".join(repr(body[:40]) for body in unknown[:3]) + (" …" if len(unknown) > 3 else "")
        yield Diagnosis(
            layer="answers",
            subject=facts.canary.name,
            what=(
                f"every layer is in order, but answers had bodies that canaries.{facts.canary.name}.expect.mix.bodies"
                f" does not list: {shown}"
            ),
            evidence=(facts.verdict.says,),
            fix=(
                "add these bodies to crossmesh.yaml, with the virtual node that answers so; or correct what the program"
                " answers"
            ),
            certainty="likely",
        )
        return
    traced = [sample.trace_id for sample in facts.verdict.evidence if sample.trace_id]
    unread = f"; not looked at: {', '.join(u.what for u in facts.unread)}" if facts.unread else ""
    yield Diagnosis(
        layer="answers",
        subject=facts.canary.name,
        what=f"no broken layer was found, and still: {facts.verdict.says}{unread}",
        evidence=tuple(f"{s.status} {s.error} {s.body[:80]!r}" for s in facts.verdict.evidence[:3]),
        fix="the program's own logs" + (f"; trace {traced[0]}" if traced else ""),
        certainty="likely",
    )


def _unknown_bodies(facts: Facts) -> list[str]:
    """Bodies of good answers of this run that no virtual node is known by, where the canary has a
    mix.
    """
    if facts.canary.expect.mix is None:
        return []
    wanted = facts.canary.expect.status
    known = {body.strip() for body in facts.bodies}
    return sorted({s.body.strip() for s in facts.samples if not s.error and s.status == wanted} - known)


def _own_reads(facts: Facts) -> Iterator[Diagnosis]:
    """What the diagnosis itself was not allowed to read: told last, for it breaks no request."""
    for unread in facts.unread:
        what = f"{unread.what} could not be looked at"
        broken = permission("diagnosis", unread.why, what) or refused_by_cluster("diagnosis", unread.why, what)
        if broken:
            yield broken
