"""From YAML trees to documents: which are ours, their metadata, their specs checked. Other kinds in
the same files are read past.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from crossmesh.core.documents import Document, Finding, SourceLocation
from crossmesh.core.suggestions import nearest
from crossmesh.manifests import legacy, set_aside
from crossmesh.manifests.check import Checker
from crossmesh.manifests.crd import CLUSTER_WIDE, GROUP, KINDS, OLD_VERSION, VERSION
from crossmesh.manifests.schema import Record, Table, Text, need, record
from crossmesh.manifests.yaml_composer import Tree
from crossmesh.manifests.yaml_documents import read

_LABEL = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_SUBDOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_QUALIFIED = Text(
    1, 317, pattern=f"({_SUBDOMAIN}/)?{_LABEL}", says="a Kubernetes label key: [prefix/]name of letters, digits, - _ ."
)
_NAME = Text(
    1, 253, pattern=_SUBDOMAIN, says="a Kubernetes name: small letters, digits, - and ., at most 253 characters"
)
_NAMESPACE = Text(
    1,
    63,
    pattern="[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
    says="a Kubernetes namespace: small letters, digits and -, at most 63",
)
_METADATA = record(
    name=need(_NAME),
    namespace=_NAMESPACE,
    labels=Table(
        Text(0, 63, pattern=f"({_LABEL})?", says="a label value: letters, digits, - _ ., at most 63 characters"),
        _QUALIFIED,
    ),
    annotations=Table(Text()),
)
_NAMESPACE_METADATA = record(
    name=need(_NAMESPACE), labels=_METADATA.fields["labels"], annotations=_METADATA.fields["annotations"]
)
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")
_LIST = re.compile(r"\w*List")
_ITEM = re.compile(r"items\[([0-9]+)\]\.?")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Documents of the kinds crossmesh reads, in the order of the files, and what was found wrong
    while reading, by place.
    """

    documents: tuple[Document, ...] = ()
    findings: tuple[Finding, ...] = ()
    # Kind, namespace and name of those read past, as far as they have any
    others: tuple[tuple[str, str, str], ...] = ()
    # Names of documents that a mistake keeps out, each with what to do first
    lost: dict[str, str] = {}
    # Kinds of other groups that were read past, as `Deployment (apps/v1)`
    skipped: tuple[str, ...] = ()


def load(files: Sequence[tuple[str, bytes]], *, strict: bool = False) -> Loaded:
    """Documents of all files, given as (name, content). `strict`: unknown fields are errors instead
    of warnings. Never raises.
    """
    documents: list[Document] = []
    findings: list[Finding] = []
    skipped: list[str] = []
    others: list[tuple[str, str, str]] = []
    lost: dict[str, str] = {}
    for file, data in files:
        before = len(documents), len(others), len(findings)
        trees, problems = read(file, data)
        findings += problems
        doubts = [(finding.place.document, finding.place.field) for finding in problems if finding.level == "error"]
        for tree in trees:
            for part, prefix in _objects(tree):
                reader = _Reader(
                    file,
                    part,
                    strict=strict,
                    doubts=_below(prefix, [field for document, field in doubts if document == tree.document]),
                )
                documents += reader.documents()
                skipped += reader.skipped
                others += reader.others
                findings += [_prefixed(finding, prefix) for finding in reader.checker.findings]
        known = [document.name for document in documents[before[0] :]] + [name for _, _, name in others[before[1] :]]
        lost |= set_aside.names(file, data, findings[before[2] :], known)
    ordered = sorted(findings, key=lambda f: (f.place, f.code))
    return Loaded(
        documents=tuple(documents),
        findings=tuple(ordered),
        others=tuple(others),
        lost=lost,
        skipped=tuple(sorted(skipped)),
    )


def read_object(name: str, value: dict[str, Any]) -> Loaded:
    """The documents of one object that no file holds; `name` is what its place says."""
    reader = _Reader(name, Tree(document=0, value=value, line=0, lines={}), strict=False, doubts=[])
    return Loaded(documents=tuple(reader.documents()), findings=tuple(reader.checker.findings))


