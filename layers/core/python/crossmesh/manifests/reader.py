"""YAML with positions, as Kubernetes reads it. Documents of kinds that crossmesh does not know are read past."""

from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from crossmesh.core.documents import Document, Finding, Place

LIMIT = 5_000_000  # bytes a file; beyond it nobody wrote this by hand
NODES = 200_000  # YAML nodes after aliases are followed: a bomb is refused, not unpacked
KINDS = ("Mesh", "VirtualNode", "VirtualService", "VirtualRouter", "VirtualGateway", "GatewayRoute", "BackendGroup")
GROUP = "appmesh.k8s.aws/v1beta2"
CLUSTER_WIDE = ("Mesh", "Namespace")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOLEANS = {"y": True, "Y": True, "n": False, "N": False}  # YAML 1.1, as sigs.k8s.io/yaml reads them; PyYAML does not


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Documents of the kinds crossmesh reads, in the order of the files, and what was found wrong while reading."""

    documents: tuple[Document, ...] = ()
    findings: tuple[Finding, ...] = ()


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A YAML document as plain values, with the line of each field."""

    value: Any
    line: int
    lines: dict[str, int]


class _TooLarge(Exception):
    pass


def read(file: str, data: bytes) -> tuple[list[Value], list[Finding]]:
    """Every document of a file as plain values; a file that is not YAML gives one finding and nothing else."""
    place = Place(file=file, line=1)
    if len(data) > LIMIT:
        return [], [_error("too-large", place, f"the file has {len(data):,} bytes", f"at most {LIMIT:,}; split it")]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return [], [_error("not-utf8", place, f"byte {error.start} is not UTF-8", "save the file as UTF-8")]
    values: list[Value] = []
    findings: list[Finding] = []
    try:
        for root in yaml.compose_all(text, Loader=_Loader):
            if root is None:
                continue
            builder = _Builder(file, len(values))
            plain = builder.plain(root, "")
            findings += builder.findings
            values.append(Value(value=plain, line=root.start_mark.line + 1, lines=builder.lines))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        return [], [
            _error("not-yaml", Place(file=file, line=line), f"not YAML: {getattr(error, 'problem', None) or error}", "correct the syntax")
        ]
    except (_TooLarge, RecursionError):
        return [], [_error("too-deep", place, f"the file unfolds to more than {NODES:,} values", "remove nested aliases")]
    return values, findings


class _Builder:
    """Plain values from YAML nodes, remembering lines; duplicate keys and unknown tags are findings."""

    def __init__(self, file: str, document: int) -> None:
        self.file, self.document = file, document
        self.lines: dict[str, int] = {}
        self.findings: list[Finding] = []
        self.count = 0

    def plain(self, node: Any, field: str) -> Any:
        self.count += 1
        if self.count > NODES:
            raise _TooLarge
        line = node.start_mark.line + 1
        self.lines.setdefault(field, line)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, f"{field}[{index}]") for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, field)
        return self._scalar(node, field)

    def _mapping(self, node: Any, field: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else str(key_node.value)
            here = f"{field}.{key}" if field else key
            if key in found:
                place = Place(file=self.file, line=key_node.start_mark.line + 1, document=self.document, field=here)
                self.findings.append(_error("duplicate-key", place, f"{key} stands here twice", "keep one"))
            found[key] = self.plain(value_node, here)
            self.lines[here] = key_node.start_mark.line + 1
        return found

    def _scalar(self, node: Any, field: str) -> Any:
        if node.tag == "tag:yaml.org,2002:str":
            plain = node.style is None
            return _BOOLEANS[node.value] if plain and node.value in _BOOLEANS else node.value
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            place = Place(file=self.file, line=node.start_mark.line + 1, document=self.document, field=field)
            self.findings.append(_error("bad-value", place, f"{node.value!r} cannot be read: {error}", "quote it if it is text"))
            return None


def load(files: Sequence[tuple[str, bytes]]) -> Loaded:
    """Documents of all files."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for file, data in files:
        values, problems = read(file, data)
        findings += problems
        for index, value in enumerate(values):
            for item, lines, line in _items(value):
                document = _document(file, index, item, lines, line, findings)
                if document is not None:
                    documents.append(document)
    return Loaded(documents=tuple(documents), findings=tuple(findings))


def _items(value: Value) -> list[tuple[Any, dict[str, int], int]]:
    """The objects of a document: itself, or the items of a List."""
    root = value.value
    if isinstance(root, dict) and str(root.get("kind", "")).endswith("List") and isinstance(root.get("items"), list):
        found = []
        for index, item in enumerate(root["items"]):
            prefix = f"items[{index}]"
            lines = {field.removeprefix(prefix).lstrip("."): line for field, line in value.lines.items() if field.startswith(prefix)}
            found.append((item, lines, value.lines.get(prefix, value.line)))
        return found
    return [(root, value.lines, value.line)]


def _document(file: str, index: int, item: Any, lines: dict[str, int], line: int, findings: list[Finding]) -> Document | None:
    place = Place(file=file, line=line, document=index)
    if not isinstance(item, dict):
        findings.append(_error("not-an-object", place, "the document is not an object", "a manifest has apiVersion, kind, metadata and spec"))
        return None
    kind, version = item.get("kind"), item.get("apiVersion")
    if (version == GROUP and kind in KINDS) or (version == "v1" and kind == "Namespace"):
        metadata = _object(item.get("metadata"))
        name = metadata.get("name")
        if not isinstance(name, str) or not name:
            found = "nothing" if name is None else f"{name!r} ({type(name).__name__})"
            at = Place(file=file, line=lines.get("metadata.name", line), document=index, field="metadata.name")
            cure = "a name; quote it if YAML reads it as something else" if name is not None else "every object has a name"
            findings.append(_error("bad-name", at, f"found {found}, wanted text", cure))
            return None
        namespace = "" if kind in CLUSTER_WIDE else str(metadata.get("namespace") or "default")
        spec = _object(item.get("spec"))
        return Document(
            api_version=str(version),
            kind=str(kind),
            namespace=namespace,
            name=name,
            labels=_texts(metadata.get("labels")),
            annotations=_texts(metadata.get("annotations")),
            spec=spec if kind != "Namespace" else {},
            place=place,
            lines=lines,
        )
    if isinstance(version, str) and version.startswith("appmesh.k8s.aws/"):
        message = f"{kind} of {version} is not read"
        findings.append(_error("unknown-version", place, message, f"{GROUP} has {', '.join(KINDS)}"))
    return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else {}


def _error(code: str, place: Place, message: str, cure: str) -> Finding:
    return Finding(level="error", code=code, place=place, message=message, cure=cure)
