"""All clusters' documents as one set: identical ones are one, a contradiction is an error that
names both places.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from crossmesh.core.compiler.findings import Findings, where
from crossmesh.core.documents import Document

Key = tuple[str, str, str]  # kind, namespace, name
# The label that Kubernetes itself gives each Namespace
METADATA_NAME = "kubernetes.io/metadata.name"


def merge_documents(documents: Iterable[Document], findings: Findings) -> dict[Key, Document]:
    """One document a key, in the order of keys; of differing ones the first by place. Namespaces
    are the union of their labels.
    """
    found: dict[Key, Document] = {}
    for document in sorted(documents, key=lambda d: (d.kind, d.namespace, d.name, d.place)):
        key = (document.kind, document.namespace, document.name)
        first = found.setdefault(key, document)
        if first is document:
            continue
        if document.kind == "Namespace":
            found[key] = _joined(first, document, findings)
        elif _meaning(first) != _meaning(document):
            field = _first_difference(first.spec, document.spec, "spec")
            message = f"{document.kind} {document.key} differs from the one at {where(first.at(field))} ({field})"
            findings.error(document, field, "contradiction", message, "make both equal, or remove one")
    return found


def labels_of(namespace: Document) -> dict[str, str]:
    """The labels a Namespace has in a cluster."""
    return {METADATA_NAME: namespace.name, **namespace.labels}


def _meaning(document: Document) -> tuple[Any, ...]:
    """What two documents must have in common to be one: labels count only where a selector looks at
    them.
    """
    return (document.spec, document.mesh, document.labels if document.kind == "GatewayRoute" else None)


def _joined(first: Document, second: Document, findings: Findings) -> Document:
    for label in sorted(first.labels.keys() & second.labels.keys()):
        if first.labels[label] != second.labels[label]:
            field = f"metadata.labels.{label}"
            message = (
                f"Namespace {first.name} has {label}={second.labels[label]} here and {first.labels[label]} at"
                f" {where(first.at(field))}"
            )
            findings.error(second, field, "contradiction", message, "membership in meshes hangs on it: make both equal")
    return msgspec.structs.replace(first, labels={**second.labels, **first.labels})


def _first_difference(one: Any, other: Any, field: str) -> str:
    """The dotted field at which two specs part."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                return f"{field}.{key}"
            if one[key] != other[key]:
                return _first_difference(one[key], other[key], f"{field}.{key}")
    if isinstance(one, list) and isinstance(other, list):
        for index, (a, b) in enumerate(zip(one, other, strict=False)):
            if a != b:
                return _first_difference(a, b, f"{field}[{index}]")
    return field
