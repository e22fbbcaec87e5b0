"""2,000 pods of Kubernetes itself (two services of 1,000, over two clusters) registered, halved and ended, to the last instance.

Pods come from the real tier and are observed in real time by the deployed adapter, with an EKS token. Cloud Map is in memory behind the model's token
buckets under a virtual clock, so that 5/s does not take 7 minutes; one row runs in real time, through the world's server and boto3.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from crossmesh.adapters.clock import SystemClock
from crossmesh.adapters.cloud_map import CloudMap
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
from crossmesh.adapters.memory import MemoryClock
from crossmesh.core.observed import Seen, Unseen
from crossmesh.driver import drive
from crossmesh.usecases.context import Context

from tests.bench.convergence import ThrottledWorld, ticking
from tests.conformance.aws_drivers import post
from tests.conformance.kubernetes_tiers import Object, Tier, running_tier
from tests.support.builders import context, node
from tests.support.passes import MemoryWorld
from world.aws.clients import client
from world.aws.seed import NAMESPACE as SEEDED
from world.aws.seed import seed
from world.clusters.client import Cluster, wait_for
from world.clusters.real.binaries import MISSING, find, required
from world.supervisor import ROOT

SERVICES, EACH = 2, 1_000
BATCHES = 60  # passes until all is exact, at most: a deletion guard waits for a second listing, a run has its time

Row = Callable[[str, str, str], None]
Truth = set[tuple[str, str]]  # (service, pod uid)


class VirtualTime:
    """The adapter, with its views dated by the virtual clock that plans and confirmations go by."""

    def __init__(self, port: KubernetesClusters, clock: MemoryClock) -> None:
        self._port, self._clock = port, clock

    def observe(self, *args: Any, **more: Any) -> Seen | Unseen:
        """As it is now; begun at the virtual time."""
        return msgspec.structs.replace(self._port.observe(*args, **more), begun=self._clock.now())


def deployment(name: str, replicas: int) -> Object:
    """Pods that a virtual node selects."""
    container = {"name": "app", "image": "app:1", "ports": [{"containerPort": 8080}]}
    meta = {"labels": {"version": name}, "annotations": {"world/start-delay": "0s", "world/ready-delay": "0s", "world/stop-delay": "0s"}}
    template = {"metadata": meta, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"version": name}}, "template": template}
    return {"kind": "Deployment", "metadata": {"name": name, "namespace": "demo"}, "spec": spec}


def resize(tier: Tier, each: int) -> float:
    """Every service gets `each` pods, half in each cluster; seconds until all are ready and no other is left."""
    began = time.monotonic()
    per = each // len(tier.clusters)
    for cluster in tier.clusters.values():
        for index in range(SERVICES):
            cluster.scale("demo", f"n{index}", per)
    for cluster in tier.clusters.values():
        wait_for(lambda cluster=cluster: sized(cluster, per * SERVICES), 300, f"{per * SERVICES} pods in {cluster.name}")
    return time.monotonic() - began


def sized(cluster: Cluster, count: int) -> bool:
    """Whether there are so many pods, all ready; asked cheaply, so that the asking does not slow them down."""
    time.sleep(0.5)
    try:
        ready = sum(d["status"].get("readyReplicas", 0) for d in cluster.items("Deployment", "demo"))
        page = cluster.call("GET", cluster.path("Pod", "demo") + "?limit=1")
    except OSError:
        return False  # too busy to answer
    return ready == count == len(page["items"]) + page["metadata"].get("remainingItemCount", 0)


def truth(tier: Tier) -> Truth:
    """What ought to be registered, by the administrator's own list."""
    return {
        (f"s{pod['metadata']['labels']['version'][1:]}", pod["metadata"]["uid"])
        for cluster in tier.clusters.values()
        for pod in cluster.ready_pods("demo")
    }


def registered(instances: Mapping[str, Mapping[str, Mapping[str, str]]], names: Mapping[str, str]) -> Truth:
    """What is, with nothing lost where two instances were of one pod."""
    found = [(names[service], a["crossmesh/pod-uid"]) for service, all_of in instances.items() for a in all_of.values()]
    assert len(found) == len(set(found))
    return set(found)


def passes(world: MemoryWorld, where: Context, exact: Callable[[], bool], waits: float) -> int:
    """Runs until all is exact, `waits` seconds between them (a confirmation's)."""
    for count in range(1, BATCHES + 1):
        world.run(where)
        if exact():
            return count
        world.clock.sleep(waits)
    raise AssertionError(f"not exact after {BATCHES} passes")


