"""Interprets the shipped state machines (Amazon States Language, JSONPath). What it does not know it refuses: nothing is skipped in silence.

A machine's execution is a generator that yields `Invoke`, `Start`, `Sleep` or `Fan` and is sent what came of it; the simulator decides when.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
"""

import json
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

Document = dict[str, Any]
Flow = Generator[Any, Any, Any]

_MACHINE = {"Comment", "StartAt", "States", "TimeoutSeconds", "ProcessorConfig"}
_COMMON = {"Type", "Comment", "Next", "End", "InputPath", "OutputPath"}
_FIELDS = {
    "Task": _COMMON | {"Resource", "Parameters", "ResultSelector", "ResultPath", "TimeoutSeconds", "Retry", "Catch"},
    "Map": _COMMON | {"ItemsPath", "ItemSelector", "MaxConcurrency", "ItemProcessor", "ResultPath", "Retry", "Catch"},
    "Pass": _COMMON | {"Parameters", "Result", "ResultPath"},
    "Choice": _COMMON | {"Choices", "Default"},
    "Wait": _COMMON | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Succeed": _COMMON,
    "Fail": {"Type", "Comment", "Error", "Cause"},
}
_RETRY = {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "JitterStrategy", "MaxDelaySeconds"}
_CATCH = {"ErrorEquals", "ResultPath", "Next"}
START = "arn:aws:states:::states:startExecution"


class UnknownFeature(Exception):
    """The state machine uses something that this interpreter does not model."""


class Unsound(Exception):
    """The state machine refers to what is not there: on AWS the execution would end in States.Runtime."""


class StateError(Exception):
    """An error as a state's Retry and Catch see it."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


@dataclass(slots=True)
class Invoke:
    """Call a function with a payload; `timeout` is the state's, seconds."""

    resource: str
    payload: Any
    timeout: float


@dataclass(slots=True)
class Start:
    """Start an execution of another machine."""

    machine: str
    name: str
    payload: Any


@dataclass(slots=True)
class Sleep:
    """Wait for seconds, or `until` a time (seconds since the epoch)."""

    seconds: float = 0.0
    until: float = 0.0


@dataclass(slots=True)
class Fan:
    """Run flows side by side."""

    flows: list[Flow]
    width: int


def check(definition: Document) -> None:
    """Refuse a machine with anything unknown, before it runs."""
    _known(definition, _MACHINE, "machine")
    for name, state in definition["States"].items():
        if state["Type"] not in _FIELDS:
            raise UnknownFeature(f"{name}: type {state['Type']}")
        _known(state, _FIELDS[state["Type"]], name)
        for rule in state.get("Retry", ()):
            _known(rule, _RETRY, f"{name}, Retry")
        for rule in state.get("Catch", ()):
            _known(rule, _CATCH, f"{name}, Catch")
        if "ItemProcessor" in state:
            if state["ItemProcessor"].get("ProcessorConfig", {"Mode": "INLINE"}) != {"Mode": "INLINE"}:
                raise UnknownFeature(f"{name}: {state['ItemProcessor']['ProcessorConfig']}")
            check(state["ItemProcessor"])


def _known(found: Document, known: set[str], where: str) -> None:
    unknown = found.keys() - known
    if unknown:
        raise UnknownFeature(f"{where}: {', '.join(sorted(unknown))}")


def flow(definition: Document, data: Any, context: Document, rng: Any) -> Flow:
    """One execution, from StartAt to its end; the output. Raises StateError where it ends in Fail or an error nobody catches."""
    states, name = definition["States"], definition["StartAt"]
    while True:
        if name not in states:
            raise Unsound(f"no state {name!r}")
        state = states[name]
        kind = state["Type"]
        if kind == "Succeed":
            return data
        if kind == "Fail":
            raise StateError(state.get("Error", ""), state.get("Cause", ""))
        if kind == "Choice":
            name = _choose(name, state, data, context)
            continue
        given = data if "InputPath" not in state else path(state["InputPath"], data, context)
        if kind in ("Task", "Map"):
            data, following = yield from _tried(state, given, data, context, rng)
        elif kind == "Pass":
            result = state["Result"] if "Result" in state else template(state["Parameters"], given, context) if "Parameters" in state else given
            data, following = _put(state.get("ResultPath", "$"), data, result), state.get("Next")
        else:
            yield _wait(state, given, context)
            following = state.get("Next")
        if "OutputPath" in state:
            data = path(state["OutputPath"], data, context)
        if following is None:
            if not state.get("End"):
                raise Unsound(f"{name}: neither Next nor End")
            return data
        name = following


