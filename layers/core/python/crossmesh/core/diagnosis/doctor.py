"""What `crossmesh doctor` says beside a path's diagnosis: what will cost requests at the next
rollout, and what in the setup does not agree. Pure.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from crossmesh.core.diagnosis.facts import PodFacts, Workloads
from crossmesh.core.observed import GATE, DeploymentFacts, RegistryView, Seen, Unseen, View
from crossmesh.core.registry.adoption import left_by_controller
from crossmesh.core.registry.pod_selection import selects
from crossmesh.core.registry.registrations import SERVICE_LIMIT
from crossmesh.core.reporting.report import Report, seen_since
from crossmesh.core.settings import Settings
from crossmesh.core.suggestions import meant
from crossmesh.core.topology import Topology
from crossmesh.core.unseen import fix

NEAR = 0.9  # of the limit of instances a service

Part = Literal["path", "rollouts", "setup", "account"]


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """One finding: what it is about, what is the matter, how that is known, and how to fix it."""

    part: Part
    subject: str
    what: str
    evidence: tuple[str, ...] = ()
    fix: str


def rollouts(
    topology: Topology, work: Mapping[str, Workloads], registry: RegistryView | None, lag: float
) -> tuple[Recommendation, ...]:
    """What will cost requests when pods are replaced next. `lag`: seconds from a pod's end to the
    registry without it, as measured.
    """
    found: list[Recommendation] = []
    for cluster, workloads in sorted(work.items()):
        for deployment in workloads.deployments:
            pods = [
                p
                for p in workloads.pods
                if (p.namespace, p.deployment) == (deployment.namespace, deployment.name) and not p.terminating
            ]
            if any(node.cloud_map and selects(node, pod) for pod in pods for node in topology.nodes):
                found += _deployment(f"{cluster}/{deployment.namespace}/{deployment.name}", deployment, pods[0], lag)
    for service in registry.services if registry else ():
        if len(service.instances) >= NEAR * SERVICE_LIMIT:
            what = (
                f"{service.key} holds {len(service.instances)} of {SERVICE_LIMIT} instances: a surge of new pods may"
                " find no room"
            )
            fix = "the limit is fixed (Cloud Map quotas): split the virtual node over two services"
            found.append(Recommendation(part="rollouts", subject=service.key, what=what, fix=fix))
    return (*found, *_retries(topology))


def unseen_deployed(
    report: Report | None, views: tuple[View, ...], run: Report | None = None
) -> tuple[Recommendation, ...]:
    """Clusters that the deployed functions did not see at the last look, nor in the last run
    (`run`) since. What a person sees with rights of their own says nothing about theirs.
    """
    seen = {view.cluster for view in views if isinstance(view, Seen)}
    since = seen_since(report, run)
    return tuple(
        Recommendation(
            part="setup",
            subject=line.name,
            what=(
                f"the deployed functions do not see cluster {line.name}"
                f" ({line.cause}{': ' + line.detail if line.detail else ''})"
            ),
            evidence=("you see it with your own rights",) if line.name in seen else (),
            fix=fix(line.cause, line.detail),
        )
        for line in (report.clusters if report else ())
        if line.cause and line.name not in since
    )


def _deployment(subject: str, deployment: DeploymentFacts, pod: PodFacts, lag: float) -> Iterator[Recommendation]:
    needed = f"pods leave the registry about {lag:.0f} s after they begin to end, as last measured"
    if pod.pre_stop is not None and pod.pre_stop < lag:
        said = f"sleeps {pod.pre_stop:g} s" if pod.pre_stop else "does not wait"
        fix = (
            f"lifecycle.preStop.sleep.seconds: {max(5, round(lag * 2))} in the program's container (and the sidecar's)"
        )
        yield Recommendation(
            part="rollouts", subject=subject, what=f"{subject} {said} before its pods end", evidence=(needed,), fix=fix
        )
    if pod.grace < lag or (pod.pre_stop is not None and pod.grace <= pod.pre_stop):
        fix = f"terminationGracePeriodSeconds: at least {round(max(lag * 2, pod.pre_stop or 0.0) + 10)}"
        yield Recommendation(
            part="rollouts",
            subject=subject,
            what=f"{subject} gives its pods {pod.grace:g} s to end, too few",
            evidence=(needed,),
            fix=fix,
        )
    if GATE not in pod.gates:
        fix = (
            f"readinessGates: [{{conditionType: {GATE}}}] and `readiness_gate: true` in crossmesh.yaml; or"
            f" minReadySeconds: {max(2, round(lag) + 1)}"
        )
        what = f"{subject} has no readiness gate: old pods may end before new ones are registered"
        yield Recommendation(part="rollouts", subject=subject, what=what, fix=fix)
    if deployment.max_unavailable > 0:
        what = (
            f"{subject} may take {deployment.max_unavailable} of {deployment.replicas} pods away before others are"
            " ready"
        )
        yield Recommendation(
            part="rollouts",
            subject=subject,
            what=what,
            fix="strategy.rollingUpdate: {maxUnavailable: 0, maxSurge: 25%}",
        )


def _retries(topology: Topology) -> Iterator[Recommendation]:
    for router in topology.routers:
        for route in router.routes:
            if route.protocol not in (None, "tcp") and not route.retries:
                what = (
                    f"route {route.name} of {router.key} has no retry policy: a request to a pod that just ended is"
                    " lost"
                )
                fix = (
                    "retryPolicy: {maxRetries: 2, httpRetryEvents: [gateway-error], tcpRetryEvents: [connection-error],"
                    " perRetryTimeout: …}"
                )
                yield Recommendation(part="rollouts", subject=f"{router.key}/{route.name}", what=what, fix=fix)


def setup(
    settings: Settings,
    topology: Topology,
    parameters: Mapping[str, str],
    views: Iterable[View],
    registry: RegistryView | None,
) -> tuple[Recommendation, ...]:
    """Where settings, the deployed parameters and the clusters do not agree. `parameters` {} = not
    known.
    """
    views = tuple(views)
    found = [*_parameters(settings, parameters, views), *_controllers(settings, topology, views, registry)]
    if not settings.canaries:
        found.append(
            Recommendation(
                part="setup",
                subject="canaries",
                what="no canary is declared, so nothing is proved from outside",
                fix="canaries: in crossmesh.yaml",
            )
        )
    return tuple(found)


def _parameters(settings: Settings, parameters: Mapping[str, str], views: Iterable[View]) -> Iterator[Recommendation]:
    owner = parameters.get("Owner", settings.owner)
    if owner != settings.owner:
        what = f"parameter Owner is {owner!r}, crossmesh.yaml says owner: {settings.owner}"
        yield Recommendation(
            part="setup", subject="Owner", what=what, fix="make them one: `crossmesh init` writes the parameters"
        )
    named = {arn.rpartition("/")[2] for arn in parameters.get("EksClusterArns", "").split(",") if arn}
    unknown = {view.cluster for view in views if isinstance(view, Unseen) and view.cause == "not-found"}
    yield from _unknown_to_eks(settings, unknown, named)
    own = [c for c in settings.clusters if not c.role_arn and c.name not in unknown] if parameters else []
    missing = sorted(c.eks for c in own if c.eks not in named)
    if missing:
        what = (
            f"parameter EksClusterArns does not name {', '.join(missing)}: the functions may not describe"
            f" {'it' if len(missing) == 1 else 'them'}"
        )
        yield Recommendation(
            part="setup", subject="EksClusterArns", what=what, fix="`crossmesh init` writes it; then deploy"
        )
    roles = set(parameters.get("ClusterRoleArns", "").split(","))
    for cluster in settings.clusters if parameters else ():
        if cluster.role_arn and cluster.role_arn not in roles:
            what = f"parameter ClusterRoleArns does not name the role of {cluster.name}"
            yield Recommendation(
                part="setup", subject="ClusterRoleArns", what=what, fix="`crossmesh init` writes it; then deploy"
            )
    given = parameters.get("SecurityGroups", settings.security_groups)
    if "open" in (given, settings.security_groups) and given != settings.security_groups:
        what = (
            f"parameter SecurityGroups is {given!r}, crossmesh.yaml says security_groups: {settings.security_groups}:"
            " ports are not opened"
        )
        yield Recommendation(part="setup", subject="SecurityGroups", what=what, fix="make them one")
    if parameters.get("Mode") == "observe":
        yield Recommendation(
            part="setup",
            subject="Mode",
            what="Mode is observe: nothing is applied",
            fix="deploy with Mode=apply when its plan is what you want",
        )


def _unknown_to_eks(settings: Settings, unknown: Collection[str], named: Iterable[str]) -> Iterator[Recommendation]:
    """Clusters of crossmesh.yaml that EKS does not know: most are mistyped, and no parameter makes
    them exist. `named`: EKS names in the parameters.
    """
    left = sorted(set(named) - {cluster.eks for cluster in settings.clusters})
    for cluster in settings.clusters:
        if cluster.name in unknown:
            what = (
                f"EKS knows no cluster {cluster.eks!r} in {cluster.region}, which crossmesh.yaml"
                f" names{meant(cluster.eks, left)}"
            )
            fix = (
                "correct crossmesh.yaml (`aws eks list-clusters` lists those there are), then `crossmesh"
                " init` and deploy"
            )
            yield Recommendation(part="setup", subject=cluster.name, what=what, fix=fix)


def _controllers(
    settings: Settings, topology: Topology, views: Iterable[View], registry: RegistryView | None
) -> Iterator[Recommendation]:
    """AWS's App Mesh controller beside us deregisters what it does not know."""
    fix = (
        "take its Cloud Map and App Mesh write rights away and say `controller: injector-only`; its webhook must go on"
        " (docs/how-to/take-over.md)"
    )
    told = {cluster.name for cluster in settings.clusters if cluster.controller}
    for view in sorted((v for v in views if isinstance(v, Seen) and v.cluster not in told), key=lambda v: v.cluster):
        if view.controller:
            what = (
                f"AWS's App Mesh controller runs in {view.cluster} ({view.controller}) and removes instances that it"
                " does not know"
            )
            yield Recommendation(part="setup", subject=view.cluster, what=what, fix=fix)
        if view.controller_unknown:
            what = f"cannot tell whether AWS's App Mesh controller runs in {view.cluster}: {view.controller_unknown}"
            yield Recommendation(
                part="setup", subject=view.cluster, what=what, fix="kubectl apply -f clusters/reader.yaml"
            )
    services = registry.services if registry else ()
    foreign = [f"{i.id} in {service.key}" for service in services for i in left_by_controller(service, topology)]
    if foreign and not settings.mesh.adopt:
        what = f"{len(foreign)} instances carry the marks of AWS's App Mesh controller and not ours"
        yield Recommendation(
            part="setup",
            subject="registry",
            what=what,
            evidence=tuple(foreign[:5]),
            fix="`crossmesh adopt`, or remove them if their pods are gone",
        )
