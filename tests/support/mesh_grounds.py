"""Each mesh backend in a world in memory, in the terms of the one suite that all of them pass."""

from typing import Any, Protocol

import msgspec
from crossmesh.adapters.memory import MemorySnapshots
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.mesh.xds.changes import bare, resources
from crossmesh.core.mesh.xds.render import render
from crossmesh.core.mesh.xds.snapshot import PublishedSnapshot, encoded
from crossmesh.driver import drive
from crossmesh.errors import ServiceGone
from crossmesh.usecases.context import Context
from crossmesh.usecases.mesh.envoy import publishing

from tests.support import mesh_runs
from tests.support.mesh_runs import declared_by
from tests.support.model_mesh import target_at
from tests.support.passes import MemoryWorld
from tests.support.toy_backend import NAME, Content, Entry, MemoryBoard

GONE = "nobody answers"
DOWN = ServiceGone("EndpointConnectionError", GONE)


class Ground(Protocol):
    """A backend with a world of its own. `target`: a declared route with two weights, as the backend names it; None where it keeps nothing."""

    name: str
    target: MeshTarget | None
    shared: bool  # whether others may hold resources beside ours

    def world(self) -> MemoryWorld:
        """A world with an empty mesh."""

    def held(self, world: MemoryWorld) -> dict[MeshTarget, Any]:
        """All that the mesh holds, whosoever it is."""

    def writes(self, world: MemoryWorld) -> int:
        """Writing calls so far."""

    def exact(self, world: MemoryWorld, where: Context) -> bool:
        """Whether the mesh is as declared, endpoints aside."""

    def foreign(self, world: MemoryWorld, target: MeshTarget, owner: str) -> None:
        """Somebody else has the resource now, and it is not as declared; owner "" = without a mark."""

    def close(self, world: MemoryWorld) -> None:
        """The mesh's API is no more."""


def declared(name: str, *texts: str, **options: Any) -> Context:
    """The context of a deployment with these manifests and a backend."""
    where = declared_by(*texts, **options)
    settings = msgspec.structs.replace(where.settings, mesh=msgspec.structs.replace(where.settings.mesh, backend=name))
    return msgspec.structs.replace(where, settings=settings)


class AppMeshGround:
    name = "appmesh"
    target: MeshTarget | None = MeshTarget(mesh="shop", kind="route", parent="r_shop", name="one")
    shared = True

    def world(self) -> MemoryWorld:
        return mesh_runs.new_world()

    def held(self, world: MemoryWorld) -> dict[MeshTarget, Any]:
        return {target_at(key): (one.spec, dict(one.tags)) for key, one in mesh_runs.app_mesh(world).model._resources.items()}

    def writes(self, world: MemoryWorld) -> int:
        return mesh_runs.app_mesh(world).writes()

    def exact(self, world: MemoryWorld, where: Context) -> bool:
        return mesh_runs.exact(world, where)

    def foreign(self, world: MemoryWorld, target: MeshTarget, owner: str) -> None:
        resources = mesh_runs.app_mesh(world).model._resources
        one = resources[next(key for key in resources if target_at(key) == target)]
        one.spec, one.tags = {**one.spec, "priority": 7}, {OWNER_TAG: owner} if owner else {}

    def close(self, world: MemoryWorld) -> None:
        def gone(*_: object) -> None:
            raise DOWN

        api = mesh_runs.app_mesh(world)
        for method in ("describe", "list", "tags", "create", "update", "delete", "tag"):
            setattr(api, method, gone)


class NoGround:
    """Its world refuses every question about a mesh."""

    name = "none"
    target: MeshTarget | None = None
    shared = False

    def world(self) -> MemoryWorld:
        world = mesh_runs.new_world()
        AppMeshGround().close(world)
        return world

    def held(self, world: MemoryWorld) -> dict[MeshTarget, Any]:
        return AppMeshGround().held(world)

    def writes(self, world: MemoryWorld) -> int:
        return mesh_runs.app_mesh(world).writes()

    def exact(self, world: MemoryWorld, where: Context) -> bool:
        return not self.held(world)

    def foreign(self, world: MemoryWorld, target: MeshTarget, owner: str) -> None:
        raise AssertionError("it keeps nothing")

    def close(self, world: MemoryWorld) -> None:
        """It is."""


