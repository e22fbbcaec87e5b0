"""A deployment with Envoys of its own in memory, whose Cloud Map can be taken away."""

import json
from typing import Any

import msgspec
from crossmesh.core.documents import SourceLocation
from crossmesh.core.mesh.xds.snapshot import PublishedSnapshot
from crossmesh.core.topology import Resource, VirtualNode
from crossmesh.driver import drive
from crossmesh.errors import CrossmeshError
from crossmesh.usecases.context import Context
from crossmesh.usecases.mesh.envoy import publishing

from tests.support.builders import context, node
from tests.support.passes import MemoryWorld

MESH = Resource(kind="Mesh", namespace="", name="demo", aws_name="demo", mesh="demo", place=SourceLocation(file="mesh.yaml", line=1))
SPEC = {"listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]}
SET = "cds_egress_demo_blue_demo_http_8080"


def virtual_node(name: str = "blue", service: str = "color") -> VirtualNode:
    """A virtual node that listens."""
    return msgspec.structs.replace(node(name, service), spec=SPEC)


def deployed(*nodes: VirtualNode, **changes: Any) -> Context:
    """A deployment with `mesh.backend: envoy`; one virtual node unless said."""
    base = context(*(nodes or (virtual_node(),)), **changes)
    mesh = msgspec.structs.replace(base.settings.mesh, backend="envoy")
    topology = msgspec.structs.replace(base.topology, meshes=(MESH,))
    return msgspec.structs.replace(base, topology=topology, settings=msgspec.structs.replace(base.settings, mesh=mesh))


class Outage:
    """A port whose every call fails while `why` is set."""

    def __init__(self, port: object) -> None:
        self.port = port
        self.why: CrossmeshError | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.port, name)

        def asked(*given: Any, **named: Any) -> Any:
            if self.why is not None:
                raise self.why
            return method(*given, **named)

        return asked


class EnvoyWorld(MemoryWorld):
    """A world whose registry can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud_map = Outage(self.registry)

    @property
    def ports(self) -> dict[str, object]:
        return {**super().ports, "Registry": self.cloud_map}

    def published(self) -> PublishedSnapshot | None:
        """The snapshot in force, read back whole."""
        return drive(publishing.in_force(), super().ports)

    def served(self, name: str = SET) -> dict[str, str]:
        """Health by address of an endpoint set."""
        found = self.published()
        made = json.loads(bytes(found.endpoints[name])) if found and name in found.endpoints else {}
        return {
            host["endpoint"]["address"]["socket_address"]["address"]: host["health_status"]
            for zone in made.get("endpoints", ())
            for host in zone["lb_endpoints"]
        }

    def follow(self, where: Context, seconds: float = 60.0) -> str:
        """A look, and the run that it asks for; what the look decided."""
        self.clock.sleep(seconds)
        looked = self.look(where)
        if looked.decision == "apply":
            self.run(where, looked.look)
        return looked.decision
