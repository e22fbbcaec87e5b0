"""From YAML trees to documents: which are ours, their metadata, their specs checked. Other kinds in the same files are read past."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from crossmesh.core.documents import Document, Finding, Place
from crossmesh.manifests import legacy
from crossmesh.manifests.check import Checker
from crossmesh.manifests.crd import CLUSTER_WIDE, GROUP, KINDS, OLD_VERSION, VERSION
from crossmesh.manifests.schema import Record, Table, Text, need, record
from crossmesh.manifests.yaml_documents import Tree, read

_LABEL = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_SUBDOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_QUALIFIED = Text(1, 317, pattern=f"({_SUBDOMAIN}/)?{_LABEL}", says="a Kubernetes label key: [prefix/]name of letters, digits, - _ .")
_NAME = Text(1, 253, pattern=_SUBDOMAIN, says="a Kubernetes name: small letters, digits, - and ., at most 253 characters")
_NAMESPACE = Text(1, 63, pattern="[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", says="a Kubernetes namespace: small letters, digits and -, at most 63")
_METADATA = record(
    name=need(_NAME),
    namespace=_NAMESPACE,
    labels=Table(Text(0, 63, pattern=f"({_LABEL})?", says="a label value: letters, digits, - _ ., at most 63 characters"), _QUALIFIED),
    annotations=Table(Text()),
)
_NAMESPACE_METADATA = record(name=need(_NAMESPACE), labels=_METADATA.fields["labels"], annotations=_METADATA.fields["annotations"])
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")
_LIST = re.compile(r"\w*List")
_ITEM = re.compile(r"items\[([0-9]+)\]\.?")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Documents of the kinds crossmesh reads, in the order of the files, and what was found wrong while reading, by place."""

    documents: tuple[Document, ...] = ()
    findings: tuple[Finding, ...] = ()


