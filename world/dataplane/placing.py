"""A configuration that means a network of its own, moved to this machine's loopback, where every pod has one address of 127.0.0.0/8.

A pod has no redirect here. What the redirect would tell Envoy comes in two other ways: listeners for traffic that comes in listen at the
program's own ports as well, and a program says whom it calls in a PROXY line. The program itself listens at another port (`behind`).
Nothing here knows App Mesh.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from world.dataplane.configuration import rest
from world.dataplane.names import CLUSTER, LISTENER, Spec, typed
from world.pods.apps import behind

_LOG = "extensions.access_loggers.file.v3.FileAccessLog"
_TRACE = "x-amzn-trace-id"


def placed(resources: dict[str, list[Spec]], ip: str, folder: Path, *, polled: bool = True) -> dict[str, list[Spec]]:
    """The same resources for a pod at `ip`; logs go to `folder`. `polled`: its Envoy polls this world's management service instead of a stream."""
    moved = {kind: [_copy(one, polled=polled) for one in found] for kind, found in resources.items()}
    for listener in moved.get(LISTENER, ()):
        _listener(listener, ip, folder)
    for cluster in moved.get(CLUSTER, ()):
        _cluster(cluster, ip)
    return moved


def _copy(value: Any, *, polled: bool) -> Any:
    if isinstance(value, dict):
        return rest() if polled and "ads" in value else {key: _copy(item, polled=polled) for key, item in value.items()}
    return [_copy(item, polled=polled) for item in value] if isinstance(value, list) else value


def _at(ip: str, port: int) -> Spec:
    return {"socket_address": {"address": ip, "port_value": port}}


def _listener(listener: Spec, ip: str, folder: Path) -> None:
    own = listener["address"]["socket_address"]
    listener["stat_prefix"] = f"{own['address']}_{own['port_value']}"
    filters = [one for one in listener.get("listener_filters", ()) if not one["name"].endswith("original_dst")]
    redirected = len(filters) < len(listener.get("listener_filters", ()))
    called = sorted({chain.get("filter_chain_match", {}).get("destination_port", 0) for chain in listener["filter_chains"]})
    listener["address"] = _at(ip, own["port_value"])
    if listener.get("traffic_direction") == "OUTBOUND":
        if redirected:
            kind = "extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
            filters.insert(0, typed("envoy.filters.listener.proxy_protocol", kind, allow_requests_without_proxy_protocol=True))
    elif redirected:
        listener["additional_addresses"] = [{"address": _at(ip, port)} for port in called if port not in (0, own["port_value"])]
    listener["listener_filters"] = filters
    for manager in _managers(listener):
        for log in manager.get("access_log", ()):
            path = log["typed_config"]["path"]
            if not path.startswith("/dev/std"):
                log["typed_config"]["path"] = str(folder / f"declared-{ip}-{Path(path).name}")
        if listener.get("traffic_direction") == "OUTBOUND":
            manager.setdefault("access_log", []).extend(_logs(ip, folder))


def _managers(listener: Spec) -> Iterator[Spec]:
    for chain in listener["filter_chains"]:
        for one in chain["filters"]:
            if one["typed_config"]["@type"].endswith("HttpConnectionManager"):
                yield one["typed_config"]


def _cluster(cluster: Spec, ip: str) -> None:
    if cluster["type"] in ("EDS", "ORIGINAL_DST"):
        cluster["upstream_bind_config"] = {"source_address": {"address": ip, "port_value": 0}}
    if cluster["type"] != "STATIC":
        return
    for group in cluster["load_assignment"]["endpoints"]:
        for place in group["lb_endpoints"]:
            socket = place["endpoint"]["address"]["socket_address"]
            port = socket["port_value"]
            place["endpoint"]["address"] = _at(ip, port if port == 15001 else behind(port))


def _logs(ip: str, folder: Path) -> list[Spec]:
    """Sampled requests, from which X-Ray's segments are made; and which pod each request of a steady load, which says that it is not sampled, got."""
    sampled = {
        "trace": f"%REQ({_TRACE.upper()})%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "start": "%START_TIME(%s.%3f)%",
        "ms": "%DURATION%",
        "code": "%RESPONSE_CODE%",
        "authority": "%REQ(:AUTHORITY)%",
    }
    load = {
        "trace": f"%REQ({_TRACE.upper()})%",
        "upstream": "%UPSTREAM_HOST%",
        "flags": "%RESPONSE_FLAGS%",
        "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    }
    return [_log("access", "Sampled=1", sampled, ip, folder), _log("requests", "Sampled=0", load, ip, folder)]


def _log(name: str, marked: str, line: dict[str, str], ip: str, folder: Path) -> Spec:
    wanted = {"header_filter": {"header": {"name": _TRACE, "string_match": {"contains": marked}}}}
    return {**typed(name, _LOG, path=str(folder / f"{name}-{ip}.log"), log_format={"json_format": line}), "filter": wanted}
