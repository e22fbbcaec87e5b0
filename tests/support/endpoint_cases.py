"""Situations of a few pods over two clusters, for what is decided of their endpoints."""

from typing import Any

import msgspec
from crossmesh.core.observed import Instance, Outlier, Pod, Problem, RegistryView, Unseen
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.core.registry.planner import PlanInputs, PlanResult, planned
from crossmesh.core.settings import Policy
from crossmesh.core.topology import LabelSelector
from hypothesis import strategies as st

from tests.support.builders import context, node, pod
from tests.support.planning import DEPLOYMENT, registered, seen, service

STATES = ("ready", "unready", "terminating", "failed", "gone", "unproved", "unselected", "claimed")
CLUSTERS = ("a", "b")
TWIN = msgspec.structs.replace(node("twin"), selector=LabelSelector(labels=(("app", "twin"),)))  # selects pods of blue, too
NODES = (node("blue", color="blue"), node("red", color="red"), TWIN)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One situation: (cluster, state, registered, outlier) of each pod, and what surrounds them."""

    pods: tuple[tuple[str, str, bool, bool], ...]
    unseen: tuple[str, ...] = ()
    custom_health: bool = False
    upsert_only: bool = False
    draining: bool = False
    problem: bool = False
    orphan: bool = False
    began: float = 100.0
    pending_deletions: bool = False


one_pod = st.tuples(st.sampled_from(CLUSTERS), st.sampled_from(STATES), st.booleans(), st.booleans())
cases = st.builds(
    Case,
    pods=st.lists(one_pod, max_size=6).map(tuple),
    unseen=st.lists(st.sampled_from(CLUSTERS), max_size=1).map(tuple),
    custom_health=st.booleans(),
    upsert_only=st.booleans(),
    draining=st.booleans(),
    problem=st.integers(0, 5).map(lambda number: number == 0),
    orphan=st.booleans(),
    pending_deletions=st.booleans(),
)


def made(uid: str, state: str) -> Pod:
    """The pod of a state, as its cluster shows it; for `gone` and `unproved`, as it once was."""
    changes: dict[str, Any] = {"unready": {"ready": False}, "terminating": {"terminating": True}}.get(state, {})
    found = pod(uid, ip=f"10.0.0.{int(uid[1:]) + 1}", **changes)
    if state == "failed":
        return msgspec.structs.replace(found, phase="Failed", containers_ready=False)
    if state == "unselected":
        return msgspec.structs.replace(found, labels={"version": "none"})
    if state == "claimed":
        return msgspec.structs.replace(found, labels={"version": "blue", "app": "twin"})
    return found


def instances(case: Case) -> tuple[Instance, ...]:
    """What is registered of them; an orphan's cluster is in no settings."""
    found = [registered(cluster, made(f"u{number}", "ready")) for number, (cluster, _, there, _) in enumerate(case.pods) if there]
    if case.orphan:
        strange = registered("a", made("u99", "ready"))
        found.append(msgspec.structs.replace(strange, id="old.u99", attributes={**strange.attributes, "crossmesh/cluster": "old"}))
    return tuple(found)


def played(case: Case) -> PlanResult:
    """What is decided and planned."""
    return planned(inputs(case))


def inputs(case: Case) -> PlanInputs:
    """The planner's inputs of a situation."""
    shown: dict[str, list[Pod]] = {name: [] for name in CLUSTERS}
    gone: dict[str, list[str]] = {name: [] for name in CLUSTERS}
    for number, (cluster, state, _, _) in enumerate(case.pods):
        if state == "gone":
            gone[cluster].append(f"u{number}")
        elif state != "unproved":
            shown[cluster].append(made(f"u{number}", state))
    views = [
        Unseen(cluster=name, cause="timeout") if name in case.unseen else seen(name, *shown[name], gone=tuple(gone[name]), begun=case.began)
        for name in CLUSTERS
    ]
    held = service(*instances(case), custom_health=case.custom_health)
    if case.problem:
        held = msgspec.structs.replace(held, problem=Problem(why="unreadable", detail="refused", fix="allow it"))
    where = context(*NODES, policy=Policy(removals="upsert-only") if case.upsert_only else None)
    outliers = {f"{c}.u{n}": Outlier(uid=f"u{n}", evidence="answers 503", at=90.0) for n, (c, _, _, ill) in enumerate(case.pods) if ill}
    clocks = {f"{held.key}/{i.id}": 1.0 for i in held.instances} if case.pending_deletions else {}
    return PlanInputs(
        settings=where.settings,
        topology=where.topology,
        views=tuple(views),
        registry=RegistryView(begun=case.began, services=(held,)),
        memory=PlannerState(pending_deletions=clocks),
        operator=ManualOverrides(draining=1.0 if case.draining else 0.0),
        deployment=DEPLOYMENT,
        outliers=outliers,
    )
