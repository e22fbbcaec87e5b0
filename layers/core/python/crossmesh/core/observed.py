"""What one observation saw. A view is `Seen` or `Unseen`; nothing of an `Unseen` one is ever
removed (rule 1).

An empty `Seen` is a claim that a cluster has no such pods. Whoever builds one must have read the
complete chain of pages, under the recorded identity.
"""

from typing import Literal

import msgspec

from crossmesh.core.keys import service_key

Cause = Literal[
    "unreachable",  # no connection, name not resolved
    "timeout",  # connected, no complete answer in time
    "throttled",  # 429
    "refused",  # 401, 403: rights or token; EKS refuses DescribeCluster
    "server-error",  # 5xx
    "tls",  # its certificate is not accepted, or no TLS could be agreed on
    # EKS says that the cluster is not there yet, or no more: CREATING, DELETING, FAILED, PENDING
    "creating",
    "role",  # STS refuses the role that the settings name for this cluster
    # There are no AWS credentials here, or their source (SSO, a web identity, an identity provider)
    # gives none
    "credentials",
    "too-large",  # an answer above our bounds of bytes
    # An answer holds what no Kubernetes API gives: it lies, or something between changes it
    "malformed",
    "cut",  # a page or its chain ended early, or a page held less than its count says
    "went-back",  # resourceVersion older than one seen before
    # Kube-system has another uid than the recorded one: another cluster answers to this name
    "identity",
    "list-incomplete",  # a GET finds a pod that the list left out
    "not-found",  # EKS knows no such cluster
    "crashed",  # the observing function ended without an answer
]


# The readiness gate that AWS's controller's webhook gives to pods (pkg/k8s/pod_conditions.go)
GATE = "conditions.appmesh.k8s.aws/aws-cloudmap-healthy"


