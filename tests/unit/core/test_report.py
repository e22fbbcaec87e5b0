"""What a report counts for alarms: dead instances still listed, how long pods waited."""

from crossmesh.core.actions import Deregister, Register, RegistryPlan, Withheld
from crossmesh.core.mesh_plan import MeshPlan
from crossmesh.core.report import convergence_lag, stale_instances, summary
from crossmesh.core.views import Seen, Unseen
from msgspec.structs import replace

from tests.builders import pod


def removal(why: str) -> Deregister:
    return Deregister(
        namespace="n",
        service="s",
        id="i",
        owner="o",
        cluster="a",
        uid="u",
        node="blue",
        pod="p",
        why=why,
        reason="r",  # type: ignore[arg-type]
    )


def held(what: str, why: str) -> Withheld:
    return Withheld(what=what, service="s", id="i", why=why, detail="d")  # type: ignore[arg-type]


def added(uid: str) -> Register:
    return Register(namespace="n", service="s", id=uid, cluster="a", node="blue", pod="p", attributes={"crossmesh/pod-uid": uid}, reason="r")


def test_instances_of_dead_pods_are_stale_those_of_unready_or_unseen_ones_are_not() -> None:
    plan = RegistryPlan(
        actions=(removal("dead"), removal("gone"), removal("unready"), removal("unselected"), added("u")),
        withheld=(held("deregister", "unconfirmed"), held("deregister", "policy"), held("deregister", "unseen"), held("register", "policy")),
    )
    assert stale_instances(plan) == 4


def test_the_lag_is_the_longest_wait_of_a_pod_from_ready_to_registered() -> None:
    views = (
        Seen(cluster="a", identity="i", begun=0.0, pods=(replace(pod("old"), changed=10.0), replace(pod("new"), changed=17.5))),
        Unseen(cluster="b", cause="timeout"),
    )
    assert convergence_lag([added("old"), added("new")], views, 20.0) == 10.0
    assert convergence_lag([added("new")], views, 20.0) == 2.5
    assert convergence_lag([added("new")], views, 17.0) == 0.0, "the cluster's clock may be ahead"


def test_without_a_pod_that_tells_there_is_no_lag() -> None:
    views = (Seen(cluster="a", identity="i", begun=0.0, pods=(pod("u"),)),)
    assert convergence_lag([], views, 20.0) == convergence_lag([added("u")], views, 20.0) == convergence_lag([added("x")], views, 20.0) == -1.0


def test_what_is_withheld_is_told_by_instance_or_for_a_service_as_a_whole() -> None:
    whole = Withheld(what="service", service="color.demo", id="", why="conflict", detail="another")
    one = Withheld(what="register", service="color.demo", id="a.u", cluster="a", pod="demo/p", why="unseen", detail="dark")
    told = summary(RegistryPlan(withheld=(whole, one)), MeshPlan())["withheld"]
    assert told == ("all of color.demo: conflict: another", "register a.u in color.demo (demo/p of a): unseen: dark")
