"""The App Mesh API requests that a topology means: what AWS's own controller would send for the same documents, in apply order.

Names and nesting follow its converters (pkg/conversions): only what is spelled differently is named here, all else goes through as written.
"""

from typing import Any

from crossmesh.core.topology import Request, Topology

_RENAMED = {"certificateARN": "certificateArn", "certificateAuthorityARNs": "certificateAuthorityArns"}
_ROUTES = ("grpcRoute", "http2Route", "httpRoute", "tcpRoute")


def requests(topology: Topology) -> tuple[Request, ...]:
    """Create… requests: mesh → nodes → gateways → routers → routes → services → gateway routes; without tags and client tokens."""
    found: list[Request] = []
    owners = {mesh.aws_name: mesh.spec.get("meshOwner") for mesh in topology.meshes}

    def add(operation: str, mesh: str, names: dict[str, str], spec: dict[str, Any]) -> None:
        owner = {"meshOwner": owners[mesh]} if owners.get(mesh) and operation != "CreateMesh" else {}
        found.append(Request(service="appmesh", operation=operation, input={"meshName": mesh, **owner, **names, "spec": spec}))

    for mesh in topology.meshes:
        add("CreateMesh", mesh.aws_name, {}, _mesh(mesh.spec))
    for node in topology.nodes:
        add("CreateVirtualNode", node.mesh, {"virtualNodeName": node.aws_name}, _node(node.spec))
    for gateway in topology.gateways:
        spec = {key: _plain(gateway.spec[key]) for key in ("backendDefaults", "listeners", "logging") if gateway.spec.get(key) is not None}
        add("CreateVirtualGateway", gateway.mesh, {"virtualGatewayName": gateway.aws_name}, spec)
    for router in topology.routers:
        spec = {"listeners": _plain(router.spec["listeners"])} if router.spec.get("listeners") is not None else {}
        add("CreateVirtualRouter", router.mesh, {"virtualRouterName": router.aws_name}, spec)
    for router in topology.routers:
        for route in sorted(router.spec.get("routes") or (), key=lambda r: str(r.get("name", ""))):
            names = {"virtualRouterName": router.aws_name, "routeName": str(route.get("name", ""))}
            add("CreateRoute", router.mesh, names, _route(route))
    for service in topology.services:
        add("CreateVirtualService", service.mesh, {"virtualServiceName": service.aws_name}, _service(service.spec))
    return tuple(found)


def _plain(value: Any) -> Any:
    """A part of a spec that differs from the API only in the spelling of some keys."""
    if isinstance(value, dict):
        return {_RENAMED.get(key, key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _mesh(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if spec.get("egressFilter") is not None:
        found["egressFilter"] = _plain(spec["egressFilter"])
    if spec.get("meshServiceDiscovery") is not None:
        found["serviceDiscovery"] = {"ipPreference": "IPv4_ONLY"}
    return found


def _node(spec: dict[str, Any]) -> dict[str, Any]:
    found = {key: _plain(spec[key]) for key in ("backendDefaults", "listeners", "logging", "serviceDiscovery") if spec.get(key) is not None}
    backends = []
    for backend in spec.get("backends") or ():
        service = backend.get("virtualService") or {}
        made = {"virtualServiceName": service.get("@VirtualService", "")}
        if service.get("clientPolicy") is not None:
            made["clientPolicy"] = _plain(service["clientPolicy"])
        backends.append({"virtualService": made})
    if backends:
        found["backends"] = backends
    return found


def _route(route: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"priority": route["priority"]} if route.get("priority") is not None else {}
    for kind in _ROUTES:
        raw = route.get(kind)
        if raw is None:
            continue
        made = {key: _plain(item) for key, item in raw.items() if key != "action" and item is not None}
        if kind != "tcpRoute":
            made.setdefault("match", {})
        targets = []
        for target in (raw.get("action") or {}).get("weightedTargets") or ():
            kept = {key: target[key] for key in ("port", "weight") if target.get(key) is not None}
            targets.append({"virtualNode": target.get("@VirtualNode", ""), **kept})
        made["action"] = {"weightedTargets": targets}
        found[kind] = made
    return found


def _service(spec: dict[str, Any]) -> dict[str, Any]:
    provider = spec.get("provider") or {}
    made: dict[str, Any] = {}
    for kind, name in (("virtualNode", "@VirtualNode"), ("virtualRouter", "@VirtualRouter")):
        if provider.get(kind) is not None:
            made[kind] = {f"{kind}Name": provider[kind].get(name, "")}
    return {"provider": made} if made else {}
