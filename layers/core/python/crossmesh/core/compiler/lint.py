"""The silent black holes of a mesh, told before they happen: what AWS's controller and App Mesh
both accept and no request survives.

Sources: public issues (aws-app-mesh-examples#93: targets with other ports;
aws-app-mesh-roadmap#225: nodes that share a Cloud Map service without a telling attribute), Cloud
Map's quotas (30 attributes, 5,000 characters an instance).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crossmesh.core.compiler.findings import Findings, where
from crossmesh.core.compiler.shadowing import shadowed
from crossmesh.core.documents import Document
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.topology import ROUTE_KINDS, Route, VirtualNode, VirtualRouter, VirtualService

_WRITTEN = (
    ep.POD,
    ep.NAMESPACE,
    ep.MESH,
    ep.VIRTUAL_NODE,
    "REGION",
    "AVAILABILITY_ZONE",
    ep.OWNER,
    ep.CLUSTER,
    ep.POD_UID,
)
# Nodes of a group with which each is compared, as many as a mesh has by default: thousands would
# take minutes
_COMPARED = 200
_LONG_NAMES = 40  # rough characters of values that are known only at run time: pod name, zone…


def check_nodes(
    nodes: Sequence[VirtualNode], documents: Mapping[str, Document], findings: Findings, *, ip_family: str
) -> None:
    """Attributes, selectors and shared Cloud Map services; `documents` by node key."""
    for node in nodes:
        document = documents[node.key]
        if node.cloud_map is not None:
            _attributes(node, document, findings, ip_family)
            if node.selector is None and not node.legacy:
                message = (
                    f"VirtualNode {node.key} has no podSelector: it selects no pods, so nothing is registered for it"
                )
                findings.warning(document, "spec", "no-pods", message, "say which pods are its own")
    _shared_services(nodes, documents, findings)
    _shared_pods(nodes, documents, findings)


def check_routers(
    routers: Sequence[VirtualRouter],
    nodes: Sequence[VirtualNode],
    documents: Mapping[str, Document],
    findings: Findings,
) -> None:
    """Ports and protocols of listeners, routes and targets; `documents` by router key."""
    by_name = {(node.mesh, node.aws_name): node for node in nodes}
    for router in routers:
        document = documents[router.key]
        listeners = {
            item["portMapping"].get("port"): item["portMapping"].get("protocol") for item in _listeners(router.spec)
        }
        for index, route in enumerate(router.routes):
            if route.protocol is not None:
                field = f"spec.routes[{index}].{route.protocol}Route"
                _listens(document, field, route, listeners, findings)
                _targets(router, document, f"{field}.action.weightedTargets", route, by_name, findings)
        _unreachable(router, document, findings)


def check_services(
    services: Sequence[VirtualService],
    used: set[tuple[str, str]],
    documents: Mapping[str, Document],
    findings: Findings,
) -> None:
    """Backends that nobody provides; `used` are (mesh, AWS name) of all backends."""
    for service in services:
        if not service.spec.get("provider") and (service.mesh, service.aws_name) in used:
            message = f"VirtualService {service.key} is a backend, but has no provider: requests to it go nowhere"
            findings.warning(
                documents[service.key], "spec", "no-provider", message, "provide it by a virtualRouter or virtualNode"
            )


def _unreachable(router: VirtualRouter, document: Document, findings: Findings) -> None:
    """Routes whose requests another route of the router takes first."""
    for found in shadowed(router.routes):
        names = [router.routes[index].name or str(index) for index in (found.index, found.by)]
        line = document.at(f"spec.routes[{found.by}]").line
        place = f" (line {line})" if line else ""
        if found.equal:
            message = (
                f"the route {names[0]} matches the same requests as {names[1]}{place} at the same priority: one of them"
                " gets none"
            )
            code, fix = "duplicate-match", "remove one, or tell their matches apart"
        else:
            message = (
                f"no request reaches the route {names[0]}: {names[1]}{place} comes first and matches all of its"
                " requests"
            )
            code, fix = (
                "unreachable-route",
                f"give {names[0]} a lower priority number than {names[1]}, or narrow the match of {names[1]}",
            )
        findings.warning(document, f"spec.routes[{found.index}]", code, message, fix)


def _listeners(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [listener for listener in spec.get("listeners", ()) if "portMapping" in listener]


def _listens(document: Document, field: str, route: Route, listeners: Mapping[int, str], findings: Findings) -> None:
    """A route's port and protocol against the listeners of its router (port -> protocol)."""
    port = route.match.port
    if port and listeners and port not in listeners:
        message = f"the route matches port {port}, its router listens on {_ports(listeners)}"
        findings.warning(document, f"{field}.match.port", "port-differs", message, "match a port of the router")
    if not port and len(listeners) > 1:
        message = f"the router listens on {_ports(listeners)} and the route says no port: App Mesh refuses it"
        findings.warning(document, field, "api-refuses", message, "give match.port")
    protocols = {listeners[port]} if port is not None and port in listeners else set(listeners.values())
    if protocols and route.protocol not in protocols:
        message = (
            f"a route for {route.protocol} on a listener for {' and '.join(sorted(protocols))}: App Mesh refuses it"
        )
        findings.warning(document, field, "protocol-differs", message, "make them equal")


