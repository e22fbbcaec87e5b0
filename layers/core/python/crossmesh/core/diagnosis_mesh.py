"""Between the sidecar and the instances: the mesh as declared, Cloud Map's namespace and services, clusters that are seen, ports that are open. Pure."""

from collections.abc import Iterator

from crossmesh.core import endpoints as ep
from crossmesh.core.diagnosis_front import unseen
from crossmesh.core.facts import Facts
from crossmesh.core.openings import Opening, needed, placed
from crossmesh.core.path import Diagnosis
from crossmesh.core.views import Unseen
from crossmesh.core.way import Way


def mesh_breaks(facts: Facts, way: Way) -> Iterator[Diagnosis]:
    """In the order in which a request meets them."""
    for question in (_mesh, _registry, _clusters, _openings):
        yield from question(facts, way)


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
            yield unseen(view, "so the registry does not follow its pods")


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


def closed(facts: Facts, way: Way) -> tuple[Opening, ...]:
    """The openings on the way that are known to be closed."""
    if not facts.networks or facts.registry is None:
        return ()
    endpoints, _ = ep.desired(facts.topology.nodes, facts.clusters, facts.seen, owner=facts.owner)
    places = placed(endpoints, facts.registry)
    return tuple(o for o in needed(way.sources, way.targets, places, facts.networks) if o.open is False)
