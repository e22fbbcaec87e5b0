"""App Mesh's routes → Envoy's virtual hosts: matches, weights, retries, timeouts, in App Mesh's order of precedence. Pure."""

from typing import Any

Spec = dict[str, Any]
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
KINDS = ("httpRoute", "http2Route", "grpcRoute", "tcpRoute")
_EVENTS = {  # what the API model says of each
    "server-error": "5xx",
    "gateway-error": "gateway-error",
    "client-error": "retriable-4xx",  # Envoy's name for 409
    "stream-error": "refused-stream",
    "connection-error": "connect-failure",
    "cancelled": "cancelled",
    "deadline-exceeded": "deadline-exceeded",
    "internal": "internal",
    "resource-exhausted": "resource-exhausted",
    "unavailable": "unavailable",
}


def egress(services: dict[str, list[Spec]], *, defaults: bool = True) -> Spec:
    """Routes of every backend by its name; other names are refused (egress filter DROP_ALL). `services`: name → its router's routes, or its node's."""
    hosts = [
        {
            "name": name,
            "domains": [name, f"{name}:*"],
            "routes": [_route(route, defaults=defaults) for route in sorted(routes, key=_precedence) if kind_of(route) != "tcpRoute"],
        }
        for name, routes in sorted(services.items())
    ]
    return {"@type": ROUTE, "name": "egress", "virtual_hosts": hosts}


def kind_of(route: Spec) -> str:
    """httpRoute, http2Route, grpcRoute or tcpRoute."""
    return next((kind for kind in KINDS if kind in route["spec"]), "httpRoute")


def target_cluster(target: Spec) -> str:
    """The cluster of a weighted target: the node's, or the node's at one of its ports."""
    return f"{target['virtualNode']}@{target['port']}" if target.get("port") else str(target["virtualNode"])


def _precedence(route: Spec) -> tuple[bool, int, int, str]:
    """Priority 0 first, none last; then the longer prefix."""
    spec = route["spec"]
    match = spec[kind_of(route)].get("match") or {}
    priority = spec.get("priority")
    return priority is None, priority or 0, -len(match.get("prefix") or (match.get("path") or {}).get("exact") or ""), route["routeName"]


def _route(route: Spec, *, defaults: bool) -> Spec:
    kind = kind_of(route)
    spec = route["spec"][kind]
    targets = [t for t in spec["action"]["weightedTargets"] if t.get("weight", 0) > 0]
    match = _match(spec.get("match") or {}, grpc=kind == "grpcRoute")
    if not targets:
        return {"match": match, "direct_response": {"status": 503, "body": {"inline_string": "no target has a weight"}}}
    timeouts = spec.get("timeout") or {}
    action: Spec = {
        "weighted_clusters": {"clusters": [{"name": target_cluster(t), "weight": t["weight"]} for t in targets]},
        "timeout": seconds(timeouts.get("perRequest")) or ("15s" if defaults else "0s"),
    }
    if idle := seconds(timeouts.get("idle")):
        action["idle_timeout"] = idle
    if retry := _retry(spec.get("retryPolicy"), defaults=defaults):
        action["retry_policy"] = retry
    return {"name": route["routeName"], "match": match, "route": action}


def _retry(declared: Spec | None, *, defaults: bool) -> Spec | None:
    if declared is None:
        on = "connect-failure,refused-stream,reset,unavailable,retriable-status-codes"
        return {"retry_on": on, "num_retries": 2, "retriable_status_codes": [503]} if defaults else None
    events = [*declared.get("httpRetryEvents", ()), *declared.get("tcpRetryEvents", ()), *declared.get("grpcRetryEvents", ())]
    found: Spec = {"retry_on": ",".join(sorted({_EVENTS[event] for event in events})), "num_retries": declared["maxRetries"]}
    if each := seconds(declared.get("perRetryTimeout")):
        found["per_try_timeout"] = each
    return found


def _match(match: Spec, *, grpc: bool) -> Spec:
    headers = [_header(header) for header in match.get("headers", ())]
    found: Spec = {}
    if grpc:
        service, method = match.get("serviceName"), match.get("methodName")
        headers = [_header(metadata) for metadata in match.get("metadata", ())]
        found = {"path": f"/{service}/{method}"} if service and method else {"prefix": f"/{service}/" if service else "/"}
        found["grpc"] = {}
    elif path := match.get("path"):
        found = {"path": path["exact"]} if "exact" in path else {"safe_regex": {"regex": path["regex"]}}
    else:
        found = {"prefix": match.get("prefix", "/")}
    if match.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": match["method"]}})
    if match.get("scheme"):
        headers.append({"name": ":scheme", "string_match": {"exact": match["scheme"]}})
    if headers:
        found["headers"] = headers
    queries = [
        {"name": q["name"], "string_match": {"exact": q["match"]["exact"]}} if q.get("match") else {"name": q["name"], "present_match": True}
        for q in match.get("queryParameters", ())
    ]
    return {**found, "query_parameters": queries} if queries else found


def _header(header: Spec) -> Spec:
    found: Spec = {"name": header["name"], "invert_match": bool(header.get("invert"))}
    match = header.get("match")
    if not match:
        return {**found, "present_match": True}
    if "range" in match:
        return {**found, "range_match": {"start": match["range"]["start"], "end": match["range"]["end"]}}
    if "regex" in match:
        return {**found, "string_match": {"safe_regex": {"regex": match["regex"]}}}
    kind = next(kind for kind in ("exact", "prefix", "suffix") if kind in match)
    return {**found, "string_match": {kind: match[kind]}}


def seconds(value: Spec | None) -> str | None:
    """A duration as Envoy writes it; None for none and for 0."""
    if not value or not value["value"]:
        return None
    return f"{value['value'] / (1000 if value['unit'] == 'ms' else 1):g}s"
