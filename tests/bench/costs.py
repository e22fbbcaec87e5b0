"""What crossmesh costs a month, from what the deployed application does in the local world: `python -m tests.bench.costs`.

docs/reference/costs.md keeps a table.

Durations are measured; processor time is measured apart, because a function on AWS gets a part of a processor by its memory. A look and a canary's run are
measured `RUNS` times on a quiet world, warm, and the median counts.
"""

import dataclasses
import gzip
import json
import statistics
import time
from typing import Any

import msgspec
from crossmesh import codec
from crossmesh.adapters.kubernetes.pods import Page, PodItem, pod_of
from crossmesh.core.observed import RegistryView, Seen, ServiceView
from crossmesh.core.registry import planner
from crossmesh.core.registry.plan import PlannerState
from samtranslator.yaml_helper import yaml_parse

from tests.bench.__main__ import filled, pod
from tests.bench.prices import ALARM, METRIC, Use, a_month, billed_ms
from tests.support.builders import NAMESPACE, context, node
from world.application import Application
from world.aws.clients import client
from world.clusters.client import Cluster, wait_for
from world.deploy import ROOT, deploy
from world.supervisor import running_world

RUNS = 15
TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())


def memory_of(function: str) -> int:
    """Megabytes that the template gives."""
    properties = TEMPLATE["Resources"][function]["Properties"]
    return int(properties.get("MemorySize", TEMPLATE["Globals"]["Function"]["MemorySize"]))


