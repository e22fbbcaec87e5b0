"""Snapshots for own Envoys, watched: what is published is what was decided, moves only forward, and shrinks only by a listed reason.

Worked out from what the run saw and from the world's own truth, never by the renderer or the endpoint decision.
"""

import json
from typing import Any

import msgspec
from crossmesh.adapters.memory import MemorySnapshots
from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.core.observed import View
from crossmesh.usecases import state

from tests.sim.clusters import LABELS
from tests.sim.world import NODE, SERVICE

Sets = dict[str, dict[str, str]]  # name -> address -> health


def set_of(kind: str) -> str:
    """The endpoint set of a kind of pods."""
    return f"cds_egress_appmesh-demo_{NODE[kind]}_http_8080"


def kind_of(labels: dict[str, str]) -> str:
    """Which of the walkthrough's pods these labels make; "" = none."""
    return next((kind for kind in SERVICE if kind != "flood" and LABELS[kind].items() <= labels.items()), "")


class WatchedSnapshots(MemorySnapshots):
    """The port in memory; tells of each move of the pointer, whether its answer arrives or not."""

    def __init__(self, simulation: Any) -> None:
        super().__init__(simulation)
        self.simulation = simulation

    def put(self, digest: str, data: bytes) -> None:
        """Store."""
        self.simulation.writes += 1
        self.objects[digest] = data, self.simulation.now

    def move(self, new: Pointer, expected: Pointer | None) -> bool:
        """Compare-and-set; the rules are told."""
        before = self.current
        moved = super().move(new, expected)
        if self.current != before:
            self.simulation.writes += 1
            self.simulation.rules.published(self.simulation.current, before, self.current)
        return moved

    def root(self, pointer: Pointer) -> Any:
        """What a pointer names."""
        return json.loads(self.objects[pointer.root][0])

    def sets(self, pointer: Pointer | None) -> Sets:
        """Every endpoint set of a snapshot."""
        found: Sets = {}
        for name in self.root(pointer)["endpoints"]["parts"] if pointer else ():
            for key, made in json.loads(self.objects[name][0])["endpoints"].items():
                hosts = [host for zone in made.get("endpoints", ()) for host in zone["lb_endpoints"]]
                found[key] = {host["endpoint"]["address"]["socket_address"]["address"]: host["health_status"] for host in hosts}
        return found

    def hosts(self, pointer: Pointer | None) -> dict[tuple[str, str], str]:
        """The address of each host by (service, id)."""
        found = {}
        for name in self.root(pointer)["hosts"] if pointer else ():
            for key, some in json.loads(self.objects[name][0])["hosts"].items():
                found |= {(key.partition(".")[0], host["id"]): host["address"] for host in some}
        return found


def faults(rules: Any, frame: Any, before: Pointer | None, after: Pointer) -> tuple[str, str] | None:
    """The property that a move breaks, and how."""
    snapshots = rules.sim.snapshots
    root = snapshots.root(after)
    if before is not None:
        ahead = after.number > before.number and after.epoch >= before.epoch and after.lineage == before.lineage
        if not ahead or root["predecessor"] != before.root:
            return "snapshots-go-forward", f"{after} follows {before}"
    old, new = snapshots.sets(before), snapshots.sets(after)
    told = {(one["endpoints"], one["address"]) for one in root["left"] if one["reason"]}
    gone = [(name, address) for name, hosts in old.items() for address in hosts if address not in new.get(name, {})]
    if untold := sorted(set(gone) - told):
        return "shrinks-by-a-reason", f"{untold[0][1]} left {untold[0][0]} and the root does not say why"
    if rules.lied or rules.stale or rules.forgetting or rules.overlapping or rules._operator().draining:
        return None
    return _decided(rules, frame, before, new, gone)


def _decided(rules: Any, frame: Any, before: Pointer | None, new: Sets, gone: list[tuple[str, str]]) -> tuple[str, str] | None:
    """Whether what is served is what the run's views say."""
    objects, now = rules.sim.runs.objects, rules.sim.snapshots.hosts(rules.sim.snapshots.current)
    views = {}
    for cluster in frame.context.settings.clusters:
        key = state.key(frame.run, f"views/{cluster.name}")
        if key in objects:
            views[cluster.name] = msgspec.json.decode(objects[key], type=View)
    living = {pod.ip for view in views.values() if type(view).__name__ == "Seen" for pod in view.pods if not (pod.terminating or pod.finished)}
    for name, view in views.items():
        if type(view).__name__ != "Seen":
            lost = [key for key in rules.sim.snapshots.hosts(before) if key[1].startswith(f"{name}.") and key not in now]
            if lost:
                return "published-is-decided", f"{lost[0][1]} left though {name} was not seen"
            continue
        for pod in view.pods:
            kind = kind_of(pod.labels)
            served = new.get(set_of(kind), {}) if kind else {}
            if kind and pod.ready and pod.ip not in served:
                return "published-is-decided", f"{pod.name} of {name} is ready and is not served"
            if pod.ip in served and not pod.ready and pod.ip not in living:
                return "published-is-decided", f"{pod.name} of {name} has ended and is served"
    began = min((view.begun for view in views.values()), default=0.0)
    stood = {(ident, address) for (_, ident), address in rules.sim.snapshots.hosts(before).items()}
    for name, address in gone:  # by the pod that was served: its address may be another's by now, and unseen
        pods = [
            pod
            for of, cluster in rules.world.clusters.items()
            for pod in cluster.pods.values()
            if pod.ip == address and pod.live and (f"{of}.{pod.uid}", address) in stood
        ]
        if any(set_of(pod.kind) == name and pod.live_since < began for pod in pods if pod.kind in NODE):
            return "published-is-decided", f"{address} left {name}, and its pod lives"
    return None


def differences(rules: Any, wanted: dict[tuple[str, str], dict[str, str]], hidden: set[str]) -> list[str]:
    """How far what is served is from the pods that there are."""
    snapshots = rules.sim.snapshots
    sets, found = snapshots.sets(snapshots.current), []
    for (_, ident), attributes in wanted.items():
        name = f"cds_egress_appmesh-demo_{attributes['appmesh.k8s.aws/virtualNode']}_http_8080"
        if attributes["AWS_INSTANCE_IPV4"] not in sets.get(name, {}):
            found.append(f"{ident} is not served")
    for service, ident in snapshots.hosts(snapshots.current):
        cluster, _, uid = ident.partition(".")
        pod = rules.world.pod(uid) if cluster in rules.world.clusters and cluster not in hidden else None
        if (service, ident) in rules.world.foreign:
            continue  # somebody else holds the id now: foreign instances are in
        if cluster in rules.world.clusters and cluster not in hidden and (pod is None or pod.terminating):
            found.append(f"{ident} is served in {service} and has no pod")
    return found
