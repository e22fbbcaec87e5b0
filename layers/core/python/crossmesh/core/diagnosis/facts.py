"""What was seen along the path of a request: facts, gathered by `usecases.facts`, judged by
`core.diagnosis.diagnose`.

A fact that could not be read is None or missing, with its reason among `unread`: unknown is not
broken.
"""

from fractions import Fraction

import msgspec

from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.mesh.shift_weights import Progresses, Shifts
from crossmesh.core.observed import DeploymentFacts, RegistryView, Seen, View
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.registry.plan import ManualOverrides, RegistryPlan
from crossmesh.core.settings import CanarySettings, ClusterSettings
from crossmesh.core.topology import Topology

# The name of the container that AWS's injecting webhook adds (aws-app-mesh-controller-for-k8s,
# pkg/inject/envoy.go)
SIDECAR = "envoy"


class ContainerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A container as its pod's status tells it; `state` is e.g. "running", "waiting:
    CrashLoopBackOff".
    """

    name: str
    ready: bool
    state: str = ""
    restarts: int = 0


class PodFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A pod in the detail that only a diagnosis needs. `terminating`: or in a final phase.
    `pre_stop` and `grace` in seconds; `pre_stop` None = a hook whose length nobody can tell.
    """

    namespace: str
    name: str
    uid: str
    ip: str = ""
    node: str = ""
    labels: dict[str, str] = {}
    deployment: str = ""
    virtual_node: str = ""  # annotation appmesh.k8s.aws/virtualNode (v1beta1)
    terminating: bool = False
    ready: bool = False
    containers: tuple[ContainerFacts, ...] = ()
    pre_stop: float | None = 0.0
    grace: float = 30.0
    gates: tuple[str, ...] = ()

    def container(self, name: str) -> ContainerFacts | None:
        """Its container of that name."""
        return next((c for c in self.containers if c.name == name), None)


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A Kubernetes node; `why` of its Ready condition where it is not."""

    name: str
    ready: bool
    why: str = ""


class Workloads(msgspec.Struct, frozen=True, kw_only=True):
    """What runs in one cluster, in detail."""

    cluster: str
    pods: tuple[PodFacts, ...] = ()
    deployments: tuple[DeploymentFacts, ...] = ()
    nodes: tuple[NodeFacts, ...] = ()


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A Kubernetes Service of type LoadBalancer: its host name ("" while it has none), the pods it
    selects, and its ports (() = not known).
    """

    host: str
    selector: dict[str, str] = {}
    ports: tuple[int, ...] = ()


class TargetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A target of a load balancer (an instance id, or an IP address) and the reason where it is not
    healthy.
    """

    id: str
    healthy: bool
    why: str = ""


class BalancerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer as ELB's API tells it; `kind` classic, network or application."""

    name: str
    kind: str
    ports: tuple[int, ...] = ()
    targets: tuple[TargetFacts, ...] = ()


class RuleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An ingress rule: protocol ("-1" = all), ports from `first` to `last`, from groups (of
    `account`, "" = unknown) or CIDR blocks. `mark` is its description.
    """

    protocol: str
    first: int = 0
    last: int = 65_535
    groups: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    mark: str = ""
    account: str = ""


class NetworkFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's network: its cluster security group, that group's account, Region and ingress
    rules, and its VPC's address blocks.
    """

    cluster: str
    group: str
    account: str = ""
    region: str = ""
    vpc: str = ""
    cidrs: tuple[str, ...] = ()
    rules: tuple[RuleFacts, ...] = ()


class MissingFact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be read, and why, as the service said it."""

    what: str
    why: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known about one canary's path. `samples` are this run's; `probes` those made
    directly at instances, newest last, by instance id.
    """

    canary: CanarySettings
    verdict: Verdict
    owner: str
    topology: Topology
    clusters: dict[str, ClusterSettings] = {}
    shares: dict[str, Fraction] = {}
    bodies: dict[str, str] = {}
    problem: str = ""
    samples: tuple[Sample, ...] = ()
    service: ServiceFacts | None = None
    service_missing: bool = False  # the cluster answered that it has no such Service
    balancer: BalancerFacts | None = None
    workloads: dict[str, Workloads] = {}
    views: tuple[View, ...] = ()
    registry: RegistryView | None = None
    plan: RegistryPlan | None = None
    endpoints: EndpointDecision = EndpointDecision()
    mesh: MeshSummary | None = None
    operator: ManualOverrides = ManualOverrides()
    mode: str = "apply"
    shifts: Shifts = ()
    progress: Progresses = {}  # how far each shift is recorded to have come
    networks: dict[str, NetworkFacts] = {}
    probes: dict[str, tuple[Sample, ...]] = {}
    unread: tuple[MissingFact, ...] = ()

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The complete views."""
        return tuple(view for view in self.views if isinstance(view, Seen))
