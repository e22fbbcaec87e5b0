"""The last layer of a diagnosis: the instances themselves. Dead, stale, failing, slow or in the
wrong place, each by id, address and pod.
"""

from collections.abc import Iterator, Sequence

import msgspec

from crossmesh.core.canary.judge import percentile
from crossmesh.core.canary.layers import Certainty, Diagnosis
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis.facts import Facts
from crossmesh.core.diagnosis.unmatched import nobody_of
from crossmesh.core.keys import service_key
from crossmesh.core.mesh.request_path import RequestPath
from crossmesh.core.observed import Instance, Pod, ServiceView, Unseen
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import Deregister, Register
from crossmesh.core.registry.pod_selection import selects
from crossmesh.core.topology import VirtualNode

PROVEN = 3  # probes that must all be refused before an instance is called dead
_STALE = {"dead", "gone"}


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """An instance on the way, in its service, counted by these virtual nodes."""

    service: ServiceView
    instance: Instance
    nodes: tuple[VirtualNode, ...]

    def __str__(self) -> str:
        attributes = self.instance.attributes
        pod = (
            f"{attributes.get(ep.NAMESPACE, '?')}/{attributes.get(ep.POD, '?')}"
            if ep.POD in attributes
            else "no pod named"
        )
        where = f" of {attributes[ep.CLUSTER]}" if ep.CLUSTER in attributes else ""
        return f"instance {self.instance.id} ({ep.address_of(self.instance) or 'no address'}, {pod}{where})"


def instance_breaks(facts: Facts, way: RequestPath) -> Iterator[Diagnosis]:
    """Every instance on the way that is not what it should be."""
    blamed: set[str] = set()
    for held in on_the_way(facts, way):
        broken = next((found for judged in _JUDGES if (found := judged(facts, held))), None)
        if broken:
            blamed |= {node.aws_name for node in held.nodes}
            yield broken
    yield from _slow_nodes(facts, blamed)


def on_the_way(facts: Facts, way: RequestPath) -> list[_Held]:
    """The instances that requests may reach: those that the targets' discovery matches, whoever
    registered them.
    """
    found = []
    for service in facts.registry.services if facts.registry else ():
        nodes = [
            n
            for n in way.targets
            if n.cloud_map and (n.cloud_map.namespace, n.cloud_map.service) == (service.namespace, service.service)
        ]
        for instance in service.instances:
            counted = tuple(
                n
                for n in nodes
                if n.cloud_map and all(instance.attributes.get(k) == v for k, v in n.cloud_map.attributes)
            )
            if nodes:
                found.append(_Held(service=service, instance=instance, nodes=counted))
    return found


def proven_dead(probes: Sequence[Sample]) -> bool:
    """Whether probes prove that nobody listens: all of at least PROVEN refused."""
    return len(probes) >= PROVEN and all(probe.error == "refused" for probe in probes)


def _misplaced(facts: Facts, held: _Held) -> Diagnosis | None:
    """In the wrong service, or with attributes that are not its pod's."""
    change = _planned(facts, held, Register)
    if isinstance(change, Register):
        return _said(held, "carries wrong attributes", (change.reason,), "the next run puts them right", heals=True)
    leave = _planned(facts, held, Deregister)
    if isinstance(leave, Deregister) and leave.why == "unselected":
        return _said(
            held, f"is in the wrong service {held.service.key}", (leave.reason,), "the next run removes it", heals=True
        )
    owner = held.instance.attributes.get(ep.OWNER)
    pod = _pod_at(facts, ep.address_of(held.instance))
    if (
        owner != facts.owner
        and pod is not None
        and held.nodes
        and not any(selects(node, pod[1]) for node in held.nodes)
    ):
        whose = f"it is registered by owner {owner!r}" if owner else "it carries no mark of ours"
        reason = (
            f"its address is pod {pod[1].namespace}/{pod[1].name} of {pod[0]}, which no virtual node of"
            f" {held.service.key} selects"
        )
        fix = (
            "whoever registered it must remove it: aws servicediscovery deregister-instance --service-id"
            f" {held.service.id} --instance-id {held.instance.id}"
        )
        return _said(held, f"is in the wrong service {held.service.key}", (reason, whose), fix)
    body = _body(facts, held)
    answered = facts.bodies.get(body) if body is not None else None
    if answered is not None and held.nodes and answered not in {node.aws_name for node in held.nodes}:
        meant = ", ".join(node.key for node in held.nodes)
        fix = "compare the pod's labels with the virtual nodes' selectors: it answers as another one"
        return _said(
            held, f"is registered as {meant} and answers as {answered}", (f"asked directly it says {body!r}",), fix
        )
    return None


