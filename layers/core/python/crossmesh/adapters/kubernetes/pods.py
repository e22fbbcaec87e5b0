"""Kubernetes' JSON as the few values that decide. Decoded straight from bytes; fields nobody asks
for are never built.
"""

from datetime import datetime
from typing import Literal

import msgspec

from crossmesh.core.observed import GATE, Pod


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
    readiness_gates: list[_Gate] | None = None


class _PodStatus(Base):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[Condition] | None = None


class PodItem(Base):
    """A pod."""

    metadata: Meta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class ListMeta(Base):
    """Where a page stands in its list."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class Page(Base):
    """A page of any list, its items not looked into."""

    kind: str
    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class _NodeSpec(Base):
    unschedulable: bool = False


class NodeItem(Base):
    """A node."""

    metadata: Meta
    spec: _NodeSpec = msgspec.field(default_factory=_NodeSpec)


class _Target(Base):
    uid: str = ""


class _SliceEndpoint(Base):
    target_ref: _Target | None = None


class Slice(Base):
    """An EndpointSlice."""

    endpoints: list[_SliceEndpoint] | None = None


class _Template(Base):
    spec: "_Account" = msgspec.field(default_factory=lambda: _Account())


class _Account(Base):
    service_account_name: str = ""


class _Wanted(Base):
    template: _Template = msgspec.field(default_factory=_Template)


class _Running(Base):
    ready_replicas: int = 0


class Controller(Base):
    """A Deployment that may be AWS's App Mesh controller."""

    metadata: Meta
    spec: _Wanted = msgspec.field(default_factory=_Wanted)
    status: _Running = msgspec.field(default_factory=_Running)


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


class _ServicePort(Base):
    port: int = 0


class _ServiceSpec(Base):
    selector: dict[str, str] | None = None
    ports: list[_ServicePort] | None = None


class Service(Base):
    """A Service's selector, ports and load balancer status."""

    metadata: Meta
    spec: _ServiceSpec = msgspec.field(default_factory=_ServiceSpec)
    status: _ServiceStatus = msgspec.field(default_factory=_ServiceStatus)


def virtual_node_of(meta: Meta) -> str:
    """The virtual node that a pod's annotation names (v1beta1), "" = none."""
    return (meta.annotations or {}).get("appmesh.k8s.aws/virtualNode", "")


OPENING = 60.0  # seconds that the kubelet may take to show Ready once our gate is open


def pod_of(item: PodItem, now: float) -> Pod:
    """A pod as the core knows it."""
    meta, labels = item.metadata, item.metadata.labels or {}
    conditions = {c.type: c for c in item.status.conditions or ()}
    containers, gate = conditions.get("ContainersReady"), _gate_of(item)
    unready = "" if containers is None or containers.status != "True" else _unready(item, conditions, gate, now)
    decides = containers if unready or gate else conditions.get("Ready", containers)
    return Pod(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        ip=item.status.pod_ip,
        node=item.spec.node_name,
        labels=labels,
        phase=item.status.phase,
        terminating=meta.deletion_timestamp is not None,
        containers_ready=containers is not None and containers.status == "True",
        unready=unready,
        changed=(
            decides.last_transition_time.timestamp() if decides is not None and decides.last_transition_time else 0.0
        ),
        virtual_node=virtual_node_of(meta),
        deployment=deployment_of(meta, labels),
        gate=gate,
    )


def _unready(item: PodItem, conditions: dict[str, Condition], gate: str, now: float) -> str:
    """Why a pod whose containers are ready is not, or "". Kubernetes says Ready False where a gate
    is shut, and where the node stopped reporting.

    Ready is waived where our own gate is all that is missing, since registration is what opens it;
    and for as long as the kubelet may take to see it open. A node that died longer ago than that
    keeps ContainersReady True for its pods, and our gate open: AWS's controller goes on sending
    requests there.
    """
    ready = conditions.get("Ready")
    if ready is not None and ready.status == "True":
        return ""
    names = [g.condition_type for g in item.spec.readiness_gates or () if g.condition_type != GATE]
    if shut := next((name for name in names if name not in conditions or conditions[name].status != "True"), ""):
        return f"its readiness gate {shut[:100]} is not True"
    opened = conditions[GATE].last_transition_time if gate == "open" else None
    if gate == "closed" or (opened is not None and now - opened.timestamp() < OPENING):
        return ""
    return (
        f"its Ready condition is not True although its containers are ready: node {item.spec.node_name or '(none)'}"
        " does not report"
    )


def _gate_of(item: PodItem) -> Literal["", "closed", "open"]:
    if not any(gate.condition_type == GATE for gate in item.spec.readiness_gates or ()):
        return ""
    return "open" if any(c.type == GATE and c.status == "True" for c in item.status.conditions or ()) else "closed"


# The service account of AWS's controller, in its Helm chart and in its installation guide
ACCOUNT = "appmesh-controller"


def runs(item: Controller) -> bool:
    """Whether a Deployment is AWS's controller at work: pods of it are ready, under its service
    account.
    """
    return item.status.ready_replicas > 0 and item.spec.template.spec.service_account_name == ACCOUNT


def deployment_of(meta: Meta, labels: dict[str, str]) -> str:
    """The Deployment behind a pod: its ReplicaSet is named `<deployment>-<pod-template-hash>`."""
    suffix = "-" + labels.get("pod-template-hash", "")
    for owner in meta.owner_references or ():
        if owner.kind == "ReplicaSet" and len(suffix) > 1 and owner.name.endswith(suffix):
            return owner.name.removesuffix(suffix)
    return ""


def zone_of(item: NodeItem) -> tuple[str, str]:
    """(region, zone) from the node's labels, the old names where the new ones are missing."""
    labels = item.metadata.labels or {}

    def label(name: str) -> str:
        return labels.get(f"topology.kubernetes.io/{name}") or labels.get(
            f"failure-domain.beta.kubernetes.io/{name}", ""
        )

    return label("region"), label("zone")
