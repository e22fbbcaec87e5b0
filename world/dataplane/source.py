"""Reading the mesh API and Cloud Map, and nothing else: all that one proxy's configuration is made of."""

import contextlib
import json
import logging
from typing import Any

from world.dataplane.names import Spec
from world.dataplane.reading import Reading, Service, kind_of

_log = logging.getLogger("source")


class Instances:
    """Cloud Map's instances; asked anew only where a service's revision moved. What was found last stays in force while Cloud Map fails."""

    def __init__(self, cloud_map: Any) -> None:
        self._map = cloud_map
        self._found: dict[tuple[str, str, str], tuple[int, list[Spec]]] = {}

    def of(self, spec: Spec) -> list[Spec]:
        """Those that match all attributes of a virtual node."""
        about = (spec.get("serviceDiscovery") or {}).get("awsCloudMap")
        if not about:
            return []
        wanted = {a["key"]: a["value"] for a in about.get("attributes", ())}
        place = {"NamespaceName": about["namespaceName"], "ServiceName": about["serviceName"]}
        key = (*place.values(), json.dumps(wanted, sort_keys=True))
        try:
            return self._read(key, place, wanted)
        except (self._map.exceptions.ServiceNotFound, self._map.exceptions.NamespaceNotFound):
            return []
        except Exception as error:
            if key not in self._found:
                raise
            _log.warning("kept the instances of %s: %s: %s", about["serviceName"], type(error).__name__, error)
            return self._found[key][1]

    def _read(self, key: tuple[str, str, str], place: dict[str, str], wanted: dict[str, str]) -> list[Spec]:
        revision = self._map.discover_instances_revision(**place)["InstancesRevision"]
        known = self._found.get(key)
        if known is None or known[0] != revision:
            asked = {**place, "MaxResults": 1000, "HealthStatus": "HEALTHY_OR_ELSE_ALL", **({"QueryParameters": wanted} if wanted else {})}
            known = self._found[key] = revision, self._map.discover_instances(**asked)["Instances"]
        return known[1]


class Source:
    """One look at the mesh: what two proxies need is asked once."""

    def __init__(self, mesh: Any, instances: Instances) -> None:
        self._mesh, self._instances = mesh, instances
        self._answers: dict[tuple[Any, ...], Any] = {}
        self._places: dict[str, list[Spec]] = {}

    def reading(self, name: str) -> Reading:
        """Of a virtual node or gateway, `mesh/<mesh>/<kind>/<name>`."""
        _, mesh, kind, own = name.split("/")
        found = Reading(mesh, kind, own, self._spec(kind, mesh, own), mesh_spec=self._asked("describe_mesh", meshName=mesh)["mesh"]["spec"])
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
                found.instances[node] = self._places_of(found.nodes[node])
        return found

    def _asked(self, operation: str, **names: str) -> Any:
        key = (operation, *sorted(names.items()))
        if key not in self._answers:
            self._answers[key] = getattr(self._mesh, operation)(**names)
        return self._answers[key]

    def _listed(self, operation: str, **names: str) -> list[Spec]:
        key = (operation, *sorted(names.items()))
        if key not in self._answers:
            pages = self._mesh.get_paginator(operation).paginate(**names)
            self._answers[key] = [one for page in pages for value in page.values() if isinstance(value, list) for one in value]
        return list(self._answers[key])

    def _places_of(self, spec: Spec) -> list[Spec]:
        key = json.dumps(spec.get("serviceDiscovery"), sort_keys=True)
        if key not in self._places:
            self._places[key] = self._instances.of(spec)
        return self._places[key]

    def _spec(self, kind: str, mesh: str, name: str) -> Spec:
        operation = "describe_virtual_gateway" if kind == "virtualGateway" else "describe_virtual_node"
        return dict(self._asked(operation, meshName=mesh, **{f"{kind}Name": name})[kind]["spec"])

    def _gateway_routes(self, mesh: str, gateway: str) -> list[Spec]:
        about = {"meshName": mesh, "virtualGatewayName": gateway}
        names = [route["gatewayRouteName"] for route in self._listed("list_gateway_routes", **about)]
        return [self._asked("describe_gateway_route", **about, gatewayRouteName=name)["gatewayRoute"] for name in names]

    def _service(self, mesh: str, name: str) -> Service:
        described = self._asked("describe_virtual_service", meshName=mesh, virtualServiceName=name)
        provider = described["virtualService"]["spec"].get("provider") or {}
        if "virtualNode" in provider:
            return self._node_service(mesh, name, provider["virtualNode"]["virtualNodeName"])
        if "virtualRouter" not in provider:
            return Service(name)
        about = {"meshName": mesh, "virtualRouterName": provider["virtualRouter"]["virtualRouterName"]}
        spec = self._asked("describe_virtual_router", **about)["virtualRouter"]["spec"]
        names = [route["routeName"] for route in self._listed("list_routes", **about)]
        routes = [self._asked("describe_route", **about, routeName=route)["route"] for route in names]
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


def _listening(spec: Spec) -> list[tuple[int, str]]:
    return [(one["portMapping"]["port"], one["portMapping"]["protocol"]) for one in spec.get("listeners") or ()]
