"""From documents to the topology: membership, names and references over the union of all clusters'
documents.

The rules are those of AWS's controller; what it refuses is an error here, told with file and line,
and what nobody would notice until requests are lost is a finding too. Pure: any order of documents
gives the same topology, byte for byte.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from crossmesh.core.compiler import admission, cloud_map_names, lint
from crossmesh.core.compiler.backend_groups import check_groups, grouped_services
from crossmesh.core.compiler.findings import Findings, where
from crossmesh.core.compiler.gateway_paths import check_gateway_paths
from crossmesh.core.compiler.membership import Membership
from crossmesh.core.compiler.merge import Key, merge_documents
from crossmesh.core.compiler.references import Resolver, aws_name
from crossmesh.core.compiler.routes import backends_of, provider_of, routes_of
from crossmesh.core.compiler.selectors import selector_of
from crossmesh.core.documents import Document, Finding
from crossmesh.core.topology import (
    ROUTE_KINDS,
    CloudMap,
    Listener,
    Resource,
    Topology,
    VirtualNode,
    VirtualRouter,
    VirtualService,
)

_FIELDS = {
    "Mesh": "meshes",
    "VirtualService": "services",
    "VirtualRouter": "routers",
    "VirtualGateway": "gateways",
    "GatewayRoute": "gateway_routes",
    "BackendGroup": "backend_groups",
}


class BuildResult(msgspec.Struct, frozen=True, kw_only=True):
    """The topology and everything that was found wrong or doubtful on the way, sorted by place.
    `documents`: what it was built from, each once.
    """

    topology: Topology
    findings: tuple[Finding, ...] = ()
    documents: tuple[Document, ...] = ()


def build(
    documents: Iterable[Document], *, ip_family: str = "ipv4", lost: Mapping[str, str] | None = None
) -> BuildResult:
    """Resolve all documents together. `lost`: by name, what to do first where a mistake keeps a
    document out.
    """
    findings = Findings()
    return _Builder(merge_documents(documents, findings), findings, lost or {}).build(ip_family)


class _Builder:
    def __init__(self, documents: dict[Key, Document], findings: Findings, lost: Mapping[str, str]) -> None:
        self.findings = findings
        self.documents = documents
        self.membership = Membership(documents, findings)
        self.resolver = Resolver(documents, self.membership.mesh_of, findings, lost)
        self.gateways = [d for d in documents.values() if d.kind == "VirtualGateway"]

    def build(self, ip_family: str) -> BuildResult:
        found: dict[str, list[Any]] = {field: [] for field in (*_FIELDS.values(), "nodes")}
        members: list[tuple[str, Document]] = []
        for document in self.documents.values():
            if document.kind == "Namespace":
                continue
            admission.admit(document, self.findings)
            if document.kind == "VirtualRouter":
                lint.check_routes(document, self.findings)
            if document.kind == "VirtualNode":
                cloud_map_names.check(document, self.findings)
            mesh = self.resolver.mesh_of(document)
            if mesh is None:
                continue
            members.append((aws_name(mesh), document))
            if document.kind == "VirtualNode":
                found["nodes"].append(self._node(document, aws_name(mesh)))
            else:
                found[_FIELDS[document.kind]].append(self._resource(document, aws_name(mesh)))
        topology = Topology(
            **{
                field: tuple(sorted(items, key=lambda r: (r.mesh, r.namespace, r.name)))
                for field, items in found.items()
            }
        )
        self._unique_names(members)
        check_groups(topology, self.resolver, self.findings)
        self._prechecks(topology, ip_family)
        return BuildResult(topology=topology, findings=self.findings.sorted(), documents=tuple(self.documents.values()))

    def _node(self, document: Document, mesh: str) -> VirtualNode:
        spec, references = self.resolver.resolve(document)
        added = grouped_services(document, self.resolver)
        if added:
            spec["backends"] = [
                *spec.get("backends", ()),
                *({"virtualService": {"@VirtualService": name}} for name in added),
            ]
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
            backends=backends_of(spec),
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
        given: dict[str, Any] = {
            "kind": document.kind,
            "namespace": document.namespace,
            "name": document.name,
            "aws_name": aws_name(document),
            "mesh": mesh,
            "spec": spec,
            "references": references,
            "place": document.place,
        }
        match document.kind:
            case "VirtualRouter":
                return VirtualRouter(
                    **given | {"spec": {key: item for key, item in spec.items() if key != "routes"}},
                    routes=routes_of(spec),
                )
            case "VirtualService":
                return VirtualService(**given, provider=provider_of(spec))
            case _:
                return Resource(**given)

    def _gateway(self, route: Document) -> dict[str, str]:
        """The gateway of a gateway route, as a reference."""
        gateway = self.membership.gateway_of(route, self.gateways)
        if gateway is None:
            return {}
        mine, other = self.resolver.mesh_of(route), self.resolver.mesh_of(gateway)
        if mine is not None and other is not None and mine is not other:
            message = (
                f"GatewayRoute {route.key} of mesh {mine.name} falls to VirtualGateway {gateway.key} of mesh"
                f" {other.name}"
            )
            self.findings.error(
                route, "metadata.namespace", "other-mesh", message, "a route and its gateway are of one mesh"
            )
        return {"virtualGateway": aws_name(gateway)}

    def _first_listener(self, router: Document) -> dict[str, Any]:
        """The listener that AWS's v1beta1 controller gave a router without one: that of the first
        route's first target (v0.5.0, virtualservice.go).
        """
        for route in router.spec.get("routes", ())[:1]:
            for kind in ROUTE_KINDS:
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
        # Who has the name by its own metadata comes before whoever asks for it by awsName.
        for mesh, document in sorted(members, key=lambda member: bool(member[1].spec.get("awsName"))):
            if document.kind == "BackendGroup":
                continue
            gateway = self.membership.gateway_of(document, self.gateways) if document.kind == "GatewayRoute" else None
            key = (document.kind, mesh, aws_name(gateway) if gateway else "", aws_name(document))
            first = seen.setdefault(key, document)
            if first is not document:
                message = (
                    f"{document.kind} {document.key} has the AWS name {aws_name(document)}, as has {first.key} at"
                    f" {where(first.place)}"
                )
                field = "spec.awsName" if document.spec.get("awsName") else "metadata.name"
                self.findings.error(document, field, "same-name", message, "give one of them another awsName")
                # Two teams: nobody guesses who is meant
                if first.namespace != document.namespace and first.spec.get("awsName"):
                    message = (
                        f"{first.kind} {first.key} has the AWS name {aws_name(first)}, as has {document.key} at"
                        f" {where(document.place)}"
                    )
                    self.findings.error(first, "spec.awsName", "same-name", message, "give one of them another awsName")

    def _prechecks(self, topology: Topology, ip_family: str) -> None:
        by_kind: dict[str, dict[str, Document]] = {}
        for (kind, _, _), document in self.documents.items():
            by_kind.setdefault(kind, {})[document.key] = document
        used = {(node.mesh, service) for node in topology.nodes for service in node.backends}
        lint.check_nodes(topology.nodes, by_kind.get("VirtualNode", {}), self.findings, ip_family=ip_family)
        lint.check_routers(topology.routers, topology.nodes, by_kind.get("VirtualRouter", {}), self.findings)
        check_gateway_paths(topology, by_kind.get("GatewayRoute", {}), self.findings)
        lint.check_services(topology.services, used, by_kind.get("VirtualService", {}), self.findings)


def _cloud_map(raw: Any) -> CloudMap | None:
    if not raw or "namespaceName" not in raw or "serviceName" not in raw:
        return None
    attributes = {item["key"]: item["value"] for item in raw.get("attributes", ()) if "key" in item and "value" in item}
    return CloudMap(
        namespace=raw["namespaceName"], service=raw["serviceName"], attributes=tuple(sorted(attributes.items()))
    )
