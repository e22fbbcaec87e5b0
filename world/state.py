"""A world's description, `world.json`: made once, before anything starts, and the same for all parts."""

import json
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARTS = ("ministack", "control", "aws", "xds", "front", "front_tls", "resolver", "xray", "dataplane", "own")
CLUSTERS = {"eksc1": 2, "eksc2": 3}  # nodes each, as in the walkthrough
LISTENING = range(21_000, 32_000)
CLAIMS = "127.1.255.254"
_claimed: list[socket.socket] = []


class World:
    """A folder with world.json; `document` is its content."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder.resolve()
        self.document: dict[str, Any] = json.loads((self.dir / "world.json").read_text())

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.document["name"])

    def url(self, part: str) -> str:
        """Where a part answers."""
        return f"http://127.0.0.1:{self.document['ports'][part]}"

    def control(self, cluster: str) -> str:
        """Where a cluster's control server answers."""
        return f"http://127.0.0.1:{self.document['clusters'][cluster]['control']}"

    def kubeconfig(self, cluster: str) -> Path:
        """A cluster's administrator."""
        return self.dir / f"{cluster}.kubeconfig"


def create(folder: Path, name: str, index: int, clusters: Mapping[str, Any] | None = None, mesh: str = "appmesh") -> World:
    """Choose ports, a pod network and an administrator's key, and write them down; `clusters` has more settings for single ones. `mesh`: who steers
    Envoys, as `mesh.backend` names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ports = iter(free_ports(len(PARTS) + 2 * len(CLUSTERS)))
    document = {
        "name": name,
        "index": index,
        "mesh": mesh,
        "dir": str(folder.resolve()),
        "region": "us-east-1",
        "account": "111122223333",
        "ports": {part: next(ports) for part in PARTS},
        "clusters": {
            cluster: {"port": next(ports), "control": next(ports), "nodes": nodes, "security_group": f"{cluster}-nodes"}
            | (clusters or {}).get(cluster, {})
            for cluster, nodes in CLUSTERS.items()
        },
        "pod_network": f"127.{2 + index}.0.0/16",
        "admin": {"access_key_id": "AKIAWORLDADMIN000000", "secret_access_key": secrets.token_urlsafe(30)},
    }
    (folder / "world.json").write_text(json.dumps(document, indent=2) + "\n")
    return World(folder)


def claim_network() -> tuple[int, socket.socket]:
    """A pod network that no other world on this machine uses, and the socket that claims it for as long as it is open (the kernel closes it with us)."""
    for index in range(200):
        claim = socket.socket()
        try:
            claim.bind((f"127.{2 + index}.255.254", 20_001))
            claim.listen(1)
        except OSError:
            claim.close()
            continue
        return index, claim
    raise RuntimeError("200 worlds run already")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on and that no other caller on this machine gets while this process lives.

    They lie below the ports the kernel gives to outgoing connections (from 32768 on by default), and each is claimed by a socket on another loopback address:
    whoever is to listen binds a moment later, and two worlds that start side by side must not choose the same. Raises RuntimeError when none is left.
    """
    span = LISTENING.stop - LISTENING.start
    first = secrets.randbelow(span)
    ports: list[int] = []
    for step in range(span):
        port = LISTENING.start + (first + step) % span
        claim = socket.socket()
        try:
            claim.bind((CLAIMS, port))
            claim.listen(1)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claimed.append(claim)
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError(f"no {count} free ports between {LISTENING.start} and {LISTENING.stop}")
