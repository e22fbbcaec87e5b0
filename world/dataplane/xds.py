"""App Mesh resources → Envoy's listeners, routes, clusters and endpoints. Pure.

Beside what is declared it adds App Mesh's documented defaults: two retries on connection failures and 503, 15 seconds a request, no circuit breakers.
A listener's timeouts, connection pools and its own health checks act in the Envoy beside the program; outlier detection and the health checks that
clients make act in the Envoys that call it.
"""

from world.dataplane.clusters import speaks
from world.dataplane.configuration import rest
from world.dataplane.names import CLUSTER, EGRESS_PORT, ENDPOINTS, LISTENER, ROUTE
from world.dataplane.names import Spec as Spec
from world.dataplane.reading import kind_of
from world.dataplane.xds_routes import egress, seconds, target_cluster

__all__ = ["CLUSTER", "ENDPOINTS", "LISTENER", "ROUTE", "bootstrap", "clusters", "egress", "endpoints", "listeners"]

_TYPE = "type.googleapis.com/envoy."
APP_PORT = 18080
EGRESS_TCP = 15101  # and on: one port a backend with TCP routes, in the order of names, where iptables would tell them apart by address
_UNLIMITED = 4_294_967_295


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
        "dynamic_resources": {"lds_config": rest(), "cds_config": rest()},
        "static_resources": {"clusters": [cluster]},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 1000}}]},
    }


def _http(prefix: str, routes: Spec, access_log: str = "", idle: str | None = None) -> Spec:
    manager: Spec = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": prefix,
        **routes,
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router"}}],
    }
    if idle:
        manager["common_http_protocol_options"] = {"idle_timeout": idle}
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


def _tcp(prefix: str, to: Spec, idle: str | None) -> Spec:
    proxy: Spec = {"@type": f"{_TYPE}extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": prefix, **to}
    if idle:
        proxy["idle_timeout"] = idle
    return {"filters": [{"name": "tcp", "typed_config": proxy}]}


def _listener(name: str, ip: str, port: int, chain: Spec) -> Spec:
    address = {"socket_address": {"address": ip, "port_value": port}}
    return {"@type": LISTENER, "name": name, "address": address, "filter_chains": [chain]}


def listeners(node: Spec, ip: str, access_log: str, services: dict[str, list[Spec]] | None = None) -> list[Spec]:
    """Ingress for each declared port to the program behind, egress to the backends: one listener for HTTP, one for each backend with TCP routes."""
    found = [_ingress(listener, ip) for listener in node.get("listeners", ())]
    rds = {"rds": {"route_config_name": "egress", "config_source": rest()}}
    found.append(_listener("egress", ip, EGRESS_PORT, _http("egress", rds, access_log)))
    for index, (name, route) in enumerate(_tcp_backends(services or {})):
        spec = route["spec"]["tcpRoute"]
        weighted = [
            {"name": target_cluster(target), "weight": target["weight"]} for target in spec["action"]["weightedTargets"] if target.get("weight")
        ]
        if weighted:
            idle = seconds((spec.get("timeout") or {}).get("idle"))
            chain = _tcp(f"egress-{name}", {"weighted_clusters": {"clusters": weighted}}, idle)
            found.append(_listener(f"egress-{name}", ip, EGRESS_TCP + index, chain))
    return found


def _tcp_backends(services: dict[str, list[Spec]]) -> list[tuple[str, Spec]]:
    """(service, its first TCP route), by name."""
    firsts = {name: next((route for route in routes if kind_of(route) == "tcpRoute"), None) for name, routes in services.items()}
    return [(name, route) for name, route in sorted(firsts.items()) if route is not None]


def _ingress(listener: Spec, ip: str) -> Spec:
    port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
    timeouts = (listener.get("timeout") or {}).get(protocol) or {}
    idle = seconds(timeouts.get("idle"))
    if protocol == "tcp":
        return _listener(f"ingress-{port}", ip, port, _tcp(f"ingress-{port}", {"cluster": f"app-{port}"}, idle))
    action = {"cluster": f"app-{port}", "timeout": seconds(timeouts.get("perRequest")) or "15s"}
    host = {"name": "app", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]}
    chain = _http("ingress", {"route_config": {"name": "ingress", "virtual_hosts": [host]}}, idle=idle)
    return _listener(f"ingress-{port}", ip, port, chain)


