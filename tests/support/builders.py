"""Small worlds as values: what tests build their cases from."""

from typing import Any

from crossmesh.core.compiler.routes import provider_of, routes_of
from crossmesh.core.documents import SourceLocation
from crossmesh.core.observed import Pod
from crossmesh.core.settings import ClusterSettings, ManifestSource, MeshSettings, Policy, Settings
from crossmesh.core.topology import CloudMap, LabelSelector, Listener, Topology, VirtualNode, VirtualRouter, VirtualService
from crossmesh.usecases.context import Context

NAMESPACE = "demo.local"
PLACE = SourceLocation(file="mesh.yaml", line=1)


def node(name: str = "blue", service: str = "color", **attributes: str) -> VirtualNode:
    """A virtual node that selects pods with label version=<name>."""
    return VirtualNode(
        namespace="demo",
        name=name,
        aws_name=f"{name}_demo",
        mesh="demo",
        selector=LabelSelector(labels=(("version", name),)),
        listeners=(Listener(port=8080, protocol="http"),),
        cloud_map=CloudMap(namespace=NAMESPACE, service=service, attributes=tuple(sorted(attributes.items()))),
        place=PLACE,
    )


def router(name: str, *routes: dict[str, Any], mesh: str = "demo", **spec: Any) -> VirtualRouter:
    """A virtual router of namespace demo with these routes, as documents write them once their references are resolved."""
    typed = routes_of({"routes": routes})
    given = {"kind": "VirtualRouter", "namespace": "demo", "name": name, "aws_name": f"{name}_demo", "mesh": mesh, "place": PLACE}
    return VirtualRouter(**given, spec=spec, routes=typed)


def service(name: str, **provider: Any) -> VirtualService:
    """A virtual service of namespace demo; `provider` as in its resolved document."""
    spec = {"provider": provider}
    given = {"kind": "VirtualService", "namespace": "demo", "name": name, "aws_name": f"{name}.demo", "mesh": "demo", "place": PLACE}
    return VirtualService(**given, spec=spec, provider=provider_of(spec))


def pod(uid: str, version: str = "blue", *, ready: bool = True, ip: str = "", terminating: bool = False, **labels: str) -> Pod:
    """A pod of namespace demo."""
    return Pod(
        namespace="demo",
        name=f"pod-{uid}",
        uid=uid,
        ip=ip or f"10.0.0.{len(uid)}",
        labels={"version": version, **labels},
        phase="Running",
        containers_ready=ready,
        terminating=terminating,
    )


def context(
    *nodes: VirtualNode,
    clusters: tuple[str, ...] = ("a", "b"),
    owner: str = "prod",
    policy: Policy | None = None,
    adopt: bool = False,
    readiness_gate: bool = False,
    injector_only: tuple[str, ...] = (),
    **kwargs: object,
) -> Context:
    """A deployment with these nodes over these clusters, without a mesh backend."""
    settings = Settings(
        owner=owner,
        region="us-east-1",
        mesh=MeshSettings(manifests=ManifestSource(files=("mesh/*.yaml",)), backend="none", adopt=adopt),
        clusters=tuple(
            ClusterSettings(name=name, eks=name, region="us-east-1", controller="injector-only" if name in injector_only else "")
            for name in clusters
        ),
        policy=policy or Policy(),
        readiness_gate=readiness_gate,
    )
    topology = Topology(nodes=nodes or (node("blue", color="blue"), node("red", color="red")))
    return Context(settings=settings, topology=topology, config="c0", deployment="1/us-east-1/crossmesh", **kwargs)  # type: ignore[arg-type]
