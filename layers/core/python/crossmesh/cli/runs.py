"""`runs` lists the last runs; `explain RUN` shows what one saw, planned, withheld and did; `replay
RUN` plans again from its inputs, byte for byte.
"""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from crossmesh import codec
from crossmesh.cli import exits, journal, stack
from crossmesh.cli.plan import MESH_SIGN, line_of
from crossmesh.cli.printing import console, print_json, table
from crossmesh.core.mesh.backend import MeshChange, MeshSummary
from crossmesh.core.observed import RegistryView, View
from crossmesh.core.registry.plan import ManualOverrides, Outcome, PlannerState, RegistryPlan
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.errors import NotFound, RefusedError
from crossmesh.steps.release_lease import pass_id
from crossmesh.usecases import manifests, state
from crossmesh.usecases.mesh.driver import MeshOutcome
from crossmesh.usecases.plan_handoff import PlanHandoff
from crossmesh.usecases.planning import decide

T = TypeVar("T")


CAUSES = {
    "hint": "an event from a watcher, or a command",
    "schedule": "the schedule",
    "drift": "a change that somebody else made (CloudTrail)",
    "alarm": "an alarm",
    "canary": "a canary's verdict",
    "deploy": "a deployment",
    "again": "a request that arrived during the run before",
    "confirmation": "a confirmation that came due",
    "manual": "crossmesh apply",
}


