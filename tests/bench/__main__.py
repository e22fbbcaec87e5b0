"""`make bench`: the promised numbers, measured in one run on this machine. Nothing here is a test: machines are noisy, ratios tell.

Prints a Markdown table; `docs/reference/benchmarks.md` keeps one with the command that made it.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec
from crossmesh.core.mesh.appmesh import planner as mesh_planner
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.mesh.appmesh.state import MeshResource, MeshView, target_of
from crossmesh.core.observed import Instance, Pod, RegistryView, Seen, ServiceView
from crossmesh.core.registry import planner as registry_planner
from crossmesh.core.registry.plan import PlannerState, Register
from crossmesh.usecases.context import Context

from tests.bench.cold import cold_starts
from tests.bench.convergence import convergence
from tests.bench.envoys import thousand_envoys
from tests.bench.event_path import event_path
from tests.bench.real import real_pods
from tests.bench.rendering import rendering
from tests.bench.rolling import many_pods, schedule_alone
from tests.bench.simulated import simulated
from tests.bench.watched import watched_world
from tests.support.builders import NAMESPACE, context, node
from tests.support.mesh_size import many

ROWS: list[tuple[str, str, str]] = []


def row(what: str, reach: str, found: str) -> None:
    """One line of the table, printed as soon as it is known."""
    ROWS.append((what, reach, found))
    print(f"| {what} | {reach} | {found} |", flush=True)


def timed(what: Callable[[], object], times: int = 3) -> float:
    """The best of a few runs, seconds."""
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        what()
        best = min(best, time.perf_counter() - began)
    return best


def planning() -> None:
    """100,000 endpoints over 100 clusters and 100 services: a cold plan and a quiet one."""
    nodes = [node(f"n{i}", service=f"s{i}", color=f"c{i}") for i in range(100)]
    where = context(*nodes, clusters=tuple(f"c{i:02}" for i in range(100)))
    views = tuple(
        Seen(cluster=f"c{c:02}", identity=f"u{c}", begun=1.0, versions={"demo": 1}, pods=tuple(pod(c, i) for i in range(1_000)))
        for c in range(100)
    )
    empty = tuple(
        ServiceView(namespace=NAMESPACE, service=f"s{i}", namespace_id="ns", namespace_type="DNS_PRIVATE", id=f"srv-{i}", arn=f"arn-{i}")
        for i in range(100)
    )

    def inputs(services: tuple[ServiceView, ...]) -> registry_planner.PlanInputs:
        registry = RegistryView(begun=1.0, services=services)
        return registry_planner.PlanInputs(
            settings=where.settings, topology=where.topology, views=views, registry=registry, memory=PlannerState(), deployment=where.deployment
        )

    cold = registry_planner.plan(inputs(empty))
    seconds = timed(lambda: registry_planner.plan(inputs(empty)))
    full = filled(empty, cold, where)
    quiet = timed(lambda: registry_planner.plan(inputs(full)))
    assert registry_planner.plan(inputs(full)).actions == ()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    row("planning 100,000 endpoints, 100 clusters", "≤ 1 s, ≤ 512 MB", f"cold {seconds:.2f} s, quiet {quiet:.2f} s, {memory} MB")


def pod(cluster: int, index: int) -> Pod:
    """One of a cluster's thousand."""
    uid = f"{cluster:04}-{index:027}"
    labels = {"version": f"n{index % 100}", "app": "x", "pod-template-hash": "abc"}
    return Pod(
        namespace="demo",
        name=f"p{index}",
        uid=uid,
        ip=f"10.{cluster}.{index // 250}.{index % 250}",
        labels=labels,
        phase="Running",
        containers_ready=True,
    )


def filled(services: tuple[ServiceView, ...], plan: registry_planner.RegistryPlan, where: Context) -> tuple[ServiceView, ...]:
    """The services as the plan leaves them."""
    by_service: dict[str, list[Instance]] = {}
    for action in plan.actions:
        if isinstance(action, Register):
            by_service.setdefault(action.service, []).append(Instance(id=action.id, attributes=action.attributes))
    tags = {registry_planner.deployment_tag(where.settings.owner): where.deployment}
    return tuple(msgspec.structs.replace(s, instances=tuple(by_service.get(s.service, ())), tags=tags) for s in services)


def mesh() -> None:
    """200 nodes, services and routers, 1,000 routes: a plan from nothing and one where nothing is to do."""
    declared = requests(many(200))
    empty = MeshView(begun=1.0)
    full = MeshView(
        begun=1.0, resources=tuple(MeshResource(target=target_of(r), arn=str(target_of(r)), spec=r.input.get("spec", {})) for r in declared)
    )
    cold = timed(lambda: mesh_planner.plan(requests(many(200)), empty, owner="me"))
    quiet = timed(lambda: mesh_planner.plan(requests(many(200)), full, owner="me"))
    assert mesh_planner.plan(declared, full, owner="me").actions == ()
    row("planning a mesh of 1,601 resources", "≤ 1 s", f"cold {cold:.2f} s, quiet {quiet:.2f} s")


def imports() -> None:
    """Own code against a bare import of the same clients, each in a fresh process."""

    def fresh(code: str) -> float:
        return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True), 5)

    bare = fresh(
        "import botocore.session, botocore.config, botocore.exceptions, aws_lambda_powertools, aws_lambda_powertools.metrics, msgspec, yaml"
    )
    whole = fresh(
        "import crossmesh.runtime, crossmesh.configuration, crossmesh.telemetry, crossmesh.steps.look\n"
        "import crossmesh.adapters.cloud_map, crossmesh.adapters.dynamodb"
    )
    row(
        "cold start: all of ours over a bare import of the same clients",
        "≤ 1.1 ×",
        f"{whole / bare:.2f} × ({whole * 1000:.0f} over {bare * 1000:.0f} ms)",
    )


def in_world() -> None:
    """What takes a world with its watchers: about 10 minutes. What a quiet month costs has a world of its own: python -m tests.bench.costs."""
    with watched_world() as world:
        event_path(world, row)
        many_pods(world, row)
        schedule_alone(world, row)


PARTS: dict[str, Callable[[], None]] = {
    "planning": planning,
    "mesh": mesh,
    "rendering": lambda: rendering(row),
    "imports": imports,
    "cold": lambda: cold_starts(row),
    "convergence": lambda: convergence(row),
    "real": lambda: real_pods(row),
    "envoys": lambda: thousand_envoys(row),
    "simulated": lambda: simulated(row),
    "world": in_world,
}


def main(names: list[str]) -> None:
    """The table, or the named parts of it."""
    print("| what | reach | found |\n| --- | --- | --- |")
    for name in names or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
