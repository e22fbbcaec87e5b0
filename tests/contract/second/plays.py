"""One execution of a shipped state machine in two interpreters: the project's (tests/sim/asl.py) and moto's. What each did comes back in one form.

Both get the same answers from the same functions: an answer depends on the seed, the function, its payload and how often that payload came, and on
nothing else.
"""

import copy
import datetime
import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints
from unittest import mock

import msgspec
from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import StateMachineType
from moto.stepfunctions.parser.asl.component.common.catch import catcher_decl
from moto.stepfunctions.parser.asl.component.common.catch.catcher_outcome import CatcherOutcomeCaught
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_sfn
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails, EvaluationDetails, ExecutionDetails, StateMachineDetails
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from tests.sim import asl
from tests.sim.application import Function

Document = dict[str, Any]
ACCOUNT, REGION = "111122223333", "us-east-1"
LAMBDA = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
EXECUTION = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:machine:run-1"
ALREADY = "StepFunctions.ExecutionAlreadyExistsException"
NO_ANSWER = "StepFunctions.StepFunctionsException"


@dataclass
class Played:
    """What an execution did."""

    status: str = ""  # SUCCEEDED or the error it ended with
    output: Any = None
    path: list[str] = field(default_factory=list)  # the machine's own states, in order
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)  # (state before, state), those inside a Map included
    caught: Counter[tuple[str, str]] = field(default_factory=Counter)  # (error names of the catcher, next state) by state
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)  # (function or machine, payload)


def resolved(definition: Document) -> Document:
    """The definition with ARNs where the simulator has logical names. A Map's items run one by one: two may ask the same, and then the order counts."""
    found: Document = copy.deepcopy(definition)
    for state in found["States"].values():
        if state["Type"] == "Task" and state["Resource"] != asl.START:
            state["Resource"] = LAMBDA + state["Resource"]
        if "ItemProcessor" in state:
            state |= {"ItemProcessor": resolved(state["ItemProcessor"]), "MaxConcurrency": 1}
    return found


def catchers(definition: Document) -> set[tuple[str, str, str]]:
    """(state, error names, next state) of every Catch, those inside a Map included."""
    found = set()
    for name, state in every_state(definition):
        found |= {(name, ",".join(rule["ErrorEquals"]), rule["Next"]) for rule in state.get("Catch", ())}
    return found


