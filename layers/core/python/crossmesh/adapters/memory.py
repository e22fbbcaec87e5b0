"""Every port in memory: for tests, dry runs and the simulator. Held to the same conformance suite
as the adapters that reach the world.
"""

from typing import Any

import msgspec

from crossmesh.core.bounds import packed
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.compiler.cluster_manifests import ListedDocuments, kept
from crossmesh.core.diagnosis.facts import BalancerFacts, NetworkFacts, PodFacts, RuleFacts, ServiceFacts, Workloads
from crossmesh.core.diagnosis.probe_policy import inside
from crossmesh.core.keys import service_key
from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.core.observed import Instance, Pod, Problem, Seen, ServiceView, Unseen
from crossmesh.core.patience import WHOLE
from crossmesh.core.registry.namespaces import CREATE
from crossmesh.core.registry.plan import CreateService
from crossmesh.core.reporting.report import Report
from crossmesh.core.settings import ClusterSettings, ServiceTarget
from crossmesh.errors import Conflict, NotFound, RefusedError, TransientError
from crossmesh.ports import Lease, Operation, PodRef, StoredObject

_ITEM = 400 * 1024  # bytes of an item (DynamoDB's quotas)


class MemoryClock:
    """Time that moves only when told to, or slept."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.time = now

    def now(self) -> float:
        """The time now."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.time += seconds


class MemoryState:
    """Leases and documents in dictionaries."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.documents: dict[str, bytes] = {}

    def read_lease(self, name: str) -> Lease | None:
        """The lease as it is."""
        return self.leases.get(name)

    def write_lease(self, name: str, lease: Lease | None, expected: Lease | None, *, mark: str = "") -> bool:
        """Compare-and-set on holder, epoch and `again`."""
        found = self.leases.get(name)
        if (found is None) != (expected is None):
            return False
        if (
            found
            and expected
            and (found.holder, found.epoch, found.again) != (expected.holder, expected.epoch, expected.again)
        ):
            return False
        new = lease or Lease(epoch=expected.epoch if expected else 0, holder="", expires=0.0)
        self.leases[name] = msgspec.structs.replace(new, mark=mark)
        return True

    def ask_again(self, name: str, expected: Lease) -> bool:
        """Set `again` while holder and epoch stand."""
        found = self.leases.get(name)
        if found is None or (found.holder, found.epoch) != (expected.holder, expected.epoch):
            return False
        self.leases[name] = msgspec.structs.replace(found, again=True)
        return True

    def read(self, key: str) -> bytes | None:
        """A document."""
        return self.documents.get(key)

    def write(self, key: str, value: bytes) -> None:
        """Replace a document. One that is larger than an item of DynamoDB is refused, as it is
        there.
        """
        if len(packed(value)) + len(key) > _ITEM:
            raise RefusedError(
                "ValidationException", f"Item size has exceeded the maximum allowed size (document/{key})"
            )
        self.documents[key] = value

    def replace(self, key: str, value: bytes, expected: bytes | None) -> bool:
        """Compare-and-set on the whole document."""
        if self.documents.get(key) != expected:
            return False
        self.write(key, value)
        return True


class MemoryRunStore:
    """Objects in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, value: bytes) -> None:
        """Store."""
        self.objects[key] = value

    def get(self, key: str) -> bytes | None:
        """Fetch."""
        return self.objects.get(key)

    def list(self, prefix: str) -> tuple[str, ...]:
        """Keys below a prefix."""
        return tuple(sorted(key for key in self.objects if key.startswith(prefix)))


