"""Clusters as their API shows them: pods with lifecycles, versions that rise, and the ways in which an answer can be wrong."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

from tests.sim.documents import KINDS, declared

NAMESPACE = "appmesh-demo"
LABELS = {
    "front": {"app": "front", "version": "v1"},
    "blue": {"app": "colorapp", "version": "blue"},
    "red": {"app": "colorapp", "version": "red"},
    "other": {"app": "other"},
    "flood": {"app": "colorapp", "version": "blue"},
}
# What one pod's owner may write: labels without number, each as long as Kubernetes takes it, that no compression shortens.
_FLOOD = {
    f"z{number}.{sha256(str(number).encode()).hexdigest()}.{sha256(b'%d' % -number).hexdigest()}/{number}": "v" * 60 for number in range(1_500)
}
TROUBLES = ("timeout", "unreachable", "refused", "throttled", "server-error", "cut", "drip", "bomb")
_BOMB = b'{"metadata": {"name": "bomb", "namespace": "%s", "uid": "b0", "annotations": {"x": "%s"}}}' % (NAMESPACE.encode(), b"x" * 2_100_000)


class Dripping(BaseException):
    """The answer comes byte by byte and never ends: whoever waits for it without a limit waits for ever. No handler of errors meets it."""


# Wrong answers of one view: lists that lack pods, a list from before, a chain that breaks, and (`gone`) one that lies in its GETs,
# too; `paged` is the truth in two pages.
LIES = ("empty", "short", "chain", "paged", "old", "kind", "bytes", "gone", "malformed", *TROUBLES)

_NODE = {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/region": "us-east-1", "topology.kubernetes.io/zone": "us-east-1a"}}}
_NODES = json.dumps({"kind": "NodeList", "metadata": {"resourceVersion": "1"}, "items": [_NODE]}).encode()
_CONTROLLER = {"spec": {"template": {"spec": {"serviceAccountName": "appmesh-controller"}}}, "status": {"readyReplicas": 1}}


@dataclass(slots=True)
class SimPod:
    """A pod; `live_since`: ready without a break since then, under these labels. Front's pods carry our readiness gate, which nobody opens."""

    cluster: str
    name: str
    uid: str
    ip: str
    kind: str
    ready: bool = True
    lost: bool = False  # its node stopped reporting
    terminating: bool = False
    phase: str = "Running"
    restart: str = "Always"
    live_since: float = 0.0
    json: bytes = b""

    @property
    def live(self) -> bool:
        """An endpoint."""
        return self.ready and not self.lost and not self.terminating and bool(self.ip) and not self.finished

    @property
    def finished(self) -> bool:
        """In a final phase, whatever its restart policy."""
        return self.phase in ("Failed", "Succeeded")

    @property
    def gated(self) -> bool:
        """Whether it waits for our gate: its Ready is False for that alone."""
        return self.kind == "front"

    def render(self) -> None:
        """Its JSON, kept until it changes."""
        labels = LABELS[self.kind] | (_FLOOD if self.kind == "flood" else {})
        metadata: dict[str, Any] = {"name": self.name, "namespace": NAMESPACE, "uid": self.uid, "labels": labels}
        if self.terminating:
            metadata["deletionTimestamp"] = "2026-11-25T00:00:00Z"
        states = {"ContainersReady": self.ready, "Ready": self.ready and not self.lost and not self.gated}
        conditions = [{"type": kind, "status": str(state)} for kind, state in states.items()]
        spec: dict[str, Any] = {"nodeName": "n1", "restartPolicy": self.restart}
        if self.gated:
            spec["readinessGates"] = [{"conditionType": "conditions.appmesh.k8s.aws/aws-cloudmap-healthy"}]
        status = {"phase": self.phase, "podIP": self.ip, "conditions": conditions}
        self.json = json.dumps({"metadata": metadata, "spec": spec, "status": status}).encode()


