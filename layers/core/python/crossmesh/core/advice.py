"""What `crossmesh doctor` says beside a path's diagnosis: what will cost requests at the next rollout, and what in the setup does not agree. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from crossmesh.core.adding import SERVICE_LIMIT
from crossmesh.core.adoption import left_by_controller
from crossmesh.core.facts import DeploymentFacts, PodFacts, Workloads
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Topology, VirtualNode
from crossmesh.core.views import GATE, RegistryView, Seen, View

NEAR = 0.9  # of the limit of instances a service

Part = Literal["path", "rollouts", "setup"]


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """One finding: what it is about, what is the matter, how that is known, and what cures it."""

    part: Part
    subject: str
    what: str
    evidence: tuple[str, ...] = ()
    cure: str


def rollouts(topology: Topology, work: Mapping[str, Workloads], registry: RegistryView | None, lag: float) -> tuple[Advice, ...]:
    """What will cost requests when pods are replaced next. `lag`: seconds from a pod's end to the registry without it, as measured."""
    found: list[Advice] = []
    for cluster, workloads in sorted(work.items()):
        for deployment in workloads.deployments:
            pods = [p for p in workloads.pods if (p.namespace, p.deployment) == (deployment.namespace, deployment.name) and not p.terminating]
            if any(node.cloud_map and _selects(node, pod) for pod in pods for node in topology.nodes):
                found += _deployment(f"{cluster}/{deployment.namespace}/{deployment.name}", deployment, pods[0], lag)
    for service in registry.services if registry else ():
        if len(service.instances) >= NEAR * SERVICE_LIMIT:
            what = f"{service.key} holds {len(service.instances)} of {SERVICE_LIMIT} instances: a surge of new pods may find no room"
            cure = "the limit is fixed (Cloud Map quotas): split the virtual node over two services"
            found.append(Advice(part="rollouts", subject=service.key, what=what, cure=cure))
    return (*found, *_retries(topology))


def _selects(node: VirtualNode, pod: PodFacts) -> bool:
    return pod.namespace == node.namespace and node.selector is not None and node.selector.matches(pod.labels)


def _deployment(subject: str, deployment: DeploymentFacts, pod: PodFacts, lag: float) -> Iterator[Advice]:
    needed = f"pods leave the registry about {lag:.0f} s after they begin to end, as last measured"
    if pod.pre_stop is not None and pod.pre_stop < lag:
        said = f"sleeps {pod.pre_stop:g} s" if pod.pre_stop else "does not wait"
        cure = f"lifecycle.preStop.sleep.seconds: {max(5, round(lag * 2))} in the program's container (and the sidecar's)"
        yield Advice(part="rollouts", subject=subject, what=f"{subject} {said} before its pods end", evidence=(needed,), cure=cure)
    if pod.grace < lag or (pod.pre_stop is not None and pod.grace <= pod.pre_stop):
        cure = f"terminationGracePeriodSeconds: at least {round(max(lag * 2, pod.pre_stop or 0.0) + 10)}"
        yield Advice(
            part="rollouts", subject=subject, what=f"{subject} gives its pods {pod.grace:g} s to end, too few", evidence=(needed,), cure=cure
        )
    if GATE not in pod.gates:
        cure = f"readinessGates: [{{conditionType: {GATE}}}] and the watcher, which sets it; or minReadySeconds: {max(2, round(lag) + 1)}"
        what = f"{subject} has no readiness gate: old pods may end before new ones are registered"
        yield Advice(part="rollouts", subject=subject, what=what, cure=cure)
    if deployment.max_unavailable > 0:
        what = f"{subject} may take {deployment.max_unavailable} of {deployment.replicas} pods away before others are ready"
        yield Advice(part="rollouts", subject=subject, what=what, cure="strategy.rollingUpdate: {maxUnavailable: 0, maxSurge: 25%}")


def _retries(topology: Topology) -> Iterator[Advice]:
    for router in topology.routers:
        for route in router.spec.get("routes") or ():
            kind: Any = route.get("httpRoute") or route.get("http2Route") or route.get("grpcRoute")
            if kind is not None and not kind.get("retryPolicy"):
                what = f"route {route.get('name', '')} of {router.key} has no retry policy: a request to a pod that just ended is lost"
                cure = "retryPolicy: {maxRetries: 2, httpRetryEvents: [gateway-error], tcpRetryEvents: [connection-error], perRetryTimeout: …}"
                yield Advice(part="rollouts", subject=f"{router.key}/{route.get('name', '')}", what=what, cure=cure)