def _stale(facts: Facts, held: _Held) -> Diagnosis | None:
    """Its pod is gone, Terminating, finished or unready."""
    leave = _planned(facts, held, Deregister)
    if isinstance(leave, Deregister) and leave.why in (*_STALE, "unready"):
        said = "is stale: its pod is not ready" if leave.why == "unready" else "is stale: its pod is gone"
        return _said(held, said, (leave.reason, *_probed(facts, held)), "the next run removes it", heals=True)
    for kept in facts.plan.withheld if facts.plan else ():
        if (
            kept.what == "deregister"
            and (kept.service, kept.id) == (held.service.key, held.instance.id)
            and kept.why in ("unconfirmed", "policy")
        ):
            reason = f"{kept.why}: {kept.detail}"
            if kept.why == "policy":
                return _said(
                    held,
                    "is stale, and its removal is withheld",
                    (reason,),
                    "docs/how-to/fix-what-status-reports.md#withheld",
                )
            empty = next((found for node in held.nodes if (found := nobody_of(facts, node)) is not None), None)
            evidence = (reason, *((empty.why,) if empty else ()))
            fix = "the next run after a second look removes it" + (f"; {empty.fix}" if empty else "")
            return _said(held, "is stale, and its removal waits for a second look", evidence, fix, heals=empty is None)
    return None


def _dead(facts: Facts, held: _Held) -> Diagnosis | None:
    """Nobody listens at its address, though its pod is said to be there or its cluster is not
    seen.
    """
    probes = facts.probes.get(held.instance.id, ())
    if not proven_dead(probes):
        return None
    cluster = held.instance.attributes.get(ep.CLUSTER, "")
    unseen = next((v for v in facts.views if isinstance(v, Unseen) and v.cluster == cluster), None)
    evidence = (
        f"connection refused {len(probes)} times",
        *((f"{cluster} is unseen: {unseen.cause}",) if unseen else ()),
    )
    if held.instance.attributes.get(ep.OWNER) != facts.owner:
        fix = "it is not ours: whoever registered it must remove it"
    elif unseen:
        fix = f"nothing of an unseen cluster is removed: bring {cluster} back, or `crossmesh forget {cluster}`"
    else:
        fix = "restart the pod: Kubernetes takes it for ready (does its container have a readiness probe?)"
    return _said(held, "is dead: nobody listens there", evidence, fix)


def _silent(facts: Facts, held: _Held) -> Diagnosis | None:
    """No answer, though this function reaches others of the same cluster: where it reaches none,
    nothing is concluded.
    """
    probes, cluster = facts.probes.get(held.instance.id, ()), held.instance.attributes.get(ep.CLUSTER)
    if not probes or not all(probe.error in ("timeout", "reset", "unreachable", "protocol") for probe in probes):
        return None
    others = {
        i.id
        for s in (facts.registry.services if facts.registry else ())
        for i in s.instances
        if i.attributes.get(ep.CLUSTER) == cluster
    }
    if not any(probe.status for other in others for probe in facts.probes.get(other, ())):
        return None
    evidence = (f"asked directly {len(probes)} times: {probes[-1].error}", f"others of {cluster} answer")
    return _said(held, "does not answer", evidence, "the pod's own logs and its node", certainty="likely")