@dataclass
class Cluster:
    """One cluster. `trouble` holds until lifted; `lie` is for the one view being made."""

    name: str
    identity: str
    version: int = 100
    pods: dict[str, SimPod] = field(default_factory=dict)
    before: list[tuple[int, list[bytes]]] = field(default_factory=list)
    trouble: str = ""
    lie: str = ""
    controller: str = ""  # the namespace of a Deployment that says it is AWS's controller
    waited: float = 0.0  # seconds that were waited for its dripping answer until nobody waited any more
    documents: list[dict[str, Any]] = field(default_factory=list)  # beside those of the application, where manifests are read live
    got: dict[str, str] = field(default_factory=dict)  # pod name -> uid that a GET of this view answered, "" = 404
    listed: int = 0  # version of the list that this view gave
    made: int = 0
    _whole: tuple[int, bytes] = (-1, b"")  # the list that tells the truth, kept until something changes: its version, its bytes

    def changed(self) -> None:
        """Keep the list as it was, and rise."""
        self.before = [*self.before[-5:], (self.version, [pod.json for pod in self.pods.values()])]
        self.version += 1

    def put(self, pod: SimPod) -> None:
        """Add a pod, or show its change."""
        self.changed()
        self.pods[pod.name] = pod
        pod.render()

    def remove(self, name: str) -> SimPod | None:
        """Its object goes."""
        self.changed()
        return self.pods.pop(name, None)

    def request(self, path: str) -> tuple[int, bytes]:
        """An answer of its API."""
        wrong = self.trouble or self.lie
        if wrong == "timeout":
            raise TimeoutError
        if wrong == "drip":
            raise Dripping(self.name)
        if wrong == "unreachable":
            raise ConnectionError
        if wrong == "refused":
            return 401, b"{}"
        if wrong == "throttled":
            return 429, b"{}"
        if wrong == "server-error":
            return 503, b"{}"
        place, _, query = path.partition("?")
        parts = place.removeprefix("/api/v1/").split("/")
        if parts == ["namespaces", "kube-system"]:
            return 200, b'{"metadata": {"name": "kube-system", "uid": "%s"}}' % self.identity.encode()
        if wrong == "cut":
            raise EOFError
        if place.endswith("/deployments"):
            there = self.controller and (self.controller in parts or place == "/apis/apps/v1/deployments")
            named = {"metadata": {"name": "appmesh-controller", "namespace": self.controller}, **_CONTROLLER}
            page = {"kind": "DeploymentList", "metadata": {"resourceVersion": "1"}, "items": [named] if there else []}
            return 200, json.dumps(page).encode()
        if place in KINDS:
            return self._documents(KINDS[place])
        if parts == ["nodes"]:
            return 200, _NODES
        if parts[2:3] == ["services"]:
            ingress = {"loadBalancer": {"ingress": [{"hostname": "front.elb.example"}]}}
            return 200, json.dumps({"metadata": {"name": parts[3]}, "status": ingress}).encode()
        if parts[2:3] == ["pods"] and len(parts) == 4:
            return self._get(parts[3])
        if parts[2:] == ["pods"]:
            return self._list(parts[1], parse_qs(query).get("continue", [""])[0] if "continue" in query else "")
        raise AssertionError(f"the simulator knows no answer to {path}")

    def _documents(self, kind: str) -> tuple[int, bytes]:
        """All custom resources of a kind, or all Namespaces."""
        items = [item for item in (*declared(), *self.documents) if item["kind"] == kind]
        return 200, json.dumps({"kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": items}).encode()

    def _get(self, name: str) -> tuple[int, bytes]:
        pod = self.pods.get(name)
        if pod is None or self.lie == "gone":
            self.got[name] = ""
            return 404, b"{}"
        self.got[name] = pod.uid
        return 200, pod.json

    def _list(self, namespace: str, token: str) -> tuple[int, bytes]:
        if not self.lie and not self.trouble and namespace == NAMESPACE and self._whole[0] == self.version:
            self.listed = self.version
            return 200, self._whole[1]
        items, version = ([pod.json for pod in self.pods.values()] if namespace == NAMESPACE else []), self.version
        kind, more, left = "PodList", "", None
        if self.lie in ("empty", "gone"):
            items = []
        elif self.lie == "short":
            items = items[: len(items) // 2]
        elif self.lie == "old" and self.before:
            version, items = self.before[-1]
        elif self.lie == "kind":
            kind, items = "Status", []
        elif self.lie == "malformed":
            items = [*items[:-1], b'{"metadata": {"name": "p", "namespace": "%s", "uid": "prod.1"}}' % namespace.encode()]
        elif self.lie == "bomb" or self.trouble == "bomb":
            items = [*items, _BOMB]
        elif self.lie == "bytes":
            return 200, b'{"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [' + b",".join(items[:1])
        elif self.lie == "chain" and len(items) > 2:
            half = len(items) // 2
            more, left, items = ("", None, items[half:-1]) if token else ("rest", len(items) - half, items[:half])
        elif self.lie == "paged" and len(items) > 2:  # no lie at all: the same list in two pages
            half = len(items) // 2
            more, left, items = ("", None, items[half:]) if token else ("rest", len(items) - half, items[:half])
        self.listed = version
        metadata = json.dumps({"resourceVersion": str(version), "continue": more, "remainingItemCount": left})
        body = b'{"kind": "%s", "metadata": %s, "items": [%s]}' % (kind.encode(), metadata.encode(), b",".join(items))
        if not self.lie and not self.trouble and namespace == NAMESPACE:
            self._whole = version, body
        return 200, body
