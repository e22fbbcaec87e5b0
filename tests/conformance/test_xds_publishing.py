"""The walkthrough's manifests, published by the use case, served by the server of Envoys and asked through a real Envoy."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crossmesh.adapters.memory import MemoryClock, MemorySnapshots
from crossmesh.core.mesh.xds.snapshot import Allowed
from crossmesh.core.topology import Topology
from crossmesh.driver import drive
from crossmesh.errors import RefusedError
from crossmesh.usecases.mesh.envoy import publishing

from tests.support.publications import Hosts, content, hosts, walkthrough
from tests.support.snapshots import Shelf
from tests.support.xds_server import Envoy, Running, until, write
from world.state import free_ports

ADDRESS = "127.88.0.1"  # the proxy's listeners
BLUE = "name: colorapp-blue\n              weight: 1"


def application(address: str, port: int) -> ThreadingHTTPServer:
    """Answers with its address."""

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(address)))
            self.end_headers()
            self.wfile.write(address.encode())

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Mesh:
    """Publishes, and writes what is published where the server reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.snapshots = folder, MemorySnapshots(MemoryClock())

    def publish(self, topology: Topology, some: Hosts, reasons: dict[tuple[str, str], str] | None = None) -> publishing.Published:
        made = content(topology, some, reasons)
        allowed = {proxy.id: (Allowed(cluster="east", namespaces=("shop",)),) for proxy in made.rendered.proxies}
        made = msgspec.structs.replace(made, allowed=allowed, rendered=self._here(made.rendered))
        ports = {"Snapshots": self.snapshots, "Clock": self.snapshots.clock}
        before = drive(publishing.in_force(), ports)
        done = drive(publishing.publish(made, before, 1), ports)
        shelf = Shelf()
        for data, _ in self.snapshots.objects.values():
            shelf.put(json.loads(data))
        assert shelf.objects.keys() == self.snapshots.objects.keys()
        shelf.pointer = msgspec.to_builtins(done.pointer)
        write(self.folder, shelf)
        return done

    @staticmethod
    def _here(rendered: Any) -> Any:
        """No redirect leads to a listener here: it listens where the application's requests go."""
        proxies = []
        for proxy in rendered.proxies:
            text = (
                json.dumps(proxy.listeners)
                .replace('"address": "0.0.0.0"', f'"address": "{ADDRESS}"')
                .replace('"port_value": 15001', '"port_value": 8080')
            )
            proxies.append(msgspec.structs.replace(proxy, listeners=tuple(json.loads(text))))
        return msgspec.structs.replace(rendered, proxies=tuple(proxies))


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[tuple[Mesh, Running]]:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    running = Running(folder)
    yield Mesh(folder), running
    running.stop()


def test_what_the_use_case_publishes_carries_traffic_and_follows_endpoints_and_weights(mesh: tuple[Mesh, Running], tmp_path: Path) -> None:
    publisher, running = mesh
    topology = walkthrough()
    some = {
        key: [msgspec.structs.replace(host, address=f"127.88.{host.address.split('.')[2]}.{10 + number}") for number, host in enumerate(found)]
        for key, found in hosts(topology).items()
    }
    servers = [application(host.address, 8080) for found in some.values() for host in found]
    publisher.publish(topology, some)
    until(lambda: running.loader.snapshot, said=lambda: running.told[-3:])
    front = next(proxy.id for proxy in content(topology, some).rendered.proxies if "/front" in proxy.id)
    one = Envoy(tmp_path / "envoy", running, front, (free_ports(1)[0], 8080))

    def seen(requests: int = 40) -> set[str]:
        return {ask(address=ADDRESS) for _ in range(requests)}

    colors = {key: {host.address for host in found} for key, found in some.items() if "color" in key}
    everybody = {address for found in colors.values() for address in found}
    try:
        until(lambda: seen(1) <= everybody, said=lambda: f"{seen(3)} {some} {one.log.read_text()[-3_000:]}")
        until(lambda: seen() == everybody, said=lambda: f"{seen()} {everybody}")
        key = next(iter(colors))
        gone = some[key][0]
        less = {**some, key: some[key][1:]}
        with pytest.raises(RefusedError):
            publisher.publish(topology, less)
        assert not publisher.publish(topology, some).changed
        assert seen() == everybody, "what nobody decided takes nothing away"
        assert publisher.publish(topology, less, {(key, gone.id): "dead: its pod ended"}).left == 1
        until(lambda: gone.address not in seen())
        publisher.publish(walkthrough(**{BLUE: BLUE.replace("weight: 1", "weight: 0")}), less)
        red = {host.address for host in less[key] if host.attributes["color"] == "red"}
        until(lambda: seen() == red, said=lambda: str(seen()))
    finally:
        one.end()
        for server in servers:
            server.shutdown()
            server.server_close()


def ask(address: str) -> str:
    """What answers a request to the walkthrough's service, by address, or the status or error."""
    request = urllib.request.Request(f"http://{address}:8080/", headers={"Host": "colorapp.appmesh-demo.pvt.aws.local:8080"})
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)
