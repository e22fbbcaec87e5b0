"""What crossmesh asks of the world, as protocols. Steps name these methods; adapters implement
them; a driver stands between.

A method either returns a value or raises from `errors`: `TransientError` (try again) or
`RefusedError` (it would be refused again). Times are seconds since the epoch, durations seconds.
"""

from typing import Protocol

import msgspec

from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.compiler.cluster_manifests import ListedDocuments
from crossmesh.core.diagnosis.facts import BalancerFacts, NetworkFacts, ServiceFacts, Workloads
from crossmesh.core.mesh.appmesh.state import MeshResource
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.core.observed import Instance, Seen, ServiceView, Unseen
from crossmesh.core.patience import WHOLE
from crossmesh.core.registry.plan import CreateService
from crossmesh.core.reporting.report import Report
from crossmesh.core.settings import ClusterSettings, ServiceTarget


class Clock(Protocol):
    """Time."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class PodRef(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that the registry knows: asked for by GET when a list lacks it. `uid` "" = known by its
    name alone (AWS's controller left it).
    """

    namespace: str
    name: str
    uid: str


class Clusters(Protocol):
    """The Kubernetes APIs: read, but for readiness gates, which only a cluster with
    clusters/readiness-gate.yaml allows.
    """

    def observe(
        self,
        cluster: ClusterSettings,
        namespaces: tuple[str, ...],
        registered: tuple[PodRef, ...],
        identity: str,
        versions: dict[str, int],
        limit: float = WHOLE,
    ) -> Seen | Unseen:
        """List the pods of `namespaces` completely, and nodes where an endpoint needs its zone.

        `registered`: pods whose instances we hold; those absent from the list are asked for one by
        one. Also tells whether AWS's App Mesh controller runs there. `identity`: the recorded
        kube-system uid ("" = none yet). `versions`: the highest resourceVersion seen per namespace.
        `limit`: seconds after which nobody waits any more, whatever the cluster does. Never raises
        for what a cluster does: that is `Unseen` with its cause.
        """

    def manifests(self, cluster: ClusterSettings, identity: str, limit: float = WHOLE) -> ListedDocuments | Unseen:
        """Every App Mesh custom resource and Namespace, complete, under the recorded `identity` (""
        = none yet). `limit`: as in `observe`.

        A cluster without the CRDs is `Unseen`: that they are away does not say that nothing is
        declared.
        """

    def load_balancer(self, target: ServiceTarget, cluster: ClusterSettings) -> str:
        """Host name of a Service's load balancer, "" while it has none. Raises NotFound,
        RefusedError, TransientError.
        """

    def service(self, target: ServiceTarget, cluster: ClusterSettings) -> ServiceFacts:
        """The Service: its load balancer's host name and its selector. Raises as `load_balancer`
        does.
        """

    def workloads(self, cluster: ClusterSettings, namespaces: tuple[str, ...]) -> Workloads:
        """Pods, Deployments and nodes in the detail that a diagnosis needs. Raises RefusedError,
        TransientError.
        """

    def open_gate(self, cluster: ClusterSettings, pod: PodRef) -> None:
        """Set the pod's condition `conditions.appmesh.k8s.aws/aws-cloudmap-healthy` to True.

        Raises NotFound (no such pod), Conflict (another uid under its name), RefusedError,
        TransientError.
        """


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A Cloud Map operation under way. `status`: SUBMITTED, PENDING, SUCCESS or FAIL."""

    id: str
    status: str
    code: str = ""
    message: str = ""


class Registry(Protocol):
    """Cloud Map."""

    def find_services(
        self, names: tuple[tuple[str, str], ...], known: dict[str, tuple[str, str]], pins: dict[str, str] | None = None
    ) -> tuple[ServiceView, ...]:
        """The services (namespace, service) as they are, without instances; not existing ones have
        id "". What cannot be read of one is its `problem`.

        `known`: a service's key -> (id, arn) from memory, to spare the scarce list calls; those
        that `names` lacks are found by their id. `pins`: namespace -> its id or ARN, where the
        settings say so.
        """

    def revision(self, namespace: str, service: str, account: str = "") -> int:
        """DiscoverInstancesRevision: rises whenever an instance is registered or deregistered."""

    def list_instances(self, service_id: str) -> tuple[Instance, ...]:
        """All instances of a service, every page (the truth; DiscoverInstances is only for
        verifying).
        """

    def create_service(self, action: CreateService) -> tuple[str, str]:
        """Create, or find the one created by the same intent; (id, arn)."""

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """Add tags."""

    def register(self, service_id: str, instance_id: str, attributes: dict[str, str], token: str) -> str:
        """RegisterInstance; the operation's id. Raises Conflict with `.operation` on
        DuplicateRequest.
        """

    def deregister(self, service_id: str, instance_id: str) -> str:
        """DeregisterInstance; the operation's id. Raises NotFound where there is no such instance,
        Conflict on DuplicateRequest.
        """

    def health(self, service_id: str) -> dict[str, str]:
        """GetInstancesHealthStatus, every page: instance id -> HEALTHY, UNHEALTHY or UNKNOWN. For
        services made with custom health.
        """

    def set_health(self, service_id: str, instance_id: str, status: str) -> None:
        """UpdateInstanceCustomHealthStatus. Raises NotFound where there is no such instance or the
        service has no custom health.
        """

    def operation(self, operation_id: str) -> Operation:
        """GetOperation."""

    def discover(self, namespace: str, service: str, account: str = "") -> tuple[Instance, ...]:
        """DiscoverInstances, all health states, 1,000 at most: proves the end state of a service in
        one call.

        Asked by what `ServiceView.discovered_by` says: HttpName, service, owner of a shared
        namespace.
        """

    def delete_service(self, service_id: str) -> None:
        """Delete an empty service."""


class AppMeshApi(Protocol):
    """App Mesh. All methods raise ServiceGone where the API is no more."""

    def list(self, mesh: str, kind: str, parent: str = "") -> tuple[tuple[str, str], ...]:
        """(name, arn) of the resources of a kind, every page; () where mesh or parent do not
        exist.
        """

    def describe(self, target: MeshTarget) -> MeshResource | None:
        """The resource as it is, None where it does not exist."""

    def tags(self, arn: str) -> dict[str, str]:
        """Its tags."""

    def create(self, operation: str, request: dict[str, object], tags: dict[str, str], token: str) -> None:
        """Create…; raises Conflict where it exists or the token was used otherwise."""

    def update(self, operation: str, request: dict[str, object], token: str) -> None:
        """Update… (replaces the whole spec)."""

    def delete(self, target: MeshTarget) -> None:
        """Delete…; raises NotFound, Conflict (ResourceInUse)."""

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """Add tags (adoption)."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write. `epoch` rises with each new holder; `again`: somebody asked for one more
    pass; `mark`: what its last writer left to know it by.
    """

    epoch: int
    holder: str
    expires: float
    again: bool = False
    mark: str = ""


class State(Protocol):
    """Small state with compare-and-set."""

    def read_lease(self, name: str) -> Lease | None:
        """The lease as it is (a consistent read)."""

    def write_lease(self, name: str, lease: Lease | None, expected: Lease | None, *, mark: str = "") -> bool:
        """Replace `expected` by `lease` (None = released), which then carries `mark`.

        False where it was no longer exactly as expected (holder, epoch or `again`). A write whose
        answer was lost on the way is not taken for another's.
        """

    def ask_again(self, name: str, expected: Lease) -> bool:
        """Set `again` on the lease held by `expected`'s holder and epoch; False where it has moved
        on.
        """

    def read(self, key: str) -> bytes | None:
        """A small document."""

    def write(self, key: str, value: bytes) -> None:
        """Replace it (only ever under the lease that guards it)."""

    def replace(self, key: str, value: bytes, expected: bytes | None) -> bool:
        """Replace it where it still is what was read (None = it was not there), and say whether it
        was.
        """


class RunStore(Protocol):
    """Inputs, plans and outcomes of runs, content-addressed where they repeat."""

    def put(self, key: str, value: bytes) -> None:
        """Store."""

    def get(self, key: str) -> bytes | None:
        """Fetch; None where it is not there."""

    def list(self, prefix: str) -> tuple[str, ...]:
        """Keys below a prefix, sorted."""


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a snapshot in the bucket, and when it was last written."""

    digest: str
    at: float


