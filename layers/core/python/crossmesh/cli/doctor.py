"""`crossmesh doctor`: the deployed canary's checks by hand, and what will cost requests at the next
rollout; each finding with its fix.
"""

import argparse
from collections.abc import Sequence
from typing import get_args

import msgspec

from crossmesh.cli import account, stack
from crossmesh.cli.printing import console, print_json, table
from crossmesh.core.canary.history import FRESH
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.diagnosis import preconditions
from crossmesh.core.diagnosis.doctor import Part
from crossmesh.core.mesh.shift_lines import moment
from crossmesh.core.registry.overrides import describe_overrides
from crossmesh.driver import drive
from crossmesh.usecases import state
from crossmesh.usecases.doctor import DoctorReport, examine

PARTS: tuple[Part, ...] = get_args(Part)


def run(arguments: argparse.Namespace) -> int:
    """0 = no finding, 3 = findings."""
    here = stack.reach(arguments)
    for wish in describe_overrides(drive(state.operator(), here.ports)) if not arguments.json else ():
        console().print(wish, style="bold red")
    parts = frozenset(part for part in PARTS if part not in arguments.skip)
    examined = drive(examine(here.context(), parts, here.parameters), here.ports)
    if "account" in parts:
        examined = _with_account(examined, here)
    if arguments.json:
        print_json({"ok": not examined.findings, **msgspec.to_builtins(examined)})
    else:
        _show(examined)
    return 3 if examined.findings else 0


def _with_account(examined: DoctorReport, here: stack.Deployed) -> DoctorReport:
    """What the account lacks (core/diagnosis/preconditions.py), beside the rest."""
    settings = here.context().settings
    found = account.read(settings, [one for one in here.parameters.get("VpcSubnetIds", "").split(",") if one])
    readers = [role for role in here.outputs.get("ReaderRoleArns", "").split(",") if role]
    more = (*preconditions.missing(settings, found, here.parameters, readers), *preconditions.same_names(settings))
    return msgspec.structs.replace(
        examined, findings=(*examined.findings, *more), unread=(*examined.unread, *found.unread)
    )


def _show(examined: DoctorReport) -> None:
    out = console()
    for verdict in examined.verdicts:
        for line, style in told(
            verdict, examined.deployed.get(verdict.canary), examined.broken.get(verdict.canary, ())
        ):
            out.print(line, style=style)
    if examined.findings:
        grid = table("about", "finding", "fix")
        for finding in examined.findings:
            evidence = f" ({'; '.join(finding.evidence)})" if finding.evidence else ""
            grid.add_row(finding.part, f"{finding.what}{evidence}", finding.fix)
        out.print(grid)
    for unread in examined.unread:
        out.print(f"not looked at: {unread}", style="yellow")
    out.print(f"{len(examined.findings)} {'finding' if len(examined.findings) == 1 else 'findings'}")


def told(here: Verdict, last: Verdict | None, broken: Sequence[str] = ()) -> list[tuple[str, str]]:
    """A canary's verdict by requests from here, and the deployed canary's last one, each with its
    time; lines and their styles.

    `broken`: what was found on its path. Requests that were answered do not make that good.
    """
    asked = f"{here.requests} requests" if here.requests != 1 else "1 request"
    kind = "answered from here, but broken" if broken and here.kind == "good" else here.kind
    lines = [(f"canary {here.canary}: {kind}, by {asked} from here at {moment(here.at)}: {here.says}", "")]
    if kind != here.kind:
        lines += [(f"  ! {what}", "yellow") for what in broken]
    if last is None:
        return [*lines, ("  the deployed canary has given no verdict yet", "yellow")]
    age = here.at - last.at
    when = f"{moment(last.at)}, {abs(age):.0f} s {'before' if age >= 0 else 'after'}"
    lines.append((f"  the deployed canary: {last.kind}, by {last.requests} requests at {when}: {last.says}", ""))
    if abs(age) > FRESH:
        lines.append(("  ! that verdict is too old to speak for now: the deployed canary does not run", "yellow"))
    if here.kind != last.kind:
        newer = "the one from here is newer" if age >= 0 else "the deployed canary's is newer"
        lines.append(
            (
                f"  ! the two disagree; {newer}. `crossmesh canary run {here.canary}` asks the deployed canary again",
                "yellow",
            )
        )
    return lines
