"""Virtual nodes and gateways → Envoy's listeners: 15000 in and 15001 out, chains told apart by the port that was called. Pure."""

from typing import Any

from world.dataplane import names, tls
from world.dataplane.matches import precedence
from world.dataplane.names import EGRESS_PORT, INGRESS_PORT, LISTENER, Spec, seconds
from world.dataplane.reading import Reading, kind_of
from world.dataplane.routes import ports

_IDLE = "300s"  # documented for TCP; Envoy's own default would be an hour
_ANYWHERE = {"prefix_ranges": [{"address_prefix": "0.0.0.0", "prefix_len": 0}]}


def listeners(reading: Reading) -> list[Spec]:
    """Of one proxy: a gateway's own ports, or a node's port for all that comes in, and the port for all that goes out."""
    declared = reading.spec.get("listeners") or []
    found = []
    if reading.gateway:
        for listener in declared:
            chains = _ingress(reading, listener)
            found.append(_listener(reading, "ingress", listener["portMapping"]["port"], chains, ["tls_inspector"]))
        protocol = declared[0]["portMapping"]["protocol"]
        chain = {
            "filter_chain_match": {"destination_port": EGRESS_PORT},
            "filters": [_http(reading, "egress", "egress", protocol, EGRESS_PORT)],
        }
        return [*found, _listener(reading, "egress", EGRESS_PORT, [chain], ["tls_inspector"])]
    if declared:
        chains = [chain for listener in declared for chain in _ingress(reading, listener)]
        inspected = any(tls.permissive(listener.get("tls")) for listener in declared)
        filters = ["original_dst", *(["tls_inspector"] if inspected else [])]
        found.append(_listener(reading, "ingress", INGRESS_PORT, chains, filters))
    return [*found, _listener(reading, "egress", EGRESS_PORT, _egress(reading), ["original_dst", "tls_inspector"])]


def _listener(reading: Reading, direction: str, port: int, chains: list[Spec], filters: list[str]) -> Spec:
    """Bound to all IPv4 addresses; to those of both families where any preference was declared."""
    both = reading.preference(None if reading.gateway else reading.spec) != ""
    place: Spec = {"address": "::", "port_value": port, "ipv4_compat": True} if both else {"address": "0.0.0.0", "port_value": port}
    types = {"original_dst": "original_dst.v3.OriginalDst", "tls_inspector": "tls_inspector.v3.TlsInspector"}
    return {
        "@type": LISTENER,
        "name": f"lds_{direction}_{place['address']}_{port}",
        "address": {"socket_address": place},
        "filter_chains": chains,
        "listener_filters": [names.typed(f"envoy.filters.listener.{one}", f"extensions.filters.listener.{types[one]}") for one in filters],
        "traffic_direction": "INBOUND" if direction == "ingress" else "OUTBOUND",
    }


def _ingress(reading: Reading, listener: Spec) -> list[Spec]:
    """The chain of one declared listener; two where plain text is taken beside TLS."""
    port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
    prefix = f"ingress.{protocol}.{port}" if len(reading.spec["listeners"]) > 1 else "ingress"
    if protocol == "tcp":
        cluster = names.node_cluster("ingress", reading.mesh, reading.name, protocol, port)
        idle = ((listener.get("timeout") or {}).get("tcp") or {}).get("idle")
        filters = [_tcp(prefix, {"cluster": cluster}, seconds(idle) or _IDLE)]
    else:
        filters = [_http(reading, "ingress", prefix, protocol, port)]
    plain: Spec = {"filter_chain_match": {"destination_port": port}, "filters": filters}
    socket = tls.server(listener.get("tls"))
    if socket is None:
        return [plain]
    if not tls.permissive(listener.get("tls")):
        return [{**plain, "transport_socket": socket}]
    encrypted = {"filter_chain_match": {"destination_port": port, "transport_protocol": "tls"}, "filters": filters, "transport_socket": socket}
    return [encrypted, {**plain, "filter_chain_match": {"destination_port": port, "transport_protocol": "raw_buffer"}}]


def _egress(reading: Reading) -> list[Spec]:
    """A chain for each port of the backends; AWS's own services always; the rest where the mesh allows it, else nothing."""
    chains = []
    for port, protocol in ports(reading.services.values()).items():
        filters = [_http(reading, "egress", "egress", protocol, port)] if protocol != "tcp" else _tcp_route(reading, port)
        if filters:
            chains.append({"filter_chain_match": {"destination_port": port}, "filters": filters})
    taken = {chain["filter_chain_match"]["destination_port"] for chain in chains}
    secure = {**_ANYWHERE, "destination_port": 443}
    to_aws = [_tcp("egress", {"cluster": names.aws(reading.mesh)}, _IDLE)]
    chains.append({"filter_chain_match": {**secure, "server_names": ["*.amazonaws.com"]}, "filters": to_aws})
    if reading.allows_all:
        out = [_tcp("egress", {"cluster": names.everything(reading.mesh)}, _IDLE)]
        chains += [{"filter_chain_match": where, "filters": out} for where in ([dict(_ANYWHERE)] + ([secure] if 443 not in taken else []))]
    return chains


def _tcp_route(reading: Reading, port: int) -> list[Spec]:
    """The first TCP route at a port: at that layer nothing else tells services apart."""
    services = [service for _, service in sorted(reading.services.items()) if (port, "tcp") in service.listeners]
    routes = [route for service in services for route in sorted(service.at(port), key=precedence) if kind_of(route) == "tcpRoute"]
    if not routes:
        return []
    spec = routes[0]["spec"]["tcpRoute"]
    weighted = [{"name": reading.cluster(t, routes[0]), "weight": t["weight"]} for t in spec["action"]["weightedTargets"] if t["weight"]]
    idle = seconds((spec.get("timeout") or {}).get("idle")) or _IDLE
    return [_tcp("egress", {"weighted_clusters": {"clusters": weighted}}, idle)] if weighted else []


def _tcp(prefix: str, to: Spec, idle: str) -> Spec:
    kind = "extensions.filters.network.tcp_proxy.v3.TcpProxy"
    return names.typed("envoy.filters.network.tcp_proxy", kind, stat_prefix=prefix, idle_timeout=idle, **to)


def _http(reading: Reading, direction: str, prefix: str, protocol: str, port: int) -> Spec:
    router = names.typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")
    more: dict[str, Any] = {"upgrade_configs": [{"upgrade_type": "websocket", "enabled": True}]} if protocol == "http" else {}
    if log := _access_log(reading.spec):
        more["access_log"] = [log]
    return names.typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=prefix,
        rds={"config_source": names.ads(), "route_config_name": names.routes(direction, protocol, port)},
        http_filters=[router],
        tracing={},
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
        **more,
    )


def _access_log(spec: Spec) -> Spec | None:
    """The declared file, in Envoy's own format unless another was declared."""
    file = ((spec.get("logging") or {}).get("accessLog") or {}).get("file")
    if not file:
        return None
    form = file.get("format") or {}
    more: Spec = {}
    if form.get("json"):
        more = {"log_format": {"json_format": {pair["key"]: pair["value"] for pair in form["json"]}}}
    elif form.get("text"):
        more = {"log_format": {"text_format_source": {"inline_string": form["text"]}}}
    return names.typed("envoy.access_loggers.file", "extensions.access_loggers.file.v3.FileAccessLog", path=file["path"], **more)
