"""A cluster as its administrator drives it, for tests and the demo: objects by HTTPS, the world's own switches by the control server."""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from world.clusters.objects import CLUSTER_WIDE, KINDS, VERSIONS

Object = dict[str, Any]
RESOURCE = {kind: (group, resource) for group, kinds in KINDS.items() for resource, kind in kinds.items()}


class Cluster:
    """One cluster of a world (given as its document)."""

    def __init__(self, document: dict[str, Any], name: str) -> None:
        self.name = name
        folder, about = Path(document["dir"]), document["clusters"][name]
        self.control = f"http://127.0.0.1:{about['control']}"
        self.server = f"https://127.0.0.1:{about['port']}"
        self.token = json.loads((folder / f"{name}.kubeconfig").read_text())["users"][0]["user"]["token"]
        self.tls = ssl.create_default_context(cafile=str(folder / f"{name}.ca.pem"))

    def call(self, verb: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """One request; raises urllib's HTTPError."""
        return json.loads(self.text(path, verb, body, kind))

    def text(self, path: str, verb: str = "GET", body: Any = None, kind: str = "application/json") -> str:
        """The same, the answer as it comes."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(
            self.server + path, data=None if body is None else json.dumps(body).encode(), method=verb, headers=headers
        )
        with urllib.request.urlopen(request, timeout=15, context=self.tls) as answer:
            return answer.read().decode()

    def path(self, kind: str, namespace: str = "", name: str = "") -> str:
        """Where objects of a kind lie."""
        group, resource = RESOURCE[kind]
        base = f"/apis/{group}/{VERSIONS[group]}" if group else "/api/v1"
        inside = f"/namespaces/{namespace}" if namespace and resource not in CLUSTER_WIDE else ""
        return f"{base}{inside}/{resource}" + (f"/{name}" if name else "")

    def apply(self, item: Object) -> Object:
        """Create, or replace the spec and labels of what is there."""
        namespace = item["metadata"].get("namespace", "" if RESOURCE[item["kind"]][1] in CLUSTER_WIDE else "default")
        try:
            return self.call("POST", self.path(item["kind"], namespace), item)
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
        return self.call("PATCH", self.path(item["kind"], namespace, item["metadata"]["name"]), item, "application/merge-patch+json")

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """One object."""
        return self.call("GET", self.path(kind, namespace, name))

    def items(self, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """Objects of a kind."""
        return self.call("GET", self.path(kind, namespace) + (f"?labelSelector={selector}" if selector else ""))["items"]

    def delete(self, kind: str, namespace: str, name: str, grace: int | None = None) -> Object:
        """Delete; grace 0 at once."""
        return self.call("DELETE", self.path(kind, namespace, name), None if grace is None else {"gracePeriodSeconds": grace})

    def patch(self, kind: str, namespace: str, name: str, body: Any) -> Object:
        """Merge patch."""
        return self.call("PATCH", self.path(kind, namespace, name), body, "application/merge-patch+json")

    def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        """A Deployment's size."""
        self.patch("Deployment", namespace, deployment, {"spec": {"replicas": replicas}})

    def ready_pods(self, namespace: str, selector: str = "") -> list[Object]:
        """Pods that are ready and not Terminating."""
        return [pod for pod in self.items("Pod", namespace, selector) if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]

    def wait_ready(self, namespace: str, selector: str, count: int, seconds: float = 60.0) -> list[Object]:
        """Exactly `count` ready pods, and no others; TimeoutError."""

        def there() -> bool:
            return len(self.ready_pods(namespace, selector)) == count == len(self.items("Pod", namespace, selector))

        wait_for(there, seconds, f"{count} ready pods of {selector} in {self.name}")
        return self.ready_pods(namespace, selector)

    def tell(self, path: str, body: Any = None, verb: str = "POST") -> Any:
        """The control server: `faults`, `dark`, `pods/<ns>/<name>/kill`…"""
        request = urllib.request.Request(f"{self.control}/_world/{path}", data=json.dumps(body or {}).encode(), method=verb)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def apply(document: dict[str, Any], cluster: str, file: Path) -> None:
    """Apply every object of a file."""
    client = Cluster(document, cluster)
    for item in yaml.safe_load_all(file.read_text()):
        if item:
            client.apply(item)


def is_ready(pod: Object) -> bool:
    """The pod's Ready condition."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or ())


def wait_for(what: Callable[[], Any], seconds: float, why: str) -> Any:
    """Poll until `what` gives something true; TimeoutError names `why`."""
    until = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"{why}: not within {seconds:g} s")
        time.sleep(0.1)