def _objects(tree: Tree) -> Iterator[tuple[Tree, str]]:
    """The objects of a document, each with the field it stands at: itself, or the items of a List
    (of Lists).
    """
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
        part = Tree(
            document=tree.document, value=item, line=line, lines={**lines[index], "": line}, written=written[index]
        )
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
    """Those of a document's fields that belong to the List's item at `prefix`, as fields of the
    item.
    """
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
        self.skipped: list[str] = []
        self.others: list[tuple[str, str, str]] = []

    def documents(self) -> list[Document]:
        """The documents; none for what is read past or has no usable name."""
        root = self.tree.value
        if not isinstance(root, dict):
            self.checker.wrong("", root, "an object with apiVersion, kind, metadata and spec", code="not-a-manifest")
            return []
        version, kind = root.get("apiVersion"), root.get("kind")
        if not isinstance(version, str) or not isinstance(kind, str):
            missing = "apiVersion" if not isinstance(version, str) else "kind"
            self.checker.report(
                "not-a-manifest", missing, f"{missing} is no text here: the document is read past", level="warning"
            )
            return []
        rule = self._rule(version, kind)
        if rule is None or self._mixed_up(version, kind, root.get("spec")):
            return []
        metadata = self._metadata(root.get("metadata"), kind)
        for key in root:
            if key not in _TOP and kind != "Namespace":
                self.checker.report(
                    "unknown-field",
                    key,
                    f"{key} is no field here",
                    f"known are {', '.join(_TOP)}",
                    self.checker.unknown,
                )
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
            place=SourceLocation(file=self.file, line=self.tree.line, document=self.tree.document),
            lines=self.tree.lines,
            live=bool((root.get("metadata") or {}).get("uid")),
            broken=broken,
        )
        return legacy.convert(document) if version == OLD_VERSION else [document]

    def _rule(self, version: str, kind: str) -> Record | None:
        """The schema of the spec; None for what is not read, which is only worth a word inside App
        Mesh's own group.
        """
        if (version, kind) == ("v1", "Namespace"):
            return record()
        group = version.partition("/")[0]
        if group != GROUP:
            self._other_group(version, group, kind)
            return None
        known = {VERSION: KINDS, OLD_VERSION: legacy.KINDS}.get(version)
        if known is None:
            self.checker.report("unknown-version", "apiVersion", f"found {version}, wanted {VERSION} or {OLD_VERSION}")
            return None
        if kind not in known:
            fix = f"it has {', '.join(sorted(known))}"
            if kind in KINDS:
                fix = f"{kind} is a kind of {VERSION}: write apiVersion: {VERSION}"
            elif near := nearest(kind, known):
                fix = f"did you mean {near}? {fix}"
            self.checker.report("unknown-kind", "kind", f"{version} has no kind {kind}", fix)
            return None
        return known[kind]

    def _other_group(self, version: str, group: str, kind: str) -> None:
        """A document of another API group: one that only means ours is an error, any other is
        counted as skipped.
        """
        if kind in KINDS and nearest(group, (GROUP,), cutoff=0.8):
            message = f"{kind} of the API group {group} is none of App Mesh's: it would have no effect"
            self.checker.report("unknown-group", "apiVersion", message, f"did you mean {VERSION}?")
        else:
            self.skipped.append(f"{kind[:63]} ({version[:63]})")
            metadata = self.tree.value.get("metadata")
            if isinstance(metadata, dict) and isinstance(name := metadata.get("name"), str):
                self.others.append((kind[:63], str(metadata.get("namespace", "default"))[:63], name[:253]))

    def _mixed_up(self, version: str, kind: str, spec: Any) -> bool:
        """Whether a document says one version and is written as the other: one error in place of
        one for each field.
        """
        if (
            version.partition("/")[0] != GROUP
            or not isinstance(spec, dict)
            or kind not in KINDS
            or kind not in legacy.KINDS
        ):
            return False
        old = version == OLD_VERSION
        here, there = (legacy.KINDS, KINDS) if old else (KINDS, legacy.KINDS)
        foreign = [key for key in spec if key not in here[kind].fields and key in there[kind].fields]
        found = spec.get("serviceDiscovery")
        if old and isinstance(found, dict) and "awsCloudMap" in found:
            foreign.append("serviceDiscovery.awsCloudMap")
        if not foreign or ("meshName" in spec) is old:
            return False
        other = VERSION if old else OLD_VERSION
        message = f"this document says {version}, but is written as {other} ({', '.join(foreign)})"
        self.checker.report("other-version", "apiVersion", message, f"write apiVersion: {other}")
        return True

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