class Measured:
    """Counts between two moments of a world."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.requests = dict(app.ask("requests")["requests"])
        self.invocations = len(app.ask("invocations")["invocations"])
        self.points = {self._key(m): len(m["points"]) for m in app.ask("metrics")["metrics"]}
        self.calls = {c["operation"]: c["count"] for c in app.calls()["calls"]}
        self.logged = self._log_bytes()

    @staticmethod
    def _key(metric: Any) -> str:
        return json.dumps([metric["namespace"], metric["name"], metric["dimensions"]])

    def _log_bytes(self) -> int:
        logs, group = client(self.app.document, "logs"), f"/aws/lambda/{self.app.stack}"
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return sum(len(e["message"].encode()) + 26 for page in pages for e in page["events"])  # 26 bytes an event are charged too

    def use(self, functions: tuple[str, ...], machine: str, runs: int) -> tuple[Use, list[str]]:
        """One pass, from `runs` of them since; and what was measured of each function, as a line."""
        took: dict[str, tuple[int, int]] = {}
        told = []
        invocations = self.app.ask("invocations")["invocations"][self.invocations :]
        for name in functions:
            warm = [i for i in invocations if f"-{name}-" in i["function"] and not i["cold"]]
            elapsed, used = (statistics.median(i[key] for i in warm) for key in ("ms", "processor_ms"))
            mean = statistics.mean(i["processor_ms"] for i in warm)  # ticks of 10 ms: the mean tells more than the median
            took[name] = (billed_ms(elapsed, mean, memory_of(name)), memory_of(name))
            told.append(
                f"{name}: {elapsed:.0f} ms, of it {mean:.0f} ms processor (median {used:.0f}); billed at {memory_of(name)} MB: {took[name][0]} ms"
            )
        fresh = {
            m["name"]: [v for _, v in m["points"][self.points.get(self._key(m), 0) :]]
            for m in self.app.ask("metrics")["metrics"]
            if machine in str(m)
        }
        local = statistics.median(fresh["ExecutionTime"])
        slower = sum(ms for ms, _ in took.values()) - sum(
            statistics.median(i["ms"] for i in invocations if f"-{n}-" in i["function"]) for n in functions
        )
        requests = {k: v - self.requests.get(k, 0) for k, v in self.app.ask("requests")["requests"].items()}
        calls = {c["operation"]: c["count"] - self.calls.get(c["operation"], 0) for c in self.app.calls()["calls"]}
        return (
            Use(
                functions=took,
                express_ms=local + max(0.0, slower),
                payload_bytes=16_384,
                writes=requests.get("write units", 0) / runs,
                reads=requests.get("GetItem", 0) / runs,  # consistent reads of up to 4 KB: documents are kept compressed
                puts=requests.get("S3.PUT", 0) / runs,
                gets=requests.get("S3.GET", 0) / runs,
                log_bytes=(self._log_bytes() - self.logged) / runs,
                discoveries=(calls.get("DiscoverInstances", 0) + calls.get("DiscoverInstancesRevision", 0)) / runs
                if "look" in machine
                else 0.0,
            ),
            told,
        )


def measure() -> dict[str, tuple[Use, list[str]]]:
    """A world, the application in it, quiet; then looks, then canary runs."""
    with running_world("costs", ROOT / ".world") as world:
        deploy(world.document, Mode="apply", Schedule="DISABLED")
        app = Application(world)
        Cluster(world.document, "eksc2").wait_ready("appmesh-demo", "app=colorapp", 2)
        wait_for(lambda: app.look(90).kind == "quiet", 120, "a quiet look")
        found = {}
        for _ in range(3):
            app.canary()
        before = Measured(app)
        for _ in range(RUNS):
            app.look()
        found["look"] = before.use(("LookFunction",), app.outputs["LookArn"], RUNS)
        before = Measured(app)
        for _ in range(RUNS):
            app.canary()
        found["canary"] = before.use(("ProbeFrontFunction", "JudgeCanaryFunction"), app.outputs["CanaryArn"], RUNS)
        return found


def pods_ms(count: int) -> float:
    """Milliseconds of processor that a quiet look spends on `count` pods: pages of the Kubernetes API decoded (5 KB a pod, as `kubectl get -o json` shows for a
    pod with a sidecar), the last listing of the registry decoded, the plan made."""
    nodes = [node("n0")]
    where = context(*nodes, clusters=("c00",))
    pods = tuple(pod(0, index) for index in range(0, count * 100, 100))
    view = Seen(cluster="c00", identity="u", begun=1.0, versions={"demo": 1}, pods=pods)
    empty = (ServiceView(namespace=NAMESPACE, service="color", namespace_id="ns", namespace_type="DNS_PRIVATE", id="srv", arn="arn"),)

    def plan(services: tuple[ServiceView, ...]) -> planner.RegistryPlan:
        registry = RegistryView(begun=1.0, services=services)
        return planner.plan(
            planner.PlanInputs(
                settings=where.settings,
                topology=where.topology,
                views=(view,),
                registry=registry,
                memory=PlannerState(),
                deployment=where.deployment,
            )
        )

    full = filled(empty, plan(empty), where)
    item = {
        "metadata": {"name": "p", "namespace": "demo", "uid": "u", "labels": {"version": "n0"}, "annotations": {"filler": "x" * 4500}},
        "spec": {"nodeName": "n"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": kind, "status": "True"} for kind in ("ContainersReady", "Ready")],
        },
    }
    page = gzip.compress(json.dumps({"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": [item] * count}).encode())
    kept = codec.encode(RegistryView(begun=1.0, services=full))
    began = time.process_time()
    for one in msgspec.json.decode(gzip.decompress(page), type=Page).items or ():
        pod_of(msgspec.json.decode(one, type=PodItem), began)
    plan(codec.decode(kept, RegistryView).services)
    return (time.process_time() - began) * 1000


def by_pods(look: Use) -> None:
    """A quiet look's month by the number of pods: what is measured with three pods, and the processor time that the others add."""
    print("\n| pods | billed a look | Lambda | in all, quiet |\n| --- | --- | --- | --- |")
    ((ms, memory),) = look.functions.values()
    for count in (10, 100, 1_000, 5_000):
        more = min(pods_ms(count) for _ in range(3))
        took = billed_ms(ms + more, more, memory)
        use = dataclasses.replace(look, functions={"LookFunction": (took, memory)}, express_ms=look.express_ms + took - ms)
        month = a_month(use)
        print(f"| {count:,} | {took} ms | {month['Lambda']:.2f} | {sum(month.values()):.2f} |")


def main() -> None:
    """Tables in Markdown."""
    alarms = sum(1 for r in TEMPLATE["Resources"].values() if r["Type"] == "AWS::CloudWatch::Alarm")
    measured = measure()
    for name, (use, told) in measured.items():
        month = a_month(use)
        print(f"\n{name}, once a minute\n\n| | $ a month |\n| --- | --- |")
        for service, dollars in month.items():
            print(f"| {service} | {dollars:.3f} |")
        print(f"| **in all** | **{sum(month.values()):.2f}** |\n")
        print("\n".join(f"- {line}" for line in told))
        print(f"- {use}")
    by_pods(measured["look"][0])
    print(f"\nmetrics at {METRIC} each, {alarms} alarms at {ALARM} each = {alarms * ALARM:.2f}")


if __name__ == "__main__":
    main()
