"""Virtual gateways as App Mesh sent them: the declarations of a public dump give that dump's routes, and each form is taken by Envoy."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import Spec, by_port, listener, made, nodes, reading, route
from world.dataplane.reading import Reading, Service

REDIRECT = "cds_ingress_m_front_self_redirect_http_15001"
HEADER = "x-app-mesh-virtual-service"
TIMEOUT = {"perRequest": {"unit": "s", "value": 15}}


def enters(service: str, match: Spec, rewrite: Spec | None = None, priority: int | None = None, kind: str = "httpRoute", **target: int) -> Spec:
    action = {"target": {"virtualService": {"virtualServiceName": service}, **target}, **({"rewrite": rewrite} if rewrite else {})}
    spec: Spec = {kind: {"match": match, "action": action}}
    return {"gatewayRouteName": f"{service}-{sorted(match.items())}", "spec": spec if priority is None else {**spec, "priority": priority}}


def gateway(*routes: Spec, listeners: Any = None, services: dict[str, Service] | None = None, **more: Any) -> Reading:
    found = services or {name: Service(name, [(8080, "http")], [route(timeout=TIMEOUT)]) for name in ("one", "two", "three")}
    return reading(
        kind="virtualGateway",
        spec={"listeners": listeners or [listener(8088)], **more},
        services=found,
        gateway_routes=list(routes),
        nodes=nodes(),
    )


def entered(read: Reading, folder: Path, table: str = "rds_ingress_http_8088") -> list[Spec]:
    (host,) = made(read, folder)[table]["virtual_hosts"]
    assert (host["name"], host["domains"]) == ("self_redirect", ["*"])
    return list(host["routes"])


def test_a_gateway_listens_at_its_own_port_and_at_15001(tmp_path: Path) -> None:
    found = made(gateway(enters("one", {"prefix": "/"})), tmp_path)
    assert [name for name in found if name.startswith("lds")] == ["lds_ingress_0.0.0.0_8088", "lds_egress_0.0.0.0_15001"]
    assert by_port(found["lds_ingress_0.0.0.0_8088"])[8088]["rds"]["route_config_name"] == "rds_ingress_http_8088"
    assert by_port(found["lds_egress_0.0.0.0_15001"])[15001]["rds"]["route_config_name"] == "rds_egress_http_15001"
    for name in ("lds_ingress_0.0.0.0_8088", "lds_egress_0.0.0.0_15001"):
        assert [one["name"] for one in found[name]["listener_filters"]] == ["envoy.filters.listener.tls_inspector"]
    local = found[REDIRECT]
    place = local["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert (local["connect_timeout"], place) == ("0.250s", {"address": "127.0.0.1", "port_value": 15001})
    assert "cds_egress_m_amazonaws" not in found


def test_a_prefix_is_entered_with_and_without_its_slash_longest_first_priority_before(tmp_path: Path) -> None:
    services = {
        "kept": Service("kept", [(8080, "http")], [route(timeout=TIMEOUT)]),
        "bare": Service("bare", [(8080, "http")]),
        "root": Service("root", [(8080, "http")], [route(timeout=TIMEOUT)]),
    }
    routes = [
        enters("root", {"prefix": "/"}),
        enters("kept", {"prefix": "/hot/"}, {"hostname": {"defaultTargetHostname": "DISABLED"}, "prefix": {"value": "/hot/"}}, 1),
        enters("root", {"prefix": "/healthcheck"}),
        enters("bare", {"prefix": "/flutter-server"}, priority=1),
        enters("root", {"prefix": "/foxpage-admin"}, priority=1),
    ]
    found = entered(gateway(*routes, services=services), tmp_path)
    text = ["/flutter-server/", "/flutter-server", "/foxpage-admin/", "/foxpage-admin", "/hot/", "/healthcheck/", "/healthcheck", "/"]
    assert [one["match"]["prefix"] for one in found] == text
    action = {"cluster": REDIRECT, "prefix_rewrite": "/", "host_rewrite_literal": "bare"}
    assert found[0] == {"match": {"prefix": "/flutter-server/"}, "route": action}, "without a timeout: no route behind it has one"
    assert found[2]["route"] == {"cluster": REDIRECT, "prefix_rewrite": "/", "host_rewrite_literal": "root", "timeout": "15s"}
    assert found[4] == {
        "match": {"prefix": "/hot/"},
        "route": {"cluster": REDIRECT, "prefix_rewrite": "/hot/", "timeout": "15s"},
        "request_headers_to_add": [{"header": {"key": HEADER, "value": "kept"}}],
    }


def test_behind_a_gateway_hosts_are_services_and_a_kept_host_is_told_by_its_header(tmp_path: Path) -> None:
    kept = {"hostname": {"defaultTargetHostname": "DISABLED"}}
    services = {name: Service(name, [(8080, "http")], [route()]) for name in ("a.local", "z.local", "kept.local")}
    read = gateway(
        enters("z.local", {"prefix": "/z"}),
        enters("a.local", {"prefix": "/a"}),
        enters("kept.local", {"prefix": "/k"}, kept),
        services=services | {"none.local": Service("none.local", [(8080, "http")])},
    )
    read.gateway_routes.append(enters("none.local", {"prefix": "/n"}))
    hosts = made(read, tmp_path)["rds_egress_http_15001"]["virtual_hosts"]
    assert [(host["name"], host["domains"]) for host in hosts] == [
        ("a.local", ["a.local", "a.local:15001"]),
        ("default_backend", ["*"]),
        ("none.local", ["none.local", "none.local:15001"]),
        ("z.local", ["z.local", "z.local:15001"]),
    ]
    (told,) = hosts[1]["routes"]
    assert told["match"] == {"prefix": "/", "headers": [{"name": HEADER, "string_match": {"exact": "kept.local"}}]}
    assert told["response_headers_to_remove"] == [HEADER]
    assert told["route"]["retry_policy"]["num_retries"] == 2
    assert "routes" not in hosts[2]


@pytest.mark.parametrize(
    ("match", "rewrite", "paths"),
    [
        ({"prefix": "/"}, None, [({"prefix": "/"}, {"prefix_rewrite": "/"})]),
        ({"prefix": "/x/"}, None, [({"prefix": "/x/"}, {"prefix_rewrite": "/"})]),
        ({"prefix": "/x"}, {"prefix": {"value": "/y"}}, [({"prefix": "/x"}, {"prefix_rewrite": "/y"})]),
        (
            {"prefix": "/x"},
            {"prefix": {"value": "/y/"}},
            [({"prefix": "/x/"}, {"prefix_rewrite": "/y/"}), ({"prefix": "/x"}, {"prefix_rewrite": "/y/"})],
        ),
        ({"prefix": "/x"}, {"prefix": {"defaultPrefix": "DISABLED"}}, [({"prefix": "/x"}, {"prefix_rewrite": "/x"})]),
        ({"path": {"exact": "/x"}}, None, [({"path": "/x"}, {})]),
        ({"path": {"exact": "/x"}}, {"path": {"exact": "/y"}}, [({"path": "/x"}, {"prefix_rewrite": "/y"})]),
        (
            {"path": {"regex": "/x.*"}},
            {"path": {"exact": "/y"}},
            [({"safe_regex": {"regex": "/x.*"}}, {"regex_rewrite": {"pattern": {"regex": "/x.*"}, "substitution": "/y"}})],
        ),
    ],
)
def test_paths_are_rewritten_as_declared(match: Spec, rewrite: Spec | None, paths: list[Any], tmp_path: Path) -> None:
    found = entered(gateway(enters("one", match, rewrite)), tmp_path)
    assert [(one["match"], {k: v for k, v in one["route"].items() if "rewrite" in k and "host" not in k}) for one in found] == paths


@pytest.mark.parametrize(
    ("hostname", "regex"), [({"exact": "shop.test"}, r"shop\.test(:[0-9]+)?"), ({"suffix": ".test"}, r".*\.test(:[0-9]+)?")]
)
def test_a_host_name_is_matched_whatever_its_port_and_before_none(hostname: Spec, regex: str, tmp_path: Path) -> None:
    found = entered(gateway(enters("one", {"prefix": "/"}), enters("two", {"prefix": "/", "hostname": hostname})), tmp_path)
    assert found[0]["match"]["headers"] == [{"name": ":authority", "string_match": {"safe_regex": {"regex": regex}}}]
    assert found[1]["match"] == {"prefix": "/"}


def test_several_listeners_have_routes_and_ways_of_their_own(tmp_path: Path) -> None:
    listeners = [
        listener(8088, connectionPool={"http": {"maxConnections": 1, "maxPendingRequests": 2}}),
        listener(8089, "grpc", connectionPool={"grpc": {"maxRequests": 3}}),
    ]
    grpc = enters("two", {"serviceName": "s.S", "port": 8089}, kind="grpcRoute")
    found = made(gateway(enters("one", {"prefix": "/", "port": 8088}), grpc, listeners=listeners), tmp_path)
    names = ["cds_ingress_m_front_self_redirect_8088_http_15001", "cds_ingress_m_front_self_redirect_8089_grpc_15001"]
    assert [name for name in found if "self_redirect" in name] == names
    limits = [found[name]["circuit_breakers"]["thresholds"][0] for name in names]
    assert [(one["max_connections"], one["max_requests"]) for one in limits] == [(1, 2_147_483_647), (2_147_483_647, 3)]
    assert "typed_extension_protocol_options" in found[names[1]]
    (way,) = found["rds_ingress_grpc_8089"]["virtual_hosts"][0]["routes"]
    assert (way["match"], way["route"]["cluster"]) == ({"prefix": "/s.S/", "grpc": {}}, names[1])
    assert "prefix_rewrite" not in way["route"]
    prefixes = {port: by_port(found[f"lds_ingress_0.0.0.0_{port}"])[port]["stat_prefix"] for port in (8088, 8089)}
    assert prefixes == {8088: "ingress.http.8088", 8089: "ingress.grpc.8089"}


def test_a_port_of_several_of_a_service_is_told_by_its_host(tmp_path: Path) -> None:
    routes = [route({"prefix": "/", "port": 8080}), route({"prefix": "/", "port": 9090}, 0, 1, name="two")]
    services = {"one": Service("one", [(8080, "http"), (9090, "http")], routes)}
    found = made(gateway(enters("one", {"prefix": "/"}, port=9090), services=services), tmp_path)
    assert found["rds_ingress_http_8088"]["virtual_hosts"][0]["routes"][0]["route"]["host_rewrite_literal"] == "one:9090"
    (host,) = found["rds_egress_http_15001"]["virtual_hosts"]
    assert host["domains"] == ["one:9090"]
    assert [one["weight"] for one in host["routes"][0]["route"]["weighted_clusters"]["clusters"]] == [0, 1]


@pytest.mark.parametrize(("waits", "meant"), [([5, 20], "20s"), ([5, 0], "0s"), ([], None)])
def test_a_gateway_waits_as_long_as_the_slowest_route_behind_it(waits: list[int], meant: str | None, tmp_path: Path) -> None:
    behind = [route({"prefix": f"/{n}"}, name=str(n), timeout={"perRequest": {"unit": "s", "value": n}}) for n in waits]
    services = {"one": Service("one", [(8080, "http")], behind or [route()])}
    (way,) = entered(gateway(enters("one", {"prefix": "/"}), services=services), tmp_path)
    assert way["route"].get("timeout") == meant
