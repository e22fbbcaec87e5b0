"""The `v1beta1` kinds, as the original walkthrough is written, and their conversion to `v1beta2`,
field by field.

Facts of aws-app-mesh-controller-for-k8s v0.5.0 (pkg/apis/appmesh/v1beta1/types.go). A v1beta1
document names its mesh itself, and names nodes and services by their AWS-wide names instead of by
reference: `@VirtualNode` and its like stand for such a name until the topology resolves it.
"""

from typing import Any

import msgspec

from crossmesh.core.documents import Document
from crossmesh.manifests import crd
from crossmesh.manifests.schema import (
    Field,
    Flag,
    Listing,
    Record,
    Rule,
    Table,
    Text,
    Whole,
    may,
    need,
    one_of,
    record,
    with_members,
)

_ANY = crd.ANY
_SERVICE_MOVES = {"spec.serviceDiscovery.cloudMap": "spec.serviceDiscovery.awsCloudMap"}


def _field(base: Rule, name: str) -> Field:
    assert isinstance(base, Record)
    return base.fields[name]


_LISTENER = record(
    portMapping=need(crd.PORT_MAPPING),
    healthCheck=crd.HEALTH_CHECK,
    tls=record(
        mode=need(one_of("DISABLED", "PERMISSIVE", "STRICT")),
        certificate=need(
            record(
                acm=record(certificateArn=need(_ANY)),
                file=record(certificateChain=need(Text(1, 255)), privateKey=need(Text(1, 255))),
            )
        ),
    ),
)
_POLICY = record(
    tls=record(
        enforce=Flag(),
        ports=Listing(Whole(1, 65_535)),
        validation=need(
            record(
                trust=need(
                    record(
                        acm=record(certificateAuthorityArns=need(Listing(_ANY, 1, 3))),
                        file=record(certificateChain=need(Text(1, 255))),
                    )
                )
            )
        ),
    )
)
_ACTION = record(
    weightedTargets=need(Listing(record(virtualNodeName=need(Text(1)), weight=need(Whole(0, 100))), 1, 10))
)
_RETRY = record(
    perRetryTimeoutMillis=need(Whole(0)),
    maxRetries=need(Whole(0)),
    httpRetryEvents=crd.HTTP_EVENTS,
    tcpRetryEvents=crd.TCP_EVENTS,
)
_HTTP = record(
    match=need(
        record(
            prefix=need(_ANY),
            method=one_of("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"),
            headers=crd.HEADERS,
            scheme=one_of("http", "https"),
        )
    ),
    action=need(_ACTION),
    retryPolicy=_RETRY,
)
_GRPC = record(
    match=need(record(serviceName=_ANY, methodName=Text(1, 50), metadata=crd.HEADERS)),
    action=need(_ACTION),
    retryPolicy=with_members(_RETRY, grpcRetryEvents=crd.GRPC_EVENTS),
)
_ROUTE = record(
    name=need(_ANY), http=_HTTP, http2=_HTTP, grpc=_GRPC, tcp=record(action=need(_ACTION)), priority=Whole(0, 1_000)
)

KINDS: dict[str, Record] = {
    "Mesh": record(egressFilter=_field(crd.KINDS["Mesh"], "egressFilter"), serviceDiscoveryType=may(_ANY)),
    "VirtualNode": record(
        meshName=need(Text(1)),
        listeners=Listing(_LISTENER),
        serviceDiscovery=record(
            cloudMap=record(
                serviceName=need(Text(1, 1_024)),
                namespaceName=need(Text(1, 1_024)),
                attributes=Table(Text(1, 1_024), Text(1, 255)),
            ),
            dns=record(hostName=need(_ANY)),
        ),
        backends=Listing(record(virtualService=need(record(virtualServiceName=need(Text(1)), clientPolicy=_POLICY)))),
        backendDefaults=record(clientPolicy=_POLICY),
        logging=crd.LOGGING,
    ),
    "VirtualService": record(
        meshName=need(Text(1)),
        virtualRouter=record(name=_ANY, listeners=Listing(record(portMapping=need(crd.PORT_MAPPING)))),
        routes=Listing(_ROUTE),
    ),
}


