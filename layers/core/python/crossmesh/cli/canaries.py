"""`canary run NAME` starts the deployed canary and tells its verdict; `canary history NAME` shows the last runs. Nothing is probed from here."""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.table import Table

from crossmesh import codec
from crossmesh.adapters import aws
from crossmesh.cli import stack
from crossmesh.cli.printing import console, print_json
from crossmesh.core.canary import Memory, Verdict
from crossmesh.core.mix import Round, mix_error
from crossmesh.errors import CrossmeshError, RefusedError
from crossmesh.steps.judge_canary import memory_key

PATIENCE = 290.0  # seconds: the state machine itself ends after 280
DIAGNOSIS = 60.0  # seconds that a diagnosis may take after its verdict
EVERY = 0.5
BARS = "▁▂▃▄▅▆▇█"
_STYLE = {"good": "green", "failed": "red", "no-data": "red"}


def run(arguments: argparse.Namespace) -> int:
    """0 = every promise was kept, 3 = not."""
    ports, outputs = stack.ports(arguments, "")
    asked = {"cause": "manual", "canary": _known(arguments, ports["State"]), "requests": arguments.requests}
    region = outputs["CanaryArn"].split(":")[3]
    with aws.translated():
        started = aws.client("stepfunctions", region).start_execution(stateMachineArn=outputs["CanaryArn"], input=codec.encode(asked).decode())
    execution = started["executionArn"].split(":")[7]  # an Express execution's ARN ends with one part more
    with console().status(f"canary {arguments.name} runs ({execution})"):
        verdict = _verdict(ports["State"], arguments.name, execution)
    if arguments.json:
        print_json(msgspec.to_builtins(verdict))
    else:
        show(verdict)
    return 0 if verdict.kind == "good" else 3


def _known(arguments: argparse.Namespace, state: Any) -> str:
    """The name, refused where it is in no settings: neither the deployed application's history nor the local crossmesh.yaml has it."""
    name = str(arguments.name)
    declared = set(stack.canaries(arguments))
    if name not in declared and state.read(memory_key(name)) is None:
        raise RefusedError("UnknownCanary", f"no canary {name!r}; crossmesh.yaml has: {', '.join(sorted(declared)) or 'none'}")
    return name


def _verdict(state: Any, name: str, execution: str) -> Verdict:
    """The execution's verdict; of a failed one with its diagnosis, unless that takes too long."""
    until, found, undiagnosed = time.monotonic() + PATIENCE, None, 0.0
    while time.monotonic() < until:
        last = memory_of(state, name).last
        if last is not None and last.run == execution:
            found, undiagnosed = last, undiagnosed or time.monotonic() + DIAGNOSIS
            if last.kind == "good" or last.diagnoses is not None or time.monotonic() > undiagnosed:
                return last
        elif found is not None:
            return found
        time.sleep(EVERY)
    raise CrossmeshError(f"no verdict of {execution} within {PATIENCE:.0f} s: see the executions of the canary workflow")


def memory_of(state: Any, name: str) -> Memory:
    """A canary's history; empty where it never ran."""
    data = state.read(memory_key(name))
    return codec.decode(data, Memory) if data else Memory()


def show(verdict: Verdict) -> None:
    """Each check, then the answers that broke a promise."""
    out = console()
    out.print(f"{verdict.canary}: {verdict.kind}", style=_STYLE[verdict.kind], highlight=False)
    for check in verdict.checks or ():
        out.print(
            f"  {'✓' if check.good else '✗'} {check.name}: {check.says}", style=None if check.good else "red", highlight=False, markup=False
        )
    if not verdict.checks:
        out.print(f"  {verdict.says}", highlight=False, markup=False)
    for broken in verdict.diagnoses or ():
        out.print(f"  → {broken.layer}: {broken.what}", style="yellow", highlight=False, markup=False)
        out.print(f"    {'; '.join((*broken.evidence, f'cure: {broken.cure}'))}", highlight=False, markup=False)
    for told in (*((f"a first try failed: {verdict.glitch}",) if verdict.glitch else ()), *verdict.warnings):
        out.print(f"  ! {told}", style="yellow", highlight=False, markup=False)
    for sample in verdict.evidence if verdict.kind != "good" else ():
        what = sample.error or f"status {sample.status}"
        text = sample.detail or repr(sample.body[:80])
        out.print(
            f"  {what} {text} from {sample.address or '?'} in {sample.latency_ms:.0f} ms, trace {sample.trace_id}",
            highlight=False,
            markup=False,
        )
    if verdict.trace:
        out.print(f"  the way of one request: crossmesh trace {verdict.trace}", style="dim", highlight=False, markup=False)


def history(arguments: argparse.Namespace) -> int:
    """0 = the last run was good (or there is none), 3 = not. Without a name: every canary of crossmesh.yaml."""
    ports, _ = stack.ports(arguments, "")
    names = [_known(arguments, ports["State"])] if arguments.name else list(stack.canaries(arguments))
    found = {name: memory_of(ports["State"], name) for name in names}
    if arguments.json:
        print_json({name: msgspec.to_builtins(memory) for name, memory in found.items()})
    else:
        for name, memory in found.items():
            _show_history(name, memory)
    return 3 if any(memory.last and memory.last.kind != "good" for memory in found.values()) else 0


def _show_history(name: str, memory: Memory) -> None:
    out, rounds, now = console(), memory.rounds, time.time()
    if not rounds:
        out.print(f"{name}: no run yet", highlight=False)
        return
    good = sum(1 for one in rounds if one.good)
    out.print(f"{name}: {good} of the last {len(rounds)} runs good, over {(rounds[-1].at - rounds[0].at) / 60:.0f} minutes", highlight=False)
    table = Table("", f"{_ago(now - rounds[0].at)} → {_ago(now - rounds[-1].at)}", "least", "most", "last", box=None, pad_edge=False)
    rows = (
        ("success", [1.0 if one.good else 0.0 for one in rounds], "{:.0f}"),
        ("p95 ms", [one.p95_ms for one in rounds], "{:.0f}"),
        ("mix error %", [mix_error(one.counts, one.expected) for one in rounds], "{:.1f}"),
    )
    for title, values, form in rows:
        table.add_row(title, sparkline(values), *(form.format(value) for value in (min(values), max(values), values[-1])))
    out.print(table)
    for one in [one for one in rounds if not one.good][-5:]:
        out.print(f"  failed {_ago(now - one.at)} ago: {_counts(one)}", style="red", highlight=False, markup=False)
    if memory.last is not None:
        out.print("last run:", highlight=False)
        show(memory.last)


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, from 0 (or the least, where that is below) to the most."""
    low, high = min((0.0, *values)), max(values, default=0.0)
    span = high - low or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)


def _counts(one: Round) -> str:
    shown = ", ".join(f"{node} {count}" for node, count in sorted(one.counts.items()))
    return f"{shown or 'no answer'}; {one.lost} told no virtual node"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
