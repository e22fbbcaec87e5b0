"""The endpoint decision where a mesh backend serves endpoints itself."""

import msgspec
import pytest
from crossmesh.core.observed import Instance, Pod, Problem, RegistryView, Seen, ServiceView, Unseen, View
from crossmesh.core.registry.decision import by_service
from crossmesh.core.registry.plan import PlannerState
from crossmesh.core.registry.planner import PlanInputs, PlanResult, planned
from crossmesh.usecases.context import Context

from tests.support.builders import NAMESPACE, context, pod
from tests.support.planning import DEPLOYMENT, registered, seen, service

KEY = f"color.{NAMESPACE}"
MANY = tuple(pod("n" * count, ip=f"10.0.1.{count}") for count in range(3, 13))  # enough that one less is no mass removal
PROBLEMS = {
    "unreadable": Problem(why="unreadable", detail="throttled", fix="wait"),
    "no namespace": Problem(why="namespace-missing", detail="there is none", fix="make it"),
}


def decide(
    *views: View,
    served: tuple[Instance, ...],
    registry: ServiceView | None = None,
    memory: PlannerState | None = None,
    where: Context | None = None,
    now: float = 100.0,
) -> PlanResult:
    """A plan where a backend serves these instances; nothing is registered unless said."""
    here = where or context()
    return planned(
        PlanInputs(
            settings=here.settings,
            topology=here.topology,
            views=views,
            registry=RegistryView(begun=now, services=(registry or service(),), served={KEY: served}),
            memory=memory or PlannerState(),
            deployment=DEPLOYMENT,
        )
    )


def fate(found: PlanResult, ident: str) -> tuple[str, str]:
    """What was decided of one instance; "in" where nothing else was."""
    one = by_service(found.endpoints.decided).get(KEY, {}).get(ident)
    return (one.fate, one.why) if one is not None else ("in", "")


def stays(found: PlanResult) -> set[str]:
    """Everything that stays in force."""
    return {one.id for one in found.endpoints.endpoints} | {one.id for one in found.endpoints.others.get(KEY, ())}


def changed(of: Pod, **changes: object) -> Pod:
    return msgspec.structs.replace(of, **changes)


STRANGE: dict[str, ServiceView] = {
    "registered by nobody": service(),
    "no such service": service(exists=False),
    **{name: service(problem=problem) for name, problem in PROBLEMS.items()},
    "full": service(*(Instance(id=f"x{number}", attributes={}) for number in range(1_000))),
}


@pytest.mark.parametrize("registry", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (seen("a", pod("u1"), *MANY), ("in", "")),
        (seen("a", pod("u1", terminating=True), *MANY), ("may-go", "dead")),
        (seen("a", changed(pod("u1"), phase="Failed"), *MANY), ("may-go", "dead")),
        (seen("a", pod("u1", ready=False), *MANY), ("unhealthy", "unready")),
        (seen("a", *MANY, gone=("u1",)), ("may-go", "gone")),
        (seen("a", *MANY), ("must-stay", "unseen")),
        (seen("a", pod("u1", "other"), *MANY), ("may-go", "unselected")),
        (Unseen(cluster="a", cause="timeout"), ("must-stay", "unseen")),
    ],
    ids=["ready", "terminating", "failed", "unready", "gone", "absent and not asked", "another's", "unseen"],
)
def test_a_served_pod_is_judged_by_its_cluster_whatever_cloud_map_says(registry: ServiceView, view: View, expected: tuple[str, str]) -> None:
    served = (registered("a", pod("u1")), *(registered("a", one) for one in MANY))
    found = decide(view, seen("b"), served=served, registry=registry)
    assert fate(found, "a.u1") == expected
    assert ("a.u1" in stays(found)) is (expected[0] != "may-go")


@pytest.mark.parametrize("registry", STRANGE.values(), ids=STRANGE)
def test_a_ready_pod_is_in_whatever_cloud_map_says(registry: ServiceView) -> None:
    assert "a.u1" in {one.id for one in decide(seen("a", pod("u1")), seen("b"), served=(), registry=registry).endpoints.live}


def test_a_mass_removal_of_what_was_never_registered_waits_for_a_second_listing() -> None:
    served = tuple(registered("a", one) for one in MANY)
    gone = tuple(one.uid for one in MANY)
    first = decide(seen("a", gone=gone), seen("b"), served=served)
    assert {fate(first, one.id) for one in served} == {("must-stay", "unconfirmed")}
    assert stays(first) == {one.id for one in served}
    assert first.plan.again_at == 120.0
    assert {held.id for held in first.plan.withheld if held.unconfirmed} == {one.id for one in served}, "a person can see it"
    early = decide(seen("a", gone=gone, begun=119.0), seen("b"), served=served, memory=first.plan.memory)
    assert {fate(early, one.id) for one in served} == {("must-stay", "unconfirmed")}
    late = decide(seen("a", gone=gone, begun=120.0), seen("b"), served=served, memory=early.plan.memory)
    assert {fate(late, one.id) for one in served} == {("may-go", "gone")}


