"""Plays a schedule: executions of the shipped machines, interleaved at every port call, over models of the world, under a virtual clock."""

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import msgspec
from crossmesh import codec
from crossmesh.adapters.memory import MemoryBalancers, MemoryNetworks, MemoryRunStore, MemoryState
from crossmesh.core.canary.sample import Sample
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.effects import Call
from crossmesh.errors import CrossmeshError, RefusedError, Throttled, TransientError
from crossmesh.usecases import manifests, state

from tests.sim import adapters, application, asl, envoys, world
from tests.sim.clusters import Dripping
from tests.sim.schedule import Event, Fault, Schedule

START = 1_800_000_000.0
PERIOD = 60.0
READS = {
    "find_services", "revision", "list_instances", "operation", "discover", "list", "describe", "tags", "read_lease", "read", "get", "running",
    "observe", "load_balancer", "probe", "manifests", "workloads",
    "pointer", "stored", "lineage",
}  # fmt: skip
UNCOUNTED = ("Clock", "Telemetry")
_STRIKE_STARTS = {"kill", "crash", "orphan", "kill-after", "crash-after", "lost", "throttle", "error", "timeout", "refuse"}
PATIENCE = 15.0  # seconds until a client gives up waiting
CALLS_AT_MOST = 20_000


class Broken(Exception):
    """A property does not hold."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.property, self.detail = name, detail


class Execution:
    """A running state machine."""

    __slots__ = ("arn", "data", "deadline", "ended", "frames", "machine", "name", "status")

    def __init__(self, machine: application.Machine, name: str, arn: str, deadline: float) -> None:
        self.machine, self.name, self.arn, self.deadline = machine, name, arn, deadline
        self.status, self.ended, self.data = "RUNNING", 0.0, None
        self.frames: list[Frame] = []


class Flow:
    """One line of control in an execution (a Map has several)."""

    __slots__ = ("done", "execution", "steps")

    def __init__(self, execution: Execution, steps: asl.Flow, done: Callable[[Any, Exception | None], None]) -> None:
        self.execution, self.steps, self.done = execution, steps, done


class Frame:
    """One invocation of a function. `listed`: instances as it last read them; `lease_read`: when it last read the run's lease."""

    __slots__ = (
        "answers",
        "began",
        "calls",
        "config",
        "context",
        "dead",
        "deadline",
        "done",
        "execution",
        "group",
        "lease_read",
        "listed",
        "listed_at",
        "module",
        "payload",
        "run",
        "since_lease",
        "skew",
        "slowest",
        "step",
        "zombie",
    )  # fmt: skip

    def __init__(self, module: str, step: Any, payload: Any, execution: Execution, deadline: float, context: Any) -> None:
        self.module, self.step, self.payload, self.execution, self.deadline, self.context = module, step, payload, execution, deadline, context
        this = payload.get("run", {}) if isinstance(payload, dict) else {}
        self.run, self.config = this.get("id", ""), this.get("config", "")
        self.calls: tuple[Call, ...] = ()
        self.answers: list[Any] = []
        self.group = self.dead = self.zombie = False
        self.skew = 0.0
        self.slowest = 0.0  # seconds that the slowest of the calls side by side took
        self.done: Callable[[Any, Exception | None], None] | None = None
        self.began = self.lease_read = self.listed_at = -1.0
        self.since_lease = 0
        self.listed: dict[str, dict[str, Any]] = {}


