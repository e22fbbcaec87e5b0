"""From documents to the topology: membership, names and references over the union of all clusters' documents.

The rules are those of AWS's controller (its webhooks and converters); what it refuses is an error here, told with file and line.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from crossmesh.core.documents import Document, Finding, Place
from crossmesh.core.topology import CloudMap, LabelSelector, Listener, Requirement, Resource, Topology, VirtualNode

REFERENCED = {
    "virtualNodeRef": "VirtualNode",
    "virtualNodeARN": "VirtualNode",
    "virtualRouterRef": "VirtualRouter",
    "virtualRouterARN": "VirtualRouter",
    "virtualServiceRef": "VirtualService",
    "virtualServiceARN": "VirtualService",
}
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


def build(documents: Iterable[Document]) -> Built:
    """Resolve all documents together. Pure; any order of documents gives the same topology."""
    return _Builder(documents).build()


def selector_of(raw: Any) -> LabelSelector | None:
    """A label selector; None (which fits nothing) where there is none."""
    if not isinstance(raw, dict):
        return None
    labels = tuple(sorted((str(k), str(v)) for k, v in (raw.get("matchLabels") or {}).items()))
    needs = tuple(
        Requirement(key=str(r.get("key", "")), operator=r.get("operator", "In"), values=tuple(map(str, r.get("values") or ())))
        for r in raw.get("matchExpressions") or ()
    )
    return LabelSelector(labels=labels, requirements=needs)


class _Builder:
    def __init__(self, documents: Iterable[Document]) -> None:
        self.findings: list[Finding] = []
        self.documents = self._unique(sorted(documents, key=lambda d: (d.kind, d.namespace, d.name, d.place)))
        self.namespaces = {d.name: d for d in self.documents.values() if d.kind == "Namespace"}
        self.meshes = [d for d in self.documents.values() if d.kind == "Mesh"]

    def build(self) -> Built:
        found: dict[str, list[Any]] = {field: [] for field in (*_FIELDS.values(), "nodes")}
        for document in self.documents.values():
            if document.kind == "Namespace":
                continue
            mesh = document if document.kind == "Mesh" else self._mesh_of(document)
            if mesh is None:
                continue
            mesh_name = self._aws_name(mesh)
            if document.kind == "VirtualNode":
                found["nodes"].append(self._node(document, mesh_name))
            else:
                found[_FIELDS[document.kind]].append(
                    Resource(
                        kind=document.kind,
                        namespace=document.namespace,
                        name=document.name,
                        aws_name=self._aws_name(document),
                        mesh=mesh_name,
                        spec=self._resolved(document),
                        references=self._references(document),
                        place=document.place,
                    )
                )
        topology = Topology(**{field: tuple(sorted(items, key=lambda r: (r.mesh, r.namespace, r.name))) for field, items in found.items()})
        return Built(topology=topology, findings=tuple(sorted(self.findings, key=lambda f: (f.place, f.code))))

    def _unique(self, documents: list[Document]) -> dict[tuple[str, str, str], Document]:
        """Identical documents (the Mesh stands in every cluster) are one; differing ones are an error that names both places."""
        found: dict[tuple[str, str, str], Document] = {}
        for document in documents:
            key = (document.kind, document.namespace, document.name)
            first = found.setdefault(key, document)
            if first is not document and (first.spec, first.labels) != (document.spec, document.labels):
                name = f"{document.kind} {_name(document)}"
                self._error("contradiction", document.place, f"{name} differs from the one at {first.place}", "make them equal or remove one")
        return found

    def _mesh_of(self, document: Document) -> Document | None:
        """The one mesh whose namespaceSelector fits the labels of the document's Namespace."""
        namespace = self.namespaces.get(document.namespace)
        if namespace is None:
            message = f"{document.kind} {_name(document)}: no Namespace document {document.namespace} says which mesh it belongs to"
            self._error(
                "missing-namespace", document.place, message, f"add the Namespace {document.namespace} with its labels to the manifests"
            )
            return None
        fitting = [
            mesh for mesh in self.meshes if (s := selector_of(mesh.spec.get("namespaceSelector"))) is not None and s.matches(namespace.labels)
        ]
        if len(fitting) != 1:
            names = ", ".join(mesh.name for mesh in fitting) or "none"
            message = f"{document.kind} {_name(document)}: {len(fitting)} meshes fit the labels of Namespace {document.namespace} ({names})"
            self._error("mesh-membership", document.place, message, "let the namespaceSelector of exactly one Mesh fit")
            return None
        return fitting[0]

    def _aws_name(self, document: Document) -> str:
        given = document.spec.get("awsName")
        if isinstance(given, str) and given:
            return given
        if document.kind == "Mesh":
            return document.name
        return f"{document.name}{'.' if document.kind == 'VirtualService' else '_'}{document.namespace}"

    def _node(self, document: Document, mesh: str) -> VirtualNode:
        spec = document.spec
        discovery = spec.get("serviceDiscovery") or {}
        raw = discovery.get("awsCloudMap")
        cloud_map = None
        if isinstance(raw, dict):
            attributes = tuple(sorted((str(a.get("key")), str(a.get("value"))) for a in raw.get("attributes") or ()))
            cloud_map = CloudMap(namespace=str(raw.get("namespaceName", "")), service=str(raw.get("serviceName", "")), attributes=attributes)
        listeners = tuple(
            Listener(port=int(p.get("port", 0)), protocol=str(p.get("protocol", "")))
            for raw in spec.get("listeners") or ()
            if (p := raw.get("portMapping"))
        )
        if spec.get("listeners") is not None and not discovery:
            place = self._at(document, "spec.listeners")
            self._error(
                "no-discovery", place, f"VirtualNode {_name(document)} has listeners but no serviceDiscovery", "say how its pods are found"
            )
        self._references(document)
        return VirtualNode(
            namespace=document.namespace,
            name=document.name,
            aws_name=self._aws_name(document),
            mesh=mesh,
            selector=selector_of(spec.get("podSelector")),
            listeners=listeners,
            cloud_map=cloud_map,
            spec=self._resolved(document),
            place=document.place,
        )

    def _resolved(self, document: Document) -> dict[str, Any]:
        """The spec with each reference replaced by the AWS name it means, under the key `@<kind>`; renderers need not resolve again."""
        references = self._references(document, quiet=True)
        resolved: dict[str, Any] = _replace(document.spec, references, "spec")
        return resolved

    def _references(self, document: Document, *, quiet: bool = False) -> dict[str, str]:
        """Dotted field of each reference -> AWS name of its target."""
        found: dict[str, str] = {}
        for field, key, raw in _walk(document.spec, "spec"):
            kind = REFERENCED[key]
            if key.endswith("ARN"):
                found[field] = str(raw).rpartition("/")[2]
                continue
            name = str(raw.get("name", "")) if isinstance(raw, dict) else ""
            namespace = (str(raw.get("namespace") or "") if isinstance(raw, dict) else "") or document.namespace
            target = self.documents.get((kind, namespace, name))
            if target is None:
                if not quiet:
                    message = f"{document.kind} {_name(document)} refers to {kind} {namespace}/{name}, which no document declares"
                    self._error(
                        "missing-reference", self._at(document, field), message, f"declare it in any cluster's manifests, or correct {key}"
                    )
                continue
            found[field] = self._aws_name(target)
        return found

    def _at(self, document: Document, field: str) -> Place:
        return msgspec.structs.replace(document.place, line=document.lines.get(field, document.place.line), field=field)

    def _error(self, code: str, place: Place, message: str, cure: str) -> None:
        finding = Finding(level="error", code=code, place=place, message=message, cure=cure)
        if finding not in self.findings:
            self.findings.append(finding)


def _name(document: Document) -> str:
    return f"{document.namespace}/{document.name}" if document.namespace else document.name


def _walk(value: Any, field: str) -> Iterable[tuple[str, str, Any]]:
    """(dotted field, key, value) of every reference below `value`."""
    if isinstance(value, dict):
        for key, item in value.items():
            here = f"{field}.{key}"
            if key in REFERENCED and item is not None:
                yield here, key, item
            else:
                yield from _walk(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{field}[{index}]")


def _replace(value: Any, references: dict[str, str], field: str) -> Any:
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, item in value.items():
            here = f"{field}.{key}"
            if key in REFERENCED and item is not None:
                name = f"@{REFERENCED[key]}"
                if here in references and (name not in found or key.endswith("ARN")):
                    found[name] = references[here]
            else:
                found[key] = _replace(item, references, here)
        return found
    if isinstance(value, list):
        return [_replace(item, references, f"{field}[{index}]") for index, item in enumerate(value)]
    return value
