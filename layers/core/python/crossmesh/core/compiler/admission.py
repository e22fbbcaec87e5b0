"""What the admission webhooks of AWS's controller refuse (webhooks/appmesh of
aws-app-mesh-controller-for-k8s), beyond the CRDs' types.

What the cluster would not let in is an error here, with the same reasons; a webhook that stops at
its first mistake hides others, this does not. Where a webhook leaves something out by an early
return, a mistake there is a warning: such documents live in clusters.
"""

from collections.abc import Iterator
from typing import Any

from crossmesh.core.compiler.findings import Findings
from crossmesh.core.compiler.selectors import check_selector
from crossmesh.core.documents import Document
from crossmesh.core.topology import ROUTE_KINDS

_GATEWAY_ROUTES = tuple(kind for kind, protocol in ROUTE_KINDS.items() if protocol != "tcp")
_SELECTORS = ("namespaceSelector", "podSelector", "gatewayRouteSelector")
_FILTERS = ("exact", "prefix", "regex", "suffix", "range")


def admit(document: Document, findings: Findings) -> None:
    """Report everything in `document` that a webhook would refuse."""
    for field in ("meshRef", "virtualGatewayRef"):
        if field in document.spec and not document.live:
            message = f"{field} is read-only: the cluster writes it"
            findings.error(
                document, f"spec.{field}", "read-only-field", message, "leave it out; membership follows from labels"
            )
    for field in _SELECTORS:
        check_selector(document, f"spec.{field}", findings)
    match document.kind:
        case "VirtualNode":
            _virtual_node(document, findings)
            _pools(document, findings)
        case "VirtualGateway":
            _pools(document, findings)
        case "VirtualRouter":
            _virtual_router(document, findings)
        case "GatewayRoute":
            _gateway_route(document, findings)


def _virtual_node(document: Document, findings: Findings) -> None:
    spec = document.spec
    if "listeners" in spec and "serviceDiscovery" not in spec:
        message = f"VirtualNode {document.key} has listeners but no serviceDiscovery"
        findings.absent(
            document, "spec.listeners", "no-discovery", message, "say how its pods are found: awsCloudMap or dns"
        )
    seen: dict[tuple[str, str], str] = {}
    for index, backend in enumerate(spec.get("backends", ())):
        service = backend.get("virtualService", {})
        field = f"spec.backends[{index}].virtualService"
        ref = service.get("virtualServiceRef")
        if ref is not None:
            name = (ref.get("namespace") or document.namespace, ref.get("name", ""))
        elif "virtualServiceARN" in service:
            name = ("", service["virtualServiceARN"])
        else:
            continue
        if name in seen:
            shown = "/".join(part for part in name if part)
            message = f"the backend {shown} is named twice (first as {seen[name]})"
            findings.error(document, field, "duplicate-backend", message, "name each virtual service once")
        seen.setdefault(name, field)


def _pools(document: Document, findings: Findings) -> None:
    for index, listener in enumerate(document.spec.get("listeners", ())):
        pools = sorted(listener.get("connectionPool", {}))
        if len(pools) > 1:
            message = f"found the connection pools {' and '.join(pools)}, wanted one"
            findings.error(
                document,
                f"spec.listeners[{index}].connectionPool",
                "one-of",
                message,
                "keep that of the listener's protocol",
            )


