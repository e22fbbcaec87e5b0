"""Small worlds as values: what tests build their cases from."""

from crossmesh.core.documents import Place
from crossmesh.core.settings import ClusterSettings, ManifestSource, MeshSettings, Policy, Settings
from crossmesh.core.topology import CloudMap, LabelSelector, Listener, Topology, VirtualNode
from crossmesh.core.views import Pod
from crossmesh.steps.context import Context

NAMESPACE = "demo.local"
PLACE = Place(file="mesh.yaml", line=1)


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
