"""What App Mesh's management service made of routes: compared with public dumps of real App Mesh Envoys and its user guide, and taken by Envoy."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import Spec, listener, made, nodes, reading, route
from tests.support.route_matches import MATCHES
from world.dataplane.reading import Reading, Service

TABLE = "rds_egress_http_8080"


def first(read: Reading, folder: Path, table: str = TABLE) -> Spec:
    found: Spec = made(read, folder)[table]["virtual_hosts"][0]["routes"][0]
    return found


def retry(folder: Path, policy: Spec | None, kind: str = "httpRoute") -> Spec:
    match = {} if kind == "grpcRoute" else {"prefix": "/"}
    one = route(match, kind=kind, **({"retryPolicy": policy} if policy else {}))
    protocol = kind.removesuffix("Route")
    found: Spec = first(reading(one, listeners=((8080, protocol),)), folder, f"rds_egress_{protocol}_8080")["route"]["retry_policy"]
    assert [each["name"] for each in found.pop("retry_host_predicate")] == ["envoy.retry_host_predicates.previous_hosts"]
    assert found.pop("host_selection_retry_max_attempts") == 5
    return found


@pytest.mark.parametrize(("match", "meant"), MATCHES)
def test_matches(match: Spec, meant: Spec, tmp_path: Path) -> None:
    assert first(reading(route(match)), tmp_path)["match"] == meant


@pytest.mark.parametrize(
    ("match", "meant"),
    [
        ({}, {"prefix": "/", "grpc": {}}),
        ({"serviceName": "s.S"}, {"prefix": "/s.S/", "grpc": {}}),
        ({"serviceName": "s.S", "methodName": "Get"}, {"path": "/s.S/Get", "grpc": {}}),
    ],
)
def test_matches_of_grpc(match: Spec, meant: Spec, tmp_path: Path) -> None:
    read = reading(route(match, kind="grpcRoute"), listeners=((8080, "grpc"),))
    assert first(read, tmp_path, "rds_egress_grpc_8080")["match"] == meant


def test_a_retry_nobody_declared_is_two_on_503_resets_and_failed_connections(tmp_path: Path) -> None:
    assert retry(tmp_path, None) == {
        "retry_on": "unavailable,reset,connect-failure,refused-stream,retriable-status-codes",
        "num_retries": 2,
        "retriable_status_codes": [503],
    }


@pytest.mark.parametrize(
    ("events", "on", "codes"),
    [
        (["stream-error", "gateway-error", "client-error"], "reset,refused-stream,retriable-status-codes", [502, 503, 504, 409]),
        (["gateway-error"], "reset,retriable-status-codes", [502, 503, 504]),
        (["server-error"], "reset,retriable-status-codes", [500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511]),
        (["server-error", "gateway-error"], "reset,retriable-status-codes", [500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511]),
        (["client-error"], "reset,retriable-status-codes", [409]),
        (["stream-error"], "refused-stream", None),
        ([], "", None),
    ],
)
def test_declared_http_events_become_codes_with_reset(events: list[str], on: str, codes: list[int] | None, tmp_path: Path) -> None:
    policy = {"maxRetries": 1, "perRetryTimeout": {"unit": "s", "value": 5}, "httpRetryEvents": events}
    found = retry(tmp_path, policy)
    assert found == {"retry_on": on, "num_retries": 1, "per_try_timeout": "5s", **({"retriable_status_codes": codes} if codes else {})}


def test_declared_events_of_connections_and_grpc(tmp_path: Path) -> None:
    policy = {"maxRetries": 0, "perRetryTimeout": {"unit": "ms", "value": 0}, "tcpRetryEvents": ["connection-error"]}
    assert retry(tmp_path, policy) == {"retry_on": "connect-failure", "num_retries": 0}
    policy["grpcRetryEvents"] = ["unavailable", "cancelled"]
    assert retry(tmp_path, policy, "grpcRoute") == {"retry_on": "cancelled,unavailable,connect-failure", "num_retries": 0}


@pytest.mark.parametrize(
    ("timeout", "meant"),
    [
        ({}, {}),  # Envoy's default is App Mesh's: 15 seconds
        ({"perRequest": {"unit": "ms", "value": 500}, "idle": {"unit": "s", "value": 9}}, {"timeout": "0.5s", "idle_timeout": "9s"}),
        ({"perRequest": {"unit": "s", "value": 0}}, {"timeout": "0s"}),  # 0 disables it
        ({"idle": {"unit": "ms", "value": 0}}, {"idle_timeout": "0s"}),
    ],
)
def test_timeouts(timeout: Spec, meant: Spec, tmp_path: Path) -> None:
    action = first(reading(route(timeout=timeout)), tmp_path)["route"]
    assert {key: value for key, value in action.items() if "timeout" in key} == meant


def test_weights_of_zero_are_kept(tmp_path: Path) -> None:
    action = first(reading(route({"prefix": "/"}, 9, 0, 1)), tmp_path)["route"]
    assert action["weighted_clusters"]["clusters"] == [
        {"name": "cds_egress_m_a_http_8080", "weight": 9},
        {"name": "cds_egress_m_b_http_8080", "weight": 0},
        {"name": "cds_egress_m_c_http_8080", "weight": 1},
    ]
    assert first(reading(route({"prefix": "/"}, 0, 0)), tmp_path)["direct_response"]["status"] == 503


def test_a_service_goes_by_its_name_and_its_name_with_the_port_and_by_no_other(tmp_path: Path) -> None:
    (host,) = made(reading(route()), tmp_path)[TABLE]["virtual_hosts"]
    assert (host["name"], host["domains"]) == ("s.local", ["s.local", "s.local:8080"])


def test_a_service_without_routes_answers_404(tmp_path: Path) -> None:
    assert made(reading(), tmp_path)[TABLE]["virtual_hosts"] == [{"name": "s.local", "domains": ["s.local", "s.local:8080"]}]


def test_priority_decides_then_the_longer_prefix(tmp_path: Path) -> None:
    priorities = {"short": ("/", None), "long": ("/abc", None), "last": ("/l", 1000), "first": ("/f", 0)}
    routes = [route({"prefix": prefix}, name=name, priority=priority) for name, (prefix, priority) in priorities.items()]
    found = made(reading(*routes), tmp_path)[TABLE]["virtual_hosts"][0]["routes"]
    assert [one["match"]["prefix"] for one in found] == ["/f", "/l", "/abc", "/"]


def test_each_port_of_a_router_has_its_routes_alone_and_names_carry_protocol_and_port(tmp_path: Path) -> None:
    routes = [route({"prefix": "/", "port": 8080}), route({"prefix": "/two", "port": 9090}, name="two", kind="http2Route")]
    found = made(reading(*routes, listeners=((8080, "http"), (9090, "http2"))), tmp_path)
    prefixes = {name: [one["match"]["prefix"] for one in found[name]["virtual_hosts"][0]["routes"]] for name in found if name.startswith("rds")}
    assert prefixes == {"rds_egress_http_8080": ["/"], "rds_egress_http2_9090": ["/two"]}


@pytest.mark.parametrize(
    ("target", "cluster"),
    [
        ({"virtualNode": "a", "weight": 1}, "cds_egress_m_a_grpc_7000"),
        ({"virtualNode": "a", "weight": 1, "port": 7001}, "cds_egress_m_a_http_7001"),
    ],
)
def test_a_target_is_the_nodes_first_port_or_the_one_it_names(target: Spec, cluster: str, tmp_path: Path) -> None:
    one = {"routeName": "r", "spec": {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [target]}}}}
    several = {"listeners": [listener(7000, "grpc"), listener(7001)]}
    action = first(reading(one, nodes=nodes(a=several)), tmp_path)["route"]
    assert [each["name"] for each in action["weighted_clusters"]["clusters"]] == [cluster]


def test_services_that_disagree_about_a_port_go_by_the_first_name(tmp_path: Path) -> None:
    """App Mesh made an invalid configuration of it; this one stays valid."""
    services: dict[str, Any] = {
        name: Service(name, [(8080, protocol)], [route(kind=f"{protocol}Route")]) for name, protocol in (("b", "http2"), ("a", "http"))
    }
    found = made(reading(services=services), tmp_path)
    assert [name for name in found if name.startswith("rds")] == ["rds_egress_http_8080"]


def test_ingress_waits_as_the_listener_says(tmp_path: Path) -> None:
    declared = {"timeout": {"http": {"perRequest": {"unit": "s", "value": 60}, "idle": {"unit": "s", "value": 90}}}}
    spec = {"listeners": [listener(**declared), listener(9090, "grpc"), listener(9091, "tcp")]}
    found = made(reading(spec=spec), tmp_path)
    actions = {name: found[name]["virtual_hosts"][0]["routes"][0]["route"] for name in found if name.startswith("rds_ingress")}
    assert actions == {
        "rds_ingress_http_8080": {"cluster": "cds_ingress_m_front_http_8080", "timeout": "60s", "idle_timeout": "90s"},
        "rds_ingress_grpc_9090": {"cluster": "cds_ingress_m_front_grpc_9090"},
    }
