"""Which listener ports must be open between which clusters, and whether their security groups let them through. Pure.

The rule of the walkthrough: the node security group of the cluster where a virtual node's pods run admits the group of the cluster that asks, on the node's
listener port. Looked at is each cluster's own group (EKS: clusterSecurityGroupId), which its managed nodes and their pods carry.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from crossmesh.core import endpoints as ep
from crossmesh.core.facts import NetworkFacts
from crossmesh.core.topology import Topology, VirtualNode
from crossmesh.core.views import RegistryView
from crossmesh.core.way import reachable


class Opening(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`source` cluster asks `target` cluster on `port`; `open` None = not known."""

    source: str
    target: str
    port: int
    open: bool | None = None

    def __str__(self) -> str:
        return f"{self.source}→{self.target}:{self.port}"


def placed(endpoints: Iterable[ep.Endpoint], registry: RegistryView | None) -> dict[str, set[str]]:
    """Clusters in which each virtual node (AWS name) has pods, as seen or, for clusters that are not seen, as registered."""
    found: dict[str, set[str]] = {}
    for endpoint in endpoints:
        found.setdefault(endpoint.node, set()).add(endpoint.cluster)
    for service in registry.services if registry else ():
        for instance in service.instances:
            node, cluster = instance.attributes.get(ep.VIRTUAL_NODE), instance.attributes.get(ep.CLUSTER)
            if node and cluster:
                found.setdefault(node, set()).add(cluster)
    return found


def needed(
    sources: Iterable[VirtualNode], targets: Iterable[VirtualNode], places: Mapping[str, set[str]], networks: Mapping[str, NetworkFacts]
) -> tuple[Opening, ...]:
    """Every opening between two clusters, sorted, each judged where both clusters' networks are known."""
    asking = {cluster for node in sources for cluster in places.get(node.aws_name, ())}
    found = {
        (source, target, listener.port)
        for node in targets
        for target in places.get(node.aws_name, ())
        for listener in node.listeners
        for source in asking
        if source != target
    }
    return tuple(
        Opening(source=source, target=target, port=port, open=_open(networks.get(source), networks.get(target), port))
        for source, target, port in sorted(found)
    )


class PortChange(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A rule of ours to add or to take away: tcp/`port` of `group` for `source_group`, in cluster `cluster`'s account."""

    verb: Literal["open", "close"]
    cluster: str
    group: str
    source_group: str
    port: int


def required(topology: Topology, places: Mapping[str, set[str]], networks: Mapping[str, NetworkFacts]) -> tuple[Opening, ...]:
    """The openings of every declared way: from each virtual node to all that its backends lead to."""
    return tuple(sorted({o for node in topology.nodes for o in needed((node,), reachable(topology, node), places, networks)}))


def mark_of(owner: str) -> str:
    """The description by which rules of ours are known; only such are ever taken away."""
    return f"crossmesh:owner={owner}"


def changes(wanted: Iterable[Opening], networks: Mapping[str, NetworkFacts], owner: str, *, complete: bool) -> tuple[PortChange, ...]:
    """Rules to add for what is closed, and rules of ours that nothing needs any more; the latter only where every cluster was seen (`complete`)."""
    found: set[PortChange] = set()
    held: set[tuple[str, str, int]] = set()
    for opening in wanted:
        source, target = networks.get(opening.source), networks.get(opening.target)
        if source is None or target is None or not source.group or not target.group:
            complete = False
            continue
        held.add((target.group, source.group, opening.port))
        if opening.open is False:
            found.add(PortChange(verb="open", cluster=target.cluster, group=target.group, source_group=source.group, port=opening.port))
    for network in networks.values() if complete else ():
        for rule in network.rules:
            for group in rule.groups if rule.mark == mark_of(owner) and rule.first == rule.last else ():
                if (network.group, group, rule.first) not in held:
                    found.add(PortChange(verb="close", cluster=network.cluster, group=network.group, source_group=group, port=rule.first))
    return tuple(sorted(found))


def _open(source: NetworkFacts | None, target: NetworkFacts | None, port: int) -> bool | None:
    if source is None or target is None or not source.group or not target.group:
        return None
    if source.group == target.group:
        return True
    for rule in target.rules:
        through = rule.protocol == "-1" or (rule.protocol in ("tcp", "6") and rule.first <= port <= rule.last)
        if through and (source.group in rule.groups or _covers(rule.cidrs, source.cidrs)):
            return True
    return False


def _covers(blocks: Iterable[str], cidrs: Iterable[str]) -> bool:
    """Whether every address block of the source lies in one of a rule's."""
    wide = [ipaddress.ip_network(block, strict=False) for block in blocks]
    asked = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs]
    return bool(asked) and all(any(block.version == cidr.version and _inside(cidr, block) for block in wide) for cidr in asked)


def _inside(cidr: ipaddress.IPv4Network | ipaddress.IPv6Network, block: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return int(block.network_address) <= int(cidr.network_address) and int(cidr.broadcast_address) <= int(block.broadcast_address)
