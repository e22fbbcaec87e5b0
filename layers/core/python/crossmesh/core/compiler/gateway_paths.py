"""Where a gateway route hands on paths that no route behind it takes. Pure.

App Mesh takes the matched prefix off the path unless it is told otherwise (App Mesh user guide,
"Gateway routes": `rewrite.prefix.defaultPrefix`). Nothing in the document shows that, both sides
accept it, and every request is answered 404.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from crossmesh.core.compiler.findings import Findings, where
from crossmesh.core.documents import Document
from crossmesh.core.topology import Resource, RouteMatch, Topology, VirtualRouter

_KINDS = ("httpRoute", "http2Route")


class Arriving(NamedTuple):
    """The paths that reach the router: `path` itself, or all that begin with it. `cut`: the prefix
    that was taken off by default, "" = none was.
    """

    path: str
    exact: bool
    cut: str = ""


def check_gateway_paths(topology: Topology, documents: Mapping[str, Document], findings: Findings) -> None:
    """Warn of gateway routes whose target's routes cannot match; `documents` by gateway route's
    key.
    """
    for gateway_route in topology.gateway_routes:
        for kind in _KINDS:
            spec = gateway_route.spec.get(kind) or {}
            arriving = arrives(spec) if spec else None
            router = _router(topology, gateway_route, spec)
            if arriving is None or router is None:
                continue
            routes = [
                route.match
                for route in router.routes
                if route.protocol in ("http", "http2") and route.match != RouteMatch()
            ]
            if routes and not any(_takes(match, arriving) for match in routes):
                _warn(documents[gateway_route.key], f"spec.{kind}", arriving, router, findings)


def arrives(spec: Mapping[str, Any]) -> Arriving | None:
    """Which paths a gateway route of HTTP hands on; None where that cannot be told."""
    match, rewrite = spec.get("match") or {}, (spec.get("action") or {}).get("rewrite") or {}
    exact = (rewrite.get("path") or {}).get("exact")
    if exact is not None:
        return Arriving(str(exact), exact=True)
    path = match.get("path") or {}
    if path:
        return Arriving(str(path["exact"]), exact=True) if path.get("exact") is not None else None
    prefix, wanted = str(match.get("prefix", "/")), rewrite.get("prefix") or {}
    if wanted.get("value") is not None:
        return Arriving(str(wanted["value"]), exact=False)
    if wanted.get("defaultPrefix") == "DISABLED" or prefix == "/":
        return Arriving(prefix, exact=False)
    return Arriving("/", exact=False, cut=prefix)


def _router(topology: Topology, route: Resource, spec: Mapping[str, Any]) -> VirtualRouter | None:
    """The router that the target's virtual service is provided by."""
    target = ((spec.get("action") or {}).get("target") or {}).get("virtualService") or {}
    service = next(
        (s for s in topology.services if (s.mesh, s.aws_name) == (route.mesh, target.get("@VirtualService"))), None
    )
    return topology.router_of(service) if service else None


def _takes(match: RouteMatch, arriving: Arriving) -> bool:
    """Whether a route may match. With a prefix cut off, one that repeats the prefix is taken for a
    mistake: nobody asks for /shop/shop.
    """
    begins = match.exact or match.regex or match.prefix or "/"
    if arriving.cut and begins.startswith(arriving.cut.rstrip("/") or "/"):
        return False
    if match.regex is not None:
        return True
    if match.exact is not None:
        return match.exact == arriving.path if arriving.exact else begins.startswith(arriving.path)
    return arriving.path.startswith(begins) or (not arriving.exact and begins.startswith(arriving.path))


def _warn(document: Document, field: str, arriving: Arriving, router: Resource, findings: Findings) -> None:
    behind = f"VirtualRouter {router.key} ({where(router.place)})"
    if arriving.cut:
        message = (
            f"App Mesh takes {arriving.cut} off the path unless told otherwise, and every route of {behind} begins with"
            f" it: {arriving.cut} arrives as /, and no route takes it"
        )
        fix = "add rewrite: {prefix: {defaultPrefix: DISABLED}} to the action, or let the routes begin with /"
        findings.warning(document, f"{field}.match.prefix", "prefix-cut-off", message, fix)
        return
    shown = arriving.path if arriving.exact else f"paths that begin with {arriving.path}"
    message = f"{shown} arrive at {behind}, and none of its routes takes them"
    findings.warning(
        document, f"{field}.action", "no-route-for-path", message, "let a route match them, or change the rewrite"
    )
