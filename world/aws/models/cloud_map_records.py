"""What Cloud Map keeps: namespaces, services, instances, operations, and how each is shown."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]


@dataclass(slots=True)
class LateFailure:
    """Makes operations fail after they were accepted: those of `operation` ("*": any) whose instance id contains `instance`."""

    operation: str = "*"
    instance: str = ""
    times: int | None = None
    code: str = "INTERNAL_FAILURE"
    message: str = "The operation failed."

    def takes(self, kind: str, instance_id: str) -> bool:
        """Whether it strikes here; counts the strike."""
        if self.times == 0 or self.operation not in ("*", kind) or self.instance not in instance_id:
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(slots=True)
class CloudMapSettings:
    """The knobs. Times in seconds; quotas as AWS publishes them (Cloud Map developer guide, quotas)."""

    operation_lag_s: float = 0.0
    operation_jitter: float = 0.0
    health_lag_s: float = 30.0
    discovery_lag_s: float = 0.0
    token_memory_s: float = 600.0
    namespaces: int = 50
    same_address: str = (
        "taken"  # a second instance with one address in A or AAAA records: taken | refused (by the call) | failed (by its operation)
    )
    instances_per_service: int = 1000
    instances_per_namespace: int = 2000
    tags_per_resource: int = 50
    rates: dict[str, tuple[float, float]] = field(default_factory=dict)
    late_failures: list[LateFailure] = field(default_factory=list)


@dataclass(slots=True)
class Health:
    """A custom health status; a change asked for takes effect at `pending_at`."""

    status: str
    pending: str = ""
    pending_at: float = 0.0

    def at(self, now: float) -> str:
        """The status in force."""
        if self.pending and now >= self.pending_at:
            self.status, self.pending = self.pending, ""
        return self.status

    def ask(self, status: str, now: float, lag: float) -> None:
        """Ask for a status. Asking again for what is under way does not speed it up; asking for what is in force calls the change off."""
        if status == self.at(now):
            self.pending = ""
        elif status != self.pending:
            self.pending, self.pending_at = status, now + lag


@dataclass(slots=True)
class Instance:
    """A registered instance; replaced, never changed, by a new registration (so that a lagging reader keeps what it saw)."""

    id: str
    attributes: dict[str, str]
    token: str
    place: int
    health: Health | None

    def status(self, now: float) -> str:
        """HEALTHY, UNHEALTHY, or UNKNOWN where the service has no custom health check."""
        return self.health.at(now) if self.health else "UNKNOWN"

    def shown(self) -> Document:
        """As ListInstances shows it: without health."""
        return {"Id": self.id, "Attributes": dict(self.attributes)}


@dataclass(slots=True)
class Service:
    """A service with its instances, and the picture of them that discovery has so far."""

    id: str
    arn: str
    name: str
    namespace_id: str
    kind: str
    description: str
    token: str
    created: float
    place: int
    dns: Document | None
    health_check: Document | None
    custom_health: Document | None
    request: Document
    instances: dict[str, Instance] = field(default_factory=dict)
    incoming: int = 0
    revision: int = 1
    attributes: dict[str, str] = field(default_factory=dict)
    discovered: dict[str, Instance] = field(default_factory=dict)
    discovered_revision: int = 1
    undiscovered: deque[tuple[float, str, Instance | None, int]] = field(default_factory=deque)

    def note(self, instance_id: str, instance: Instance | None, now: float) -> None:
        """A registration (or, with None, its end): the revision rises, discovery will learn of it."""
        self.revision += 1
        if instance is None:
            self.instances.pop(instance_id, None)
        else:
            self.instances[instance_id] = instance
        self.undiscovered.append((now, instance_id, instance, self.revision))

    def discover(self, until: float) -> None:
        """Let discovery learn what happened up to `until`."""
        while self.undiscovered and self.undiscovered[0][0] <= until:
            _, instance_id, instance, revision = self.undiscovered.popleft()
            if instance is None:
                self.discovered.pop(instance_id, None)
            else:
                self.discovered[instance_id] = instance
            self.discovered_revision = revision

    def shown(self, account: str, *, full: bool = True) -> Document:
        """As GetService (`full`) or ListServices shows it."""
        document: Document = {
            "Id": self.id,
            "Arn": self.arn,
            "ResourceOwner": account,
            "Name": self.name,
            "Type": self.kind,
            "CreateDate": self.created,
            "CreatedByAccount": account,
            "InstanceCount": len(self.instances),
        }
        if self.description:
            document["Description"] = self.description
        document |= {
            name: dict(value)
            for name, value in (
                ("DnsConfig", self.dns),
                ("HealthCheckConfig", self.health_check),
                ("HealthCheckCustomConfig", self.custom_health),
            )
            if value
        }
        if full:
            document |= {"NamespaceId": self.namespace_id, "CreatorRequestId": self.token}
        return document


@dataclass(slots=True)
class Namespace:
    """A namespace; `zone` is its Route 53 hosted zone where it has DNS."""

    id: str
    arn: str
    name: str
    kind: str
    description: str
    token: str
    created: float
    place: int
    vpc: str
    zone: str
    ttl: int
    http_name: str = ""
    owner: str = ""  # the account that made it; another one's is shared with this account
    services: dict[str, Service] = field(default_factory=dict)
    instances: int = 0

    def named(self, service: str) -> str:
        """What a service's name is compared by: names in a DNS namespace may not differ in case only (API model, CreateService)."""
        return service if self.kind == "HTTP" else service.lower()

    def shown(self, account: str, *, full: bool = True) -> Document:
        """As GetNamespace (`full`) or ListNamespaces shows it."""
        properties: Document = {"HttpProperties": {"HttpName": self.http_name or self.name}}
        properties["DnsProperties"] = {"HostedZoneId": self.zone, "SOA": {"TTL": self.ttl}} if self.zone else {}
        document: Document = {
            "Id": self.id,
            "Arn": self.arn,
            "ResourceOwner": self.owner or account,
            "Name": self.name,
            "Type": self.kind,
            "Properties": properties,
            "CreateDate": self.created,
            "ServiceCount": len(self.services),
        }
        if self.description:
            document["Description"] = self.description
        if full:
            document["CreatorRequestId"] = self.token
        return document


@dataclass(slots=True)
class Operation:
    """Work accepted, done later: `payload` is what is to happen at `due`."""

    id: str
    kind: str
    targets: dict[str, str]
    created: float
    due: float
    payload: Any = None
    updated: float = 0.0
    status: str = "SUBMITTED"
    code: str = ""
    message: str = ""

    def status_at(self, now: float) -> str:
        """SUBMITTED in the first fifth of the way, then PENDING, then what it came to."""
        if self.status == "SUBMITTED" and now - self.created >= (self.due - self.created) / 5:
            self.status, self.updated = "PENDING", now
        return self.status

    def shown(self, account: str, now: float) -> Document:
        """As GetOperation shows it."""
        document: Document = {
            "Id": self.id,
            "OwnerAccount": account,
            "Type": self.kind,
            "Status": self.status_at(now),
            "CreateDate": self.created,
            "UpdateDate": self.updated,
            "Targets": dict(self.targets),
        }
        if self.code:
            document |= {"ErrorCode": self.code, "ErrorMessage": self.message}
        return document
