"""Why a virtual node has no pod, in words that name what differs; and which nodes and services a plan empties."""

import msgspec
import pytest
from crossmesh.core.observed import DeploymentFacts, Instance, Pod, RegistryView, Seen, ServiceView, Unseen
from crossmesh.core.registry.emptied import Declared, emptied, kept_down
from crossmesh.core.registry.endpoints import Endpoint, desired
from crossmesh.core.registry.plan import Deregister, ManualOverrides, Register, RegistryPlan, SetHealth, Withheld
from crossmesh.core.registry.unmatched import Known, explain_unmatched, selector_text
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.topology import LabelSelector, Requirement, Topology

from tests.support.builders import NAMESPACE, node, pod

CLUSTERS = {name: ClusterSettings(name=name, eks=name, region="us-east-1") for name in ("a", "b")}
BLUE = node("blue")


def seen(*pods: Pod, cluster: str = "a") -> Seen:
    return Seen(cluster=cluster, identity="i", begun=0.0, versions={"demo": 1}, pods=pods)


def selecting(**labels: str) -> LabelSelector:
    return LabelSelector(labels=tuple(sorted(labels.items())))


def why(selector: LabelSelector, *views: Seen | Unseen) -> str:
    found = explain_unmatched(msgspec.structs.replace(BLUE, selector=selector), CLUSTERS, views)
    return found.why if found else ""


def test_a_ready_pod_is_somebody() -> None:
    assert explain_unmatched(BLUE, CLUSTERS, (seen(pod("u")),)) is None


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        (selecting(version="bleu"), "no pod matches version=bleu; 2 pods have version=blue (version is blue, not bleu)"),
        (selecting(app="shop", version="blue"), "no pod matches app=shop,version=blue; 2 pods have version=blue (app is missing)"),
        (selecting(version="orders"), "no pod matches version=orders"),
        (
            LabelSelector(
                requirements=(Requirement(key="tier", operator="In", values=("x", "y")), Requirement(key="old", operator="DoesNotExist"))
            ),
            "no pod matches tier in (x,y),!old",
        ),
    ],
)
def test_the_labels_that_come_closest_are_named(selector: LabelSelector, said: str) -> None:
    assert why(selector, seen(pod("u"), pod("v"), pod("r", "red"))) == said


def test_pods_that_are_there_and_not_ready_are_counted() -> None:
    assert why(selecting(version="blue"), seen(pod("u", ready=False), pod("v", terminating=True))) == "1 of its pods is not ready, 1 is ending"


def test_pods_of_another_namespace_and_of_a_cluster_that_does_not_count_are_named() -> None:
    other = msgspec.structs.replace(pod("u"), namespace="shop")
    assert why(selecting(version="blue"), seen(other)) == "no pod of namespace demo matches version=blue; pods of namespace shop do"
    elsewhere = {**CLUSTERS, "a": msgspec.structs.replace(CLUSTERS["a"], nodes=())}
    found = explain_unmatched(BLUE, elsewhere, (seen(pod("u")),))
    assert found is not None
    assert found.why == "pods of a match, but `nodes` of that cluster in crossmesh.yaml does not list demo/blue"
    assert found.fix == "add demo/blue to `nodes` of a"


def test_what_cannot_be_seen_is_said() -> None:
    assert why(selecting(version="x"), seen(), Unseen(cluster="b", cause="refused")) == "no pod matches version=x; b is unseen"


RED = node("red")
SHOWS_BLUE = seen(pod("u"), pod("v"))  # pods of blue alone


def of_red(known: Known, *views: Seen | Unseen) -> tuple[str, str]:
    found = explain_unmatched(RED, CLUSTERS, views or (SHOWS_BLUE,), known)
    assert found is not None
    return found.why, found.fix


def test_the_pods_of_another_virtual_node_are_no_mistyped_ones_of_this() -> None:
    """The reported case: red was scaled to 0, and its selector was blamed, for blue's pods resemble what it looks for."""
    why, fix = of_red(Known(others=(BLUE, RED)))
    assert why == "no pod matches version=red"
    assert fix.startswith("scale its Deployment up, or create it (`kubectl get deployments -n demo`)")


def test_pods_that_matched_and_are_gone_are_told_as_gone() -> None:
    held = ({"crossmesh/cluster": "a", "crossmesh/pod-uid": "r", "version": "red"},)
    assert of_red(Known(others=(BLUE, RED), held=held)) == (
        "no pod matches version=red any more: the 1 pod that did is gone",
        "scale its Deployment up, or create it (`kubectl get deployments -n demo`)",
    )
    unseen = Unseen(cluster="a", cause="refused")
    assert "gone" not in of_red(Known(others=(BLUE, RED), held=held), unseen)[0], "what cannot be seen is not gone"
    empty = Seen(cluster="a", identity="i", begun=0.0, versions={"demo": 1})
    assert "is gone" in of_red(Known(others=(BLUE, RED), held=held), empty)[0], "a cluster without any pod was looked at"


def test_registered_pods_that_live_and_no_longer_match_blame_the_selector() -> None:
    held = ({"crossmesh/cluster": "a", "crossmesh/pod-uid": "u", "version": "blue"},)
    other = msgspec.structs.replace(RED, selector=selecting(tier="shop"))
    found = explain_unmatched(other, CLUSTERS, (SHOWS_BLUE,), Known(others=(other,), held=held))
    assert found is not None
    assert found.why == "no pod matches tier=shop; the 1 pod registered for it is alive and has other labels"
    assert found.fix.startswith("correct podSelector of demo/red")