def setup(
    settings: Settings, topology: Topology, parameters: Mapping[str, str], views: Iterable[View], registry: RegistryView | None
) -> tuple[Advice, ...]:
    """Where settings, the deployed parameters and the clusters do not agree. `parameters` {} = not known."""
    found = [*_parameters(settings, parameters), *_controllers(settings, topology, views, registry)]
    if not settings.canaries:
        found.append(
            Advice(
                part="setup",
                subject="canaries",
                what="no canary is declared, so nothing is proved from outside",
                cure="canaries: in crossmesh.yaml",
            )
        )
    return tuple(found)


def _parameters(settings: Settings, parameters: Mapping[str, str]) -> Iterator[Advice]:
    owner = parameters.get("Owner", settings.owner)
    if owner != settings.owner:
        what = f"parameter Owner is {owner!r}, crossmesh.yaml says owner: {settings.owner}"
        yield Advice(part="setup", subject="Owner", what=what, cure="make them one: `crossmesh init` writes the parameters")
    named = {arn.rpartition("/")[2] for arn in parameters.get("EksClusterArns", "").split(",") if arn}
    missing = sorted(c.eks for c in settings.clusters if not c.role_arn and c.eks not in named) if parameters else []
    if missing:
        what = f"parameter EksClusterArns does not name {', '.join(missing)}: the functions may not describe {'it' if len(missing) == 1 else 'them'}"
        yield Advice(part="setup", subject="EksClusterArns", what=what, cure="add their ARNs and deploy")
    roles = set(parameters.get("ClusterRoleArns", "").split(","))
    for cluster in settings.clusters if parameters else ():
        if cluster.role_arn and cluster.role_arn not in roles:
            what = f"parameter ClusterRoleArns does not name the role of {cluster.name}"
            yield Advice(part="setup", subject="ClusterRoleArns", what=what, cure=f"add {cluster.role_arn} and deploy")
    given = parameters.get("SecurityGroups", settings.security_groups)
    if "open" in (given, settings.security_groups) and given != settings.security_groups:
        what = f"parameter SecurityGroups is {given!r}, crossmesh.yaml says security_groups: {settings.security_groups}: ports are not opened"
        yield Advice(part="setup", subject="SecurityGroups", what=what, cure="make them one")
    if parameters.get("Mode") == "observe":
        yield Advice(
            part="setup",
            subject="Mode",
            what="Mode is observe: nothing is applied",
            cure="deploy with Mode=apply when its plan is what you want",
        )


def _controllers(settings: Settings, topology: Topology, views: Iterable[View], registry: RegistryView | None) -> Iterator[Advice]:
    """AWS's App Mesh controller beside us deregisters what it does not know."""
    cure = "take its Cloud Map and App Mesh write rights away and say `controller: injector-only`; its webhook must go on (docs/operating.md)"
    told = {cluster.name for cluster in settings.clusters if cluster.controller == "injector-only"}
    for view in sorted((v for v in views if isinstance(v, Seen) and v.cluster not in told), key=lambda v: v.cluster):
        if view.controller:
            what = f"AWS's App Mesh controller runs in {view.cluster} ({view.controller}) and removes instances that it does not know"
            yield Advice(part="setup", subject=view.cluster, what=what, cure=cure)
        if view.controller_unknown:
            what = f"cannot tell whether AWS's App Mesh controller runs in {view.cluster}: {view.controller_unknown}"
            yield Advice(part="setup", subject=view.cluster, what=what, cure="kubectl apply -f clusters/reader.yaml")
    services = registry.services if registry else ()
    foreign = [f"{i.id} in {service.key}" for service in services for i in left_by_controller(service, topology)]
    if foreign and not settings.mesh.adopt:
        what = f"{len(foreign)} instances carry the marks of AWS's App Mesh controller and not ours"
        yield Advice(
            part="setup",
            subject="registry",
            what=what,
            evidence=tuple(foreign[:5]),
            cure="`crossmesh adopt`, or remove them if their pods are gone",
        )
