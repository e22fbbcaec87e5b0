"""A mesh in memory: documents that declare it, a run that reconciles it, and whether it is exact."""

from typing import Any

from crossmesh import codec
from crossmesh.core.compiler.build import build
from crossmesh.core.mesh.appmesh.diff import differences
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.mesh.appmesh.state import target_of
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.settings import ClusterSettings, ManifestSource, MeshSettings, Policy, Settings
from crossmesh.driver import drive
from crossmesh.manifests import load
from crossmesh.steps import reconcile_mesh, take_lease
from crossmesh.usecases import state
from crossmesh.usecases.context import Context

from tests.support.manifest_texts import HEAD, manifest, node
from tests.support.model_mesh import ModelMesh
from tests.support.passes import MemoryWorld

Targets = dict[MeshTarget, dict[str, Any]]


def declared_by(*texts: str, owner: str = "me", adopt: bool = False, removals: str = "sync") -> Context:
    """The context of a deployment with these manifests."""
    built = build(load([("mesh.yaml", "".join(texts).encode())]).documents)
    assert not [finding for finding in built.findings if finding.level == "error"]
    settings = Settings(
        owner=owner,
        region="us-east-1",
        mesh=MeshSettings(manifests=ManifestSource(files=("mesh.yaml",)), adopt=adopt),
        clusters=(ClusterSettings(name="a", eks="a", region="us-east-1"),),
        policy=Policy(removals="sync" if removals == "sync" else "upsert-only"),
    )
    return Context(settings=settings, topology=built.topology, config="".join(texts), deployment="1/r/s")


def wanted(where: Context) -> Targets:
    """What stands when all is as declared."""
    return {target_of(request): request.input.get("spec", {}) for request in requests(where.topology)}


def new_world() -> MemoryWorld:
    world = MemoryWorld()
    world.mesh = ModelMesh(world.clock.now)  # type: ignore[assignment]
    return world


def app_mesh(world: MemoryWorld) -> ModelMesh:
    found: Any = world.mesh
    assert isinstance(found, ModelMesh)
    return found


def starting(world: MemoryWorld, where: Context) -> reconcile_mesh.Request:
    world.count += 1
    arn = f"arn:mesh-{world.count}"
    world.executions.alive = {arn}
    world.clock.sleep(1)
    lease = drive(take_lease.run(take_lease.Request(id=f"m{world.count}", execution=arn), where), world.ports)
    if backend_of(where.settings).before_registry:  # its runs always have the decision of their look
        world.runs.put(state.key(lease.run.id, state.ENDPOINTS), codec.encode(EndpointDecision()))
    return reconcile_mesh.Request(run=lease.run)


def reconcile(world: MemoryWorld, where: Context) -> reconcile_mesh.Response:
    return drive(reconcile_mesh.run(starting(world, where), where), world.ports)


def exact(world: MemoryWorld, where: Context) -> bool:
    """Everything declared and nothing else."""
    specs, want = app_mesh(world).specs(), wanted(where)
    return specs.keys() == want.keys() and all(differences(want[target], spec) == () for target, spec in specs.items())


def router(routes: str, listeners: str = "{port: 8080, protocol: http}", name: str = "r") -> str:
    ports = ", ".join(f"{{portMapping: {listener}}}" for listener in listeners.split(";"))
    return manifest("VirtualRouter", name, f"listeners: [{ports}]\nroutes:\n{routes}")


def route(name: str, *targets: str, kind: str = "httpRoute", match: str = "{prefix: /}") -> str:
    lines = "".join(f"\n          - {{virtualNodeRef: {{name: {target}}}, weight: 1}}" for target in targets)
    return f"  - name: {name}\n    {kind}:\n      match: {match}\n      action:\n        weightedTargets:{lines}\n"


def service(name: str = "s", of: str = "r") -> str:
    return manifest("VirtualService", name, f"provider: {{virtualRouter: {{virtualRouterRef: {{name: {of}}}}}}}")


GRPC = "{port: 8080, protocol: grpc}"
BOTH = "{port: 8080, protocol: http};{port: 9090, protocol: grpc}"
NAMED = "{serviceName: shop.A}"
ONE = (HEAD, node("a"), node("b"), router(route("one", "a", "b") + route("two", "b", match="{prefix: /two}")), service())
AFTER: dict[str, tuple[str, ...]] = {
    "weights": (HEAD, node("a"), node("b"), router(route("one", "b", "a") + route("two", "b", match="{prefix: /two}")), service()),
    "a node and its route removed": (HEAD, node("b"), router(route("two", "b")), service()),
    "another protocol": (HEAD, node("a"), node("b"), router(route("one", "a", kind="grpcRoute", match=NAMED), GRPC), service()),
    "a second listener": (
        *(HEAD, node("a"), node("b")),
        router(
            route("one", "a", "b", match="{prefix: /, port: 8080}") + route("two", "b", kind="grpcRoute", match="{serviceName: s, port: 9090}"),
            BOTH,
        ),
        service(),
    ),
    "another port": (HEAD, node("a"), node("b"), router(route("one", "a") + route("two", "b"), "{port: 9090, protocol: http}"), service()),
    "another provider": (HEAD, node("a"), manifest("VirtualService", "s", "provider: {virtualNode: {virtualNodeRef: {name: a}}}")),
    "everything removed": (),
}
