"""The rendering against what App Mesh's service really sent: a public dump of a gateway of May 2022 (Envoy 1.22), names replaced.

Each difference is listed with its reason; anything else that differs fails.
"""

import json
from typing import Any

import pytest

from tests.support.golden_envoy import rendered

Json = dict[str, Any]
PRIMARY, CANARY = (f"cds_egress_app-mesh_home-{kind}_prod_http_8080" for kind in ("primary", "canary"))
SELF = "cds_ingress_app-mesh_front_prod_self_redirect_http_15001"


def _without(value: Any, *names: str) -> Any:
    """The same without the members of those names, at any depth."""
    if isinstance(value, dict):
        return {key: _without(inner, *names) for key, inner in value.items() if key not in names}
    return [_without(inner, *names) for inner in value] if isinstance(value, list | tuple) else value


def _resource(kind: str, name: str) -> Json:
    proxy = next(one for one in rendered("gateway").proxies if one.kind == "VirtualGateway")
    found: Json = next(dict(one) for one in getattr(proxy, kind) if one["name"] == name)
    return found


def _limits() -> Json:
    return {"thresholds": [dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), 2147483647)]}


def _place(cluster: str, address: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [endpoint]}]}


def test_a_cluster() -> None:
    """Without its metadata, which only App Mesh's own filter read."""
    assert _without(_resource("clusters", PRIMARY), "@type") == {
        "name": PRIMARY,
        "type": "LOGICAL_DNS",
        "connect_timeout": "1s",
        "circuit_breakers": _limits(),
        "load_assignment": _place(PRIMARY, "home-primary.prod.svc.cluster.local.", 8080),
    }


def test_the_way_from_the_first_listener_to_the_second() -> None:
    assert _without(_resource("clusters", SELF), "@type") == {
        "name": SELF,
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "circuit_breakers": _limits(),
        "load_assignment": _place(SELF, "127.0.0.1", 15001),
    }


@pytest.mark.parametrize(
    ("name", "port", "prefix", "table", "direction"),
    [
        ("lds_ingress_0.0.0.0_8088", 8088, "ingress", "rds_ingress_http_8088", "INBOUND"),
        ("lds_egress_0.0.0.0_15001", 15001, "egress", "rds_egress_http_15001", "OUTBOUND"),
    ],
)
def test_a_listener(name: str, port: int, prefix: str, table: str, direction: str) -> None:
    """Filters have a `typed_config`, which Envoy asks for since 1.23; metadata as above."""
    log = {"name": "envoy.access_loggers.file", "typed_config": {"path": "/dev/stdout"}}
    manager = {
        "stat_prefix": prefix,
        "rds": {"config_source": {"ads": {}, "resource_api_version": "V3"}, "route_config_name": table},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {}}],
        "tracing": {},
        "access_log": [log],
        "upgrade_configs": [{"upgrade_type": "websocket", "enabled": True}],
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
    }
    assert _without(_resource("listeners", name), "@type") == {
        "name": name,
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "filter_chains": [
            {
                "filter_chain_match": {"destination_port": port},
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
            }
        ],
        "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": {}}],
        "traffic_direction": direction,
    }


def _handed(prefix: str, service: str, timeout: str = "15s") -> Json:
    more = {"timeout": timeout} if timeout else {}
    route = {"cluster": SELF, "prefix_rewrite": "/", "host_rewrite_literal": f"{service}.prod", **more}
    return {"match": {"prefix": prefix}, "route": route}


def test_the_routes_of_the_first_listener() -> None:
    """Routes have names, and headers that a client may have forged are taken off. A prefix of / needs no rewrite."""
    last = _handed("/", "home")
    del last["route"]["prefix_rewrite"]
    header = {"header": {"key": "x-app-mesh-virtual-service", "value": "hot.prod"}}
    hot = {
        "match": {"prefix": "/hot/"},
        "route": {"cluster": SELF, "prefix_rewrite": "/hot/", "timeout": "15s"},
        "request_headers_to_add": [header],
    }
    assert _without(_resource("routes", "rds_ingress_http_8088")["virtual_hosts"], "append_action", "request_headers_to_remove") == [
        {
            "name": "self_redirect",
            "domains": ["*"],
            "routes": [
                {**route, "name": name}
                for name, route in (
                    ("bare_prod", _handed("/flutter-server/", "bare", "")),
                    ("bare_prod", _handed("/flutter-server", "bare", "")),
                    ("admin_prod", _handed("/foxpage-admin/", "admin")),
                    ("admin_prod", _handed("/foxpage-admin", "admin")),
                    ("health_prod", _handed("/healthcheck/", "home")),
                    ("health_prod", _handed("/healthcheck", "home")),
                    ("hot_prod", hot),
                    ("home_prod", last),
                )
            ],
        }
    ]


def test_the_routes_of_the_second_listener() -> None:
    """Without `total_weight`, which Envoy no longer reads; routes have names. A request with the header goes by it, whatever host the client sent."""
    retry = {
        "retry_on": "reset,refused-stream,retriable-status-codes",
        "num_retries": 1,
        "per_try_timeout": "5s",
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {}}],
        "host_selection_retry_max_attempts": "5",
        "retriable_status_codes": [502, 503, 504, 409],
    }
    hosts = {host["name"]: host for host in _without(_resource("routes", "rds_egress_http_15001")["virtual_hosts"], "@type")}
    assert list(hosts) == ["admin.prod", "bare.prod", "default_backend", "home.prod", "hot.prod"]
    home = hosts["home.prod"]
    assert home["domains"] == ["home.prod", "home.prod:15001"]
    weights = [{"name": CANARY, "weight": 0}, {"name": PRIMARY, "weight": 100}]
    action = {"weighted_clusters": {"clusters": weights}, "timeout": "15s", "retry_policy": retry}
    assert home["routes"][-1] == {"name": "all", "match": {"prefix": "/"}, "route": action}
    assert hosts["bare.prod"].keys() == {"name", "domains", "routes"}
    told = hosts["default_backend"]
    assert told["domains"] == ["*"]
    assert told["routes"] == hosts["bare.prod"]["routes"] == home["routes"][:-1]
    header = {"name": "x-app-mesh-virtual-service", "string_match": {"exact": "hot.prod"}}  # `exact_match` is gone from Envoy
    assert told["routes"][0]["match"] == {"prefix": "/", "headers": [header]}
    assert told["routes"][0]["response_headers_to_remove"] == ["x-app-mesh-virtual-service"]


def test_the_whole_is_plain_json() -> None:
    proxy = rendered("gateway").proxies[0]
    assert json.loads(json.dumps(proxy.clusters)) == list(proxy.clusters)
