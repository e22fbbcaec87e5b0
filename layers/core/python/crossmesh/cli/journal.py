"""Which runs there were, and what they did: the executions of the deployed state machine, and the
reports that their passes keep in the run store.

An execution is named as its first pass is; where it goes once more, the passes are NAME~1, NAME~2
and so on. One that meets the lease held asks its holder to go once more and ends without a pass of
its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crossmesh import codec
from crossmesh.adapters import aws
from crossmesh.cli import stack
from crossmesh.core.reporting.overview import changes_of
from crossmesh.core.reporting.report import Report
from crossmesh.errors import NotFound, RefusedError, UsageError
from crossmesh.steps.release_lease import PASSES_AT_MOST, pass_id
from crossmesh.usecases import state

MOST = 20  # executions that are asked when it is looked for who did something


def executions(here: stack.Deployed, most: int = MOST) -> list[Mapping[str, Any]]:
    """The last executions, newest first."""
    states = aws.client("stepfunctions", here.region)
    with aws.translated():
        found = states.list_executions(stateMachineArn=here.outputs["ReconcileArn"], maxResults=most)["executions"]
    return sorted(found, key=lambda execution: -float(execution["startDate"].timestamp()))


def passes(ports: Mapping[str, Any], execution: str) -> list[Report]:
    """The reports of an execution's passes, in their order."""
    found = []
    for number in range(PASSES_AT_MOST + 1):
        data = ports["RunStore"].get(state.key(pass_id(execution, number), "report"))
        if not data:
            break
        found.append(codec.decode(data, Report))
    return found


def telling(ports: Mapping[str, Any], last: str) -> str:
    """The last pass of a run that changed something, where the one named changed nothing: a run
    that was asked for once more ends with a pass that only finds all in order.
    """
    reports = passes(ports, last.partition("~")[0])
    return next((report.id for report in reversed(reports) if changed(report)), last)


def since(here: stack.Deployed, began: float) -> list[Report]:
    """What passes of any execution reported at `began` (seconds since the epoch) or later, in the
    order of time.
    """
    found = []
    for execution in executions(here):
        if execution.get("stopDate") is None or execution["stopDate"].timestamp() >= began:
            found += [report for report in passes(here.ports, str(execution["name"])) if report.at >= began]
    return sorted(found, key=lambda report: report.at)


def changed(report: Report) -> bool:
    """Whether a pass did anything."""
    return changes_of(report) > 0


def did(reports: Sequence[Report]) -> str:
    """What passes did together, in a few words."""
    mesh = sum(report.mesh_actions for report in reports)
    counts = (
        (sum(report.adds for report in reports), "registered"),
        (sum(report.removals for report in reports), "removed"),
        (sum(report.health for report in reports), "marked"),
        (sum(report.gates for report in reports), "gates"),
        (mesh, "mesh change" if mesh == 1 else "mesh changes"),
        (sum(report.failed for report in reports), "not proved"),
        (len(reports[-1].withheld) if reports else 0, "withheld"),
    )
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing"


def meant(here: stack.Deployed, name: str) -> str:
    """The run that an id means: itself, or the pass that did the work of an execution that found
    another one at it. Raises with what is known.
    """
    if here.ports["RunStore"].get(state.key(name, "report")) is not None:
        return name
    execution = _execution(here, name)
    if execution is None:
        raise UsageError(
            "NoRun",
            f"there is no run {name!r}, or nothing of it is kept any more (parameter RunDays); `crossmesh runs` lists"
            " the last ones",
        )
    if execution["status"] == "RUNNING":
        raise NotFound(
            "NoReport",
            f"run {name} is under way and has not reported yet: ask again once it has ended (`crossmesh runs`)",
        )
    done = in_place(here, float(execution["startDate"].timestamp())) if execution["status"] == "SUCCEEDED" else None
    if done is None:
        raise NotFound(
            "NoReport",
            f"run {name} ended as {execution['status']}, and no report of it is kept: see its execution"
            f" {execution['executionArn']}",
        )
    return done.id


def in_place(here: stack.Deployed, began: float) -> Report | None:
    """The first pass that began at `began` or later: the holder's, which an execution that began
    then asked to go once more.
    """
    found = [report for report in since(here, began) if report.at - report.seconds >= began]
    return found[0] if found else None


def _execution(here: stack.Deployed, name: str) -> Mapping[str, Any] | None:
    arn = here.outputs["ReconcileArn"].replace(":stateMachine:", ":execution:") + f":{name}"
    try:
        with aws.translated():
            found: Mapping[str, Any] = aws.client("stepfunctions", here.region).describe_execution(executionArn=arn)
            return found
    except NotFound:
        return None
    except RefusedError as error:
        # No execution can have such a name
        if error.code in ("InvalidArn", "InvalidName", "ParamValidationError", "ValidationException"):
            return None
        raise