def _targets(
    router: VirtualRouter,
    document: Document,
    field: str,
    route: Route,
    nodes: Mapping[tuple[str, str], VirtualNode],
    findings: Findings,
) -> None:
    implied: dict[int, str] = {}
    places = [(target.virtual_node, target.port) for target in route.targets]
    for index, target in enumerate(route.targets):
        node = nodes.get((router.mesh, target.virtual_node))
        if places.index(places[index]) < index:
            message = f"the target {node.key if node else target.virtual_node} stands twice in the route"
            findings.warning(
                document,
                f"{field}[{index}]",
                "duplicate-target",
                message,
                "write one target with the sum of the weights",
            )
        if node is None:
            continue
        here, ports = f"{field}[{index}]", [listener.port for listener in node.listeners]
        if not ports:
            message = f"the target {node.key} has no listener: nothing can reach it"
            findings.warning(document, here, "no-listener", message, f"give it listeners ({where(node.place)})")
        elif target.port and target.port not in ports:
            message = (
                f"the target's port is {target.port}, but {node.key} listens on {_ports(ports)}: its requests are lost"
            )
            findings.error(document, f"{here}.port", "port-differs", message, f"make them equal ({where(node.place)})")
        elif not target.port and len(ports) == 1:
            implied[ports[0]] = node.key
    if len(implied) > 1:
        shown = ", ".join(f"{key} on {port}" for port, key in sorted(implied.items()))
        message = f"the targets of one route listen on different ports ({shown})"
        findings.warning(
            document, field, "port-differs", message, "let them listen on one port, or name each target's port"
        )


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
        fix = (
            f"Cloud Map takes {ep.MAX_ATTRIBUTES} and {ep.MAX_CHARACTERS:,}; {len(fixed) - len(own)} are written for"
            " each instance"
        )
        findings.error(document, field, "attribute-budget", message, fix)
        return
    labels = dict(node.selector.labels) if node.selector else {}
    room = ep.MAX_ATTRIBUTES - len(fixed)
    more = [key for key in labels if key not in fixed]
    if len(more) > room:
        message = (
            f"{len(more)} labels of the podSelector and {len(fixed)} other attributes are more than"
            f" {ep.MAX_ATTRIBUTES}: some labels are dropped"
        )
        findings.warning(document, field, "attribute-budget", message, "the last by alphabet go first")


def _known(node: VirtualNode) -> dict[str, str]:
    """What every instance of the node carries for sure."""
    assert node.cloud_map is not None
    return {**(dict(node.selector.labels) if node.selector else {}), **dict(node.cloud_map.attributes)}


def _shared_services(nodes: Sequence[VirtualNode], documents: Mapping[str, Document], findings: Findings) -> None:
    """A node's filter is its own attributes; where every instance of another node fits it, the two
    are mixed.
    """
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
            mixed = [other for other, carried in known[:_COMPARED] if other is not node and filtered <= carried]
            if mixed:
                names = ", ".join(f"{other.key} ({where(other.place)})" for other in mixed[:5]) + (
                    " …" if len(mixed) > 5 else ""
                )
                message = (
                    f"VirtualNode {node.key} also receives the instances of {names}: they share the Cloud Map service"
                    f" {service}"
                )
                fix = "give each node an attribute of its own, such as version: blue"
                field = "spec.serviceDiscovery.awsCloudMap"
                findings.warning(documents[node.key], field, "mixed-traffic", message, fix)


def _shared_pods(nodes: Sequence[VirtualNode], documents: Mapping[str, Document], findings: Findings) -> None:
    """Two selectors of one namespace of which one includes the other: pods that both take are
    withheld.
    """
    for node, other in _pairs(nodes):
        one, two = node.selector, other.selector
        if one is None or two is None or one.requirements or two.requirements or not set(one.labels) <= set(two.labels):
            continue
        message = (
            f"the podSelector of {node.key} also takes every pod of {other.key} ({where(other.place)}): pods of two"
            " nodes are withheld"
        )
        fix = "tell their pods apart, or let only one of them count in a cluster (clusters.NAME.nodes)"
        findings.warning(documents[node.key], "spec.podSelector", "shared-pods", message, fix)


def _pairs(nodes: Sequence[VirtualNode]) -> Iterator[tuple[VirtualNode, VirtualNode]]:
    """Ordered pairs of nodes of a namespace that might include each other: those with a label in
    common, or none.
    """
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
        for other in rest[:_COMPARED]:
            if other is not node:
                yield node, other


def check_routes(router: Document, findings: Findings) -> None:
    """Report routes that no request fits, or that send their requests nowhere."""
    for index, route in enumerate(router.spec.get("routes", ())):
        for kind in (kind for kind in ROUTE_KINDS if kind in route):
            _prefix(router, f"spec.routes[{index}].{kind}", route[kind], findings)
            targets = route[kind].get("action", {}).get("weightedTargets", ())
            # Else the weight itself is the mistake
            given = targets and all("weight" in target for target in targets)
            if given and not sum(target["weight"] for target in targets):
                field, message = (
                    f"spec.routes[{index}].{kind}.action.weightedTargets",
                    "all weights are 0: the route sends its requests nowhere",
                )
                findings.error(router, field, "no-weight", message, "give at least one target a weight above 0")


def _prefix(document: Document, field: str, route: Mapping[str, Any], findings: Findings) -> None:
    prefix = route.get("match", {}).get("prefix")
    if prefix is not None and not prefix.startswith("/"):
        message = (
            f"found {prefix!r}, wanted a prefix that begins with /: no path begins with anything else, so no request"
            " fits"
        )
        findings.error(document, f"{field}.match.prefix", "no-path", message, f"write /{prefix}")
