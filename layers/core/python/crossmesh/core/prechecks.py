"""The silent black holes of a mesh, told before they happen: what AWS's controller and App Mesh both accept and no request survives.

Sources: research in public issues (aws-app-mesh-examples#93: targets with other ports; aws-app-mesh-roadmap#225: nodes that share a Cloud Map service
without a telling attribute), Cloud Map's quotas (30 attributes, 5,000 characters an instance).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crossmesh.core import endpoints as ep
from crossmesh.core.documents import Document
from crossmesh.core.findings import Findings, where
from crossmesh.core.topology import Resource, VirtualNode

_ROUTES = {"httpRoute": "http", "http2Route": "http2", "grpcRoute": "grpc", "tcpRoute": "tcp"}
_WRITTEN = (ep.POD, ep.NAMESPACE, ep.MESH, ep.VIRTUAL_NODE, "REGION", "AVAILABILITY_ZONE", ep.OWNER, ep.CLUSTER, ep.POD_UID)
_LONG_NAMES = 40  # rough characters of values that are known only at run time: pod name, zone…


def check_nodes(nodes: Sequence[VirtualNode], documents: Mapping[str, Document], findings: Findings, *, ip_family: str) -> None:
    """Attributes, selectors and shared Cloud Map services; `documents` by node key."""
    for node in nodes:
        document = documents[node.key]
        if node.cloud_map is not None:
            _attributes(node, document, findings, ip_family)
            if node.selector is None and not node.legacy:
                message = f"VirtualNode {node.key} has no podSelector: it selects no pods, so nothing is registered for it"
                findings.warning(document, "spec", "no-pods", message, "say which pods are its own")
    _shared_services(nodes, documents, findings)
    _shared_pods(nodes, documents, findings)


def check_routers(routers: Sequence[Resource], nodes: Sequence[VirtualNode], documents: Mapping[str, Document], findings: Findings) -> None:
    """Ports and protocols of listeners, routes and targets; `documents` by router key."""
    by_name = {(node.mesh, node.aws_name): node for node in nodes}
    for router in routers:
        document = documents[router.key]
        listeners = {item["portMapping"].get("port"): item["portMapping"].get("protocol") for item in _listeners(router.spec)}
        for index, route in enumerate(router.spec.get("routes", ())):
            for kind in _ROUTES:
                if kind in route:
                    _route(router, document, f"spec.routes[{index}].{kind}", route[kind], listeners, by_name, findings)


def check_services(services: Sequence[Resource], used: set[tuple[str, str]], documents: Mapping[str, Document], findings: Findings) -> None:
    """Backends that nobody provides; `used` are (mesh, AWS name) of all backends."""
    for service in services:
        if not service.spec.get("provider") and (service.mesh, service.aws_name) in used:
            message = f"VirtualService {service.key} is a backend, but has no provider: requests to it go nowhere"
            findings.warning(documents[service.key], "spec", "no-provider", message, "provide it by a virtualRouter or virtualNode")


def _listeners(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [listener for listener in spec.get("listeners", ()) if "portMapping" in listener]


def _route(
    router: Resource,
    document: Document,
    field: str,
    route: dict[str, Any],
    listeners: Mapping[int, str],
    nodes: Mapping[tuple[str, str], VirtualNode],
    findings: Findings,
) -> None:
    wanted = _ROUTES[field.rpartition(".")[2]]
    port = route.get("match", {}).get("port")
    if port and listeners and port not in listeners:
        message = f"the route matches port {port}, its router listens on {_ports(listeners)}"
        findings.warning(document, f"{field}.match.port", "port-differs", message, "match a port of the router")
    if not port and len(listeners) > 1:
        message = f"the router listens on {_ports(listeners)} and the route says no port: App Mesh refuses it"
        findings.warning(document, field, "api-refuses", message, "give match.port")
    protocols = {listeners[port]} if port in listeners else set(listeners.values())
    if protocols and wanted not in protocols:
        message = f"a route for {wanted} on a listener for {' and '.join(sorted(protocols))}: App Mesh refuses it"
        findings.warning(document, field, "protocol-differs", message, "make them equal")
    _targets(router, document, f"{field}.action.weightedTargets", route, nodes, findings)


def _targets(
    router: Resource, document: Document, field: str, route: dict[str, Any], nodes: Mapping[tuple[str, str], VirtualNode], findings: Findings
) -> None:
    implied: dict[int, str] = {}
    for index, target in enumerate(route.get("action", {}).get("weightedTargets", ())):
        node = nodes.get((router.mesh, target.get("@VirtualNode", "")))
        if node is None:
            continue
        here, ports = f"{field}[{index}]", [listener.port for listener in node.listeners]
        if not ports:
            message = f"the target {node.key} has no listener: nothing can reach it"
            findings.warning(document, here, "no-listener", message, f"give it listeners ({where(node.place)})")
        elif (port := target.get("port")) and port not in ports:
            message = f"the target's port is {port}, but {node.key} listens on {_ports(ports)}: its requests are lost"
            findings.error(document, f"{here}.port", "port-differs", message, f"make them equal ({where(node.place)})")
        elif not target.get("port") and len(ports) == 1:
            implied[ports[0]] = node.key
    if len(implied) > 1:
        shown = ", ".join(f"{key} on {port}" for port, key in sorted(implied.items()))
        message = f"the targets of one route listen on different ports ({shown})"
        findings.warning(document, field, "port-differs", message, "let them listen on one port, or name each target's port")


def _ports(ports: Any) -> str:
    return " and ".join(str(port) for port in ports)


def _attributes(node: VirtualNode, document: Document, findings: Findings, ip_family: str) -> None:
    assert node.cloud_map is not None
    field = "spec.serviceDiscovery.awsCloudMap.attributes"
    own = dict(node.cloud_map.attributes)
    for key in sorted(own):
        if key.startswith("AWS_"):
            message = f"the attribute {key} is AWS's own: App Mesh refuses it"
            findings.error(document, field, "reserved-attribute", message, "choose another key")
        elif key in _WRITTEN:
            message = f"the attribute {key} is overwritten at registration, so the node's filter finds no instance"
            findings.error(document, field, "reserved-attribute", message, "choose another key")
    fixed = dict.fromkeys((*_WRITTEN, ep.INIT_HEALTH, ep.IPV6 if ip_family == "ipv6" else ep.IPV4), "") | own
    if node.listeners:
        fixed[ep.PORT] = ""
    size = sum(len(key) + len(value) for key, value in fixed.items()) + _LONG_NAMES
    if len(fixed) > ep.MAX_ATTRIBUTES or size > ep.MAX_CHARACTERS:
        message = f"an instance would carry {len(fixed)} attributes of {size:,} characters before any label"
        cure = f"Cloud Map takes {ep.MAX_ATTRIBUTES} and {ep.MAX_CHARACTERS:,}; {len(fixed) - len(own)} are written for each instance"
        findings.error(document, field, "attribute-budget", message, cure)
        return
    labels = dict(node.selector.labels) if node.selector else {}
    room = ep.MAX_ATTRIBUTES - len(fixed)
    more = [key for key in labels if key not in fixed]
    if len(more) > room:
        message = f"{len(more)} labels of the podSelector and {len(fixed)} other attributes are more than {ep.MAX_ATTRIBUTES}: some labels are dropped"
        findings.warning(document, field, "attribute-budget", message, "the last by alphabet go first")


def _known(node: VirtualNode) -> dict[str, str]:
    """What every instance of the node carries for sure."""
    assert node.cloud_map is not None
    return {**(dict(node.selector.labels) if node.selector else {}), **dict(node.cloud_map.attributes)}


def _shared_services(nodes: Sequence[VirtualNode], documents: Mapping[str, Document], findings: Findings) -> None:
    """A node's filter is its own attributes; where every instance of another node fits it, the two are mixed."""
    groups: dict[tuple[str, str], list[VirtualNode]] = {}
    for node in nodes:
        if node.cloud_map is not None:
            groups.setdefault((node.cloud_map.namespace, node.cloud_map.service), []).append(node)
    for (_, service), group in groups.items():
        if len(group) == 1:
            continue
        known = [(node, frozenset(_known(node).items())) for node in group]
        for node in group:
            assert node.cloud_map is not None
            filtered = frozenset(node.cloud_map.attributes)
            mixed = [other for other, carried in known if other is not node and filtered <= carried]
            if mixed:
                names = ", ".join(f"{other.key} ({where(other.place)})" for other in mixed[:5]) + (" …" if len(mixed) > 5 else "")
                message = f"VirtualNode {node.key} also receives the instances of {names}: they share the Cloud Map service {service}"
                cure = "give each node an attribute of its own, such as version: blue"
                field = "spec.serviceDiscovery.awsCloudMap"
                findings.warning(documents[node.key], field, "mixed-traffic", message, cure)


