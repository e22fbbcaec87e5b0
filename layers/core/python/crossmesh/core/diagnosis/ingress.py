"""The outer layers of a diagnosis: could the canary ask, does the front's name resolve, does
somebody listen there, with a good certificate. Pure.
"""

from collections.abc import Iterator

import msgspec

from crossmesh.core.canary.certificates import refusal_of
from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis.access_denied import denied, permission, refused_by_cluster
from crossmesh.core.diagnosis.facts import Facts, ServiceFacts
from crossmesh.core.mesh.request_path import RequestPath
from crossmesh.core.observed import Unseen
from crossmesh.core.settings import ServiceTarget
from crossmesh.core.unseen import fix


def front_breaks(facts: Facts, _: RequestPath) -> Iterator[Diagnosis]:
    """In the order in which a request meets them."""
    for question in (_probe_itself, _front_cluster, _name, _listener, _certificate):
        yield from question(facts)


def _probe_itself(facts: Facts) -> Iterator[Diagnosis]:
    """Could the canary ask at all?"""
    if facts.samples or not facts.problem:
        return
    what = "the canary could not ask"
    broken = permission("probe", facts.problem, what) or refused_by_cluster("probe", facts.problem, what)
    if broken:
        yield broken


def _front_cluster(facts: Facts) -> Iterator[Diagnosis]:
    """Does the front's cluster tell its load balancer?"""
    if facts.samples or facts.canary.service is None or denied(facts.problem):
        return
    view = next((v for v in facts.views if v.cluster == facts.canary.service.cluster), None)
    if isinstance(view, Unseen):
        yield unseen(view, "so nobody can tell the front's load balancer")
    elif facts.service_missing:
        target = facts.canary.service
        yield Diagnosis(
            layer="dns",
            subject=f"{target.namespace}/{target.name}",
            what=f"there is no Service {target.namespace}/{target.name} in {target.cluster}",
            evidence=(f"crossmesh.yaml names it at canaries.{facts.canary.name}.service",),
            fix=(
                f"correct the name there, or create the Service: kubectl get services -n {target.namespace} shows which"
                " there are"
            ),
        )
    elif facts.service is not None and not facts.service.host:
        target = facts.canary.service
        yield Diagnosis(
            layer="dns",
            subject=f"{target.namespace}/{target.name}",
            what=f"Service {target.namespace}/{target.name} of {target.cluster} has no load balancer address",
            evidence=("status.loadBalancer.ingress is empty",),
            fix=(
                f"kubectl describe service {target.name} -n {target.namespace}: its events say why no load balancer was"
                " made"
            ),
        )


def _name(facts: Facts) -> Iterator[Diagnosis]:
    """Does the front's name resolve?"""
    lost = _with_error(facts, "dns")
    if lost and len(lost) == len(facts.samples):
        yield Diagnosis(
            layer="dns",
            subject=_host(facts),
            what=f"{_host(facts)} does not resolve",
            evidence=(f"{len(lost)} of {len(facts.samples)} requests: {lost[0].detail}",),
            fix="check the load balancer still exists and, for a name of your own, its record; `dig` the name",
        )


def _listener(facts: Facts) -> Iterator[Diagnosis]:
    """Does anybody listen on the port?"""
    port, balancer = _port(facts), facts.balancer
    if (
        facts.service is not None
        and facts.canary.service is not None
        and (lacks := no_port(facts.canary.service, facts.service))
    ):
        target = facts.canary.service
        yield Diagnosis(
            layer="listener",
            subject=f"{target.namespace}/{target.name}:{port}",
            what=lacks.what,
            evidence=(f"crossmesh.yaml names port {port} at canaries.{facts.canary.name}.service",),
            fix=lacks.fix,
        )
        return
    if balancer is not None and port and port not in balancer.ports:
        yield Diagnosis(
            layer="listener",
            subject=balancer.name,
            what=f"load balancer {balancer.name} has no listener on port {port}",
            evidence=(f"listeners: {', '.join(map(str, balancer.ports)) or 'none'}",),
            fix="spec.ports of the Service make the listeners; compare it with `port` of the canary",
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
                fix="check the load balancer's listeners and the ingress rules of its own security group",
                certainty="likely",
            )


class MissingPort(msgspec.Struct, frozen=True, kw_only=True):
    """A port that a canary asks and its Service does not have."""

    what: str
    fix: str


def no_port(target: ServiceTarget, service: ServiceFacts) -> MissingPort | None:
    """What to say of a canary's port that its Service does not have; None where it has it, or
    nobody knows.
    """
    if not service.ports or target.port in service.ports:
        return None
    ports = ", ".join(map(str, service.ports))
    what = f"Service {target.namespace}/{target.name} of {target.cluster} has no port {target.port}; it has {ports}"
    return MissingPort(
        what=what, fix=f"set `port` of the canary to one of {ports}, or add {target.port} to spec.ports of the Service"
    )


def _certificate(facts: Facts) -> Iterator[Diagnosis]:
    """Is the certificate good? Each cause is told by itself, for each has its own fix."""
    lost = _with_error(facts, "tls")
    for cause in dict.fromkeys(sample.cause for sample in lost):
        same, refusal = [sample for sample in lost if sample.cause == cause], refusal_of(cause)
        yield Diagnosis(
            layer="certificate",
            subject=_host(facts),
            what=f"{_host(facts)} {refusal.what}",
            evidence=(f"{len(same)} of {len(facts.samples)} requests: {same[0].detail}",),
            fix=refusal.fix,
        )


def _with_error(facts: Facts, error: str) -> list[Sample]:
    return [sample for sample in facts.samples if sample.error == error]


def _host(facts: Facts) -> str:
    return facts.service.host if facts.service and facts.service.host else facts.canary.url or facts.canary.name


def _port(facts: Facts) -> int:
    return facts.canary.service.port if facts.canary.service else 0


def unseen(view: Unseen, so: str) -> Diagnosis:
    """A cluster that gives no complete view, and what follows."""
    return Diagnosis(
        layer="cluster",
        subject=view.cluster,
        what=f"cluster {view.cluster} is unseen ({view.cause}), {so}",
        evidence=(view.detail[:300],),
        fix=(
            f"{fix(view.cause, view.detail) or 'docs/how-to/fix-what-status-reports.md, `cluster X is unseen`'};"
            " nothing of it is removed meanwhile"
        ),
    )
