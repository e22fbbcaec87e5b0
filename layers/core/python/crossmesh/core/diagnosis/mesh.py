"""Between the sidecar and the instances: the mesh as declared, Cloud Map's namespace and services,
clusters that are seen, ports that are open. Pure.
"""

from collections.abc import Iterator

from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.diagnosis.facts import Facts
from crossmesh.core.diagnosis.ingress import unseen
from crossmesh.core.diagnosis.ingress_rules import RequiredIngress, apart, by_hand, needed, placed
from crossmesh.core.diagnosis.ordered import explains
from crossmesh.core.diagnosis.unmatched import nobody_of
from crossmesh.core.keys import service_key
from crossmesh.core.mesh.request_path import RequestPath
from crossmesh.core.observed import Problem, ServiceView, Unseen


def mesh_breaks(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """In the order in which a request meets them."""
    for question in (_mesh, _registry, _clusters, _openings):
        yield from question(facts, way)


def _mesh(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """Are the mesh's resources on the way as declared?"""
    if facts.mesh is None:
        return
    if facts.mesh.unavailable:
        yield Diagnosis(
            layer="mesh",
            subject="api",
            what=f"the mesh API cannot be used: {facts.mesh.unavailable[:200]}",
            fix=facts.mesh.fix,
        )
    for change in facts.mesh.changes:
        if way.holds(change.target) and not explains(facts, change):
            said = {"create": "is missing", "update": "is not as declared", "delete": "is not declared any more"}[
                change.action
            ]
            yield Diagnosis(
                layer="mesh",
                subject=str(change.target),
                what=f"{change.target} {said}",
                evidence=tuple(str(difference) for difference in change.differences[:5]) or (change.detail,),
                fix="the next run puts it back; CloudTrail tells who changed it",
                heals=True,
            )
    for held in facts.mesh.withheld:
        if way.holds(held.target):
            yield Diagnosis(
                layer="mesh",
                subject=str(held.target),
                what=f"{held.target} is not as declared, and the change is withheld",
                evidence=(held.detail,),
                fix=held.fix,
            )


def _registry(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
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
        if service is not None and service.problem is not None and service.problem.why != "namespace-missing":
            if service.key not in told:
                told.add(service.key)
                yield _unusable(service, service.problem)
        elif (gone or (service is not None and not service.id)) and (
            subject := namespace if gone else service_key(namespace, name)
        ) not in told:
            told.add(subject)
            yield Diagnosis(
                layer="namespace",
                subject=subject,
                what=f"Cloud Map {'namespace' if gone else 'service'} {subject} does not exist",
                evidence=(
                    "ListNamespaces does not show it" if gone else "ListServices of the namespace does not show it",
                ),
                fix=f"aws servicediscovery create-private-dns-namespace --name {namespace} --vpc VPC"
                if gone
                else "the next run creates it",
                heals=not gone,
            )
        elif facts.operator.draining:
            continue  # it has none because a person wants it so
        elif (
            service is not None
            and service.id
            and not any(_counts(i.attributes, node.cloud_map.attributes) for i in service.instances)
        ):
            yield _nobody(facts, node.key, node.aws_name, service.key)


def _unusable(service: ServiceView, problem: Problem) -> Diagnosis:
    return Diagnosis(
        layer="namespace",
        subject=service.key,
        what=f"Cloud Map service {service.key} cannot be used: {problem.why}",
        evidence=(problem.detail,),
        fix=problem.fix,
        heals=False,
    )


def _counts(held: dict[str, str], wanted: tuple[tuple[str, str], ...]) -> bool:
    return all(held.get(key) == value for key, value in wanted)


def _nobody(facts: Facts, key: str, aws_name: str, service: str) -> Diagnosis:
    adds = [
        a
        for a in (facts.plan.actions if facts.plan else ())
        if getattr(a, "node", "") == aws_name and a.__struct_config__.tag == "register"
    ]
    held = [w for w in (facts.plan.withheld if facts.plan else ()) if w.what == "register" and w.service == service]
    if adds:
        why, fix = f"{len(adds)} pods of it are ready and not registered", "the next run registers them"
    elif held:
        why, fix = (
            f"its pods are withheld: {held[0].why}: {held[0].detail}",
            "docs/how-to/fix-what-status-reports.md has the fix of each reason",
        )
    else:
        found = next((nobody_of(facts, node) for node in facts.topology.nodes if node.key == key), None)
        why, fix = (
            (found.why, found.fix)
            if found
            else ("its ready pods are not registered, and no run has been planned for them", "crossmesh plan")
        )
    return Diagnosis(
        layer="instances",
        subject=key,
        what=f"virtual node {key} has no instance in {service}",
        evidence=(why,),
        fix=fix,
        heals=bool(adds),
    )


def _clusters(facts: Facts, _: RequestPath) -> Iterator[Diagnosis]:
    """Is every other cluster seen? One that is not keeps its instances, dead ones too."""
    own = facts.canary.service.cluster if facts.canary.service and not facts.samples else ""
    for view in facts.views:
        if isinstance(view, Unseen) and view.cluster != own:
            yield unseen(view, "so the registry does not follow its pods")


def _openings(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """Do the security groups let the listener ports through?"""
    for opening in closed(facts, way):
        source, target = facts.networks[opening.source], facts.networks[opening.target]
        yield Diagnosis(
            layer="network",
            subject=str(opening),
            what=f"port {opening.port} of {opening.target} is closed to {opening.source}",
            evidence=(f"no ingress rule of {target.group} admits {source.group} on tcp/{opening.port}",),
            fix=(
                "across Regions crossmesh opens no port; by hand: "
                if apart(source, target)
                else "`security_groups: open` opens it, or: "
            )
            + by_hand(source, target, opening.port),
        )


def closed(facts: Facts, way: RequestPath) -> tuple[RequiredIngress, ...]:
    """The openings on the way that are known to be closed."""
    if not facts.networks or facts.registry is None:
        return ()
    service_names = placed(facts.endpoints.endpoints, facts.registry)
    return tuple(o for o in needed(way.sources, way.targets, service_names, facts.networks) if o.open is False)
