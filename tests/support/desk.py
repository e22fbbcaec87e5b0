"""A person at a terminal: the command line as typed, in a folder with a configuration, against applications deployed in memory."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from crossmesh import codec
from crossmesh.adapters import aws
from crossmesh.adapters.memory import MemoryBalancers, MemoryClock, MemoryFront, MemoryInstances, MemoryNetworks
from crossmesh.cli import main, stack
from crossmesh.core.canary.sample import Sample
from crossmesh.core.observed import Pod
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.manifests.config import load_config
from crossmesh.steps import look, reconcile_mesh, take_lease
from crossmesh.usecases.context import Context

from tests.support.manifest_texts import HEAD, manifest, node
from tests.support.model_mesh import ModelMesh
from tests.support.passes import MemoryWorld

SETTINGS = """\
owner: shop-prod
region: eu-west-1
mesh: {{manifests: {{files: [mesh/*.yaml]}}, backend: {backend}}}
clusters: {{a: {{}}, b: {{}}}}
canaries:
  front:
    url: http://front.example
    expect: {{mix: {{of: s, bodies: {{blue: blue, red: red}}}}}}
policy: {{removals: sync, confirm_above: 15%, confirm_after: 20s}}
"""
ROUTER = manifest(
    "VirtualRouter",
    "r",
    """\
listeners: [{portMapping: {port: 8080, protocol: http}}]
routes:
  - name: one
    httpRoute:
      match: {prefix: /}
      action: {weightedTargets: [{virtualNodeRef: {name: blue}, weight: 60}, {virtualNodeRef: {name: red}, weight: 40}]}
""",
) + manifest("VirtualService", "s", "provider: {virtualRouter: {virtualRouterRef: {name: r}}}")
MANIFESTS = HEAD + node("blue", service="color", attributes="[{key: app, value: blue}]")
MANIFESTS += node("red", service="color", attributes="[{key: app, value: red}]") + ROUTER
ACCOUNT = "111122223333"
GOOD = tuple(Sample(status=200, body="blue" if number % 5 < 3 else "red", latency_ms=3.0) for number in range(20))  # as routed


class Amazon:
    """The few AWS operations that the command line itself calls, by region; everything asked is kept."""

    def __init__(self) -> None:
        self.stacks: dict[tuple[str, str], dict[str, Any]] = {}
        self.resources: list[dict[str, Any]] = []
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.in_flight: dict[str, int] = {}  # messages that somebody works on, by queue
        self.executions: list[dict[str, Any]] = []  # of the run's state machine, newest first
        self.calls: list[tuple[str, str, str, dict[str, Any]]] = []
        self.refused: set[str] = set()
        self.started: Callable[[str], None] = lambda _: None  # what an execution does, by its name

    def asked(self, *operations: str) -> list[dict[str, Any]]:
        """Arguments of the calls of these operations."""
        return [given for _, _, operation, given in self.calls if operation in operations]

    def client(self, service: str, region: str | None = None, **_: Any) -> Any:
        """Stands in for `adapters.aws.client`."""
        return _Client(self, service, region or "")

    def deploy(self, name: str, region: str, *, owner: str, mode: str = "apply", at: float) -> None:
        """A stack."""
        arn = f"arn:aws:states:{region}:{ACCOUNT}:stateMachine:{name}"
        outputs = {"StateTable": f"{name}@{region}", "RunStore": "bucket", "ReconcileArn": f"{arn}-run", "LookArn": f"{arn}-look"}
        outputs |= {"CanaryArn": f"{arn}-canary", "HintBus": "hints", "OwnerMark": owner, "ModeNow": mode}
        outputs |= {"LostTriggersUrl": "triggers", "LostInvocationsUrl": "invocations", "ReaderRoleArns": "arn:role"}
        self.stacks[region, name] = {
            "StackId": f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/{name}/1",
            "StackStatus": "UPDATE_COMPLETE",
            "LastUpdatedTime": datetime.fromtimestamp(at, UTC),
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
            "Parameters": [{"ParameterKey": "Owner", "ParameterValue": owner}, {"ParameterKey": "Mode", "ParameterValue": mode}],
        }

    def answer(self, region: str, operation: str, given: dict[str, Any]) -> Any:
        """One call."""
        match operation:
            case "describe_stacks" if (region, given["StackName"]) in self.stacks:
                return {"Stacks": [self.stacks[region, given["StackName"]]]}
            case "describe_stacks":
                said = {"Code": "ValidationError", "Message": f"Stack with id {given['StackName']} does not exist"}
                raise ClientError({"Error": said}, "DescribeStacks")  # type: ignore[typeddict-item]
            case "describe_stack_resource":
                return {"StackResourceDetail": {"LastUpdatedTimestamp": self.stacks[region, given["StackName"]]["LastUpdatedTime"]}}
            case "get_caller_identity":
                return {"Account": ACCOUNT, "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Admin/alice"}
            case "receive_message":
                return {"Messages": self.messages.pop(given["QueueUrl"], [])}
            case "get_queue_attributes":
                return {"Attributes": {"ApproximateNumberOfMessagesNotVisible": str(self.in_flight.get(given["QueueUrl"], 0))}}
            case "list_stack_resources":
                return {"StackResourceSummaries": self.resources}
            case "list_executions":
                return {"executions": self.executions[: given["maxResults"]]}
            case "start_execution":
                arn = given["stateMachineArn"].replace(":stateMachine:", ":execution:") + f":{given.get('name', 'x')}"
                self.started(given.get("name", "x"))
                return {"executionArn": arn}
            case "describe_execution":
                for one in self.executions:
                    if given["executionArn"].endswith(f":{one['name']}"):
                        return {**one, "executionArn": given["executionArn"]}
                raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": "no"}}, "DescribeExecution")
            case "get_execution_history":
                return {"events": []}
            case "put_events" if "put_events" in self.refused:
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, "PutEvents")
            case "put_events":
                return {"FailedEntryCount": 0}
            case _:
                return {}


class _Client:
    def __init__(self, amazon: Amazon, service: str, region: str) -> None:
        self._amazon, self._service, self._region = amazon, service, region

    def __getattr__(self, operation: str) -> Any:
        def call(**given: Any) -> Any:
            self._amazon.calls.append((self._service, self._region, operation, given))
            return self._amazon.answer(self._region, operation, given)

        return call

    def get_paginator(self, operation: str) -> Any:
        class Pages:
            def paginate(_, **given: Any) -> Any:  # noqa: N805
                return [getattr(self, operation)(**given)]

        return Pages()


class Desk:
    """A folder, a world, and the verbs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.monkeypatch, self._capsys = folder, monkeypatch, capsys
        self.world, self.amazon, self.front = MemoryWorld(), Amazon(), MemoryFront()
        self.world.clock = MemoryClock(1_700_000_000.0)
        self.world.clusters.clock = self.world.clock
        self.world.mesh = ModelMesh(self.world.clock.now)  # type: ignore[assignment]
        self.world.registry.namespaces = {"shop.local": ("ns-1", "DNS_PRIVATE")}
        self.opened: list[tuple[str, str]] = []  # (region, table) of every state that a verb opened
        monkeypatch.chdir(folder)
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "CROSSMESH_ENV", "CROSSMESH_STACK", "AWS_ACCESS_KEY_ID"):
            monkeypatch.setenv(name, "")  # so that what a verb sets is taken back, too
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "aws-config"))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "aws-credentials"))
        aws.session.cache_clear()
        monkeypatch.setattr(aws, "client", self.amazon.client)
        monkeypatch.setattr(stack, "Ports", self._ports)
        monkeypatch.setattr("time.time", lambda: self.world.clock.time)
        self.write()
        self.amazon.deploy("crossmesh", "eu-west-1", owner="shop-prod", at=self.now - 3600)

    def _ports(self, region: str, table: str, _: str) -> Any:
        self.opened.append((region, table))
        front = {"Front": self.front, "Instances": MemoryInstances(), "Balancers": MemoryBalancers(), "Networks": MemoryNetworks()}
        return {**self.world.ports, **front}

    @property
    def now(self) -> float:
        return self.world.clock.time

    def write(self, settings: str = "", manifests: str = MANIFESTS, backend: str = "appmesh") -> None:
        """The configuration in the folder."""
        (self.folder / "config" / "mesh").mkdir(parents=True, exist_ok=True)
        (self.folder / "config" / "crossmesh.yaml").write_text(settings or SETTINGS.format(backend=backend))
        (self.folder / "config" / "mesh" / "shop.yaml").write_text(manifests)

    def types(self, *answers: str) -> None:
        """A person is there, and answers."""
        waiting = list(answers)
        self.monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        self.monkeypatch.setattr("builtins.input", lambda *_: waiting.pop(0))

    def run(self, *words: str) -> tuple[int, str, str]:
        """A verb; its exit code, stdout and stderr."""
        self._capsys.readouterr()
        try:
            code = main(list(words))
        except SystemExit as ended:
            code = int(str(ended.code))
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err

    def context(self, mode: str = "apply") -> Context:
        """What the deployed functions know, deployed from the folder."""
        config = load_config(self.folder / "config")
        assert config.settings is not None
        assert not [f for f in config.findings if f.level == "error"], config.findings
        return Context(
            settings=config.settings,
            topology=config.topology,
            config=config.sha256,
            deployment=f"{ACCOUNT}/eu-west-1/crossmesh",
            mode=mode,  # type: ignore[arg-type]
            version="0.1.0",
        )

    def pods(self, cluster: str = "a", *, ready: bool = True, **counts: int) -> None:
        """Ready pods by app."""
        for app, count in counts.items():
            for number in range(count):
                uid = f"{app}-{cluster}-{number}"
                self.world.clusters.put(cluster, pod(uid, app, ready=ready, number=len(self.world.clusters.pods.get(cluster, {})) + number + 1))

    def look(self, mode: str = "apply") -> Report:
        """The deployed application looks."""
        self.world.clock.sleep(1)
        self.world.look(self.context(mode))
        return codec.decode(self.world.state.documents[look.LAST], Report)

    def reconcile(self) -> None:
        """A run of the deployed application, registry and mesh."""
        where = self.context()
        self.world.clock.sleep(1)
        self.world.run(where)
        kept = {key: value for key, value in self.world.runs.objects.items() if key.startswith(f"runs/run-{self.world.count}/")}
        self.world.count += 1
        for key, value in kept.items():  # registry and mesh are one run: the mesh goes by what became of the registry
            self.world.runs.objects[key.replace(f"/run-{self.world.count - 1}/", f"/m{self.world.count}/")] = value
        arn = f"arn:mesh-{self.world.count}"
        self.world.executions.alive = {arn}
        lease = drive(take_lease.run(take_lease.Request(id=f"m{self.world.count}", execution=arn), where), self.world.ports)
        drive(reconcile_mesh.run(reconcile_mesh.Request(run=lease.run), where), self.world.ports)
        self.world.state.leases.clear()

    def settle(self) -> None:
        """Runs and looks until nothing is left to do."""
        for _ in range(4):
            self.reconcile()
            if self.look().kind == "quiet":
                return
        raise AssertionError("it does not settle")


def pod(uid: str, app: str, *, ready: bool = True, number: int = 1, **labels: str) -> Pod:
    """A pod of namespace shop."""
    return Pod(
        namespace="shop",
        name=f"pod-{uid}",
        uid=uid,
        ip=f"10.0.{number // 200}.{number % 200 + 1}",
        labels={"app": app, **labels},
        phase="Running",
        containers_ready=ready,
    )