def test_a_deployment_that_was_read_is_named_with_its_replicas() -> None:
    made = DeploymentFacts(namespace="demo", name="red", replicas=0, max_unavailable=0, labels={"version": "red"})
    assert of_red(Known(others=(BLUE, RED), deployments={"a": (made,)})) == (
        "no pod matches version=red: Deployment demo/red of a is scaled to 0",
        "`kubectl scale deployment red -n demo --replicas=1` in a",
    )
    wants = msgspec.structs.replace(made, replicas=2)
    assert of_red(Known(deployments={"a": (wants,)}))[0] == "no pod matches version=red: Deployment demo/red of a wants 2 pods and has none"
    for foreign in (msgspec.structs.replace(made, namespace="shop"), msgspec.structs.replace(made, labels={"version": "blue"})):
        assert "Deployment demo/red" not in of_red(Known(others=(BLUE, RED), deployments={"a": (foreign,)}))[0]


def test_pods_that_nobody_selects_are_named_without_a_claim_that_they_are_its_own() -> None:
    stray = seen(pod("u"), pod("g", "rad"))
    why, fix = of_red(Known(others=(BLUE, RED)), stray)
    assert why == "no pod matches version=red; 1 pod has version=rad (version is rad, not red)"
    assert fix.startswith("if these are its pods, correct podSelector of demo/red")
    assert "if not, scale its Deployment up" in fix
    foreign = msgspec.structs.replace(pod("r", "red"), namespace="shop")
    other = msgspec.structs.replace(node("red"), namespace="shop", name="red")
    assert of_red(Known(others=(BLUE, RED, other)), seen(foreign))[0] == "no pod matches version=red", "they are shop/red's"


def test_a_selector_reads_as_kubectl_takes_it() -> None:
    assert selector_text(LabelSelector()) == "everything"
    assert selector_text(LabelSelector(labels=(("a", "1"),), requirements=(Requirement(key="b", operator="Exists"),))) == "a=1,b"


def registry(*ids: str, **health: str) -> RegistryView:
    held = tuple(Instance(id=i, attributes={"crossmesh/owner": "me", "appmesh.k8s.aws/virtualNode": f"{i.split('-')[0]}_demo"}) for i in ids)
    return RegistryView(begun=0.0, services=(ServiceView(namespace=NAMESPACE, service="color", id="s", instances=held, health=health),))


def leave(ident: str) -> Deregister:
    return Deregister(
        namespace=NAMESPACE,
        service="color",
        id=ident,
        owner="me",
        cluster="a",
        uid="u",
        node="blue_demo",
        pod="p",
        why="unselected",
        reason="r",
    )


def told(plan: RegistryPlan, held: RegistryView, operator: ManualOverrides | None = None) -> list[tuple[str, float]]:
    topology = Topology(nodes=(BLUE, node("red")))
    found = emptied(Declared(topology=topology, clusters=CLUSTERS, owner="me"), (seen(),), held, plan, operator or ManualOverrides())
    return [(f"{one.kind} {one.name}", one.until) for one in found]


def test_a_node_is_emptied_by_its_last_removal_only() -> None:
    assert told(RegistryPlan(actions=(leave("blue-1"),)), registry("blue-1", "blue-2", "red-1")) == []
    assert told(RegistryPlan(actions=(leave("blue-1"), leave("blue-2"))), registry("blue-1", "blue-2", "red-1")) == [
        ("virtual node demo/blue", 0.0)
    ]


def test_what_waits_for_a_confirmation_empties_later() -> None:
    held = Withheld(what="deregister", service="color.demo.local", id="blue-1", why="unconfirmed", detail="d", until=70.0)
    assert told(RegistryPlan(withheld=(held,)), registry("blue-1", "red-1")) == [("virtual node demo/blue", 70.0)]
    stays = msgspec.structs.replace(held, why="unseen", until=0.0)
    assert told(RegistryPlan(withheld=(stays,)), registry("blue-1", "red-1")) == []


def test_the_last_healthy_instance_marked_unhealthy_empties_too() -> None:
    mark = SetHealth(
        namespace=NAMESPACE,
        service="color",
        id="blue-1",
        owner="me",
        cluster="a",
        uid="u",
        node="blue_demo",
        pod="p",
        status="UNHEALTHY",
        reason="r",
    )
    both = registry("blue-1", "blue-2", "red-1", **{"blue-2": "UNHEALTHY"})
    assert told(RegistryPlan(actions=(mark,)), both) == [("virtual node demo/blue", 0.0)]


def test_a_replacement_in_the_same_plan_empties_nothing() -> None:
    add = Register(namespace=NAMESPACE, service="color", id="blue-9", cluster="b", node="blue_demo", pod="p", attributes={}, reason="r")
    assert told(RegistryPlan(actions=(leave("blue-1"), add)), registry("blue-1")) == []


def test_a_service_without_any_instance_left_is_named_beside_its_nodes() -> None:
    plan = RegistryPlan(actions=(leave("blue-1"), leave("red-1")))
    assert [name for name, _ in told(plan, registry("blue-1", "red-1"))] == [
        "virtual node demo/blue",
        "virtual node demo/red",
        "service color.demo.local",
    ]


def ready(view: Seen) -> tuple[Endpoint, ...]:
    return desired((BLUE,), CLUSTERS, (view,), owner="me")[0]


def test_instances_kept_down_are_counted_and_those_of_ready_pods_are_not() -> None:
    down = registry("a.u", "a.v", **{"a.u": "UNHEALTHY", "a.v": "UNHEALTHY"})
    assert kept_down(ready(seen(pod("u"), pod("v", ready=False))), down, "me") == 1
    assert kept_down(ready(seen(pod("u"))), registry("a.u"), "me") == 0
