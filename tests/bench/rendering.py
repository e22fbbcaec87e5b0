"""What own Envoys are given, rendered: 1,000 virtual nodes with 10,000 endpoints, in a process of its own so that its memory can be told."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable

from crossmesh.core.mesh.xds.endpoints import Host
from crossmesh.core.mesh.xds.render import render
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import CloudMap, Topology
from msgspec.structs import replace

from tests.support.mesh_size import many

NODES, HOSTS = 1_000, 10
Row = Callable[[str, str, str], None]


def rendering(row: Row) -> None:
    """The line of the table."""
    found = subprocess.run([sys.executable, "-m", "tests.bench.rendering"], check=True, capture_output=True, text=True).stdout.strip()
    row(f"rendering {NODES:,} virtual nodes with {NODES * HOSTS:,} endpoints for own Envoys", "≤ 1 s, ≤ 256 MB", found)


def _mesh() -> tuple[Topology, dict[str, list[Host]]]:
    """Each node in Cloud Map, with a backend whose router has five routes to two nodes each."""
    topology = many(NODES)
    nodes = tuple(
        replace(
            node,
            cloud_map=CloudMap(namespace="big.local", service=node.name),
            backends=tuple(one["virtualService"]["@VirtualService"] for one in node.spec["backends"]),
        )
        for node in topology.nodes
    )
    hosts = {
        node.cloud_map.key: [
            Host(
                id=f"{number}-{index}",
                address=f"10.{index}.{number // 250}.{number % 250}",
                attributes={"REGION": "r", "AVAILABILITY_ZONE": "ra"},
            )
            for index in range(HOSTS)
        ]
        for number, node in enumerate(nodes)
        if node.cloud_map is not None
    }
    return replace(topology, nodes=nodes), hosts


def _measure() -> str:
    topology, hosts = _mesh()
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        made = render(topology, EnvoySettings(), hosts=hosts)
        best = min(best, time.process_time() - began)
    assert len(made.proxies) == NODES
    assert sum(len(zone["lb_endpoints"]) for one in made.endpoints["big"].values() for zone in one["endpoints"]) == NODES * HOSTS
    return f"{best:.2f} s of CPU, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB"


if __name__ == "__main__":
    print(_measure())
