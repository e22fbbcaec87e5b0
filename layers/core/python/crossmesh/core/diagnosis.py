"""Why a canary failed: the path of a request walked from the user to the pods, each broken layer named with its evidence and its cure. Pure.

The walk is a list of questions in the order in which a request meets their answers; what is broken comes out in that order, so that the first is the one to
mend first. Three rules keep it from blaming wrongly: what could not be read is not broken; what follows from something deeper that is seen to be broken is
left to that; and what lies beside the canary's way is not looked at.
"""

import re
from collections.abc import Callable, Iterator

from crossmesh.core import endpoints as ep
from crossmesh.core.canary import Sample
from crossmesh.core.diagnosis_instances import instance_breaks
from crossmesh.core.facts import SIDECAR, Facts, PodFacts
from crossmesh.core.openings import Opening, needed, placed
from crossmesh.core.path import Diagnosis
from crossmesh.core.views import Unseen
from crossmesh.core.way import Way, way_of

_DENIED = re.compile(r"User: (?P<who>\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)")
_ROLE = re.compile(r":assumed-role/([^/]+)/")


def diagnose(facts: Facts) -> tuple[Diagnosis, ...]:
    """Every broken layer on the canary's way, the first in path order first. A failure that no layer explains is said to be that: layer `answers`."""
    way = way_through(facts)
    found = [broken for question in _WALK for broken in question(facts, way)]
    if not found and facts.verdict.kind != "good":
        found = list(_unexplained(facts))
    return (*found, *_own_reads(facts))


def way_through(facts: Facts) -> Way:
    """The way of the canary's requests."""
    return way_of(facts.topology, facts.canary, facts.shares, facts.service.selector if facts.service else {})


def denied(text: str) -> tuple[str, str] | None:
    """(action, role or user) of AWS's words for a missing permission, None where the text is about something else."""
    found = _DENIED.search(text)
    if found is None:
        return None
    role = _ROLE.search(found["who"])
    return found["action"], role[1] if role else found["who"]


def _permission(subject: str, text: str, what: str) -> Diagnosis | None:
    refused = denied(text)
    if refused is None:
        return None
    action, role = refused
    return Diagnosis(
        layer="permission",
        subject=f"{subject}:{action}",
        what=f"role {role} may not {action}: {what}",
        evidence=(text[:300],),
        cure=f"give {role} the action {action} again: `sam deploy` restores the template's policies",
    )


# --- the walk, outside in ------------------------------------------------------------------------------------------------------------------


def _probe_itself(facts: Facts, _: Way) -> Iterator[Diagnosis]:
    """Could the canary ask at all?"""
    if facts.samples or not facts.problem:
        return
    broken = _permission("probe", facts.problem, "the canary could not ask")
    if broken:
        yield broken


def _front_cluster(facts: Facts, _: Way) -> Iterator[Diagnosis]:
    """Does the front's cluster tell its load balancer?"""
    if facts.samples or facts.canary.service is None or denied(facts.problem):
        return
    view = next((v for v in facts.views if v.cluster == facts.canary.service.cluster), None)
    if isinstance(view, Unseen):
        yield _unseen(view, "so nobody can tell the front's load balancer")
    elif facts.service is not None and not facts.service.host:
        target = facts.canary.service
        yield Diagnosis(
            layer="dns",
            subject=f"{target.namespace}/{target.name}",
            what=f"Service {target.namespace}/{target.name} of {target.cluster} has no load balancer address",
            evidence=("status.loadBalancer.ingress is empty",),
            cure=f"kubectl describe service {target.name} -n {target.namespace}: its events say why no load balancer was made",
        )


def _unseen(view: Unseen, so: str) -> Diagnosis:
    return Diagnosis(
        layer="cluster",
        subject=view.cluster,
        what=f"cluster {view.cluster} is unseen ({view.cause}), {so}",
        evidence=(view.detail[:300],),
        cure="docs/operating.md, `cluster X is unseen`; nothing of it is removed meanwhile",
    )


def _name(facts: Facts, _: Way) -> Iterator[Diagnosis]:
    """Does the front's name resolve?"""
    lost = _with_error(facts, "dns")
    if lost and len(lost) == len(facts.samples):
        yield Diagnosis(
            layer="dns",
            subject=_host(facts),
            what=f"{_host(facts)} does not resolve",
            evidence=(f"{len(lost)} of {len(facts.samples)} requests: {lost[0].detail}",),
            cure="check the load balancer still exists and, for a name of your own, its record; `dig` the name",
        )


