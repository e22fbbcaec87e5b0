"""`crossmesh status`: is everything registered, since when, and if not why — in one screen."""

import argparse
import time

import msgspec
from rich.table import Table

from crossmesh import codec
from crossmesh.cli import canaries, stack
from crossmesh.cli.printing import console, print_json
from crossmesh.core import live, shift
from crossmesh.core.actions import Operator
from crossmesh.core.live import InForce
from crossmesh.core.report import Report
from crossmesh.steps import look, manifests, report_run, shifts, store
from crossmesh.steps.drive import drive

STALE = 180.0  # seconds without a look after which the schedule itself is the finding


def run(arguments: argparse.Namespace) -> int:
    """0 = everything is as declared, 3 = something is not."""
    ports, _ = stack.ports(arguments, "")
    last_look, last_run = (_report(ports["State"].read(key)) for key in (look.LAST, report_run.LAST))
    operator = _operator(ports["State"].read(store.OPERATOR))
    paused = bool(operator.paused)
    now = time.time()
    verdicts = {name: last for name in stack.canaries(arguments) if (last := canaries.memory_of(ports["State"], name).last)}
    moved, progress = drive(shifts.recorded(), ports)
    shifted = tuple(shift.told(one, progress.get(one.id)) for one in moved)
    data = ports["State"].read(manifests.MANIFESTS)
    documents = codec.decode(data, InForce) if data else None
    problems = _problems(last_look, last_run, paused, now)
    problems += [
        f"canary {name}: {last.kind}: {last.says} (`crossmesh canary history {name}`)" for name, last in verdicts.items() if last.kind != "good"
    ]
    if arguments.json:
        print_json(
            {
                "ok": not problems,
                "problems": problems,
                "look": msgspec.to_builtins(last_look),
                "run": msgspec.to_builtins(last_run),
                "paused": paused,
                "shifts": shifted,
                "manifests": msgspec.to_builtins(documents),
                "canaries": {name: msgspec.to_builtins(last) for name, last in verdicts.items()},
            }
        )
        return 3 if problems else 0
    out = console()
    if last_look is None:
        out.print("no look has been taken yet: wait a minute, or check that the schedule is enabled")
        return 3
    if last_look.kind == "failed":
        out.print("[red]not known[/]: the last look failed", highlight=False)
    else:
        headline = "[green]everything is as declared[/]" if not problems else "[red]not as declared[/]"
        registered = f"{last_look.registered} of {last_look.endpoints} endpoints registered"
        out.print(f"{headline}: {registered}, looked {now - last_look.at:.0f} s ago", highlight=False)
        table = Table("cluster", "pods", "seen", box=None, pad_edge=False)
        for line in last_look.clusters:
            table.add_row(line.name, str(line.pods), "yes" if not line.cause else f"no: {line.cause} ({line.detail})")
        out.print(table)
    for name, last in verdicts.items():
        style = "green" if last.kind == "good" else "red"
        out.print(
            f"canary {name}: [{style}]{last.kind}[/] {now - last.at:.0f} s ago, {last.requests} requests, p95 {last.p95_ms:.0f} ms",
            highlight=False,
        )
    for source in documents.lines if documents else ():
        out.print(f"manifests of {live.told(source, now)}", style="yellow" if source.cause else "", highlight=False, markup=False)
    for told in shifted:
        out.print(told, highlight=False, markup=False)
    for problem in problems:
        out.print(f"- {problem}", highlight=False, markup=False)
    if last_run is not None:
        ago = now - last_run.at
        done = f"{last_run.adds} adds, {last_run.removals} removals, {last_run.mesh_actions} mesh changes"
        out.print(
            f"last run {last_run.id}: {last_run.kind}, {done} in {last_run.seconds:.1f} s, {ago:.0f} s ago", highlight=False, markup=False
        )
    return 3 if problems else 0


def _operator(data: bytes | None) -> Operator:
    return codec.decode(data, Operator) if data else Operator()


def _report(data: bytes | None) -> Report | None:
    return codec.decode(data, Report) if data else None


def _problems(last: Report | None, last_run: Report | None, paused: bool, now: float) -> list[str]:
    if last is None:
        return ["no look has been taken yet"]
    found = [f"cluster {line.name} is unseen: {line.cause}: {line.detail}" for line in last.clusters if line.cause]
    if now - last.at > STALE:
        found.append(f"the last look is {now - last.at:.0f} s old: the schedule does not run")
    if paused:
        found.append("paused by hand (`crossmesh resume`)")
    if last.kind == "failed":
        since = f"no look since {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(last.well))}" if last.well else "no look yet"
        found.append(f"{since}: {last.failure}")
    pending = last.adds + last.removals + last.health + last.gates + last.mesh_actions
    done = last_run is not None and last_run.kind == "applied" and last_run.at > last.at
    if pending and not done:
        waits = " (Mode is observe: nothing is applied)" if last.kind == "observe" else ""
        found.append(f"{pending} changes pending: {last.adds} adds, {last.removals} removals, {last.mesh_actions} in the mesh{waits}")
    if last.mesh_unavailable:
        found.append(f"mesh unavailable: {last.mesh_unavailable}")
    return [*found, *(f"withheld: {line}" for line in last.withheld), *last.notes]
