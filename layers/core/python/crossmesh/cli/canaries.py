"""`canary run NAME` starts the deployed canary and tells its verdict; `canary history NAME` shows
the last runs. Nothing is probed from here.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.adapters import aws
from crossmesh.cli import stack, waiting
from crossmesh.cli.printing import Progress, console, print_json, table
from crossmesh.core.canary.history import CanaryHistory, memory_key, stale
from crossmesh.core.canary.split_test import CanaryRun, mix_error
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.suggestions import meant
from crossmesh.errors import CrossmeshError, RefusedError, UsageError
from crossmesh.usecases import state

PATIENCE = 290.0  # seconds: the state machine itself ends after 280
DIAGNOSIS = 60.0  # seconds that a diagnosis may take after its verdict
EVERY = 0.5
BARS = "▁▂▃▄▅▆▇█"
_STYLE = {"good": "green", "failed": "red", "no-data": "red"}


def run(arguments: argparse.Namespace) -> int:
    """0 = every promise was kept, 3 = not."""
    here = stack.reach(arguments, acts=True)
    asked = {"cause": "manual", "canary": _known(arguments, here, deployed=True), "requests": arguments.requests}
    states = aws.client("stepfunctions", here.region)
    with aws.translated():
        started = states.start_execution(stateMachineArn=here.outputs["CanaryArn"], input=codec.encode(asked).decode())
    # An Express execution's ARN ends with one part more
    execution = started["executionArn"].split(":")[7]
    arguments.going_on = f"the canary goes on: crossmesh canary history {arguments.name}"
    with Progress(f"canary {arguments.name} runs ({execution})"):
        verdict = _verdict(here.ports, arguments.name, execution)
    if arguments.json:
        print_json(msgspec.to_builtins(verdict))
    else:
        show(verdict)
    return 0 if verdict.kind == "good" else 3


def _known(arguments: argparse.Namespace, here: stack.Deployed, *, deployed: bool = False) -> str:
    """The name, refused where neither the application's history nor the local crossmesh.yaml has
    it. `deployed`: the application itself must know it.
    """
    name = str(arguments.name)
    declared = set(stack.canaries(here))
    ran = here.ports["State"].read(memory_key(name)) is not None
    if name not in declared and not ran:
        known = ", ".join(sorted(declared)) or "none"
        raise UsageError(
            "UnknownCanary", f"there is no canary {name!r}; crossmesh.yaml has: {known}{meant(name, declared)}"
        )
    if deployed and not ran and here.place.config is not None:
        _refuse_unknown(name, here, here.place.config.sha256)
    return name


def _refuse_unknown(name: str, here: stack.Deployed, local: str) -> None:
    """Raise where a canary that never ran is not in the configuration in force, as far as can be
    told; just after a deployment its first look is waited for.
    """
    if here.target.config in ("", local):
        return
    waiting.for_deployment(here)
    last = stack.last_look(here.ports)
    if last is not None and last.config != local:
        raise RefusedError(
            "NotDeployed",
            f"the canary {name!r} is in the local crossmesh.yaml, but not in the deployed configuration"
            f" ({last.config[:7]}) as far as is known: it never ran. Deploy first (`sam build && sam deploy`)",
        )


def _verdict(ports: Mapping[str, Any], name: str, execution: str) -> Verdict:
    """The execution's verdict; of a failed one with its diagnosis, unless that takes too long. One
    without data is in no history, but kept with its run.
    """
    table = ports["State"]
    until, found, undiagnosed = time.monotonic() + PATIENCE, None, 0.0
    while time.monotonic() < until:
        last = memory_of(table, name).last
        if last is not None and last.run == execution:
            found, undiagnosed = last, undiagnosed or time.monotonic() + DIAGNOSIS
            if last.kind == "good" or last.diagnoses is not None or time.monotonic() > undiagnosed:
                return last
        elif found is not None:
            return found
        elif (kept := ports["RunStore"].get(state.key(execution, f"verdicts/{name}"))) and (
            alone := codec.decode(kept, Verdict)
        ).kind == "no-data":
            return alone
        time.sleep(EVERY)
    raise CrossmeshError(
        f"no verdict of {execution} within {PATIENCE:.0f} s: see the executions of the canary workflow; another run"
        " that was asked for may still go on"
    )


def memory_of(table: Any, name: str) -> CanaryHistory:
    """A canary's history; empty where it never ran."""
    data = table.read(memory_key(name))
    return codec.decode(data, CanaryHistory) if data else CanaryHistory()


