"""Custom health: where the service was made with it, the instance of a live but unwell pod is marked UNHEALTHY and stays."""

import msgspec
from crossmesh.core.observed import Instance, Outlier, ServiceView, Unseen
from crossmesh.core.registry.plan import Deregister, PlannerState, RegistryPlan, SetHealth

from tests.support.builders import context, pod
from tests.support.planning import decide, registered, seen, service

MANY = [pod(f"o{i}", ip=f"10.0.1.{i}") for i in range(9)]
OUTLIERS = {"a.u1": Outlier(uid="u1", evidence="3 of 3 answers were 500", at=99.0)}


def judged(*instances: Instance, **health: str) -> ServiceView:
    there = (*instances, *(registered("a", p) for p in MANY))
    statuses = {instance.id: "HEALTHY" for instance in there} | {f"a.{uid}": status for uid, status in health.items()}
    return service(*there, custom_health=True, health=statuses)


def marks(plan: RegistryPlan) -> list[tuple[str, str]]:
    assert all(isinstance(a, SetHealth) for a in plan.actions)
    return [(a.id, a.status) for a in plan.actions if isinstance(a, SetHealth)]


def test_an_unready_pod_is_marked_and_stays() -> None:
    unready = pod("u1", ready=False)
    found = decide(context(), seen("a", unready, *MANY), seen("b"), registry=judged(registered("a", pod("u1"))))
    assert marks(found) == [("a.u1", "UNHEALTHY")]


def test_it_is_not_asked_again_while_the_answer_may_lag_and_is_after() -> None:
    unready, there = pod("u1", ready=False), judged(registered("a", pod("u1")))
    first = decide(context(), seen("a", unready, *MANY), seen("b"), registry=there, now=100.0)
    assert marks(decide(context(), seen("a", unready, *MANY), seen("b"), registry=there, now=130.0, memory=first.memory)) == []
    assert marks(decide(context(), seen("a", unready, *MANY), seen("b"), registry=there, now=161.0, memory=first.memory)) == [
        ("a.u1", "UNHEALTHY")
    ]


def test_what_is_marked_already_is_quiet() -> None:
    found = decide(context(), seen("a", pod("u1", ready=False), *MANY), seen("b"), registry=judged(registered("a", pod("u1")), u1="UNHEALTHY"))
    assert (found.actions, found.withheld) == ((), ())


def test_ready_again_is_healthy_again_even_within_the_lag() -> None:
    there = judged(registered("a", pod("u1")), u1="UNHEALTHY")
    assert marks(decide(context(), seen("a", pod("u1"), *MANY), seen("b"), registry=there)) == [("a.u1", "HEALTHY")]
    still_shown = judged(registered("a", pod("u1")))
    memory = PlannerState(asked={"a.u1": ("UNHEALTHY", 90.0)})
    assert marks(decide(context(), seen("a", pod("u1"), *MANY), seen("b"), registry=still_shown, memory=memory)) == [("a.u1", "HEALTHY")]


def test_a_dead_pods_instance_leaves_all_the_same() -> None:
    dying = pod("u1", terminating=True)
    (action,) = decide(context(), seen("a", dying, *MANY), seen("b"), registry=judged(registered("a", pod("u1")))).actions
    assert isinstance(action, Deregister)


def test_the_deletion_guard_counts_marks_like_removals() -> None:
    unready = [msgspec.structs.replace(p, containers_ready=False) for p in MANY]
    first = decide(context(), seen("a", *unready), seen("b"), registry=judged())
    assert (first.actions, {w.why for w in first.withheld}) == ((), {"unconfirmed"})
    second = decide(context(), seen("a", *unready, begun=120.0), seen("b"), registry=judged(), memory=first.memory)
    assert len(marks(second)) == 9


def test_those_marked_do_not_count_as_standing() -> None:
    """Nine marked, one live: the one that falls ill now would empty the node, so it waits."""
    unready = [msgspec.structs.replace(p, containers_ready=False) for p in MANY]
    there = judged(registered("a", pod("u1")), **{p.uid: "UNHEALTHY" for p in MANY})
    found = decide(context(), seen("a", pod("u1", ready=False), *unready), seen("b"), registry=there)
    assert found.actions == ()
    assert "empty blue_demo" in found.withheld[0].detail


def test_an_outlier_is_marked_and_held_until_the_canary_takes_it_back() -> None:
    live = (seen("a", pod("u1"), *MANY), seen("b"))
    assert marks(decide(context(), *live, registry=judged(registered("a", pod("u1"))), outliers=OUTLIERS)) == [("a.u1", "UNHEALTHY")]
    down = judged(registered("a", pod("u1")), u1="UNHEALTHY")
    assert marks(decide(context(), *live, registry=down, outliers=OUTLIERS)) == []
    assert marks(decide(context(), *live, registry=down)) == [("a.u1", "HEALTHY")]


def test_what_was_said_of_another_pod_counts_for_nothing() -> None:
    other = {"a.u1": Outlier(uid="u0", evidence="x")}
    assert marks(decide(context(), seen("a", pod("u1"), *MANY), seen("b"), registry=judged(registered("a", pod("u1"))), outliers=other)) == []


def test_without_custom_health_an_outlier_stays_and_is_named() -> None:
    there = service(registered("a", pod("u1")), *(registered("a", p) for p in MANY))
    found = decide(context(), seen("a", pod("u1"), *MANY), seen("b"), registry=there, outliers=OUTLIERS)
    assert found.actions == ()
    assert "3 of 3 answers were 500" in found.notes[0]


def test_nothing_of_an_unseen_cluster_is_marked() -> None:
    there = judged(registered("a", pod("u1")))
    assert decide(context(), Unseen(cluster="a", cause="timeout"), seen("b"), registry=there, outliers=OUTLIERS).actions == ()