class Simulation:
    """One play. `rules` is told of everything and raises Broken."""

    def __init__(self, schedule: Schedule, rules: Any) -> None:
        self.schedule, self.rules, self.watched = schedule, rules, rules.watched
        self.latency, self.jitter, self.budgeted = schedule.latency, bool(schedule.seed), not (schedule.lag or schedule.rates)
        self.now = START
        self.rng = random.Random(schedule.seed)
        self.app = application.load()
        self.heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.order = 0
        self.calls = 0
        self.faults: dict[int, list[Any]] = {}
        self.lasting: dict[str, list[Any]] = {}  # function -> [fault, calls left]
        self.beside: dict[int, list[tuple[Frame, int]]] = {}
        self.executions: dict[str, Execution] = {}
        self.names = 0
        self.world = world.World(schedule, self.clock, random.Random(schedule.seed))
        self.current: Frame | None = None
        self.wire_fault = ""
        self.stale = 0
        self.writes = 0
        self.trace: list[str] | None = None
        self.state, self.runs = MemoryState(), MemoryRunStore()
        self.snapshots = envoys.WatchedSnapshots(self)
        registry, mesh = adapters.registry_and_mesh(self._wire)
        self.ports: dict[str, Any] = {
            "Registry": registry,
            "AppMeshApi": mesh,
            "Clusters": adapters.clusters(self.clock, self.world.cluster),
            "State": self.state,
            "RunStore": self.runs,
            "Executions": self,
            "Snapshots": self.snapshots,
            "Front": self,
            "Networks": MemoryNetworks(),
            "Instances": self,
            "Balancers": MemoryBalancers(),
            "Telemetry": self,
        }
        rules.begin(self)

    def clock(self) -> float:
        """The one true time."""
        return self.now

    # --- ports of the simulator's own -----------------------------------------------------------------------------------------------------

    def running(self, arn: str) -> bool:
        """Whether an execution runs."""
        found = self.executions.get(arn)
        return found is not None and found.status == "RUNNING"

    def report(self, *_: Any) -> None:
        """Metrics go nowhere."""

    verdict = report

    def probe(self, _url: str, requests: int, _timeout: float, _canary: str, **_: Any) -> tuple[Sample, ...]:
        """Requests through the mesh as it is; a hostile front answers 503 with all that HTTP lets it say."""
        if self.world.front == "hostile":
            headers = {f"x-{number}-{'n' * 32_000}": "\x01" * 32_000 for number in range(20)}
            return (Sample(status=503, body="\x01" * 65_536, headers=headers, latency_ms=5.0),) * min(requests, 8)
        return tuple(Sample(status=200, body=self.world.answer(self.rng), latency_ms=5.0) for _ in range(min(requests, 8)))

    def ask(self, *_: Any, **__: Any) -> Any:
        """A pod asked directly (the canary's diagnosis): it does not answer."""
        return Sample(error="timeout")

    def _wire(self, service: str, operation: str, request: dict[str, Any]) -> Any:
        """One request to AWS: the fault that was laid for it, the rules, the model."""
        fault, self.wire_fault = self.wire_fault, ""
        if fault == "throttle":
            code = "TooManyRequestsException" if service == "appmesh" else "ThrottlingException"
            raise adapters.client_error(code, "Rate exceeded", operation)
        if fault in ("error", "timeout"):
            raise adapters.client_error("InternalFailure", "no answer", operation, 500)
        if fault == "refuse":
            raise adapters.client_error("AccessDeniedException", "not authorized", operation, 403)
        if service == "appmesh" and self.world.mesh_gone:
            raise adapters.client_error("UnknownOperationException", "App Mesh has ended", operation, 404)
        write = operation in adapters.WRITES
        if self.budgeted and service == "servicediscovery":
            self.rules.wired(self.current, operation)
        if write:
            self.writes += 1
            self.rules.writes(self.current, service, operation, request)
        try:
            answer = self.world.call(service, operation, request, self.stale)
        except Exception as error:
            if write:
                self.rules.refused(self.current, service, operation, error)
            raise
        if fault == "lost":
            raise adapters.client_error("InternalFailure", "the answer was lost", operation, 500)
        return answer

    # --- executions -----------------------------------------------------------------------------------------------------------------------

    def at(self, when: float, do: Callable[..., None], *args: Any) -> None:
        """Do something at a time."""
        self.order += 1
        heappush(self.heap, (when, self.order, do, args))

    def start(self, machine: str, payload: Any, name: str = "") -> str:
        """Start an execution. Raises StateError as StartExecution would."""
        found = self.app.machines[machine]
        self.names += 1
        name = name or f"{machine.lower()}-{self.names}"
        arn = f"arn:aws:states:us-east-1:111122223333:execution:{machine}:{name}"
        before = self.executions.get(arn)
        if before is not None and not found.express:
            if before.status == "RUNNING" and before.data == payload:
                return arn
            raise asl.StateError("StepFunctions.ExecutionAlreadyExistsException", name)
        execution = Execution(found, name, arn, self.now + found.definition.get("TimeoutSeconds", 1e9))
        execution.data = payload
        self.executions[arn] = execution
        context = {"Execution": {"Id": arn, "Name": name}}
        steps = asl.flow(found.definition, payload, context, self.rng)

        def ended(_: Any, error: Exception | None) -> None:
            if execution.status == "RUNNING":
                execution.status, execution.ended = "FAILED" if error else "SUCCEEDED", self.now
            self.rules.ended(execution, error)

        self.at(self.now, self._advance, Flow(execution, steps, ended), None, None)
        return arn

    def kill(self, execution: Execution) -> None:
        """StopExecution, or its time is up: states end, a running function does not know."""
        execution.status, execution.ended = "ABORTED", self.now

    def _advance(self, flow: Flow, value: Any, error: Exception | None) -> None:
        execution = flow.execution
        if execution.status != "RUNNING":
            return
        if self.now > execution.deadline:
            execution.status, execution.ended = "TIMED_OUT", self.now
            return
        try:
            asked = flow.steps.throw(error) if error else flow.steps.send(value)
        except StopIteration as end:
            flow.done(end.value, None)
            return
        except asl.StateError as failed:
            flow.done(None, failed)
            return
        except asl.Unsound as unsound:
            raise Broken("machine-sound", f"{execution.machine.name}: {unsound}") from unsound
        kind = type(asked)
        if kind is asl.Invoke:
            self._invoke(flow, asked)
        elif kind is asl.Sleep:
            self.at(max(asked.until, self.now + asked.seconds), self._advance, flow, None, None)
        elif kind is asl.Start:
            self.at(self.now + self.schedule.latency, self._start_next, flow, asked)
        else:
            self._fan(flow, asked)

    def _start_next(self, flow: Flow, asked: asl.Start) -> None:
        if flow.execution.status != "RUNNING":
            return
        number, self.calls = self.calls, self.calls + 1
        todo = {fault.do for fault in self.faults.get(number, ())}
        if todo & _STRIKE_STARTS:
            self.rules.struck_machine(flow.execution)
        if todo & {"kill", "crash", "orphan"}:
            self.kill(flow.execution)
            return
        if todo & {"throttle", "error", "timeout", "refuse"}:
            self._advance(flow, None, asl.StateError("StepFunctions.StepFunctionsException", "no answer"))
            return
        try:
            answer = {"ExecutionArn": self.start(asked.machine, asked.payload, asked.name)}
        except asl.StateError as error:
            self._advance(flow, None, error)
            return
        if todo & {"kill-after", "crash-after"}:
            self.kill(flow.execution)
        elif "lost" in todo:
            self._advance(flow, None, asl.StateError("StepFunctions.StepFunctionsException", "the answer was lost"))
        else:
            self._advance(flow, answer, None)

    def _fan(self, flow: Flow, asked: asl.Fan) -> None:
        waiting, results = list(enumerate(asked.flows)), [None] * len(asked.flows)
        open_ = {"left": len(waiting), "failed": False}

        def begin() -> None:
            place, steps = waiting.pop(0)

            def ended(value: Any, error: Exception | None) -> None:
                if open_["failed"]:
                    return
                if error:
                    open_["failed"] = True
                    self.at(self.now, self._advance, flow, None, error)
                    return
                results[place], open_["left"] = value, open_["left"] - 1
                if waiting:
                    begin()
                elif not open_["left"]:
                    self.at(self.now, self._advance, flow, results, None)

            self.at(self.now, self._advance, Flow(flow.execution, steps, ended), None, None)

        if not waiting:
            self.at(self.now, self._advance, flow, results, None)
        for _ in range(min(asked.width, len(waiting))):
            begin()

    # --- functions ------------------------------------------------------------------------------------------------------------------------

    def _invoke(self, flow: Flow, asked: asl.Invoke) -> None:
        function = self.app.functions[asked.resource]
        deadline = self.now + function.timeout
        task, context = function.module.TASK, self.world.context
        try:
            step = manifests.with_active_manifests(task, msgspec.convert(asked.payload, task.request), context)
        except msgspec.ValidationError as error:
            raise Broken("machine-sound", f"{function.name} does not take {asked.payload}: {error}") from error
        frame = Frame(task.name, step, asked.payload, flow.execution, deadline, context)
        flow.execution.frames.append(frame)
        finished = [False]

        def done(value: Any, error: Exception | None) -> None:
            if not finished[0]:
                finished[0] = True
                self._advance(flow, value, error)

        frame.done = done
        if asked.timeout < function.timeout:
            self.at(self.now + asked.timeout, done, None, asl.StateError("States.Timeout", "the state's time is up"))
        self.rules.invoked(frame)
        self._resume(frame, None, None)

    def _end(self, frame: Frame, value: Any, error: asl.StateError | None) -> None:
        frame.dead = True
        if frame in frame.execution.frames:
            frame.execution.frames.remove(frame)
        self.rules.returned(frame, value, error)
        if frame.done and not frame.zombie:
            self.at(self.now, frame.done, value, error)

    def _resume(self, frame: Frame, answer: Any, error: Exception | None) -> None:
        """Send the answer into the step, up to its next call that reaches out."""
        step = frame.step
        while not frame.dead:
            try:
                asked = step.throw(error) if error is not None else step.send(answer)
            except StopIteration as end:
                self._end(frame, msgspec.to_builtins(end.value), None)
                return
            except CrossmeshError as failed:
                self._end(frame, None, asl.StateError(type(failed).__name__, str(failed)))
                return
            except Broken:
                raise
            except Exception as failed:
                raise Broken("clear-errors", f"{frame.module} ended in {type(failed).__name__}: {failed}") from failed
            error = None
            if type(asked) is Call:
                if asked.port in UNCOUNTED:
                    if asked.method == "now":
                        answer = self.now + frame.skew
                        continue
                    if asked.method == "sleep":
                        self._later(frame, self.now + asked.args[0], self._resume, frame, None, None)
                        return
                    answer = None
                    continue
                frame.group, frame.calls = False, (asked,)
            else:
                frame.group, frame.calls = True, asked.calls
            frame.answers = []
            self._next(frame)
            return

    def _later(self, frame: Frame, when: float, do: Callable[..., None], *args: Any) -> None:
        """Go on at a time, or die of the function's timeout before."""
        if when > frame.deadline:
            self.at(frame.deadline, self._die, frame, "Sandbox.Timedout")
        else:
            self.at(when, do, *args)

    def _die(self, frame: Frame, why: str) -> None:
        if not frame.dead:
            frame.step.close()
            self._end(frame, None, asl.StateError(why, "the function ended without an answer"))

    def _next(self, frame: Frame) -> None:
        when = self.now + (self.latency * (0.5 + self.rng.random()) if self.jitter else self.latency)
        if when > frame.deadline:
            self.at(frame.deadline, self._die, frame, "Sandbox.Timedout")
        else:
            self.order += 1
            heappush(self.heap, (when, self.order, self._call, (frame,)))

    def _call(self, frame: Frame) -> None:
        """One port call, with what was laid for its number."""
        if frame.dead:
            return
        number, self.calls = self.calls, self.calls + 1
        if number > CALLS_AT_MOST:
            raise Broken("bounded-calls", f"more than {CALLS_AT_MOST} calls")
        faults = self.faults.get(number) if self.faults else None
        if self.lasting or (faults and faults[0].do in ("stall", "failing")):
            faults = self._lasting(frame, faults or [])
        if faults:
            self._faulty(frame, number, list(faults))
            self.world.lie, self.world.next_lag, self.world.next_failure, self.stale = "", None, False, 0
        else:
            self._make(frame, number, "")
        if self.beside:
            for other, its in self.beside.pop(number, ()):
                self._make(other, its, "")

    def _lasting(self, frame: Frame, faults: list[Any]) -> list[Any]:
        """Faults that a function meets for a number of calls."""
        for fault in faults:
            if fault.do in ("stall", "failing"):
                self.lasting[fault.what] = [fault, fault.arg]
        found = [fault for fault in faults if fault.do not in ("stall", "failing")]
        fault, left = self.lasting.get(frame.module, (None, 0))
        if fault is not None and left > 0:
            self.lasting[frame.module][1] -= 1
            found.append(Fault(at=0, do="pause", arg=99.0) if fault.do == "stall" else Fault(at=0, do="error"))
        return found

    def _faulty(self, frame: Frame, number: int, faults: list[Any]) -> None:
        """Apply what goes wrong at this call, in order; the last word is the call itself."""
        call = frame.calls[len(frame.answers)]
        self.rules.struck(frame, call, faults)
        wrong, after = "", ""
        for fault in faults:
            if fault.do in ("crash", "kill"):
                if fault.do == "kill":
                    self.kill(frame.execution)
                self._die(frame, "Runtime.ExitError")
                return
            if fault.do == "beside":
                self.kill(frame.execution)
                frame.zombie = True
                self.beside.setdefault(int(fault.arg), []).append((frame, number))
                self.at(self.now + 0.05, self.look, "hint")
                self.at(frame.deadline, self._die, frame, "Sandbox.Timedout")
                return
            if fault.do in ("orphan", "pause"):
                if fault.do == "orphan":
                    self.kill(frame.execution)
                    frame.zombie = True
                self._later(frame, self.now + fault.arg, self._make, frame, number, "")
                return
            if fault.do == "skew":
                frame.skew = fault.arg
            elif fault.do == "stale":
                self.stale = int(fault.arg) or 1
            elif fault.do == "lie":
                if call.method == "observe":
                    self.world.lie = fault.what
            elif fault.do == "slow":
                self.world.next_lag = fault.arg
            elif fault.do == "late-failure":
                self.world.next_failure = True
            elif fault.do in ("crash-after", "kill-after"):
                after = fault.do
            else:
                wrong = fault.do
        self._make(frame, number, wrong)
        if after and not frame.dead:
            if after == "kill-after":
                self.kill(frame.execution)
            self._die(frame, "Runtime.ExitError")

    def _make(self, frame: Frame, number: int, wrong: str) -> None:
        if frame.dead:
            return
        call = frame.calls[len(frame.answers)]
        if self.trace is not None:
            self.trace.append(f"{number} t={self.now - START:.3f} {frame.execution.name}/{frame.module} {call.port}.{call.method} {wrong}")
        error: CrossmeshError | None = None
        answer: Any = None
        self.current = frame
        frame.slowest = frame.slowest if frame.group and frame.answers else 0.0
        try:
            answer = self._wrongly(call, wrong) if wrong else getattr(self.ports[call.port], call.method)(*call.args, **call.kwargs)
        except CrossmeshError as raised:
            error = raised
        except Dripping:  # nobody keeps a limit: the function waits until its own time is up
            self.at(frame.deadline, self._die, frame, "Sandbox.Timedout")
            return
        except (Broken, AssertionError):
            raise
        except Exception as raised:
            raise Broken("clear-errors", f"{call.port}.{call.method} raised {type(raised).__name__}: {raised}") from raised
        finally:
            self.current, self.wire_fault = None, ""
        if call.method in self.watched:
            self.rules.called(frame, call, answer, error)
        wait = PATIENCE if wrong in ("timeout", "lost") else 0.0
        if call.port == "Clusters":
            wait = frame.slowest = max(wait, frame.slowest, self.world.waited())
        if not frame.group:
            self._later(frame, self.now + wait, self._resume, frame, answer, error) if wait else self._resume(frame, answer, error)
            return
        frame.answers.append(error if error is not None else answer)
        if len(frame.answers) == len(frame.calls):
            wait = max(wait, frame.slowest)
            self._later(frame, self.now + wait, self._resume, frame, frame.answers, None) if wait else self._resume(frame, frame.answers, None)
        else:
            self._next(frame)

    def _wrongly(self, call: Call, wrong: str) -> Any:
        """The call, met by what is wrong with it."""
        port = self.ports[call.port]
        if call.port in ("Registry", "AppMeshApi"):
            self.wire_fault = wrong
        elif wrong == "throttle":
            raise Throttled("Rate exceeded")
        elif wrong == "refuse":
            raise RefusedError("AccessDenied", "not authorized")
        elif wrong in ("error", "timeout"):
            raise TransientError("no answer")
        answer = getattr(port, call.method)(*call.args, **call.kwargs)
        if wrong == "lost" and call.port not in ("Registry", "AppMeshApi"):
            raise TransientError("the answer was lost")
        return answer

    # --- the play -------------------------------------------------------------------------------------------------------------------------

    def loop(self, until: float) -> None:
        """Let everything happen up to a time."""
        heap = self.heap
        while heap and heap[0][0] <= until:
            self.now, _, do, args = heappop(heap)
            do(*args)
        self.now = max(self.now, until)

    def look(self, cause: str) -> None:
        """A trigger of the look: each minute, and at hints."""
        self.start("Look", {"cause": cause})

    def happen(self, event: Event) -> None:
        """One event of the world, and the hint that tells of it."""
        self.rules.happens(event)
        hint = self.world.happen(event, self)
        if not hint or self.schedule.hints == "lost":
            return
        delay = {"kept": 0.2, "twice": 0.2, "late": 47.0}[self.schedule.hints]
        self.at(self.now + delay, self.look, hint)
        if self.schedule.hints == "twice":
            self.at(self.now + delay + self.rng.choice((0.0, 0.01, 3.0)), self.look, hint)

    def operator(self, **changes: Any) -> None:
        """Somebody used the command line."""
        data = self.state.read(state.OPERATOR)
        now = codec.decode(data, ManualOverrides) if data else ManualOverrides()
        self.state.write(state.OPERATOR, codec.encode(msgspec.structs.replace(now, **changes)))

    def memory(self) -> PlannerState:
        """What the planner remembers."""
        data = self.state.read(state.MEMORY)
        return codec.decode(data, PlannerState) if data else PlannerState()