class MemorySnapshots:
    """A pointer and objects in a dictionary."""

    def __init__(self, clock: MemoryClock) -> None:
        self.clock = clock
        self.current: Pointer | None = None
        self.objects: dict[str, tuple[bytes, float]] = {}

    def pointer(self) -> Pointer | None:
        """The pointer."""
        return self.current

    def move(self, new: Pointer, expected: Pointer | None) -> bool:
        """Compare-and-set, forward only."""
        found = self.current
        if found == new:
            return True
        if found != expected or (
            found and (found.lineage != new.lineage or found.number >= new.number or found.epoch > new.epoch)
        ):
            return False
        self.current = new
        return True

    def put(self, digest: str, data: bytes) -> None:
        """Store."""
        self.objects[digest] = data, self.clock.now()

    def get(self, digest: str) -> bytes | None:
        """Fetch."""
        return self.objects[digest][0] if digest in self.objects else None

    def stored(self) -> tuple[StoredObject, ...]:
        """All objects."""
        return tuple(StoredObject(digest=digest, at=at) for digest, (_, at) in sorted(self.objects.items()))

    def discard(self, digests: tuple[str, ...]) -> None:
        """Remove."""
        for digest in digests:
            self.objects.pop(digest, None)

    def lineage(self) -> str:
        """A lineage."""
        return "0a" * 16


class MemoryExecutions:
    """Which executions run."""

    def __init__(self) -> None:
        self.alive: set[str] = set()

    def running(self, arn: str) -> bool:
        """Whether it runs."""
        return arn in self.alive


