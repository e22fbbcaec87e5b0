"""Real Envoys on loopback, configured by the world's management service from models of the mesh API and Cloud Map; and programs beside them."""

import asyncio
import contextlib
import http.client
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from aiohttp import web
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, TrailersReceived

from tests.support.model_mesh import Client, Document
from tests.support.oracle import refusal
from world.aws.models.app_mesh import AppMesh
from world.aws.models.cloud_map import OPERATIONS, CloudMap
from world.clusters.client import wait_for
from world.dataplane import configuration as xds
from world.dataplane.envoys import command
from world.dataplane.management import Management
from world.pods.apps import NOWHERE, App, called
from world.pods.http2 import message, text
from world.state import free_ports

MESH = {"meshName": "m"}
SPACE = "n.local"


class Loop:
    """asyncio in a thread, for the servers."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def stop(self) -> None:
        self.run(self._cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    async def _cancel(self) -> None:
        """Nothing is left under way."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def connected(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        await app.serve(reader, writer)
    writer.close()


def network(offset: int = 0) -> str:
    """The first three parts of addresses that no other process of these tests uses."""
    return f"127.{100 + offset + os.getpid() % 50}.{os.getpid() // 50 % 250}"


class Redirected(http.client.HTTPConnection):
    """A connection of a pod's program to a port of some host, redirected to the Envoy beside it."""

    def __init__(self, ip: str, port: int, host: str = NOWHERE) -> None:
        super().__init__(ip, xds.EGRESS_PORT, timeout=20)
        self._line = called(ip, f"{host}:{port}")

    def connect(self) -> None:
        super().connect()
        self.sock.sendall(self._line)