def show(verdict: Verdict) -> None:
    """Each check, then the answers that broke a promise."""
    out = console()
    out.print(f"{verdict.canary}: {verdict.kind}", style=_STYLE[verdict.kind])
    for check in verdict.checks or ():
        out.print(f"  {'✓' if check.good else '✗'} {check.name}: {check.says}", style=None if check.good else "red")
    if not verdict.checks:
        out.print(f"  {verdict.says}")
    for broken in verdict.diagnoses or ():
        out.print(f"  → {broken.layer}: {broken.what}", style="yellow")
        out.print(f"    {'; '.join((*broken.evidence, f'fix: {broken.fix}'))}")
    for told in (*((f"a first try failed: {verdict.flake}",) if verdict.flake else ()), *verdict.warnings):
        out.print(f"  ! {told}", style="yellow")
    for sample in verdict.evidence if verdict.kind != "good" else ():
        what = sample.error or f"status {sample.status}"
        text = sample.detail or repr(sample.body[:80])
        out.print(
            f"  {what} {text} from {sample.address or '?'} in {sample.latency_ms:.0f} ms, trace {sample.trace_id}",
        )
    if verdict.trace:
        out.print(f"  the way of one request: crossmesh trace {verdict.trace}", style="dim")


def history(arguments: argparse.Namespace) -> int:
    """0 = the last run was good (or there is none), 3 = it was not, or is too old to say. Without a
    name: every canary of crossmesh.yaml.
    """
    here = stack.reach(arguments)
    if not arguments.name and (here.foreign[0] or here.place.config is None):
        _ = here.config  # its names are wanted, and it refuses
    names = [_known(arguments, here)] if arguments.name else list(stack.canaries(here))
    found, now = {name: memory_of(here.ports["State"], name) for name in names}, time.time()
    if arguments.json:
        print_json(
            {name: {**msgspec.to_builtins(memory), "stale": stale(memory, now)} for name, memory in found.items()}
        )
    else:
        for name, memory in found.items():
            _show_history(name, memory)
    return (
        3 if any(memory.last and (memory.last.kind != "good" or stale(memory, now)) for memory in found.values()) else 0
    )


def _show_history(name: str, memory: CanaryHistory) -> None:
    out, rounds, now = console(), memory.rounds, time.time()
    if not rounds:
        out.print(f"{name}: no run yet")
        return
    good = sum(1 for one in rounds if one.good)
    out.print(
        f"{name}: {good} of the last {len(rounds)} runs good, over {(rounds[-1].at - rounds[0].at) / 60:.0f} minutes"
    )
    grid = table("", f"{_ago(now - rounds[0].at)} → {_ago(now - rounds[-1].at)}", "least", "most", "last")
    rows = (
        ("success", [1.0 if one.good else 0.0 for one in rounds], "{:.0f}"),
        ("p95 ms", [one.p95_ms for one in rounds], "{:.0f}"),
        ("mix error %", [mix_error(one.counts, one.expected) for one in rounds], "{:.1f}"),
    )
    for title, values, form in rows:
        grid.add_row(
            title, sparkline(values), *(form.format(value) for value in (min(values), max(values), values[-1]))
        )
    out.print(grid)
    for one in [one for one in rounds if not one.good][-5:]:
        out.print(f"  failed {_ago(now - one.at)} ago: {_counts(one)}", style="red")
    if stale(memory, now):
        out.print(f"no verdict for {_ago(now - rounds[-1].at)}: what follows does not say how it is now", style="red")
    if memory.last is not None:
        out.print("last run:")
        show(memory.last)


def sparkline(values: Sequence[float]) -> str:
    """One bar a value, from 0 (or the least, where that is below) to the most."""
    low, high = min((0.0, *values)), max(values, default=0.0)
    span = high - low or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)


def _counts(one: CanaryRun) -> str:
    shown = ", ".join(f"{node} {count}" for node, count in sorted(one.counts.items()))
    return f"{shown or 'no answer'}; {one.lost} told no virtual node"


def _ago(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.0f} h"
    )
