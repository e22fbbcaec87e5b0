"""Kubernetes' JSON as the few values that decide. Decoded straight from bytes; fields nobody asks for are never built."""

from datetime import datetime
from typing import Literal

import msgspec

from crossmesh.core.views import GATE, Pod


class Base(msgspec.Struct, rename="camel"):
    """Kubernetes writes camelCase."""


class _Owner(Base):
    kind: str = ""
    name: str = ""
    controller: bool = False


class Meta(Base):
    """metadata of an object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None
    owner_references: list[_Owner] | None = None


class Condition(Base):
    """One of status.conditions."""

    type: str
    status: str
    last_transition_time: datetime | None = None
    reason: str = ""
    message: str = ""


class _Gate(Base):
    condition_type: str = ""


class _PodSpec(Base):
    node_name: str = ""
    restart_policy: str = "Always"
    readiness_gates: list[_Gate] | None = None


class _PodStatus(Base):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[Condition] | None = None


class _Pod(Base):
    metadata: Meta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class ListMeta(Base):
    """Where a page stands in its list."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class PodList(Base):
    """A page of pods."""

    kind: str
    metadata: ListMeta
    items: list[_Pod] | None = None


class _NodeSpec(Base):
    unschedulable: bool = False


class _NodeItem(Base):
    metadata: Meta
    spec: _NodeSpec = msgspec.field(default_factory=_NodeSpec)


class NodeList(Base):
    """A page of nodes."""

    kind: str
    metadata: ListMeta
    items: list[_NodeItem] | None = None


class _Target(Base):
    uid: str = ""


class _SliceEndpoint(Base):
    target_ref: _Target | None = None


class _Slice(Base):
    endpoints: list[_SliceEndpoint] | None = None


class SliceList(Base):
    """A page of EndpointSlices."""

    kind: str
    metadata: ListMeta
    items: list[_Slice] | None = None


class _Replicas(Base):
    replicas: int = 0


class _Controller(Base):
    metadata: Meta
    spec: _Replicas = msgspec.field(default_factory=_Replicas)
    status: _Replicas = msgspec.field(default_factory=_Replicas)


class ControllerList(Base):
    """Deployments that may be AWS's App Mesh controller, all on one page."""

    kind: str
    items: list[_Controller] | None = None


class Named(Base):
    """Any object of which only the metadata matters."""

    metadata: Meta


class _Ingress(Base):
    hostname: str = ""
    ip: str = ""


class _LoadBalancer(Base):
    ingress: list[_Ingress] | None = None


class _ServiceStatus(Base):
    load_balancer: _LoadBalancer = msgspec.field(default_factory=_LoadBalancer)


class _ServiceSpec(Base):
    selector: dict[str, str] | None = None


class Service(Base):
    """A Service's selector and load balancer status."""

    metadata: Meta
    spec: _ServiceSpec = msgspec.field(default_factory=_ServiceSpec)
    status: _ServiceStatus = msgspec.field(default_factory=_ServiceStatus)


def pod_of(item: _Pod) -> Pod:
    """A pod as the core knows it. ContainersReady and not Ready decides, as in AWS's controller: Ready may wait for registration itself."""
    meta, labels = item.metadata, item.metadata.labels or {}
    ready = next((c for c in item.status.conditions or () if c.type == "ContainersReady"), None)
    return Pod(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        ip=item.status.pod_ip,
        node=item.spec.node_name,
        labels=labels,
        phase=item.status.phase,
        restart_policy=item.spec.restart_policy,
        terminating=meta.deletion_timestamp is not None,
        containers_ready=ready is not None and ready.status == "True",
        changed=ready.last_transition_time.timestamp() if ready is not None and ready.last_transition_time else 0.0,
        virtual_node=(meta.annotations or {}).get("appmesh.k8s.aws/virtualNode", ""),
        deployment=deployment_of(meta, labels),
        gate=_gate_of(item),
    )


def _gate_of(item: _Pod) -> Literal["", "closed", "open"]:
    if not any(gate.condition_type == GATE for gate in item.spec.readiness_gates or ()):
        return ""
    return "open" if any(c.type == GATE and c.status == "True" for c in item.status.conditions or ()) else "closed"


def runs(item: _Controller) -> str:
    """ "namespace/name" of a Deployment that has pods or wants some, else ""."""
    return f"{item.metadata.namespace}/{item.metadata.name}" if item.spec.replicas or item.status.replicas else ""


def deployment_of(meta: Meta, labels: dict[str, str]) -> str:
    """The Deployment behind a pod: its ReplicaSet is named `<deployment>-<pod-template-hash>`."""
    suffix = "-" + labels.get("pod-template-hash", "")
    for owner in meta.owner_references or ():
        if owner.kind == "ReplicaSet" and len(suffix) > 1 and owner.name.endswith(suffix):
            return owner.name.removesuffix(suffix)
    return ""


def zone_of(item: _NodeItem) -> tuple[str, str]:
    """(region, zone) from the node's labels, the old names where the new ones are missing."""
    labels = item.metadata.labels or {}

    def label(name: str) -> str:
        return labels.get(f"topology.kubernetes.io/{name}") or labels.get(f"failure-domain.beta.kubernetes.io/{name}", "")

    return label("region"), label("zone")
