"""A configuration folder as one value: settings, topology, findings, and the digest by which runs
know that it changed.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from crossmesh.core.compiler import tenants
from crossmesh.core.compiler.build import build
from crossmesh.core.diagnosis import ingress_rules
from crossmesh.core.documents import Document, Finding, SourceLocation
from crossmesh.core.mesh.backends import unsupported
from crossmesh.core.regions import Regions
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Topology
from crossmesh.manifests import fronts, set_aside
from crossmesh.manifests.documents import load
from crossmesh.manifests.names import resolve_names
from crossmesh.manifests.settings.load import LoadedSettings, load_settings
from crossmesh.manifests.yaml_documents import line_of

FILE = "crossmesh.yaml"
ReadFiles = Callable[[str], Sequence[tuple[str, bytes]]]


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`settings` is None where crossmesh.yaml itself has mistakes; `sha256` covers every file read,
    by its path in the folder.

    Virtual nodes and services that settings name are resolved: `nodes`, `mix.of` and `mix.bodies`
    say `namespace/name`.
    """

    settings: Settings | None
    topology: Topology
    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]
    sha256: str
    skipped: tuple[str, ...] = ()
    """Documents of other API groups in the same files, such as `Deployment (apps/v1)`: they are
    none of crossmesh's.
    """


def load_config(
    folder: Path,
    read_files: ReadFiles | None = None,
    *,
    strict: bool = False,
    ip_family: str = "ipv4",
    regions: Regions | None = None,
) -> LoadedConfig:
    """Read crossmesh.yaml and the manifests it names. `read_files` gives (path inside the folder,
    content) of the files that fit a pattern.

    `regions`: hold the names of Regions against these.
    """
    reading = read_files or _reader(folder)
    found = dict(reading(FILE))
    if FILE not in found:
        finding = _error(FILE, 1, "", "no-settings", f"there is no {FILE}", "`crossmesh init` writes one")
        return LoadedConfig(
            settings=None, topology=Topology(), documents=(), findings=(finding,), sha256=_digest(found)
        )
    own = load_settings(FILE, found[FILE], strict=strict, regions=regions)
    findings = list(own.findings)
    files = _manifests(own, reading, findings)
    loaded = load(sorted(files.items()), strict=strict)
    built = build(loaded.documents, ip_family=ip_family, lost=loaded.lost)
    settings = own.settings
    if settings is not None and settings.mesh.manifests.files:
        kept = [*(node.key for node in built.topology.nodes), *(service.key for service in built.topology.services)]
        settings, problems = resolve_names(
            settings, built.topology, FILE, own.lines, {**set_aside.outside(loaded.documents, kept), **loaded.lost}
        )
        findings += [*problems, *tenants.check(built.topology, settings.mesh.manifests)]
        findings += fronts.check(settings, loaded.documents, loaded.others, FILE, own.lines)
        if settings.security_groups == "open":
            findings += ingress_rules.not_opened(built.topology, settings.open_ports)
    ordered = sorted(
        {*findings, *loaded.findings, *built.findings, *unsupported(built, settings)},
        key=lambda f: (f.place, f.code, f.message),
    )
    return LoadedConfig(
        settings=settings,
        topology=built.topology,
        documents=loaded.documents,
        findings=tuple(ordered),
        sha256=_digest({**found, **files}),
        skipped=loaded.skipped,
    )


def _manifests(own: LoadedSettings, reading: ReadFiles, findings: list[Finding]) -> dict[str, bytes]:
    """The manifest files; a pattern that fits none is a mistake."""
    files: dict[str, bytes] = {}
    for index, pattern in enumerate(own.patterns):
        _other_ending(own, index, pattern, reading, findings)
        matched = {name: data for name, data in reading(pattern) if name != FILE}
        if not matched:
            field = f"mesh.manifests.files[{index}]"
            message, fix = f"no file fits {pattern!r}", f"patterns are relative to {FILE}"
            findings.append(_error(FILE, line_of(own.lines, field), field, "no-manifests", message, fix))
        files |= matched
        for name, data in matched.items():
            if not data.strip():
                message, fix = (
                    "the file is empty: what it declared before is no longer declared",
                    "restore its documents, or delete the file",
                )
                findings.append(
                    Finding(
                        level="warning",
                        code="empty-file",
                        place=SourceLocation(file=name, line=1),
                        message=message,
                        fix=fix,
                    )
                )
    return files


def _other_ending(own: LoadedSettings, index: int, pattern: str, reading: ReadFiles, findings: list[Finding]) -> None:
    """Warn of files that a pattern misses only because they end in .yml, or in .yaml."""
    endings = {".yaml": ".yml", ".yml": ".yaml"}
    ending = next((ending for ending in endings if pattern.endswith(ending)), None)
    if ending is None:
        return
    other = pattern.removesuffix(ending) + endings[ending]
    missed = sorted(name for name, _ in reading(other)) if other not in own.patterns else []
    if missed:
        field = f"mesh.manifests.files[{index}]"
        message = f"{pattern!r} does not match {', '.join(missed[:5])}{' …' if len(missed) > 5 else ''}: not read"
        place = SourceLocation(file=FILE, line=line_of(own.lines, field), field=field)
        fix = f"rename to {ending}, or add {other!r}"
        findings.append(Finding(level="warning", code="unread-file", place=place, message=message, fix=fix))


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


def _error(file: str, line: int, field: str, code: str, message: str, fix: str) -> Finding:
    return Finding(
        level="error", code=code, place=SourceLocation(file=file, line=line, field=field), message=message, fix=fix
    )
