"""Deployments become ReplicaSets and pods, pods come to life and end, Services get load balancer names. One thread a cluster, woken by changes."""

import hashlib
import heapq
import json
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from world.clusters.addresses import Addresses
from world.clusters.objects import ApiError, Object, matches
from world.clusters.store import Store, timestamp

REGION = "us-east-1"
OURS = "default-scheduler"
AGAIN_S = 0.3  # after which a pod whose address was not free is started again, at another one
START_S, READY_S = 0.1, 0.2  # seconds a pod takes to start and to become ready, unless its annotations say otherwise


def nodes_of(cluster: str, count: int) -> list[Object]:
    """A cluster's nodes, one zone after the other, with room for any number of pods."""
    room = {"cpu": "1k", "memory": "1Ti", "pods": "10k"}
    found = []
    for index in range(count):
        name = f"{cluster}-node-{index + 1}"
        labels = {
            "topology.kubernetes.io/region": REGION,
            "topology.kubernetes.io/zone": f"{REGION}{'abc'[index % 3]}",
            "kubernetes.io/hostname": name,
        }
        status = {"capacity": room, "allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]}
        found.append({"kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status})
    return found


class Runtime(Protocol):
    """What runs pods."""

    def start(self, cluster: str, pod: Object) -> None:
        """Listen at the pod's address before returning. Raises OSError, and listens nowhere, where a port of it is taken."""

    def stop(self, uid: str) -> None:
        """End the process."""


class Controllers:
    """All controllers of one cluster."""

    def __init__(self, cluster: str, store: Store, nodes: int, addresses: Addresses, runtime: Runtime) -> None:
        self.cluster, self.store, self.addresses, self.runtime = cluster, store, addresses, runtime
        self.due: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.begun: set[str] = set()
        self.ending: set[str] = set()
        self.unready: set[str] = set()  # by label
        self.ended = threading.Event()
        for node in nodes_of(cluster, nodes):
            store.create(("", "nodes", "", node["metadata"]["name"]), node)

    def run(self) -> None:
        """Until told to end."""
        version = -1
        while not self.ended.is_set():
            with self.store.changed:
                wait = min(0.5, max(0.0, self.due[0][0] - time.monotonic())) if self.due else 0.5
                if self.store.version == version:
                    self.store.changed.wait(wait)
                version = self.store.version
            try:
                while self.due and self.due[0][0] <= time.monotonic():
                    heapq.heappop(self.due)[2]()
                self.deployments()
                self.kubelet()
                self.services()
                self.conditions()
            except Exception:
                traceback.print_exc()

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do it later."""
        self.count += 1
        heapq.heappush(self.due, (time.monotonic() + seconds, self.count, what))

    # --- deployments ---------------------------------------------------------------------------------------------------------------------

    def deployments(self) -> None:
        """Rolling updates with surge and unavailable, scaling, and pods for each ReplicaSet."""
        pods = self.store.all("", "pods")
        by_owner: dict[str, list[Object]] = {}
        for pod in pods:
            for owner in pod["metadata"].get("ownerReferences") or ():
                by_owner.setdefault(owner["uid"], []).append(pod)
        sets = self.store.all("apps", "replicasets")
        deployments = {d["metadata"]["uid"]: d for d in self.store.all("apps", "deployments")}
        for rs in sets:
            owner = next((o["uid"] for o in rs["metadata"].get("ownerReferences") or ()), "")
            if owner and owner not in deployments:
                self._remove(("apps", "replicasets", rs["metadata"]["namespace"], rs["metadata"]["name"]))
        for deployment in deployments.values():
            self._roll(
                deployment,
                [rs for rs in sets if any(o["uid"] == deployment["metadata"]["uid"] for o in rs["metadata"].get("ownerReferences") or ())],
                by_owner,
            )
        alive = {rs["metadata"]["uid"]: rs for rs in self.store.all("apps", "replicasets")}
        for rs in alive.values():
            self._populate(rs, by_owner.get(rs["metadata"]["uid"], []))
        for uid, orphans in by_owner.items():
            if uid not in alive:
                for pod in orphans:
                    self._remove(_key(pod))

    def _roll(self, deployment: Object, sets: list[Object], by_owner: dict[str, list[Object]]) -> None:
        spec, meta = deployment["spec"], deployment["metadata"]
        digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
        wanted = spec.get("replicas", 1)
        rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
        surge, unavailable = (
            _amount(rolling.get("maxSurge", "25%"), wanted, up=True),
            _amount(rolling.get("maxUnavailable", "25%"), wanted, up=False),
        )
        if surge == 0 and unavailable == 0:
            unavailable = 1
        current = next((rs for rs in sets if rs["metadata"]["labels"].get("pod-template-hash") == digest), None)
        if current is None:
            template = json.loads(json.dumps(spec["template"]))
            labels = template.setdefault("metadata", {}).setdefault("labels", {})
            labels["pod-template-hash"] = digest
            body = {
                "metadata": {
                    "name": f"{meta['name']}-{digest}",
                    "labels": labels,
                    "ownerReferences": [
                        {"kind": "Deployment", "apiVersion": "apps/v1", "name": meta["name"], "uid": meta["uid"], "controller": True}
                    ],
                },
                "spec": {"replicas": 0, "selector": spec["selector"], "template": template},
            }
            try:
                current = self.store.create(("apps", "replicasets", meta["namespace"], ""), body)
            except ApiError:
                return
            sets = [*sets, current]
        others = [rs for rs in sets if rs["metadata"]["uid"] != current["metadata"]["uid"]]
        total = sum(rs["spec"]["replicas"] for rs in sets)
        here = current["spec"]["replicas"]
        target = wanted if not any(rs["spec"]["replicas"] for rs in others) else min(wanted, here + max(0, wanted + surge - total))
        if target != here:
            self._resize(current, target)
        available = sum(
            1 for rs in sets for pod in by_owner.get(rs["metadata"]["uid"], ()) if _ready(pod) and "deletionTimestamp" not in pod["metadata"]
        )
        room = max(0, available - (wanted - unavailable))
        for rs in others:
            size = rs["spec"]["replicas"]
            live = [p for p in by_owner.get(rs["metadata"]["uid"], ()) if "deletionTimestamp" not in p["metadata"]]
            unready = sum(1 for pod in live if not _ready(pod))
            less = min(size, room + unready)
            if less and len(live) <= size:
                room -= max(0, less - unready)
                self._resize(rs, size - less)
        ready = sum(
            1 for rs in sets for pod in by_owner.get(rs["metadata"]["uid"], ()) if _ready(pod) and "deletionTimestamp" not in pod["metadata"]
        )
        status = {
            "replicas": total,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": target,
            "observedGeneration": meta.get("generation", 1),
        }
        self._status(("apps", "deployments", meta["namespace"], meta["name"]), status)

    def _resize(self, rs: Object, replicas: int) -> None:
        key = ("apps", "replicasets", rs["metadata"]["namespace"], rs["metadata"]["name"])
        self.store.update(
            key, lambda old: {**old, "metadata": {**old["metadata"], "resourceVersion": ""}, "spec": {**old["spec"], "replicas": replicas}}
        )

    def _populate(self, rs: Object, pods: list[Object]) -> None:
        live = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in ("Failed", "Succeeded")]
        meta = rs["metadata"]
        for _ in range(rs["spec"]["replicas"] - len(live)):
            template = json.loads(json.dumps(rs["spec"]["template"]))
            owner = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": meta["name"], "uid": meta["uid"], "controller": True}
            about = {**template.get("metadata", {}), "generateName": f"{meta['name']}-", "ownerReferences": [owner]}
            try:
                self.store.create(("", "pods", meta["namespace"], ""), {"metadata": about, "spec": template["spec"]})
            except ApiError:
                return
        surplus = len(live) - rs["spec"]["replicas"]
        for pod in sorted(live, key=lambda p: (_ready(p), p["metadata"]["creationTimestamp"], p["metadata"]["name"]))[: max(0, surplus)]:
            self._remove(_key(pod))

    # --- pods ----------------------------------------------------------------------------------------------------------------------------

    def kubelet(self) -> None:
        """Schedule, start, make ready, end."""
        pods = self.store.all("", "pods")
        nodes = [node["metadata"]["name"] for node in self.store.all("", "nodes")]
        load = Counter(pod["spec"].get("nodeName") for pod in pods)
        there = set()
        for pod in pods:
            meta, uid = pod["metadata"], pod["metadata"]["uid"]
            there.add(uid)
            placed, scheduler = pod["spec"].get("nodeName"), pod["spec"].get("schedulerName", OURS)
            if placed not in nodes if placed else scheduler != OURS:
                continue  # another scheduler's, or of a node without a kubelet
            if not placed:
                node = min(nodes, key=lambda name: (load[name], name))
                load[node] += 1
                self._bind(pod, node)
            elif "deletionTimestamp" in meta and uid not in self.ending:
                self.ending.add(uid)
                self._end(pod)
            elif uid not in self.begun and "deletionTimestamp" not in meta:
                self.begun.add(uid)
                self.after(_seconds(pod, "start-delay", START_S), lambda pod=pod: self._start(pod))
        for uid in self.begun - there:  # forced away: grace 0
            self.begun.discard(uid)
            self.ending.discard(uid)
            self.runtime.stop(uid)
            self.addresses.free(uid)

    def _start(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        try:
            found = self.store.get(_key(pod))
        except ApiError:
            return
        if found["metadata"]["uid"] != uid or "deletionTimestamp" in found["metadata"]:
            return
        address = self.addresses.take(self.cluster, uid)
        running = json.loads(json.dumps(found))
        now = timestamp()
        containers = [
            {
                "name": c["name"],
                "image": c.get("image", ""),
                "ready": False,
                "started": True,
                "restartCount": 0,
                "imageID": "",
                "state": {"running": {"startedAt": now}},
            }
            for c in found["spec"]["containers"]
        ]
        running["status"] = {
            **found["status"],
            "phase": "Running",
            "startTime": now,
            "hostIP": "127.0.0.1",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [
                {"type": kind, "status": state, "lastTransitionTime": now}
                for kind, state in (("Initialized", "True"), ("PodScheduled", "True"), ("ContainersReady", "False"), ("Ready", "False"))
            ],
            "containerStatuses": containers,
        }
        try:
            self.runtime.start(self.cluster, running)
        except OSError:  # the address's last holder, or its Envoy, has not let go of a port yet
            self.addresses.free(uid)
            self.after(AGAIN_S, lambda: self._start(pod))
            return
        self._set_status(found, running["status"])
        self.after(_seconds(pod, "ready-delay", READY_S), lambda: self.ready(_key(pod), uid, on=True))

    def ready(self, key: tuple[str, str, str, str], uid: str, *, on: bool, containers: bool = True) -> None:
        """Containers ready or not (all of them, unless `containers` is False); the pod's own Ready also waits for its readiness gates."""
        try:
            found = self.store.get(key)
        except ApiError:
            return
        if found["metadata"]["uid"] != uid or not found["status"].get("podIP"):
            return
        gates = [gate["conditionType"] for gate in found["spec"].get("readinessGates") or ()]
        status = json.loads(json.dumps(found["status"]))
        states = {c["type"]: c["status"] for c in status["conditions"]}
        states["ContainersReady"] = "True" if on else "False"
        states["Ready"] = "True" if on and all(states.get(gate) == "True" for gate in gates) else "False"
        now = timestamp()
        kept = {c["type"]: c for c in status["conditions"]}
        status["conditions"] = [
            {
                **kept.get(kind, {}),
                "type": kind,
                "status": state,
                "lastTransitionTime": now if kept.get(kind, {}).get("status") != state else kept[kind].get("lastTransitionTime", now),
            }
            for kind, state in states.items()
        ]
        for container in status.get("containerStatuses", ()) if containers else ():
            container["ready"] = on
        self._set_status(found, status)

    def lose(self, key: tuple[str, str, str, str]) -> None:
        """The pod's node stops reporting: the node controller sets Ready False and touches nothing else (MarkPodsNotReady)."""
        self._overwrite(key, Ready="False")

    def evict(self, key: tuple[str, str, str, str]) -> None:
        """The kubelet ends the pod for good, as in a node's graceful shutdown: phase Failed, and its address is free."""
        found = self._overwrite(key, phase="Failed", Ready="False", ContainersReady="False")
        if found is not None:
            self.runtime.stop(found["metadata"]["uid"])
            self.addresses.free(found["metadata"]["uid"])

    def _overwrite(self, key: tuple[str, str, str, str], phase: str = "", **states: str) -> Object | None:
        try:
            found = self.store.get(key)
        except ApiError:
            return None
        status = json.loads(json.dumps(found["status"]))
        status["phase"] = phase or status["phase"]
        for condition in status.get("conditions", ()):
            if condition["type"] in states and condition["status"] != states[condition["type"]]:
                condition.update(status=states[condition["type"]], lastTransitionTime=timestamp())
        self._set_status(found, status)
        return found

    def container(self, key: tuple[str, str, str, str], name: str, *, ready: bool) -> None:
        """One container's readiness, and by it the pod's: ContainersReady only where all are."""
        try:
            found = self.store.get(key)
        except ApiError:
            return
        status = json.loads(json.dumps(found["status"]))
        state = {"running": {"startedAt": timestamp()}} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
        for held in status.get("containerStatuses", ()):
            if held["name"] == name:
                held.update(ready=ready, state=state)
        self._set_status(found, status)
        others = [held["ready"] for held in status.get("containerStatuses", ()) if held["name"] != name]
        states = {c["type"]: c["status"] for c in status.get("conditions", ())}
        whole = ready and all(others)
        if (states.get("ContainersReady") == "True") != whole:
            self.ready(key, found["metadata"]["uid"], on=whole, containers=False)

    def _end(self, pod: Object) -> None:
        """Grace: preStop's sleep, at most the grace period; then the process ends and the object goes."""
        uid = pod["metadata"]["uid"]
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 30))
        sleep = max(
            (
                float(((((c.get("lifecycle") or {}).get("preStop") or {}).get("sleep")) or {}).get("seconds", 0))
                for c in pod["spec"]["containers"]
            ),
            default=0.0,
        )

        def gone() -> None:
            self.begun.discard(uid)
            self.ending.discard(uid)
            self.addresses.free(uid)
            try:
                if self.store.get(_key(pod))["metadata"]["uid"] == uid:
                    self.store.delete(_key(pod), 0)
            except ApiError:
                pass

        def stop() -> None:
            self.runtime.stop(uid)
            self.after(_seconds(pod, "stop-delay", 0.05), gone)

        self.after(min(grace, sleep), stop)

    # --- services ------------------------------------------------------------------------------------------------------------------------

    def services(self) -> None:
        """Load balancer names."""
        for service in self.store.all("", "services"):
            if service["spec"].get("type") == "LoadBalancer" and not (service.get("status") or {}).get("loadBalancer"):
                meta = service["metadata"]
                name = hashlib.md5(f"{self.cluster}/{meta['namespace']}/{meta['name']}".encode()).hexdigest()
                status = {"loadBalancer": {"ingress": [{"hostname": f"a{name[:31]}-1707174071.{REGION}.elb.amazonaws.com"}]}}
                self._status(("", "services", meta["namespace"], meta["name"]), status)

    def conditions(self) -> None:
        """Readiness as the label world/unready and the conditions behind readiness gates have it."""
        for pod in self.store.all("", "pods"):
            uid, states = pod["metadata"]["uid"], {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
            contained = states.get("ContainersReady") == "True"
            unready = (pod["metadata"].get("labels") or {}).get("world/unready") == "true"
            if (unready and contained) or (not unready and uid in self.unready):
                (self.unready.add if unready else self.unready.discard)(uid)
                self.ready(_key(pod), uid, on=not unready)
            elif pod["spec"].get("readinessGates") and pod["status"].get("podIP"):
                gates = all(states.get(g["conditionType"]) == "True" for g in pod["spec"]["readinessGates"])
                if (states.get("Ready") == "True") != (gates and contained):
                    self.ready(_key(pod), uid, on=contained)

    # --- writes --------------------------------------------------------------------------------------------------------------------------

    def _bind(self, pod: Object, node: str) -> None:
        def make(old: Object) -> Object:
            return {**old, "metadata": {**old["metadata"], "resourceVersion": ""}, "spec": {**old["spec"], "nodeName": node}}

        try:
            self.store.update(_key(pod), make, binding=True)
        except ApiError:
            return

    def _set_status(self, item: Object, status: Object) -> None:
        self._status(_key(item), status)

    def _status(self, key: tuple[str, str, str, str], status: Object) -> None:
        def make(old: Object) -> Object:
            return {**old, "metadata": {**old["metadata"], "resourceVersion": ""}, "status": status}

        try:
            if self.store.get(key).get("status") != status:
                self.store.update(key, make, status=True)
        except ApiError:
            return

    def _remove(self, key: tuple[str, str, str, str]) -> None:
        try:
            self.store.delete(key)
        except ApiError:
            return


def _key(pod: Object) -> tuple[str, str, str, str]:
    return "", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"]


def _ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or ())


def _seconds(pod: Object, name: str, default: float) -> float:
    value = (pod["metadata"].get("annotations") or {}).get(f"world/{name}")
    return float(value.removesuffix("s")) if value else default


def _amount(value: Any, of: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        share = float(value[:-1]) / 100 * of
        return int(-(-share // 1)) if up else int(share)
    return int(value)


__all__ = ["Controllers", "Runtime", "matches"]
