"""The way of a canary's requests through the declared mesh: which virtual nodes ask, which answer,
and which resources lie between. Pure.

What lies beside the way cannot be why a canary fails, so nothing of it is ever blamed.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

import msgspec

from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.registry.pod_selection import Selectable, selects
from crossmesh.core.settings import CanarySettings
from crossmesh.core.topology import NodeProvider, RouterProvider, Topology, VirtualNode


class RequestPath(msgspec.Struct, frozen=True, kw_only=True):
    """Virtual nodes that ask (`sources`) and that answer (`targets`), each sorted by AWS name;
    `resources` are (kind, AWS name) of what lies between.
    """

    sources: tuple[VirtualNode, ...] = ()
    targets: tuple[VirtualNode, ...] = ()
    resources: frozenset[tuple[str, str]] = frozenset()

    def holds(self, target: MeshTarget) -> bool:
        """Whether a mesh resource lies on the way; a route does where its router does."""
        if target.kind == "mesh":
            return True
        return (
            ("virtualRouter", target.parent) in self.resources
            if target.kind == "route"
            else (target.kind, target.name) in self.resources
        )


def request_path_of(
    topology: Topology,
    canary: CanarySettings,
    shares: Mapping[str, Fraction],
    selector: Mapping[str, str],
    pods: Iterable[Selectable] = (),
) -> RequestPath:
    """The way of one canary. `selector`: labels that the front Service selects ({} where that is
    not known); `pods`: those behind it, as far as known.

    With a mix the way leads to the virtual nodes that have a share; without one to every node that
    the sources' backends reach.
    """
    nodes = {node.aws_name: node for node in topology.nodes}
    asked = canary.expect.mix.of if canary.expect.mix else ""
    first = tuple(s.aws_name for s in topology.services if asked and asked in (s.name, s.aws_name, s.key))
    sources = [n for n in topology.nodes if _fits(n, canary, selector, pods)] if selector else []
    if not sources:
        sources = [n for n in topology.nodes if set(first) & set(n.backends)]
    begin = first or tuple(service for node in sources for service in node.backends)
    reached = set(_reach(topology, begin))
    ends = {name for kind, name in reached if kind == "virtualNode"}
    if asked:
        ends = {name for name, share in shares.items() if share} or ends
    reached = {item for item in reached if item[0] != "virtualNode" or item[1] in ends} | {
        ("virtualNode", n.aws_name) for n in sources
    }
    return RequestPath(
        sources=tuple(sorted(sources, key=lambda n: n.aws_name)),
        targets=tuple(nodes[name] for name in sorted(ends) if name in nodes),
        resources=frozenset(reached),
    )


def reachable(topology: Topology, node: VirtualNode) -> tuple[VirtualNode, ...]:
    """Every virtual node that a node's backends lead to."""
    names = {name for kind, name in _reach(topology, node.backends) if kind == "virtualNode"}
    return tuple(n for n in topology.nodes if n.aws_name in names and n.mesh == node.mesh)


def _fits(node: VirtualNode, canary: CanarySettings, selector: Mapping[str, str], pods: Iterable[Selectable]) -> bool:
    """Whether the front Service's pods can be this node's: what the node selects is among, or
    beside, what the Service selects.

    A v1beta1 node has no labels to compare, so the pods themselves decide.
    """
    if canary.service is None or node.namespace != canary.service.namespace:
        return False
    if node.selector is None:
        return any(selects(node, pod) for pod in pods)
    if not node.selector.labels:
        return False
    labels = dict(node.selector.labels)
    return any(labels.get(key) == value for key, value in selector.items()) and all(
        labels.get(key, value) == value for key, value in selector.items()
    )


def _reach(topology: Topology, services: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    held = {service.aws_name: service for service in topology.services}
    routers = {router.aws_name: router for router in topology.routers}
    for name in services:
        yield "virtualService", name
        match held[name].provider if name in held else None:
            case NodeProvider(name=node):
                yield "virtualNode", node
            case RouterProvider(name=router):
                yield "virtualRouter", router
                routes = routers[router].routes if router in routers else ()
                yield from (("virtualNode", target.virtual_node) for route in routes for target in route.targets)