class MemoryClusters:
    """Clusters as sets of pods; `failing` makes one unseen."""

    def __init__(self, clock: MemoryClock) -> None:
        self.clock = clock
        self.pods: dict[str, dict[str, Pod]] = {}
        self.identities: dict[str, str] = {}
        self.failing: dict[str, Unseen] = {}
        # Cluster -> its custom resources and Namespaces, as the API has them
        self.declared: dict[str, list[dict[str, Any]]] = {}
        self.services: dict[tuple[str, str, str], ServiceFacts] = {}
        # Cluster, namespace and name of Services that are not there
        self.absent: set[tuple[str, str, str]] = set()
        self.details: dict[str, Workloads] = {}
        self.controllers: dict[str, str] = {}  # cluster -> Deployment of AWS's controller
        self.gates: list[tuple[str, str]] = []  # (cluster, uid) of every gate opened
        self.zones: dict[str, dict[str, tuple[str, str]]] = {}  # cluster -> node -> (region, zone)
        # Cluster -> zones that traffic was shifted away from
        self.shifted: dict[str, tuple[str, ...]] = {}
        self.needs: dict[str, float] = {}  # cluster -> seconds until it answers
        self.version = 100

    def put(self, cluster: str, pod: Pod) -> None:
        """Add or replace a pod."""
        self.pods.setdefault(cluster, {})[pod.uid] = pod
        self.version += 1

    def remove(self, cluster: str, uid: str) -> None:
        """A pod's object goes."""
        self.pods.setdefault(cluster, {}).pop(uid, None)
        self.version += 1

    def observe(
        self,
        cluster: ClusterSettings,
        namespaces: tuple[str, ...],
        registered: tuple[PodRef, ...],
        identity: str,
        versions: dict[str, int],
        limit: float = WHOLE,
    ) -> Seen | Unseen:
        """The view, or the failure set for the cluster."""
        name, now = cluster.name, self.clock.now()
        if unseen := self._unseen(name, limit):
            return unseen
        uid = self.identities.get(name, f"uid-of-{name}")
        if identity and identity != uid:
            return Unseen(cluster=name, cause="identity", detail=f"kube-system is {uid}", begun=now)
        if any(self.version < version for version in versions.values()):
            return Unseen(cluster=name, cause="went-back", begun=now)
        pods = tuple(
            sorted((p for p in self.pods.get(name, {}).values() if p.namespace in namespaces), key=lambda p: p.uid)
        )
        listed = {pod.uid for pod in pods}
        names = {f"{pod.namespace}/{pod.name}" for pod in pods}
        asked = [ref for ref in registered if ref.namespace in namespaces]
        return Seen(
            cluster=name,
            identity=uid,
            begun=now,
            versions=dict.fromkeys(namespaces, self.version),
            pods=pods,
            gone=tuple(sorted(ref.uid for ref in asked if ref.uid and ref.uid not in listed)),
            absent=tuple(sorted({f"{ref.namespace}/{ref.name}" for ref in asked if not ref.uid} - names)),
            controller=self.controllers.get(name, ""),
            zones=self.zones.get(name, {}),
            shifted=self.shifted.get(name, ()) if cluster.zonal_shift else (),
        )

    def _unseen(self, name: str, limit: float) -> Unseen | None:
        begun, needs = self.clock.now(), self.needs.get(name, 0.0)
        if name in self.failing:
            return msgspec.structs.replace(self.failing[name], begun=begun)
        if needs:
            self.clock.sleep(min(needs, limit))
        if needs > limit:
            return Unseen(
                cluster=name, cause="timeout", detail=f"no complete view within {limit:.0f} s", begun=begun, spent=limit
            )
        return None

    def open_gate(self, cluster: ClusterSettings, pod: PodRef) -> None:
        """The pod's gate opens."""
        found = self.pods.get(cluster.name, {}).get(pod.uid)
        if found is None or (found.namespace, found.name) != (pod.namespace, pod.name):
            raise NotFound("NotFound", f"{pod.namespace}/{pod.name}")
        self.gates.append((cluster.name, pod.uid))
        self.put(cluster.name, msgspec.structs.replace(found, gate="open"))

    def manifests(self, cluster: ClusterSettings, identity: str, limit: float = WHOLE) -> ListedDocuments | Unseen:
        """What `declared` holds for the cluster, or the failure set for it."""
        name, now = cluster.name, self.clock.now()
        if unseen := self._unseen(name, limit):
            return unseen
        uid = self.identities.get(name, f"uid-of-{name}")
        if identity and identity != uid:
            return Unseen(cluster=name, cause="identity", detail=f"kube-system is {uid}", begun=now)
        if name not in self.declared:
            return Unseen(cluster=name, cause="not-found", detail="no CRDs", begun=now)
        return ListedDocuments(
            cluster=name,
            begun=now,
            items=tuple(kept(item, item["kind"], item["apiVersion"]) for item in self.declared[name]),
        )

    def load_balancer(self, target: ServiceTarget, cluster: ClusterSettings) -> str:
        """A host name made from the Service's."""
        return self.service(target, cluster).host

    def service(self, target: ServiceTarget, cluster: ClusterSettings) -> ServiceFacts:
        """The Service set, else one with a host name made from its own; none where it is
        `absent`.
        """
        if (cluster.name, target.namespace, target.name) in self.absent:
            raise NotFound("NotFound", f"{cluster.name} has no Service {target.namespace}/{target.name}")
        made = ServiceFacts(host=f"{target.name}.{target.namespace}.{cluster.name}.elb.example")
        return self.services.get((cluster.name, target.namespace, target.name), made)

    def workloads(self, cluster: ClusterSettings, namespaces: tuple[str, ...]) -> Workloads:
        """What was set; otherwise the pods without detail."""
        if cluster.name in self.failing:
            raise TransientError(f"{cluster.name}: {self.failing[cluster.name].cause}")
        pods = tuple(
            PodFacts(
                namespace=p.namespace,
                name=p.name,
                uid=p.uid,
                ip=p.ip,
                node=p.node,
                labels=p.labels,
                ready=p.ready,
                terminating=p.terminating,
            )
            for p in self.pods.get(cluster.name, {}).values()
            if p.namespace in namespaces
        )
        return self.details.get(cluster.name, Workloads(cluster=cluster.name, pods=pods))