def test_dead_pods_never_wait_and_newcomers_are_counted_against_those_that_leave() -> None:
    old = tuple(pod("o" * count, ip=f"10.0.2.{count}") for count in range(1, 5))
    served = tuple(registered("a", one) for one in old)
    dying = decide(seen("a", *(changed(one, terminating=True) for one in old)), seen("b"), served=served)
    assert {fate(dying, one.id) for one in served} == {("may-go", "dead")}
    rolled = decide(seen("a", *MANY, gone=tuple(one.uid for one in old)), seen("b"), served=served)
    assert {fate(rolled, one.id) for one in served} == {("may-go", "gone")}


FOREIGN = Instance(id="i-ecs", attributes={"AWS_INSTANCE_IPV4": "10.9.9.9"})


@pytest.mark.parametrize(
    ("registry", "expected"),
    [
        (service(FOREIGN), ("in", "")),
        (service(), ("may-go", "gone")),
        (service(exists=False), ("may-go", "gone")),
        (service(exists=False, namespace_type="", namespace_id=""), ("must-stay", "unreadable")),
        *((service(problem=problem), ("must-stay", "unreadable")) for problem in PROBLEMS.values()),
    ],
    ids=["listed", "not listed", "no service", "no namespace", *PROBLEMS],
)
def test_of_what_is_not_ours_cloud_map_alone_tells_and_unknown_is_not_empty(registry: ServiceView, expected: tuple[str, str]) -> None:
    found = decide(seen("a"), seen("b"), served=(FOREIGN,), registry=registry)
    assert fate(found, "i-ecs") == expected
    assert ("i-ecs" in stays(found)) is (expected[0] != "may-go")
    reasons = [one.reason for one in found.endpoints.decided if one.id == "i-ecs"]
    assert all(reasons)


def left(of: Pod) -> Instance:
    """What AWS's controller registered for a pod."""
    about = {"appmesh.k8s.aws/mesh": "demo", "appmesh.k8s.aws/virtualNode": "blue_demo", "k8s.io/namespace": "demo", "k8s.io/pod": of.name}
    return Instance(id=of.ip, attributes={"AWS_INSTANCE_IPV4": of.ip, **about})


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (seen("a", pod("u1")), ("may-go", "replaced")),
        (seen("a", pod("u1", ready=False)), ("unhealthy", "unready")),
        (seen("a", pod("u1", terminating=True)), ("may-go", "dead")),
        (seen("a", absent=("demo/pod-u1",)), ("must-stay", "")),
        (Unseen(cluster="a", cause="timeout"), ("must-stay", "")),
    ],
    ids=["ready", "unready", "ending", "absent here, unknown there", "unseen"],
)
def test_what_awss_controller_left_follows_its_pod(view: Seen | Unseen, expected: tuple[str, str]) -> None:
    one = left(pod("u1"))
    found = decide(view, seen("b"), served=(one,), registry=service(one))
    assert fate(found, one.id) == (expected if expected[1] else ("in", ""))
    assert (one.id in stays(found)) is (expected[0] != "may-go")


def test_where_nothing_is_served_by_a_backend_the_plan_is_as_before() -> None:
    views = (seen("a", pod("u1", terminating=True)), seen("b"))
    there = service(registered("a", pod("u1")))
    one = decide(*views, served=(), registry=there)
    inputs = PlanInputs(
        settings=context().settings,
        topology=context().topology,
        views=views,
        registry=RegistryView(begun=100.0, services=(there,)),
        deployment=DEPLOYMENT,
    )
    assert planned(inputs).plan == one.plan
    assert planned(inputs).endpoints.others == {}


def test_what_others_write_into_cloud_map_changes_nothing_of_a_host_of_ours() -> None:
    ours = registered("a", pod("u1"))
    other = Instance(id=ours.id, attributes={**ours.attributes, "AWS_INSTANCE_IPV4": "10.6.6.6"})
    found = decide(Unseen(cluster="a", cause="timeout"), seen("b"), served=(ours,), registry=service(other))
    assert found.endpoints.others[KEY] == (ours,)
    stolen = Instance(id=ours.id, attributes={"AWS_INSTANCE_IPV4": "10.6.6.6"})
    found = decide(Unseen(cluster="a", cause="timeout"), seen("b"), served=(ours,), registry=service(stolen))
    assert found.endpoints.others[KEY] == (ours,)
