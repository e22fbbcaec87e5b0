"""What the deployed functions meet. Each situation drives functions as the state machines do and asserts what came of it, so that a right that is
missing turns it red; every right must be used in one of them. A function that needs a new AWS operation gets it in template.yaml, a line in
reasons.py, and a situation here in which it is made.
"""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import msgspec
import yaml
from crossmesh.adapters.memory import MemoryClusters
from crossmesh.core.canary.sample import Sample
from crossmesh.core.compiler.build import build
from crossmesh.core.diagnosis.facts import ContainerFacts, ServiceFacts
from crossmesh.core.diagnosis.ingress_rules import mark_of
from crossmesh.core.mesh.xds import sweep
from crossmesh.core.settings import CanarySettings, ClusterSettings, Expect, ManifestSource, MeshSettings, ServiceTarget
from crossmesh.core.topology import Topology
from crossmesh.manifests import load
from crossmesh.manifests.config import load_config
from crossmesh.usecases.canary_runs import LIFE
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.registry import SETTLED

from tests.contract.iam.account import InProcessAccount
from tests.support.builders import NAMESPACE, context, node, pod
from tests.support.diagnosis_world import BLUE, FRONT, RED, SPACE
from world.aws.models.cloud_map_records import LateFailure
from world.deploy import ROOT

