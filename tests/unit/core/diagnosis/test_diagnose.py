"""Facts in, the first broken layer out; what is good, unknown or beside the way is never blamed."""

from typing import Any

import msgspec
import pytest
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis.access_denied import denied
from crossmesh.core.diagnosis.diagnose import diagnose
from crossmesh.core.diagnosis.facts import (
    BalancerFacts,
    ContainerFacts,
    Facts,
    MissingFact,
    NetworkFacts,
    NodeFacts,
    ServiceFacts,
    TargetFacts,
    Workloads,
)
from crossmesh.core.mesh.backend import Difference, MeshChange, MeshSummary, MeshTarget, WithheldChange
from crossmesh.core.observed import Instance, RegistryView, Unseen
from hypothesis import given
from hypothesis import strategies as st

from tests.support import diagnosis_world as world
from tests.support.diagnosis_world import BLUE, FRONT, GOOD, HOST, RED, VIEWS, detail, facts, registry, verdict

DENIED = (
    "AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/probe-role/fn is not authorized to perform: eks:DescribeCluster on …"
)
ROUTE = MeshTarget(mesh="appmesh-demo", kind="route", parent="colorapp_appmesh-demo", name="color-route")
REFUSED = (Sample(error="refused"),) * 3
DARK = Unseen(cluster="eksc2", cause="unreachable", detail="no connection")


def front(*containers: ContainerFacts, **changes: Any) -> dict[str, Workloads]:
    work = facts().workloads
    pod = msgspec.structs.replace(detail(FRONT, **changes), containers=containers)
    return {**work, "eksc1": msgspec.structs.replace(work["eksc1"], pods=(pod,))}


def container(name: str, *, ready: bool = True) -> ContainerFacts:
    return ContainerFacts(name=name, ready=ready, state="running" if ready else "waiting: CrashLoopBackOff", restarts=0 if ready else 4)


def view(*pods: Any) -> tuple[Any, ...]:
    return (VIEWS[0], msgspec.structs.replace(VIEWS[1], pods=pods, gone=tuple({"b", "r"} - {p.uid for p in pods})))


def stray(**attributes: str) -> Instance:
    given = {"AWS_INSTANCE_PORT": "8080", "color": "red", **attributes}
    return Instance(id="stray", attributes=given)


def action(verb: str, target: MeshTarget = ROUTE, *differences: Difference) -> MeshSummary:
    return MeshSummary(changes=(MeshChange(action=verb, target=target, differences=differences, detail="why"),))  # type: ignore[arg-type]


def no_namespace() -> RegistryView:
    services = tuple(msgspec.structs.replace(s, namespace_type="", id="", instances=()) for s in registry().services)
    return RegistryView(begun=0.0, services=services)


BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "own right to probe": (
        {"samples": (), "problem": f"the probe itself failed: {DENIED}"},
        "permission:probe:eks:DescribeCluster",
        "probe-role",
    ),
    "front's cluster dark": (
        {"samples": (), "problem": "x", "views": (Unseen(cluster="eksc1", cause="timeout"), VIEWS[1]), "service": None, "workloads": {}},
        "cluster:eksc1",
        "timeout",
    ),
    "no load balancer yet": ({"samples": (), "problem": "x", "service": ServiceFacts(host="")}, "dns:appmesh-demo/front", "no load balancer"),
    "no such Service": (
        {"samples": (), "problem": "x", "service": None, "service_missing": True},
        "dns:appmesh-demo/front",
        "there is no Service appmesh-demo/front in eksc1",
    ),
    "name gone": ({"samples": (Sample(error="dns", detail="NXDOMAIN"),) * 4}, f"dns:{HOST}", "does not resolve"),
    "no listener": (
        {"balancer": BalancerFacts(name="a1", kind="network", ports=(443,), targets=(TargetFacts(id="i", healthy=True),))},
        "listener:a1",
        "no listener on port 80",
    ),
    "refused": ({"samples": (Sample(error="refused"),) * 3}, f"listener:{HOST}", "refuses connections"),
    "expired": ({"samples": (Sample(error="tls", detail="certificate has expired"),)}, f"certificate:{HOST}", "has expired"),
    "no targets": ({"balancer": BalancerFacts(name="a1", kind="classic", ports=(80,))}, "targets:a1", "has no target"),
    "unhealthy targets": (
        {
            "balancer": BalancerFacts(
                name="a1", kind="application", ports=(80,), targets=(TargetFacts(id="i-1", healthy=False, why="unhealthy"),)
            )
        },
        "targets:a1",
        "none of the 1 targets",
    ),
    "front not ready": (
        {
            "workloads": front(container("app", ready=False), container("envoy"), ready=False),
            "balancer": BalancerFacts(name="a1", kind="classic", ports=(80,)),
        },
        "pods:eksc1/appmesh-demo/front",
        "no pod behind Service",
    ),
    "no sidecar": ({"workloads": front(container("app"))}, f"sidecar:{FRONT.name}", "no sidecar"),
    "envoy dead": (
        {
            "workloads": front(container("app"), container("envoy", ready=False), ready=False),
            "balancer": BalancerFacts(name="a1", kind="classic", ports=(80,)),
        },
        f"sidecar:{FRONT.name}",
        "CrashLoopBackOff",
    ),
    "mesh gone": ({"mesh": MeshSummary(unavailable="no such host", fix="another backend")}, "mesh:api", "cannot be used"),
    "route deleted": ({"mesh": action("create")}, f"mesh:{ROUTE}", "is missing"),
    "wrong weight": (
        {"mesh": action("update", ROUTE, Difference(field="weight", found=9, declared=1))},
        f"mesh:{ROUTE}",
        "found 9, declared 1",
    ),
    "not ours to change": (
        {"mesh": MeshSummary(withheld=(WithheldChange(target=ROUTE, detail="foreign", fix="adopt it"),))},
        f"mesh:{ROUTE}",
        "withheld",
    ),
    "namespace gone": ({"registry": no_namespace(), "probes": {}}, f"namespace:{world.SPACE}", "does not exist"),
    "no instance": ({"registry": registry(without="r")}, "instances:appmesh-demo/colorapp-red", "1 pods of it are ready and not registered"),
    "other cluster dark": ({"views": (VIEWS[0], DARK), "registry": registry()}, "cluster:eksc2", "unreachable"),
    "port closed": (
        {"networks": {**facts().networks, "eksc2": NetworkFacts(cluster="eksc2", group="sg-2", cidrs=("172.16.0.0/16",))}},
        "network:eksc1→eksc2:8080",
        "sg-2 admits sg-1",
    ),
    "stale": ({"views": view(RED), "registry": registry()}, "instance:eksc2.b", "172.16.1.1"),
    "unready": (
        {"views": view(RED, msgspec.structs.replace(BLUE, containers_ready=False)), "registry": registry()},
        "instance:eksc2.b",
        "not ready",
    ),
    "dead": ({"probes": {**facts().probes, "eksc2.b": REFUSED}}, "instance:eksc2.b", "refused 3 times"),
    "outlier": ({"probes": {**facts().probes, "eksc2.b": (Sample(status=503, body="broken"),) * 3}}, "instance:eksc2.b", "answers 503"),
    "silent": ({"probes": {**facts().probes, "eksc2.b": (Sample(error="timeout"),) * 3}}, "instance:eksc2.b", "does not answer"),
    "slow": (
        {"verdict": verdict(check="latency"), "probes": {**facts().probes, "eksc2.b": (Sample(status=200, body="blue", latency_ms=1500.0),)}},
        "instance:eksc2.b",
        "1500 ms, allowed 1000 ms",
    ),
    "slow node": (
        {"verdict": verdict(check="latency"), "samples": (GOOD, Sample(status=200, body="red", latency_ms=2000.0)), "probes": {}},
        "instance:colorapp-red_appmesh-demo",
        "are slow",
    ),
    "stranger": ({"registry": registry(stray(AWS_INSTANCE_IPV4=FRONT.ip))}, "instance:stray", "wrong service"),
    "wrong colour": (
        {"probes": {**facts().probes, "eksc2.b": (Sample(status=200, body="red"),)}},
        "instance:eksc2.b",
        "answers as colorapp-red",
    ),
    "node down": (
        {
            "workloads": {
                **facts().workloads,
                "eksc2": msgspec.structs.replace(facts().workloads["eksc2"], nodes=(NodeFacts(name="n2", ready=False, why="KubeletNotReady"),)),
            }
        },
        "node:eksc2/n2",
        "KubeletNotReady",
    ),
    "node died": (
        {
            "views": view(RED, msgspec.structs.replace(BLUE, unready="its Ready condition is not True: node n2 does not report")),
            "registry": registry(),
        },
        "instance:eksc2.b",
        "node n2 does not report",
    ),
    "front node down": (
        {
            "workloads": {
                **facts().workloads,
                "eksc1": Workloads(
                    cluster="eksc1",
                    pods=(detail(FRONT, "app", "envoy", ready=False),),
                    nodes=(NodeFacts(name="n1", ready=False, why="NodeStatusUnknown: Kubelet stopped posting"),),
                ),
            }
        },
        "node:eksc1/n1",
        "Kubelet stopped posting",
    ),
    "nothing found": ({}, "answers:front-color", "no broken layer was found"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_one_broken_thing_is_named_alone_with_evidence_and_fix(name: str) -> None:
    changes, key, says = BROKEN[name]
    found = diagnose(facts(**changes))
    assert [d.key for d in found] == [key]
    assert says in " ".join((found[0].what, *found[0].evidence))
    assert found[0].fix


def test_a_well_world_has_nothing_to_say() -> None:
    assert diagnose(facts(verdict=verdict("good"))) == ()


def test_attributes_that_are_not_the_pods_are_named() -> None:
    held = registry()
    colours = held.services[0]
    wrong = tuple(
        msgspec.structs.replace(i, attributes={**i.attributes, "color": "red"}) if i.id == "eksc2.b" else i for i in colours.instances
    )
    changed = msgspec.structs.replace(held, services=(msgspec.structs.replace(colours, instances=wrong), held.services[1]))
    assert [d.key for d in diagnose(facts(registry=changed))] == ["instances:appmesh-demo/colorapp-blue", "instance:eksc2.b"]


def test_of_several_the_first_on_the_path_comes_first() -> None:
    changes: dict[str, Any] = {}
    for name in ("dead", "wrong weight", "no targets", "name gone"):
        changes |= BROKEN[name][0]
    assert [d.layer for d in diagnose(facts(**changes))] == ["dns", "targets", "mesh", "instance"]


def test_targets_that_unready_pods_explain_are_not_blamed() -> None:
    changes = {**BROKEN["no targets"][0], **BROKEN["front not ready"][0]}
    assert [d.layer for d in diagnose(facts(**changes))] == ["pods"]


def test_a_dead_instance_of_an_unseen_cluster_is_named_and_nothing_is_promised() -> None:
    found = diagnose(facts(views=(VIEWS[0], DARK), registry=registry(), probes={"eksc2.b": REFUSED}))
    assert [d.key for d in found] == ["cluster:eksc2", "instance:eksc2.b"]
    assert not found[1].heals
    assert "nothing of an unseen cluster is removed" in found[1].fix


def test_what_lies_beside_the_way_is_not_blamed() -> None:
    other = MeshTarget(mesh="appmesh-demo", kind="virtualRouter", name="other_shop")
    assert [d.layer for d in diagnose(facts(mesh=action("create", other)))] == ["answers"]
    idle = msgspec.structs.replace(facts().workloads["eksc2"], nodes=(NodeFacts(name="n9", ready=False),))
    assert [d.layer for d in diagnose(facts(workloads={**facts().workloads, "eksc2": idle}))] == ["answers"]


def test_instances_that_cannot_be_reached_at_all_are_not_blamed() -> None:
    silent = dict.fromkeys(("eksc2.b", "eksc2.r"), (Sample(error="timeout"),) * 3)
    assert [d.layer for d in diagnose(facts(probes=silent))] == ["answers"]


def test_two_refusals_prove_nothing() -> None:
    assert [d.layer for d in diagnose(facts(probes={**facts().probes, "eksc2.b": REFUSED[:2]}))] == ["answers"]


def test_what_could_not_be_read_is_told_last_and_blamed_on_nobody() -> None:
    unread = (MissingFact(what="load balancer", why=DENIED.replace("eks:DescribeCluster", "elasticloadbalancing:DescribeLoadBalancers")),)
    found = diagnose(facts(**BROKEN["dead"][0], unread=unread, balancer=None))
    assert [d.layer for d in found] == ["instance", "permission"]
    assert "elasticloadbalancing:DescribeLoadBalancers" in found[1].what
    blank = facts(balancer=None, workloads={}, views=(), registry=None, plan=None, mesh=None, networks={}, probes={}, service=None)
    assert [d.layer for d in diagnose(blank)] == ["answers"], "nothing is known, so nothing is blamed"


def test_words_of_aws_give_action_and_role() -> None:
    assert denied(DENIED) == ("eks:DescribeCluster", "probe-role")
    assert denied("User: arn:aws:iam::1:user/ann is not authorized to perform: ec2:DescribeVpcs because …") == (
        "ec2:DescribeVpcs",
        "arn:aws:iam::1:user/ann",
    )
    assert denied("User story: nothing is authorized") is None


LAYERS = ("service", "balancer", "workloads", "views", "registry", "mesh", "networks", "probes")


@given(st.lists(st.sampled_from(sorted(set(BROKEN) - {"nothing found"})), max_size=4), st.sets(st.sampled_from(LAYERS)))
def test_no_layer_whose_facts_are_all_good_or_unknown_is_blamed(names: list[str], unknown: set[str]) -> None:
    """Whatever is broken together and whatever is unknown: each layer blamed is one of those that were broken."""
    changes: dict[str, Any] = {}
    for name in names:
        changes |= BROKEN[name][0]
    blank: Facts = facts(**changes)
    empty: dict[str, Any] = {"workloads": {}, "views": (), "networks": {}, "probes": {}}
    blank = msgspec.structs.replace(blank, **{name: empty.get(name) for name in unknown})
    if "registry" in unknown or "views" in unknown:
        blank = msgspec.structs.replace(blank, plan=None)
    allowed = {BROKEN[name][1].partition(":")[0] for name in names} | {"answers"}
    if {"stale", "unready", "node died"} & set(names):
        allowed |= {"instances"}
    if {"envoy dead", "front not ready", "front node down"} & set(names):
        allowed |= {"targets"}  # whose lack is left to the pods only where these are seen to be unready
    blamed = {d.layer for d in diagnose(blank)}
    assert blamed <= allowed


@pytest.mark.parametrize(("bodies", "shown"), [(("blue", "green"), "'green'"), (("teal", "green"), "'green', 'teal'")])
def test_bodies_that_no_virtual_node_is_known_by_are_named_with_the_setting_to_correct(bodies: tuple[str, ...], shown: str) -> None:
    samples = tuple(Sample(status=200, body=body) for body in bodies)
    (found,) = diagnose(facts(samples=samples, verdict=verdict(check="bodies")))
    assert found.layer == "answers"
    assert found.what == f"every layer is in order, but answers had bodies that canaries.front-color.expect.mix.bodies does not list: {shown}"
    assert "add these bodies to crossmesh.yaml" in found.fix


def test_a_failure_of_known_bodies_blames_no_setting() -> None:
    (found,) = diagnose(facts(samples=(Sample(status=200, body="blue"), Sample(status=503, body="who knows"))))
    assert "does not list" not in found.what


def legacy(**changes: Any) -> Facts:
    """The same mesh as v1beta1 documents, whose nodes have no podSelector: each pod names its node by annotation."""
    mesh = msgspec.structs.replace(
        world.TOPOLOGY, nodes=tuple(msgspec.structs.replace(node, selector=None, legacy=True) for node in world.TOPOLOGY.nodes)
    )
    return msgspec.structs.replace(facts(**changes), topology=mesh)


def test_a_front_of_a_v1beta1_node_without_its_sidecar_is_named() -> None:
    bare = legacy(workloads=front(container("app"), virtual_node="front"))
    assert [d.layer for d in diagnose(bare)][:1] == ["sidecar"]
    by_deployment = legacy(workloads=front(container("app"), deployment="front"))
    assert [d.layer for d in diagnose(by_deployment)][:1] == ["sidecar"]
    strangers = legacy(workloads=front(container("app"), virtual_node="another"))
    assert "sidecar" not in [d.layer for d in diagnose(strangers)]


def test_a_dead_node_under_a_pod_of_a_v1beta1_node_is_named() -> None:
    work = facts().workloads
    blue = msgspec.structs.replace(work["eksc2"].pods[0], virtual_node="colorapp-blue")
    nodes = (NodeFacts(name="n2", ready=False, why="kubelet stopped"),)
    found = diagnose(legacy(workloads={**work, "eksc2": Workloads(cluster="eksc2", pods=(blue,), nodes=nodes)}))
    assert "node:eksc2/n2" in [f"{d.layer}:{d.subject}" for d in found]