def clusters(own: Spec, nodes: dict[str, Spec], ip: str, ports: dict[str, tuple[str, int]] | None = None) -> list[Spec]:
    """The program itself behind each of its listeners, and one cluster a virtual node that routes may reach.

    `ports`: clusters of nodes at one of several ports, cluster's name → (virtual node, port).
    """
    found = [_app(listener, ip) for listener in own.get("listeners", ())]
    wanted = {name: (name, 0) for name in nodes} | (ports or {})
    return found + [_node(cluster, nodes[name], port, ip) for cluster, (name, port) in sorted(wanted.items()) if name in nodes]


def _app(listener: Spec, ip: str) -> Spec:
    port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
    local = {"endpoint": {"address": {"socket_address": {"address": ip, "port_value": APP_PORT}}}}
    name = f"app-{port}"
    cluster: Spec = {
        "@type": CLUSTER,
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [local]}]},
        "circuit_breakers": {"thresholds": [_pool((listener.get("connectionPool") or {}).get(protocol) or {})]},
    }
    return {**cluster, **speaks(protocol)}


def _pool(pool: Spec) -> Spec:
    """A listener's connection pool; what it does not say is unlimited, as App Mesh's Envoys are without one."""
    return {
        "max_connections": pool.get("maxConnections", _UNLIMITED),
        "max_pending_requests": pool.get("maxPendingRequests", _UNLIMITED),
        "max_requests": pool.get("maxRequests", _UNLIMITED),
        "max_retries": _UNLIMITED,
    }


def _node(name: str, spec: Spec, port: int, ip: str) -> Spec:
    declared = spec.get("listeners") or ()
    listener = next((x for x in declared if not port or x["portMapping"]["port"] == port), {})
    cluster: Spec = {
        "@type": CLUSTER,
        "name": name,
        "connect_timeout": "1s",
        "upstream_bind_config": {"source_address": {"address": ip, "port_value": 0}},
        "circuit_breakers": {"thresholds": [_pool({})]},
        **_discovery(name, spec, listener),
        **speaks((listener.get("portMapping") or {}).get("protocol", "http")),
    }
    if outlier := listener.get("outlierDetection"):
        cluster["outlier_detection"] = {
            "consecutive_5xx": outlier["maxServerErrors"],
            "interval": seconds(outlier["interval"]) or "0.001s",
            "base_ejection_time": seconds(outlier["baseEjectionDuration"]),
            "max_ejection_percent": outlier["maxEjectionPercent"],
            "enforcing_success_rate": 0,
        }
    if check := listener.get("healthCheck"):
        cluster["health_checks"] = [_health(check)]
        cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
    return cluster


def _discovery(name: str, spec: Spec, listener: Spec) -> Spec:
    """Endpoints from Cloud Map, or a DNS name: all its addresses (ENDPOINTS), else as one load balancer's."""
    dns = (spec.get("serviceDiscovery") or {}).get("dns")
    if not dns:
        return {"type": "EDS", "eds_cluster_config": {"eds_config": rest()}}
    port = (listener.get("portMapping") or {}).get("port", 80)
    place = {"endpoint": {"address": {"socket_address": {"address": dns["hostname"], "port_value": port}}}}
    kind = "STRICT_DNS" if dns.get("responseType") == "ENDPOINTS" else "LOGICAL_DNS"
    return {"type": kind, "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [place]}]}}


def _health(check: Spec) -> Spec:
    found: Spec = {
        "timeout": f"{check['timeoutMillis'] / 1000:g}s",
        "interval": f"{check['intervalMillis'] / 1000:g}s",
        "healthy_threshold": check["healthyThreshold"],
        "unhealthy_threshold": check["unhealthyThreshold"],
    }
    match check["protocol"]:
        case "grpc":
            found["grpc_health_check"] = {}
        case "tcp":
            found["tcp_health_check"] = {}
        case protocol:
            codec = {"codec_client_type": "HTTP2"} if protocol == "http2" else {}
            found["http_health_check"] = {"path": check.get("path") or "/", **codec}
    return found


def endpoints(name: str, instances: list[Spec], port: int = 0) -> Spec:
    """Where a virtual node's pods are; `port`: at another one than they are registered with."""
    service_names = []
    for instance in sorted(instances, key=lambda i: i["InstanceId"]):
        attributes = instance["Attributes"]
        address, registered = attributes.get("AWS_INSTANCE_IPV4") or attributes.get("AWS_INSTANCE_IPV6"), attributes.get("AWS_INSTANCE_PORT")
        if address and (port or registered):
            service_names.append({"endpoint": {"address": {"socket_address": {"address": address, "port_value": port or int(registered)}}}})
    return {"@type": ENDPOINTS, "cluster_name": name, "endpoints": [{"lb_endpoints": service_names}] if service_names else []}
