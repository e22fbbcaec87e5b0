"""A thousand Envoys on one server, over TLS: how long until all have everything, until a change is with all, and what the server holds.

The streams are a client's, each with a connection of its own and a first request of 61 KB, as Envoy's. Server and client share this machine.
`python -m tests.bench.envoys` prints the rows alone.
"""

import asyncio
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
from crossmesh_xds import codec
from crossmesh_xds.certificates import Pair, authority
from crossmesh_xds.identity import AUDIENCE, Gate, Review
from crossmesh_xds.loader import Loader, follow
from crossmesh_xds.mesh import Kind
from crossmesh_xds.metrics import Metrics
from crossmesh_xds.server import Place, Server
from crossmesh_xds.sources import Folder

from tests.support.snapshots import Shelf, proxy
from tests.support.xds_server import write
from world.deploy import ROOT

STREAMS = 1_000
NODE_BYTES = 61_000
CHANGES = 5
NAME = "xds.bench"
Row = Callable[[str, str, str], None]


def published(shelf: Shelf, folder: Path, clusters: int, hosts: int, number: int) -> None:
    """One proxy that all are. In each number the endpoints of one cluster differ."""
    names = [f"cds_egress_bench_node-{index}_http_8080" for index in range(clusters)]
    ads = {"ads": {}, "resource_api_version": "V3"}
    made = [{"name": name, "type": "EDS", "eds_cluster_config": {"service_name": name, "eds_config": ads}} for name in names]
    action = [{"match": {"prefix": f"/{name}"}, "route": {"cluster": name}} for name in names]
    routes = [{"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": action}]}]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 15001}}
    sets = {
        name: {"cluster_name": name, "endpoints": [{"lb_endpoints": [host(index, one) for one in range(hosts)]}]}
        for index, name in enumerate(names)
    }
    changed = names[number % clusters]
    sets[changed]["endpoints"][0]["lb_endpoints"].append(host(number, 254))
    allowed = [{"cluster": "east", "namespaces": ["shop"]}]
    listeners = [{"name": "l", "address": address}]
    shelf.publish(number, {"bench": proxy(1, made, listeners, routes, allowed)}, sets)
    write(folder, shelf)


def host(cluster: int, index: int) -> dict[str, Any]:
    address = {"address": f"10.{cluster % 250}.{cluster // 250}.{index}", "port_value": 8080}
    return {"endpoint": {"address": {"socket_address": address}}, "health_status": "HEALTHY"}


async def serve(folder: Path) -> None:
    """The server's process: says its port, then when it takes each snapshot."""

    async def review(_: str) -> Review:
        await asyncio.sleep(0.005)  # as a TokenReview takes
        return Review(authenticated=True, user="system:serviceaccount:shop:front", audiences=(AUDIENCE,))

    loader = Loader()
    server = Server(Place(cluster="east", name="bench"), Gate(review), loader, Metrics())
    signer = Pair(certificate=(folder / "ca.crt").read_bytes(), key=(folder / "ca.key").read_bytes())
    print(await server.start("127.0.0.1:0", signer, [NAME]), flush=True)

    def taken(snapshot: Any) -> None:
        print(time.time(), flush=True)
        server.take(snapshot)

    ended = asyncio.Event()
    await asyncio.gather(server.tick(ended), follow(loader, Folder(folder), taken, lambda _: None, ended))


