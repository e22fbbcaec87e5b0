"""A configuration folder as one value: settings, topology, findings, and the digest by which runs know that it changed."""

import hashlib
from pathlib import Path

import msgspec

from crossmesh.core.documents import Document, Finding, Place
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Topology
from crossmesh.core.topology_build import build
from crossmesh.manifests.reader import load
from crossmesh.manifests.settings_file import load_settings

FILE = "crossmesh.yaml"


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`settings` is None where crossmesh.yaml itself has mistakes; `sha256` covers every file read, by its path in the folder."""

    settings: Settings | None
    topology: Topology
    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]
    sha256: str


def load_config(folder: Path) -> LoadedConfig:
    """Read crossmesh.yaml and the manifests it names."""
    digest = hashlib.sha256()

    def read(path: Path) -> tuple[str, bytes]:
        name, data = path.relative_to(folder).as_posix(), path.read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
        return name, data

    own = load_settings(*read(folder / FILE))
    findings = list(own.findings)
    files: list[tuple[str, bytes]] = []
    if own.settings is not None:
        for pattern in own.settings.mesh.manifests.files:
            matched = sorted(folder.glob(pattern))
            if not matched:
                place = Place(file=FILE, line=own.lines.get("mesh.manifests.files", 1), field="mesh.manifests.files")
                message, cure = f"no file matches {pattern!r}", "patterns are relative to crossmesh.yaml"
                findings.append(Finding(level="error", code="no-manifests", place=place, message=message, cure=cure))
            files += [read(path) for path in matched if path.is_file()]
    loaded = load(files)
    built = build(loaded.documents)
    findings += [*loaded.findings, *built.findings]
    if own.settings is not None:
        findings += _crosscheck(own.settings, built.topology, own.lines)
    return LoadedConfig(
        settings=own.settings, topology=built.topology, documents=loaded.documents, findings=tuple(findings), sha256=digest.hexdigest()
    )


def _crosscheck(settings: Settings, topology: Topology, lines: dict[str, int]) -> list[Finding]:
    """What settings name must be in the manifests."""
    nodes = {node.key for node in topology.nodes}
    found = []
    for cluster in settings.clusters:
        for name in cluster.nodes or ():
            if name not in nodes:
                field = f"clusters.{cluster.name}.nodes"
                place = Place(file=FILE, line=lines.get(field, 1), field=field)
                message, cure = f"virtual node {name!r} is in no manifest", f"known are {', '.join(sorted(nodes)) or 'none'}"
                found.append(Finding(level="error", code="unknown-node", place=place, message=message, cure=cure))
    return found
