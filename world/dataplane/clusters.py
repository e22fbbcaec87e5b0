"""Virtual nodes → Envoy's clusters: the program beside, what is called, and the ways out. Pure.

Health checks and outlier detection act in the Envoys of callers; connection pools beside the program, or at a gateway's own listener.
"""

from world.dataplane import names, tls
from world.dataplane.names import CLUSTER, EGRESS_PORT, ENDPOINTS, UNLIMITED, Spec, seconds
from world.dataplane.reading import Reading

_FAMILIES = {"IPv4_PREFERRED": "V4_PREFERRED", "IPv4_ONLY": "V4_ONLY", "IPv6_PREFERRED": "AUTO", "IPv6_ONLY": "V6_ONLY"}


def clusters(reading: Reading) -> list[Spec]:
    """All of one proxy's, by name."""
    found = [_self_redirect(reading, listener) for listener in reading.spec["listeners"]] if reading.gateway else _node_side(reading)
    wanted: dict[tuple[str, str, int], str] = {}
    for service, target in reading.targets():
        wanted.setdefault(target, service)
    found += [_called(reading, target, service) for target, service in wanted.items() if target[0] in reading.nodes]
    return sorted(found, key=lambda cluster: str(cluster["name"]))


def _node_side(reading: Reading) -> list[Spec]:
    """The program behind each listener, and what lies outside of the mesh."""
    found = []
    for listener in reading.spec.get("listeners") or ():
        port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
        name = names.node_cluster("ingress", reading.mesh, reading.name, protocol, port)
        local = "::1" if reading.preference(reading.spec).startswith("IPv6") else "127.0.0.1"
        found.append(_local(name, local, port, protocol, (listener.get("connectionPool") or {}).get(protocol)))
    outside = [names.aws(reading.mesh), *([names.everything(reading.mesh)] if reading.allows_all else [])]
    return found + [{**_cluster(name, "ORIGINAL_DST", "1s"), "lb_policy": "CLUSTER_PROVIDED"} for name in outside]


def _self_redirect(reading: Reading, listener: Spec) -> Spec:
    port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
    name = names.self_redirect(reading.mesh, reading.name, protocol, port, several=len(reading.spec["listeners"]) > 1)
    return _local(name, "127.0.0.1", EGRESS_PORT, protocol, (listener.get("connectionPool") or {}).get(protocol))


def _local(name: str, address: str, port: int, protocol: str, pool: Spec | None) -> Spec:
    return {**_cluster(name, "STATIC", "0.250s", pool), "load_assignment": _assigned(name, [(address, port)]), **speaks(protocol)}


def _cluster(name: str, kind: str, connect: str, pool: Spec | None = None) -> Spec:
    """`pool`: a listener's connection pool; what it does not say is without a limit."""
    said = pool or {}
    limits = {
        "max_connections": said.get("maxConnections", UNLIMITED),
        "max_pending_requests": said.get("maxPendingRequests", UNLIMITED),
        "max_requests": said.get("maxRequests", UNLIMITED),
        "max_retries": UNLIMITED,
    }
    return {"@type": CLUSTER, "name": name, "type": kind, "connect_timeout": connect, "circuit_breakers": {"thresholds": [limits]}}


def _called(reading: Reading, target: tuple[str, str, int], service: str) -> Spec:
    node, protocol, port = target
    spec = reading.nodes[node]
    name = names.node_cluster("egress", reading.mesh, node, protocol, port)
    listener = next((one for one in spec.get("listeners") or () if one["portMapping"]["port"] == port), {})
    cluster = {**_discovered(name, reading, spec, port), **speaks(protocol)}
    if outlier := listener.get("outlierDetection"):
        cluster["outlier_detection"] = _outliers(outlier)
    if check := listener.get("healthCheck"):
        cluster |= {"health_checks": [_health(check, f"{discovery_name(spec)}:{port}")], "ignore_health_on_host_removal": True}
    if listener and (socket := tls.client(_policy(reading, service), listener, discovery_name(spec))):
        cluster["transport_socket"] = socket
    return cluster


def _policy(reading: Reading, service: str) -> Spec | None:
    """The client policy of a backend: its own, else the default."""
    backends = [backend["virtualService"] for backend in reading.spec.get("backends") or ()]
    own = next((backend.get("clientPolicy") for backend in backends if backend["virtualServiceName"] == service), None)
    return own or (reading.spec.get("backendDefaults") or {}).get("clientPolicy")


