"""References between documents, resolved to names in App Mesh over the union of all documents.

By reference or by ARN, as AWS's controller resolves them (pkg/references,
pkg/conversions/arns_conversion.go): of an ARN only its last part is used, it wins over a reference
beside it, and its kind must be right. A name resolved stands in the spec as `@<kind>`, in place of
what it came from.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from crossmesh.core.compiler.findings import Findings, where
from crossmesh.core.compiler.merge import Key
from crossmesh.core.documents import Document
from crossmesh.core.suggestions import nearest

MeshOf = Callable[[Document], Document | None]
_HOLDERS = {
    "weightedTargets": "VirtualNode",
    "virtualService": "VirtualService",
    "virtualNode": "VirtualNode",
    "virtualRouter": "VirtualRouter",
}
_ARN = re.compile(r"arn:(?:[^:]*:){4}mesh/[^/]+/([^/]+)/([^/]+)")


def aws_name(document: Document) -> str:
    """Its name in App Mesh: awsName, else what the controller's webhooks make up."""
    given = document.spec.get("awsName")
    if given:
        return str(given)
    if document.kind == "Mesh":
        return document.name
    return f"{document.name}{'.' if document.kind == 'VirtualService' else '_'}{document.namespace}"


class Resolver:
    """Resolves the references of documents; one that leads nowhere is an error."""

    def __init__(
        self, documents: Mapping[Key, Document], mesh_of: MeshOf, findings: Findings, lost: Mapping[str, str]
    ) -> None:
        self.documents, self.findings, self.lost = documents, findings, lost
        self._mesh = {key: mesh_of(document) for key, document in documents.items() if document.kind != "Namespace"}
        # Kind, name of the mesh document, AWS name
        self._by_name: dict[tuple[str, str, str], Document] = {}
        for key, document in documents.items():
            if (mesh := self._mesh.get(key)) is not None:
                self._by_name.setdefault((document.kind, mesh.name, aws_name(document)), document)

    def mesh_of(self, document: Document) -> Document | None:
        """The mesh of a document; None = in doubt."""
        return self._mesh.get((document.kind, document.namespace, document.name))

    def resolve(self, document: Document) -> tuple[dict[str, Any], dict[str, str]]:
        """The spec with names in place of references, and the names by the dotted field they stand
        at.
        """
        found: dict[str, str] = {}
        spec: dict[str, Any] = self._value(document, document.spec, "spec", "", found)
        return spec, found

    def find(self, document: Document, kind: str, namespace: str, name: str, field: str) -> Document | None:
        """What a reference of `document` means; reports one that leads nowhere or into another
        mesh.
        """
        target = self.documents.get((kind, namespace, name))
        if target is None:
            message = f"{document.kind} {document.key} refers to {kind} {namespace}/{name}, which no document declares"
            self.findings.error(document, field, "missing-reference", message, self._near(kind, namespace, name))
            return None
        mine, other = self.mesh_of(document), self.mesh_of(target)
        if mine is not None and other is not None and mine is not other:
            message = (
                f"{document.kind} {document.key} of mesh {mine.name} refers to {kind} {target.key} of mesh {other.name}"
            )
            self.findings.error(document, field, "other-mesh", message, "references stay within a mesh")
        return target

    def named(self, document: Document, kind: str, name: str) -> Document | None:
        """The document of that AWS name in the mesh of `document`."""
        mesh = self.mesh_of(document)
        return self._by_name.get((kind, mesh.name, name)) if mesh is not None else None

    def _value(self, document: Document, value: Any, field: str, key: str, found: dict[str, str]) -> Any:
        if isinstance(value, list):
            return [self._value(document, item, f"{field}[{index}]", key, found) for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        made: dict[str, Any] = {}
        kind = _HOLDERS.get(key)
        ref = f"{kind[0].lower()}{kind[1:]}" if kind else ""
        if kind:
            name = self._name(document, value, kind, field, found)
            made[f"@{kind}"] = name
        for inner, item in value.items():
            if not kind or inner not in (f"{ref}Ref", f"{ref}ARN", f"@{kind}"):
                made[inner] = self._value(document, item, f"{field}.{inner}", inner, found)
        return made

    def _name(self, document: Document, holder: dict[str, Any], kind: str, field: str, found: dict[str, str]) -> str:
        """The AWS name that a holder of a reference means; "" where it has none, as the controller
        sends it.
        """
        prefix = f"{kind[0].lower()}{kind[1:]}"
        name = ""
        ref, arn = holder.get(f"{prefix}Ref"), holder.get(f"{prefix}ARN")
        if f"@{kind}" in holder:
            name = self._loose(document, kind, holder[f"@{kind}"], field)
            found[field] = name
        if ref is not None and "name" in ref:
            here = f"{field}.{prefix}Ref"
            target = self.find(document, kind, ref.get("namespace") or document.namespace, ref["name"], f"{here}.name")
            if target is not None:
                name = found[here] = aws_name(target)
        if arn is not None:
            name = found[f"{field}.{prefix}ARN"] = self._arn(document, kind, arn, f"{field}.{prefix}ARN")
        if ref is None and arn is None and not name and not document.doubts(field):
            message = f"neither {prefix}Ref nor {prefix}ARN: App Mesh refuses the empty name"
            self.findings.warning(document, field, "api-refuses", message, "say which it is")
        return name

    def _arn(self, document: Document, kind: str, arn: str, field: str) -> str:
        wanted = kind[0].lower() + kind[1:]
        match = _ARN.fullmatch(arn)
        if match is None:
            fix = (
                f"arn:aws:appmesh:REGION:ACCOUNT:mesh/MESH/{wanted}/NAME; or refer by {wanted}Ref, which resolves"
                " across clusters"
            )
            self.findings.error(document, field, "bad-arn", f"found {arn!r}, wanted the ARN of a {wanted}", fix)
            return ""
        if match[1] != wanted:
            self.findings.error(document, field, "bad-arn", f"found the ARN of a {match[1]}, wanted one of a {wanted}")
        elif self.mesh_of(document) is not None and self.named(document, kind, match[2]) is None:
            message = f"no document declares the {wanted} {match[2]}; of an ARN only this name is used"
            self.findings.warning(
                document,
                field,
                "unknown-arn",
                message,
                "add its document, or make sure that somebody else keeps it in this mesh",
            )
        return match[2]

    def _loose(self, document: Document, kind: str, name: str, field: str) -> str:
        """A v1beta1 name: of a document in the same namespace, as `name.namespace`, or an AWS name;
        else it is taken as it stands.
        """
        host, _, space = name.partition(".")
        for key in ((kind, document.namespace, name), (kind, space, host)):
            if key in self.documents:
                return aws_name(self.documents[key])
        suffix = f"-{document.namespace}"
        if name.endswith(suffix) and (kind, document.namespace, name.removesuffix(suffix)) in self.documents:
            return aws_name(self.documents[kind, document.namespace, name.removesuffix(suffix)])
        if self.named(document, kind, name) is None:
            if kind == "VirtualService":
                self.findings.warning(
                    document, field, "unknown-backend", f"no document declares the virtual service {name}", "declare it"
                )
            else:
                self.findings.error(
                    document, field, "missing-reference", f"no document declares the {kind} {name}", "declare it"
                )
        return name

    def _near(self, kind: str, namespace: str, name: str) -> str:
        """Where such a name is, or what else there is."""
        elsewhere = sorted(d.key for k, d in self.documents.items() if k[0] == kind and k[2] == name)
        if name in self.lost:
            return self.lost[name]
        undeclared = [
            d
            for k, d in self.documents.items()
            if k[0] == kind and k[2] == name and ("Namespace", "", d.namespace) not in self.documents
        ]
        if undeclared and len(undeclared) == len(elsewhere):
            return f"correct the namespace of {undeclared[0].key} first ({where(undeclared[0].place)})"
        if elsewhere:
            return f"there is {', '.join(elsewhere)}: write its namespace"
        known = sorted(k[2] for k in self.documents if k[0] == kind and k[1] == namespace)
        if not known:
            return f"no {kind} is declared in {namespace}"
        near = nearest(name, known)
        return (f"did you mean {near}? " if near else "") + f"in {namespace} there are: {', '.join(known[:10])}"
