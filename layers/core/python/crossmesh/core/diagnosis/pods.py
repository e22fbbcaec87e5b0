"""Behind the load balancer: its targets, the pods and nodes that they are, and the sidecar that
each carries. Pure.
"""

from collections.abc import Iterator, Mapping

from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.diagnosis.facts import SIDECAR, Facts, PodFacts
from crossmesh.core.mesh.request_path import RequestPath
from crossmesh.core.registry.pod_selection import selects


def pod_breaks(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """In the order in which a request meets them."""
    for question in (_targets, _pods, _nodes, _sidecars):
        yield from question(facts, way)


def _targets(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """Has the load balancer a healthy target? What unready pods explain is left to them."""
    balancer, front = facts.balancer, front_pods(facts)
    if (
        balancer is None
        or any(target.healthy for target in balancer.targets)
        or not any(_sound(pod, facts, way) for pod in front)
    ):
        return
    if balancer.targets:
        what = f"none of the {len(balancer.targets)} targets of load balancer {balancer.name} is healthy"
    else:
        what = f"load balancer {balancer.name} has no target"
    ready = sum(1 for pod in front if pod.ready)
    yield Diagnosis(
        layer="targets",
        subject=balancer.name,
        what=f"{what}, though {ready} front pods are ready",
        evidence=tuple(f"{target.id}: {target.why}" for target in balancer.targets[:5])
        or ("the load balancer lists no targets",),
        fix=(
            "kubectl describe the Service: its events say why targets are not registered; check the target port and its"
            " health check"
        ),
    )


def _pods(facts: Facts, _: RequestPath) -> Iterator[Diagnosis]:
    """Are front's pods ready, apart from their sidecars?"""
    if facts.canary.service is None or facts.service is None or not facts.service.selector:
        return
    if facts.canary.service.cluster not in facts.workloads:
        return
    target, front = facts.canary.service, front_pods(facts)
    if any(pod.ready for pod in front):
        return
    dead = {node.name: node.why for node in facts.workloads[target.cluster].nodes if not node.ready}
    outliers = [pod for pod in front if not pod.ready and not _envoy_is_why(pod)]
    if front and all(pod.node in dead for pod in outliers):
        return  # `_nodes` says so
    yield Diagnosis(
        layer="pods",
        subject=f"{target.cluster}/{target.namespace}/{target.name}",
        what=(
            f"no pod behind Service {target.namespace}/{target.name} of {target.cluster} is ready ({len(front)} exist)"
        ),
        evidence=tuple(f"{pod.name}: {_why_unready(pod, dead)}" for pod in outliers[:5]),
        fix=f"kubectl describe pods -n {target.namespace} of that Service: their events and containers say why",
    )


def _nodes(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """Are the Kubernetes nodes under the pods on the way ready?"""
    names = {node.aws_name for node in (*way.sources, *way.targets)}
    for cluster, work in sorted(facts.workloads.items()):
        used = {
            pod.node for pod in work.pods if any(n.aws_name in names and selects(n, pod) for n in facts.topology.nodes)
        }
        if facts.canary.service is not None and facts.canary.service.cluster == cluster:
            used |= {pod.node for pod in front_pods(facts)}
        for node in work.nodes:
            if not node.ready and node.name in used:
                yield Diagnosis(
                    layer="node",
                    subject=f"{cluster}/{node.name}",
                    what=f"node {node.name} of {cluster} is not ready and carries pods on the way",
                    evidence=(node.why or "its Ready condition is not True",),
                    fix=f"kubectl describe node {node.name}; EKS replaces a managed node that stays so",
                )


def _sidecars(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """Does each front pod of the mesh carry its Envoy, ready?"""
    if facts.mesh is None or facts.mesh.unavailable or not way.sources:
        return
    for pod in front_pods(facts):
        if not any(selects(node, pod) for node in way.sources) or pod.terminating:
            continue
        envoy = pod.container(SIDECAR)
        if envoy is None:
            yield Diagnosis(
                layer="sidecar",
                subject=pod.name,
                what=(
                    f"pod {pod.namespace}/{pod.name} has no sidecar (container {SIDECAR}), so nothing routes its"
                    " requests"
                ),
                evidence=(f"containers: {', '.join(c.name for c in pod.containers)}",),
                fix=(
                    "check the injecting webhook and the namespace's label appmesh.k8s.aws/sidecarInjectorWebhook, then"
                    " restart the pod"
                ),
            )
        elif not envoy.ready:
            yield Diagnosis(
                layer="sidecar",
                subject=pod.name,
                what=f"the sidecar of pod {pod.namespace}/{pod.name} is not ready",
                evidence=(f"container {SIDECAR}: {envoy.state or 'not ready'}, {envoy.restarts} restarts",),
                fix=f"kubectl logs {pod.name} -n {pod.namespace} -c {SIDECAR}: its management service or its memory",
            )


def front_pods(facts: Facts) -> list[PodFacts]:
    """The pods behind the front Service."""
    target = facts.canary.service
    work = facts.workloads.get(target.cluster) if target else None
    if target is None or work is None or facts.service is None or not facts.service.selector:
        return []
    wanted = facts.service.selector.items()
    return [
        pod
        for pod in work.pods
        if pod.namespace == target.namespace and not pod.terminating and wanted <= pod.labels.items()
    ]


def _sound(pod: PodFacts, facts: Facts, way: RequestPath) -> bool:
    """Ready, with whatever sidecar it should have."""
    if not pod.ready:
        return False
    meshed = facts.mesh is not None and not facts.mesh.unavailable and any(selects(node, pod) for node in way.sources)
    return not meshed or pod.container(SIDECAR) is not None


def _envoy_is_why(pod: PodFacts) -> bool:
    """Whether only its sidecar keeps the pod from being ready."""
    unready = [container.name for container in pod.containers if not container.ready]
    return unready == [SIDECAR]


def _why_unready(pod: PodFacts, dead: Mapping[str, str]) -> str:
    if pod.node in dead:
        return f"its node {pod.node} is not ready ({dead[pod.node] or 'its Ready condition is not True'})"
    states = [f"{c.name} {c.state or 'not ready'}" for c in pod.containers if not c.ready]
    return (
        ", ".join(states) or "no container is unready: a readiness gate is not True, or its node does not report"
        if pod.containers
        else "no container has started"
    )