EVERY_KIND = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {mesh: shop}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: Mesh
metadata: {name: shop}
spec: {namespaceSelector: {matchLabels: {mesh: shop}}, egressFilter: {type: ALLOW_ALL}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: VirtualNode
metadata: {name: cart, namespace: shop}
spec:
  podSelector: {matchLabels: {app: cart}}
  listeners: [{portMapping: {port: 8080, protocol: http}}]
  serviceDiscovery: {dns: {hostname: cart.shop}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: VirtualRouter
metadata: {name: cart, namespace: shop}
spec:
  listeners: [{portMapping: {port: 8080, protocol: http}}]
  routes:
    - name: all
      httpRoute: {match: {prefix: /}, action: {weightedTargets: [{virtualNodeRef: {name: cart}, weight: 1}]}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec: {awsName: cart.shop, provider: {virtualRouter: {virtualRouterRef: {name: cart}}}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: VirtualGateway
metadata: {name: door, namespace: shop}
spec:
  namespaceSelector: {matchLabels: {mesh: shop}}
  podSelector: {matchLabels: {app: door}}
  listeners: [{portMapping: {port: 80, protocol: http}}]
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: GatewayRoute
metadata: {name: in, namespace: shop}
spec:
  httpRoute: {match: {prefix: /}, action: {target: {virtualService: {virtualServiceRef: {name: cart}}}}}
"""
_LOGGING = {"logging": {"accessLog": {"file": {"path": "/dev/stdout"}}}}
TAMPERED: dict[str, dict[str, Any]] = {
    "mesh": {"egressFilter": {"type": "DROP_ALL"}},
    "virtualNode": _LOGGING,
    "virtualGateway": _LOGGING,
    "virtualRouter": {"listeners": [{"portMapping": {"port": 8080, "protocol": "http2"}}]},
    "virtualService": {"provider": {}},
    "route": {"priority": 5},
    "gatewayRoute": {"priority": 5},
}
EXECUTION = "arn:aws:states:us-east-1:111122223333:execution:crossmesh-reconcile:"
Situation = Callable[[InProcessAccount], None]


def here(*nodes: Any, **changes: Any) -> Context:
    """A deployment over the account's two clusters, owner as in the template's parameters."""
    return context(*nodes, clusters=("eksc1", "eksc2"), owner="demo", **changes)


def with_mesh(text: str) -> Context:
    """A deployment that keeps the mesh of these manifests, and no registry."""
    built = build(load([("mesh.yaml", text.encode())]).documents)
    assert not [finding for finding in built.findings if finding.level == "error"]
    base = here()
    settings = msgspec.structs.replace(base.settings, mesh=MeshSettings(manifests=ManifestSource(files=("mesh.yaml",)), backend="appmesh"))
    return msgspec.structs.replace(base, settings=settings, topology=built.topology)


def namespace(account: InProcessAccount, name: str = NAMESPACE) -> None:
    """The DNS namespace that people make."""
    account.cloud_map.call("CreatePrivateDnsNamespace", {"Name": name, "Vpc": "vpc-1", "CreatorRequestId": "ns"})
    account.clock.sleep(1)
    account.cloud_map.now = account.clock.now()
    account.cloud_map.settle()


def saying(where: Context, **settings: Any) -> Context:
    """With other settings."""
    return msgspec.structs.replace(where, settings=msgspec.structs.replace(where.settings, **settings))


def gated(uid: str) -> Any:
    """A pod that AWS's webhook gave its readiness gate."""
    return msgspec.structs.replace(pod(uid), gate="closed")


def run(account: InProcessAccount, where: Context, name: str, look: str = "", *, mesh: bool = False, late: float = 0.0) -> tuple[Run, Any]:
    """A run from lease to release, as the state machine strings it; (run, what verifying answered last). `late`: seconds that planning takes."""
    execution = EXECUTION + name
    account.running.add(execution)
    taken = account.invoke("TakeLeaseFunction", where, id=name, execution=execution, look=look)
    assert not taken.held
    this = taken.run
    plan = account.invoke("LookFunction", where, run=this).planned
    account.clock.sleep(late)
    stage, verified = plan.first_stage, None
    while stage:
        applied = account.invoke("ApplyRegistryFunction", where, run=this, plan=plan.plan, stage=stage)
        assert (applied.failed, applied.stale, applied.busy) == (0, 0, 0), applied
        account.clock.sleep(1)
        verified = account.invoke("VerifyRegistryFunction", where, run=this, plan=plan.plan, stage=stage)
        stage = verified.next_stage
    account.clock.sleep(late)
    if plan.gates:
        gated = account.invoke("OpenGatesFunction", where, run=this, plan=plan.plan)
        assert (gated.opened, gated.closed) == (plan.gates, 0)
    account.clock.sleep(late)
    if mesh:
        kept = account.invoke("ReconcileMeshFunction", where, run=this)
        assert (kept.unavailable, kept.failed, kept.done, kept.withheld) == ("", 0, True, 0), kept
    account.clock.sleep(late)
    assert account.invoke("OpenPortsFunction", where, run=this).refused == ()
    account.clock.sleep(late)
    assert account.invoke("ReportRunFunction", where, run=this).kind == "applied"
    assert not account.invoke("ReleaseLeaseFunction", where, run=this).again
    account.running.discard(execution)
    return this, verified


def first_run(account: InProcessAccount) -> None:
    """The first look and run: services are made in a DNS namespace, pods registered and proved; the next look is quiet and lists nothing again."""
    namespace(account)
    where = here()
    for cluster, uid in (("eksc1", "a"), ("eksc2", "bb")):
        account.clusters.put(cluster, pod(uid))
    looked = account.invoke("LookFunction", where, id="look-1", cause="schedule")
    assert (looked.decision, looked.unseen) == ("apply", ())
    _, verified = run(account, where, "look-1", looked.look)
    assert (verified.verified, verified.failed, verified.pending) == (2, 0, 0)
    for number in (2, 3):
        account.clock.sleep(SETTLED + 1)  # lists are trusted only some time after the revision moved
        assert account.invoke("LookFunction", where, id=f"look-{number}", cause="schedule").decision == "quiet"
    account.calls.clear()
    assert account.invoke("LookFunction", where, id="look-4", cause="schedule").decision == "quiet"
    assert "servicediscovery:ListInstances" not in account.calls, "no revision moved, so nothing is listed"


def pods_leave(account: InProcessAccount) -> None:
    """A pod dies and a node goes from the manifests: its instance and the empty service of ours are removed."""
    namespace(account)
    both = here(node("blue", color="blue"), node("green", service="green"))
    account.clusters.put("eksc1", pod("a"))
    account.clusters.put("eksc2", pod("b"))
    account.clusters.put("eksc2", pod("g", "green"))
    run(account, both, "run-1")
    account.clusters.remove("eksc2", "b")
    account.clusters.remove("eksc2", "g")
    account.clock.sleep(60)
    run(account, both, "run-2")
    account.clock.sleep(60)  # the deletion guard waits for a second listing before a node is emptied
    run(account, both, "run-3")
    run(account, here(node("blue", color="blue")), "run-4")
    assert {s.name for s in account.cloud_map.services.values()} == {"color"}
    (service,) = account.cloud_map.services.values()
    assert len(account.cloud_map.call("ListInstances", {"ServiceId": service.id})["Instances"]) == 1


def custom_health(account: InProcessAccount) -> None:
    """A service made with custom health: an unready pod's instance is marked, not removed; looks and runs read the marks."""
    namespace(account)
    (place,) = account.cloud_map.namespaces
    asked = {"Name": "color", "NamespaceId": place, "HealthCheckCustomConfig": {"FailureThreshold": 1}}
    asked["DnsConfig"] = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 300}]}
    service = account.cloud_map.call("CreateService", asked)["Service"]["Id"]
    where = here(node("blue"))
    account.clusters.put("eksc1", pod("a"))
    account.clusters.put("eksc1", pod("bb"))
    run(account, where, "run-1")
    account.clusters.put("eksc1", pod("a", ready=False))
    account.clock.sleep(60)
    run(account, where, "run-2")
    account.clock.sleep(60)
    marks = account.cloud_map.call("GetInstancesHealthStatus", {"ServiceId": service})["Status"]
    assert sorted(marks.values()) == ["HEALTHY", "UNHEALTHY"]
    assert account.invoke("LookFunction", where, id="look-1").decision == "quiet"


def late_failure(account: InProcessAccount) -> None:
    """Cloud Map accepts a registration and fails it later: asked for by its operation, reported as failed."""
    namespace(account)
    where = here()
    account.clusters.put("eksc1", pod("a"))
    account.cloud_map.settings.late_failures.append(LateFailure())
    _, verified = run(account, where, "run-1")
    assert (verified.failed, verified.pending) == (1, 0)


def slow_and_throttled(account: InProcessAccount) -> None:
    """Each step begins when half the lease's life is over, so each must renew it; Cloud Map throttles, and the rate found is kept."""
    namespace(account)
    account.cloud_map.throttle.rates = {"RegisterInstance": (5.0, 2.0)}
    for number in range(8):
        account.clusters.put("eksc1", gated(f"a{number}"))
    whole = with_mesh(EVERY_KIND)
    blue = msgspec.structs.replace(node("blue"), mesh="shop")
    both = msgspec.structs.replace(whole, topology=msgspec.structs.replace(whole.topology, nodes=(*whole.topology.nodes, blue)))
    both = saying(both, readiness_gate=True, security_groups="open")
    assert account.invoke("LookFunction", both, id="look-1").decision == "apply"
    this, _ = run(account, both, "run-1", mesh=True, late=100.0)
    assert account.items["document/paces"], "the rate is learned"
    assert this.epoch == 1


def crashed_cluster(account: InProcessAccount) -> None:
    """A cluster that was never seen has no view in the run: nothing of it is closed."""
    where = here()
    taken = account.invoke("TakeLeaseFunction", where, id="run-1", execution=EXECUTION + "run-1").run
    opened = account.invoke("OpenPortsFunction", saying(where, security_groups="open"), run=taken)
    assert (opened.closed, opened.refused) == ((), ()), "a cluster without a view closes nothing"


def dead_holder(account: InProcessAccount) -> None:
    """The lease's holder is no longer RUNNING: taken over at once. One that runs is asked to go once more."""
    where = here()
    account.running.add(EXECUTION + "one")
    assert not account.invoke("TakeLeaseFunction", where, id="one", execution=EXECUTION + "one").held
    assert account.invoke("LookFunction", where, id="hint", cause="hint").decision == "asked"
    assert account.invoke("TakeLeaseFunction", where, id="two", execution=EXECUTION + "two").held
    account.running.clear()
    taken = account.invoke("TakeLeaseFunction", where, id="two", execution=EXECUTION + "two")
    assert not taken.held
    failure = {"Error": "States.Timeout", "Cause": "it hung"}
    assert account.invoke("ReportRunFunction", where, run=taken.run, failure=failure).kind == "failed"
    account.invoke("ReleaseLeaseFunction", where, run=taken.run, failed=True)
    assert not account.invoke("TakeLeaseFunction", where, id="three", execution=EXECUTION + "three").held


def every_mesh_kind(account: InProcessAccount) -> None:
    """A mesh of every kind is made, mended field by field, and emptied again; the look reads it."""
    whole = with_mesh(EVERY_KIND)
    assert account.invoke("LookFunction", whole, id="look-1").decision == "apply"
    run(account, whole, "run-1", mesh=True)
    kinds = {resource.key[0] for resource in account.app_mesh._arns.values()}
    assert len(kinds) == 7
    assert account.invoke("LookFunction", whole, id="look-2").decision == "quiet"
    for resource in account.app_mesh._arns.values():
        resource.spec = resource.spec | TAMPERED[resource.key[0]]
    run(account, whole, "run-2", mesh=True)
    assert account.invoke("LookFunction", whole, id="look-3").decision == "quiet"
    alone = "---\n".join(EVERY_KIND.split("---\n")[:2])
    assert account.invoke("LookFunction", with_mesh(alone), id="look-4").actions == 6, "all but the mesh itself are to go"
    run(account, with_mesh(alone), "run-3", mesh=True)
    assert {resource.key[0] for resource in account.app_mesh._arns.values()} == {"mesh"}
    run(account, with_mesh(EVERY_KIND.split("---\n")[0]), "run-4", mesh=True)
    assert not account.app_mesh._arns, "with its last document the mesh goes, too"


def own_envoys(account: InProcessAccount) -> None:
    """Snapshots for Envoys of the user's own: published before the registry is written, read back, and swept when many were published."""
    namespace(account)
    base = with_mesh(EVERY_KIND)
    blue = msgspec.structs.replace(node("blue"), mesh="shop", spec={"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]})
    topology = msgspec.structs.replace(base.topology, nodes=(*base.topology.nodes, blue))
    mesh = msgspec.structs.replace(base.settings.mesh, backend="envoy")
    where = msgspec.structs.replace(saying(base, mesh=mesh), topology=topology)
    with patch.object(sweep, "EVERY", 1), patch.object(sweep, "KEPT_ROOTS", 1):
        for number, uid in enumerate(("a", "bb")):
            account.clusters.put("eksc1", pod(uid))
            assert account.invoke("LookFunction", where, id=f"look-{number}").decision == "apply"
            name, execution = f"run-{number}", f"{EXECUTION}run-{number}"
            account.running.add(execution)
            this = account.invoke("TakeLeaseFunction", where, id=name, execution=execution).run
            assert account.invoke("LookFunction", where, run=this).planned.publish
            before = {key for key in account.objects if key.startswith("snapshots/")}
            account.clock.sleep(100)  # the lease is renewed
            kept = account.invoke("ReconcileMeshFunction", where, run=this)
            assert (kept.unavailable, kept.failed, kept.done, kept.withheld) == ("", 0, True, 0), kept
            account.invoke("ReleaseLeaseFunction", where, run=this)
            account.running.discard(execution)
            account.clock.sleep(2 * sweep.OLD_S)
    assert account.items["snapshots/pointer"]["number"] == {"N": "2"}
    assert before - account.objects.keys(), "what no kept root names is removed"


def live_manifests(account: InProcessAccount) -> None:
    """The mesh is declared by a cluster's own resources: a look reads them, the steps of a run take them as the look left them."""
    namespace(account)
    account.clusters.declared["eksc1"] = list(yaml.safe_load_all(EVERY_KIND))
    base = here()
    mesh = MeshSettings(manifests=ManifestSource(clusters=("eksc1",)), backend="appmesh")
    where = msgspec.structs.replace(base, settings=msgspec.structs.replace(base.settings, mesh=mesh), topology=Topology())
    assert account.invoke("LookFunction", where, id="look-1").decision == "apply"
    run(account, where, "look-1", mesh=True)
    assert account.invoke("LookFunction", where, id="look-2").decision == "quiet"


def other_account(account: InProcessAccount) -> None:
    """A cluster of another account, by its role: for looks, runs and canaries."""
    namespace(account)
    role = "arn:aws:iam::444455556666:role/crossmesh-reader"
    base = canaried()
    clusters = (ClusterSettings(name="eksc1", eks="eksc1", region="us-east-1", role_arn=role, external_id="secret"), base.settings.clusters[1])
    where = saying(base, clusters=clusters, readiness_gate=True, security_groups="open")
    account.clusters.put("eksc1", gated("a"))
    assert account.invoke("LookFunction", where, id="look-1").unseen == ()
    run(account, where, "run-1")
    probe(account, where)
    assert diagnosed(account, where, "front").broken == ("answers:front",), "everything can be looked at, and nothing is broken"


def readiness_gate(account: InProcessAccount) -> None:
    """A pod with a closed gate is registered, found by discovery, and its gate opened."""
    namespace(account)
    where = saying(here(), readiness_gate=True)
    account.clusters.put("eksc1", gated("a"))
    run(account, where, "run-1")
    assert account.clusters.gates == [("eksc1", "a")]


def walkthrough(account: InProcessAccount) -> Context:
    """The walkthrough with every kind of mesh resource beside it, converged; its front is a Service behind the load balancer a1."""
    loaded = load_config(ROOT / "config").documents
    built = build((*loaded, *load([("mesh.yaml", EVERY_KIND.encode())]).documents))
    assert not [finding for finding in built.findings if finding.level == "error"]
    settings = load_config(ROOT / "config").settings
    assert settings is not None
    where = saying(msgspec.structs.replace(here(), topology=built.topology, settings=settings), security_groups="open")
    namespace(account, SPACE)
    (place,) = account.cloud_map.namespaces
    asked = {"Name": "colorapp", "NamespaceId": place, "HealthCheckCustomConfig": {"FailureThreshold": 1}}
    asked["DnsConfig"] = {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 300}]}
    account.cloud_map.call("CreateService", asked)
    for cluster, one in (("eksc1", FRONT), ("eksc2", BLUE), ("eksc2", RED)):
        account.clusters.put(cluster, one)
    account.clusters.services["eksc1", "appmesh-demo", "front"] = ServiceFacts(
        host="a1-17.us-east-1.elb.amazonaws.com", selector={"app": "front"}
    )
    containers = tuple(ContainerFacts(name=name, ready=True, state="running") for name in ("app", "envoy"))
    work = MemoryClusters.workloads(account.clusters, where.cluster("eksc1"), ("appmesh-demo",))
    ready = tuple(msgspec.structs.replace(one, ready=True, containers=containers) for one in work.pods)
    account.clusters.details["eksc1"] = msgspec.structs.replace(work, pods=ready)
    account.balancers["a1"] = ("classic", "InService")
    for one in (FRONT, BLUE, RED):
        account.instances.answers[one.ip] = Sample(status=200, body=one.labels["version"])
    run(account, where, "run-0", mesh=True)
    return where


def diagnosed(account: InProcessAccount, where: Context, canary: str, name: str = "canary-9", *marked: str) -> Any:
    """The front answers 500; what the diagnosis names for it. `marked`: instances newly taken for dead."""
    account.samples = (Sample(status=500),)
    probed = account.invoke("ProbeFrontFunction", where, id=name, attempt=2)
    judged = account.invoke("JudgeCanaryFunction", where, id=name, probed=probed.probed, attempt=2)
    found = account.invoke("DiagnoseCanaryFunction", where, id=name, judged=(judged,))
    assert found.marked == marked
    (named,) = (one for one in found.named if one.canary == canary)
    return named


def broken_path(account: InProcessAccount) -> None:
    """A port is closed between the clusters, a route was changed and an instance is dead: each is named, the dead one marked, the next run opens the port."""
    where = walkthrough(account)
    account.rules = {group: [] for group in account.rules}
    for resource in account.app_mesh._arns.values():
        resource.spec = resource.spec | (TAMPERED[resource.key[0]] if resource.key[0] in ("route", "virtualGateway") else {})
    del account.instances.answers[RED.ip]
    del account.objects["registry/last.json"]  # as where no look has kept what it read
    broken = diagnosed(account, where, "front-color", "canary-1", "eksc2.r").broken
    assert broken == ("mesh:route colorapp_appmesh-demo/color-route in appmesh-demo", "network:eksc1→eksc2:8080", "instance:eksc2.r"), broken
    stale = {"IpProtocol": "tcp", "FromPort": 9090, "ToPort": 9090}
    stale["UserIdGroupPairs"] = [{"GroupId": "sg-eksc1", "Description": mark_of("demo")}]
    account.rules["sg-eksc2"].append(stale)
    run(account, where, "run-1", mesh=True)
    assert [rule["FromPort"] for rule in account.rules["sg-eksc2"]] == [8080], "the needed port is open, and ours that nothing needs is closed"
    assert account.invoke("LookFunction", where, id="look-1").decision == "quiet", "nobody asks for a port any more"


def unhealthy_targets(account: InProcessAccount) -> None:
    """A network load balancer without a healthy target; what does not change is not listed again."""
    where = walkthrough(account)
    host = "a2-17.elb.us-east-1.amazonaws.com"
    account.clusters.services["eksc1", "appmesh-demo", "front"] = ServiceFacts(host=host, selector={"app": "front"})
    account.balancers["a2"] = ("network", "unhealthy")
    for number in range(3):
        account.clock.sleep(SETTLED + 1)
        account.invoke("LookFunction", where, id=f"look-{number}")  # looks keep what they read; a diagnosis keeps nothing
        account.calls.clear()
        assert diagnosed(account, where, "front-color", f"canary-{number}").broken == ("targets:a2",)
    assert "servicediscovery:ListInstances" not in account.calls, "no revision moved, so nothing is listed"


def service_gone(account: InProcessAccount) -> None:
    """Somebody deleted the Cloud Map service, with its instances: found under no id."""
    where = walkthrough(account)
    (gone,) = (s for s in account.cloud_map.services.values() if s.name == "colorapp")
    for instance in ("eksc2.b", "eksc2.r"):
        account.cloud_map.call("DeregisterInstance", {"ServiceId": gone.id, "InstanceId": instance})
    account.clock.sleep(1)
    account.cloud_map.settle()
    account.cloud_map.call("DeleteService", {"Id": gone.id})
    assert diagnosed(account, where, "front-color").broken == (f"namespace:colorapp.{SPACE}",)


def canaried() -> Context:
    """With a canary on a Service of eksc1."""
    target = ServiceTarget(cluster="eksc1", namespace="demo", name="front", port=80)
    base = here()
    canary = CanarySettings(name="front", service=target, requests=3, expect=Expect(status=200))
    return msgspec.structs.replace(base, settings=msgspec.structs.replace(base.settings, canaries=(canary,)))


def probe(account: InProcessAccount, where: Context, requests: int = 3) -> None:
    """Probe and judge once; each answer's body is another."""
    account.samples = tuple(Sample(status=200, body=account.rng.randbytes(250).hex()) for _ in range(requests))
    listed = account.invoke("ListCanariesFunction", where, id="canary-1", asked={"canary": "", "requests": 0})
    assert listed.canaries == ("front",), "the verdict before gave it back"
    probed = account.invoke("ProbeFrontFunction", where, id="canary-1")
    assert probed.probed[0].problem == ""
    judged = account.invoke("JudgeCanaryFunction", where, id="canary-1", probed=probed.probed)
    assert not judged.failed, judged
    other = account.invoke("ListCanariesFunction", where, id="canary-other", asked=None)
    assert other.canaries == ("front",), "the verdict gave it back"
    assert account.invoke("ListCanariesFunction", where, id="canary-1", asked=None).canaries == (), "another one runs it"
    account.clock.sleep(LIFE + 1)


def canary(account: InProcessAccount) -> None:
    """The front is probed and judged twice: the second verdict reads the first, and more answers than can be carried are kept in the run store."""
    where = canaried()
    probe(account, where)
    probe(account, where, requests=1_000)


def failing_canary(account: InProcessAccount) -> None:
    """The front answers 500: answers and verdict are kept for people."""
    where = canaried()
    account.samples = (Sample(status=500),)
    probed = account.invoke("ProbeFrontFunction", where, id="canary-1", attempt=2)
    assert account.invoke("JudgeCanaryFunction", where, id="canary-1", probed=probed.probed, attempt=2).failed
    assert "runs/canary-1/verdicts/front.json" in account.objects


def failed_look(account: InProcessAccount) -> None:
    """A look that failed leaves its line, with the time of the last one that did not; the lease that it died with is given back."""
    held = {"id": "lease/look", "holder": "look-1"}
    account.items["lease/look"] = {name: {"S": value} for name, value in held.items()} | {
        "epoch": {"N": "1"},
        "expires": {"N": "9999999999.0"},
        "again": {"BOOL": False},
    }
    account.invoke("ReportLookFunction", here(), id="look-1", failure={"Error": "States.Timeout", "Cause": "it hung"})
    assert account.items["document/look"]
    assert account.items["lease/look"]["holder"] == {"S": ""}


SITUATIONS: tuple[Situation, ...] = (
    first_run,
    pods_leave,
    custom_health,
    late_failure,
    slow_and_throttled,
    crashed_cluster,
    dead_holder,
    every_mesh_kind,
    own_envoys,
    live_manifests,
    other_account,
    readiness_gate,
    broken_path,
    unhealthy_targets,
    service_gone,
    canary,
    failing_canary,
    failed_look,
)