def listing(arguments: argparse.Namespace) -> int:
    """Print the last runs, newest first."""
    here = stack.reach(arguments)
    rows = [row for execution in journal.executions(here, arguments.most) for row in _rows(here.ports, execution)]
    rows.sort(key=lambda row: -row.started)
    if arguments.json:
        print_json([msgspec.to_builtins(row) for row in rows])
        return exits.DONE
    if not rows:
        console().print("no run was kept: nothing was ever applied, or all are older than 90 days")
        return exits.DONE
    grid = table("run", "started (UTC)", "ended", "cause", "result", "did")
    for row in rows:
        at = datetime.fromtimestamp(row.started, UTC).strftime("%Y-%m-%d %H:%M:%S")
        grid.add_row(
            row.id, at, f"{row.seconds:.1f} s" if row.seconds >= 0 else "running", row.cause, row.result, row.did
        )
    console().print(grid)
    console().print("crossmesh explain RUN shows one of them", style="dim")
    return exits.DONE


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run in the list. `started`: seconds since the epoch; `seconds`: how long it took, below 0
    = it is under way.
    """

    id: str
    started: float
    seconds: float
    cause: str
    result: str
    did: str


def _rows(ports: Mapping[str, Any], execution: Mapping[str, Any]) -> list[Row]:
    """The passes of an execution; what is known of an execution whose reports are not kept any
    more.
    """
    name, started = str(execution["name"]), execution["startDate"].timestamp()
    ended = execution["stopDate"].timestamp() if execution.get("stopDate") else started - 1
    reports = journal.passes(ports, name)
    if not reports:
        result = str(execution["status"]).lower()
        if result == "succeeded" and _find(ports, state.key(name, "look"), PlanHandoff) is not None:
            result = "another run was under way and went once more instead"
        return [Row(id=name, started=started, seconds=ended - started, cause="", result=result, did="")]
    return [
        Row(
            id=report.id,
            started=report.at - report.seconds,
            seconds=report.seconds,
            cause=CAUSES.get(report.cause, report.cause),
            result=report.kind + (f": {report.failure}" if report.failure else ""),
            did=journal.did([report]),
        )
        for report in reports
    ]


def explain(arguments: argparse.Namespace) -> int:
    """Print a run."""
    here = stack.reach(arguments)
    ports, asked = here.ports, arguments.run_id or journal.telling(here.ports, _latest(here.ports))
    name = journal.meant(here, asked)
    report = _load(ports, state.key(name, "report"), Report)
    plan = _find(ports, state.key(name, "plan"), RegistryPlan) or RegistryPlan()
    outcomes = {
        outcome.action: outcome
        for key in ports["RunStore"].list(f"runs/{name}/outcomes/")
        for outcome in _load(ports, key, tuple[Outcome, ...])
    }
    mesh = _mesh(ports, name)
    if arguments.json:
        print_json(
            {
                "report": msgspec.to_builtins(report),
                "plan": msgspec.to_builtins(plan),
                "outcomes": msgspec.to_builtins(list(outcomes.values())),
                "mesh": [
                    {"action": msgspec.to_builtins(action), "outcome": msgspec.to_builtins(outcome)}
                    for action, outcome in mesh
                ],
            }
        )
        return exits.DONE
    out = console()
    if name != asked:
        out.print(f"{asked} met another run under way, which went once more in its place: {name}")
    began = f", started by {CAUSES.get(report.cause, report.cause)}" if report.cause else ""
    out.print(f"run {name}: {report.kind} in {report.seconds:.1f} s{began}, configuration {report.config[:12]}")
    for seen in report.clusters:
        out.print(
            f"  {seen.name}: " + (f"{seen.pods} pods" if not seen.cause else f"unseen: {seen.cause}: {seen.detail}"),
        )
    _show_actions(plan, outcomes, mesh)
    if report.mesh_unavailable:
        out.print(f"mesh unavailable: {report.mesh_unavailable}")
    for line in (*report.withheld, *report.notes):
        out.print(f"= {line}")
    if report.failure:
        out.print(f"it failed: {report.failure}")
    base, _, number = name.partition("~")
    following = pass_id(base, int(number or 0) + 1)
    if (next_one := _find(ports, state.key(following, "report"), Report)) is not None:
        out.print(f"it went once more: crossmesh explain {following} (did: {journal.did([next_one])})")
    return exits.DONE


def _show_actions(
    plan: RegistryPlan, outcomes: Mapping[int, Outcome], mesh: list[tuple[MeshChange, MeshOutcome | None]]
) -> None:
    """Each action with what became of it."""
    out = console()
    for index, action in enumerate(plan.actions):
        out.print(line_of(action) + _ended(outcomes.get(index)))
    for change, result in mesh:
        out.print(f"{MESH_SIGN[change.action]} {change.target}: {change.detail}{_ended(result)}")
        for one in change.differences:
            out.print(f"    {one.field}: {one.found!r} → {one.declared!r}")


def _ended(outcome: Outcome | MeshOutcome | None) -> str:
    if outcome is None:
        return " [not reached]"
    return f" [{outcome.result}{': ' + outcome.detail if outcome.detail else ''}]"


def _mesh(ports: Mapping[str, Any], run: str) -> list[tuple[MeshChange, MeshOutcome | None]]:
    """What a run planned for the mesh, part by part, each action with what became of it (None: it
    was not reached).
    """
    found: list[tuple[MeshChange, MeshOutcome | None]] = []
    for part in range(1_000):
        summary = _find(ports, state.key(run, f"mesh/{part}/summary"), MeshSummary)
        if summary is None:
            break
        outcomes = {
            one.action: one
            for one in _find(ports, state.key(run, f"mesh/{part}/outcomes"), tuple[MeshOutcome, ...]) or ()
        }
        done = [(action, outcomes.get(index)) for index, action in enumerate(summary.changes)]
        last = _find(ports, state.key(run, f"mesh/{part + 1}/summary"), MeshSummary) is None
        found += done if last else [(action, outcome) for action, outcome in done if outcome is not None]
    return found


def replay(arguments: argparse.Namespace) -> int:
    """0 = the same plan to the byte, 3 = another."""
    here = stack.reach(arguments)
    ports, settled = here.ports, here.context()
    name = journal.meant(here, arguments.run_id or _latest(ports))
    report = _load(ports, state.key(name, "report"), Report)
    context = drive(manifests.in_force(settled, report.live), ports)
    if report.config != context.config:
        raise RefusedError(
            "OtherConfiguration",
            f"the run had configuration {report.config[:12]}, {arguments.config} is {context.config[:12]}",
        )
    memory = _load(ports, state.key(name, "inputs"), PlannerState)
    views = tuple(_view(ports, name, cluster.name) for cluster in settled.settings.clusters)
    registry, operator = (
        _load(ports, state.key(name, "registry"), RegistryView),
        _load(ports, state.key(name, state.OPERATOR), ManualOverrides),
    )
    plan = decide(context, views, registry, memory, operator, drive(state.outliers_of(name), ports))
    same = codec.encode(plan) == ports["RunStore"].get(state.key(name, "plan"))
    if arguments.json:
        print_json({"run": name, "same": same})
    else:
        console().print(
            f"run {name}: {'the same plan, byte for byte' if same else 'ANOTHER plan'} ({len(plan.actions)} actions)"
        )
    return 0 if same else 3


def _latest(ports: Mapping[str, Any]) -> str:
    last = stack.last_run(ports)
    if last is None:
        raise NotFound("NoRun", "there was no run yet")
    return last.id


def _view(ports: Mapping[str, Any], run: str, cluster: str) -> View:
    found: View = msgspec.json.decode(_bytes(ports, state.key(run, f"views/{cluster}")), type=View)
    return found


def _find(ports: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    data = ports["RunStore"].get(key)
    return codec.decode(data, kind) if data else None


def _load(ports: Mapping[str, Any], key: str, kind: type[T]) -> T:
    return codec.decode(_bytes(ports, key), kind)


def _bytes(ports: Mapping[str, Any], key: str) -> bytes:
    data: bytes | None = ports["RunStore"].get(key)
    if data is None:
        run = key.removeprefix("runs/").rpartition("/")[0]
        raise NotFound(
            "NoRun",
            f"nothing is kept of run {run!r} ({key}). Runs are kept for as many days as the parameter RunDays says;"
            " `crossmesh runs` lists them",
        )
    return data
