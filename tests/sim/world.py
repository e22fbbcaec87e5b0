"""The world that a schedule is played in: the models of Cloud Map and App Mesh, clusters, what is deployed, and other hands."""

import copy
import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from crossmesh import codec
from crossmesh.configuration import load
from crossmesh.core.compiler.routes import route_of
from crossmesh.core.mesh import shift_weights
from crossmesh.core.registry.churn import RUNS
from crossmesh.core.reporting.report import Report
from crossmesh.core.settings import ManifestSource
from crossmesh.usecases import state, traffic_shifts
from crossmesh.usecases.context import Context
from crossmesh.usecases.mesh.appmesh import observing
from crossmesh.usecases.plan_handoff import PlanHandoff

from tests.sim.application import ROOT
from tests.sim.clusters import LABELS, Cluster, SimPod
from tests.sim.documents import declared, named, node, tenants
from tests.sim.schedule import Event, Schedule
from world.aws.models.app_mesh import AppMesh
from world.aws.models.cloud_map import CloudMap
from world.aws.models.cloud_map_records import LateFailure, Operation
from world.aws.models.errors import AwsError

SPACE = "appmesh-demo.pvt.aws.local"
SERVICE = {"front": "front", "blue": "colorapp", "red": "colorapp", "flood": "colorapp"}
NODE = {"front": "front_appmesh-demo", "blue": "colorapp-blue_appmesh-demo", "red": "colorapp-red_appmesh-demo"}
NODE["flood"] = NODE["blue"]  # a pod whose owner gave it labels without number
STALE_FOR = 20.0  # seconds within which reads of Cloud Map agree: an assumption, AWS names no number
OWNER_MARK, CLUSTER_MARK, POD_MARK = "crossmesh/owner", "crossmesh/cluster", "crossmesh/pod-uid"
ROUTE = {"meshName": "appmesh-demo", "virtualRouterName": "colorapp_appmesh-demo", "routeName": "color-route"}


def _rendered_once() -> None:
    """Rendering is pure and the two topologies never change: render each once a process instead of twice a look."""
    render, known = observing.requests, {}

    def requests(topology: Any) -> Any:
        if id(topology) not in known:
            known[id(topology)] = (topology, render(topology))
        return known[id(topology)][1]

    observing.requests = requests  # type: ignore[attr-defined]
    observing.GONE_FOR = 120.0  # its ten minutes outlast a play


@cache
def contexts() -> tuple[Context, Context, Context]:
    """The shipped configuration as deployed, the next one (red 3 : blue 1), and one without eksc1."""
    _rendered_once()
    found = load(ROOT / "config")
    assert found.settings is not None
    first = Context(settings=found.settings, topology=found.topology, config="c1", deployment="111122223333/us-east-1/demo")
    routers = tuple(
        msgspec.structs.replace(router, routes=tuple(route_of(reweighted(route.spec)) for route in router.routes))
        if router.name == "colorapp"
        else router
        for router in found.topology.routers
    )
    second = msgspec.structs.replace(first, topology=msgspec.structs.replace(found.topology, routers=routers), config="c2")
    one = msgspec.structs.replace(found.settings, clusters=found.settings.clusters[1:])
    return first, second, msgspec.structs.replace(first, settings=one, config="c3")


@cache
def _deployed(removals: str, mode: str, *, backend: str, live: bool) -> tuple[Context, ...]:
    """The same for a schedule's policy, mode, backend and source of manifests."""
    first = contexts()[0]
    policy = msgspec.structs.replace(first.settings.policy, removals=removals)  # type: ignore[arg-type]
    mesh = msgspec.structs.replace(first.settings.mesh, backend=backend)  # type: ignore[arg-type]
    if live:
        mesh = msgspec.structs.replace(mesh, manifests=ManifestSource(clusters=tuple(c.name for c in first.settings.clusters)))
    return tuple(
        msgspec.structs.replace(c, settings=msgspec.structs.replace(c.settings, policy=policy, mesh=mesh), mode=mode)  # type: ignore[arg-type]
        for c in contexts()
    )


