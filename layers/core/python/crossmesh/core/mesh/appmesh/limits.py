"""What App Mesh refuses although the CRDs and webhooks of AWS's controller let it pass: warnings,
for the requests stay those of the controller.

Sources: the service's API model (tagged unions, required members, lengths) and its quotas page.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from crossmesh.core.compiler.findings import Findings
from crossmesh.core.compiler.references import aws_name
from crossmesh.core.documents import Document, Finding
from crossmesh.core.topology import ROUTE_KINDS, Topology

_UNIONS = {"accessLog", "certificate", "trust", "serviceDiscovery", "connectionPool", "format", "provider"}
_OTHERS = ("meshes", "services", "routers", "gateways", "gateway_routes", "backend_groups")
_MAX_NAME = 255
_PER_MESH = {"VirtualNode": 200, "VirtualService": 200, "VirtualRouter": 200, "VirtualGateway": 3}
_ROUTES_PER_ROUTER, _BACKENDS_PER_NODE, _MESHES, _ROUTES_PER_GATEWAY = 50, 50, 15, 10


def check(topology: Topology, documents: Iterable[Document]) -> tuple[Finding, ...]:
    """What the API would refuse of a topology, and the default quotas that it is above; `documents`
    are those that it was built from.
    """
    findings, by_key = (
        Findings(),
        {(one.kind, one.namespace, one.name): one for one in documents if one.kind != "Namespace"},
    )
    for document in by_key.values():
        _document(document, findings)
    declared = [
        *(("VirtualNode", node) for node in topology.nodes),
        *((one.kind, one) for field in _OTHERS for one in getattr(topology, field)),
    ]
    members = [
        (one.mesh, by_key[kind, one.namespace, one.name])
        for kind, one in declared
        if (kind, one.namespace, one.name) in by_key
    ]
    _quotas(members, findings)
    routes = [
        (f"{one.references['virtualGateway']} in mesh {one.mesh}", by_key[one.kind, one.namespace, one.name])
        for one in topology.gateway_routes
        if "virtualGateway" in one.references and (one.kind, one.namespace, one.name) in by_key
    ]
    _gateway_routes(routes, findings)
    return findings.sorted()


def _document(document: Document, findings: Findings) -> None:
    _unions(document, document.spec, "spec", "", findings)
    _names(document, findings)
    match document.kind:
        case "Mesh":
            owner = document.spec.get("meshOwner")
            if owner is not None and not (len(owner) == 12 and owner.isdigit()):
                _refuses(document, "spec.meshOwner", f"found {owner!r}, wanted an account id of 12 digits", findings)
        case "VirtualRouter":
            _router(document, findings)
        case "VirtualGateway":
            _gateway(document, findings)
        case "VirtualNode":
            backends = document.spec.get("backends", ())
            if len(backends) > _BACKENDS_PER_NODE:
                _quota(
                    document, "spec.backends", len(backends), _BACKENDS_PER_NODE, "backends of a virtual node", findings
                )


def _quotas(members: Iterable[tuple[str, Document]], findings: Findings) -> None:
    """Report kinds of which a mesh has more than App Mesh's default quota; `members` are (mesh,
    document).
    """
    first: dict[tuple[str, str], Document] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for mesh, document in members:
        counts[mesh, document.kind] += 1
        first.setdefault((mesh, document.kind), document)
    for (mesh, kind), count in sorted(counts.items()):
        if count > _PER_MESH.get(kind, count):
            _quota(first[mesh, kind], "", count, _PER_MESH[kind], f"{kind}s in mesh {mesh}", findings)
    meshes = [document for (_, kind), document in sorted(first.items()) if kind == "Mesh"]
    if len(meshes) > _MESHES:
        _quota(meshes[0], "", len(meshes), _MESHES, "meshes in an account", findings)


def _gateway_routes(routes: Iterable[tuple[str, Document]], findings: Findings) -> None:
    """Report gateways with more routes than App Mesh's default quota; `routes` are (gateway,
    route).
    """
    grouped: dict[str, list[Document]] = {}
    for gateway, route in routes:
        grouped.setdefault(gateway, []).append(route)
    for gateway, found in sorted(grouped.items()):
        if len(found) > _ROUTES_PER_GATEWAY:
            _quota(found[0], "", len(found), _ROUTES_PER_GATEWAY, f"gateway routes of {gateway}", findings)


def _refuses(document: Document, field: str, message: str, findings: Findings, fix: str = "") -> None:
    if not document.doubts(field):
        findings.warning(document, field, "api-refuses", f"{message}; App Mesh refuses it", fix)


def _quota(document: Document, field: str, count: int, most: int, what: str, findings: Findings) -> None:
    findings.warning(
        document,
        field,
        "quota",
        f"{count} {what}, the default quota is {most}",
        "have the quota raised before applying",
    )


def _unions(document: Document, value: Any, field: str, around: str, findings: Findings) -> None:
    """Objects of which the API takes exactly one member."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            _unions(document, item, f"{field}[{index}]", around, findings)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        here = f"{field}.{key}"
        union = (
            key in _UNIONS
            or (key == "timeout" and around == "listeners")
            or (key == "match" and around in ("headers", "metadata"))
        )
        # Several there are its error already
        webhook = document.kind == "GatewayRoute" or key == "connectionPool"
        if union and isinstance(item, dict) and (len(item) == 0 or (len(item) > 1 and not webhook)):
            found = " and ".join(sorted(item)) or "nothing"
            if not (key == "match" and not item):
                _refuses(document, here, f"found {found} in {key}, wanted one choice", findings)
        _unions(document, item, here, key, findings)