def _listener(facts: Facts, _: Way) -> Iterator[Diagnosis]:
    """Does anybody listen on the port?"""
    port, balancer = _port(facts), facts.balancer
    if balancer is not None and port and port not in balancer.ports:
        yield Diagnosis(
            layer="listener",
            subject=balancer.name,
            what=f"load balancer {balancer.name} has no listener on port {port}",
            evidence=(f"listeners: {', '.join(map(str, balancer.ports)) or 'none'}",),
            cure="spec.ports of the Service make the listeners; compare it with `port` of the canary",
        )
        return
    for error, said in (("refused", "refuses connections"), ("timeout", "lets no connection through")):
        lost = [s for s in _with_error(facts, error) if error == "refused" or not s.connect_ms or not s.first_byte_ms]
        if lost and len(lost) == len(facts.samples):
            yield Diagnosis(
                layer="listener",
                subject=_host(facts),
                what=f"{_host(facts)} {said} on port {port or 'of its URL'}",
                evidence=(f"{len(lost)} of {len(facts.samples)} requests: {lost[0].detail}",),
                cure="check the load balancer's listeners and the ingress rules of its own security group",
                certainty="likely",
            )


def _certificate(facts: Facts, _: Way) -> Iterator[Diagnosis]:
    """Is the certificate good?"""
    lost = _with_error(facts, "tls")
    if lost:
        expired = "expired" in lost[0].detail
        yield Diagnosis(
            layer="certificate",
            subject=_host(facts),
            what=f"the certificate of {_host(facts)} {'has expired' if expired else 'is not accepted'}",
            evidence=(f"{len(lost)} of {len(facts.samples)} requests: {lost[0].detail}",),
            cure="renew it where the listener holds it (ACM renews by itself only while its validation record stands)",
        )


def _targets(facts: Facts, way: Way) -> Iterator[Diagnosis]:
    """Has the load balancer a healthy target? What unready pods explain is left to them."""
    balancer, front = facts.balancer, _front_pods(facts)
    if balancer is None or any(target.healthy for target in balancer.targets) or not any(_sound(pod, facts, way) for pod in front):
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
        evidence=tuple(f"{target.id}: {target.why}" for target in balancer.targets[:5]) or ("the load balancer lists no targets",),
        cure="kubectl describe the Service: its events say why targets are not registered; check the target port and its health check",
    )


def _pods(facts: Facts, _: Way) -> Iterator[Diagnosis]:
    """Are front's pods ready, apart from their sidecars?"""
    if facts.canary.service is None or facts.service is None or not facts.service.selector:
        return
    if facts.canary.service.cluster not in facts.workloads:
        return
    target, front = facts.canary.service, _front_pods(facts)
    if any(pod.ready for pod in front):
        return
    sick = [pod for pod in front if not pod.ready and not _envoy_is_why(pod)]
    if front and not sick:
        return
    yield Diagnosis(
        layer="pods",
        subject=f"{target.cluster}/{target.namespace}/{target.name}",
        what=f"no pod behind Service {target.namespace}/{target.name} of {target.cluster} is ready ({len(front)} exist)",
        evidence=tuple(f"{pod.name}: {_why_unready(pod)}" for pod in sick[:5]),
        cure=f"kubectl describe pods -n {target.namespace} of that Service: their events and containers say why",
    )


def _nodes(facts: Facts, way: Way) -> Iterator[Diagnosis]:
    """Are the Kubernetes nodes under the pods on the way ready?"""
    names = {node.aws_name for node in (*way.sources, *way.targets)}
    for cluster, work in sorted(facts.workloads.items()):
        used = {pod.node for pod in work.pods if any(n.aws_name in names and _selects(n, pod) for n in facts.topology.nodes)}
        for node in work.nodes:
            if not node.ready and node.name in used:
                yield Diagnosis(
                    layer="node",
                    subject=f"{cluster}/{node.name}",
                    what=f"node {node.name} of {cluster} is not ready and carries pods on the way",
                    evidence=(node.why or "its Ready condition is not True",),
                    cure=f"kubectl describe node {node.name}; EKS replaces a managed node that stays so",
                )