def _tried(state: Document, given: Any, data: Any, context: Document, rng: Any) -> Flow:
    """A Task or Map with its Retry and Catch: (data after it, the next state's name)."""
    attempts: dict[int, int] = {}
    while True:
        try:
            result = yield from (_task if state["Type"] == "Task" else _map)(state, given, context, rng)
        except StateError as failed:
            wait = _retry(state, failed, attempts, rng)
            if wait is not None:
                yield Sleep(wait)
                continue
            for rule in state.get("Catch", ()):
                if _takes(rule["ErrorEquals"], failed.error):
                    error = {"Error": failed.error, "Cause": failed.cause}
                    return _put(rule.get("ResultPath", "$"), data, error), rule["Next"]
            raise
        if "ResultSelector" in state:
            result = template(state["ResultSelector"], result, context)
        return _put(state.get("ResultPath", "$"), data, result), state.get("Next")


def _task(state: Document, given: Any, context: Document, _rng: Any) -> Flow:
    payload = template(state["Parameters"], given, context) if "Parameters" in state else given
    if state["Resource"] == START:
        return (yield Start(payload["StateMachineArn"], payload.get("Name", ""), payload.get("Input", {})))
    return (yield Invoke(state["Resource"], payload, float(state.get("TimeoutSeconds", 99_999_999))))


def _map(state: Document, given: Any, context: Document, rng: Any) -> Flow:
    items = path(state.get("ItemsPath", "$"), given, context)
    flows = []
    for index, item in enumerate(items):
        inner = {**context, "Map": {"Item": {"Index": index, "Value": item}}}
        selected = template(state["ItemSelector"], given, inner) if "ItemSelector" in state else item
        flows.append(flow(state["ItemProcessor"], selected, inner, rng))
    return (yield Fan(flows, state.get("MaxConcurrency") or len(flows) or 1))


def _retry(state: Document, failed: StateError, attempts: dict[int, int], rng: Any) -> float | None:
    """Seconds to wait before the next attempt, None = no more."""
    for place, rule in enumerate(state.get("Retry", ())):
        if not _takes(rule["ErrorEquals"], failed.error):
            continue
        made = attempts.get(place, 0)
        if made >= rule.get("MaxAttempts", 3):
            return None
        attempts[place] = made + 1
        wait = rule.get("IntervalSeconds", 1) * rule.get("BackoffRate", 2.0) ** made
        wait = min(wait, rule.get("MaxDelaySeconds", wait))
        return float(rng.uniform(0, wait) if rule.get("JitterStrategy") == "FULL" else wait)
    return None


def _takes(names: list[str], error: str) -> bool:
    if "States.ALL" in names or error in names:
        return True
    return "States.TaskFailed" in names and error not in ("States.Timeout", "States.Runtime")


def _wait(state: Document, given: Any, context: Document) -> Sleep:
    if "Seconds" in state:
        return Sleep(float(state["Seconds"]))
    if "SecondsPath" in state:
        return Sleep(float(path(state["SecondsPath"], given, context)))
    until = state["Timestamp"] if "Timestamp" in state else path(state["TimestampPath"], given, context)
    return Sleep(until=datetime.fromisoformat(until).timestamp())


def _choose(name: str, state: Document, data: Any, context: Document) -> str:
    for rule in state["Choices"]:
        if _holds(rule, data, context):
            return str(rule["Next"])
    if "Default" not in state:
        raise StateError("States.NoChoiceMatched", name)
    return str(state["Default"])


_COMPARE = {
    "Equals": lambda a, b: a == b,
    "LessThan": lambda a, b: a < b,
    "GreaterThan": lambda a, b: a > b,
    "LessThanEquals": lambda a, b: a <= b,
    "GreaterThanEquals": lambda a, b: a >= b,
}
_TYPES: dict[str, Any] = {"String": str, "Numeric": (int, float), "Boolean": bool}