class Pod(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The parts of a pod that decide."""

    namespace: str
    name: str
    uid: str
    ip: str = ""
    node: str = ""
    labels: dict[str, str] = {}
    phase: str = ""
    terminating: bool = False
    containers_ready: bool = False
    # Why its Ready condition counts against it although its containers are ready ("" = it does not)
    unready: str = ""
    # When the condition that decides last changed, seconds since the epoch (Kubernetes keeps whole
    # ones); 0 = unknown
    changed: float = 0.0
    virtual_node: str = ""  # annotation appmesh.k8s.aws/virtualNode (v1beta1)
    # The Deployment it belongs to, from its ReplicaSet's name and pod-template-hash
    deployment: str = ""
    # Its readiness gate `aws-cloudmap-healthy`; "" = it declares none
    gate: Literal["", "closed", "open"] = ""

    @property
    def finished(self) -> bool:
        """In a final phase. No pod leaves one, whatever its restart policy: an evicted pod of a
        Deployment is Failed, and its address is free.
        """
        return self.phase in ("Failed", "Succeeded")

    @property
    def dead(self) -> bool:
        """Terminating or finished: its address must go at once."""
        return self.terminating or self.finished

    @property
    def ready(self) -> bool:
        """An endpoint: Running, not terminating, with an address, and Ready (or waiting for our
        readiness gate alone).
        """
        return (
            self.phase == "Running"
            and not self.terminating
            and bool(self.ip)
            and self.containers_ready
            and not self.unready
        )


MOST_DETAIL = 300  # characters of why a cluster was not seen


def cut(text: str, most: int = MOST_DETAIL) -> str:
    """A text of somebody else's, no longer than `most`; how much is left out is said."""
    return text if len(text) <= most else f"{text[: most - 24]}… ({len(text)} characters)"


class Seen(msgspec.Struct, frozen=True, kw_only=True, tag="seen"):
    """A complete view of one cluster, listed from `begun` on (seconds since the epoch)."""

    cluster: str
    identity: str  # uid of the kube-system namespace
    begun: float
    versions: dict[str, int] = {}  # namespace -> resourceVersion of its pod list
    pods: tuple[Pod, ...] = ()
    zones: dict[str, tuple[str, str]] = {}  # Kubernetes node -> (region, zone)
    # Uids of registered pods absent from the list, each confirmed by a GET (404 or another uid)
    gone: tuple[str, ...] = ()
    # "namespace/name" of pods asked for without a uid, neither in the list nor found by a GET
    absent: tuple[str, ...] = ()
    # "namespace/name" of the Deployment of AWS's App Mesh controller, where it runs
    controller: str = ""
    controller_unknown: str = ""  # why that could not be told ("" = it could)
    # Zones that ARC shifted traffic away from, where the settings follow that
    # (`core.registry.zonal_shift`)
    shifted: tuple[str, ...] = ()
    shift_unknown: str = ""  # why that could not be told ("" = it could, or nobody asked)

    def away(self, node: str) -> str:
        """The zone of a node where traffic was shifted away from it, else ""."""
        zone = self.zones.get(node, ("", ""))[1] if self.shifted else ""
        return zone if zone in self.shifted else ""


class Unseen(msgspec.Struct, frozen=True, kw_only=True, tag="unseen"):
    """No complete view of the cluster, and why."""

    cluster: str
    cause: Cause
    detail: str = ""
    begun: float = 0.0
    spent: float = 0.0  # seconds that were waited for it


View = Seen | Unseen


class Instance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What Cloud Map holds under one instance id."""

    id: str
    attributes: dict[str, str]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing can be done in a service, what was found, and the fix."""

    why: Literal["namespace-missing", "namespace-ambiguous", "namespace-shared", "name-case", "unreadable"]
    detail: str
    fix: str

    @property
    def text(self) -> str:
        """What a person reads."""
        return f"{self.detail}; {self.fix}"


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """One Cloud Map service: `id` is "" where it does not exist yet; `revision` was read before
    `instances`.

    In a namespace that another account shares, `id` and `namespace_id` are ARNs, as the API
    demands. `problem`: nothing was read of it.
    """

    namespace: str
    service: str
    namespace_id: str = ""
    namespace_type: str = ""  # DNS_PRIVATE | HTTP | DNS_PUBLIC; "" = the namespace does not exist
    http_name: str = ""  # the name that discovery knows the namespace by, where it is another one
    account: str = ""  # the account that shares the namespace; "" = it is our own
    problem: Problem | None = None
    id: str = ""
    arn: str = ""
    tags: dict[str, str] = {}
    records: tuple[str, ...] = ()  # types of its DNS records: A, AAAA; () in an HTTP namespace
    health_check: bool = False  # made with HealthCheckConfig: Route 53 asks each instance
    # Made with HealthCheckCustomConfig: instances can be marked UNHEALTHY
    custom_health: bool = False
    # Instance id -> HEALTHY | UNHEALTHY | UNKNOWN; read only where `custom_health`
    health: dict[str, str] = {}
    revision: int = -1
    listed: float = 0.0  # when the list of instances was begun (seconds)
    # Begin of the first reading that showed this revision; a list read soon after it may be behind
    # its revision
    since: float = 0.0
    instances: tuple[Instance, ...] = ()

    @property
    def key(self) -> str:
        """Its key, which is its name to people."""
        return service_key(self.namespace, self.service)

    @property
    def discovered_by(self) -> tuple[str, ...]:
        """What DiscoverInstances is asked by: HttpName of the namespace, name of the service, owner
        of a shared namespace.
        """
        return (self.http_name or self.namespace, self.service, *([self.account] if self.account else []))

    @property
    def hidden(self) -> bool:
        """Whether it may hold instances of ours that were not read: nothing may be concluded from
        their absence.
        """
        return self.problem is not None and self.problem.why not in ("namespace-missing", "name-case")


_TOLD = 300  # characters of an error that a view keeps


def unreadable(service: ServiceView, error: str, service_id: str = "") -> ServiceView:
    """A service that is there and of which Cloud Map refuses to tell: nothing of it is planned, and
    nothing concluded.
    """
    fix = "allow the functions' roles to read it (docs/reference/iam.md)"
    problem = Problem(why="unreadable", detail=f"Cloud Map does not tell of it ({error[:_TOLD]})", fix=fix)
    return msgspec.structs.replace(service, id=service.id or service_id, instances=(), problem=problem)


class RegistryView(msgspec.Struct, frozen=True, kw_only=True):
    """All Cloud Map services that the topology names, sorted by key, and the time (seconds) the
    reading began: lists were read since then, or stand by their revision.

    `described`: when the services themselves and their tags were read (0 = with everything else);
    `writer`: the epoch after which no run had held the lease then (-1 = one held it). `served`:
    instances that the mesh backend serves itself, by service's key; None = it serves none.
    """

    begun: float
    described: float = 0.0
    writer: int = -1
    services: tuple[ServiceView, ...] = ()
    served: dict[str, tuple[Instance, ...]] | None = None


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary says of an instance: whose pod (`uid`) it was, what was seen, and when
    (seconds).
    """

    uid: str
    evidence: str = ""
    at: float = 0.0


class DeploymentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a Deployment replaces its pods; `max_unavailable` is already counted in pods, rounded
    down as Kubernetes does. `labels`: of the pods it makes.
    """

    namespace: str
    name: str
    replicas: int
    max_unavailable: int
    labels: dict[str, str] = {}
