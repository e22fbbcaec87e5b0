"""The outer layers of a diagnosis: could the canary ask, does the front's name resolve, does somebody listen there, with a good certificate. Pure."""

from collections.abc import Iterator

from crossmesh.core.canary import Sample
from crossmesh.core.denied import denied, permission
from crossmesh.core.facts import Facts
from crossmesh.core.path import Diagnosis
from crossmesh.core.views import Unseen
from crossmesh.core.way import Way


def front_breaks(facts: Facts, _: Way) -> Iterator[Diagnosis]:
    """In the order in which a request meets them."""
    for question in (_probe_itself, _front_cluster, _name, _listener, _certificate):
        yield from question(facts)


def _probe_itself(facts: Facts) -> Iterator[Diagnosis]:
    """Could the canary ask at all?"""
    if facts.samples or not facts.problem:
        return
    broken = permission("probe", facts.problem, "the canary could not ask")
    if broken:
        yield broken


def _front_cluster(facts: Facts) -> Iterator[Diagnosis]:
    """Does the front's cluster tell its load balancer?"""
    if facts.samples or facts.canary.service is None or denied(facts.problem):
        return
    view = next((v for v in facts.views if v.cluster == facts.canary.service.cluster), None)
    if isinstance(view, Unseen):
        yield unseen(view, "so nobody can tell the front's load balancer")
    elif facts.service is not None and not facts.service.host:
        target = facts.canary.service
        yield Diagnosis(
            layer="dns",
            subject=f"{target.namespace}/{target.name}",
            what=f"Service {target.namespace}/{target.name} of {target.cluster} has no load balancer address",
            evidence=("status.loadBalancer.ingress is empty",),
            cure=f"kubectl describe service {target.name} -n {target.namespace}: its events say why no load balancer was made",
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
            cure="check the load balancer still exists and, for a name of your own, its record; `dig` the name",
        )


def _listener(facts: Facts) -> Iterator[Diagnosis]:
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


def _certificate(facts: Facts) -> Iterator[Diagnosis]:
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
        cure="docs/operating.md, `cluster X is unseen`; nothing of it is removed meanwhile",
    )
