"""A configuration folder as one value: settings, topology, findings, and the digest by which runs know that it changed."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from crossmesh.core.documents import Document, Finding, Place
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Topology
from crossmesh.core.topology_build import build
from crossmesh.manifests.documents import load
from crossmesh.manifests.names import resolve_names
from crossmesh.manifests.settings_file import LoadedSettings, load_settings
from crossmesh.manifests.yaml_documents import line_of

FILE = "crossmesh.yaml"
ReadFiles = Callable[[str], Sequence[tuple[str, bytes]]]


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`settings` is None where crossmesh.yaml itself has mistakes; `sha256` covers every file read, by its path in the folder.

    Virtual nodes and services that settings name are resolved: `nodes`, `mix.of` and `mix.bodies` say `namespace/name`.
    """

    settings: Settings | None
    topology: Topology
    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]
    sha256: str


def load_config(folder: Path, read_files: ReadFiles | None = None, *, strict: bool = False, ip_family: str = "ipv4") -> LoadedConfig:
    """Read crossmesh.yaml and the manifests it names. `read_files` gives (path inside the folder, content) of the files that fit a pattern."""
    reading = read_files or _reader(folder)
    found = dict(reading(FILE))
    if FILE not in found:
        finding = _error(FILE, 1, "", "no-settings", f"there is no {FILE}", "`crossmesh init` writes one")
        return LoadedConfig(settings=None, topology=Topology(), documents=(), findings=(finding,), sha256=_digest(found))
    own = load_settings(FILE, found[FILE], strict=strict)
    findings = list(own.findings)
    files = _manifests(own, reading, findings)
    loaded = load(sorted(files.items()), strict=strict)
    built = build(loaded.documents, ip_family=ip_family)
    settings = own.settings
    if settings is not None and settings.mesh.manifests.files:
        settings, problems = resolve_names(settings, built.topology, FILE, own.lines)
        findings += problems
    ordered = sorted({*findings, *loaded.findings, *built.findings}, key=lambda f: (f.place, f.code, f.message))
    return LoadedConfig(
        settings=settings,
        topology=built.topology,
        documents=loaded.documents,
        findings=tuple(ordered),
        sha256=_digest({**found, **files}),
    )


def _manifests(own: LoadedSettings, reading: ReadFiles, findings: list[Finding]) -> dict[str, bytes]:
    """The manifest files; a pattern that fits none is a mistake."""
    files: dict[str, bytes] = {}
    for index, pattern in enumerate(own.settings.mesh.manifests.files if own.settings else ()):
        matched = {name: data for name, data in reading(pattern) if name != FILE}
        if not matched:
            field = f"mesh.manifests.files[{index}]"
            message, cure = f"no file fits {pattern!r}", f"patterns are relative to {FILE}"
            findings.append(_error(FILE, line_of(own.lines, field), field, "no-manifests", message, cure))
        files |= matched
    return files


def _reader(folder: Path) -> ReadFiles:
    def read_files(pattern: str) -> list[tuple[str, bytes]]:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in found]

    return read_files


def _digest(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


def _error(file: str, line: int, field: str, code: str, message: str, cure: str) -> Finding:
    return Finding(level="error", code=code, place=Place(file=file, line=line, field=field), message=message, cure=cure)
