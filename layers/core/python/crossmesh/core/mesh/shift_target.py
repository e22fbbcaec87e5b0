"""What stands against a shift before it begins. Pure.

Targets that nobody answers for, a guard that cannot halt it, an application that would not carry it
out.
"""

from collections.abc import Mapping
from fractions import Fraction

import msgspec

from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.keys import service_key
from crossmesh.core.mesh import shift_weights
from crossmesh.core.mesh.shift_weights import Shift, shares_of, steps_of, weights_at
from crossmesh.core.mesh.traffic_shift import guards, silent
from crossmesh.core.observed import RegistryView, Unseen, View
from crossmesh.core.registry.endpoints import CLUSTER
from crossmesh.core.registry.overrides import describe_drain
from crossmesh.core.registry.plan import Deregister, ManualOverrides, RegistryPlan
from crossmesh.core.registry.unmatched import Known, explain_unmatched, held_for
from crossmesh.core.settings import CanarySettings, ClusterSettings
from crossmesh.core.topology import Topology, VirtualNode

PERIOD = 60.0  # seconds between two runs of a canary by the schedule


class ShiftContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the targets stand on: as a look of this moment found it."""

    clusters: Mapping[str, ClusterSettings]
    views: tuple[View, ...]
    registry: RegistryView
    plan: RegistryPlan


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """The deployed application at this moment."""

    mode: str
    operator: ManualOverrides
    now: float


Watched = list[tuple[CanarySettings, CanaryHistory]]


def obstacles(
    wanted: Shift, topology: Topology, ground: ShiftContext | None, application: Application, canaries: Watched
) -> tuple[str, ...]:
    """Every reason not to begin; () = none. `ground` is None where it could not be looked at."""
    found, operator = [], application.operator
    if application.mode == "observe":
        found.append("the application was deployed with Mode=observe: nothing would be shifted")
    if operator.draining:
        found.append(describe_drain(operator))
    elif operator.paused:
        found.append("the application is paused (`crossmesh resume`): nothing would be shifted")
    if shares_of(wanted.start) == shares_of(wanted.goal):
        found.append("the weights in force are these already")
    found += _targets(wanted, topology, ground) if ground else []
    return (*found, *_guards(wanted, topology, canaries, application.now))


def _targets(wanted: Shift, topology: Topology, ground: ShiftContext) -> list[str]:
    """Nodes that are to get requests and have no ready instance."""
    found = []
    for name, weight in sorted(wanted.goal.items()):
        node = next((n for n in topology.nodes if (n.mesh, n.aws_name) == (wanted.mesh, name)), None)
        if not weight or node is None or node.cloud_map is None or ready(node, ground):
            continue
        known = Known(others=topology.nodes, held=held_for(node.aws_name, ground.registry))
        none = explain_unmatched(node, ground.clusters, ground.views, known)
        why = f": {none.why}" if none else ": its pods are not registered yet"
        found.append(
            f"{node.key} would get {_percent(shares_of(wanted.goal)[name])} and has no ready instance in"
            f" {node.cloud_map.key}{why}"
        )
    return found


def ready(node: VirtualNode, ground: ShiftContext) -> int:
    """Instances that Envoy finds for a node, healthy, not about to leave, and not of a cluster that
    is unseen: nobody can tell whether those pods live.
    """
    if node.cloud_map is None:
        return 0
    leaving = {(service_key(a.namespace, a.service), a.id) for a in ground.plan.actions if isinstance(a, Deregister)}
    leaving |= {(held.service, held.id) for held in ground.plan.withheld if held.unconfirmed}
    wanted = dict(node.cloud_map.attributes).items()
    unseen = {view.cluster for view in ground.views if isinstance(view, Unseen)}
    return sum(
        1
        for service in ground.registry.services
        if service.key == node.cloud_map.key
        for instance in service.instances
        if wanted <= instance.attributes.items()
        and service.health.get(instance.id) != "UNHEALTHY"
        and (service.key, instance.id) not in leaving
        and instance.attributes.get(CLUSTER, "") not in unseen
    )


def _guards(wanted: Shift, topology: Topology, canaries: Watched, now: float) -> list[str]:
    """What keeps the canaries from halting it."""
    watching = guards(wanted, topology, canaries)
    if not watching:
        return [f"no canary watches {wanted.service} (`expect.mix.of`): nothing would revert it"]
    mute = set(silent(wanted, topology, canaries, now))
    found = []
    for canary, memory in watching:
        last = memory.last
        if last is None:
            found.append(f"canary {canary.name} has not run yet (`crossmesh canary run {canary.name}`)")
        elif last.kind != "good":
            found.append(f"canary {canary.name} is {'red' if last.kind == 'failed' else 'without data'}: {last.says}")
        elif canary.name in mute:
            found.append(
                f"canary {canary.name} has given no verdict for {(now - last.at) / 60:.0f} minutes (`crossmesh canary"
                f" run {canary.name}`)"
            )
        named = {node for _, node in canary.expect.mix.bodies} if canary.expect.mix else set()
        nameless = [
            node.key
            for node in topology.nodes
            if wanted.goal.get(node.aws_name)
            and node.mesh == wanted.mesh
            and not named & {node.key, node.name, node.aws_name}
        ]
        if nameless:
            found.append(f"canary {canary.name} would turn red: its mix.bodies names no body of {', '.join(nameless)}")
    return found


def warnings(wanted: Shift) -> tuple[str, ...]:
    """What is allowed, and should be known."""
    if wanted.every < PERIOD and steps_of(wanted) > 1:
        return (
            (
                f"a step is held for {wanted.every:g} s and a canary runs each {PERIOD:g} s: several steps may pass"
                " before it sees one"
            ),
        )
    return ()


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How a shift goes: shares by node at each step, from the weights in force to the goal; seconds
    from its begin to its last step.
    """

    nodes: tuple[str, ...]
    shares: tuple[tuple[str, ...], ...]
    seconds: float


def course(wanted: Shift) -> Course:
    """Every step of a shift."""
    nodes = tuple(sorted({*wanted.start, *wanted.goal}))
    steps = steps_of(wanted)
    shares = tuple(
        tuple(_percent(shares_of(weights_at(wanted, step)).get(node, Fraction(0))) for node in nodes)
        for step in range(steps + 1)
    )
    return Course(nodes=nodes, shares=shares, seconds=(steps - 1) * wanted.every)


def _percent(share: Fraction) -> str:
    return f"{float(share * shift_weights.MOST):.3g} %"
