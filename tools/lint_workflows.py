"""Lint the state machines: one layout, one policy of retries, and cfn-lint's rules. `--write` lays them out anew.

cfn-lint looks into state machines only as native resources, so each is rendered as one, with stand-in ARNs for its substitutions.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARN = "arn:aws:lambda:us-east-1:111122223333:function:stand-in"
WIDTH = 170  # characters of a line, as far as JSON allows

Document = dict[str, Any]


def _retrier(*errors: str, attempts: int, **more: float) -> Document:
    return {"ErrorEquals": list(errors), "IntervalSeconds": 1, "MaxAttempts": attempts, **more, "JitterStrategy": "FULL"}


_SLOW = ("States.Timeout", "Sandbox.Timedout", "Lambda.Unknown")  # another attempt takes the whole time again
_BUSY = _retrier("Lambda.TooManyRequestsException", attempts=8, BackoffRate=2, MaxDelaySeconds=20)
_ONCE_STARTED = {"ErrorEquals": ["StepFunctions.ExecutionAlreadyExistsException"], "MaxAttempts": 0, "JitterStrategy": "FULL"}
POLICIES = {  # how often a state is tried: by what it does, the same in every state machine of its kind
    "a step of a run": [_BUSY, _retrier("States.TaskFailed", "States.Timeout", attempts=3, BackoffRate=2)],
    "a step in an Express execution": [_retrier(*_SLOW, attempts=0), _retrier("States.TaskFailed", attempts=2, BackoffRate=2)],
    "a look": [_retrier(*_SLOW, attempts=1), _retrier("States.TaskFailed", attempts=2, BackoffRate=2)],
    "a start from a run": [_retrier("States.TaskFailed", "States.Timeout", attempts=3, BackoffRate=2)],
    "a start from a look": [_ONCE_STARTED, _retrier("States.TaskFailed", "States.Timeout", attempts=2, BackoffRate=2)],
    "a start of a later look": [_retrier("States.TaskFailed", "States.Timeout", attempts=2, BackoffRate=2)],
    "a start from a canary": [_retrier("States.TaskFailed", "States.Timeout", attempts=1, BackoffRate=2)],
}


def policy_of(machine: str, name: str, state: Document) -> str:
    """Which policy a task has."""
    if state["Resource"] == "${StartExecution}" and machine == "look" and "Name.$" not in state["Parameters"]:
        return "a start of a later look"  # without a name, so none of its name can be there already
    if state["Resource"] == "${StartExecution}":
        return f"a start from a {'run' if machine == 'reconcile' else machine}"
    if machine == "reconcile":
        return "a step of a run"
    return "a look" if name == "Look" else "a step in an Express execution"


def tasks(definition: Document) -> Iterator[tuple[str, Document]]:
    """Every task, those inside a Map included."""
    for name, state in definition["States"].items():
        if state["Type"] == "Task":
            yield name, state
        if "ItemProcessor" in state:
            yield from tasks(state["ItemProcessor"])


def laid_out(value: Any, indent: int = 0, taken: int = 0) -> str:
    """JSON in which whatever fits on its line stands on one; states each begin their own. `taken`: characters before the value on its line."""
    flat = json.dumps(value, ensure_ascii=False)
    deep = isinstance(value, dict) and ("States" in value or "StartAt" in value)
    if not isinstance(value, dict | list) or (not deep and taken + len(flat) + 1 <= WIDTH and not _holds_states(value)):
        return flat
    inside = " " * (indent + 2)
    if isinstance(value, list):
        parts = [inside + laid_out(item, indent + 2, indent + 2) for item in value]
        return "[\n" + ",\n".join(parts) + "\n" + " " * indent + "]"
    parts = []
    for key, item in value.items():
        head = f"{inside}{json.dumps(key, ensure_ascii=False)}: "
        parts.append(head + laid_out(item, indent + 2, len(head)))
    return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"


def _holds_states(value: Any) -> bool:
    return isinstance(value, dict) and any("Type" in item for item in value.values() if isinstance(item, dict))


def faults(machine: str, text: str) -> Iterator[str]:
    """What is wrong with a state machine, in sentences."""
    definition = json.loads(text)  # valid before substitution
    if text != laid_out(definition) + "\n":
        yield f"{machine}: not laid out; run python tools/lint_workflows.py --write"
    for name, state in tasks(definition):
        policy = policy_of(machine, name, state)
        if state.get("Retry") != POLICIES[policy]:
            yield f"{machine}: {name!r} is not retried as {policy}"
        last = (state.get("Catch") or [{}])[-1]
        if last.get("ErrorEquals") != ["States.ALL"]:
            yield f"{machine}: {name!r} does not catch States.ALL last"
        elif last.get("ResultPath", "") not in (None, "$.failure"):
            yield f"{machine}: {name!r} keeps its failure elsewhere than at $.failure"


def main(arguments: list[str]) -> int:
    """0 = clean."""
    resources, found = {}, []
    for file in sorted((ROOT / "statemachines").glob("*.asl.json")):
        text = file.read_text()
        if arguments == ["--write"]:
            text = laid_out(json.loads(text)) + "\n"
            file.write_text(text)
        found += faults(file.name.partition(".")[0], text)
        definition = json.loads(re.sub(r"\$\{\w+\}", ARN, text))
        name = re.sub(r"\W", "", file.name.partition(".")[0].title())
        properties = {"RoleArn": "arn:aws:iam::111122223333:role/stand-in", "Definition": definition}
        resources[name] = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    if found:
        print("\n".join(found))
        return 1
    with tempfile.NamedTemporaryFile("w", suffix=".json") as rendered:
        json.dump({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}, rendered)
        rendered.flush()
        return subprocess.run(["cfn-lint", "--regions", "us-east-1", "--", rendered.name], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