class BoardWorld(MemoryWorld):
    """A world with the toy backend's board."""

    def __init__(self) -> None:
        super().__init__()
        self.board = MemoryBoard()

    @property
    def ports(self) -> dict[str, object]:
        return {**super().ports, "ToyBoard": self.board}


class ToyGround:
    name = NAME
    target: MeshTarget | None = MeshTarget(mesh="shop", kind="route", parent="r_shop", name="one")
    shared = True

    def world(self) -> MemoryWorld:
        return BoardWorld()

    def held(self, world: MemoryWorld) -> dict[MeshTarget, Any]:
        return dict(board_of(world).entries)

    def writes(self, world: MemoryWorld) -> int:
        return board_of(world).writes

    def exact(self, world: MemoryWorld, where: Context) -> bool:
        held = {target: entry.content for target, entry in board_of(world).entries.items()}
        routes = {
            MeshTarget(mesh=router.mesh, kind="route", parent=router.aws_name, name=route.name): route.weights
            for router in where.topology.routers
            for route in router.routes
        }
        nodes = {MeshTarget(mesh=node.mesh, kind="virtualNode", name=node.aws_name) for node in where.topology.nodes}
        return held.keys() == routes.keys() | nodes and {target: held[target] for target in routes} == routes

    def foreign(self, world: MemoryWorld, target: MeshTarget, owner: str) -> None:
        content: Content = {"theirs": 1}
        board_of(world).entries[target] = Entry(target=target, content=content, owner=owner)

    def close(self, world: MemoryWorld) -> None:
        board_of(world).down = DOWN


def board_of(world: MemoryWorld) -> MemoryBoard:
    assert isinstance(world, BoardWorld)
    return world.board


class EnvoyGround:
    """A bucket and a pointer, which are ours alone."""

    name = "envoy"
    target: MeshTarget | None = MeshTarget(mesh="shop", kind="route", parent="r_shop", name="one")
    shared = False

    def world(self) -> MemoryWorld:
        world = CountedWorld()
        AppMeshGround().close(world)
        return world

    def held(self, world: MemoryWorld) -> dict[MeshTarget, Any]:
        published = self._published(world)
        return dict(resources(published.declared)) if published else {}

    def writes(self, world: MemoryWorld) -> int:
        assert isinstance(world, CountedWorld)
        return world.counted.writes

    def exact(self, world: MemoryWorld, where: Context) -> bool:
        published = self._published(world)
        assert published is not None
        rendered = render(where.topology, where.settings.mesh.envoy)
        proxies = {proxy.id: [encoded(part) for part in (proxy.clusters, proxy.listeners, proxy.routes)] for proxy in rendered.proxies}
        served = {
            ident: [bytes(part.resources) for part in (proxy.clusters, proxy.listeners, proxy.routes)]
            for ident, proxy in published.proxies.items()
        }
        return resources(published.declared) == resources(bare(where.topology)) and served == proxies

    def _published(self, world: MemoryWorld) -> PublishedSnapshot | None:
        """What is published, whether anybody may ask or not."""
        assert isinstance(world, CountedWorld)
        there = MemorySnapshots(world.clock)
        there.current, there.objects = world.counted.current, world.counted.objects
        return drive(publishing.in_force(), {"Snapshots": there})

    def foreign(self, world: MemoryWorld, target: MeshTarget, owner: str) -> None:
        raise AssertionError("a snapshot is one owner's")

    def close(self, world: MemoryWorld) -> None:
        assert isinstance(world, CountedWorld)
        world.counted.down = DOWN


class CountedSnapshots(MemorySnapshots):
    """Counts what is written; `down` is what every call raises."""

    writes = 0
    down: ServiceGone | None = None

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("pointer", "move", "put", "get", "stored", "discard", "lineage"):
            return found

        def asked(*given: Any) -> Any:
            if self.down is not None:
                raise self.down
            self.writes += name in ("move", "put", "discard")
            return found(*given)

        return asked


class CountedWorld(MemoryWorld):
    """A world whose snapshots are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.mesh = mesh_runs.new_world().mesh
        self.snapshots = self.counted = CountedSnapshots(self.clock)


GROUNDS: tuple[Ground, ...] = (AppMeshGround(), EnvoyGround(), NoGround(), ToyGround())
