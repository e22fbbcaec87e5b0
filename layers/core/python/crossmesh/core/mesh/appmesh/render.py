"""The App Mesh API requests that a topology means: what AWS's own controller would send for the
same documents, in apply order.

Names and nesting follow its converters (pkg/conversions): only what is spelled differently is named
here, all else goes through as written, zeros and `false` too. An empty list is not sent; an empty
object is. Where the controller panics (`subjectAlternativeNames` of a gateway's listener, an empty
gRPC rewrite) the request is what the API takes.
"""

from typing import Any

from crossmesh.core.mesh.appmesh.state import AppMeshRequest
from crossmesh.core.topology import ROUTE_KINDS, Route, Topology

_RENAMED = {"certificateARN": "certificateArn", "certificateAuthorityARNs": "certificateAuthorityArns"}
_SENT = {
    "VirtualNode": ("backendDefaults", "backends", "listeners", "logging", "serviceDiscovery"),
    "VirtualGateway": ("backendDefaults", "listeners", "logging"),
    "VirtualRouter": ("listeners",),
    "Route": (*ROUTE_KINDS, "priority"),
    "VirtualService": ("provider",),
    "GatewayRoute": (*(kind for kind, protocol in ROUTE_KINDS.items() if protocol != "tcp"), "priority"),
}
# How the API spells a resolved reference, by the member it stands in.
_NAMED = {
    "weightedTargets": {"@VirtualNode": "virtualNode"},
    "virtualService": {"@VirtualService": "virtualServiceName"},
    "virtualNode": {"@VirtualNode": "virtualNodeName"},
    "virtualRouter": {"@VirtualRouter": "virtualRouterName"},
}
_KEPT_EMPTY = {"exact"}  # a subject alternative name list is sent as it is


def requests(topology: Topology, *, ip_family: str = "ipv4") -> tuple[AppMeshRequest, ...]:
    """Create… requests: mesh → nodes → gateways → routers → routes → services → gateway routes;
    without tags and client tokens.
    """
    found: list[AppMeshRequest] = []
    owners = {mesh.aws_name: mesh.spec.get("meshOwner") for mesh in topology.meshes}

    def add(kind: str, mesh: str, names: dict[str, str], spec: dict[str, Any]) -> None:
        owner = {"meshOwner": owners[mesh]} if owners.get(mesh) and kind != "Mesh" else {}
        body = spec if kind == "Mesh" else _spec(kind, spec)
        found.append(
            AppMeshRequest(
                service="appmesh", operation=f"Create{kind}", input={"meshName": mesh, **owner, **names, "spec": body}
            )
        )

    for mesh in topology.meshes:
        add("Mesh", mesh.aws_name, {}, _mesh(mesh.spec, ip_family))
    for node in topology.nodes:
        add("VirtualNode", node.mesh, {"virtualNodeName": node.aws_name}, node.spec)
    for gateway in topology.gateways:
        add("VirtualGateway", gateway.mesh, {"virtualGatewayName": gateway.aws_name}, gateway.spec)
    for router in topology.routers:
        add("VirtualRouter", router.mesh, {"virtualRouterName": router.aws_name}, router.spec)
    for router in topology.routers:
        for route in sorted(router.routes, key=lambda r: r.name):
            add("Route", router.mesh, {"virtualRouterName": router.aws_name, "routeName": route.name}, _route(route))
    for service in topology.services:
        add("VirtualService", service.mesh, {"virtualServiceName": service.aws_name}, service.spec)
    for gateway_route in topology.gateway_routes:
        names = {
            "virtualGatewayName": gateway_route.references.get("virtualGateway", ""),
            "gatewayRouteName": gateway_route.aws_name,
        }
        add("GatewayRoute", gateway_route.mesh, names, gateway_route.spec)
    return tuple(found)


def _route(route: Route) -> dict[str, Any]:
    """A route as written, with the weights in force."""
    kind = f"{route.protocol}Route"
    action = (route.spec.get(kind) or {}).get("action") or {}
    written = action.get("weightedTargets") or ()
    if all(int(one.get("weight") or 0) == target.weight for one, target in zip(written, route.targets, strict=True)):
        return route.spec
    targets = [{**one, "weight": target.weight} for one, target in zip(written, route.targets, strict=True)]
    return {**route.spec, kind: {**route.spec[kind], "action": {**action, "weightedTargets": targets}}}


def _mesh(spec: dict[str, Any], ip_family: str) -> dict[str, Any]:
    """The IP preference is the cluster's, whatever the manifest says; where there is none, only an
    IPv6 cluster sets it (mesh_mutator.go).
    """
    found = {"egressFilter": _plain(spec["egressFilter"], "")} if "egressFilter" in spec else {}
    if ip_family == "ipv6":
        found["serviceDiscovery"] = {"ipPreference": "IPv6_ONLY"}
    elif "meshServiceDiscovery" in spec:
        found["serviceDiscovery"] = {"ipPreference": "IPv4_ONLY"}
    return found


def _spec(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    made = {key: _plain(spec[key], key) for key in _SENT[kind] if key in spec and spec[key] != []}
    if kind == "VirtualGateway":
        for listener in made.get("listeners", ()):
            _gateway_listener(listener)
    return made


def _gateway_listener(listener: dict[str, Any]) -> None:
    """Two ways in which the CRD and the API part: the API needs a healthyThreshold, and knows no
    ACM trust here.
    """
    if "healthCheck" in listener:
        listener["healthCheck"].setdefault("healthyThreshold", 0)
    listener.get("tls", {}).get("validation", {}).get("trust", {}).pop("acm", None)


def _plain(value: Any, key: str) -> Any:
    """A part of a spec as the API spells it; `key` is the member it stands in."""
    if isinstance(value, list):
        return [_plain(item, key) for item in value]
    if not isinstance(value, dict):
        return value
    named = _NAMED.get(key, {})
    return {
        named.get(inner) or _RENAMED.get(inner, inner): _plain(item, inner)
        for inner, item in value.items()
        if item != [] or inner in _KEPT_EMPTY
    }
