"""What a look or a run has to say: counts for machines, lines for people. Kept as journal
entries.
"""

from collections.abc import Iterable, Iterator

import msgspec

from crossmesh.core import bounds
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.observed import Seen, View
from crossmesh.core.patience import Slow
from crossmesh.core.registry.churn import Deferral
from crossmesh.core.registry.drift import Concerns
from crossmesh.core.registry.endpoints import POD_UID
from crossmesh.core.registry.plan import Deregister, Register, RegistryPlan, SetHealth, Withheld


class ClusterLine(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster as last observed; `cause` is "" where it was seen."""

    name: str
    pods: int = 0
    cause: str = ""
    detail: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the world as a look or run found it, and what a run did. `kind`: quiet | apply |
    deferred | observe | paused | applied | superseded | failed.
    """

    id: str
    kind: str
    # What started it: hint | schedule | drift | alarm | canary | again | confirmation | deferred |
    # manual; "" = not recorded
    cause: str = ""
    at: float
    config: str
    live: str = ""
    version: str = ""
    clusters: tuple[ClusterLine, ...] = ()
    endpoints: int = 0
    registered: int = 0
    adds: int = 0
    removals: int = 0
    # Of a look: registered instances kept marked UNHEALTHY, behind which no endpoint stands
    down: int = 0
    waiting: int = 0  # withheld removals that go ahead by themselves after a confirmation
    # Of a look: virtual nodes and services that its plan leaves without an instance, and why
    emptied: tuple[str, ...] = ()
    health: int = 0  # instances marked HEALTHY or UNHEALTHY
    gates: int = 0  # readiness gates to be opened
    withheld: tuple[str, ...] = ()
    withheld_counts: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    mesh_actions: int = 0
    mesh_withheld: int = 0
    mesh_unavailable: str = ""
    # Of a look: when looks asked for runs within the last 10 minutes, the newest 60
    ran: tuple[float, ...] = ()
    deferral: Deferral | None = None  # of a look: the later look that is due
    # Of a look: when App Mesh last gave no answer at all; 0 = it did, or nobody asked
    mesh_gone: float = 0.0
    # Of a look: when the mesh was last read and found in order; 0 = it was not
    mesh_at: float = 0.0
    # Of a run: our instances registered when it ended, each change proved; below 0 = not known
    ours: int = -1
    failed: int = 0  # of a run: actions that were not proved
    # Instances whose pod is dead: requests sent there are lost (of a run: those left)
    stale: int = 0
    # Of a run: the longest time from a pod's readiness to its proved registration, seconds; below 0
    # = nothing to measure
    lag: float = -1.0
    seconds: float = 0.0
    again_at: float = 0.0
    failure: str = ""
    # Of a look: clusters that it waited for in vain, for which the next looks wait less
    slow: dict[str, Slow] = {}
    # Of a look: what our services and meshes are known by, for changes that CloudTrail tells of
    concerns: Concerns | None = None
    well: float = 0.0  # of a look that failed: when the last one was taken that did not; 0 = never


_DETAIL = 300  # bytes of what a cluster or a guard says
# Bytes of a withheld change: what it is, and why with the fix, which stands at the end and is not
# cut off
_SUBJECT, _REASON = 300, 800
_CLUSTERS = 100  # lines in the shortest form, the unseen first


def forms(report: Report) -> Iterator[Report]:
    """The report, then ever shorter ones: what is kept must fit, however many clusters there are
    and whatever they say.
    """
    yield report
    clusters = tuple(msgspec.structs.replace(line, detail=bounds.text(line.detail, 60)) for line in report.clusters)
    withheld, notes = bounds.lines(report.withheld, 10, 100), bounds.lines(report.notes, 10, 200)
    yield msgspec.structs.replace(
        report, clusters=clusters, withheld=withheld, notes=notes, emptied=bounds.lines(report.emptied, 10, 200)
    )
    unseen = sorted(clusters, key=lambda line: (not line.cause, line.name))
    left = (f"{len(unseen) - _CLUSTERS:,} clusters more are left out here",) if len(unseen) > _CLUSTERS else ()
    few = tuple(sorted(unseen[:_CLUSTERS], key=lambda line: line.name))
    said = sum(report.withheld_counts.values())
    notes = (*left, "this report is shortened: it could not be kept as it was")
    yield msgspec.structs.replace(
        report,
        clusters=few,
        concerns=None,
        withheld=(f"{said:,} actions",) if said else (),
        emptied=(f"{len(report.emptied):,} virtual nodes and services",) if report.emptied else (),
        notes=notes,
        failure=bounds.text(report.failure, 200),
        mesh_unavailable=bounds.text(report.mesh_unavailable, 200),
    )


def began(report: Report) -> float:
    """When the look or run that it tells of began, in seconds since the epoch."""
    return report.at - report.seconds


def seen_since(look: Report | None, run: Report | None) -> frozenset[str]:
    """The clusters that a run saw which began after the look."""
    if look is None or run is None or began(run) < look.at:
        return frozenset()
    return frozenset(line.name for line in run.clusters if not line.cause)


def cluster_lines(views: tuple[View, ...]) -> tuple[ClusterLine, ...]:
    """The clusters, sorted by name."""
    lines = [
        ClusterLine(name=v.cluster, pods=len(v.pods))
        if isinstance(v, Seen)
        else ClusterLine(name=v.cluster, cause=bounds.text(v.cause, 100), detail=bounds.text(v.detail, _DETAIL))
        for v in views
    ]
    return tuple(sorted(lines, key=lambda line: line.name))


def summary(plan: RegistryPlan, mesh: MeshSummary) -> dict[str, object]:
    """The fields of a report that plans fill."""
    counts: dict[str, int] = {}
    for held in plan.withheld:
        counts[held.why] = counts.get(held.why, 0) + 1
    lines = _withheld(((_subject(held), f"{held.why}: {held.detail}") for held in plan.withheld), len(plan.withheld))
    lines += _withheld(
        ((str(held.target), f"{held.detail}. Fix: {held.fix}") for held in mesh.withheld), len(mesh.withheld)
    )
    return {
        "endpoints": plan.endpoints,
        "stale": stale_instances(plan),
        "registered": plan.registered,
        "adds": sum(1 for action in plan.actions if isinstance(action, Register)),
        "removals": sum(1 for action in plan.actions if isinstance(action, Deregister)),
        "health": sum(1 for action in plan.actions if isinstance(action, SetHealth)),
        "gates": len(plan.gates),
        "waiting": sum(held.unconfirmed for held in plan.withheld),
        "withheld": lines,
        "withheld_counts": counts,
        "notes": bounds.lines((*plan.notes, *mesh.notes)),
        "mesh_actions": len(mesh.changes),
        "mesh_withheld": len(mesh.withheld),
        "mesh_unavailable": bounds.text(mesh.unavailable),
        "again_at": plan.again_at,
    }


def _withheld(said: Iterable[tuple[str, str]], count: int) -> tuple[str, ...]:
    """Lines of what is withheld and why. Each half has its own bound, so that a long name does not
    cut the fix off.
    """
    told = (f"{bounds.text(subject, _SUBJECT)}: {bounds.text(reason, _REASON)}" for subject, reason in said)
    return bounds.lines(told, each=_SUBJECT + _REASON + 2, count=count)


def _subject(held: Withheld) -> str:
    if held.what == "service":
        return f"all of {held.service}"
    return f"{held.what} {held.id} in {held.service or 'no service'} ({held.pod} of {held.cluster})"


def stale_instances(plan: RegistryPlan) -> int:
    """Instances that are known to lead nowhere: their pod is dead or gone, whether their removal
    goes ahead now or waits.
    """
    planned = sum(1 for action in plan.actions if isinstance(action, Deregister) and action.why in ("dead", "gone"))
    return planned + sum(
        1
        for held in plan.withheld
        if held.what == "deregister" and held.why in ("unconfirmed", "policy", "competing-writer")
    )


def convergence_lag(added: Iterable[Register], views: tuple[View, ...], now: float) -> float:
    """The longest time, in seconds, from a pod's becoming ready to `now`, when its registration was
    proved; -1 where no pod tells.
    """
    changed = {
        (view.cluster, pod.uid): pod.changed
        for view in views
        if isinstance(view, Seen)
        for pod in view.pods
        if pod.changed
    }
    times = [
        changed[pod] for action in added if (pod := (action.cluster, action.attributes.get(POD_UID, ""))) in changed
    ]
    return round(max(0.0, now - min(times)), 3) if times else -1.0
