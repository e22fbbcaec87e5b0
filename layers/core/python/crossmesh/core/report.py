"""What a look or a run has to say: counts for machines, lines for people. Kept as journal entries."""

from collections.abc import Iterable

import msgspec

from crossmesh.core.actions import Deregister, Register, RegistryPlan, SetHealth, Withheld
from crossmesh.core.endpoints import POD_UID
from crossmesh.core.mesh_plan import MeshPlan
from crossmesh.core.views import Seen, View


class ClusterLine(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster as last observed; `cause` is "" where it was seen."""

    name: str
    pods: int = 0
    cause: str = ""
    detail: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the world as a look or run found it, and what a run did. `kind`: quiet | apply | observe | paused | applied | superseded | failed."""

    id: str
    kind: str
    at: float
    config: str
    live: str = ""
    version: str = ""
    clusters: tuple[ClusterLine, ...] = ()
    endpoints: int = 0
    registered: int = 0
    adds: int = 0
    removals: int = 0
    health: int = 0  # instances marked HEALTHY or UNHEALTHY
    gates: int = 0  # readiness gates to be opened
    withheld: tuple[str, ...] = ()
    withheld_counts: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    mesh_actions: int = 0
    mesh_withheld: int = 0
    mesh_unavailable: str = ""
    mesh_at: float = 0.0  # of a look: when the mesh was last read and found in order; 0 = it was not
    failed: int = 0  # of a run: actions that were not proved
    stale: int = 0  # instances whose pod is dead: requests sent there are lost (of a run: those left)
    lag: float = -1.0  # of a run: the longest time from a pod's readiness to its proved registration, seconds; below 0 = nothing to measure
    seconds: float = 0.0
    again_at: float = 0.0
    failure: str = ""
    well: float = 0.0  # of a look that failed: when the last one was taken that did not; 0 = never


def cluster_lines(views: tuple[View, ...]) -> tuple[ClusterLine, ...]:
    """The clusters, sorted by name."""
    lines = [
        ClusterLine(name=v.cluster, pods=len(v.pods)) if isinstance(v, Seen) else ClusterLine(name=v.cluster, cause=v.cause, detail=v.detail)
        for v in views
    ]
    return tuple(sorted(lines, key=lambda line: line.name))


def summary(plan: RegistryPlan, mesh: MeshPlan) -> dict[str, object]:
    """The fields of a report that plans fill."""
    counts: dict[str, int] = {}
    for held in plan.withheld:
        counts[held.why] = counts.get(held.why, 0) + 1
    lines = [f"{_subject(held)}: {held.why}: {held.detail}" for held in plan.withheld[:50]]
    lines += [f"{w.target}: {w.detail}" for w in mesh.withheld[:50]]
    return {
        "endpoints": plan.endpoints,
        "stale": stale_instances(plan),
        "registered": plan.registered,
        "adds": sum(1 for action in plan.actions if isinstance(action, Register)),
        "removals": sum(1 for action in plan.actions if isinstance(action, Deregister)),
        "health": sum(1 for action in plan.actions if isinstance(action, SetHealth)),
        "gates": len(plan.gates),
        "withheld": tuple(lines),
        "withheld_counts": counts,
        "notes": (*plan.notes, *mesh.notes),
        "mesh_actions": len(mesh.actions),
        "mesh_withheld": len(mesh.withheld),
        "mesh_unavailable": mesh.unavailable,
        "again_at": plan.again_at,
    }


def _subject(held: Withheld) -> str:
    if held.what == "service":
        return f"all of {held.service}"
    return f"{held.what} {held.id} in {held.service or 'no service'} ({held.pod} of {held.cluster})"


def stale_instances(plan: RegistryPlan) -> int:
    """Instances that are known to lead nowhere: their pod is dead or gone, whether their removal goes ahead now or waits."""
    planned = sum(1 for action in plan.actions if isinstance(action, Deregister) and action.why in ("dead", "gone"))
    return planned + sum(1 for held in plan.withheld if held.what == "deregister" and held.why in ("unconfirmed", "policy", "contested"))


def convergence_lag(added: Iterable[Register], views: tuple[View, ...], now: float) -> float:
    """The longest time, in seconds, from a pod's becoming ready to `now`, when its registration was proved; -1 where no pod tells."""
    changed = {pod.uid: pod.changed for view in views if isinstance(view, Seen) for pod in view.pods if pod.changed}
    times = [changed[uid] for action in added if (uid := action.attributes.get(POD_UID, "")) in changed]
    return round(max(0.0, now - min(times)), 3) if times else -1.0
