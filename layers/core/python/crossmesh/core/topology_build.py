"""From documents to the topology: membership, names and references over the union of all clusters' documents.

The rules are those of AWS's controller; what it refuses is an error here, told with file and line, and what nobody would notice until requests are
lost is a finding too. Pure: any order of documents gives the same topology, byte for byte.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from crossmesh.core import admission, api_limits, prechecks
from crossmesh.core.backend_groups import check_groups, grouped_services
from crossmesh.core.documents import Document, Finding
from crossmesh.core.findings import Findings, where
from crossmesh.core.membership import Membership
from crossmesh.core.references import Resolver, aws_name
from crossmesh.core.selectors import selector_of
from crossmesh.core.topology import CloudMap, Listener, Resource, Topology, VirtualNode
from crossmesh.core.union import Key, unify

_FIELDS = {
    "Mesh": "meshes",
    "VirtualService": "services",
    "VirtualRouter": "routers",
    "VirtualGateway": "gateways",
    "GatewayRoute": "gateway_routes",
    "BackendGroup": "backend_groups",
}


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """The topology and everything that was found wrong or doubtful on the way, sorted by place."""

    topology: Topology
    findings: tuple[Finding, ...] = ()


def build(documents: Iterable[Document], *, ip_family: str = "ipv4") -> Built:
    """Resolve all documents together."""
    findings = Findings()
    return _Builder(unify(documents, findings), findings).build(ip_family)


class _Builder:
    def __init__(self, documents: dict[Key, Document], findings: Findings) -> None:
        self.findings = findings
        self.documents = documents
        self.membership = Membership(documents, findings)
        self.resolver = Resolver(documents, self.membership.mesh_of, findings)
        self.gateways = [d for d in documents.values() if d.kind == "VirtualGateway"]

    def build(self, ip_family: str) -> Built:
        found: dict[str, list[Any]] = {field: [] for field in (*_FIELDS.values(), "nodes")}
        members: list[tuple[str, Document]] = []
        for document in self.documents.values():
            if document.kind == "Namespace":
                continue
            admission.admit(document, self.findings)
            api_limits.check(document, self.findings)
            mesh = self.resolver.mesh_of(document)
            if mesh is None:
                continue
            members.append((aws_name(mesh), document))
            if document.kind == "VirtualNode":
                found["nodes"].append(self._node(document, aws_name(mesh)))
            else:
                found[_FIELDS[document.kind]].append(self._resource(document, aws_name(mesh)))
        topology = Topology(**{field: tuple(sorted(items, key=lambda r: (r.mesh, r.namespace, r.name))) for field, items in found.items()})
        self._unique_names(members)
        api_limits.check_quotas(members, self.findings)
        routes = [
            (f"{r.references['virtualGateway']} in mesh {r.mesh}", r) for r in topology.gateway_routes if "virtualGateway" in r.references
        ]
        api_limits.check_gateway_routes(
            [(gateway, self.documents["GatewayRoute", route.namespace, route.name]) for gateway, route in routes], self.findings
        )
        check_groups(topology, self.resolver, self.findings)
        self._prechecks(topology, ip_family)
        return Built(topology=topology, findings=self.findings.sorted())

    def _node(self, document: Document, mesh: str) -> VirtualNode:
        spec, references = self.resolver.resolve(document)
        added = grouped_services(document, self.resolver)
        if added:
            spec["backends"] = [*spec.get("backends", ()), *({"virtualService": {"@VirtualService": name}} for name in added)]
        return VirtualNode(
            namespace=document.namespace,
            name=document.name,
            aws_name=aws_name(document),
            mesh=mesh,
            selector=selector_of(spec.get("podSelector")),
            legacy=document.legacy,
            listeners=tuple(
                Listener(port=mapping["port"], protocol=mapping["protocol"])
                for listener in spec.get("listeners", ())
                if {"port", "protocol"} <= (mapping := listener.get("portMapping", {})).keys()
            ),
            cloud_map=_cloud_map(spec.get("serviceDiscovery", {}).get("awsCloudMap")),
            spec=spec,
            references=references,
            place=document.place,
        )

    def _resource(self, document: Document, mesh: str) -> Resource:
        spec, references = self.resolver.resolve(document)
        if document.kind == "GatewayRoute":
            references |= self._gateway(document)
        if document.kind == "VirtualRouter" and document.legacy and "listeners" not in spec:
            spec |= self._first_listener(document)
        return Resource(
            kind=document.kind,
            namespace=document.namespace,
            name=document.name,
            aws_name=aws_name(document),
            mesh=mesh,
            spec=spec,
            references=references,
            place=document.place,
        )

    def _gateway(self, route: Document) -> dict[str, str]:
        """The gateway of a gateway route, as a reference."""
        gateway = self.membership.gateway_of(route, self.gateways)
        if gateway is None:
            return {}
        mine, other = self.resolver.mesh_of(route), self.resolver.mesh_of(gateway)
        if mine is not None and other is not None and mine is not other:
            message = f"GatewayRoute {route.key} of mesh {mine.name} falls to VirtualGateway {gateway.key} of mesh {other.name}"
            self.findings.error(route, "metadata.namespace", "other-mesh", message, "a route and its gateway are of one mesh")
        return {"virtualGateway": aws_name(gateway)}

    def _first_listener(self, router: Document) -> dict[str, Any]:
        """The listener that AWS's v1beta1 controller gave a router without one: that of the first route's first target (v0.5.0, virtualservice.go)."""
        for route in router.spec.get("routes", ())[:1]:
            for kind in ("httpRoute", "tcpRoute", "http2Route", "grpcRoute"):
                for target in route.get(kind, {}).get("action", {}).get("weightedTargets", ())[:1]:
                    node = self.documents.get(("VirtualNode", router.namespace, target.get("@VirtualNode", "")))
                    for listener in node.spec.get("listeners", ())[:1] if node else ():
                        return {"listeners": [{"portMapping": listener.get("portMapping", {})}]}
        message = f"the router {router.key} has no listener, and none follows from its first route's first target"
        self.findings.absent(router, "spec.virtualRouter", "no-listener", message, "give virtualRouter.listeners")
        return {}

    def _unique_names(self, members: list[tuple[str, Document]]) -> None:
        """Two documents may not mean one App Mesh resource."""
        seen: dict[tuple[str, ...], Document] = {}
        for mesh, document in members:
            if document.kind == "BackendGroup":
                continue
            gateway = self.membership.gateway_of(document, self.gateways) if document.kind == "GatewayRoute" else None
            key = (document.kind, mesh, aws_name(gateway) if gateway else "", aws_name(document))
            first = seen.setdefault(key, document)
            if first is not document:
                message = f"{document.kind} {document.key} has the AWS name {aws_name(document)}, as has {first.key} at {where(first.place)}"
                field = "spec.awsName" if document.spec.get("awsName") else "metadata.name"
                self.findings.error(document, field, "same-name", message, "give one of them another awsName")

    def _prechecks(self, topology: Topology, ip_family: str) -> None:
        by_kind: dict[str, dict[str, Document]] = {}
        for (kind, _, _), document in self.documents.items():
            by_kind.setdefault(kind, {})[document.key] = document
        used = {
            (node.mesh, backend.get("virtualService", {}).get("@VirtualService", ""))
            for node in topology.nodes
            for backend in node.spec.get("backends", ())
        }
        prechecks.check_nodes(topology.nodes, by_kind.get("VirtualNode", {}), self.findings, ip_family=ip_family)
        prechecks.check_routers(topology.routers, topology.nodes, by_kind.get("VirtualRouter", {}), self.findings)
        prechecks.check_services(topology.services, used, by_kind.get("VirtualService", {}), self.findings)


def _cloud_map(raw: Any) -> CloudMap | None:
    if not raw or "namespaceName" not in raw or "serviceName" not in raw:
        return None
    attributes = {item["key"]: item["value"] for item in raw.get("attributes", ()) if "key" in item and "value" in item}
    return CloudMap(namespace=raw["namespaceName"], service=raw["serviceName"], attributes=tuple(sorted(attributes.items())))
