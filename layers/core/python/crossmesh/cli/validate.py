"""`crossmesh validate`: every mistake at once, with file, line, field, what was found and the
fix.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from crossmesh.adapters import aws
from crossmesh.cli.printing import console, print_json, text
from crossmesh.cli.target import folder
from crossmesh.core.compiler.build import build
from crossmesh.core.documents import Finding
from crossmesh.core.mesh.backends import unsupported
from crossmesh.errors import UsageError
from crossmesh.manifests import load
from crossmesh.manifests.config import load_config
from crossmesh.manifests.settings.json_schema import settings_schema


def run(arguments: argparse.Namespace) -> int:
    """0 = nothing wrong, 1 = errors, 3 = warnings only."""
    if arguments.files:
        loaded = load([part for name in arguments.files for part in _read(name)], strict=arguments.strict)
        built = build(loaded.documents, lost=loaded.lost)
        findings: Sequence[Finding] = (*loaded.findings, *built.findings, *unsupported(built))
        counted, skipped = f"{len(loaded.documents)} documents", loaded.skipped
    else:
        config = load_config(folder(arguments), strict=arguments.strict, regions=aws.regions())
        findings = config.findings
        counted = (
            f"{len(config.documents)} documents, {len(config.settings.clusters) if config.settings else 0} clusters,"
            f" configuration {config.sha256[:12]}"
        )
        skipped = config.skipped
    show(findings, as_json=arguments.json)
    errors = sum(1 for finding in findings if finding.level == "error")
    if not arguments.json:
        console().print(f"{counted}: {errors} errors, {len(findings) - errors} warnings")
        if skipped:
            console().print(text(f"{len(skipped)} documents of other API groups were skipped: {_counted(skipped)}"))
    return 1 if errors else 3 if findings else 0


def _read(name: str) -> list[tuple[str, bytes]]:
    """A file, every YAML file of a folder, or what comes in (`-`)."""
    if name == "-":
        return [("stdin", sys.stdin.buffer.read())]
    path = Path(name)
    files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml")) if path.is_dir() else [path]
    if not files:
        raise UsageError("NoFiles", f"{name} has no file that ends in .yaml or .yml")
    return [(str(file), file.read_bytes()) for file in files]


def _counted(kinds: Sequence[str]) -> str:
    """`2 Deployment (apps/v1), 1 Service (v1)`."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(kinds).items()))


def schema(arguments: argparse.Namespace) -> int:
    """Print the schema that editors and other tools check crossmesh.yaml with."""
    del arguments
    print_json(settings_schema())
    return 0


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print findings, worst first."""
    ordered = sorted(findings, key=lambda f: (f.level, f.place, f.code))
    if as_json:
        print_json([msgspec.to_builtins(finding) for finding in ordered])
        return
    out = console()
    for finding in ordered:
        style = "bold red" if finding.level == "error" else "yellow"
        out.print(text(f"{finding.place}: ", (finding.level, style), f": {finding.message} [{finding.code}]"))
        if finding.fix:
            out.print(f"    fix: {finding.fix}")
