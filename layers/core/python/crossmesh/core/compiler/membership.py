"""Which mesh a document belongs to, and which gateway a gateway route: by labels, as AWS's
controller designates them.

Sources: pkg/mesh/membership_designator.go and pkg/virtualgateway/membership_designator.go of
aws-app-mesh-controller-for-k8s.
"""

from collections.abc import Mapping

from crossmesh.core.compiler.findings import Findings, where
from crossmesh.core.compiler.merge import Key, labels_of
from crossmesh.core.compiler.selectors import selector_of, unmet
from crossmesh.core.documents import Document
from crossmesh.core.suggestions import nearest
from crossmesh.core.topology import LabelSelector


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
        """The one gateway whose namespaceSelector fits the route's Namespace and whose
        gatewayRouteSelector fits the route's labels.
        """
        labels = self.namespaces.get(route.namespace, {})
        fitting = [gateway for gateway in gateways if _takes(gateway, labels, route.labels)]
        if len(fitting) == 1:
            return fitting[0]
        names = ", ".join(gateway.key for gateway in fitting) or "none"
        if fitting:
            message = f"GatewayRoute {route.key} belongs to {len(fitting)} VirtualGateways at once: {names}"
            fix = "change their namespaceSelector or gatewayRouteSelector so that exactly one selects it"
        else:
            told = (
                "; ".join(_refusal(gateway, labels, route) for gateway in gateways[:5])
                or "no VirtualGateway is declared"
            )
            message = f"GatewayRoute {route.key} belongs to no VirtualGateway: {told}"
            fix = (
                "a VirtualGateway selects routes by the labels of their Namespace (namespaceSelector) and their own"
                " (gatewayRouteSelector)"
            )
        self.findings.error(route, "metadata.labels", "gateway-membership", message, fix)
        return None

    def _choose(self, namespace: str, inside: list[Document], document: Document | None) -> Document | None:
        first = min(inside, key=lambda d: d.place)
        many = f"{first.kind} {first.key}" + (f" and {len(inside) - 1} more" if len(inside) > 1 else "")
        if document is None:
            near = nearest(namespace, self.namespaces)
            message = (
                f"{many} {'is' if len(inside) == 1 else 'are'} in namespace {namespace}, which no Namespace document"
                " declares"
            )
            fix = f"did you mean {near}? otherwise " if near else ""
            if namespace == "default" and not near:
                fix = (
                    "write metadata.namespace: without it a document is in default (declared:"
                    f" {', '.join(sorted(self.namespaces)[:5]) or 'none'}); or "
                )
            fix += f"add the Namespace {namespace} with the labels that its Mesh selects"
            self.findings.error(first, "metadata.namespace", "missing-namespace", message, fix)
            return None
        labels = self.namespaces[namespace]
        fitting = [mesh for mesh, selector in self._selectors if selector is not None and selector.matches(labels)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = " and ".join(f"Mesh {mesh.name} ({where(mesh.place)})" for mesh in fitting)
            message = (
                f"Namespace {namespace} belongs to {len(fitting)} meshes at once: {names} select it ({many} affected)"
            )
            fix = "change the namespaceSelectors so that exactly one Mesh selects it"
        else:
            message, fix = self._no_mesh(namespace, labels, f"{many} affected")
        self.findings.error(document, "metadata.labels", "mesh-membership", message, fix)
        return None

    def _no_mesh(self, namespace: str, labels: Mapping[str, str], affected: str) -> tuple[str, str]:
        """Message and fix for a Namespace that no Mesh selects: which labels differ from what each
        Mesh asks for.
        """
        if not self.meshes:
            return (
                f"Namespace {namespace} belongs to no mesh: no Mesh document is declared ({affected})",
                "add a Mesh document",
            )
        mesh, selector = min(
            self._selectors, key=lambda pair: (pair[1] is None, len(unmet(pair[1], labels)), pair[0].name)
        )
        told = "; ".join(f"Mesh {mesh.name} {_differs(selector, labels)}" for mesh, selector in self._selectors[:5])
        message = f"Namespace {namespace} belongs to no mesh: {told} ({affected})"
        if selector is None:
            return message, f"give Mesh {mesh.name} a namespaceSelector that selects it ({where(mesh.place)})"
        lacking = unmet(selector, labels)
        if all(need.value for need in lacking):
            shown = " and ".join(f'"{need.key}: {need.value}"' for need in lacking)
            return message, f"add {shown} to its labels"
        return message, f"change its labels, or the namespaceSelector of Mesh {mesh.name} ({where(mesh.place)})"


def _differs(selector: LabelSelector | None, labels: Mapping[str, str]) -> str:
    """What a selector asks for and the labels do not give."""
    if selector is None:
        return "has no namespaceSelector, which selects nothing"
    return "selects " + " and ".join(need.message for need in unmet(selector, labels))


def _refusal(gateway: Document, namespace: Mapping[str, str], route: Document) -> str:
    """Why a gateway does not take a route."""
    spaces = selector_of(gateway.spec.get("namespaceSelector"))
    if spaces is None or not spaces.matches(dict(namespace)):
        return f"VirtualGateway {gateway.key} {_differs(spaces, namespace)} (labels of Namespace {route.namespace})"
    routes = selector_of(gateway.spec.get("gatewayRouteSelector"))
    return f"VirtualGateway {gateway.key} {_differs(routes, route.labels)} (labels of the route)"


def _takes(gateway: Document, namespace: Mapping[str, str], route: Mapping[str, str]) -> bool:
    """No namespaceSelector fits nothing, no gatewayRouteSelector everything."""
    spaces = selector_of(gateway.spec.get("namespaceSelector"))
    routes = selector_of(gateway.spec.get("gatewayRouteSelector"))
    return spaces is not None and spaces.matches(dict(namespace)) and (routes is None or routes.matches(dict(route)))
