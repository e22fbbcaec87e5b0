"""Each cluster's control server, plain HTTP on loopback: faults, darkness, what pods there are, and hurting single pods."""

import json
import re
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from world.clusters.controllers import Controllers, _key
from world.clusters.faults import Faults
from world.clusters.objects import ApiError
from world.clusters.store import Store

_TOLD = ("APPMESH_RESOURCE_NAME", "APPMESH_VIRTUAL_NODE_NAME")


class Control:
    """What the control server can do to one cluster."""

    def __init__(
        self, cluster: str, store: Store, faults: Faults, controllers: Controllers, runtime: Any, credentials: Callable[[str], Any]
    ) -> None:
        self.credentials = credentials
        self.cluster, self.store, self.faults, self.controllers, self.runtime = cluster, store, faults, controllers, runtime

    def get(self, path: str) -> Any:
        """Read."""
        if path == "/_world/health":
            return {"ok": True}
        if path == "/_world/pods":
            return [self._pod(pod) for pod in self.store.all("", "pods")]
        if path == "/_world/services":
            return [self._service(service) for service in self.store.all("", "services")]
        if path == "/_world/faults":
            return self.faults.rules
        if path == "/_world/lives":
            return list(self.runtime.lives.values())
        raise KeyError(path)

    def post(self, path: str, data: bytes) -> Any:
        """Change."""
        body = json.loads(data) if data else {}
        if path == "/_world/faults":
            self.faults.set(data)
        elif path == "/_world/dark":
            self.faults.dark = bool(body.get("on", True))
        elif path == "/_world/addresses":
            self.controllers.addresses.recent = bool(body["recent"])
        elif path == "/_world/compact":
            self.store.compact(body.get("version"))
        elif path == "/_world/identity":
            self._new_identity(body.get("uid"))
        elif found := re.fullmatch(r"/_world/pods/([^/]+)/([^/]+)/(kill|unready|behave|container|lose|evict)", path):
            return self._hurt(self.store.get(("", "pods", found[1], found[2])), found[3], body)
        else:
            raise KeyError(path)
        return {"ok": True}

    def _hurt(self, pod: dict[str, Any], how: str, body: dict[str, Any]) -> Any:
        uid = pod["metadata"]["uid"]
        if how == "kill":
            self.runtime.kill(uid)
            if body.get("notice"):
                self.controllers.ready(_key(pod), uid, on=False)
        elif how == "unready":
            self.controllers.ready(_key(pod), uid, on=not body.get("on", True))
        elif how == "lose":
            self.controllers.lose(_key(pod))
        elif how == "evict":
            self.controllers.evict(_key(pod))
        elif how == "container":
            self.controllers.container(_key(pod), body["name"], ready=bool(body["ready"]))
        else:
            self.runtime.behave(uid, body)
        return {"ok": True, "uid": uid}

    def _new_identity(self, uid: str | None) -> None:
        """Another cluster answers to this name; with `uid` that one does."""
        key = ("", "namespaces", "", "kube-system")
        with self.store.changed:
            item = self.store.get(key)
            self.store._put("MODIFIED", key, {**item, "metadata": {**item["metadata"], "uid": uid or str(uuid.uuid4())}})

    def _pod(self, pod: dict[str, Any]) -> dict[str, Any]:
        meta, status = pod["metadata"], pod.get("status") or {}
        states = {c["type"]: c["status"] for c in status.get("conditions") or ()}
        return {
            "cluster": self.cluster,
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "ip": status.get("podIP", ""),
            "image": pod["spec"]["containers"][0].get("image", ""),
            "ready": states.get("Ready") == "True",
            "terminating": "deletionTimestamp" in meta,
            "sidecar": self.runtime.has_sidecar(pod),
            "labels": meta.get("labels") or {},
            "account": pod["spec"].get("serviceAccountName", "default"),
            "virtual_node": _proxy(pod),
        }

    def _service(self, service: dict[str, Any]) -> dict[str, Any]:
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        return {
            "cluster": self.cluster,
            "namespace": service["metadata"]["namespace"],
            "name": service["metadata"]["name"],
            "hostname": ingress[0].get("hostname", "") if ingress else "",
            "selector": service["spec"].get("selector") or {},
            "ports": [{"port": p["port"], "targetPort": p.get("targetPort", p["port"])} for p in service["spec"].get("ports") or ()],
        }


def _proxy(pod: dict[str, Any]) -> str:
    """The id of the pod's Envoy, `mesh/<mesh>/<virtualNode or virtualGateway>/<name>`: what its container was told, as the injecting webhook does."""
    told = {item["name"]: item.get("value", "") for container in pod["spec"]["containers"] for item in container.get("env") or ()}
    return next((told[name] for name in _TOLD if told.get(name)), "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    control: Control

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _answer(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.command == "DELETE":
                self.control.faults.clear()
                code, body = 200, {"ok": True}
            elif self.path == "/_world/credentials":  # EKS Pod Identity's agent
                code, body = 200, self.control.credentials(self.headers.get("Authorization", ""))
            else:
                code, body = 200, self.control.get(self.path) if self.command == "GET" else self.control.post(self.path, data)
        except ApiError as error:
            code, body = error.code, {"error": str(error)}
        except KeyError as error:
            code, body = 404, {"error": str(error)}
        except ValueError as error:
            code, body = 400, {"error": str(error)}
        out = json.dumps(body).encode()
        self.send_response_only(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815


class ControlServer(ThreadingHTTPServer):
    """Plain HTTP on loopback."""

    daemon_threads = True


def serve(port: int, control: Control) -> ControlServer:
    """A bound server; the caller runs it."""
    return ControlServer(("127.0.0.1", port), type("ControlHandler", (_Handler,), {"control": control}))
