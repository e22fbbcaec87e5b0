"""Two ways to the same service: the model alone under a virtual clock, and the server process through boto3 under the real one."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from world.aws.clients import client
from world.aws.models.app_mesh import AppMesh
from world.aws.models.cloud_map import CloudMap
from world.aws.models.errors import AwsError
from world.aws.protocols import Protocol
from world.aws.shapes import checker
from world.state import free_ports

ROOT = Path(__file__).parents[2]
Document = dict[str, Any]


class RefusedError(Exception):
    """What either way answers instead of a result."""

    def __init__(self, code: str, message: str, members: Document) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.members = code, message, members


@lru_cache
def _protocol(service: str) -> Protocol:
    return Protocol(service)


class ModelDriver:
    """The models in this process; `advance` moves their clock."""

    unit = 10.0

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.cloud_map = CloudMap(lambda: self.now, random.Random(7))
        self.app_mesh = AppMesh(lambda: self.now, random.Random(7))

    def call(self, service: str, operation: str, **request: Any) -> Document:
        model = self.cloud_map if service == "servicediscovery" else self.app_mesh
        try:
            answer = model.call(operation, request)
        except AwsError as error:
            raise RefusedError(error.code, error.message, error.members) from error
        wire, problems = _protocol(service), []
        wire.check(operation, request)
        shape = wire.operation(operation).output_shape
        if shape is not None:
            payload = shape.serialization.get("payload")
            checker(shape.members[payload] if payload else shape)(answer[payload] if payload else answer, "", problems)
        assert problems == [], f"{operation} answers what the API model does not have"
        return answer

    def settings(self, **change: Any) -> None:
        from world.aws.services import _checked

        mesh = change.pop("app_mesh", {})
        for model, wanted in ((self.cloud_map, change), (self.app_mesh, mesh)):
            quotas = wanted.pop("quotas", {})
            if quotas:
                model.settings.quotas |= quotas
            for name, value in _checked(model.settings, wanted).items():
                setattr(model.settings, name, value)
            model.throttle.rates = model.settings.rates

    def advance(self, units: float) -> None:
        self.now += units * self.unit


class WireDriver:
    """A server process; `advance` waits."""

    unit = 0.25

    def __init__(self, world: Document) -> None:
        self.world = world
        self.clients: dict[str, Any] = {}
        self.base = f"http://127.0.0.1:{world['ports']['aws']}"

    def call(self, service: str, operation: str, **request: Any) -> Document:
        if service not in self.clients:
            self.clients[service] = client(self.world, service, retries={"total_max_attempts": 1}, parameter_validation=False)
        try:
            answer = getattr(self.clients[service], xform_name(operation))(**request)
        except ClientError as error:
            known = error.response
            members = {k: v for k, v in known.items() if k not in ("Error", "ResponseMetadata", "message", "Message")}
            raise RefusedError(known["Error"]["Code"], known["Error"]["Message"], members) from error
        answer.pop("ResponseMetadata")
        return answer

    def settings(self, **change: Any) -> None:
        post(f"{self.base}/_world/settings", change)

    def advance(self, units: float) -> None:
        time.sleep(units * self.unit)


def post(url: str, document: Any, method: str = "POST") -> Any:
    """JSON to and fro."""
    request = urllib.request.Request(url, data=json.dumps(document).encode(), method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


class StandInControl:
    """ministack's host, as far as the server asks it: one user, who may do all but what `denied` (a pattern of actions) says."""

    def __init__(self, world: Document) -> None:
        self.denied = "nothing"
        self.events: list[Document] = []
        admin = world["admin"]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(outer.answer(self.path, asked, admin)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", world["ports"]["control"]), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, asked: Document, admin: Document) -> Document:
        if path == "/_world/emit":
            self.events.append(asked)
            return {}
        if path == "/_world/identity":
            if asked["access_key_id"] != admin["access_key_id"]:
                return {"code": "UnrecognizedClientException", "message": "The security token included in the request is invalid."}
            arn = "arn:aws:iam::111122223333:user/admin"
            return {
                "secret": admin["secret_access_key"],
                "arn": arn,
                "kind": "IAMUser",
                "name": "admin",
                "principal_id": "AIDA1",
                "account": "111122223333",
                "issuer_arn": arn,
            }
        return {"results": [{"allowed": not re.fullmatch(self.denied, check["action"]), "reason": "because"} for check in asked["checks"]]}


class ServerProcess:
    """`python -m world.aws.server` on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        names = ("ministack", "control", "aws", "xds", "front", "resolver", "xray", "dataplane", "eksc1", "eksc1c", "eksc2", "eksc2c")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.world: Document = {
            "name": "test",
            "index": 0,
            "dir": str(folder),
            "region": "us-east-1",
            "account": "111122223333",
            "ports": {name: port for name, port in ports.items() if not name.startswith("eks")},
            "clusters": {
                name: {"port": ports[name], "control": ports[f"{name}c"], "nodes": 2, "security_group": f"{name}-nodes"}
                for name in ("eksc1", "eksc2")
            },
            "pod_network": "127.2.0.0/16",
            "admin": {"access_key_id": "AKIAWORLDADMIN000000", "secret_access_key": "a-secret-of-the-test"},
        }
        (folder / "world.json").write_text(json.dumps(self.world))
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, module: str) -> subprocess.Popen[str]:
        """Start a part and wait until it says that it is ready."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        log = (self.folder / f"{module}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(self.folder)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.processes.append(process)
        for line in process.stdout or ():
            if line.strip() == "ready":
                return process
        raise AssertionError(f"{module} did not become ready: {(self.folder / f'{module}.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """End all parts, the last started first."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
            if process.stdout:
                process.stdout.close()