def every_state(definition: Document) -> Iterator[tuple[str, Document]]:
    """All states by name."""
    for name, state in definition["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from every_state(state["ItemProcessor"])


class Answers:
    """What functions and started machines answer in one play."""

    def __init__(self, seed: int, definition: Document, functions: dict[str, Function]) -> None:
        self.seed, self.functions = seed, functions
        rules = [rule for _, state in every_state(definition) for kind in ("Retry", "Catch") for rule in state.get(kind, ())]
        named = {name for rule in rules for name in rule["ErrorEquals"] if not name.startswith(("States.", "StepFunctions."))}
        self.errors = sorted({"RefusedError", "States.Timeout"} | named)
        self.words = sorted(set(_literals(definition)))
        self.asked: Counter[tuple[str, str]] = Counter()
        self.lock = threading.Lock()

    def answer(self, resource: str, payload: Any) -> Any:
        """The answer, or a StateError."""
        text = plain(payload)
        with self.lock:
            nth = self.asked[resource, text]
            self.asked[resource, text] += 1
        lot = self._rng(resource, text).random()
        rng = self._rng(resource, text, nth)
        if lot < 0.14 or (lot < 0.24 and nth == 0):
            names = [ALREADY, NO_ANSWER] if not resource.startswith(LAMBDA) else self.errors
            raise asl.StateError(self._rng(resource, text, "error").choice(names), "as asked")
        if not resource.startswith(LAMBDA):
            return {"executionArn": "arn", "startDate": 0}
        return self._of(_answer(self.functions[resource.removeprefix(LAMBDA)].module), rng, "")

    def _rng(self, *parts: Any) -> random.Random:
        return random.Random(hashlib.sha256(repr((self.seed, *parts)).encode()).digest())

    def _of(self, found: Any, rng: random.Random, name: str) -> Any:
        """A value of a type: it always has the fields that the step's answer has."""
        inspect = msgspec.inspect
        match found:
            case inspect.BoolType():
                return rng.random() < 0.4
            case inspect.IntType() | inspect.FloatType():
                return rng.choice((0, 0, 1, 2))
            case inspect.StrType():
                if name == "wait_until":
                    return "2026-11-24T12:00:07Z"
                return rng.choice(self.words) if self.words and rng.random() < 0.5 else f"text-{rng.randrange(1000)}"
            case inspect.VarTupleType() | inspect.ListType():
                return [self._of(found.item_type, rng, name) for _ in range(rng.randrange(4))]
            case inspect.DictType():
                return {f"key-{n}": self._of(found.value_type, rng, name) for n in range(rng.randrange(2))}
            case inspect.UnionType():
                return self._of(next(one for one in found.types if not isinstance(one, inspect.NoneType)), rng, name)
            case inspect.StructType():
                return {one.encode_name: self._of(one.type, rng, one.encode_name) for one in found.fields}
        raise TypeError(f"{name}: {found}")


@cache
def _answer(module: Any) -> Any:
    """The type of a step's answer."""
    (found,) = get_args(get_type_hints(module.run)["return"])[2:]
    return msgspec.inspect.type_info(found)


def plain(payload: Any) -> str:
    """A payload as text, without the words in which an interpreter tells the cause of an error."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {"Error": value["Error"]} if set(value) == {"Error", "Cause"} else {key: without(inner) for key, inner in value.items()}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(without(payload), sort_keys=True)


def _literals(definition: Document) -> Iterator[str]:
    """What a Choice compares strings with."""
    for _, state in every_state(definition):
        for rule in state.get("Choices", ()):
            for one in (rule, *rule.get("And", ()), *rule.get("Or", ())):
                if "StringEquals" in one:
                    yield one["StringEquals"]


# --- the project's interpreter -----------------------------------------------------------------------------------------------------------------


class _States(dict[str, Any]):
    """States that tell when one is entered."""

    def __init__(self, states: Document, entered: Callable[[str], None]) -> None:
        super().__init__(states)
        self.entered = entered

    def __getitem__(self, name: str) -> Any:
        self.entered(name)
        return super().__getitem__(name)


class _Catch(dict[str, Any]):
    """A Catch that tells when it is taken."""

    def __init__(self, rule: Document, taken: Callable[[], None]) -> None:
        super().__init__(rule)
        self.taken = taken

    def __getitem__(self, name: str) -> Any:
        if name == "Next":
            self.taken()
        return super().__getitem__(name)


def ours(definition: Document, given: Document, answers: Answers) -> Played:
    """One execution by tests/sim/asl.py."""
    played, before = Played(), [""]

    def entered(name: str, outer: bool) -> None:
        played.steps[before[0], name] += 1
        before[0] = name
        if outer:
            played.path.append(name)

    def watched(machine: Document, outer: bool) -> Document:
        states = {}
        for name, state in machine["States"].items():
            told = dict(state)
            if "Catch" in state:
                told["Catch"] = [_Catch(rule, _taker(played, name, rule)) for rule in state["Catch"]]
            if "ItemProcessor" in state:
                told["ItemProcessor"] = watched(state["ItemProcessor"], outer=False)
            states[name] = told
        return {**machine, "States": _States(states, lambda name: entered(name, outer))}

    def run(flow: asl.Flow) -> Any:
        wanted: Any = None
        error: asl.StateError | None = None
        while True:
            try:
                asked = flow.throw(error) if error else flow.send(wanted)
            except StopIteration as ended:
                return ended.value
            wanted, error = None, None
            try:
                wanted = did(asked)
            except asl.StateError as failed:
                error = failed

    def did(asked: Any) -> Any:
        if isinstance(asked, asl.Fan):
            results, around = [], before[0]
            try:
                for flow in asked.flows:
                    before[0] = ""
                    results.append(run(flow))
            finally:
                before[0] = around
            return results
        if isinstance(asked, asl.Invoke):
            played.calls[asked.resource, plain(asked.payload)] += 1
            return answers.answer(asked.resource, asked.payload)
        if isinstance(asked, asl.Start):
            payload = {"name": asked.name, "input": asked.payload}
            played.calls[asked.machine, plain(payload)] += 1
            return answers.answer(asked.machine, payload)
        return None

    context = {"Execution": {"Id": EXECUTION, "Name": "run-1", "Input": given}}
    try:
        played.output = run(asl.flow(watched(definition, outer=True), given, context, random.Random(0)))
        played.status = "SUCCEEDED"
    except asl.StateError as failed:
        played.status = failed.error
    except asl.Unsound:
        played.status = "States.Runtime"
    return played


def _taker(played: Played, state: str, rule: Document) -> Callable[[], None]:
    def taken() -> None:
        played.caught[state, ",".join(rule["ErrorEquals"]), rule["Next"]] += 1

    return taken


# --- moto's ------------------------------------------------------------------------------------------------------------------------------------


def others(definition: Document, given: Document, answers: Answers, *, express: bool) -> Played:
    """One execution by moto's parser; functions, waits and pauses between tries are stood in for."""
    played = Played()
    details = EvaluationDetails(
        AWSExecutionDetails(account=ACCOUNT, region=REGION, role_arn=f"arn:aws:iam::{ACCOUNT}:role/r"),
        ExecutionDetails(EXECUTION, "run-1", f"arn:aws:iam::{ACCOUNT}:role/r", given, datetime.datetime.now(tz=datetime.UTC).isoformat()),
        StateMachineDetails(
            f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:machine",
            "machine",
            StateMachineType.EXPRESS if express else StateMachineType.STANDARD,
            json.dumps(definition),
        ),
    )
    worker = ExecutionWorker(details, SimpleNamespace(terminated=lambda: None), None, {})
    with _stand_ins(played, answers):
        worker._execution_logic()
    ended = worker.env.program_state()
    played.status = "SUCCEEDED" if type(ended).__name__ == "ProgramEnded" else (ended.error or {}).get("error", "")
    if played.status == "SUCCEEDED":
        played.output = worker.env.states.get_input()
    _read(worker.env.event_manager.get_event_history(), definition, played)
    return played


@contextmanager
def _stand_ins(played: Played, answers: Answers) -> Iterator[None]:
    lock = threading.Lock()

    def asked(resource: str, payload: Any) -> Any:
        with lock:
            played.calls[resource, plain(payload)] += 1
        return answers.answer(resource, payload)

    def invoke(parameters: Document, **_: Any) -> Document:
        try:
            return {"Payload": asked(parameters["FunctionName"], json.loads(parameters["Payload"]))}
        except asl.StateError as failed:
            if failed.error == "States.Timeout":
                raise TimeoutError from failed
            return {"FunctionError": "Unhandled", "Payload": {"errorType": failed.error}}

    def start(**parameters: Any) -> Document:
        try:
            given = {key.lower(): value for key, value in parameters.items()}
            return dict(asked(given["statemachinearn"], {"name": given.get("name", ""), "input": json.loads(given["input"])}))
        except asl.StateError as failed:
            code = failed.error.removeprefix("StepFunctions.").removesuffix("Exception")
            meta = {"HTTPStatusCode": 400, "RequestId": "1"}
            raise ClientError({"Error": {"Code": code, "Message": ""}, "ResponseMetadata": meta}, "StartExecution") from failed

    def caught(catcher: Any, env: Any) -> None:
        state = env.states.context_object.context_object_data["State"]["Name"]
        original(catcher, env)
        if isinstance(env.stack[-1], CatcherOutcomeCaught):
            names = [_written(name) for name in catcher.error_equals.error_names]
            with lock:
                played.caught[state, ",".join(names), catcher.next_decl.name] += 1

    original = catcher_decl.CatcherDecl._eval_body
    with (
        mock.patch.object(lambda_eval_utils, "_invoke_lambda_function", invoke),
        mock.patch.object(state_task_service_sfn, "boto_client_for", return_value=SimpleNamespace(start_execution=start)),
        mock.patch.object(retrier_decl.time, "sleep"),
        mock.patch.object(WaitFunction, "_wait_interval"),
        mock.patch.object(catcher_decl.CatcherDecl, "_eval_body", caught),
    ):
        yield


def _written(name: Any) -> str:
    return str(name.error_name)


def _read(events: list[Document], definition: Document, played: Played) -> None:
    """Paths from the execution's history, as GetExecutionHistory gives it: each event names the one before it."""
    known = {event["id"]: event for event in events}
    for event in sorted(events, key=lambda one: one["id"]):
        if "stateEnteredEventDetails" not in event:
            continue
        name = event["stateEnteredEventDetails"]["name"]
        if name in definition["States"]:
            played.steps[played.path[-1] if played.path else "", name] += 1
            played.path.append(name)
        else:
            played.steps[_before(event, known), name] += 1


def _before(event: Document, known: dict[int, Document]) -> str:
    """The state before, in the same iteration of a Map; "" where the iteration begins."""
    while event.get("previousEventId"):
        event = known[event["previousEventId"]]
        if event["type"] == "MapIterationStarted":
            return ""
        if "stateEnteredEventDetails" in event:
            return str(event["stateEnteredEventDetails"]["name"])
    return ""