def _sidecars(facts: Facts, way: Way) -> Iterator[Diagnosis]:
    """Does each front pod of the mesh carry its Envoy, ready?"""
    if facts.mesh is None or facts.mesh.unavailable or not way.sources:
        return
    for pod in _front_pods(facts):
        if not any(_selects(node, pod) for node in way.sources) or pod.terminating:
            continue
        envoy = pod.container(SIDECAR)
        if envoy is None:
            yield Diagnosis(
                layer="sidecar",
                subject=pod.name,
                what=f"pod {pod.namespace}/{pod.name} has no sidecar (container {SIDECAR}), so nothing routes its requests",
                evidence=(f"containers: {', '.join(c.name for c in pod.containers)}",),
                cure="check the injecting webhook and the namespace's label appmesh.k8s.aws/sidecarInjectorWebhook, then restart the pod",
            )
        elif not envoy.ready:
            yield Diagnosis(
                layer="sidecar",
                subject=pod.name,
                what=f"the sidecar of pod {pod.namespace}/{pod.name} is not ready",
                evidence=(f"container {SIDECAR}: {envoy.state or 'not ready'}, {envoy.restarts} restarts",),
                cure=f"kubectl logs {pod.name} -n {pod.namespace} -c {SIDECAR}: its management service or its memory",
            )


def _mesh(facts: Facts, way: Way) -> Iterator[Diagnosis]:
    """Are the mesh's resources on the way as declared?"""
    if facts.mesh is None:
        return
    if facts.mesh.unavailable:
        yield Diagnosis(
            layer="mesh",
            subject="api",
            what=f"the mesh API cannot be used: {facts.mesh.unavailable[:200]}",
            cure="App Mesh has ended on AWS: `mesh.backend: none`; elsewhere check the rights of the functions' roles",
        )
    for action in facts.mesh.actions:
        if way.holds(action.target):
            said = {"create": "is missing", "update": "is not as declared", "delete": "is not declared any more"}[action.verb]
            yield Diagnosis(
                layer="mesh",
                subject=str(action.target),
                what=f"{action.target} {said}",
                evidence=tuple(f"{c.field}: found {c.old!r}, declared {c.new!r}" for c in action.changes[:5]) or (action.reason,),
                cure="the next run puts it back; CloudTrail tells who changed it",
                heals=True,
            )
    for held in facts.mesh.withheld:
        if way.holds(held.target):
            yield Diagnosis(
                layer="mesh",
                subject=str(held.target),
                what=f"{held.target} is not as declared and is not ours to change",
                evidence=(held.detail,),
                cure="`mesh.adopt: true` takes it over, or change the manifest",
            )


def _registry(facts: Facts, way: Way) -> Iterator[Diagnosis]:
    """Are the Cloud Map namespace and services there, and has every virtual node an instance?"""
    if facts.registry is None:
        return
    services = {(s.namespace, s.service): s for s in facts.registry.services}
    told: set[str] = set()
    for node in way.targets:
        if node.cloud_map is None:
            continue
        namespace, name = node.cloud_map.namespace, node.cloud_map.service
        service = services.get((namespace, name))
        gone = service is None or not service.namespace_type
        if (gone or (service is not None and not service.id)) and (subject := namespace if gone else f"{name}.{namespace}") not in told:
            told.add(subject)
            yield Diagnosis(
                layer="namespace",
                subject=subject,
                what=f"Cloud Map {'namespace' if gone else 'service'} {subject} does not exist",
                evidence=("ListNamespaces does not show it" if gone else "ListServices of the namespace does not show it",),
                cure=f"aws servicediscovery create-private-dns-namespace --name {namespace} --vpc VPC" if gone else "the next run creates it",
                heals=not gone,
            )
        elif service is not None and service.id and not any(_counts(i.attributes, node.cloud_map.attributes) for i in service.instances):
            yield _nobody(facts, node.key, node.aws_name, service.key)


def _counts(held: dict[str, str], wanted: tuple[tuple[str, str], ...]) -> bool:
    return all(held.get(key) == value for key, value in wanted)


def _nobody(facts: Facts, key: str, aws_name: str, service: str) -> Diagnosis:
    adds = [
        a for a in (facts.plan.actions if facts.plan else ()) if getattr(a, "node", "") == aws_name and a.__struct_config__.tag == "register"
    ]
    held = [w for w in (facts.plan.withheld if facts.plan else ()) if w.what == "register" and w.service == service]
    if adds:
        why, cure = f"{len(adds)} pods of it are ready and not registered", "the next run registers them"
    elif held:
        why, cure = f"its pods are withheld: {held[0].why}: {held[0].detail}", "docs/operating.md has the cure of each reason"
    else:
        why, cure = "no seen cluster has a ready pod of it", "scale its Deployment up, or see why its pods are not ready"
    return Diagnosis(
        layer="instances", subject=key, what=f"virtual node {key} has no instance in {service}", evidence=(why,), cure=cure, heals=bool(adds)
    )


def _clusters(facts: Facts, _: Way) -> Iterator[Diagnosis]:
    """Is every other cluster seen? One that is not keeps its instances, dead ones too."""
    own = facts.canary.service.cluster if facts.canary.service and not facts.samples else ""
    for view in facts.views:
        if isinstance(view, Unseen) and view.cluster != own:
            yield _unseen(view, "so the registry does not follow its pods")


