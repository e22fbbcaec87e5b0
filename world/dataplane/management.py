"""A stand-in for App Mesh's Envoy management service: reads the mesh API and Cloud Map, and nothing else, and answers Envoy's REST polls.

What it read last stays in force where either API fails.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from world.aws.clients import client
from world.dataplane import xds
from world.dataplane.reading import kind_of
from world.dataplane.xds_routes import target_cluster

EVERY_S = 0.4
SETTLE_S = 8.0
_log = logging.getLogger("management")


class Management:
    """Configurations by proxy id `mesh/<mesh>/virtualNode/<name>|<ip>`."""

    def __init__(self, folder: Path, mesh: Any, cloud_map: Any) -> None:
        self._folder, self._mesh, self._map = folder, mesh, cloud_map
        self._config: dict[str, dict[str, list[dict[str, Any]]]] = {}
        self._revisions: dict[tuple[str, str], int] = {}
        self._found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        self._read_at: dict[str, float] = {}  # proxy -> when the reading of its configuration began
        self._accepted: dict[str, str] = {}  # proxy -> version of the routes that it said it goes by
        self.running = True

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Management":
        """On a world's AWS server."""
        quick = {"retries": {"max_attempts": 1}, "connect_timeout": 1, "read_timeout": 5}
        return cls(Path(document["dir"]), client(document, "appmesh", **quick), client(document, "servicediscovery", **quick))

    def access_log(self, proxy: str) -> str:
        """Where a proxy writes down sampled requests."""
        return str(self._folder / f"access-{proxy.rpartition('|')[2]}.log")

    def forget(self, proxy: str) -> None:
        """The proxy is gone."""
        for known in (self._config, self._read_at, self._accepted):
            known.pop(proxy, None)

    async def settled(self, proxies: Callable[[], Iterable[str]]) -> bool:
        """Whether, within SETTLE_S, every proxy goes by routes that were read after now."""
        began = time.monotonic()
        while time.monotonic() - began < SETTLE_S:
            current = [
                p for p in proxies() if self._read_at.get(p, 0.0) > began and self._accepted.get(p) == version(self._config[p][xds.ROUTE])
            ]
            if current == list(proxies()):
                return True
            await asyncio.sleep(0.05)
        return False

    async def follow(self, proxies: Callable[[], Iterable[str]]) -> None:
        """Read for every proxy there is, until cancelled."""
        while True:
            for proxy in proxies():
                if self.running:
                    began = time.monotonic()
                    try:
                        self._config[proxy] = await asyncio.to_thread(self._read, proxy)
                        self._read_at[proxy] = began
                    except Exception as error:
                        _log.warning("kept what was read last: %s: %s", type(error).__name__, error)
            await asyncio.sleep(EVERY_S)

    def _read(self, proxy: str) -> dict[str, list[dict[str, Any]]]:
        name, _, ip = proxy.rpartition("|")
        _, mesh, _, node_name = name.split("/")
        node = self._mesh.describe_virtual_node(meshName=mesh, virtualNodeName=node_name)["virtualNode"]["spec"]
        services: dict[str, list[dict[str, Any]]] = {}
        for backend in node.get("backends", ()):
            service = backend["virtualService"]["virtualServiceName"]
            try:
                services[service] = self._routes(mesh, service)
            except self._mesh.exceptions.NotFoundException:
                continue
        targets = [t for routes in services.values() for route in routes for t in route["spec"][kind_of(route)]["action"]["weightedTargets"]]
        nodes = {}
        for target in sorted({target["virtualNode"] for target in targets}):
            try:
                nodes[target] = self._mesh.describe_virtual_node(meshName=mesh, virtualNodeName=target)["virtualNode"]["spec"]
            except self._mesh.exceptions.NotFoundException:
                continue
        ports = {target_cluster(t): (t["virtualNode"], t["port"]) for t in targets if t.get("port")}
        service_names = [xds.endpoints(name, self._instances(spec)) for name, spec in nodes.items()]
        service_names += [xds.endpoints(name, self._instances(nodes[at]), port) for name, (at, port) in sorted(ports.items()) if at in nodes]
        return {
            xds.LISTENER: xds.listeners(node, ip, self.access_log(proxy), services),
            xds.CLUSTER: xds.clusters(node, nodes, ip, ports),
            xds.ROUTE: [xds.egress(services)],
            xds.ENDPOINTS: service_names,
        }

    def _routes(self, mesh: str, service: str) -> list[dict[str, Any]]:
        provider = (
            self._mesh.describe_virtual_service(meshName=mesh, virtualServiceName=service)["virtualService"]["spec"].get("provider") or {}
        )
        if "virtualNode" in provider:
            target = {"virtualNode": provider["virtualNode"]["virtualNodeName"], "weight": 1}
            return [{"routeName": service, "spec": self._all_to(mesh, target)}]
        if "virtualRouter" not in provider:
            return []
        router = provider["virtualRouter"]["virtualRouterName"]
        pages = self._mesh.get_paginator("list_routes").paginate(meshName=mesh, virtualRouterName=router)
        names = [route["routeName"] for page in pages for route in page["routes"]]
        return [self._mesh.describe_route(meshName=mesh, virtualRouterName=router, routeName=name)["route"] for name in names]

    def _all_to(self, mesh: str, target: dict[str, Any]) -> dict[str, Any]:
        """A virtual node as the provider itself: everything goes to it, in its own protocol."""
        spec = self._mesh.describe_virtual_node(meshName=mesh, virtualNodeName=target["virtualNode"])["virtualNode"]["spec"]
        protocol = next((listener["portMapping"]["protocol"] for listener in spec.get("listeners", ())), "http")
        match = {} if protocol in ("tcp", "grpc") else {"match": {"prefix": "/"}}
        return {f"{protocol}Route": {**match, "action": {"weightedTargets": [target]}}}

    def _instances(self, spec: dict[str, Any]) -> list[dict[str, Any]]:
        """Instances that match all of the node's attributes; asked anew only when the service's revision moved."""
        about = (spec.get("serviceDiscovery") or {}).get("awsCloudMap")
        if not about:
            return []
        wanted = {a["key"]: a["value"] for a in about.get("attributes", ())}
        place = (about["namespaceName"], about["serviceName"])
        key = (*place, json.dumps(wanted, sort_keys=True))
        try:
            revision = self._map.discover_instances_revision(NamespaceName=place[0], ServiceName=place[1])["InstancesRevision"]
        except (self._map.exceptions.ServiceNotFound, self._map.exceptions.NamespaceNotFound):
            return []
        if key not in self._found or self._revisions.get(key) != revision:
            asked = {"NamespaceName": place[0], "ServiceName": place[1], "MaxResults": 1000, "HealthStatus": "HEALTHY_OR_ELSE_ALL"}
            self._found[key] = self._map.discover_instances(**asked, **({"QueryParameters": wanted} if wanted else {}))["Instances"]
            self._revisions[key] = revision
        return self._found[key]

    async def answer(self, request: web.Request) -> web.Response:
        """One poll of Envoy; an endpoint poll gets only what it names."""
        asked = await request.json()
        kind = {"listeners": xds.LISTENER, "routes": xds.ROUTE, "clusters": xds.CLUSTER, "endpoints": xds.ENDPOINTS}[request.match_info["kind"]]
        config = self._config.get(asked["node"]["id"])
        if not self.running or config is None:
            return web.Response(status=503)
        resources = config[kind]
        if kind == xds.ROUTE:
            self._accepted[asked["node"]["id"]] = asked.get("version_info", "")
        names = set(asked.get("resource_names", ()))
        if names:
            resources = [r for r in resources if r.get("cluster_name", r.get("name")) in names]
        return web.json_response({"version_info": version(resources), "type_url": kind, "resources": resources})


def version(resources: list[dict[str, Any]]) -> str:
    """By which Envoy tells whether something changed."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]