def _failing(facts: Facts, held: _Held) -> Diagnosis | None:
    """It answers, with a server error."""
    probes = facts.probes.get(held.instance.id, ())
    if not probes or any(probe.error or probe.status < 500 for probe in probes):
        return None
    last = probes[-1]
    return _said(
        held,
        f"answers {last.status}",
        (f"asked directly {len(probes)} times: {last.body[:80]!r}",),
        "the pod's own logs; restart it",
    )


def _slow(facts: Facts, held: _Held) -> Diagnosis | None:
    """It takes longer than the canary allows, where the canary failed by that."""
    allowed = facts.canary.expect.latency_p95_ms
    probes = [probe for probe in facts.probes.get(held.instance.id, ()) if not probe.error]
    if not _too_slow(facts) or not probes or min(probe.latency_ms for probe in probes) <= allowed:
        return None
    nodes = ", ".join(node.key for node in held.nodes)
    evidence = f"asked directly it took {min(p.latency_ms for p in probes):.0f} ms, allowed {allowed:.0f} ms"
    return _said(held, f"is slow ({nodes})", (evidence,), "the pod's load and limits, and what it waits for itself")


_JUDGES = (_misplaced, _stale, _dead, _silent, _failing, _slow)


def _slow_nodes(facts: Facts, blamed: set[str]) -> Iterator[Diagnosis]:
    """Virtual nodes whose answers are slow while others' are not, where no single instance showed
    it.
    """
    if not _too_slow(facts) or blamed:
        return
    allowed, nodes = facts.canary.expect.latency_p95_ms, {body.strip(): node for body, node in facts.bodies.items()}
    times: dict[str, list[float]] = {}
    for sample in facts.samples:
        if not sample.error and sample.body.strip() in nodes:
            times.setdefault(nodes[sample.body.strip()], []).append(sample.latency_ms)
    p95 = {node: percentile(values, 95) or 0.0 for node, values in times.items()}
    slow = sorted(node for node, value in p95.items() if value > allowed)
    for node in slow if len(slow) < len(p95) else ():
        yield Diagnosis(
            layer="instance",
            subject=node,
            what=f"answers of virtual node {node} are slow",
            evidence=tuple(f"{name}: 95 % within {value:.0f} ms" for name, value in sorted(p95.items())),
            fix="load, limits and dependencies of its pods; the trace shows where the time goes",
            certainty="likely",
        )


def _too_slow(facts: Facts) -> bool:
    return any(check.name == "latency" and not check.good for check in facts.verdict.checks)


def _planned(facts: Facts, held: _Held, kind: type[Register] | type[Deregister]) -> Register | Deregister | None:
    """What the planner would do to it: the one judge of what an instance should be."""
    for action in facts.plan.actions if facts.plan else ():
        same = isinstance(action, kind) and (action.id, service_key(action.namespace, action.service)) == (
            held.instance.id,
            held.service.key,
        )
        if same and isinstance(action, Register | Deregister) and (isinstance(action, Deregister) or action.change):
            return action
    return None


def _pod_at(facts: Facts, address: str) -> tuple[str, Pod] | None:
    for view in facts.seen:
        for pod in view.pods:
            if address and pod.ip == address and not pod.dead:
                return view.cluster, pod
    return None


def _body(facts: Facts, held: _Held) -> str | None:
    answered = [
        probe
        for probe in facts.probes.get(held.instance.id, ())
        if not probe.error and probe.status == facts.canary.expect.status
    ]
    return answered[-1].body.strip() if answered else None


def _probed(facts: Facts, held: _Held) -> tuple[str, ...]:
    probes = facts.probes.get(held.instance.id, ())
    if not probes:
        return ()
    last = probes[-1]
    return (f"asked directly {len(probes)} times: {last.error or f'status {last.status}'}",)


def _said(
    held: _Held,
    what: str,
    evidence: tuple[str, ...],
    fix: str,
    *,
    heals: bool = False,
    certainty: Certainty = "certain",
) -> Diagnosis:
    return Diagnosis(
        layer="instance",
        subject=held.instance.id,
        what=f"{held} {what}",
        evidence=evidence,
        fix=fix,
        certainty=certainty,
        heals=heals,
    )
