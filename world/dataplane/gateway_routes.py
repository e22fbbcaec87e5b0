"""Gateway routes → the route configurations of a virtual gateway's own listeners: each sends to the gateway's egress listener. Pure."""

import re

from world.dataplane import names
from world.dataplane.matches import matched
from world.dataplane.names import ROUTE, VIRTUAL_SERVICE, Spec, seconds
from world.dataplane.reading import Reading, Service, kind_of
from world.dataplane.routes import goal, keeps_host


def tables(reading: Reading) -> list[Spec]:
    """One for each listener of the gateway."""
    listeners = [listener["portMapping"] for listener in reading.spec["listeners"]]
    found = []
    for listener in listeners:
        port, protocol = listener["port"], listener["protocol"]
        cluster = names.self_redirect(reading.mesh, reading.name, protocol, port, several=len(listeners) > 1)
        made = [one for route in reading.gateway_routes if _listens(route, port) for one in _routes(reading, route, cluster)]
        host = {"name": "self_redirect", "domains": ["*"], "routes": [route for _, route in sorted(made, key=lambda pair: pair[0])]}
        found.append({"@type": ROUTE, "name": names.routes("ingress", protocol, port), "virtual_hosts": [host]})
    return found


def _listens(route: Spec, port: int) -> bool:
    return bool(((route["spec"][kind_of(route)].get("match") or {}).get("port") or port) == port)


def _routes(reading: Reading, route: Spec, cluster: str) -> list[tuple[tuple[object, ...], Spec]]:
    """The route once for each way to write its prefix, each with its place in the order: priority, hosts named, length, text."""
    kind = kind_of(route)
    spec, priority = route["spec"][kind], route["spec"].get("priority")
    match = matched(spec.get("match") or {}, grpc=kind == "grpcRoute")
    if host := _host((spec.get("match") or {}).get("hostname") or {}):
        match["headers"] = [*match.get("headers", ()), host]
    key, service, port = goal(reading, spec)
    action: Spec = {"cluster": cluster, **_longest(service, port)}
    more: Spec = {}
    if keeps_host(spec):
        more = {"request_headers_to_add": [{"header": {"key": VIRTUAL_SERVICE, "value": key}}]}
    else:
        action["host_rewrite_literal"] = key
    found = []
    for path, rewritten in _paths(match, spec["action"].get("rewrite") or {}, grpc=kind == "grpcRoute"):
        text = str(next(iter(path.values()), ""))
        order = (priority is None, priority or 0, "safe_regex" in path, -len(text), host is None, text, route["gatewayRouteName"])
        rest = {name: value for name, value in match.items() if name not in ("prefix", "path", "safe_regex")}
        found.append((order, {"match": {**path, **rest}, "route": {**action, **rewritten}, **more}))
    return found


def _host(hostname: Spec) -> Spec | None:
    """A host name to match, whatever port stands behind it."""
    if not hostname:
        return None
    text = re.escape(hostname["exact"]) if hostname.get("exact") else f".*{re.escape(hostname['suffix'])}"
    return {"name": ":authority", "string_match": {"safe_regex": {"regex": f"{text}(:[0-9]+)?"}}}


def _longest(service: Service, port: int) -> Spec:
    """A gateway waits as long as the slowest route behind it may take; 0 = for ever; {} where no route says."""
    declared = [seconds((route["spec"][kind_of(route)].get("timeout") or {}).get("perRequest")) for route in service.at(port)]
    waits = [float(one.removesuffix("s")) for one in declared if one is not None]
    return {"timeout": f"{0 if 0 in waits else max(waits):g}s"} if waits else {}


def _paths(match: Spec, rewrite: Spec, *, grpc: bool) -> list[tuple[Spec, Spec]]:
    """(what is matched of the path, what becomes of it). A prefix is matched with and without a slash behind, where one replaces it."""
    if "path" in match:
        exact = (rewrite.get("path") or {}).get("exact")
        return [({"path": match["path"]}, {"prefix_rewrite": exact} if exact else {})]
    if "safe_regex" in match:
        exact = (rewrite.get("path") or {}).get("exact")
        becomes = {"regex_rewrite": {"pattern": match["safe_regex"], "substitution": exact}} if exact else {}
        return [({"safe_regex": match["safe_regex"]}, becomes)]
    prefix = match["prefix"]
    if grpc:
        return [({"prefix": prefix}, {})]
    to = rewrite.get("prefix") or {}
    value = prefix if to.get("defaultPrefix") == "DISABLED" else to.get("value") or "/"
    both = [f"{prefix}/", prefix] if value.endswith("/") and not prefix.endswith("/") else [prefix]
    return [({"prefix": one}, {"prefix_rewrite": value}) for one in both]