class Snapshots(Protocol):
    """What servers of Envoys read: objects by digest, and one pointer."""

    def pointer(self) -> Pointer | None:
        """The pointer (a consistent read); None where nothing was published yet. Raises
        RefusedError where it cannot be read as one.
        """

    def move(self, new: Pointer, expected: Pointer | None) -> bool:
        """Replace `expected` by `new` if it still stands, and `new` has the same lineage, a higher
        number and no lower epoch; None = there is none yet.

        False otherwise. A write whose answer was lost on the way is not taken for another's.
        """

    def put(self, digest: str, data: bytes) -> None:
        """Store an object."""

    def get(self, digest: str) -> bytes | None:
        """An object; None where it is not there."""

    def stored(self) -> tuple[StoredObject, ...]:
        """All objects, by digest."""

    def discard(self, digests: tuple[str, ...]) -> None:
        """Remove objects, at most 1,000; those that are gone are no error. Raises where one could
        not be removed.
        """

    def lineage(self) -> str:
        """A new random lineage."""


class Executions(Protocol):
    """Running executions of our state machines."""

    def running(self, arn: str) -> bool:
        """Whether the execution is RUNNING; False also for one that does not exist."""


class Front(Protocol):
    """The way a user comes in: HTTP to the front load balancer."""

    def probe(self, url: str, requests: int, timeout: float, canary: str, *, follow: bool = True) -> tuple[Sample, ...]:
        """`requests` GETs of `url`, each within `timeout` seconds; redirects are followed (to
        declared hosts) unless one is what is expected.

        Never raises for what a server does: that is a Sample with an error.
        """