class Client:
    """One Envoy's stream. `full` is when it had everything, `changes` when endpoints came afterwards."""

    def __init__(self, port: int, ca: bytes, index: int) -> None:
        options = [("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self.channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca), options)
        self.index, self.full, self.changes, self.broken = index, 0.0, list[float](), list[str]()

    async def run(self) -> None:
        """As Envoy: a stream that breaks is opened anew."""
        while True:
            try:
                await self.stream()
            except grpc.aio.AioRpcError as error:
                self.broken.append(error.code().name)
                await asyncio.sleep(random.uniform(0.1, 1.0))

    async def stream(self) -> None:
        stream = self.channel.stream_stream(codec.DISCOVERY)(metadata=[("authorization", f"Bearer token-{self.index}")])
        request, response = (codec._type(f"envoy.service.discovery.v3.Discovery{which}") for which in ("Request", "Response"))
        first = request(type_url=Kind.CLUSTERS.value)
        first.node.id = "bench"
        first.node.metadata["extensions"] = "x" * NODE_BYTES
        await stream.write(first.SerializeToString())
        names: list[str] = []
        while (data := await stream.read()) is not grpc.aio.EOF:
            said = response.FromString(data)
            kind = Kind(said.type_url)
            if kind is Kind.CLUSTERS and not names:
                names = [codec._type("envoy.config.cluster.v3.Cluster").FromString(one.value).name for one in said.resources]
            wanted = {Kind.ENDPOINTS: names, Kind.ROUTES: ["r"]}
            ack = {"version_info": said.version_info, "response_nonce": said.nonce}
            await stream.write(request(type_url=kind.value, resource_names=wanted.get(kind, []), **ack).SerializeToString())
            following = {Kind.CLUSTERS: Kind.ENDPOINTS, Kind.ENDPOINTS: Kind.LISTENERS, Kind.LISTENERS: Kind.ROUTES}
            if self.full:
                self.changes.append(time.time())
            elif kind is Kind.ROUTES:
                self.full = time.time()
            else:
                other = following[kind]
                await stream.write(request(type_url=other.value, resource_names=wanted.get(other, [])).SerializeToString())


async def measured(folder: Path, clusters: int, hosts: int, row: Row) -> None:
    """One size."""
    shelf, signer = Shelf(), authority()
    published(shelf, folder, clusters, hosts, 1)
    (folder / "ca.crt").write_bytes(signer.certificate)
    (folder / "ca.key").write_bytes(signer.key)
    command = [sys.executable, "-m", "tests.bench.envoys", "serve", str(folder)]
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'xds'}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            process.stdout.readline()
            clients = [Client(port, signer.certificate, index) for index in range(STREAMS)]
            began = time.time()
            tasks = [asyncio.create_task(client.run()) for client in clients]
            await all_of(lambda: all(client.full for client in clients), tasks)
            full = [client.full - began for client in clients]
            pushes: list[float] = []
            for number in range(2, CHANGES + 2):
                published(shelf, folder, clusters, hosts, number)
                count = number - 1
                await all_of(lambda count=count: all(len(client.changes) >= count for client in clients), tasks)
                taken = float(process.stdout.readline())
                pushes += [client.changes[count - 1] - taken for client in clients]
                await asyncio.sleep(random.uniform(0.5, 1.5))
            status = Path(f"/proc/{process.pid}/status").read_text()
            memory = {key: int(line.split()[1]) // 1024 for line in status.splitlines() for key in ("VmHWM", "VmRSS") if line.startswith(key)}
            size = f"{STREAMS:,} streams with TLS, {clusters} clusters × {hosts}"
            again = sum(len(client.broken) for client in clients)
            row(f"{size}: connect → everything", "", f"p50 {quantile(full, 0.5):.2f} s, p99 {quantile(full, 0.99):.2f} s, {again} streams anew")
            reach = "p99 ≤ 0.5 s" if clusters == 100 else ""
            row(f"{size}: snapshot at the server → all", reach, f"p50 {quantile(pushes, 0.5):.2f} s, p99 {quantile(pushes, 0.99):.2f} s")
            reach = "≤ 256 MB peak, ≤ 200 MB steady" if clusters == 100 else ""
            row(f"{size}: the server's memory", reach, f"{memory['VmHWM']} MB peak, {memory['VmRSS']} MB steady")
            for task in tasks:
                task.cancel()
        finally:
            process.kill()


async def all_of(what: Callable[[], bool], tasks: Iterable[asyncio.Task[None]]) -> None:
    end = time.monotonic() + 120
    while not what():
        failed = [task for task in tasks if task.done()]
        assert not failed, failed[0]
        assert time.monotonic() < end, "not all in two minutes"
        await asyncio.sleep(0.01)


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def thousand_envoys(row: Row) -> None:
    """Both sizes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4 * STREAMS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8 * STREAMS), hard))
    for clusters, hosts in ((100, 10), (300, 30)):
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measured(Path(folder), clusters, hosts, row))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(Path(sys.argv[2])))
    else:
        thousand_envoys(lambda *cells: print(f"| {' | '.join(cells)} |", flush=True))
