"""Kubernetes' JSON in the detail that a diagnosis and the doctor need, apart from what every look
decodes.
"""

from typing import Any

import msgspec

from crossmesh.adapters.kubernetes.pods import Base, Condition, Meta, deployment_of, virtual_node_of
from crossmesh.core.diagnosis.facts import ContainerFacts, NodeFacts, PodFacts
from crossmesh.core.observed import DeploymentFacts


class _Sleep(Base):
    seconds: float = 0.0


class _Exec(Base):
    command: list[str] | None = None


class _Hook(Base):
    sleep: _Sleep | None = None
    exec: _Exec | None = None


class _Lifecycle(Base):
    pre_stop: _Hook | None = None


class _Container(Base):
    name: str
    lifecycle: _Lifecycle | None = None
    restart_policy: str = ""


class _Gate(Base):
    condition_type: str


class _Spec(Base):
    node_name: str = ""
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    termination_grace_period_seconds: float = 30.0
    readiness_gates: list[_Gate] | None = None


class _ContainerStatus(Base):
    name: str
    ready: bool = False
    restart_count: int = 0
    state: dict[str, Any] = msgspec.field(default_factory=dict)


class _Status(Base):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None


class PodDetail(Base):
    """A pod."""

    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _RollingUpdate(Base):
    max_unavailable: int | str = "25%"


class _Strategy(Base):
    type: str = "RollingUpdate"
    rolling_update: _RollingUpdate | None = None


class _TemplateMeta(Base):
    labels: dict[str, str] | None = None


class _Template(Base):
    metadata: _TemplateMeta = msgspec.field(default_factory=_TemplateMeta)


class _DeploymentSpec(Base):
    replicas: int = 1
    template: _Template = msgspec.field(default_factory=_Template)
    strategy: _Strategy = msgspec.field(default_factory=_Strategy)


class DeploymentItem(Base):
    """A Deployment."""

    metadata: Meta
    spec: _DeploymentSpec = msgspec.field(default_factory=_DeploymentSpec)


class _NodeStatus(Base):
    conditions: list[Condition] | None = None


class NodeDetail(Base):
    """A node."""

    metadata: Meta
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


def pod_facts(item: PodDetail) -> PodFacts:
    """A pod in detail. A sidecar may be an init container that goes on running (restartPolicy
    Always, Kubernetes 1.29).
    """
    meta, spec, status = item.metadata, item.spec, item.status
    labels = meta.labels or {}
    lasting = [*(spec.containers or ()), *(c for c in spec.init_containers or () if c.restart_policy == "Always")]
    told = {s.name: s for s in (*(status.container_statuses or ()), *(status.init_container_statuses or ()))}
    return PodFacts(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        ip=status.pod_ip,
        node=spec.node_name,
        labels=labels,
        deployment=deployment_of(meta, labels),
        virtual_node=virtual_node_of(meta),
        terminating=meta.deletion_timestamp is not None or status.phase in ("Failed", "Succeeded"),
        ready=_is("Ready", status.conditions),
        containers=tuple(_container(container.name, told.get(container.name)) for container in lasting),
        pre_stop=_pre_stop(lasting),
        grace=spec.termination_grace_period_seconds,
        gates=tuple(gate.condition_type for gate in spec.readiness_gates or ()),
    )


def deployment_facts(item: DeploymentItem) -> DeploymentFacts:
    """How it replaces pods: `Recreate` takes all away; a percentage is rounded down (Deployment
    API, maxUnavailable).
    """
    replicas, strategy = item.spec.replicas, item.spec.strategy
    given = (strategy.rolling_update or _RollingUpdate()).max_unavailable
    amount = int(replicas * float(given[:-1]) / 100) if isinstance(given, str) and given.endswith("%") else int(given)
    return DeploymentFacts(
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        replicas=replicas,
        max_unavailable=replicas if strategy.type == "Recreate" else amount,
        labels=item.spec.template.metadata.labels or {},
    )


def node_facts(item: NodeDetail) -> NodeFacts:
    """A node; one that tells no Ready condition is not called unready."""
    ready = next((c for c in item.status.conditions or () if c.type == "Ready"), None)
    good = ready is None or ready.status == "True"
    return NodeFacts(
        name=item.metadata.name,
        ready=good,
        why="" if good or ready is None else f"{ready.reason or 'Ready'}: {ready.message[:200]}",
    )


def _container(name: str, told: _ContainerStatus | None) -> ContainerFacts:
    if told is None:
        return ContainerFacts(name=name, ready=False, state="not started")
    kind, detail = next(iter(told.state.items()), ("", {}))
    reason = detail.get("reason", "") if isinstance(detail, dict) else ""
    return ContainerFacts(
        name=name, ready=told.ready, state=f"{kind}: {reason}" if reason else kind, restarts=told.restart_count
    )


def _is(kind: str, conditions: list[Condition] | None) -> bool:
    return any(c.type == kind and c.status == "True" for c in conditions or ())


def _pre_stop(containers: list[_Container]) -> float | None:
    """The longest preStop sleep of a pod's containers; None where only a command is given that does
    not say how long it takes.
    """
    longest, unknown = 0.0, False
    for container in containers:
        hook = container.lifecycle.pre_stop if container.lifecycle else None
        if hook is None:
            continue
        words = " ".join(hook.exec.command or ()).split() if hook.exec else []
        after = words[words.index("sleep") + 1] if "sleep" in words[:-1] else ""
        if hook.sleep:
            longest = max(longest, hook.sleep.seconds)
        elif after.rstrip("s").replace(".", "", 1).isdigit():
            longest = max(longest, float(after.rstrip("s")))
        else:
            unknown = True
    return None if unknown and not longest else longest
