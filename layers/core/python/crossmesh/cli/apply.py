"""`crossmesh apply [PLANFILE]`: show the plan, ask, start the deployed run with the plan's reference, follow it to its end.

The command line writes nothing to Cloud Map or the mesh: the run does, under its lease, and observes again first. A run that meets another one
holding the lease asks that one to go once more, and it is followed instead.
"""

import argparse
import json
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from crossmesh import codec, configuration
from crossmesh.adapters import aws
from crossmesh.cli import plan, stack
from crossmesh.cli.operate import confirmed
from crossmesh.cli.printing import console, print_json
from crossmesh.core.actions import Operator
from crossmesh.core.report import Report
from crossmesh.errors import NotFound, RefusedError
from crossmesh.steps import lease, look, store
from crossmesh.steps.drive import drive
from crossmesh.steps.handing import Handed

EVERY = 0.5  # seconds between questions to Step Functions


def run(arguments: argparse.Namespace) -> int:
    """0 = done as planned or nothing to do, 1 = refused or failed, 3 = done, and something was withheld or did not come about."""
    config = configuration.load(configuration.find_folder((arguments.config,)))
    assert config.settings is not None
    ports, outputs = stack.ports(arguments, config.settings.region)
    _refuse(ports, outputs, config.sha256)
    seen = drive(look.see(stack.context(arguments, config, outputs)), ports)
    if arguments.planfile:
        _still(Path(arguments.planfile), config.sha256, seen)
    if not arguments.json:
        plan.show(seen)
    if not plan.changes(seen):
        if arguments.json:
            print_json({"run": "", "changes": 0})
        return 0
    if not confirmed(arguments, f"apply {plan.changes(seen)} changes"):
        return 1
    name = f"apply-{uuid.uuid4()}"
    kept = drive(store.save(store.key(name, "look"), Handed(memory=seen.plan.memory)), ports)
    region = outputs["ReconcileArn"].split(":")[3]
    runs = Following(region, quiet=arguments.json)
    execution = runs.start(outputs["ReconcileArn"], name, {"id": name, "look": kept})
    status = runs.follow(execution)
    if status == "SUCCEEDED" and ports["RunStore"].get(store.key(name, "report")) is None:
        status, name = _holder(ports, runs, name)
    return _told(arguments, ports, name, status)


def _refuse(ports: Any, outputs: dict[str, str], sha256: str) -> None:
    """Raise where a run would write nothing, or something else than was shown."""
    if outputs.get("ModeNow") == "observe":
        raise RefusedError("Observes", "the application was deployed with Mode=observe and writes nothing: deploy it with Mode=apply")
    other = stack.other_configuration(ports, sha256)
    if other:
        raise RefusedError("OtherConfiguration", other)
    data = ports["State"].read(store.OPERATOR)
    if data and codec.decode(data, Operator).paused:
        raise RefusedError("Paused", "the application is paused: `crossmesh resume` first")


def _still(file: Path, sha256: str, seen: look.Seen) -> None:
    """Raise unless the world still asks for no more than what the plan file shows."""
    try:
        planned = codec.decode(file.read_bytes(), plan.PlanFile)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RefusedError("NotAPlan", f"{file} is no plan that `crossmesh plan --out` wrote: {error}") from error
    if planned.config != sha256:
        raise RefusedError("OldPlan", f"{file} was made from configuration {planned.config[:12]}, this one is {sha256[:12]}: plan again")
    shown = Counter(codec.encode(action) for action in (*planned.registry.actions, *planned.mesh.actions))
    more = Counter(codec.encode(action) for action in (*seen.plan.actions, *seen.mesh.actions)) - shown
    if more:
        raise RefusedError("OldPlan", f"the world moved since {file} was made, {more.total()} changes are not in it: plan again")


class Following:
    """Executions of the deployed state machine, watched from outside."""

    def __init__(self, region: str, *, quiet: bool) -> None:
        self._client, self._quiet = aws.client("stepfunctions", region), quiet

    def start(self, machine: str, name: str, given: dict[str, str]) -> str:
        """Start one; its ARN."""
        with aws.translated():
            return str(self._client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))["executionArn"])

    def follow(self, execution: str) -> str:
        """Wait for its end and tell each state it enters: one line that changes on a terminal, a line each in a pipe. Its status."""
        told = 0
        out = console(sys.stderr)
        with out.status("starting") as line:
            while True:
                with aws.translated():
                    status = str(self._client.describe_execution(executionArn=execution)["status"])
                    entered = self._entered(execution)
                for state in entered[told:]:
                    line.update(state)
                    if not self._quiet and not sys.stderr.isatty():
                        out.print(f"  {state}", highlight=False, markup=False)
                told = len(entered)
                if status != "RUNNING":
                    return status
                time.sleep(EVERY)

    def _entered(self, execution: str) -> list[str]:
        pages = self._client.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event["stateEnteredEventDetails"]["name"] for page in pages for event in page["events"] if "stateEnteredEventDetails" in event]


def _holder(ports: Any, runs: Following, name: str) -> tuple[str, str]:
    """Follow whoever holds the lease in our place; its status and its last run's id."""
    found = ports["State"].read_lease(lease.NAME)
    if found is not None and found.holder:
        console(sys.stderr).print(f"another run holds the lease and goes once more: {found.holder}", highlight=False, markup=False)
        status = runs.follow(found.holder)
    else:
        status = "SUCCEEDED"
    data = ports["State"].read("run")
    return status, codec.decode(data, Report).id if data else name


def _told(arguments: argparse.Namespace, ports: Any, name: str, status: str) -> int:
    data = ports["RunStore"].get(store.key(name, "report"))
    if data is None:
        raise NotFound("NoReport", f"run {name} ended as {status} without a report; see its execution")
    report = codec.decode(data, Report)
    left = len(report.withheld) + report.failed
    code = 1 if status != "SUCCEEDED" or report.kind == "failed" else 3 if left or report.kind == "superseded" else 0
    if arguments.json:
        print_json({"run": name, "status": status, "report": msgspec.to_builtins(report)})
        return code
    done = f"{report.adds} adds, {report.removals} removals, {report.mesh_actions} mesh changes"
    out = console()
    out.print(f"run {name}: {report.kind}, {done} in {report.seconds:.1f} s", highlight=False, markup=False)
    for line in report.withheld:
        out.print(f"= withheld: {line}", style="yellow", highlight=False, markup=False)
    if report.failure:
        out.print(f"it failed: {report.failure}", style="red", highlight=False, markup=False)
    if code:
        out.print(f"`crossmesh explain {name}` tells more", highlight=False, markup=False)
    return code
