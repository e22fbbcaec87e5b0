"""A mesh of any size as a topology: `count` nodes, services and routers, five routes a router."""

from crossmesh.core.documents import Place
from crossmesh.core.topology import Resource, Topology, VirtualNode

_PLACE = Place(file="mesh.yaml", line=1)
_LISTENERS = [{"portMapping": {"port": 8080, "protocol": "http"}}]


def many(count: int) -> Topology:
    """The design's big mesh has 200 of each and so 1,000 routes."""

    def resource(kind: str, index: int, name: str, spec: dict[str, object]) -> Resource:
        return Resource(kind=kind, namespace="big", name=f"n{index:04}", aws_name=name, mesh="big", spec=spec, place=_PLACE)

    nodes = tuple(
        VirtualNode(
            namespace="big",
            name=f"n{index:04}",
            aws_name=f"n{index:04}_big",
            mesh="big",
            spec={
                "listeners": _LISTENERS,
                "serviceDiscovery": {"awsCloudMap": {"namespaceName": "big.local", "serviceName": f"n{index:04}"}},
                "backends": [{"virtualService": {"@VirtualService": f"n{(index + 1) % count:04}.big"}}],
            },
            place=_PLACE,
        )
        for index in range(count)
    )
    routers = tuple(
        resource("VirtualRouter", i, f"n{i:04}_big", {"listeners": _LISTENERS, "routes": [_route(i, r, count) for r in range(5)]})
        for i in range(count)
    )
    services = tuple(
        resource("VirtualService", i, f"n{i:04}.big", {"provider": {"virtualRouter": {"@VirtualRouter": f"n{i:04}_big"}}}) for i in range(count)
    )
    mesh = Resource(kind="Mesh", namespace="", name="big", aws_name="big", mesh="big", place=_PLACE)
    return Topology(meshes=(mesh,), nodes=nodes, routers=routers, services=services)


def _route(router: int, index: int, count: int) -> dict[str, object]:
    targets = [{"@VirtualNode": f"n{(router + other) % count:04}_big", "weight": 50} for other in range(2)]
    return {"name": f"r{index}", "priority": index, "httpRoute": {"match": {"prefix": f"/{index}/"}, "action": {"weightedTargets": targets}}}