def _shared_pods(nodes: Sequence[VirtualNode], documents: Mapping[str, Document], findings: Findings) -> None:
    """Two selectors of one namespace of which one includes the other: pods that both take are withheld."""
    for node, other in _pairs(nodes):
        one, two = node.selector, other.selector
        if one is None or two is None or one.requirements or two.requirements or not set(one.labels) <= set(two.labels):
            continue
        message = f"the podSelector of {node.key} also takes every pod of {other.key} ({where(other.place)}): pods of two nodes are withheld"
        cure = "tell their pods apart, or let only one of them count in a cluster (clusters.NAME.nodes)"
        findings.warning(documents[node.key], "spec.podSelector", "shared-pods", message, cure)


def _pairs(nodes: Sequence[VirtualNode]) -> Iterator[tuple[VirtualNode, VirtualNode]]:
    """Ordered pairs of nodes of a namespace that might include each other: those with a label in common, or none."""
    buckets: dict[tuple[str, tuple[str, str] | None], list[VirtualNode]] = {}
    for node in nodes:
        if node.selector is not None:
            for label in node.selector.labels:
                buckets.setdefault((node.namespace, label), []).append(node)
    for node in nodes:
        if node.selector is None:
            continue
        rest = (
            min((buckets[node.namespace, label] for label in node.selector.labels), key=len)
            if node.selector.labels
            else [other for other in nodes if other.namespace == node.namespace and other.selector is not None]
        )
        for other in rest:
            if other is not node:
                yield node, other
