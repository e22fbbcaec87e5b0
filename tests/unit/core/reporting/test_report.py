"""What a report counts for alarms: dead instances still listed, how long pods waited."""

from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.observed import Problem, Seen, Unseen
from crossmesh.core.registry.namespaces import Namespace, chosen
from crossmesh.core.registry.plan import Deregister, Register, RegistryPlan, Withheld
from crossmesh.core.reporting.report import ClusterLine, Report, convergence_lag, seen_since, stale_instances, summary
from msgspec.structs import replace

from tests.support.builders import pod


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
    told = summary(RegistryPlan(withheld=(whole, one)), MeshSummary())["withheld"]
    assert told == ("all of color.demo: conflict: another", "register a.u in color.demo (demo/p of a): unseen: dark")


def test_the_fix_at_the_end_of_what_is_withheld_is_told_whatever_the_names() -> None:
    space = "n" * 243 + ".local"
    arn = "arn:aws:servicediscovery:us-east-1:444455556666:namespace/ns-0123456789abcdef"
    shared = Namespace(id="ns-1", name=space, arn=arn, kind="DNS_PRIVATE", http_name=space, account="444455556666")
    problem = chosen(space, {}, (), (shared,))
    assert isinstance(problem, Problem)
    one = Withheld(
        what="register",
        service=f"{'s' * 63}.{space}",
        id=f"{'c' * 40}.{'u' * 36}",
        cluster="c" * 40,
        pod=f"{'n' * 63}/{'p' * 253}",
        why="namespace-shared",
        detail=problem.text,
    )
    (line,) = summary(RegistryPlan(withheld=(one,)), MeshSummary())["withheld"]  # type: ignore[misc]
    assert line.endswith(f"{arn}}}}}` in crossmesh.yaml"), line
    assert len(line) <= 1_102


def test_a_run_after_the_look_has_seen_the_clusters_that_it_has_no_cause_for() -> None:
    lines = (ClusterLine(name="a"), ClusterLine(name="b", cause="timeout"))
    look = Report(id="l", kind="quiet", at=100.0, config="c")
    run = Report(id="r", kind="applied", at=105.0, seconds=5.0, config="c", clusters=lines)
    assert seen_since(look, run) == {"a"}
    assert seen_since(look, replace(run, seconds=5.1)) == set(), "it began before the look was over"
    assert seen_since(None, run) == seen_since(look, None) == set()
