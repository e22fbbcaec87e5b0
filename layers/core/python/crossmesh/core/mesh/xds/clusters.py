"""Clusters: a virtual node as its callers see it, the application beside a proxy, and what lies
outside the mesh. Pure.

Callers check health and eject outliers. Connection pools stand at the server's side, callers have
no limit (App Mesh user guide).
"""

from collections.abc import Mapping
from typing import Any

from crossmesh.core.mesh.xds import names
from crossmesh.core.mesh.xds.declared import Declared, Preference, Target, discovery_name
from crossmesh.core.mesh.xds.defaults import (
    CLUSTER,
    EGRESS_CONNECT,
    HTTP2,
    LOCAL_CONNECT,
    Json,
    assignment,
    duration,
    http2_upstream,
    limits,
    socket,
)

_FAMILY = {"IPv4_ONLY": "V4_ONLY", "IPv6_ONLY": "V6_ONLY"}
_KUBERNETES = ".svc.cluster.local"


def egress(declared: Declared, target: Target, name: str, transport: Json | None) -> Json:
    """The cluster `name` by which a proxy asks a target; `transport`: its TLS."""
    made: Json = {
        "@type": CLUSTER,
        "name": name,
        **_discovery(declared, target, name),
        "connect_timeout": EGRESS_CONNECT,
    }
    made["circuit_breakers"] = limits()
    if target.protocol in HTTP2:
        made["typed_extension_protocol_options"] = http2_upstream()
    if transport is not None:
        made["transport_socket"] = transport
    if checks := health_checks(target):
        made |= {"health_checks": checks, "ignore_health_on_host_removal": True}
    if ejecting := outliers(target.listener.get("outlierDetection") or {}):
        made["outlier_detection"] = ejecting
    return made


def _discovery(declared: Declared, target: Target, name: str) -> Json:
    if target.node is None or not target.listener:
        return {"type": "STATIC", "load_assignment": assignment(name)}
    if target.node.cloud_map is not None:
        service = names.egress_cluster(declared.mesh, target.name, target.protocol, target.port)
        return {
            "type": "EDS",
            "eds_cluster_config": {"service_name": service, "eds_config": {"ads": {}, "resource_api_version": "V3"}},
        }
    host = discovery_name(target.node)
    if not host:
        return {"type": "STATIC", "load_assignment": assignment(name)}
    dns = (target.node.spec.get("serviceDiscovery") or {}).get("dns") or {}
    found: Json = {"type": "STRICT_DNS" if dns.get("responseType") == "ENDPOINTS" else "LOGICAL_DNS"}
    if declared.preference:
        found["dns_lookup_family"] = _FAMILY[declared.preference]
    # A full Kubernetes name is not tried with every search domain of the pod first.
    address = f"{host}." if host.endswith(_KUBERNETES) else host
    return found | {"load_assignment": assignment(name, socket(address, target.port))}


def health_checks(target: Target) -> list[Json]:
    """The active health check of a target's listener."""
    check = target.listener.get("healthCheck") or {}
    if not check:
        return []
    made: Json = {
        "timeout": duration({"unit": "ms", "value": check.get("timeoutMillis", 2_000)}),
        "interval": duration({"unit": "ms", "value": check.get("intervalMillis", 5_000)}),
        "unhealthy_threshold": check.get("unhealthyThreshold", 2),
        "healthy_threshold": check.get("healthyThreshold", 2),
    }
    port = check.get("port", target.port)
    if port != target.port:
        made["alt_port"] = port
    protocol = check.get("protocol", target.protocol)
    if protocol == "tcp" or (protocol == "grpc" and target.protocol not in HTTP2):
        return [{**made, "tcp_health_check": {}}]
    if protocol == "grpc":
        return [{**made, "grpc_health_check": {}}]
    host = discovery_name(target.node)
    asked: Json = {"host": f"{host}:{port}" if host else "", "path": check.get("path") or "/"}
    if protocol == "http2":
        asked["codec_client_type"] = "HTTP2"
    return [{**made, "http_health_check": asked}]


def outliers(declared: Mapping[str, Any]) -> Json:
    """Ejection of hosts that answer with errors. Envoy takes no time of 0: its own default stands
    there (`lost`).
    """
    if not declared:
        return {}
    made: Json = {"consecutive_5xx": declared.get("maxServerErrors", 5)}
    for ours, theirs in (("interval", "interval"), ("baseEjectionDuration", "base_ejection_time")):
        if (declared.get(ours) or {}).get("value"):
            made[theirs] = duration(declared[ours])
    return made | {"max_ejection_percent": declared.get("maxEjectionPercent", 10)}


def pool(listener: Mapping[str, Any]) -> Json:
    """The connection pool of a listener, as limits of the cluster behind it."""
    declared = listener.get("connectionPool") or {}
    protocol = next(iter(declared), "")
    given = declared.get(protocol) or {}
    spelled = {
        "maxConnections": "max_connections",
        "maxPendingRequests": "max_pending_requests",
        "maxRequests": "max_requests",
    }
    return limits(**{theirs: given[ours] for ours, theirs in spelled.items() if ours in given})


def loopback(preference: Preference) -> str:
    """Where an application listens."""
    return "::1" if preference == "IPv6_ONLY" else "127.0.0.1"


def local(declared: Declared, node: str, listener: Json) -> Json:
    """The application behind a listener."""
    port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
    name = names.local_cluster(declared.mesh, node, protocol, port)
    return _fixed(name, protocol, socket(loopback(declared.preference), port), pool(listener))


def self_redirect(name: str, protocol: str, listener: Json) -> Json:
    """A gateway's way from its ingress to its egress listener."""
    return _fixed(name, protocol, socket("127.0.0.1", names.EGRESS_PORT), pool(listener))


def _fixed(name: str, protocol: str, address: Json, breakers: Json) -> Json:
    made: Json = {
        "@type": CLUSTER,
        "name": name,
        "type": "STATIC",
        "connect_timeout": LOCAL_CONNECT,
        "circuit_breakers": breakers,
    }
    if protocol in HTTP2:
        made["typed_extension_protocol_options"] = http2_upstream()
    return made | {"load_assignment": assignment(name, address)}


def original_destination(name: str) -> Json:
    """Wherever the application was going."""
    return {
        "@type": CLUSTER,
        "name": name,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": EGRESS_CONNECT,
        "circuit_breakers": limits(),
    }