def load(files: Sequence[tuple[str, bytes]], *, strict: bool = False) -> Loaded:
    """Documents of all files, given as (name, content). `strict`: unknown fields are errors instead of warnings. Never raises."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for file, data in files:
        trees, problems = read(file, data)
        findings += problems
        doubts = [(finding.place.document, finding.place.field) for finding in problems if finding.level == "error"]
        for tree in trees:
            for part, prefix in _objects(tree):
                reader = _Reader(
                    file, part, strict=strict, doubts=_below(prefix, [field for document, field in doubts if document == tree.document])
                )
                documents += reader.documents()
                findings += [_prefixed(finding, prefix) for finding in reader.checker.findings]
    return Loaded(documents=tuple(documents), findings=tuple(sorted(findings, key=lambda f: (f.place, f.code))))


def read_object(name: str, value: dict[str, Any]) -> Loaded:
    """The documents of one object that no file holds; `name` is what its place says."""
    reader = _Reader(name, Tree(document=0, value=value, line=0, lines={}), strict=False, doubts=[])
    return Loaded(documents=tuple(reader.documents()), findings=tuple(reader.checker.findings))


def _objects(tree: Tree) -> Iterator[tuple[Tree, str]]:
    """The objects of a document, each with the field it stands at: itself, or the items of a List (of Lists)."""
    root = tree.value
    kind = root.get("kind") if isinstance(root, dict) else None
    items = root.get("items") if isinstance(kind, str) and _LIST.fullmatch(kind) else None
    if not isinstance(items, list):
        yield tree, ""
        return
    lines, written = _split(tree.lines, len(items)), _split(tree.written, len(items))
    for index, item in enumerate(items):
        prefix = f"items[{index}]"
        line = tree.lines.get(prefix, tree.line)
        part = Tree(document=tree.document, value=item, line=line, lines={**lines[index], "": line}, written=written[index])
        for inner, deeper in _objects(part):
            yield inner, prefix + (f".{deeper}" if deeper else "")


def _split(fields: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """What belongs to each item of a List, by field inside the item."""
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    for field, value in fields.items():
        if match := _ITEM.match(field):
            found[int(match[1])][field[match.end() :]] = value
    return found


def _below(prefix: str, fields: list[str]) -> list[str]:
    """Those of a document's fields that belong to the List's item at `prefix`, as fields of the item."""
    if not prefix:
        return fields
    return [field[len(prefix) + 1 :] for field in fields if field == prefix or field.startswith(f"{prefix}.")]


def _prefixed(finding: Finding, prefix: str) -> Finding:
    if not prefix:
        return finding
    field = f"{prefix}.{finding.place.field}" if finding.place.field else prefix
    return msgspec.structs.replace(finding, place=msgspec.structs.replace(finding.place, field=field))


class _Reader:
    """One object: whether it is ours, and if so as documents (a v1beta1 VirtualService is two)."""

    def __init__(self, file: str, tree: Tree, *, strict: bool, doubts: list[str]) -> None:
        self.file, self.tree, self.doubts = file, tree, doubts
        unknown: Literal["error", "warning"] = "error" if strict else "warning"
        self.checker = Checker(file, tree, unknown=unknown)

    def documents(self) -> list[Document]:
        """The documents; none for what is read past or has no usable name."""
        root = self.tree.value
        if not isinstance(root, dict):
            self.checker.wrong("", root, "an object with apiVersion, kind, metadata and spec", code="not-a-manifest")
            return []
        version, kind = root.get("apiVersion"), root.get("kind")
        if not isinstance(version, str) or not isinstance(kind, str):
            missing = "apiVersion" if not isinstance(version, str) else "kind"
            self.checker.report("not-a-manifest", missing, f"{missing} is no text here: the document is read past", level="warning")
            return []
        rule = self._rule(version, kind)
        if rule is None:
            return []
        metadata = self._metadata(root.get("metadata"), kind)
        for key in root:
            if key not in _TOP and kind != "Namespace":
                self.checker.report("unknown-field", key, f"{key} is no field here", f"known are {', '.join(_TOP)}", self.checker.unknown)
        spec = self._spec(rule, root) if kind != "Namespace" else {}
        if metadata is None:
            return []
        broken = tuple(sorted({*self.doubts, *(f.place.field for f in self.checker.findings if f.level == "error")}))
        document = Document(
            api_version=version,
            kind=kind,
            namespace="" if kind in CLUSTER_WIDE else metadata.get("namespace", "default"),
            name=metadata["name"],
            labels=metadata.get("labels", {}),
            annotations=metadata.get("annotations", {}),
            spec=spec,
            place=Place(file=self.file, line=self.tree.line, document=self.tree.document),
            lines=self.tree.lines,
            live=bool((root.get("metadata") or {}).get("uid")),
            broken=broken,
        )
        return legacy.convert(document) if version == OLD_VERSION else [document]

    def _rule(self, version: str, kind: str) -> Record | None:
        """The schema of the spec; None for what is not read, which is only worth a word inside App Mesh's own group."""
        if (version, kind) == ("v1", "Namespace"):
            return record()
        if version.partition("/")[0] != GROUP:
            return None
        known = {VERSION: KINDS, OLD_VERSION: legacy.KINDS}.get(version)
        if known is None:
            self.checker.report("unknown-version", "apiVersion", f"found {version}, wanted {VERSION} or {OLD_VERSION}")
            return None
        if kind not in known:
            self.checker.report("unknown-kind", "kind", f"{version} has no kind {kind}", f"it has {', '.join(sorted(known))}")
            return None
        return known[kind]

    def _metadata(self, raw: Any, kind: str) -> dict[str, Any] | None:
        rule = _NAMESPACE_METADATA if kind == "Namespace" else _METADATA
        value = {key: raw[key] for key in rule.fields if key in raw} if isinstance(raw, dict) else raw
        if value is None:
            self.checker.report("missing-field", "", "metadata is missing", "every object has metadata with a name")
            return None
        metadata = self.checker.value(rule, value, "metadata")
        return metadata if metadata and "name" in metadata else None

    def _spec(self, rule: Record, root: dict[str, Any]) -> dict[str, Any]:
        raw = root.get("spec")
        found: dict[str, Any] = self.checker.value(rule, {} if raw is None else raw, "spec") or {}
        return found
