"""`crossmesh apply [PLANFILE]`: show the plan, ask, start the deployed run with the plan's
reference, follow it to its end.

The command line writes nothing to Cloud Map or the mesh: the run does, under its lease, and
observes again first. A run that meets another one holding the lease asks that one to go once more,
and it is followed instead.
"""

import argparse
import json
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.adapters import aws
from crossmesh.cli import exits, journal, plan, printing, stack, waiting
from crossmesh.cli.operate import confirmed
from crossmesh.cli.printing import console, print_json
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.errors import NotFound, RefusedError, UsageError
from crossmesh.usecases import lease, look, state
from crossmesh.usecases.plan_handoff import PlanHandoff

EVERY = 0.5  # seconds between questions to Step Functions


def run(arguments: argparse.Namespace) -> int:
    """0 = done as planned or nothing to do, 1 = refused or failed, 3 = done, and something was
    withheld or did not come about.
    """
    here = stack.reach(arguments, acts=True)
    config, ports, outputs = here.config, here.ports, here.outputs
    _refuse(here, config.sha256)
    began = time.time()
    seen = drive(look.observe_and_plan(here.context()), ports)
    if arguments.planfile:
        _still(Path(arguments.planfile), config.sha256, seen)
    if not arguments.json:
        plan.show(seen)
    lost = plan.removals(seen) if arguments.fail_on_removal else []
    if lost:
        raise RefusedError(
            "Removes",
            f"--fail-on-removal: nothing was started, the plan removes what users reach: {', '.join(lost[:5])}",
        )
    if not plan.changes(seen):
        if arguments.json:
            print_json({"run": "", "changes": 0})
        return exits.FOUND if plan.differs(seen) else exits.DONE
    if not confirmed(arguments, f"apply to stack {here.target.stack}: {plan.counted(seen).line}"):
        return exits.FAILED
    name = f"apply-{uuid.uuid4()}"
    kept = drive(state.save(state.key(name, "look"), PlanHandoff(memory=seen.plan.memory)), ports)
    runs = Following(here.region, quiet=arguments.json)
    execution = runs.start(outputs["ReconcileArn"], name, {"id": name, "look": kept})
    arguments.going_on = f"run {name} goes on: crossmesh explain {name}"
    printing.error_console().print(f"run {name} started: `crossmesh explain {name}` tells of it")
    status = runs.follow(execution)
    own = journal.passes(ports, name)
    if status == "SUCCEEDED" and not own:
        status = _holder(ports, runs)
    others = [] if any(journal.changed(report) for report in own) else journal.since(here, began)
    return _told(arguments, status, name, own, others)


def _refuse(here: stack.Deployed, sha256: str) -> None:
    """Raise where a run would write nothing, or something else than was shown. Where no look has
    run since the deployment, one is asked for first.
    """
    ports = here.ports
    if here.outputs.get("ModeNow") == "observe":
        raise RefusedError(
            "Observes", "the application was deployed with Mode=observe and writes nothing: deploy it with Mode=apply"
        )
    if stack.other_configuration(ports, sha256):
        waiting.for_deployment(here)
    other = stack.other_configuration(ports, sha256)
    if other:
        raise RefusedError("OtherConfiguration", other)
    if drive(state.operator(), ports).paused:
        raise RefusedError("Paused", "the application is paused: `crossmesh resume` first")


def _still(file: Path, sha256: str, seen: look.Observation) -> None:
    """Raise unless the world still asks for no more than what the plan file shows."""
    try:
        planned = codec.decode(file.read_bytes(), plan.PlanFile)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError("NotAPlan", f"{file} is no plan that `crossmesh plan --out` wrote: {error}") from error
    if planned.config != sha256:
        raise RefusedError(
            "OldPlan",
            f"{file} was made from configuration {planned.config[:12]}, this one is {sha256[:12]}: plan again",
        )
    shown = Counter(codec.encode(action) for action in (*planned.registry.actions, *planned.mesh.changes))
    more = Counter(codec.encode(action) for action in (*seen.plan.actions, *seen.mesh.changes)) - shown
    if more:
        raise RefusedError(
            "OldPlan", f"the world moved since {file} was made, {more.total()} changes are not in it: plan again"
        )


class Following:
    """Executions of the deployed state machine, watched from outside."""

    def __init__(self, region: str, *, quiet: bool) -> None:
        self._client, self._quiet = aws.client("stepfunctions", region), quiet

    def start(self, machine: str, name: str, given: dict[str, str]) -> str:
        """Start one; its ARN."""
        with aws.translated():
            return str(
                self._client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))[
                    "executionArn"
                ]
            )

    def follow(self, execution: str) -> str:
        """Wait for its end and tell each state it enters: one line that changes on a terminal, a
        line each in a pipe. Its status.
        """
        told = 0
        out = printing.error_console()
        with printing.Progress("starting") as line:
            while True:
                with aws.translated():
                    status = str(self._client.describe_execution(executionArn=execution)["status"])
                    entered = self._entered(execution)
                for state in entered[told:]:
                    line.update(state)
                    if not self._quiet and not printing.on_terminal():
                        out.print(f"  {state}")
                told = len(entered)
                if status != "RUNNING":
                    return status
                time.sleep(EVERY)

    def _entered(self, execution: str) -> list[str]:
        pages = self._client.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [
            event["stateEnteredEventDetails"]["name"]
            for page in pages
            for event in page["events"]
            if "stateEnteredEventDetails" in event
        ]


def _holder(ports: Any, runs: Following) -> str:
    """Follow whoever holds the lease in our place; how it ended."""
    found = ports["State"].read_lease(lease.NAME)
    if found is None or not found.holder:
        return "SUCCEEDED"
    printing.error_console().print(f"another run holds the lease and goes once more: {found.holder.rpartition(':')[2]}")
    return runs.follow(found.holder)


def _told(arguments: argparse.Namespace, status: str, name: str, own: list[Report], others: list[Report]) -> int:
    """Say which passes did what was planned: our own, or those of other runs since the plan was
    shown.
    """
    others = [report for report in others if report.id not in {one.id for one in own}]
    reports = sorted(
        [*own, *(report for report in others if journal.changed(report) or not own)], key=lambda report: report.at
    )
    if not reports:
        raise NotFound("NoReport", f"run {name} ended as {status} without a report: see its execution")
    last, did = reports[-1], [report for report in reports if journal.changed(report)] or reports[-1:]
    left = len(last.withheld) + last.failed
    code = exits.DONE
    if status != "SUCCEEDED" or last.kind == "failed":
        code = exits.FAILED
    elif left or last.kind == "superseded":
        code = exits.FOUND
    if arguments.json:
        told = [msgspec.to_builtins(report) for report in did]
        print_json({"run": did[0].id, "asked": name, "status": status, "report": told[0], "reports": told})
        return code
    if any(report not in own for report in did):
        why = "found nothing left to do" if own else "met another run under way, which went once more in its place"
        console().print(f"run {name} {why}: the changes are those of the {'run' if len(did) == 1 else 'runs'} below")
    _show(reports, did)
    if code:
        console().print(f"`crossmesh explain {did[-1].id}` tells more")
    return code


def _show(reports: list[Report], did: list[Report]) -> None:
    """The runs that changed something, what the last one withheld, and what failed."""
    out = console()
    for report in did:
        out.print(f"run {report.id}: {report.kind}, {journal.did([report])} in {report.seconds:.1f} s")
    for line in reports[-1].withheld:
        out.print(f"= withheld: {line}", style="yellow")
    for report in reports:
        if report.failure:
            out.print(f"run {report.id} failed: {report.failure}", style="red")