class MemoryRegistry:
    """Cloud Map without delays: operations succeed at once."""

    def __init__(self) -> None:
        self.namespaces: dict[str, tuple[str, str]] = {}  # name -> (id, type)
        self.http_names: dict[str, str] = {}  # name -> HttpName, where it is another one
        self.problems: dict[str, Problem] = {}  # key of a service -> what keeps it from being read
        self.services: dict[str, ServiceView] = {}  # id -> service without instances
        self.instances: dict[str, dict[str, dict[str, str]]] = {}
        self.revisions: dict[str, int] = {}
        self.writes: list[tuple[str, ...]] = []
        self.operations: dict[str, Operation] = {}
        # Service id -> instance id -> health, where it has custom health
        self.statuses: dict[str, dict[str, str]] = {}

    def find_services(
        self, names: tuple[tuple[str, str], ...], known: dict[str, tuple[str, str]], pins: dict[str, str] | None = None
    ) -> tuple[ServiceView, ...]:
        """The services of these names, and those known by id alone."""
        strays = {
            service_id for key, (service_id, _) in known.items() if key not in {service_key(*name) for name in names}
        }
        service_names = {
            (found.namespace, found.service) for service_id, found in self.services.items() if service_id in strays
        }
        return tuple(self._service(namespace, service) for namespace, service in sorted({*names, *service_names}))

    def _service(self, namespace: str, service: str) -> ServiceView:
        problem, http_name = self.problems.get(service_key(namespace, service)), self.http_names.get(namespace, "")
        for found in self.services.values():
            if (found.namespace, found.service) == (namespace, service):
                return msgspec.structs.replace(found, problem=problem, http_name=http_name)
        place, kind = self.namespaces.get(namespace, ("", ""))
        missing = (
            None
            if kind
            else Problem(why="namespace-missing", detail=f"Cloud Map namespace {namespace} does not exist", fix=CREATE)
        )
        return ServiceView(
            namespace=namespace,
            service=service,
            namespace_id=place,
            namespace_type=kind,
            http_name=http_name,
            problem=problem or missing,
        )

    def _discovered(self, namespace: str, service: str) -> ServiceView:
        """A service by the HttpName of its namespace."""
        names = [name for name in {*self.namespaces, namespace} if self.http_names.get(name, name) == namespace]
        return self._service(names[0] if names else "", service)

    def revision(self, namespace: str, service: str, account: str = "") -> int:
        """How often instances came or went."""
        found = self._discovered(namespace, service)
        if not found.id:
            raise NotFound("ServiceNotFound", service)
        return self.revisions[found.id]

    def list_instances(self, service_id: str) -> tuple[Instance, ...]:
        """All instances."""
        if service_id not in self.services:
            raise NotFound("ServiceNotFound", service_id)
        return tuple(Instance(id=i, attributes=dict(a)) for i, a in sorted(self.instances[service_id].items()))

    def create_service(self, action: CreateService) -> tuple[str, str]:
        """Create, or find what the same intent created."""
        self.writes.append(("create-service", action.namespace, action.service))
        found = self._service(action.namespace, action.service)
        if not found.id:
            service_id = f"srv-{len(self.services) + 1}"
            records = ("AAAA" if action.ipv6 else "A",) if action.dns else ()
            found = msgspec.structs.replace(
                found, id=service_id, arn=f"arn:{service_id}", tags=dict(action.tags), records=records
            )
            self.services[service_id], self.instances[service_id], self.revisions[service_id] = found, {}, 1
        return found.id, found.arn

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """Add tags."""
        self.writes.append(("tag", arn))
        service_id = arn.removeprefix("arn:")
        self.services[service_id] = msgspec.structs.replace(
            self.services[service_id], tags={**self.services[service_id].tags, **tags}
        )

    def _done(self) -> str:
        operation = f"op-{len(self.operations) + 1}"
        self.operations[operation] = Operation(id=operation, status="SUCCESS")
        return operation

    def register(self, service_id: str, instance_id: str, attributes: dict[str, str], token: str) -> str:
        """Upsert all attributes."""
        self.writes.append(("register", service_id, instance_id))
        if service_id not in self.services:
            raise NotFound("ServiceNotFound", service_id)
        self.instances[service_id][instance_id] = dict(attributes)
        if self.services[service_id].custom_health:
            self.statuses.setdefault(service_id, {}).setdefault(
                instance_id, attributes.get("AWS_INIT_HEALTH_STATUS", "HEALTHY")
            )
        self.revisions[service_id] += 1
        return self._done()

    def deregister(self, service_id: str, instance_id: str) -> str:
        """Remove."""
        self.writes.append(("deregister", service_id, instance_id))
        if instance_id not in self.instances.get(service_id, {}):
            raise NotFound("InstanceNotFound", instance_id)
        del self.instances[service_id][instance_id]
        self.statuses.get(service_id, {}).pop(instance_id, None)
        self.revisions[service_id] += 1
        return self._done()

    def health(self, service_id: str) -> dict[str, str]:
        """Health by instance; no lag."""
        return dict(self.statuses.get(service_id, {}))

    def set_health(self, service_id: str, instance_id: str, status: str) -> None:
        """Change it at once."""
        self.writes.append(("set-health", service_id, instance_id, status))
        if instance_id not in self.statuses.get(service_id, {}):
            code = (
                "InstanceNotFound"
                if service_id in self.services and self.services[service_id].custom_health
                else "CustomHealthNotFound"
            )
            raise NotFound(code, instance_id)
        self.statuses[service_id][instance_id] = status

    def operation(self, operation_id: str) -> Operation:
        """An operation."""
        return self.operations[operation_id]

    def discover(self, namespace: str, service: str, account: str = "") -> tuple[Instance, ...]:
        """All instances, by name."""
        return self.list_instances(self._discovered(namespace, service).id)

    def delete_service(self, service_id: str) -> None:
        """Delete an empty service."""
        self.writes.append(("delete-service", service_id))
        if self.instances.get(service_id):
            raise Conflict("ResourceInUse", service_id)
        self.services.pop(service_id, None)
        self.instances.pop(service_id, None)


