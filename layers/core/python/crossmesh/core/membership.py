"""Which mesh a document belongs to, and which gateway a gateway route: by labels, as AWS's controller designates them.

Sources: pkg/mesh/membership_designator.go and pkg/virtualgateway/membership_designator.go of aws-app-mesh-controller-for-k8s.
"""

from collections.abc import Mapping

from crossmesh.core.documents import Document
from crossmesh.core.findings import Findings
from crossmesh.core.selectors import selector_of
from crossmesh.core.union import Key, labels_of


class Membership:
    """The mesh of each document, decided once a Namespace."""

    def __init__(self, documents: Mapping[Key, Document], findings: Findings) -> None:
        self.findings = findings
        self.namespaces = {d.name: labels_of(d) for d in documents.values() if d.kind == "Namespace"}
        self.meshes = [d for d in documents.values() if d.kind == "Mesh"]
        self._selectors = [(mesh, selector_of(mesh.spec.get("namespaceSelector"))) for mesh in self.meshes]
        self._by_name = {mesh.name: mesh for mesh in self.meshes}
        self._chosen: dict[str, Document | None] = {}
        members: dict[str, list[Document]] = {}
        for document in documents.values():
            if document.kind not in ("Namespace", "Mesh") and not document.legacy:
                members.setdefault(document.namespace, []).append(document)
        for namespace, inside in sorted(members.items()):
            self._chosen[namespace] = self._choose(namespace, inside, documents.get(("Namespace", "", namespace)))

    def mesh_of(self, document: Document) -> Document | None:
        """The one mesh of `document`; None where that is in doubt, which has been reported."""
        if document.kind == "Mesh":
            return document
        if not document.legacy:
            return self._chosen.get(document.namespace)
        mesh = self._by_name.get(document.mesh)
        if mesh is None and document.mesh:
            known = ", ".join(sorted(self._by_name)) or "none"
            message = f"{document.kind} {document.key} names the mesh {document.mesh}, which no document declares"
            self.findings.error(document, "spec.meshName", "unknown-mesh", message, f"declared are: {known}")
        return mesh

    def gateway_of(self, route: Document, gateways: list[Document]) -> Document | None:
        """The one gateway whose namespaceSelector fits the route's Namespace and whose gatewayRouteSelector fits the route's labels."""
        labels = self.namespaces.get(route.namespace, {})
        fitting = [gateway for gateway in gateways if _takes(gateway, labels, route.labels)]
        if len(fitting) == 1:
            return fitting[0]
        names = ", ".join(gateway.key for gateway in fitting) or "none"
        cure = "a VirtualGateway takes routes by namespaceSelector (the Namespace's labels) and gatewayRouteSelector (the route's)"
        self.findings.error(
            route,
            "metadata.labels",
            "gateway-membership",
            f"{len(fitting)} VirtualGateways take GatewayRoute {route.key} ({names}), wanted 1",
            cure,
        )
        return None

    def _choose(self, namespace: str, inside: list[Document], document: Document | None) -> Document | None:
        first = min(inside, key=lambda d: d.place)
        many = f"{first.kind} {first.key}" + (f" and {len(inside) - 1} more" if len(inside) > 1 else "")
        if document is None:
            message = f"no Namespace document {namespace} tells the mesh of {many}"
            self.findings.error(first, "metadata.namespace", "missing-namespace", message, f"add the Namespace {namespace} with its labels")
            return None
        labels = self.namespaces[namespace]
        fitting = [mesh for mesh, selector in self._selectors if selector is not None and selector.matches(labels)]
        if len(fitting) == 1:
            return fitting[0]
        names = ", ".join(mesh.name for mesh in fitting) or "none"
        shown = ", ".join(f"{key}={value}" for key, value in sorted(document.labels.items())) or "no labels"
        message = f"{len(fitting)} meshes take Namespace {namespace} with {shown} ({names}), wanted 1; {many} in it"
        declared = ", ".join(mesh.name for mesh in self.meshes) or "none"
        self.findings.error(
            document, "metadata.labels", "mesh-membership", message, f"see each Mesh's namespaceSelector; declared are: {declared}"
        )
        return None


def _takes(gateway: Document, namespace: Mapping[str, str], route: Mapping[str, str]) -> bool:
    """No namespaceSelector fits nothing, no gatewayRouteSelector everything."""
    spaces = selector_of(gateway.spec.get("namespaceSelector"))
    routes = selector_of(gateway.spec.get("gatewayRouteSelector"))
    return spaces is not None and spaces.matches(dict(namespace)) and (routes is None or routes.matches(dict(route)))
