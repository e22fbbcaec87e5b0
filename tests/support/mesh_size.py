"""A mesh of any size as a topology: `count` nodes, services and routers, five routes a router."""

from typing import Any

from crossmesh.core.compiler.routes import provider_of, routes_of
from crossmesh.core.documents import SourceLocation
from crossmesh.core.topology import Resource, Topology, VirtualNode, VirtualRouter, VirtualService

_PLACE = SourceLocation(file="mesh.yaml", line=1)
_LISTENERS = [{"portMapping": {"port": 8080, "protocol": "http"}}]


def many(count: int) -> Topology:
    """A big mesh has 200 of each and so 1,000 routes."""

    def router(index: int) -> VirtualRouter:
        spec, routes = {"listeners": _LISTENERS}, routes_of({"routes": [_route(index, other, count) for other in range(5)]})
        return VirtualRouter(kind="VirtualRouter", **_names(index, "_"), spec=spec, routes=routes)

    def service(index: int) -> VirtualService:
        spec = {"provider": {"virtualRouter": {"@VirtualRouter": f"n{index:04}_big"}}}
        return VirtualService(kind="VirtualService", **_names(index, "."), spec=spec, provider=provider_of(spec))

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
    routers, services = tuple(map(router, range(count))), tuple(map(service, range(count)))
    mesh = Resource(kind="Mesh", namespace="", name="big", aws_name="big", mesh="big", place=_PLACE)
    return Topology(meshes=(mesh,), nodes=nodes, routers=routers, services=services)


def _names(index: int, between: str) -> dict[str, Any]:
    return {"namespace": "big", "name": f"n{index:04}", "aws_name": f"n{index:04}{between}big", "mesh": "big", "place": _PLACE}


def _route(router: int, index: int, count: int) -> dict[str, object]:
    targets = [{"@VirtualNode": f"n{(router + other) % count:04}_big", "weight": 50} for other in range(2)]
    return {"name": f"r{index}", "priority": index, "httpRoute": {"match": {"prefix": f"/{index}/"}, "action": {"weightedTargets": targets}}}
