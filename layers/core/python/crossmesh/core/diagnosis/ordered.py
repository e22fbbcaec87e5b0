"""What people ordered and is in force: a drain, a pause, Mode=observe, a shift of weights. Told
before whatever is broken, for it is often why. Pure.
"""

from collections.abc import Iterator, Mapping

import msgspec

from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.diagnosis.facts import Facts
from crossmesh.core.mesh.backend import MeshChange
from crossmesh.core.mesh.request_path import RequestPath
from crossmesh.core.mesh.shift_lines import describe_shift, moment
from crossmesh.core.mesh.shift_weights import Progress, Shift, steps_of, weights_at
from crossmesh.core.registry.overrides import describe_drain, paused

OBSERVES = "Mode is observe: nothing is applied"
RESUME = "`crossmesh resume` ends it"
DEPLOY = "deploy with Mode=apply when its plan is what you want"


def ordered(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """The most drastic first. Shifts of routes beside the canary's way are left out."""
    if facts.operator.draining:
        yield _said("drain", describe_drain(facts.operator), RESUME)
    elif facts.operator.paused:
        yield _said("pause", paused(facts.operator), RESUME)
    if facts.mode == "observe":
        yield _said("mode", OBSERVES, DEPLOY)
    on_it = [one for one in facts.shifts if ("virtualRouter", one.router) in way.resources]
    running = [one for one in on_it if not _over(one, facts)]
    routes = {(one.mesh, one.router, one.route) for one in running}
    ending = [one for one in on_it if _over(one, facts) and (one.mesh, one.router, one.route) not in routes]
    for one in (*running, *ending):
        moving = any(moves(change, one) for change in (facts.mesh.changes if facts.mesh else ()))
        if moving or (one in running and one.id in facts.progress):
            yield _shift(one, facts, moving=moving)


def _over(one: Shift, facts: Facts) -> bool:
    return facts.progress.get(one.id, Progress()).ended != ""


def explains(facts: Facts, change: MeshChange) -> bool:
    """Whether a difference in the mesh is nothing but what a shift does: it begins, goes on, or
    ends.
    """
    return any(moves(change, one) for one in facts.shifts)


def moves(change: MeshChange, shift: Shift) -> bool:
    """Whether the weights found are those of one of the shift's steps, and nothing else of its
    route differs. Other weights are somebody else's doing.
    """
    target = change.target
    if change.action != "update" or (target.kind, target.mesh, target.parent, target.name) != (
        "route",
        shift.mesh,
        shift.router,
        shift.route,
    ):
        return False
    return change.weights is not None and any(
        change.weights == _shown(weights_at(shift, step)) for step in range(steps_of(shift) + 1)
    )


def held_back(facts: Facts, diagnoses: list[Diagnosis]) -> list[Diagnosis]:
    """No run fixes anything while nothing is applied, so none is promised."""
    if facts.operator.paused and not facts.operator.draining:
        first = "nothing is applied while it is paused: `crossmesh resume` first"
    elif facts.mode == "observe":
        first = "nothing is applied in Mode=observe: deploy with Mode=apply first"
    else:
        return diagnoses
    return [
        msgspec.structs.replace(one, heals=False, fix=f"{first}; then {one.fix}") if one.heals else one
        for one in diagnoses
    ]


def _said(subject: str, what: str, fix: str) -> Diagnosis:
    return Diagnosis(layer="ordered", subject=subject, what=what, fix=fix)


def _shift(one: Shift, facts: Facts, *, moving: bool) -> Diagnosis:
    since = f"asked for by {one.by or 'hand'} at {moment(one.begun)}"
    over = _over(one, facts)
    evidence = (since,) if over else (since, "its weights are in force in place of the declared ones")
    end = f"`crossmesh shift {one.service} --route {one.route} --end`"
    return Diagnosis(
        layer="ordered",
        subject=f"shift {one.service}/{one.route}",
        what=describe_shift(one, facts.progress.get(one.id), facts.shifts),
        evidence=(*evidence, "the mesh does not have these weights yet: the next run writes them")
        if moving
        else evidence,
        fix="nothing: the next run writes the declared weights"
        if over
        else f"{end} brings the declared weights back; a red canary does so, too",
        heals=over,
    )


def _shown(weights: Mapping[str, int]) -> dict[str, int]:
    return {name: weight for name, weight in weights.items() if weight}
