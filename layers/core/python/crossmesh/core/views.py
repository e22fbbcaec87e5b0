"""What one observation saw. A view is `Seen` or `Unseen`; nothing of an `Unseen` one is ever removed (rule 1).

An empty `Seen` is a claim that a cluster has no such pods. Whoever builds one must have read the complete chain of pages, under the recorded identity.
"""

from typing import Literal

import msgspec

Cause = Literal[
    "unreachable",  # no connection, name not resolved
    "timeout",  # connected, no complete answer in time
    "throttled",  # 429
    "refused",  # 401, 403: rights or token
    "server-error",  # 5xx
    "cut",  # a page or its chain ended early, or a page held less than its count says
    "went-back",  # resourceVersion older than one seen before
    "identity",  # kube-system has another uid than the recorded one: another cluster answers to this name
    "list-incomplete",  # a GET finds a pod that the list left out
    "not-found",  # EKS knows no such cluster
    "crashed",  # the observing function ended without an answer
]


GATE = "conditions.appmesh.k8s.aws/aws-cloudmap-healthy"  # the readiness gate that AWS's controller's webhook gives to pods (pkg/k8s/pod_conditions.go)


class Pod(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The parts of a pod that decide. `dead` and `ready` follow AWS's controller (pkg/cloudmap/utils.go, virtualnode_endpoint_resolver.go)."""

    namespace: str
    name: str
    uid: str
    ip: str = ""
    node: str = ""
    labels: dict[str, str] = {}
    phase: str = ""
    restart_policy: str = "Always"
    terminating: bool = False
    containers_ready: bool = False
    changed: float = 0.0  # when ContainersReady last changed, seconds since the epoch (Kubernetes keeps whole ones); 0 = unknown
    virtual_node: str = ""  # annotation appmesh.k8s.aws/virtualNode (v1beta1)
    deployment: str = ""  # the Deployment it belongs to, from its ReplicaSet's name and pod-template-hash
    gate: Literal["", "closed", "open"] = ""  # its readiness gate `aws-cloudmap-healthy`; "" = it declares none

    @property
    def finished(self) -> bool:
        """Ended for good under its restart policy."""
        if self.restart_policy == "Never":
            return self.phase in ("Failed", "Succeeded")
        return self.restart_policy == "OnFailure" and self.phase == "Succeeded"

    @property
    def dead(self) -> bool:
        """Terminating or finished: its address must go at once."""
        return self.terminating or self.finished

    @property
    def ready(self) -> bool:
        """An endpoint: alive, with an address, all containers ready (not the pod's own Ready, which may wait for registration)."""
        return not self.dead and bool(self.ip) and self.containers_ready


class Seen(msgspec.Struct, frozen=True, kw_only=True, tag="seen"):
    """A complete view of one cluster, listed from `begun` on (seconds since the epoch)."""

    cluster: str
    identity: str  # uid of the kube-system namespace
    begun: float
    versions: dict[str, int] = {}  # namespace -> resourceVersion of its pod list
    pods: tuple[Pod, ...] = ()
    zones: dict[str, tuple[str, str]] = {}  # Kubernetes node -> (region, zone)
    gone: tuple[str, ...] = ()  # uids of registered pods absent from the list, each confirmed by a GET (404 or another uid)
    absent: tuple[str, ...] = ()  # "namespace/name" of pods asked for without a uid, neither in the list nor found by a GET
    controller: str = ""  # "namespace/name" of the Deployment of AWS's App Mesh controller, where it runs
    controller_unknown: str = ""  # why that could not be told ("" = it could)
    shifted: tuple[str, ...] = ()  # zones that ARC shifted traffic away from, where the settings follow that (`core.zonal`)
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


View = Seen | Unseen


class Instance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What Cloud Map holds under one instance id."""

    id: str
    attributes: dict[str, str]


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """One Cloud Map service: `id` is "" where it does not exist yet; `revision` was read before `instances`."""

    namespace: str
    service: str
    namespace_id: str = ""
    namespace_type: str = ""  # DNS_PRIVATE | HTTP | DNS_PUBLIC; "" = the namespace does not exist
    id: str = ""
    arn: str = ""
    tags: dict[str, str] = {}
    records: tuple[str, ...] = ()  # types of its DNS records: A, AAAA; () in an HTTP namespace
    custom_health: bool = False  # made with HealthCheckCustomConfig: instances can be marked UNHEALTHY
    health: dict[str, str] = {}  # instance id -> HEALTHY | UNHEALTHY | UNKNOWN; read only where `custom_health`
    revision: int = -1
    listed: float = 0.0  # when the list of instances was begun (seconds)
    since: float = 0.0  # begin of the first reading that showed this revision; a list read soon after it may be behind its revision
    instances: tuple[Instance, ...] = ()

    @property
    def key(self) -> str:
        """`service.namespace`, its name to people."""
        return f"{self.service}.{self.namespace}"


class RegistryView(msgspec.Struct, frozen=True, kw_only=True):
    """All Cloud Map services that the topology names, sorted by key, and the time (seconds) the reading began: lists were read since then, or stand by their
    revision.

    `described`: when the services themselves and their tags were read (0 = with everything else); `writer`: the epoch after which no run had held the lease
    then (-1 = one held it).
    """

    begun: float
    described: float = 0.0
    writer: int = -1
    services: tuple[ServiceView, ...] = ()


class Sick(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary says of an instance: whose pod (`uid`) it was, what was seen, and when (seconds)."""

    uid: str
    evidence: str = ""
    at: float = 0.0
