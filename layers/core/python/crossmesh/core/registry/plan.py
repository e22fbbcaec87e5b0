"""A plan is data: an ordered tuple of actions, each with its reason and precondition, and what was
withheld and why.

Phases: 0 services that must exist first · 1 adds, changes, health and dead instances out, side by
side · 2 adds for which the dead had to make room · 3 removals of instances whose pod still lives,
each after the add it waits for was proved · 4 services of ours that nothing names any more.
"""

from typing import Literal

import msgspec

from crossmesh.core.keys import service_key

RemovalWhy = Literal[
    "dead",  # its pod was seen Terminating or finished
    "gone",  # a GET says so
    "unready",
    "outlier",  # a canary says so: only ever marked UNHEALTHY
    "unselected",  # its pod lives and belongs elsewhere, or nowhere
    "forgotten",  # a person said so
    "replaced",  # AWS's controller left it, and the same pod stands registered by us
    "left-behind",  # AWS's controller left it, and its pod is nowhere
]


class CreateService(msgspec.Struct, frozen=True, kw_only=True, tag="create-service"):
    """Make the Cloud Map service that a virtual node names."""

    namespace: str
    service: str
    namespace_id: str
    dns: bool
    ipv6: bool = False
    api_only: bool = False  # without records in a DNS namespace: found by DiscoverInstances alone
    tags: dict[str, str]
    creator: str  # makes CreatorRequestId: the same intent asked twice is one service
    reason: str
    phase: int = 0


class TagService(msgspec.Struct, frozen=True, kw_only=True, tag="tag-service"):
    """Leave our deployment's mark on a service that we write into, so that a second deployment with
    this owner notices.
    """

    namespace: str
    service: str
    arn: str
    tags: dict[str, str]
    reason: str
    phase: int = 0


class Register(msgspec.Struct, frozen=True, kw_only=True, tag="register", gc=False):
    """Add an instance, or change its attributes (RegisterInstance replaces them all, so
    `attributes` holds foreign ones too).
    """

    namespace: str
    service: str
    id: str
    cluster: str
    node: str
    pod: str
    attributes: dict[str, str]
    change: bool = False
    adopts: bool = (
        # The change marks an instance that AWS's controller left; precondition: it carries no mark
        # and is of the same pod and address
        False
    )
    # The id of another instance in the service that holds the address, as far as known
    shares: str = ""
    reason: str
    phase: int = 1


class Deregister(msgspec.Struct, frozen=True, kw_only=True, tag="deregister", gc=False):
    """Remove an instance. Precondition: it still carries this owner, cluster, pod uid and pod ("" =
    no such mark, as AWS's controller leaves them); and `after`, where given, is proved.
    """

    namespace: str
    service: str
    id: str
    owner: str
    cluster: str
    uid: str
    node: str
    pod: str
    why: RemovalWhy
    # The instance, as an instance's key (`core.keys`), that must have been registered and proved by
    # this run first
    after: str = ""
    reason: str
    phase: int = 1


class SetHealth(msgspec.Struct, frozen=True, kw_only=True, tag="set-health", gc=False):
    """Mark an instance HEALTHY or UNHEALTHY (UpdateInstanceCustomHealthStatus). Precondition: it
    still carries this owner, cluster and pod uid.
    """

    namespace: str
    service: str
    id: str
    owner: str
    cluster: str
    uid: str
    node: str
    pod: str
    status: Literal["HEALTHY", "UNHEALTHY"]
    reason: str
    phase: int = 1


class DeleteService(msgspec.Struct, frozen=True, kw_only=True, tag="delete-service"):
    """Remove an empty service that we made and no document names."""

    namespace: str
    service: str
    id: str
    reason: str
    phase: int = 4


RegistryAction = CreateService | TagService | Register | Deregister | SetHealth | DeleteService


class OpenGate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tell Kubernetes that a pod is registered and found: its readiness gate's condition becomes
    True, once discovery shows the instance `id`.
    """

    cluster: str
    pod: str  # "namespace/name", for people
    place: tuple[str, str] = ("", "")  # its namespace and name; plans before 0.2 have none
    uid: str
    namespace: str
    service: str
    id: str


WithheldWhy = Literal[
    "unseen",  # its cluster did not answer completely
    "orphaned",  # its cluster is no longer in the settings
    "unconfirmed",  # waits for a second listing
    "claimed",  # several virtual nodes select the pod
    "policy",  # removals: upsert-only
    "conflict",  # another deployment uses our owner
    "competing-writer",  # somebody else keeps removing it
    "namespace-missing",
    "namespace-ambiguous",  # several namespaces have its name
    "namespace-shared",  # another account shares it, and the settings do not name it
    "name-case",  # Cloud Map has a service whose name differs in case only
    "unreadable",  # Cloud Map refused to tell of the service
    "service-full",
    "foreign-id",  # an instance of somebody else stands under the id we want
    "controller",  # AWS's App Mesh controller runs in its cluster and would undo it
    "churn",  # it came and went too often lately
    "waits",  # its replacement could not be added yet
    # Another instance of the service holds the pod's address, and the service takes no second one
    "address-taken",
    "implausible",  # its cluster shows an address or uid that no pod of it can have
    "records",  # the service's DNS records or health check demand what the pod does not have
    "health-check",  # the service has a Route 53 health check, which cannot reach the pod
    "address-family",  # the service's DNS records cannot hold the pod's address
]


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """An action that a guard held back: what, why, and when it may go ahead by itself (seconds
    since the epoch; 0 = not by itself).
    """

    what: Literal["register", "deregister", "service"]
    service: str
    id: str
    cluster: str = ""
    pod: str = ""
    why: WithheldWhy
    detail: str
    until: float = 0.0

    @property
    def unconfirmed(self) -> bool:
        """Whether it is a removal that goes ahead by itself after a second look."""
        return self.what == "deregister" and self.why == "unconfirmed"


class ManualOverrides(msgspec.Struct, frozen=True, kw_only=True):
    """What people asked for, by the command line: written by them, read by every pass. Times are
    seconds since the epoch, 0 = never.
    """

    paused: float = 0.0  # nothing is applied
    draining: float = 0.0  # every instance of ours goes, and none comes, until resumed
    # Cluster -> remove its instances, though it is not seen or not in the settings any more
    forget: dict[str, float] = {}
    accept: dict[str, float] = {}  # cluster -> record the identity that it shows now
    # Service's key -> go on in spite of a competing writer or an ownership conflict
    resumed: dict[str, float] = {}
    # Take over what AWS's controller left, as `mesh.adopt` does, until nothing of it is left
    adopt: float = 0.0
    by: dict[str, str] = {}  # pause, drain, adopt -> who asked for it
    lifted: float = 0.0  # when a pause or a drain was last ended by hand


class ConflictingDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """Another deployment that uses our owner: since when we know (seconds since the epoch), and
    until when our word against it holds; 0 = it speaks against us.
    """

    deployment: str
    since: float
    until: float = 0.0


class ResolvedConflict(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment that a person decided against: the `resume` that said so, and when the services
    were read by which that was carried out.
    """

    deployment: str
    asked: float
    at: float


