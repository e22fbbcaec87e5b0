"""`crossmesh doctor`: the deployed canary's checks by hand, and what will cost requests at the next rollout; each finding with its cure."""

import argparse
from typing import get_args

import msgspec
from rich.table import Table

from crossmesh import configuration
from crossmesh.cli import stack
from crossmesh.cli.printing import console, print_json
from crossmesh.core.advice import Part
from crossmesh.steps.drive import drive
from crossmesh.steps.examine import Examined, examine

PARTS: tuple[Part, ...] = get_args(Part)


def run(arguments: argparse.Namespace) -> int:
    """0 = no finding, 3 = findings."""
    config = configuration.load(configuration.find_folder((arguments.config,)))
    assert config.settings is not None
    ports, found = stack.ports(arguments, config.settings.region)
    parts = frozenset(part for part in PARTS if part not in arguments.skip)
    parameters = stack.parameters(stack.name_of(arguments), config.settings.region)
    examined = drive(examine(stack.context(arguments, config, found), parts, parameters), ports)
    if arguments.json:
        print_json({"ok": not examined.findings, **msgspec.to_builtins(examined)})
    else:
        _show(examined)
    return 3 if examined.findings else 0


def _show(examined: Examined) -> None:
    out = console()
    for verdict in examined.verdicts:
        out.print(f"canary {verdict.canary}: {verdict.kind}: {verdict.says}", highlight=False, markup=False)
    if examined.findings:
        table = Table("about", "finding", "cure", box=None, pad_edge=False)
        for finding in examined.findings:
            evidence = f" ({'; '.join(finding.evidence)})" if finding.evidence else ""
            table.add_row(finding.part, f"{finding.what}{evidence}".replace("[", r"\["), finding.cure.replace("[", r"\["))
        out.print(table)
    for unread in examined.unread:
        out.print(f"not looked at: {unread}", style="yellow", highlight=False, markup=False)
    out.print(f"{len(examined.findings)} findings", highlight=False)
