"""Which listener ports must be open between which clusters, and whether their security groups let
them through. Pure.

The rule of the walkthrough: the node security group of the cluster where a virtual node's pods run
admits the group of the cluster that asks, on the node's listener port. Looked at is each cluster's
own group (EKS: clusterSecurityGroupId), which its managed nodes and their pods carry.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from crossmesh.core.diagnosis.facts import NetworkFacts
from crossmesh.core.documents import Finding, SourceLocation
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.mesh.request_path import reachable
from crossmesh.core.observed import RegistryView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.topology import Topology, VirtualNode


class RequiredIngress(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`source` cluster asks `target` cluster on `port`; `open` None = not known."""

    source: str
    target: str
    port: int
    open: bool | None = None

    def __str__(self) -> str:
        return f"{self.source}→{self.target}:{self.port}"


def placed(endpoints: Iterable[ep.Endpoint], registry: RegistryView | None) -> dict[str, set[str]]:
    """Clusters in which each virtual node (AWS name) has pods, as seen or, for clusters that are
    not seen, as registered.
    """
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
    sources: Iterable[VirtualNode],
    targets: Iterable[VirtualNode],
    service_names: Mapping[str, set[str]],
    networks: Mapping[str, NetworkFacts],
) -> tuple[RequiredIngress, ...]:
    """Every opening between two clusters, sorted, each judged where both clusters' networks are
    known.
    """
    asking = {cluster for node in sources for cluster in service_names.get(node.aws_name, ())}
    found = {
        (source, target, listener.port)
        for node in targets
        for target in service_names.get(node.aws_name, ())
        for listener in node.listeners
        for source in asking
        if source != target
    }
    return tuple(
        RequiredIngress(
            source=source, target=target, port=port, open=_open(networks.get(source), networks.get(target), port)
        )
        for source, target, port in sorted(found)
    )


class IngressRuleChange(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A rule of ours to add or to take away: tcp/`port` of `group` for `source_group`, in cluster
    `cluster`'s account. `account`: of the source group, where it is another.
    """

    verb: Literal["open", "close"]
    cluster: str
    group: str
    source_group: str
    port: int
    account: str = ""


def required(
    topology: Topology, service_names: Mapping[str, set[str]], networks: Mapping[str, NetworkFacts]
) -> tuple[RequiredIngress, ...]:
    """The openings of every declared way: from each virtual node to all that its backends lead
    to.
    """
    return tuple(
        sorted(
            {o for node in topology.nodes for o in needed((node,), reachable(topology, node), service_names, networks)}
        )
    )


def mark_of(owner: str) -> str:
    """The description by which rules of ours are known; only such are ever taken away."""
    return f"{OWNER_TAG}={owner}"


# Ports on which a node itself listens: system services, etcd, kubelet and kube-proxy, node ports,
# the VPC CNI. A tenant's document must not open them.
NODES_OWN = ((0, 1_023), (2_379, 2_380), (10_248, 10_259), (30_000, 32_767), (50_051, 50_051), (61_678, 61_679))


def may_open(port: int, named: tuple[int, ...] | None) -> bool:
    """Whether `security_groups: open` opens a port: those that the settings name; without a word
    there, all that are no node's own.
    """
    return port in named if named is not None else not any(first <= port <= last for first, last in NODES_OWN)


def not_opened(topology: Topology, named: tuple[int, ...] | None) -> tuple[Finding, ...]:
    """Listeners whose port stays closed between clusters, for people."""
    found = []
    for node in topology.nodes:
        for port in sorted({listener.port for listener in node.listeners if not may_open(listener.port, named)}):
            place = SourceLocation(
                file=node.place.file, line=node.place.line, document=node.place.document, field="spec.listeners"
            )
            message = f"security_groups: open does not open port {port} of virtual node {node.key} between clusters"
            found.append(
                Finding(
                    level="warning",
                    code="port-not-opened",
                    place=place,
                    message=message,
                    fix=f"open_ports: [{port}] allows it",
                )
            )
    return tuple(found)


def apart(source: NetworkFacts, target: NetworkFacts) -> bool:
    """Whether the two lie in different Regions: EC2 lets no rule name a group of another Region."""
    return bool(source.region and target.region) and source.region != target.region


def by_hand(source: NetworkFacts, target: NetworkFacts, port: int) -> str:
    """The command that opens a port: by group, with its account where that is another; by address
    blocks across Regions.
    """
    region = f" --region {target.region}" if target.region else ""
    command = f"aws ec2 authorize-security-group-ingress{region} --group-id {target.group}"
    if not apart(source, target):
        owner = f" --group-owner {source.account}" if source.account and source.account != target.account else ""
        return f"{command} --protocol tcp --port {port} --source-group {source.group}{owner}"
    blocks = ",".join(f"{{CidrIp={cidr}}}" for cidr in source.cidrs if ":" not in cidr)
    wide = ",".join(f"{{CidrIpv6={cidr}}}" for cidr in source.cidrs if ":" in cidr)
    ranges = ",".join([f"IpRanges=[{blocks}]"] * bool(blocks) + [f"Ipv6Ranges=[{wide}]"] * bool(wide))
    return f"{command} --ip-permissions 'IpProtocol=tcp,FromPort={port},ToPort={port},{ranges}'"


def changes(
    wanted: Iterable[RequiredIngress],
    networks: Mapping[str, NetworkFacts],
    owner: str,
    *,
    complete: bool,
    named: tuple[int, ...] | None = None,
) -> tuple[IngressRuleChange, ...]:
    """Rules to add for what is closed, and rules of ours that nothing needs any more; the latter
    only where every cluster was seen (`complete`).

    What the settings do not let us open is not added. A rule of ours that stands for it goes only
    where the settings name ports.
    """
    found: set[IngressRuleChange] = set()
    held: set[tuple[str, str, int]] = set()
    for opening in wanted:
        source, target = networks.get(opening.source), networks.get(opening.target)
        if source is None or target is None or not source.group or not target.group:
            complete = False
            continue
        if named is None or opening.port in named:
            held.add((target.group, source.group, opening.port))
        if opening.open is False and may_open(opening.port, named) and not apart(source, target):
            account = source.account if source.account != target.account else ""
            made = IngressRuleChange(
                verb="open",
                cluster=target.cluster,
                group=target.group,
                source_group=source.group,
                port=opening.port,
                account=account,
            )
            found.add(made)
    for network in networks.values() if complete else ():
        for rule in network.rules:
            for group in rule.groups if rule.mark == mark_of(owner) and rule.first == rule.last else ():
                if (network.group, group, rule.first) not in held:
                    account = rule.account if rule.account != network.account else ""
                    made = IngressRuleChange(
                        verb="close",
                        cluster=network.cluster,
                        group=network.group,
                        source_group=group,
                        port=rule.first,
                        account=account,
                    )
                    found.add(made)
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
    return bool(asked) and all(
        any(block.version == cidr.version and _inside(cidr, block) for block in wide) for cidr in asked
    )


def _inside(
    cidr: ipaddress.IPv4Network | ipaddress.IPv6Network, block: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    return int(block.network_address) <= int(cidr.network_address) and int(cidr.broadcast_address) <= int(
        block.broadcast_address
    )