class Instances(Protocol):
    """Registered instances, asked directly, past the load balancer and the mesh."""

    def ask(self, address: str, port: int, path: str, timeout: float, cidrs: tuple[str, ...]) -> Sample:
        """One GET, or with `path` "" only a connection; an address outside `cidrs` is not asked
        (error "forbidden"). Never raises for what it does.
        """


class Balancers(Protocol):
    """Elastic Load Balancing, read only."""

    def find(self, host: str, cluster: ClusterSettings) -> BalancerFacts | None:
        """The classic, network or application load balancer of that host name, in the account of
        the cluster whose front it is.

        None for a name that is no load balancer's. Raises NotFound, RefusedError, TransientError.
        """


class Networks(Protocol):
    """The security groups and address blocks of clusters."""

    def observe(self, cluster: ClusterSettings) -> NetworkFacts:
        """A cluster's network. Raises NotFound, RefusedError, TransientError."""

    def open(
        self, cluster: ClusterSettings, group: str, source_group: str, port: int, mark: str, account: str = ""
    ) -> None:
        """Admit `source_group` (of `account`, "" = the same) to tcp/`port` of `group` by a rule
        described as `mark`; one that is there already is no error.
        """

    def close(
        self, cluster: ClusterSettings, group: str, source_group: str, port: int, mark: str, account: str = ""
    ) -> None:
        """Take that rule away; nothing where it is gone."""


class Telemetry(Protocol):
    """What alarms and the dashboard read."""

    def report(self, report: Report) -> None:
        """Metrics of a look or run."""

    def verdict(self, verdict: Verdict, memory: CanaryHistory) -> None:
        """Metrics of a canary's run; `memory` is its history, this run included."""
