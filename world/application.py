"""The deployed application as tests and the demo drive it: hints, looks, runs, canaries, its own state — and Cloud Map as anybody sees it."""

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from typing import Any

from crossmesh import codec
from crossmesh.adapters.dynamodb import unpacked
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.reporting.report import Report

from world.aws.clients import client
from world.clusters.client import wait_for
from world.deploy import STACK, stack_outputs
from world.state import World

NAMESPACE = "appmesh-demo.pvt.aws.local"
HINT_AGAIN_S = 15.0
ROUNDING_S = 0.002
"""A report's seconds are rounded to a thousandth."""


class Application:
    """One deployed stack in a world."""

    def __init__(self, world: World, stack: str = STACK) -> None:
        self.world, self.document, self.stack = world, world.document, stack
        self.outputs = stack_outputs(world.document, stack)
        self.events, self.states = client(self.document, "events"), client(self.document, "stepfunctions")
        self.registry, self.mesh = client(self.document, "servicediscovery"), client(self.document, "appmesh")
        self.table = client(self.document, "dynamodb")

    def hint(self, detail_type: str = "Pods changed", source: str = "crossmesh.watcher") -> None:
        """What a watcher does."""
        entry = {"EventBusName": self.outputs["HintBus"], "Source": source, "DetailType": detail_type, "Detail": "{}"}
        answer = self.events.put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0, answer

    def document_of(self, key: str) -> bytes | None:
        """One of the application's own small documents."""
        item = self.table.get_item(TableName=self.outputs["StateTable"], Key={"id": {"S": f"document/{key}"}}, ConsistentRead=True).get("Item")
        return unpacked(bytes(item["value"]["B"])) if item else None

    def last(self, what: str) -> Report | None:
        """The last "look" or "run"."""
        data = self.document_of(what)
        return codec.decode(data, Report) if data else None

    def look(self, seconds: float = 60.0) -> Report:
        """Hint, and wait for a look that began after it (and for the run it asked for, if any).

        A hint is sent again from time to time, as the schedule would look again: the first may meet a look which a deployment ended.
        """
        began = time.time()
        self.hint()
        hinted = time.monotonic()

        def newer() -> Report | None:
            nonlocal hinted
            if time.monotonic() - hinted > HINT_AGAIN_S:
                self.hint()
                hinted = time.monotonic()
            found = self.last("look")
            if found is None or found.at - found.seconds < began - ROUNDING_S:
                return None
            return None if found.kind == "deferred" else found  # very many runs began lately: a later look is due

        found: Report = wait_for(newer, seconds, "a look after the hint")
        if found.kind == "apply":
            self.idle(found.id, seconds)
        return found

    def idle(self, run: str, seconds: float = 60.0) -> None:
        """Wait until the run (or whoever holds the lease in its place) has ended."""

        def ended() -> bool:
            names = {e["name"] for e in self.states.list_executions(stateMachineArn=self.outputs["ReconcileArn"])["executions"]}
            if run not in names:
                return False  # asked first: one that starts between the two questions must not pass for ended
            return not self.states.list_executions(stateMachineArn=self.outputs["ReconcileArn"], statusFilter="RUNNING")["executions"]

        wait_for(ended, seconds, f"the end of run {run}")

    def idle_all(self, seconds: float = 60.0) -> None:
        """Wait until no run is under way."""

        def none() -> bool:
            return not self.states.list_executions(stateMachineArn=self.outputs["ReconcileArn"], statusFilter="RUNNING")["executions"]

        wait_for(none, seconds, "no run")

    def instances(self, service: str = "colorapp") -> dict[str, dict[str, str]]:
        """Instance id -> attributes, as discovery shows them; {} where there is no such service yet."""
        try:
            found = self.registry.discover_instances(NamespaceName=NAMESPACE, ServiceName=service, MaxResults=1000, HealthStatus="ALL")[
                "Instances"
            ]
        except self.registry.exceptions.ServiceNotFound:
            return {}
        return {instance["InstanceId"]: instance["Attributes"] for instance in found}

    def pods(self, service: str = "colorapp") -> set[str]:
        """Names of the pods registered in a service."""
        return {attributes.get("k8s.io/pod", "") for attributes in self.instances(service).values()}

    def wait_pods(self, names: set[str], service: str = "colorapp", seconds: float = 30.0) -> float:
        """Until exactly these pods are registered; the seconds it took."""
        began = time.monotonic()

        def exact() -> bool:
            return self.pods(service) == names

        try:
            wait_for(exact, seconds, f"{service} to hold exactly {sorted(names)}")
        except TimeoutError as error:
            error.add_note(f"it holds {sorted(self.pods(service))}; last look: {self.last('look')}; last run: {self.last('run')}")
            raise
        return time.monotonic() - began

    def get(self, path: str = "/color", headers: dict[str, str] | None = None) -> tuple[int, str]:
        """One request through the front load balancer."""
        try:
            asked = urllib.request.Request(f"{self.world.url('front')}{path}", headers=headers or {})
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, type(error).__name__

    def mix(self, requests: int, path: str = "/color", headers: dict[str, str] | None = None) -> Counter[str]:
        """What `requests` requests brought."""
        return Counter(body if status == 200 else f"status {status}" for status, body in (self.get(path, headers) for _ in range(requests)))

    def canary(self, name: str = "front-color", requests: int = 0, seconds: float = 60.0) -> CanaryHistory:
        """Run the canary by event, and wait for its verdict. A probe that brings no data gives a requested run none."""
        marked = self._verdict(name)
        detail = json.dumps({"cause": "demo", "canary": name, "requests": requests})
        entry = {"EventBusName": self.outputs["HintBus"], "Source": "crossmesh.cli", "DetailType": "Canary requested", "Detail": detail}
        self.events.put_events(Entries=[entry])

        return self._judged_after(marked, name, seconds)

    def canaries(self, name: str = "front-color", seconds: float = 60.0) -> CanaryHistory:
        """Run all canaries as the schedule does, and wait for the verdict of one."""
        marked = self._verdict(name)
        asked = json.dumps({"cause": "schedule", "canary": "", "requests": 0})
        self.states.start_execution(stateMachineArn=self.outputs["CanaryArn"], input=asked)
        return self._judged_after(marked, name, seconds)

    def diagnosed(self, name: str = "front-color", requests: int = 0, seconds: float = 90.0, *, scheduled: bool = False) -> Verdict:
        """Run the canary by event (or all of them, as the schedule does), and wait until its verdict is good or diagnosed."""
        if scheduled:
            self.canaries(name, seconds)
        else:
            self.canary(name, requests, seconds)

        def done() -> Verdict | None:
            last = self._verdict(name)
            return last if last and (last.kind == "good" or last.diagnoses is not None) else None

        verdict: Verdict = wait_for(done, seconds, f"a diagnosis by canary {name}")
        return verdict

    def _verdict(self, name: str) -> Verdict | None:
        data = self.document_of(f"canary/{name}")
        return codec.decode(data, CanaryHistory).last if data else None

    def _judged_after(self, marked: Verdict | None, name: str, seconds: float) -> CanaryHistory:
        def newer() -> CanaryHistory | None:
            data = self.document_of(f"canary/{name}")
            found = codec.decode(data, CanaryHistory) if data else None
            return found if found and found.last and (marked is None or found.last.at > marked.at) else None

        found: CanaryHistory = wait_for(newer, seconds, f"a verdict of canary {name}")
        return found

    def calls(self, *, reset: bool = False) -> dict[str, Any]:
        """Calls counted by the world's own AWS server."""
        request = urllib.request.Request(f"{self.world.url('aws')}/_world/calls", method="DELETE" if reset else "GET")
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def tell(self, part: str, path: str, body: Any = None, verb: str = "POST") -> Any:
        """A switch of one of the world's parts ("aws", "dataplane", "control")."""
        data = json.dumps(body if body is not None else {}).encode()
        request = urllib.request.Request(f"{self.world.url(part)}/_world/{path}", data=data, method=verb)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def aws_answers(self) -> bool:
        """Whether the server of Cloud Map, App Mesh and EKS listens."""
        try:
            return bool(self.tell("aws", "health", verb="GET")["ok"])
        except OSError:
            return False

    def settled(self, seconds: float = 30.0) -> None:
        """Wait until every Envoy goes by what the mesh API says now, or by the snapshot that is published now."""
        asked = {"number": self.snapshot()} if self.document["mesh"] == "envoy" else {}
        wait_for(lambda: self.tell("dataplane", "envoy/settle", asked)["settled"], seconds, "the mesh's routes in Envoy")

    def snapshot(self) -> int:
        """The number of the snapshot that is published now, 0 before the first."""
        item = self.table.get_item(TableName=self.outputs["StateTable"], Key={"id": {"S": "snapshots/pointer"}}, ConsistentRead=True).get(
            "Item"
        )
        return int(item["number"]["N"]) if item else 0

    def schedule(self, machine: str, *, on: bool) -> None:
        """Switch the schedule of a state machine ("Look", "Canary") as a person would in the console."""
        scheduler = client(self.document, "scheduler")
        target = f":stateMachine:{self.stack}-{machine.lower()}"
        about = next(s for s in scheduler.list_schedules()["Schedules"] if s["Target"]["Arn"].endswith(target))
        full = scheduler.get_schedule(Name=about["Name"], GroupName=about.get("GroupName", "default"))
        kept = {k: full[k] for k in ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target") if k in full}
        scheduler.update_schedule(**kept, State="ENABLED" if on else "DISABLED")

    def alarms(self) -> dict[str, str]:
        """Each deployed alarm's state, by its name without the stack's."""
        return self._states(self.ask("alarms"))

    def pass_time(self, seconds: float) -> dict[str, str]:
        """Put the clock of alarms forward (of nothing else), evaluating them on the way; their states afterwards."""
        return self._states(self.tell("control", "alarms/pass", {"seconds": seconds}))

    def mails(self) -> list[dict[str, Any]]:
        """What the person on call got, oldest first."""
        found: list[dict[str, Any]] = self.ask("mail")["mails"]
        return found

    def ask(self, path: str) -> Any:
        """What the control server tells: "alarms", "mail", "metrics", "invocations", "requests"."""
        with urllib.request.urlopen(f"{self.world.url('control')}/_world/{path}", timeout=10) as answer:
            return json.load(answer)

    def _states(self, answer: Any) -> dict[str, str]:
        prefix = f"{self.stack}-"
        return {name.removeprefix(prefix): about["state"] for name, about in answer["alarms"].items() if name.startswith(prefix)}