def _virtual_router(document: Document, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for index, route in enumerate(document.spec.get("routes", ())):
        field = f"spec.routes[{index}]"
        name = route.get("name", "")
        if name and name in seen:
            first = document.at(f"spec.routes[{seen[name]}].name").line
            findings.error(
                document,
                f"{field}.name",
                "duplicate-route",
                f"the route {name} stands here twice (first on line {first})",
                "rename one",
            )
        seen.setdefault(name, index)
        for kind in ("httpRoute", "http2Route"):
            if kind in route:
                match = route[kind].get("match", {})
                _exactly_one(document, f"{field}.{kind}.match", match, ("prefix", "path"), findings)
                _path(document, f"{field}.{kind}.match", match, findings)


def _gateway_route(document: Document, findings: Findings) -> None:
    kinds = [kind for kind in _GATEWAY_ROUTES if kind in document.spec]
    _exactly_one(document, "spec", document.spec, _GATEWAY_ROUTES, findings)
    for kind in kinds:
        route, field = document.spec[kind], f"spec.{kind}"
        match = route.get("match", {})
        if kind == "grpcRoute":
            _grpc_match(document, f"{field}.match", match, findings)
        else:
            _http_match(document, f"{field}.match", match, findings)
            rewrite = route.get("action", {}).get("rewrite")
            if rewrite is not None:
                _rewrite(document, f"{field}.action.rewrite", rewrite, match, findings)


def _http_match(document: Document, field: str, match: dict[str, Any], findings: Findings) -> None:
    if not any(key in match for key in ("prefix", "path", "hostname")):
        findings.absent(document, field, "one-of", "found none of prefix, path and hostname, wanted at least one")
    if "prefix" in match and "path" in match:
        findings.error(document, f"{field}.path", "one-of", "found prefix and path, wanted one of them")
    _path(document, field, match, findings)
    if "hostname" in match:
        _exactly_one(document, f"{field}.hostname", match["hostname"], ("exact", "suffix"), findings)
    looked_at = _entries(document, _items(field, match, "headers"), findings, needed=True)
    for here, item in _items(field, match, "queryParameters"):
        if "match" in item and "exact" not in item["match"]:
            report = findings.absent if looked_at and not match.get("headers") else findings.warning
            report(
                document,
                f"{here}.match",
                "one-of",
                "found an empty match, wanted exact",
                "leave match out to ask for presence only",
            )


def _grpc_match(document: Document, field: str, match: dict[str, Any], findings: Findings) -> None:
    if "serviceName" not in match and "hostname" not in match:
        findings.absent(document, field, "one-of", "found neither serviceName nor hostname, wanted at least one")
    if "serviceName" not in match and "hostname" in match:
        _exactly_one(document, f"{field}.hostname", match["hostname"], ("exact", "suffix"), findings)
    _entries(document, _items(field, match, "metadata"), findings, needed=False)


def _items(field: str, match: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for index, item in enumerate(match.get(name, ())):
        yield f"{field}.{name}[{index}]", item


def _entries(
    document: Document, items: Iterator[tuple[str, dict[str, Any]]], findings: Findings, *, needed: bool
) -> bool:
    """Headers or metadata. Past the first range the webhook looks at none; False where that was
    so.
    """
    looked_at = True
    for field, item in items:
        if "match" in item:
            _filters(document, f"{field}.match", item["match"], findings, needed=needed, refused=looked_at)
            looked_at = looked_at and "range" not in item["match"]
    return looked_at


def _filters(
    document: Document, field: str, match: dict[str, Any], findings: Findings, *, needed: bool, refused: bool
) -> None:
    """The way a header or metadata entry is matched: not more than one."""
    error, absent = (findings.error, findings.absent) if refused else (findings.warning, findings.warning)
    given = [name for name in _FILTERS if name in match]
    if len(given) > 1:
        error(document, field, "one-of", f"found {' and '.join(given)}, wanted exactly one of {', '.join(_FILTERS)}")
    elif not given and needed:
        absent(document, field, "one-of", f"found none, wanted exactly one of {', '.join(_FILTERS)}", "leave match out")
    span = match.get("range", {})
    if "start" in span and "end" in span and span["start"] >= span["end"]:
        message = f"found a range from {span['start']} to {span['end']}, wanted an end greater than the start"
        error(document, f"{field}.range", "bad-range", message)


def _rewrite(
    document: Document, field: str, rewrite: dict[str, Any], match: dict[str, Any], findings: Findings
) -> None:
    if not rewrite:
        findings.absent(
            document, field, "one-of", "found an empty rewrite, wanted prefix, path or hostname", "leave rewrite out"
        )
    if "prefix" in rewrite and "path" in rewrite:
        findings.error(document, field, "one-of", "found prefix and path, wanted one of them")
    prefix = rewrite.get("prefix")
    if prefix is None:
        return
    if "prefix" in match and not match["prefix"].startswith("/"):
        findings.error(
            document,
            _sibling(field, "match.prefix"),
            "bad-prefix",
            f"found {match['prefix']!r}, wanted a prefix that begins with /",
        )
    if "defaultPrefix" in prefix and "value" in prefix:
        findings.error(document, f"{field}.prefix", "one-of", "found defaultPrefix and value, wanted one of them")
    value = prefix.get("value")
    if value is not None and not (value.startswith("/") and value.endswith("/")):
        findings.error(
            document,
            f"{field}.prefix.value",
            "bad-prefix",
            f"found {value!r}, wanted a prefix that begins and ends with /",
        )


def _sibling(field: str, other: str) -> str:
    return f"{field.removesuffix('.action.rewrite')}.{other}"


def _path(document: Document, field: str, match: dict[str, Any], findings: Findings) -> None:
    if "path" in match:
        _exactly_one(document, f"{field}.path", match["path"], ("exact", "regex"), findings)


def _exactly_one(
    document: Document, field: str, value: dict[str, Any], names: tuple[str, ...], findings: Findings
) -> None:
    given = [name for name in names if name in value]
    if len(given) > 1:
        findings.error(
            document, field, "one-of", f"found {' and '.join(given)}, wanted exactly one of {', '.join(names)}"
        )
    if not given:
        findings.absent(document, field, "one-of", f"found none of {', '.join(names)}, wanted exactly one")
