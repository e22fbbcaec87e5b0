"""The management service as App Mesh's was (`configuration`), moved to where this world's Envoys are (`placing`).

It reads the mesh API and Cloud Map, and nothing else. The world itself still runs on its parent; a world that runs on this one needs programs
that say whom they call (`world.pods.apps.called`).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from world.dataplane import configuration as xds
from world.dataplane.management import SETTLE_S, Management, version
from world.dataplane.placing import placed
from world.dataplane.reading import Reading, Service, kind_of

_KINDS = {"listeners": xds.LISTENER, "routes": xds.ROUTE, "clusters": xds.CLUSTER, "endpoints": xds.ENDPOINTS, "secrets": xds.SECRET}


class AppMeshService(Management):
    """Configurations by proxy id `mesh/<mesh>/virtualNode/<name>|<ip>`, or virtualGateway."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._told: dict[str, dict[str, str]] = {}  # proxy -> route configuration -> the version that it said it goes by

    async def settled(self, proxies: Callable[[], Iterable[str]]) -> bool:
        """Whether, within SETTLE_S, every proxy goes by routes that were read after now."""
        began = time.monotonic()
        while time.monotonic() - began < SETTLE_S:
            if all(self._read_at.get(proxy, 0.0) > began and self._goes_by(proxy) for proxy in proxies()):
                return True
            await asyncio.sleep(0.05)
        return False

    def _goes_by(self, proxy: str) -> bool:
        accepted = self._told.get(proxy, {})
        return all(accepted.get(one["name"]) == version([one]) for one in self._config[proxy][xds.ROUTE])

    def _read(self, proxy: str) -> dict[str, list[dict[str, Any]]]:
        name, _, ip = proxy.rpartition("|")
        return placed(xds.configuration(self.reading(name)), ip, self._folder)

    def reading(self, name: str) -> Reading:
        """All that the configuration of a virtual node or gateway (`mesh/<mesh>/<kind>/<name>`) is made of."""
        _, mesh, kind, own = name.split("/")
        found = Reading(mesh, kind, own, self._spec(kind, mesh, own), mesh_spec=self._mesh.describe_mesh(meshName=mesh)["mesh"]["spec"])
        if found.gateway:
            found.gateway_routes = self._gateway_routes(mesh, own)
            actions = [route["spec"][kind_of(route)]["action"] for route in found.gateway_routes]
            wanted = [action["target"]["virtualService"]["virtualServiceName"] for action in actions]
        else:
            wanted = [backend["virtualService"]["virtualServiceName"] for backend in found.spec.get("backends", ())]
        for service in wanted:
            with contextlib.suppress(self._mesh.exceptions.NotFoundException):
                found.services[service] = self._service(mesh, service)
        for node in sorted({target[0] for _, target in found.targets()}):
            with contextlib.suppress(self._mesh.exceptions.NotFoundException):
                found.nodes[node] = self._spec("virtualNode", mesh, node)
                found.instances[node] = self._instances(found.nodes[node])
        return found

    def _spec(self, kind: str, mesh: str, name: str) -> dict[str, Any]:
        if kind == "virtualGateway":
            found = self._mesh.describe_virtual_gateway(meshName=mesh, virtualGatewayName=name)[kind]["spec"]
        else:
            found = self._mesh.describe_virtual_node(meshName=mesh, virtualNodeName=name)[kind]["spec"]
        return dict(found)

    def _gateway_routes(self, mesh: str, gateway: str) -> list[dict[str, Any]]:
        about = {"meshName": mesh, "virtualGatewayName": gateway}
        pages = self._mesh.get_paginator("list_gateway_routes").paginate(**about)
        names = [route["gatewayRouteName"] for page in pages for route in page["gatewayRoutes"]]
        return [self._mesh.describe_gateway_route(**about, gatewayRouteName=name)["gatewayRoute"] for name in names]

    def _service(self, mesh: str, name: str) -> Service:
        provider = self._mesh.describe_virtual_service(meshName=mesh, virtualServiceName=name)["virtualService"]["spec"].get("provider") or {}
        if "virtualNode" in provider:
            return self._node_service(mesh, name, provider["virtualNode"]["virtualNodeName"])
        if "virtualRouter" not in provider:
            return Service(name)
        about = {"meshName": mesh, "virtualRouterName": provider["virtualRouter"]["virtualRouterName"]}
        spec = self._mesh.describe_virtual_router(**about)["virtualRouter"]["spec"]
        pages = self._mesh.get_paginator("list_routes").paginate(**about)
        names = [route["routeName"] for page in pages for route in page["routes"]]
        routes = [self._mesh.describe_route(**about, routeName=route)["route"] for route in names]
        return Service(name, _listening(spec), routes)

    def _node_service(self, mesh: str, name: str, node: str) -> Service:
        """A virtual node as the provider itself: everything goes to it, at each of its ports in that port's protocol."""
        listeners = _listening(self._spec("virtualNode", mesh, node))
        routes = []
        for port, protocol in listeners:
            match = {"port": port, **({} if protocol in ("tcp", "grpc") else {"prefix": "/"})}
            spec = {f"{protocol}Route": {"match": match, "action": {"weightedTargets": [{"virtualNode": node, "weight": 1, "port": port}]}}}
            routes.append({"routeName": f"{name}:{port}", "spec": spec})
        return Service(name, listeners, routes)

    async def answer(self, request: web.Request) -> web.Response:
        """One poll of Envoy; a poll for routes, endpoints or secrets gets only what it names."""
        asked = await request.json()
        kind, proxy, names = _KINDS[request.match_info["kind"]], asked["node"]["id"], set(asked.get("resource_names", ()))
        config = self._config.get(proxy)
        if not self.running or config is None:
            return web.Response(status=503)
        if kind == xds.ROUTE:
            self._told.setdefault(proxy, {}).update(dict.fromkeys(names, asked.get("version_info", "")))
        resources = [one for one in config[kind] if not names or one.get("cluster_name", one.get("name")) in names]
        return web.json_response({"version_info": version(resources), "type_url": kind, "resources": resources})


def _listening(spec: dict[str, Any]) -> list[tuple[int, str]]:
    return [(one["portMapping"]["port"], one["portMapping"]["protocol"]) for one in spec.get("listeners") or ()]
