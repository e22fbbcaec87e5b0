"""The walkthrough as facts, all well: what the tests break one thing at a time."""

from fractions import Fraction
from typing import Any

import msgspec
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Check, Verdict
from crossmesh.core.diagnosis.facts import (
    BalancerFacts,
    ContainerFacts,
    Facts,
    NetworkFacts,
    NodeFacts,
    PodFacts,
    RuleFacts,
    ServiceFacts,
    TargetFacts,
    Workloads,
)
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.observed import Instance, Pod, RegistryView, Seen, ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.registry.planner import PlanInputs, planned
from crossmesh.core.settings import ClusterSettings, Settings
from crossmesh.core.topology import Topology
from crossmesh.manifests.config import load_config

from world.deploy import ROOT

CONFIG = load_config(ROOT / "config")
assert CONFIG.settings is not None
SETTINGS: Settings = CONFIG.settings
TOPOLOGY: Topology = CONFIG.topology
CANARY = SETTINGS.canaries[0]
CLUSTERS: dict[str, ClusterSettings] = {cluster.name: cluster for cluster in SETTINGS.clusters}
HALF = {f"colorapp-{colour}_appmesh-demo": Fraction(1, 2) for colour in ("blue", "red")}
BODIES = {colour: f"colorapp-{colour}_appmesh-demo" for colour in ("blue", "red")}
HOST = "a1-17.us-east-1.elb.amazonaws.com"
SPACE, KUBE = "appmesh-demo.pvt.aws.local", "appmesh-demo"
RULE = RuleFacts(protocol="tcp", first=8080, last=8080, groups=("sg-1",))
GOOD = Sample(status=200, body="blue", latency_ms=5.0)


def pod(uid: str, ip: str, node: str, **labels: str) -> Pod:
    return Pod(namespace=KUBE, name=f"pod-{uid}", uid=uid, ip=ip, node=node, labels=labels, phase="Running", containers_ready=True)


FRONT = pod("f", "172.16.0.1", "n1", app="front", version="v1")
BLUE = pod("b", "172.16.1.1", "n2", app="colorapp", version="blue")
RED = pod("r", "172.16.1.2", "n3", app="colorapp", version="red")
VIEWS = (
    Seen(cluster="eksc1", identity="1", begun=0.0, versions={KUBE: 1}, pods=(FRONT,)),
    Seen(cluster="eksc2", identity="2", begun=0.0, versions={KUBE: 1}, pods=(BLUE, RED)),
)


def detail(pod: Pod, *containers: str, **changes: Any) -> PodFacts:
    held = tuple(ContainerFacts(name=name, ready=True, state="running") for name in containers)
    made = PodFacts(
        namespace=pod.namespace, name=pod.name, uid=pod.uid, ip=pod.ip, node=pod.node, labels=pod.labels, ready=True, containers=held
    )
    return msgspec.structs.replace(made, **changes)


def registry(*extra: Instance, without: str = "", views: tuple[Any, ...] = VIEWS) -> RegistryView:
    wanted, _ = ep.desired(TOPOLOGY.nodes, CLUSTERS, [v for v in views if isinstance(v, Seen)], owner=SETTINGS.owner)
    services = []
    for name in ("colorapp", "front"):
        held = [Instance(id=e.id, attributes=e.attributes) for e in wanted if e.service == name and e.uid != without]
        held += extra if name == "colorapp" else ()
        tags = {"crossmesh:deployment/demo": "d"}
        services.append(
            ServiceView(
                namespace=SPACE,
                service=name,
                namespace_id="ns",
                namespace_type="DNS_PRIVATE",
                id=f"srv-{name}",
                tags=tags,
                instances=tuple(held),
            )
        )
    return RegistryView(begun=0.0, services=tuple(services))


def verdict(kind: str = "failed", check: str = "answers") -> Verdict:
    checks = (Check(name=check, good=False, says="it failed"),)  # type: ignore[arg-type]
    return Verdict(canary=CANARY.name, kind=kind, at=1.0, says="it failed", checks=checks)  # type: ignore[arg-type]


def facts(**changes: Any) -> Facts:
    """All well but the verdict, with `changes`; the registry's plan follows from views and registry."""
    views, held = changes.get("views", VIEWS), changes.get("registry", registry())
    made = planned(PlanInputs(settings=SETTINGS, topology=TOPOLOGY, views=views, registry=held, deployment="d")) if held else None
    front = detail(FRONT, "app", "envoy")
    nodes = tuple(NodeFacts(name=name, ready=True) for name in ("n1", "n2", "n3"))
    given: dict[str, Any] = {
        "canary": CANARY,
        "verdict": verdict(),
        "owner": SETTINGS.owner,
        "topology": TOPOLOGY,
        "clusters": CLUSTERS,
        "shares": HALF,
        "bodies": BODIES,
        "samples": (GOOD,),
        "service": ServiceFacts(host=HOST, selector={"app": "front"}),
        "balancer": BalancerFacts(name="a1", kind="classic", ports=(80,), targets=(TargetFacts(id="i-1", healthy=True),)),
        "workloads": {
            "eksc1": Workloads(cluster="eksc1", pods=(front,), nodes=nodes[:1]),
            "eksc2": Workloads(cluster="eksc2", pods=(detail(BLUE, "app"), detail(RED, "app")), nodes=nodes[1:]),
        },
        "views": views,
        "registry": held,
        "plan": made.plan if made else None,
        "endpoints": made.endpoints if made else EndpointDecision(),
        "mesh": MeshSummary(),
        "networks": {
            "eksc1": NetworkFacts(cluster="eksc1", group="sg-1", cidrs=("172.16.0.0/16",)),
            "eksc2": NetworkFacts(cluster="eksc2", group="sg-2", cidrs=("172.16.0.0/16",), rules=(RULE,)),
        },
        "probes": {"eksc2.b": (GOOD,), "eksc2.r": (msgspec.structs.replace(GOOD, body="red"),)},
    }
    return Facts(**{**given, **changes})