class PlannerState(msgspec.Struct, frozen=True, kw_only=True):
    """What the planner remembers between passes. `schema` lets a newer version read an older
    one's.
    """

    schema: int = 1
    identities: dict[str, str] = {}  # cluster -> kube-system uid, recorded when first seen
    versions: dict[str, dict[str, int]] = {}  # cluster -> namespace -> highest resourceVersion seen
    # Key of a registered pod (`core.keys`) once seen Terminating -> when
    terminating: dict[str, float] = {}
    # Instance's key -> begin of the first listing that wanted it removed there
    pending_deletions: dict[str, float] = {}
    # Service's key -> (id, arn) of every service we wrote into
    services: dict[str, tuple[str, str]] = {}
    # Service's key -> (namespace, service) of the same; memories before 0.2 have none
    service_names: dict[str, tuple[str, str]] = {}
    # Service's key -> when it refused a second instance with one address
    unshared: dict[str, float] = {}
    # Instance id -> when we registered it and discovery proved it; kept 10 minutes
    registered: dict[str, float] = {}
    # Instance id -> when another writer had removed it since; kept 10 minutes
    lost: dict[str, tuple[float, ...]] = {}
    # Service's key -> (since when it is stopped, which instance showed it)
    competing_writers: dict[str, tuple[float, str]] = {}
    forgotten: dict[str, float] = {}  # cluster -> the `forget` that was carried out
    accepted: dict[str, float] = {}  # cluster -> the `accept` that was carried out
    adopted: float = 0.0  # the `adopt` that was carried out
    # Instance id -> (health asked for, when): it takes 30 s to show, and asking again is no faster
    asked: dict[str, tuple[str, float]] = {}
    # Instance id -> when it was taken out as unready, or changed, within the last 10 minutes
    turns: dict[str, tuple[float, ...]] = {}
    unsettled_runs: int = 0  # runs in a row that left something unsettled
    # Service's key -> the deployment with our owner that stops us
    conflicting_deployments: dict[str, ConflictingDeployment] = {}
    # Service's key -> the one that a person decided against
    resolved_conflicts: dict[str, ResolvedConflict] = {}


class RegistryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass would do to the registry, why, and what it would remember. `again_at`: look
    again then (0 = no need).
    """

    actions: tuple[RegistryAction, ...] = ()
    gates: tuple[OpenGate, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    memory: PlannerState = PlannerState()
    notes: tuple[str, ...] = ()
    endpoints: int = 0
    registered: int = 0
    again_at: float = 0.0
    begun: float = 0.0  # when the oldest observation behind it began
    # Another deployment uses our owner: neither registry nor mesh nor ports are written
    conflict: bool = False
    # Service's key -> what discovery is asked by, where that is not its names
    discovery: dict[str, tuple[str, ...]] = {}
    # It acts, and pods that are not ready yet are on their way: what it does is not the last of it
    pods_pending: bool = False
    # AWS names of virtual nodes with instances, none of them where their documents say
    moving: tuple[str, ...] = ()

    @property
    def arriving(self) -> frozenset[str]:
        """AWS names of the virtual nodes that it registers or changes an instance of."""
        return frozenset(action.node for action in self.actions if isinstance(action, Register))

    def discovered_by(self, namespace: str, service: str) -> tuple[str, ...]:
        """What DiscoverInstances is asked by for a service (`ServiceView.discovered_by`)."""
        return self.discovery.get(service_key(namespace, service), (namespace, service))

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages it has work in, in order: 1 = phases 0 and 1, then each phase by itself."""
        return tuple(sorted({max(action.phase, 1) for action in self.actions}))


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one action. `applied`: the service took it (`operation` = its id, "" = the end
    state was there already); `stale`: its precondition no longer held; `busy`: something else is
    under way on the same instance; `failed` with the service's code.
    """

    action: int  # index in the plan
    result: Literal["applied", "stale", "busy", "failed"]
    operation: str = ""
    detail: str = ""