class Recorded(Management):
    """Keeps every configuration that it made, endpoints apart."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.made: dict[str, dict[str, Any]] = {}

    def _moved(self, made: dict[str, list[dict[str, Any]]], ip: str) -> dict[str, list[dict[str, Any]]]:
        found = super()._moved(made, ip)
        kept = {kind: resources for kind, resources in found.items() if kind != xds.ENDPOINTS}
        self.made[json.dumps(kept, sort_keys=True)] = kept
        return found


class Stage:
    """A mesh `m` and a Cloud Map namespace; Envoys of its nodes and gateways, and programs, at addresses of one network."""

    def __init__(self, folder: Path, net: str) -> None:
        self.folder, self.net, self.loop = folder, net, Loop()
        self.mesh = Client(AppMesh(time.time, random.Random(7)))
        self.map = Client(CloudMap(time.time, random.Random(7)), OPERATIONS)
        self.management = Recorded(folder, self.mesh, self.map)
        self.proxies: dict[str, subprocess.Popen[bytes]] = {}
        self.mesh.create_mesh(**MESH)
        self.map.create_http_namespace(Name=SPACE)
        self._space = wait_for(lambda: self.map.list_namespaces()["Namespaces"], 10, "the namespace")[0]["Id"]
        self._services: dict[str, str] = {}
        self._port = self.loop.run(self._serve())

    async def _serve(self) -> int:
        served = web.Application()
        served.add_routes([web.post("/v3/discovery:{kind}", self.management.answer)])
        runner = web.AppRunner(served, access_log=None)
        await runner.setup()
        (port,) = free_ports(1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._following = asyncio.create_task(self.management.follow(lambda: list(self.proxies)))
        return port

    def at(self, last: int) -> str:
        return f"{self.net}.{last}"

    def program(self, app: App, *ports: int) -> App:
        """Listens at its address, at these ports."""

        async def listen() -> None:
            for port in ports:
                await asyncio.start_server(lambda r, w: connected(app, r, w), app.address, port)

        self.loop.run(listen())
        return app

    def envoy(self, name: str, ip: str) -> None:
        """Starts the Envoy of `virtualNode/x` or `virtualGateway/x`, and waits until it is configured."""
        proxy, file = f"mesh/m/{name}", self.folder / f"{ip}.json"
        file.write_text(json.dumps(xds.bootstrap(proxy, ip, self._port)))
        out = subprocess.DEVNULL
        self.proxies[f"{proxy}|{ip}"] = subprocess.Popen(command(file, "error", 200), stdin=out, stdout=out, stderr=out)
        wait_for(lambda: self._ready(ip), 30, f"the Envoy of {name}")

    def _ready(self, ip: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://{ip}:9901/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stats(self, ip: str, pattern: str) -> dict[str, int]:
        """Counters and gauges of an Envoy whose names match."""
        with urllib.request.urlopen(f"http://{ip}:9901/stats?filter={pattern}&format=json", timeout=5) as answer:
            return {one["name"]: one["value"] for one in json.load(answer)["stats"] if "value" in one}

    def settle(self) -> None:
        """Every Envoy goes by what the mesh says now."""
        wait_for(lambda: not self.loop.run(self.management.settled(lambda: list(self.proxies))), 30, "the configuration in Envoy")

    def register(self, name: str, ip: str, port: int, **attributes: str) -> None:
        """An instance of a service of that name."""
        if name not in self._services:
            self._services[name] = self.map.create_service(Name=name, NamespaceId=self._space)["Service"]["Id"]
        given = {"AWS_INSTANCE_IPV4": ip, "AWS_INSTANCE_PORT": str(port), **attributes}
        self.map.register_instance(ServiceId=self._services[name], InstanceId=ip.replace(".", "-"), Attributes=given)

    def deregister(self, name: str, ip: str) -> None:
        self.map.deregister_instance(ServiceId=self._services[name], InstanceId=ip.replace(".", "-"))

    def node(self, name: str, *listeners: Document, **spec: Any) -> None:
        """A virtual node, found in Cloud Map under its own name."""
        found = {"serviceDiscovery": {"awsCloudMap": {"namespaceName": SPACE, "serviceName": name}}} if listeners else {}
        there = {one["virtualNodeName"] for one in self.mesh.list_virtual_nodes(**MESH)["virtualNodes"]}
        write = self.mesh.update_virtual_node if name in there else self.mesh.create_virtual_node
        write(**MESH, virtualNodeName=name, spec={"listeners": list(listeners), **found, **spec} if listeners else spec)

    def service(self, name: str, port: int, protocol: str, *routes: Document) -> None:
        """A virtual service with a router of the same name; `routes` are specs."""
        router = {**MESH, "virtualRouterName": name}
        self.mesh.create_virtual_router(**router, spec={"listeners": [{"portMapping": {"port": port, "protocol": protocol}}]})
        for index, route in enumerate(routes):
            self.mesh.create_route(**router, routeName=f"r{index}", spec=route)
        self.mesh.create_virtual_service(**MESH, virtualServiceName=name, spec={"provider": {"virtualRouter": {"virtualRouterName": name}}})

    def refusals(self) -> list[str]:
        """What the real Envoy says against configurations that were made; none."""
        return [found for one in self.management.made.values() if (found := refusal({**one, xds.ENDPOINTS: []}, self.folder))]

    def stop(self) -> None:
        for process in self.proxies.values():
            process.kill()
            process.wait()
        self.loop.stop()


def ask(connection: http.client.HTTPConnection, path: str = "/", host: str = "", method: str = "GET", **headers: str) -> tuple[int, str]:
    """One request over a connection that is closed then; status 0 where nothing answers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(connection):
        try:
            connection.request(method, path, headers={**({"Host": host} if host else {}), **named})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""


def grpc(sock: socket.socket | ssl.SSLSocket, host: str, path: str) -> tuple[str, str]:
    """(grpc-status, text) of one unary call over a connection."""
    connection, status, data = H2Connection(), "", b""
    connection.initiate_connection()
    head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", host),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    connection.send_headers(1, head)
    connection.send_data(1, message("?"), end_stream=True)
    with contextlib.closing(sock):
        sock.sendall(connection.data_to_send())
        while got := sock.recv(65_536):
            for event in connection.receive_data(got):
                if isinstance(event, ResponseReceived | TrailersReceived):
                    found = {name.decode(): value.decode() for name, value in event.headers}
                    status = found.get("grpc-status", status)
                elif isinstance(event, DataReceived):
                    data += event.data
                elif isinstance(event, StreamEnded):
                    return status, text(data)
    return status, text(data)
