"""`crossmesh validate`: every mistake at once, with file, line, field, what was found and the cure."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from crossmesh.cli.printing import console, print_json
from crossmesh.core.documents import Finding
from crossmesh.core.topology_build import build
from crossmesh.manifests import load
from crossmesh.manifests.config import load_config
from crossmesh.manifests.settings_schema import settings_schema


def run(arguments: argparse.Namespace) -> int:
    """0 = nothing wrong, 1 = errors, 3 = warnings only."""
    if arguments.files:
        loaded = load([(name, Path(name).read_bytes()) for name in arguments.files], strict=arguments.strict)
        findings: Sequence[Finding] = (*loaded.findings, *build(loaded.documents).findings)
        counted = f"{len(loaded.documents)} documents"
    else:
        config = load_config(Path(arguments.config), strict=arguments.strict)
        findings = config.findings
        counted = f"{len(config.documents)} documents, {len(config.settings.clusters) if config.settings else 0} clusters, configuration {config.sha256[:12]}"
    show(findings, as_json=arguments.json)
    errors = sum(1 for finding in findings if finding.level == "error")
    if not arguments.json:
        console().print(f"{counted}: {errors} errors, {len(findings) - errors} warnings", highlight=False)
    return 1 if errors else 3 if findings else 0


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
    for finding in ordered:
        style = "bold red" if finding.level == "error" else "yellow"
        out = console(sys.stdout)
        out.print(f"{finding.place}: ", end="", highlight=False, markup=False)
        out.print(finding.level, style=style, end="")
        out.print(
            f": {finding.message} [{finding.code}]" + (f"\n    cure: {finding.cure}" if finding.cure else ""), highlight=False, markup=False
        )
