"""App Mesh resources → Envoy's listeners, routes, clusters and endpoints. Pure.

Beside what is declared it adds App Mesh's documented defaults: two retries on connection failures and 503, 15 seconds a request.
"""

from typing import Any

Spec = dict[str, Any]
_TYPE = "type.googleapis.com/envoy."
LISTENER, ROUTE = f"{_TYPE}config.listener.v3.Listener", f"{_TYPE}config.route.v3.RouteConfiguration"
CLUSTER, ENDPOINTS = f"{_TYPE}config.cluster.v3.Cluster", f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment"
EGRESS_PORT, APP_PORT = 15001, 18080
_EVENTS = {
    "server-error": "5xx",
    "gateway-error": "gateway-error",
    "client-error": "retriable-4xx",
    "stream-error": "reset",
    "connection-error": "connect-failure",
    "cancelled": "cancelled",
    "deadline-exceeded": "deadline-exceeded",
    "internal": "internal",
    "resource-exhausted": "resource-exhausted",
    "unavailable": "unavailable",
}


def _rest(refresh: str = "0.4s") -> Spec:
    source = {"api_type": "REST", "transport_api_version": "V3", "cluster_names": ["xds"], "refresh_delay": refresh, "request_timeout": "2s"}
    return {"resource_api_version": "V3", "api_config_source": source}


def bootstrap(node: str, ip: str, xds_port: int) -> Spec:
    """What Envoy starts with: where its configuration comes from."""
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}}}
    cluster = {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {
        "node": {"id": f"{node}|{ip}", "cluster": node},
        "dynamic_resources": {"lds_config": _rest(), "cds_config": _rest()},
        "static_resources": {"clusters": [cluster]},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 1000}}]},
    }


def _http(prefix: str, routes: Spec, access_log: str = "") -> Spec:
    manager: Spec = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": prefix,
        **routes,
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router"}}],
    }
    if access_log:
        line = {
            "trace": "%REQ(X-AMZN-TRACE-ID)%",
            "cluster": "%UPSTREAM_CLUSTER%",
            "start": "%START_TIME(%s.%3f)%",
            "ms": "%DURATION%",
            "code": "%RESPONSE_CODE%",
            "authority": "%REQ(:AUTHORITY)%",
        }
        sampled = {"header_filter": {"header": {"name": "x-amzn-trace-id", "string_match": {"contains": "Sampled=1"}}}}
        log = {"@type": f"{_TYPE}extensions.access_loggers.file.v3.FileAccessLog", "path": access_log, "log_format": {"json_format": line}}
        manager["access_log"] = [
            {"name": "file", "filter": sampled, "typed_config": log},
            _requests_log(access_log.replace("access-", "requests-")),
        ]
    return {"filters": [{"name": "http", "typed_config": manager}]}


def _requests_log(path: str) -> Spec:
    """Which pod each request of the steady load was sent to last, and why none was: requests that say they are not sampled."""
    line = {
        "trace": "%REQ(X-AMZN-TRACE-ID)%",
        "upstream": "%UPSTREAM_HOST%",
        "flags": "%RESPONSE_FLAGS%",
        "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    }
    log = {"@type": f"{_TYPE}extensions.access_loggers.file.v3.FileAccessLog", "path": path, "log_format": {"json_format": line}}
    unsampled = {"header_filter": {"header": {"name": "x-amzn-trace-id", "string_match": {"contains": "Sampled=0"}}}}
    return {"name": "requests", "filter": unsampled, "typed_config": log}


def _listener(name: str, ip: str, port: int, chain: Spec) -> Spec:
    address = {"socket_address": {"address": ip, "port_value": port}}
    return {"@type": LISTENER, "name": name, "address": address, "filter_chains": [chain]}


def listeners(node: Spec, ip: str, access_log: str) -> list[Spec]:
    """Ingress for each declared port to the program behind, egress to the backends."""
    found = []
    for listener in node.get("listeners", ()):
        port = listener["portMapping"]["port"]
        host = {"name": "app", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "15s"}}]}
        found.append(_listener(f"ingress-{port}", ip, port, _http("ingress", {"route_config": {"name": "ingress", "virtual_hosts": [host]}})))
    rds = {"rds": {"route_config_name": "egress", "config_source": _rest()}}
    found.append(_listener("egress", ip, EGRESS_PORT, _http("egress", rds, access_log)))
    return found


