"""Many pods in the world: cold start, change, rolling update, deletion of all, drift, rest. Pods are real HTTP servers with a preStop sleep."""

import json
import time
from collections.abc import Callable

from tests.bench.timeline import Held, compare
from tests.bench.watched import Watched
from world.application import NAMESPACE
from world.aws.clients import client
from world.clusters.client import wait_for

PODS = 100
READY_DELAY, PRE_STOP_S = "3s", 5
Row = Callable[[str, str, str], None]


def many_pods(world: Watched, row: Row) -> None:
    """Everything with 100 blue pods (and one red), at the world's 0.3 s operation lag."""
    world.lag(0.3)
    _shape(world, generation=1)
    world.rest()
    _cold_start(world, row)
    _change(world, row, 10)
    _rolling(world, row)
    _drift_by_event(world, row)
    _all_deleted(world, row)


def _shape(world: Watched, generation: int) -> None:
    """As a real Deployment: surge 25 %, unavailable 0, seconds to become ready, a preStop sleep; `generation` is what a new image would change."""
    found = world.colours.get("Deployment", "appmesh-demo", "colorapp-blue")
    template = json.loads(json.dumps(found["spec"]["template"]))
    template["metadata"].setdefault("annotations", {}).update({"world/ready-delay": READY_DELAY, "generation": str(generation)})
    for container in template["spec"]["containers"]:
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": PRE_STOP_S}}}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}
    world.colours.patch("Deployment", "appmesh-demo", "colorapp-blue", {"spec": {"template": template, "strategy": strategy}})


def _counted(world: Watched) -> str:
    calls = world.cloud_map_calls()
    return f"{sum(calls.values())} calls ({', '.join(f'{count} {name}' for name, count in sorted(calls.items(), key=lambda c: -c[1]))})"


def _cold_start(world: Watched, row: Row) -> None:
    world.app.calls(reset=True)
    world.scale(PODS)
    seen = world.until_exact(120, pods=PODS + 1)
    world.rest()
    row(f"cold start of {PODS} pods", f"≤ {PODS + 10} calls", f"lag {compare(world.changes, seen).lag:.1f} s; {_counted(world)}")


def _change(world: Watched, row: Row, count: int) -> None:
    world.app.calls(reset=True)
    world.scale(PODS + count)
    world.until_exact(120, pods=PODS + count + 1)
    world.rest()
    row(f"change: {count} more pods", f"≤ {count + 5 + 4} calls", _counted(world))
    world.scale(PODS)
    world.until_exact(120, pods=PODS + 1)


def _rolling(world: Watched, row: Row) -> None:
    world.rest()
    world.app.calls(reset=True)
    before = world.live() - _red(world)
    _shape(world, generation=int(time.time()))
    seen: list[Held] = []
    until = time.monotonic() + 240
    while before & world.live() or len(world.live()) != PODS + 1 or seen[-1].uids != world.live():
        seen.append(world.held())
        time.sleep(0.05)
        if time.monotonic() > until:
            raise TimeoutError("the rolling update did not end")
    time.sleep(1)
    seen.append(world.held())
    found = compare(world.changes, seen)
    told = f"least live registered {found.least_live - 1} of {PODS}"
    told += f", {found.dead_seconds:.0f} instance-seconds non-live (most {found.most_dead}), lag {found.lag:.1f} s"
    row(f"rolling update of {PODS}", "least ≥ 95, ≤ 100 instance-seconds, lag ≤ 3 s", f"{told}; {_counted(world)}")


def _red(world: Watched) -> set[str]:
    return {pod["metadata"]["uid"] for pod in world.colours.items("Pod", "appmesh-demo", "version=red")}


def _all_deleted(world: Watched, row: Row) -> None:
    world.rest()
    world.scale(0)
    while len(world.live()) > 1:
        time.sleep(0.02)
    found = compare(world.changes, world.until_exact(90, 0.05))
    row(f"all {PODS} deleted at once, seen Terminating", "lag ≤ 3 s", f"lag {found.lag:.1f} s")
    world.scale(1)
    world.until_exact(60, pods=2)


def _lose(world: Watched) -> float:
    """Deregister one instance behind the application's back, never the same twice: a service that loses one again is stopped. When it showed."""
    service = next(s["Id"] for s in world.registry.list_services()["Services"] if s["Name"] == "colorapp")
    victim = next(i["Id"] for i in world.registry.list_instances(ServiceId=service)["Instances"] if i["Id"] not in world.lost)
    world.lost.add(victim)
    world.registry.deregister_instance(ServiceId=service, InstanceId=victim)
    wait_for(lambda: world.held().uids != world.live(), 10, "the loss to show")
    return time.monotonic()


def _add_bogus(world: Watched) -> float:
    """Register an instance of ours that no pod stands for."""
    service = next(s["Id"] for s in world.registry.list_services()["Services"] if s["Name"] == "colorapp")
    real = world.registry.discover_instances(NamespaceName=NAMESPACE, ServiceName="colorapp", MaxResults=1)["Instances"][0]["Attributes"]
    ghost = {**real, "crossmesh/pod-uid": "0000", "k8s.io/pod": "nobody", "AWS_INSTANCE_IPV4": "127.2.200.1"}
    world.registry.register_instance(ServiceId=service, InstanceId="eksc2.0000", Attributes=ghost)
    wait_for(lambda: world.held().uids != world.live(), 10, "the ghost to show")
    return time.monotonic()


def _drift_by_event(world: Watched, row: Row) -> None:
    for what, drift in (("lost", _lose), ("bogus", _add_bogus)):
        world.rest()
        began = drift(world)
        took = world.until_exact(60, 0.05)[-1].at - began
        row(f"{what} instance, by its CloudTrail event, {PODS} pods", "≤ 3 s", f"{took:.1f} s")


def schedule_alone(world: Watched, row: Row) -> None:
    """With the drift rule off and the watchers gone: repair by the schedule, then the calls of two minutes of rest."""
    from world.deploy import scale_watchers

    scale_watchers(world.document, 0)
    events = client(world.document, "events")
    rule = next(r["Name"] for r in events.list_rules()["Rules"] if "Drift" in r["Name"])
    events.disable_rule(Name=rule)
    world.rest()
    world.app.schedule("Look", on=True)
    try:
        for what, drift in (("lost", _lose), ("bogus", _add_bogus)):
            began = drift(world)
            took = world.until_exact(130, 0.2)[-1].at - began
            row(f"{what} instance, by the schedule alone", "≤ 65 s", f"{took:.0f} s (anything up to a period, by chance)")
        world.rest()
        world.app.calls(reset=True)
        time.sleep(120)
        calls = world.cloud_map_calls()
        row(
            "at rest, 2 services, with repair",
            "≤ 3 calls a minute a service",
            f"{sum(calls.values()) / 4:.1f} ({_counted(world)} in 2 minutes)",
        )
    finally:
        world.app.schedule("Look", on=False)
        events.enable_rule(Name=rule)
        scale_watchers(world.document, 1)