def _openings(facts: Facts, way: Way) -> Iterator[Diagnosis]:
    """Do the security groups let the listener ports through?"""
    for opening in closed(facts, way):
        source, target = facts.networks[opening.source], facts.networks[opening.target]
        yield Diagnosis(
            layer="network",
            subject=str(opening),
            what=f"port {opening.port} of {opening.target} is closed to {opening.source}",
            evidence=(f"no ingress rule of {target.group} admits {source.group} on tcp/{opening.port}",),
            cure="`security_groups: open` opens it, or: aws ec2 authorize-security-group-ingress "
            f"--group-id {target.group} --protocol tcp --port {opening.port} --source-group {source.group}",
        )


def _instances(facts: Facts, way: Way) -> Iterator[Diagnosis]:
    """Is every instance a live pod that answers as what it is registered?"""
    yield from instance_breaks(facts, way)


_WALK: tuple[Callable[[Facts, Way], Iterator[Diagnosis]], ...] = (
    _probe_itself,
    _front_cluster,
    _name,
    _listener,
    _certificate,
    _targets,
    _pods,
    _nodes,
    _sidecars,
    _mesh,
    _registry,
    _clusters,
    _openings,
    _instances,
)


def _unexplained(facts: Facts) -> Iterator[Diagnosis]:
    traced = [sample.trace_id for sample in facts.verdict.evidence if sample.trace_id]
    unread = f"; not looked at: {', '.join(u.what for u in facts.unread)}" if facts.unread else ""
    yield Diagnosis(
        layer="answers",
        subject=facts.canary.name,
        what=f"no broken layer was found, and still: {facts.verdict.says}{unread}",
        evidence=tuple(f"{s.status} {s.error} {s.body[:80]!r}" for s in facts.verdict.evidence[:3]),
        cure="the program's own logs" + (f"; trace {traced[0]}" if traced else ""),
        certainty="likely",
    )


def _own_reads(facts: Facts) -> Iterator[Diagnosis]:
    """What the diagnosis itself was not allowed to read: told last, for it breaks no request."""
    for unread in facts.unread:
        broken = _permission("diagnosis", unread.why, f"{unread.what} could not be looked at")
        if broken:
            yield broken


def closed(facts: Facts, way: Way) -> tuple[Opening, ...]:
    """The openings on the way that are known to be closed."""
    if not facts.networks or facts.registry is None:
        return ()
    endpoints, _ = ep.desired(facts.topology.nodes, facts.clusters, facts.seen, owner=facts.owner)
    places = placed(endpoints, facts.registry)
    return tuple(o for o in needed(way.sources, way.targets, places, facts.networks) if o.open is False)


# --- parts ---------------------------------------------------------------------------------------------------------------------------------


def _with_error(facts: Facts, error: str) -> list[Sample]:
    return [sample for sample in facts.samples if sample.error == error]


def _host(facts: Facts) -> str:
    return facts.service.host if facts.service and facts.service.host else facts.canary.url or facts.canary.name


def _port(facts: Facts) -> int:
    return facts.canary.service.port if facts.canary.service else 0


def _front_pods(facts: Facts) -> list[PodFacts]:
    """The pods behind the front Service."""
    target = facts.canary.service
    work = facts.workloads.get(target.cluster) if target else None
    if target is None or work is None or facts.service is None or not facts.service.selector:
        return []
    wanted = facts.service.selector.items()
    return [pod for pod in work.pods if pod.namespace == target.namespace and not pod.terminating and wanted <= pod.labels.items()]


def _selects(node: object, pod: PodFacts) -> bool:
    namespace, selector = getattr(node, "namespace", ""), getattr(node, "selector", None)
    return pod.namespace == namespace and selector is not None and bool(selector.matches(pod.labels))


def _sound(pod: PodFacts, facts: Facts, way: Way) -> bool:
    """Ready, with whatever sidecar it should have."""
    if not pod.ready:
        return False
    meshed = facts.mesh is not None and not facts.mesh.unavailable and any(_selects(node, pod) for node in way.sources)
    return not meshed or pod.container(SIDECAR) is not None


def _envoy_is_why(pod: PodFacts) -> bool:
    """Whether only its sidecar keeps the pod from being ready."""
    unready = [container.name for container in pod.containers if not container.ready]
    return unready == [SIDECAR]


def _why_unready(pod: PodFacts) -> str:
    states = [f"{c.name} {c.state or 'not ready'}" for c in pod.containers if not c.ready]
    return ", ".join(states) or "no container is unready: a readiness gate is open" if pod.containers else "no container has started"