def clusters(nodes: dict[str, Spec], ip: str) -> list[Spec]:
    """The program itself, and one cluster a virtual node that routes may reach."""
    local = {"endpoint": {"address": {"socket_address": {"address": ip, "port_value": APP_PORT}}}}
    app = {
        "@type": CLUSTER,
        "name": "app",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [local]}]},
    }
    found: list[Spec] = [app]
    for name, spec in sorted(nodes.items()):
        cluster: Spec = {
            "@type": CLUSTER,
            "name": name,
            "type": "EDS",
            "connect_timeout": "1s",
            "eds_cluster_config": {"eds_config": _rest()},
            "upstream_bind_config": {"source_address": {"address": ip, "port_value": 0}},
        }
        outlier = next((x["outlierDetection"] for x in spec.get("listeners", ()) if x.get("outlierDetection")), None)
        if outlier:
            cluster["outlier_detection"] = {
                "consecutive_5xx": outlier["maxServerErrors"],
                "interval": _duration(outlier["interval"]),
                "base_ejection_time": _duration(outlier["baseEjectionDuration"]),
                "max_ejection_percent": outlier["maxEjectionPercent"],
            }
        found.append(cluster)
    return found


def endpoints(name: str, instances: list[Spec]) -> Spec:
    """Where a virtual node's pods are."""
    places = []
    for instance in sorted(instances, key=lambda i: i["InstanceId"]):
        attributes = instance["Attributes"]
        address, port = attributes.get("AWS_INSTANCE_IPV4"), attributes.get("AWS_INSTANCE_PORT")
        if address and port:
            places.append({"endpoint": {"address": {"socket_address": {"address": address, "port_value": int(port)}}}})
    return {"@type": ENDPOINTS, "cluster_name": name, "endpoints": [{"lb_endpoints": places}] if places else []}


def egress(services: dict[str, list[Spec]], *, defaults: bool = True) -> Spec:
    """Routes of every backend by its name; other names are refused (egress filter DROP_ALL). `services`: name -> its router's routes, or its node's."""
    hosts = [
        {
            "name": name,
            "domains": [name, f"{name}:*"],
            "routes": [r for route in sorted(routes, key=_precedence) for r in _route(route, defaults=defaults)],
        }
        for name, routes in sorted(services.items())
    ]
    return {"@type": ROUTE, "name": "egress", "virtual_hosts": hosts}


def _kind(route: Spec) -> str:
    return next((kind for kind in ("httpRoute", "http2Route", "grpcRoute", "tcpRoute") if kind in route["spec"]), "httpRoute")


def _precedence(route: Spec) -> tuple[bool, int, int, str]:
    """Priority 0 first, none last; then the longer prefix."""
    spec = route["spec"]
    match = spec[_kind(route)].get("match") or {}
    priority = spec.get("priority")
    return priority is None, priority or 0, -len(match.get("prefix") or (match.get("path") or {}).get("exact") or ""), route["routeName"]


def _route(route: Spec, *, defaults: bool) -> list[Spec]:
    kind = _kind(route)
    spec = route["spec"][kind]
    if kind == "tcpRoute":
        spec = {**spec, "match": {"prefix": "/"}}
    targets = [t for t in spec["action"]["weightedTargets"] if t.get("weight", 0) > 0]
    match = _match(spec.get("match") or {}, grpc=kind == "grpcRoute")
    if not targets:
        return [{"match": match, "direct_response": {"status": 503, "body": {"inline_string": "no target has a weight"}}}]
    action: Spec = {
        "weighted_clusters": {"clusters": [{"name": t["virtualNode"], "weight": t["weight"]} for t in targets]},
        "timeout": _duration((spec.get("timeout") or {}).get("perRequest")) or ("15s" if defaults else "0s"),
    }
    retry = spec.get("retryPolicy")
    if retry:
        events = [*retry.get("httpRetryEvents", ()), *retry.get("tcpRetryEvents", ()), *retry.get("grpcRetryEvents", ())]
        on = ",".join(sorted({_EVENTS[event] for event in events}))
        action["retry_policy"] = {
            "retry_on": on,
            "num_retries": retry["maxRetries"],
            "per_try_timeout": _duration(retry.get("perRetryTimeout")),
        }
    elif defaults:
        on = "connect-failure,refused-stream,reset,unavailable,retriable-status-codes"
        action["retry_policy"] = {"retry_on": on, "num_retries": 2, "retriable_status_codes": [503]}
    return [{"name": route["routeName"], "match": match, "route": action}]


def _match(match: Spec, *, grpc: bool) -> Spec:
    headers = [_header(header) for header in match.get("headers", ())]
    found: Spec = {}
    if grpc:
        service, method = match.get("serviceName"), match.get("methodName")
        headers = [_header(metadata) for metadata in match.get("metadata", ())]
        found = {"path": f"/{service}/{method}"} if service and method else {"prefix": f"/{service}/" if service else "/"}
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


def _duration(value: Spec | None) -> str | None:
    if not value:
        return None
    return f"{value['value'] / (1000 if value['unit'] == 'ms' else 1):g}s"