def reweighted(spec: dict[str, Any]) -> dict[str, Any]:
    """The route with three times red."""
    made = copy.deepcopy(spec)
    for target in made["httpRoute"]["action"]["weightedTargets"]:
        name = target.get("@VirtualNode") or target.get("virtualNode")
        target["weight"] = 3 if "red" in name else 1
    return made


@cache
def golden() -> dict[tuple[str, ...], Any]:
    """What App Mesh must hold, by kind and name: the requests that AWS's controller would send (tests/golden)."""
    found = {}
    for request in json.loads((ROOT / "tests/golden/walkthrough.requests.json").read_text()):
        names = {key: value for key, value in request["input"].items() if key != "spec"}
        found[(request["operation"].removeprefix("Create"), *names.values())] = (names, request["input"]["spec"])
    return found


def _shifted(spec: dict[str, Any], weights: dict[str, int]) -> dict[str, Any]:
    """The route with other weights, where it is the colours'."""
    made = copy.deepcopy(spec)
    for target in made["httpRoute"]["action"]["weightedTargets"]:
        target["weight"] = weights.get(target["virtualNode"], target["weight"])
    return made


CONFLICTING = "111122223333/us-east-1/other"  # the id of another deployment


class SimCloudMap(CloudMap):
    """The model, with what each service held before each change: for stale answers."""

    def __init__(self, clock: Callable[[], float], rng: random.Random) -> None:
        super().__init__(clock, rng)
        self.before: dict[str, list[tuple[dict[str, Any], int, float]]] = {}

    def finish_instance(self, operation: Operation) -> None:
        """Keep the picture, then let it change."""
        service = operation.payload[1]
        self.before.setdefault(service.id, []).append((dict(service.instances), service.revision, self.now))
        super().finish_instance(operation)


