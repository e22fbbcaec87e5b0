"""Each mesh backend in a world in memory, in the terms of the one suite that all of them pass."""

from typing import Any, Protocol

import msgspec
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.errors import ServiceGone
from crossmesh.usecases.context import Context

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


GROUNDS: tuple[Ground, ...] = (AppMeshGround(), NoGround(), ToyGround())