def _names(document: Document, findings: Findings) -> None:
    if document.kind not in ("Namespace", "BackendGroup", "VirtualService") and len(aws_name(document)) > _MAX_NAME:
        _refuses(
            document,
            "metadata.name",
            f"the AWS name {aws_name(document)[:40]}… has {len(aws_name(document))} characters",
            findings,
            "give awsName",
        )


def _router(document: Document, findings: Findings) -> None:
    routes = document.spec.get("routes", ())
    if "listeners" not in document.spec and not document.legacy:
        _refuses(document, "spec", "a router without listeners", findings, "say on which port it listens")
    if len(routes) > _ROUTES_PER_ROUTER:
        _quota(document, "spec.routes", len(routes), _ROUTES_PER_ROUTER, "routes of a virtual router", findings)
    for index, route in enumerate(routes):
        field = f"spec.routes[{index}]"
        kinds = [kind for kind in ROUTE_KINDS if kind in route]
        if len(kinds) != 1:
            _refuses(
                document,
                field,
                f"found {' and '.join(kinds) or 'no kind of route'}, wanted exactly one of {', '.join(ROUTE_KINDS)}",
                findings,
            )
        for kind in kinds:
            targets = route[kind].get("action", {}).get("weightedTargets", ())
            total = sum(target.get("weight", 0) for target in targets)
            here = f"{field}.{kind}.action.weightedTargets"
            if total > 100:
                _refuses(
                    document,
                    here,
                    f"the weights add up to {total}, allowed are 100",
                    findings,
                    "weights are relative: make them smaller",
                )


def _gateway(document: Document, findings: Findings) -> None:
    for index, listener in enumerate(document.spec.get("listeners", ())):
        field = f"spec.listeners[{index}]"
        if "healthCheck" in listener and "healthyThreshold" not in listener["healthCheck"]:
            message = "healthyThreshold is missing: the CRD lets that pass and the controller sends 0, of 2 to 10"
            _refuses(document, f"{field}.healthCheck", message, findings, "give healthyThreshold")
        if "acm" in listener.get("tls", {}).get("validation", {}).get("trust", {}):
            message = "the API knows no acm trust in a gateway listener's validation: an empty trust is sent"
            _refuses(document, f"{field}.tls.validation.trust.acm", message, findings, "use file or sds")