class World:
    """Everything outside crossmesh."""

    def __init__(self, schedule: Schedule, clock: Callable[[], float], rng: random.Random) -> None:
        self.clock, self.rng, self.lag = clock, rng, schedule.lag
        self.cloud_map, self.app_mesh = SimCloudMap(clock, rng), AppMesh(clock, rng)
        self.lie, self.mesh_gone = "", False
        self.next_lag: float | None = None
        self.next_failure = False
        backend = "envoy" if schedule.envoys else "appmesh" if schedule.mesh else "none"
        self.deployed = _deployed(schedule.policy, schedule.mode, backend=backend, live=schedule.live)
        self.context = self.deployed[0]
        self.owner = self.context.settings.owner
        self.clusters = {name: Cluster(name, f"uid-of-{name}") for name in sorted(schedule.pods)}
        self.foreign: dict[tuple[str, str], dict[str, str]] = {}
        self.foreign_mesh: set[str] = set()  # kinds of declared resources that somebody else holds
        self.decorated: dict[str, float] = {}  # instance id -> since when it carries somebody's x-note
        self.robberies: list[tuple[str, str]] = []  # (service, instance)
        self.robbed = 0
        self.mesh_touched = False
        self.weights: dict[str, int] | None = None  # of the colours, while a shift is in force
        self.front = ""  # how the front answers: "" = as its mesh does
        self.made = 0
        self.wanted = [(0.0, name, named(item)) for name in self.clusters for item in declared()]  # good documents: since when, whose, which
        self.ips: dict[str, str] = {}  # uid -> address of every pod there ever was
        self.cloud_map.call("CreatePrivateDnsNamespace", {"Name": SPACE, "Vpc": "vpc-1"})
        self.cloud_map.settings.operation_lag_s = schedule.lag
        self.cloud_map.throttle.rates = dict(schedule.rates)

    def populate(self, pods: dict[str, dict[str, int]]) -> None:
        """The pods that stand when it begins."""
        for name, kinds in sorted(pods.items()):
            for kind, count in sorted(kinds.items()):
                for _ in range(count):
                    self.add(name, kind)

    # --- AWS ------------------------------------------------------------------------------------------------------------------------------

    def call(self, service: str, operation: str, request: dict[str, Any], stale: int = 0) -> Any:
        """A request to a model; `stale` changes ago where AWS promises no more than to agree in the end."""
        if service == "appmesh":
            return self.app_mesh.call(operation, request)
        if not stale and self.next_lag is None and not self.next_failure:
            return self.cloud_map.call(operation, request)
        settings = self.cloud_map.settings
        if self.next_lag is not None:
            settings.operation_lag_s = self.next_lag
        if self.next_failure and operation in ("RegisterInstance", "DeregisterInstance"):
            settings.late_failures.append(LateFailure(instance=request["InstanceId"], times=1))
            self.next_failure = False
        try:
            if stale:
                return self._stale(operation, request, stale)
            return self.cloud_map.call(operation, request)
        finally:
            settings.operation_lag_s = self.lag

    def _stale(self, operation: str, request: dict[str, Any], back: int) -> Any:
        service = None
        if operation == "ListInstances":
            service = self.cloud_map.services.get(request["ServiceId"])
        elif operation in ("DiscoverInstances", "DiscoverInstancesRevision"):
            service = self.service(request["ServiceName"])
        old = self.cloud_map.before.get(service.id, []) if service else []
        history = [entry for entry in old if entry[2] >= self.clock() - STALE_FOR]
        if service is None or not history:
            return self.cloud_map.call(operation, request)
        self.settle()
        instances, revision, _ = history[max(0, len(history) - back)]
        kept = service.instances, service.discovered, service.discovered_revision
        if operation == "ListInstances":
            service.instances = instances
        else:
            service.discover(self.clock())
            kept = service.instances, service.discovered, service.discovered_revision
            service.discovered, service.discovered_revision = instances, revision
        try:
            return self.cloud_map.call(operation, request)
        finally:
            service.instances, service.discovered, service.discovered_revision = kept

    def settle(self) -> None:
        """Let what is due in Cloud Map happen."""
        self.cloud_map.now = self.clock()
        self.cloud_map.settle()

    def service(self, name: str) -> Any:
        """A Cloud Map service of the model, None where there is none."""
        space = self.cloud_map.namespaces[self.cloud_map.namespace_ids[SPACE]]
        return space.services.get(name)

    def instances(self) -> dict[tuple[str, str], dict[str, str]]:
        """All instances: (service, id) -> attributes."""
        self.settle()
        space = self.cloud_map.namespaces[self.cloud_map.namespace_ids[SPACE]]
        return {(service.name, i): instance.attributes for service in space.services.values() for i, instance in service.instances.items()}

    def ours(self) -> list[tuple[str, str]]:
        """Keys of the instances that carry our mark, sorted."""
        return sorted(key for key, attributes in self.instances().items() if attributes.get(OWNER_MARK) == self.owner)

    # --- clusters -------------------------------------------------------------------------------------------------------------------------

    def cluster(self, name: str) -> Cluster:
        """A cluster about to be viewed, with the lie laid for this view."""
        cluster = self.clusters[name]
        cluster.lie = self.lie
        return cluster

    def waited(self) -> float:
        """The seconds that the call just made waited for a cluster that drips."""
        seconds = max(cluster.waited for cluster in self.clusters.values())
        for cluster in self.clusters.values():
            cluster.waited = 0.0
        return seconds

    def add(self, name: str, kind: str, ip: str = "", *, ready: bool = True, pod: str = "") -> SimPod:
        """A new pod."""
        self.made += 1
        ip = ip or f"172.16.{self.made // 200}.{self.made % 200 + 1}"
        made = SimPod(name, pod or f"{kind}-{self.made}", f"u{self.made:04}-{kind}", ip, kind, ready=ready, live_since=self.clock())
        self.clusters[name].put(made)
        self.ips[made.uid] = ip
        return made

    def pod(self, uid: str) -> SimPod | None:
        """A pod that exists, by uid."""
        for cluster in self.clusters.values():
            for pod in cluster.pods.values():
                if pod.uid == uid:
                    return pod
        return None

    def desired(self) -> dict[tuple[str, str], dict[str, str]]:
        """What Cloud Map must hold in the end, worked out from the pods and not by crossmesh: (service, id) -> attributes that it must carry."""
        wanted = {}
        for cluster in self.clusters.values():
            for pod in cluster.pods.values():
                if pod.live and pod.kind in SERVICE:
                    attributes = {
                        **LABELS[pod.kind],
                        "AWS_INSTANCE_IPV4": pod.ip,
                        "AWS_INSTANCE_PORT": "8080",
                        "k8s.io/pod": pod.name,
                        "k8s.io/namespace": "appmesh-demo",
                        "appmesh.k8s.aws/mesh": "appmesh-demo",
                        "appmesh.k8s.aws/virtualNode": NODE[pod.kind],
                        "REGION": "us-east-1",
                        "AVAILABILITY_ZONE": "us-east-1a",
                        OWNER_MARK: self.owner,
                        CLUSTER_MARK: cluster.name,
                        POD_MARK: pod.uid,
                    }
                    if pod.kind != "front":
                        attributes["color"] = LABELS[pod.kind]["version"]
                    wanted[SERVICE[pod.kind], f"{cluster.name}.{pod.uid}"] = attributes
        return wanted

    def mesh_faults(self) -> list[str]:
        """How App Mesh differs from what is declared."""
        found: list[str] = []
        if self.context.settings.mesh.backend != "appmesh" or self.mesh_gone:
            return found
        for key, (names, spec) in golden().items():
            if key[0] == "Route" and self.context.config == "c2":
                spec = reweighted(spec)
            if key[0] == "Route" and self.weights is not None:
                spec = _shifted(spec, self.weights)
            try:
                shown = self.app_mesh.call(f"Describe{key[0]}", names)
            except AwsError as error:
                found.append(f"{key}: {error.code}")
                continue
            (resource,) = shown.values()
            if resource["spec"] != spec and key[0] not in self.foreign_mesh:
                found.append(f"{key}: {resource['spec']}")
        for kind in ("VirtualNode", "VirtualRouter") if not found and self.context.settings.policy.removals == "sync" else ():
            (names,) = (v for k, v in self.app_mesh.call(f"List{kind}s", {"meshName": "appmesh-demo"}).items() if k != "nextToken")
            found += [f"{kind} left-over is there" for ref in names if "left-over" in ref.values()]
        return found

    def answer(self, rng: random.Random) -> str:
        """What one request through the mesh is answered: the colour of the pod chosen, or Envoy's complaint."""
        try:
            (route,) = self.app_mesh.call("DescribeRoute", ROUTE).values()
        except AwsError:
            return "no healthy upstream"
        targets = [t for t in route["spec"]["httpRoute"]["action"]["weightedTargets"] if t["weight"]]
        node = rng.choices(targets, [t["weight"] for t in targets])[0]["virtualNode"]
        chosen = sorted(a.get(POD_MARK, "") for a in self.instances().values() if a.get("appmesh.k8s.aws/virtualNode") == node)
        pod = self.pod(rng.choice(chosen)) if chosen else None
        return LABELS[pod.kind]["version"] if pod and pod.live else "no healthy upstream"

    # --- what happens ---------------------------------------------------------------------------------------------------------------------

    def happen(self, event: Event, simulation: Any) -> str:
        """Bring an event about; the cause of the hint that would tell of it, "" = none."""
        result: str | None = getattr(self, f"_do_{event.do.replace('-', '_')}")(event, simulation)
        return "hint" if result is None else result

    def _chosen(self, event: Event) -> SimPod | None:
        """The pod meant: by name, or the `arg`-th of its kind."""
        pods = self.clusters[event.cluster].pods
        if event.name:
            return pods.get(event.name)
        found = sorted((p for p in pods.values() if not event.kind or p.kind == event.kind), key=lambda p: p.uid)
        return found[int(event.arg) % len(found)] if found else None

    def _do_busy(self, _: Event, simulation: Any) -> str:
        """As many runs began lately as are free, the last one just now."""
        said = simulation.state.read(state.LOOKED)
        if said:
            report = msgspec.structs.replace(codec.decode(said, Report), ran=(self.clock(),) * RUNS)
            simulation.state.write(state.LOOKED, codec.encode(report))
        return ""

    def _do_add(self, event: Event, _: Any) -> None:
        self.add(event.cluster, event.kind, ready=event.arg >= 0, pod=event.name)

    def _change(self, event: Event, **changes: Any) -> None:
        pod = self._chosen(event)
        if pod is None:
            return
        for key, value in changes.items():
            setattr(pod, key, value)
        pod.live_since = self.clock()
        self.clusters[event.cluster].put(pod)

    def _do_ready(self, event: Event, _: Any) -> None:
        self._change(event, ready=True)

    def _do_unready(self, event: Event, _: Any) -> None:
        self._change(event, ready=False)

    def _do_terminate(self, event: Event, _: Any) -> None:
        self._change(event, terminating=True)

    def _do_controller(self, event: Event, _: Any) -> None:
        """AWS's controller comes (odd `arg`), or a Deployment that looks like it in a namespace of anybody's; `kind` none: it goes."""
        self.clusters[event.cluster].controller = "" if event.kind == "none" else "appmesh-system" if int(event.arg) % 2 else "mallory"
        self.clusters[event.cluster].changed()

    def _do_lose(self, event: Event, _: Any) -> None:
        """The node under a pod dies: the API says so by Ready alone. Of a pod that our gate keeps unready nothing tells it."""
        pod = self._chosen(event)
        if pod and not pod.gated:
            self._change(event, lost=True)

    def _do_evict(self, event: Event, _: Any) -> None:
        """A pod fails for good though its restart policy is Always; its address is another pod's at once. Its conditions may stay as they were (odd `arg`)."""
        pod = self._chosen(event)
        if pod:
            self._change(event, phase="Failed", ready=pod.ready and bool(int(event.arg) % 2))
            self.add(event.cluster, pod.kind, pod.ip)

    def _do_finish(self, event: Event, _: Any) -> None:
        self._change(event, restart="Never", phase="Succeeded", ready=False)

    def _do_delete(self, event: Event, _: Any) -> None:
        pod = self._chosen(event)
        if pod:
            self.clusters[event.cluster].remove(pod.name)

    def _do_delete_all(self, event: Event, _: Any) -> None:
        cluster = self.clusters[event.cluster]
        for name in [p.name for p in cluster.pods.values() if not event.kind or p.kind == event.kind]:
            cluster.remove(name)

    def _do_replace(self, event: Event, _: Any) -> None:
        """A pod of the same name comes back with another uid and address (a StatefulSet's)."""
        pod = self._chosen(event)
        if pod:
            self.clusters[event.cluster].remove(pod.name)
            self.add(event.cluster, pod.kind, pod=pod.name)

    def _do_relabel(self, event: Event, _: Any) -> None:
        """A pod's labels change, and with them the virtual node that selects it."""
        pod = self._chosen(Event(t=0, do="", cluster=event.cluster, arg=event.arg, name=event.name))
        if pod:
            pod.kind, pod.live_since = event.kind, self.clock()
            self.clusters[event.cluster].put(pod)

    def _do_reuse_ip(self, event: Event, _: Any) -> None:
        """A pod goes and its address comes back in another cluster at once: both draw from one subnet."""
        pod = self._chosen(event)
        if pod:
            self.clusters[event.cluster].remove(pod.name)
            other = sorted(self.clusters.keys() - {event.cluster})
            self.add(other[0] if other else event.cluster, pod.kind, pod.ip)

    def _do_document(self, event: Event, _: Any) -> None:
        """A tenant writes custom resources (`kind`); `good`: the application gets one more virtual node."""
        more = [node("appmesh-demo", f"more-{len(self.wanted)}")] if event.kind == "good" else tenants(event.kind)
        self.clusters[event.cluster].documents += more
        if event.kind == "good":
            self.wanted += [(self.clock(), event.cluster, named(item)) for item in more]

    def _do_dark(self, event: Event, _: Any) -> str:
        self.clusters[event.cluster].trouble = event.kind or "timeout"
        return ""

    def _do_lit(self, event: Event, _: Any) -> str:
        self.clusters[event.cluster].trouble = ""
        return ""

    def _do_rebuild(self, event: Event, _: Any) -> str:
        """The cluster is lost; another answers to its name, with pods of its own."""
        old = self.clusters[event.cluster]
        kinds = [pod.kind for pod in old.pods.values()]
        self.clusters[event.cluster] = Cluster(event.cluster, f"rebuilt-{event.cluster}-{self.made}", version=3 if event.arg % 2 else 5_000)
        for kind in kinds:
            self.add(event.cluster, kind)
        return ""

    def _do_accept(self, event: Event, simulation: Any) -> None:
        simulation.operator(accept={event.cluster: self.clock()})

    def _do_forget(self, event: Event, simulation: Any) -> None:
        simulation.operator(forget={event.cluster: self.clock()})

    def _do_pause(self, _: Event, simulation: Any) -> str:
        simulation.operator(paused=self.clock())
        return ""

    def _do_resume(self, _: Event, simulation: Any) -> None:
        simulation.operator(paused=0.0)

    def _do_hint(self, _: Event, __: Any) -> str:
        return "hint"

    def _do_storm(self, event: Event, simulation: Any) -> str:
        for index in range(int(event.arg) or 20):
            simulation.at(self.clock() + 0.003 * index, simulation.look, "hint")
        return ""

    def _do_canary(self, _: Event, simulation: Any) -> str:
        simulation.start("Canary", {"cause": "schedule", "canary": "", "requests": 0})
        return ""

    def _do_canaries(self, event: Event, simulation: Any) -> str:
        """The schedule's canaries of the next `arg` minutes; without this event none run."""
        for minute in range(int(event.arg)):
            simulation.at(self.clock() + 60.0 * minute, simulation.start, "Canary", {"cause": "schedule", "canary": "", "requests": 0})
        return ""

    def _do_front(self, event: Event, _: Any) -> str:
        """The front answers in the way `kind` from now on."""
        self.front = event.kind
        return ""

    def _do_shift(self, event: Event, simulation: Any) -> None:
        """Somebody asks for nine blue and one red, in steps of `arg` points each 20 s."""
        (router,) = (router for router in self.context.topology.routers if router.name == "colorapp")
        (route,) = router.routes
        asked = shift_weights.Shift(
            id=f"shift-{self.clock():.0f}",
            service="appmesh-demo/colorapp",
            mesh=router.mesh,
            router=router.aws_name,
            route=route.name,
            document=shift_weights.digest_of(route),
            start=route.weights,
            goal={NODE["blue"]: 90, NODE["red"]: 10},
            step=int(event.arg) or 10,
            every=20.0,
            begun=self.clock(),
        )
        simulation.state.write(traffic_shifts.SHIFTS, codec.encode((asked,)))

    def _do_run(self, _: Event, simulation: Any) -> str:
        """Somebody starts a run by hand, as `crossmesh apply` does: with a look's document that hands no plan on."""
        name = f"by-hand-{simulation.names}"
        look = state.key(name, "look")
        simulation.runs.put(look, codec.encode(PlanHandoff()))
        simulation.start("Reconcile", {"id": name, "look": look})
        return ""

    def _do_config(self, event: Event, _: Any) -> None:
        """`sam deploy` with other manifests."""
        self.context = self.deployed[int(event.arg)]

    # --- other hands ----------------------------------------------------------------------------------------------------------------------

    def _victim(self, event: Event) -> tuple[Any, str] | None:
        ours = self.ours()
        if not ours:
            return None
        name, ident = ours[int(event.arg) % len(ours)]
        return self.service(name), ident

    def _hand(self, operation: str, request: dict[str, Any]) -> str:
        try:
            self.cloud_map.call(operation, request)
        except AwsError:
            return ""
        return "drift"

    def _do_rob(self, event: Event, _: Any) -> str:
        """Another writer deregisters one of ours."""
        victim = self._victim(event)
        if victim is None:
            return ""
        self.robbed += 1
        self.robberies.append((victim[0].name, victim[1]))
        return self._hand("DeregisterInstance", {"ServiceId": victim[0].id, "InstanceId": victim[1]})

    def _do_ghost(self, event: Event, _: Any) -> str:
        """An instance with our marks for a pod that there is not."""
        service = self.service("colorapp")
        if service is None:
            return ""
        cluster = event.cluster or min(self.clusters)
        uid = f"{cluster}-ghost-{int(event.arg)}"
        attributes = {
            "AWS_INSTANCE_IPV4": "172.16.9.9", "k8s.io/pod": f"ghost-{int(event.arg)}", "k8s.io/namespace": "appmesh-demo", OWNER_MARK: self.owner,
            CLUSTER_MARK: cluster, POD_MARK: uid, "appmesh.k8s.aws/virtualNode": NODE["blue"],
        }  # fmt: skip
        return self._hand("RegisterInstance", {"ServiceId": service.id, "InstanceId": f"{cluster}.{uid}", "Attributes": attributes})

    def _do_squat(self, event: Event, _: Any) -> str:
        """Somebody else's instance in our service: an ECS task's, AWS's controller's (id = pod IP), or another deployment's."""
        service = self.service("colorapp")
        if service is None:
            return ""
        kind = int(event.arg) % 3
        ident = ("ecs-task-1", "172.16.0.1", "theirs.uid-1")[kind]
        attributes = {"AWS_INSTANCE_IPV4": f"172.16.77.{kind + 1}"}
        if kind == 1:
            marks = {"appmesh.k8s.aws/mesh": "appmesh-demo", "appmesh.k8s.aws/virtualNode": NODE["blue"], "k8s.io/pod": "their-pod"}
            attributes |= {**marks, "k8s.io/namespace": "appmesh-demo"}
        if kind == 2:
            attributes |= {OWNER_MARK: "somebody-else", CLUSTER_MARK: "eksc1", POD_MARK: "uid-1"}
        done = self._hand("RegisterInstance", {"ServiceId": service.id, "InstanceId": ident, "Attributes": attributes})
        if done:
            self.foreign["colorapp", ident] = attributes
        return done

    def _overwrite(self, event: Event, changes: dict[str, str]) -> str:
        victim = self._victim(event)
        if victim is None:
            return ""
        service, ident = victim
        attributes = {**service.instances[ident].attributes, **changes}
        if "x-note" in changes:
            self.decorated[ident] = self.clock() + self.lag
        return self._hand("RegisterInstance", {"ServiceId": service.id, "InstanceId": ident, "Attributes": attributes})

    def _do_scribble(self, event: Event, _: Any) -> str:
        return self._overwrite(event, {"color": "mauve"})

    def _do_decorate(self, event: Event, _: Any) -> str:
        return self._overwrite(event, {"x-note": "kept"})

    def _do_conflict(self, event: Event, _: Any) -> str:
        """Another deployment with our owner: `kind` "word" says for `arg` seconds that it is there, else it has put its mark in the place of ours."""
        key, value = f"crossmesh:deployment/{self.owner}", CONFLICTING
        if event.kind == "word":
            key, value = f"crossmesh:conflict/{self.owner}", f"{CONFLICTING}@{self.clock() + event.arg:.0f}"
        for service in self.cloud_map.services.values():
            self._hand("TagResource", {"ResourceARN": service.arn, "Tags": [{"Key": key, "Value": value}]})
        return ""

    def _do_unmark(self, _: Event, __: Any) -> str:
        """Another writer takes all tags from the services, as they are where somebody else made them."""
        for service in self.cloud_map.services.values():
            tags = self.cloud_map.call("ListTagsForResource", {"ResourceARN": service.arn})["Tags"]
            self._hand("UntagResource", {"ResourceARN": service.arn, "TagKeys": [tag["Key"] for tag in tags]})
        return ""

    def _do_decide(self, _: Event, simulation: Any) -> None:
        """`crossmesh resume SERVICE`, for each that another deployment stopped."""
        simulation.operator(resumed=dict.fromkeys(simulation.memory().conflicting_deployments, self.clock()))

    def _do_usurp(self, event: Event, _: Any) -> str:
        """Another writer puts an instance of its own under the id of one of ours."""
        victim = self._victim(event)
        if victim is None:
            return ""
        service, ident = victim
        attributes = {"AWS_INSTANCE_IPV4": "172.16.66.6"}
        done = self._hand("RegisterInstance", {"ServiceId": service.id, "InstanceId": ident, "Attributes": attributes})
        if done:
            self.foreign[service.name, ident] = attributes
        return done

    def _mesh_hand(self, operation: str, request: dict[str, Any]) -> str:
        try:
            self.app_mesh.call(operation, request)
        except AwsError:
            return ""
        return "drift"

    def _do_reroute(self, _: Event, __: Any) -> str:
        targets = [{"virtualNode": NODE["red"], "weight": 0}, {"virtualNode": NODE["blue"], "weight": 1}]
        spec = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}
        return self._mesh_hand("UpdateRoute", {**ROUTE, "spec": spec})

    def _do_unroute(self, _: Event, __: Any) -> str:
        self.mesh_touched = True
        return self._mesh_hand("DeleteRoute", ROUTE)

    def _do_foreign_route(self, event: Event, _: Any) -> str:
        """Somebody else made the route that we declare, after ours was deleted."""
        self.mesh_touched = True
        self.foreign_mesh.add("Route")
        self._mesh_hand("DeleteRoute", ROUTE)
        targets = [{"virtualNode": NODE["blue"], "weight": 1}]
        spec = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}
        return self._mesh_hand("CreateRoute", {**ROUTE, "spec": spec})

    def _do_foreign_node(self, _: Event, __: Any) -> str:
        """Somebody else's virtual node in our mesh."""
        return self._mesh_hand("CreateVirtualNode", {"meshName": "appmesh-demo", "virtualNodeName": "theirs", "spec": {}})

    def _do_our_node(self, _: Event, __: Any) -> str:
        """A virtual node, router and route of ours that no manifest declares any more."""
        tags = [{"key": "crossmesh:owner", "value": self.owner}]
        mesh: dict[str, Any] = {"meshName": "appmesh-demo", "tags": tags}
        self._mesh_hand("CreateVirtualNode", {**mesh, "virtualNodeName": "left-over", "spec": {}})
        listener = {"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]}
        self._mesh_hand("CreateVirtualRouter", {**mesh, "virtualRouterName": "left-over", "spec": listener})
        targets = [{"virtualNode": "left-over", "weight": 1}]
        spec = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}
        return self._mesh_hand("CreateRoute", {**mesh, "virtualRouterName": "left-over", "routeName": "left-over", "spec": spec})

    def _do_mesh_gone(self, _: Event, __: Any) -> str:
        self.mesh_gone = True
        return ""

    def _do_mesh_back(self, _: Event, __: Any) -> str:
        self.mesh_gone = False
        return ""