def convert(document: Document) -> list[Document]:
    """The v1beta2 documents that mean the same: one, or for a VirtualService itself and its router.
    Lines stay those of the file.
    """
    if document.kind == "VirtualService":
        return _service(document)
    spec = document.spec
    made: dict[str, Any] = {
        key: _policies(spec[key]) for key in ("backendDefaults", "egressFilter", "logging") if key in spec
    }
    if "listeners" in spec:
        made["listeners"] = [_listener(listener) for listener in spec["listeners"]]
    if "serviceDiscovery" in spec:
        made["serviceDiscovery"] = _discovery(spec["serviceDiscovery"])
    if "backends" in spec:
        made["backends"] = [
            {"virtualService": _backend(backend.get("virtualService", {}))} for backend in spec["backends"]
        ]
    lines = {_moved(field): line for field, line in document.lines.items()}
    return [msgspec.structs.replace(document, spec=made, mesh=spec.get("meshName", ""), lines=lines)]


def _moved(field: str) -> str:
    for old, new in _SERVICE_MOVES.items():
        if field.startswith(old):
            return new + field[len(old) :]
    return field


def _listener(listener: dict[str, Any]) -> dict[str, Any]:
    made = dict(listener)
    acm = made.get("tls", {}).get("certificate", {}).get("acm")
    if acm is not None:
        certificate = {**made["tls"]["certificate"], "acm": {"certificateARN": acm.get("certificateArn", "")}}
        made["tls"] = {**made["tls"], "certificate": certificate}
    return made


def _discovery(discovery: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if "cloudMap" in discovery:
        cloud_map = dict(discovery["cloudMap"])
        if "attributes" in cloud_map:
            cloud_map["attributes"] = [
                {"key": key, "value": value} for key, value in sorted(cloud_map["attributes"].items())
            ]
        made["awsCloudMap"] = cloud_map
    if "dns" in discovery:
        made["dns"] = {"hostname": discovery["dns"].get("hostName", "")}
    return made


def _backend(service: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"@VirtualService": service.get("virtualServiceName", "")}
    if "clientPolicy" in service:
        made["clientPolicy"] = _policies(service["clientPolicy"])
    return made


def _policies(value: Any) -> Any:
    """A part in which only the spelling of the certificate authorities differs."""
    if isinstance(value, dict):
        renamed = {"certificateAuthorityArns": "certificateAuthorityARNs"}
        return {renamed.get(key, key): _policies(item) for key, item in value.items()}
    return value


def _service(document: Document) -> list[Document]:
    """The service under its own AWS name, and the router that v1beta1 hides in it. '.' is no letter
    of a router's name (v0.5.0, controller_util.go).
    """
    spec = document.spec
    router = spec.get("virtualRouter", {})
    name = (router.get("name", "").strip() or document.name).replace(".", "-")
    made: dict[str, Any] = {"routes": [_route(route) for route in spec.get("routes", ())]}
    if router.get("listeners"):
        made["listeners"] = router["listeners"]
    mesh = spec.get("meshName", "")
    provider = {"virtualRouter": {"virtualRouterRef": {"name": name, "namespace": document.namespace}}}
    lines = {_service_line(field): line for field, line in document.lines.items()}
    return [
        msgspec.structs.replace(document, spec={"awsName": document.name, "provider": provider}, mesh=mesh),
        msgspec.structs.replace(document, kind="VirtualRouter", name=name, spec=made, mesh=mesh, lines=lines),
    ]


def _service_line(field: str) -> str:
    if field.startswith("spec.virtualRouter.listeners"):
        return field.replace("spec.virtualRouter.", "spec.", 1)
    head, bracket, rest = field.partition("].")
    kind, dot, inner = rest.partition(".")
    if head.startswith("spec.routes[") and kind in ("http", "http2", "grpc", "tcp"):
        return f"{head}{bracket}{kind}Route{dot}{inner}"
    return field


def _route(route: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {key: route[key] for key in ("name", "priority") if key in route}
    for kind in ("http", "http2", "grpc", "tcp"):
        if kind not in route:
            continue
        inner = {key: value for key, value in route[kind].items() if key not in ("action", "retryPolicy")}
        targets = route[kind].get("action", {}).get("weightedTargets", ())
        inner["action"] = {
            "weightedTargets": [
                {"@VirtualNode": t.get("virtualNodeName", ""), "weight": t["weight"]} for t in targets if "weight" in t
            ]
        }
        if "retryPolicy" in route[kind]:
            retry = dict(route[kind]["retryPolicy"])
            if "perRetryTimeoutMillis" in retry:
                retry["perRetryTimeout"] = {"unit": "ms", "value": retry.pop("perRetryTimeoutMillis")}
            inner["retryPolicy"] = retry
        made[f"{kind}Route"] = inner
    return made