def _discovered(name: str, reading: Reading, spec: Spec, port: int) -> Spec:
    """Endpoints from Cloud Map, or a DNS name: all its addresses (ENDPOINTS), else one of them as a load balancer's."""
    dns = (spec.get("serviceDiscovery") or {}).get("dns")
    if not dns:
        return {**_cluster(name, "EDS", "1s"), "eds_cluster_config": {"eds_config": names.ads()}}
    kind = "STRICT_DNS" if dns.get("responseType") == "ENDPOINTS" else "LOGICAL_DNS"
    host = f"{dns['hostname']}." if dns["hostname"].endswith(".svc.cluster.local") else dns["hostname"]
    family = _FAMILIES.get(reading.preference(spec))
    return {
        **_cluster(name, kind, "1s"),
        "load_assignment": _assigned(name, [(host, port)]),
        **({"dns_lookup_family": family} if family else {}),
    }


def discovery_name(spec: Spec) -> str:
    """The name that a node is found by: its host, or service.namespace in Cloud Map."""
    found = spec.get("serviceDiscovery") or {}
    if dns := found.get("dns"):
        return str(dns["hostname"])
    cloud_map = found.get("awsCloudMap")
    return f"{cloud_map['serviceName']}.{cloud_map['namespaceName']}" if cloud_map else ""


def speaks(protocol: str) -> Spec:
    """What a cluster needs beside to be spoken to in HTTP/2; {} for other protocols."""
    if protocol not in ("http2", "grpc"):
        return {}
    name = "extensions.upstreams.http.v3.HttpProtocolOptions"
    options = names.typed("", name, explicit_http_config={"http2_protocol_options": {}})["typed_config"]
    return {"typed_extension_protocol_options": {f"envoy.{name}": options}}


def _outliers(declared: Spec) -> Spec:
    """Only errors in a row eject: App Mesh documents no other reason. Envoy refuses a time of 0."""
    return {
        "consecutive_5xx": min(declared["maxServerErrors"], 4_294_967_295),
        "interval": _positive(declared["interval"]),
        "base_ejection_time": _positive(declared["baseEjectionDuration"]),
        "max_ejection_percent": declared["maxEjectionPercent"],
        "enforcing_success_rate": 0,
    }


def _positive(duration: Spec) -> str:
    found = seconds(duration)
    return "0.001s" if found in (None, "0s") else found or ""


def _health(check: Spec, host: str) -> Spec:
    found: Spec = {
        "timeout": f"{check['timeoutMillis'] / 1000:g}s",
        "interval": f"{check['intervalMillis'] / 1000:g}s",
        "unhealthy_threshold": check["unhealthyThreshold"],
        "healthy_threshold": check["healthyThreshold"],
    }
    if check.get("port"):
        found["alt_port"] = check["port"]
    match check["protocol"]:
        case "grpc":
            found["grpc_health_check"] = {}
        case "tcp":
            found["tcp_health_check"] = {}
        case protocol:
            codec = {"codec_client_type": "HTTP2"} if protocol == "http2" else {}
            found["http_health_check"] = {"host": host, "path": check.get("path") or "/", **codec}
    return found


def endpoints(reading: Reading) -> list[Spec]:
    """Where the pods are of every node that is called and found in Cloud Map, by cluster."""
    found: dict[str, Spec] = {}
    for _, (node, protocol, port) in reading.targets():
        spec = reading.nodes.get(node)
        if spec is None or (spec.get("serviceDiscovery") or {}).get("dns"):
            continue
        name = names.node_cluster("egress", reading.mesh, node, protocol, port)
        alone = len(spec.get("listeners") or ()) < 2
        service_names = []
        for instance in sorted(reading.instances.get(node, ()), key=lambda one: str(one["InstanceId"])):
            attributes = instance["Attributes"]
            address = _address(attributes, reading.preference(spec))
            at = int(attributes.get("AWS_INSTANCE_PORT") or port) if alone else port
            if address and at:
                service_names.append((address, at))
        found[name] = {"@type": ENDPOINTS, **_assigned(name, service_names)}
    return [found[name] for name in sorted(found)]


def _address(attributes: Spec, preference: str) -> str:
    """Of an instance's two addresses the one to call; "" where it has none of the only family."""
    four, six = attributes.get("AWS_INSTANCE_IPV4") or "", attributes.get("AWS_INSTANCE_IPV6") or ""
    wanted = {"IPv6_ONLY": (six,), "IPv4_ONLY": (four,), "IPv6_PREFERRED": (six, four)}.get(preference, (four, six))
    return next((str(one) for one in wanted if one), "")


def _assigned(name: str, service_names: list[tuple[str, int]]) -> Spec:
    found = [{"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}} for address, port in service_names]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": found}] if found else []}