class AtRate:
    """crossmesh over the real clusters and a Cloud Map that takes so many changes a second, from run to run."""

    def __init__(self, where: Context, row: Row, rate: float, burst: float) -> None:
        self.where, self.row, self.rate, self.burst = where, row, rate, burst
        self.world = ThrottledWorld(rate, burst)
        self.world.clusters = VirtualTime(KubernetesClusters("us-east-1"), self.world.clock)  # type: ignore[assignment]
        ticking(self.world.clock, self.world)
        self.learned = ""

    def follow(self, wanted: Truth, ready: float) -> None:
        """From what is registered to what is wanted, and not a write more."""
        world, waits = self.world, self.where.settings.policy.confirm_after
        changes = len(wanted ^ now(world))
        refused, began, seconds = world.refused, world.clock.time, time.monotonic()
        count = passes(world, self.where, lambda: now(world) == wanted, waits)
        floor, held = max(0.0, (changes - self.burst) / self.rate) + 1, (count - 1) * waits
        taken = world.clock.time - began - held
        told = f"{taken / floor:.2f} × ({taken:.1f} s, {world.refused - refused} throttled{self.learned})"
        told += f", after {held:.0f} s of confirmation; exact" if held else "; exact"
        told += f"; Kubernetes took {ready:.0f} s, our looks and plans {time.monotonic() - seconds:.0f} s of real time"
        what = f"real pods → {len(wanted)} ({changes} changes) at {self.rate:g}/s burst {self.burst:g}"
        self.row(what, "≤ 1.2 × (T(N) + 1 s), first ≤ 1.5 ×", told)
        self.learned = ", rate learned"
        writes = len(world.registry.writes)
        world.run(self.where)
        assert len(world.registry.writes) == writes, "a quiet pass wrote"


def now(world: MemoryWorld) -> Truth:
    """The registry as it stands."""
    names = {place: view.service for place, view in world.registry.services.items()}
    return registered(world.registry.instances, names)


def in_real_time(tier: Tier, row: Row, rate: float, burst: float) -> None:
    """The pods there are, through boto3 and the world's Cloud Map, nothing virtual but the rates."""
    document = tier.world.document
    seed(document)
    rates = dict.fromkeys(("RegisterInstance", "DeregisterInstance"), (rate, burst))
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    client(document, "iam").put_role_policy(RoleName="looks", PolicyName="writes", PolicyDocument=json.dumps(allow))
    post(f"{tier.world.url('aws')}/_world/settings", {"rates": rates, "operation_lag_s": 0.3})
    world = MemoryWorld()
    world.clock = SystemClock()  # type: ignore[assignment]
    world.clusters, world.registry = KubernetesClusters("us-east-1"), CloudMap("us-east-1")  # type: ignore[assignment]
    nodes = [node(f"n{i}", service=f"s{i}") for i in range(SERVICES)]
    nodes = [msgspec.structs.replace(n, cloud_map=msgspec.structs.replace(n.cloud_map, namespace=SEEDED)) for n in nodes]
    where = context(*nodes, clusters=tuple(tier.clusters))
    began = time.monotonic()
    drive(world.steps(where, "run-real"), world.ports)
    taken = time.monotonic() - began
    api = client(document, "servicediscovery")
    found = {}
    for service in api.list_services()["Services"]:
        pages = api.get_paginator("list_instances").paginate(ServiceId=service["Id"])
        found[service["Name"]] = {i["Id"]: i["Attributes"] for page in pages for i in page["Instances"]}
    wanted = truth(tier)
    assert registered(found, {name: name for name in found}) == wanted
    floor = max(0.0, (len(wanted) - burst) / rate) + 1
    told = f"{taken / floor:.2f} × ({taken:.1f} s from lease to release, all in real time); exact"
    row(f"real pods → {len(wanted)} at {rate:g}/s burst {burst:g}, Cloud Map's server and boto3", "first run ≤ 1.5 × (T(N) + 1 s)", told)


def real_pods(row: Row) -> None:
    """All rows; where the tier is not built, one that says so."""
    if find() is None:
        print(f"SKIPPED: {MISSING}", file=sys.stderr)
        row("2,000 real pods", "≤ 1.2 × (T(N) + 1 s)", "**not measured**: the real tier is not built (`make kube`)")
        assert not required(), MISSING
        return
    with running_tier("real", ROOT / ".world" / "bench", forgetful=False) as tier:
        kept = dict(os.environ)
        os.environ.update(tier.reader_environment())
        try:
            for cluster in tier.clusters.values():
                cluster.apply({"kind": "Namespace", "metadata": {"name": "demo"}})
                for index in range(SERVICES):
                    cluster.apply(deployment(f"n{index}", 0))
            where = context(*(node(f"n{i}", service=f"s{i}") for i in range(SERVICES)), clusters=tuple(tier.clusters))
            rates = [AtRate(where, row, rate, burst) for rate, burst in ((50.0, 100.0), (5.0, 20.0))]
            for each in (EACH, EACH // 2, 0):
                ready = resize(tier, each)
                for one in rates:
                    one.follow(truth(tier), ready)
                if each == EACH:
                    in_real_time(tier, row, 50.0, 100.0)
        finally:
            os.environ.clear()
            os.environ.update(kept)