def _holds(rule: Document, data: Any, context: Document) -> bool:
    if "And" in rule:
        return all(_holds(inner, data, context) for inner in rule["And"])
    if "Or" in rule:
        return any(_holds(inner, data, context) for inner in rule["Or"])
    if "Not" in rule:
        return not _holds(rule["Not"], data, context)
    (operator,) = rule.keys() - {"Variable", "Next", "Comment"}
    if operator == "IsPresent":
        return _present(rule["Variable"], data, context) == rule[operator]
    value = path(rule["Variable"], data, context)
    for kind, types in _TYPES.items():
        if operator.startswith(kind):
            if not isinstance(value, types) or (kind == "Numeric" and isinstance(value, bool)):
                return False
            if operator.removeprefix(kind) not in _COMPARE:
                break
            return bool(_COMPARE[operator.removeprefix(kind)](value, rule[operator]))
    raise UnknownFeature(f"comparison {operator}")


def _present(where: str, data: Any, context: Document) -> bool:
    try:
        path(where, data, context)
    except Unsound:
        return False
    return True


def template(value: Any, data: Any, context: Document) -> Any:
    """Parameters with the members whose names end in .$ looked up."""
    if isinstance(value, dict):
        found = _MEMBERS.get(id(value))
        if found is None or found[0] is not value:
            found = _MEMBERS[id(value)] = value, [(k.removesuffix(".$"), inner, k.endswith(".$")) for k, inner in value.items()]
        return {name: path(inner, data, context) if looked_up else template(inner, data, context) for name, inner, looked_up in found[1]}
    if isinstance(value, list):
        return [template(inner, data, context) for inner in value]
    return value


_MEMBERS: dict[
    int, tuple[Any, list[tuple[str, Any, bool]]]
] = {}  # of every object in the machines' Parameters, by identity: name, value, whether a path


@cache
def _parts(where: str) -> tuple[str, ...] | None:
    """The names in a path without intrinsic functions and brackets; None for any other."""
    if where.startswith("States.") or any(sign in where for sign in "[]*?"):
        return None
    return tuple(part for part in where[2 if where.startswith("$$") else 1 :].split(".") if part)


def path(where: str | None, data: Any, context: Document) -> Any:
    """A reference path: `$`, `$.a.b`, `$$.Execution.Id`. Raises Unsound where there is no such thing."""
    if where is None:
        return {}
    parts = _parts(where)
    if parts is not None:
        found = context if where.startswith("$$") else data
        for part in parts:
            if not isinstance(found, dict) or part not in found:
                raise Unsound(f"{where} is not in {sorted(found) if isinstance(found, dict) else type(found).__name__}")
            found = found[part]
        return found
    if where.startswith("States."):
        return _intrinsic(where, data, context)
    found, rest = (context, where[2:]) if where.startswith("$$") else (data, where[1:])
    for part in rest.split("."):
        if not part:
            continue
        every = part.endswith("[*]") and not rest.partition("[*]")[2].count("[")
        if every or isinstance(found, _Every):
            found = _each(found, part.removesuffix("[*]"), where, every=every)
            continue
        if "[" in part or "*" in part or "?" in part:
            raise UnknownFeature(f"path {where}")
        if not isinstance(found, dict) or part not in found:
            raise Unsound(f"{where} is not in {sorted(found) if isinstance(found, dict) else type(found).__name__}")
        found = found[part]
    return found


class _Every(list[Any]):
    """The values that `[*]` gave: what follows is looked up in each."""


def _each(found: Any, name: str, where: str, *, every: bool) -> "_Every":
    try:
        return _Every(found[name] if every else [one[name] for one in found])
    except (KeyError, TypeError) as error:
        raise Unsound(f"{where} is not in {found}") from error


def _intrinsic(call: str, data: Any, context: Document) -> Any:
    """The intrinsic functions that the machines use: States.ArrayContains(array path, literal)."""
    name, _, rest = call.partition("(")
    array, _, value = rest.removesuffix(")").rpartition(",")
    if name != "States.ArrayContains" or not array:
        raise UnknownFeature(f"intrinsic function {call}")
    return json.loads(value) in path(array.strip(), data, context)


def _put(where: str | None, data: Any, result: Any) -> Any:
    if where is None:
        return data
    if where == "$":
        return result
    parts = where.removeprefix("$.").split(".")
    made = dict(data)
    place = made
    for part in parts[:-1]:
        place[part] = dict(place.get(part, {}))
        place = place[part]
    place[parts[-1]] = result
    return made
