"""Which share of the requests each virtual node is promised: read from the routes, so that a changed weight changes what a canary expects by itself."""

import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from crossmesh.core.settings import CanarySettings
from crossmesh.core.topology import Topology

Shifts = Mapping[tuple[str, str], Mapping[str, int]]
"""Weights in force instead of the declared ones: (router's AWS name, route's name) -> virtual node's AWS name -> weight."""

_LAST = 1001  # after every priority (App Mesh: 0 to 1000, 0 first)


def shares(topology: Topology, canary: CanarySettings, shifts: Shifts | None = None) -> dict[str, Fraction]:
    """The proportion that the routes promise per virtual node (AWS name) for `mix.path` at the virtual service that the mix is of; {} = none is promised.

    That path is the one asked of the virtual service, not the canary's own: in the reference scenario front answers /color by asking colorapp for /.
    """
    if canary.expect.mix is None:
        return {}
    named, path = canary.expect.mix.of, canary.expect.mix.path
    service = next((s for s in topology.services if named in (s.name, s.aws_name, f"{s.namespace}/{s.name}")), None)
    if service is None:
        return {}
    provider = service.spec.get("provider") or {}
    node = (provider.get("virtualNode") or {}).get("@VirtualNode")
    if node:
        return {str(node): Fraction(1)}
    name = (provider.get("virtualRouter") or {}).get("@VirtualRouter")
    router = next((r for r in topology.routers if r.aws_name == name and r.mesh == service.mesh), None)
    routes = (router.spec.get("routes") or ()) if router else ()
    first = next((route for route in sorted(routes, key=_precedence) if _matches(route, path)), None)
    if first is None:
        return {}
    declared: Counter[str] = Counter()
    for target in (_kind(first).get("action") or {}).get("weightedTargets") or ():
        declared[str(target.get("@VirtualNode", ""))] += int(target.get("weight") or 0)
    shifted = (shifts or {}).get((str(name), str(first.get("name", ""))))
    weights = dict(declared) if shifted is None else {**dict.fromkeys(declared, 0), **shifted}
    total = sum(weights.values())
    return {node: Fraction(weight, total) for node, weight in weights.items()} if total else {}


def _kind(route: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a route that a plain HTTP request may take. gRPC is none; TCP routes know no path."""
    return route.get("httpRoute") or route.get("http2Route") or route.get("tcpRoute") or {}


def _precedence(route: Mapping[str, Any]) -> tuple[int, bool, int, str]:
    """App Mesh's order: priority 0 first, without one last; then an exact path, a longer prefix; then the name, so that the order is one."""
    match = _kind(route).get("match") or {}
    priority = route.get("priority")
    path = match.get("path") or {}
    specific = str(path.get("exact") or path.get("regex") or match.get("prefix") or "")
    return _LAST if priority is None else int(priority), not path, -len(specific), str(route.get("name", ""))


def _matches(route: Mapping[str, Any], path: str) -> bool:
    """Whether a plain `GET path` without special headers or query takes the route."""
    raw = _kind(route)
    if not raw:
        return False
    match = raw.get("match") or {}
    if "tcpRoute" in route and raw is route["tcpRoute"]:
        return True
    if match.get("method") not in (None, "GET") or match.get("scheme") not in (None, "http") or match.get("queryParameters"):
        return False
    if any(not header.get("invert") for header in match.get("headers") or ()):
        return False
    wanted = match.get("path") or {}
    if wanted.get("exact") is not None:
        return path == str(wanted["exact"])
    if wanted.get("regex") is not None:
        return _fits(str(wanted["regex"]), path)
    prefix = match.get("prefix")
    return prefix is not None and path.startswith(str(prefix))


def _fits(pattern: str, path: str) -> bool:
    """The whole path, as Envoy does it (RE2); a pattern that only RE2 knows fits nothing here."""
    try:
        return re.fullmatch(pattern, path) is not None
    except re.error:
        return False