class MemoryFront:
    """Answers what it is given, in turn."""

    def __init__(self) -> None:
        self.runs: list[tuple[Sample, ...]] = []
        self.asked: list[str] = []

    def probe(self, url: str, requests: int, timeout: float, canary: str, *, follow: bool = True) -> tuple[Sample, ...]:
        """The next run's samples; the last one's for ever."""
        self.asked.append(url)
        return self.runs.pop(0) if len(self.runs) > 1 else self.runs[0]


class MemoryInstances:
    """Instances by address; where nothing is set nobody listens."""

    def __init__(self) -> None:
        self.answers: dict[str, Sample] = {}
        self.asked: list[str] = []

    def ask(self, address: str, port: int, path: str, timeout: float, cidrs: tuple[str, ...]) -> Sample:
        """What was set for the address."""
        if not inside(address, cidrs):
            return Sample(error="forbidden", address=address)
        self.asked.append(address)
        return self.answers.get(address, Sample(error="refused", address=address))


class MemoryBalancers:
    """Load balancers by host name."""

    def __init__(self) -> None:
        self.balancers: dict[str, BalancerFacts] = {}

    def find(self, host: str, cluster: ClusterSettings) -> BalancerFacts | None:
        """The one of that name."""
        return self.balancers.get(host)


class MemoryNetworks:
    """Networks by cluster."""

    def __init__(self) -> None:
        self.networks: dict[str, NetworkFacts] = {}

    def observe(self, cluster: ClusterSettings) -> NetworkFacts:
        """The cluster's network."""
        if cluster.name not in self.networks:
            raise NotFound("InvalidGroup.NotFound", cluster.name)
        return self.networks[cluster.name]

    def open(
        self, cluster: ClusterSettings, group: str, source_group: str, port: int, mark: str, account: str = ""
    ) -> None:
        """Add the rule, once."""
        held = self.networks[cluster.name]
        rule = RuleFacts(protocol="tcp", first=port, last=port, groups=(source_group,), mark=mark, account=account)
        if not any((r.first, r.groups) == (port, (source_group,)) for r in held.rules):
            self.networks[cluster.name] = msgspec.structs.replace(held, rules=(*held.rules, rule))

    def close(
        self, cluster: ClusterSettings, group: str, source_group: str, port: int, mark: str, account: str = ""
    ) -> None:
        """Take the rule away."""
        held = self.networks[cluster.name]
        rules = tuple(r for r in held.rules if (r.first, r.groups) != (port, (source_group,)))
        self.networks[cluster.name] = msgspec.structs.replace(held, rules=rules)


class MemoryTelemetry:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.verdicts: list[Verdict] = []

    def report(self, report: Report) -> None:
        """A look or run."""
        self.reports.append(report)

    def verdict(self, verdict: Verdict, memory: CanaryHistory) -> None:
        """A canary's run."""
        self.verdicts.append(verdict)
