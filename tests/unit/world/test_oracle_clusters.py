"""Clusters as App Mesh sent them: names, limits, discovery, health, ejection; each taken by Envoy."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import Spec, cloud_map, listener, made, nodes, reading, route
from world.dataplane import configuration as xds
from world.dataplane.names import called_node

A = "cds_egress_m_a_http_8080"
NONE = 2_147_483_647
CHECK = {
    "protocol": "http",
    "path": "/ping",
    "port": 9001,
    "intervalMillis": 5000,
    "timeoutMillis": 2000,
    "healthyThreshold": 2,
    "unhealthyThreshold": 3,
}


def called(folder: Path, spec: Spec, cluster: str = A, **more: Any) -> Spec:
    return made(reading(route(), nodes=nodes(a=spec), **more), folder)[cluster]


def limits(cluster: Spec) -> list[int]:
    (found,) = cluster["circuit_breakers"]["thresholds"]
    return [found[f"max_{key}"] for key in ("connections", "pending_requests", "requests", "retries")]


def test_names_and_times_to_connect(tmp_path: Path) -> None:
    found = made(reading(route({"prefix": "/"}, 1, 0, 1), spec={"listeners": [listener(9090, "grpc")]}), tmp_path)
    times = {name: one["connect_timeout"] for name, one in found.items() if name.startswith("cds")}
    assert times == {
        **{f"cds_egress_m_{node}_http_8080": "1s" for node in "abc"},
        "cds_egress_m_amazonaws": "1s",
        "cds_ingress_m_front_grpc_9090": "0.250s",
    }
    assert all(limits(found[name]) == [NONE] * 4 for name in times)


@pytest.mark.parametrize(
    ("cluster", "node"),
    [
        ("cds_egress_m_a_b_http_8080", "a_b"),
        ("cds_egress_m_front_appmesh-demo_grpc_1", "front_appmesh-demo"),
        ("cds_egress_m_amazonaws", "cds_egress_m_amazonaws"),
        ("cds_ingress_m_a_http_8080", "cds_ingress_m_a_http_8080"),
        ("none", "none"),
    ],
)
def test_the_node_behind_a_name(cluster: str, node: str) -> None:
    assert called_node(cluster, "m") == node


@pytest.mark.parametrize(
    ("protocol", "pool", "meant"),
    [
        ("http", {"maxConnections": 7, "maxPendingRequests": 3}, [7, 3, NONE, NONE]),
        ("http", {"maxConnections": 7}, [7, NONE, NONE, NONE]),
        ("http2", {"maxRequests": 5}, [NONE, NONE, 5, NONE]),
        ("grpc", {"maxRequests": 6}, [NONE, NONE, 6, NONE]),
        ("tcp", {"maxConnections": 8}, [8, NONE, NONE, NONE]),
    ],
)
def test_a_pool_limits_the_program_behind_its_listener_and_no_caller(protocol: str, pool: Spec, meant: list[int], tmp_path: Path) -> None:
    own = {"listeners": [listener(8080, protocol, connectionPool={protocol: pool})]}
    one = route(None if protocol == "tcp" else {} if protocol == "grpc" else {"prefix": "/"}, kind=f"{protocol}Route")
    found = made(reading(one, listeners=((8080, protocol),), spec=own, nodes=nodes(a=own)), tmp_path)
    assert limits(found[f"cds_ingress_m_front_{protocol}_8080"]) == meant
    assert limits(found[f"cds_egress_m_a_{protocol}_8080"]) == [NONE] * 4


@pytest.mark.parametrize(
    ("discovery", "host"), [(cloud_map("a"), "a.n.local:8080"), ({"dns": {"hostname": "a.example.test"}}, "a.example.test:8080")]
)
def test_callers_check_health_and_forget_hosts_that_are_gone(discovery: Spec, host: str, tmp_path: Path) -> None:
    found = called(tmp_path, {"listeners": [listener(healthCheck=CHECK)], "serviceDiscovery": discovery})
    check = {"timeout": "2s", "interval": "5s", "unhealthy_threshold": 3, "healthy_threshold": 2, "alt_port": 9001}
    assert found["health_checks"] == [{**check, "http_health_check": {"host": host, "path": "/ping"}}]
    assert found["ignore_health_on_host_removal"]
    assert "common_lb_config" not in found, "Envoy's own panic threshold stays"
    assert not {"health_checks", "ignore_health_on_host_removal"} & called(tmp_path, nodes()["a"]).keys()


@pytest.mark.parametrize(
    ("protocol", "meant"),
    [
        ("tcp", {"tcp_health_check": {}}),
        ("grpc", {"grpc_health_check": {}}),
        ("http2", {"http_health_check": {"host": "a.n.local:8080", "path": "/", "codec_client_type": "HTTP2"}}),
    ],
)
def test_health_checks_of_other_protocols(protocol: str, meant: Spec, tmp_path: Path) -> None:
    check = {key: value for key, value in CHECK.items() if key not in ("path", "port")} | {"protocol": protocol}
    http2 = listener(8080, "http2", healthCheck=check)  # Envoy takes gRPC checks for clusters of HTTP/2 alone
    found = called(tmp_path, {"listeners": [http2], "serviceDiscovery": cloud_map("a")}, "cds_egress_m_a_http2_8080")["health_checks"][0]
    assert {key: value for key, value in found.items() if key.endswith("_health_check")} == meant
    assert "alt_port" not in found


def test_callers_eject_after_errors_in_a_row(tmp_path: Path) -> None:
    outlier = {
        "maxServerErrors": 5,
        "interval": {"unit": "s", "value": 10},
        "baseEjectionDuration": {"unit": "ms", "value": 500},
        "maxEjectionPercent": 50,
    }
    found = called(tmp_path, {"listeners": [listener(outlierDetection=outlier)]})["outlier_detection"]
    assert found == {
        "consecutive_5xx": 5,
        "interval": "10s",
        "base_ejection_time": "0.5s",
        "max_ejection_percent": 50,
        "enforcing_success_rate": 0,
    }
    zero = outlier | {"interval": {"unit": "ms", "value": 0}, "baseEjectionDuration": {"unit": "s", "value": 0}}
    found = called(tmp_path, {"listeners": [listener(outlierDetection=zero)]})["outlier_detection"]
    assert (found["interval"], found["base_ejection_time"]) == ("0.001s", "0.001s"), "Envoy takes no 0"


@pytest.mark.parametrize("protocol", ["http2", "grpc"])
def test_http2_is_spoken_to_callees_and_to_the_program(protocol: str, tmp_path: Path) -> None:
    own = {"listeners": [listener(8080, protocol)], "serviceDiscovery": cloud_map("a")}
    one = route({} if protocol == "grpc" else {"prefix": "/"}, kind=f"{protocol}Route")
    found = made(reading(one, listeners=((8080, protocol),), spec=own, nodes=nodes(a=own)), tmp_path)
    for name in (f"cds_egress_m_a_{protocol}_8080", f"cds_ingress_m_front_{protocol}_8080"):
        (options,) = found[name]["typed_extension_protocol_options"].values()
        assert options["explicit_http_config"] == {"http2_protocol_options": {}}


@pytest.mark.parametrize(
    ("response", "kind"),
    [({}, "LOGICAL_DNS"), ({"responseType": "LOADBALANCER"}, "LOGICAL_DNS"), ({"responseType": "ENDPOINTS"}, "STRICT_DNS")],
)
@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("a.example.test", "a.example.test"),
        ("a.n.svc.cluster.local", "a.n.svc.cluster.local."),
        ("a.n.svc.cluster.local.", "a.n.svc.cluster.local."),
    ],
)
def test_dns_is_asked_for_one_address_or_all(response: Spec, kind: str, host: str, asked: str, tmp_path: Path) -> None:
    found = called(tmp_path, {"listeners": [listener()], "serviceDiscovery": {"dns": {"hostname": host, **response}}})
    place = found["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert (found["type"], place) == (kind, {"address": asked, "port_value": 8080})
    assert "dns_lookup_family" not in found


FOUR, SIX = {"AWS_INSTANCE_IPV4": "10.0.0.1"}, {"AWS_INSTANCE_IPV6": "fd00::1"}


@pytest.mark.parametrize(
    ("preference", "family", "both", "four", "six"),
    [
        ("", None, "10.0.0.1", "10.0.0.1", "fd00::1"),
        ("IPv4_PREFERRED", "V4_PREFERRED", "10.0.0.1", "10.0.0.1", "fd00::1"),
        ("IPv6_PREFERRED", "AUTO", "fd00::1", "10.0.0.1", "fd00::1"),
        ("IPv4_ONLY", "V4_ONLY", "10.0.0.1", "10.0.0.1", None),
        ("IPv6_ONLY", "V6_ONLY", "fd00::1", None, "fd00::1"),
    ],
)
def test_ip_preference_chooses_addresses(
    preference: str, family: str | None, both: str, four: str | None, six: str | None, tmp_path: Path
) -> None:
    mesh_spec = {"serviceDiscovery": {"ipPreference": preference}} if preference else {}
    dns = {"listeners": [listener()], "serviceDiscovery": {"dns": {"hostname": "a.test"}}}
    assert called(tmp_path, dns, mesh_spec=mesh_spec).get("dns_lookup_family") == family
    for attributes, address in ((FOUR | SIX, both), (FOUR, four), (SIX, six)):
        read = reading(route(), mesh_spec=mesh_spec, instances={"a": [{"InstanceId": "i", "Attributes": attributes}]})
        assert service_names(read) == ([(address, 8080)] if address else [])


def test_a_nodes_own_preference_wins(tmp_path: Path) -> None:
    mesh_spec = {"serviceDiscovery": {"ipPreference": "IPv6_ONLY"}}
    own = nodes(a={"listeners": [listener()], "serviceDiscovery": cloud_map("a", ipPreference="IPv4_ONLY")})
    instances = {"a": [{"InstanceId": "i", "Attributes": FOUR | SIX}]}
    assert service_names(reading(route(), mesh_spec=mesh_spec, nodes=own, instances=instances)) == [("10.0.0.1", 8080)]


def service_names(read: Any, cluster: str = A) -> list[tuple[str, int]]:
    (found,) = [one for one in xds.configuration(read)[xds.ENDPOINTS] if one["cluster_name"] == cluster]
    sockets = [place["endpoint"]["address"]["socket_address"] for group in found["endpoints"] for place in group["lb_endpoints"]]
    return [(socket["address"], socket["port_value"]) for socket in sockets]


def test_endpoints_are_at_the_registered_port_or_at_one_of_several(tmp_path: Path) -> None:
    instances = {"a": [{"InstanceId": "i", "Attributes": FOUR | {"AWS_INSTANCE_PORT": "8081"}}]}
    assert service_names(reading(route(), instances=instances)) == [("10.0.0.1", 8081)]
    several = nodes(a={"listeners": [listener(), listener(9090)], "serviceDiscovery": cloud_map("a")})
    assert service_names(reading(route(), instances=instances, nodes=several)) == [("10.0.0.1", 8080)]
    assert service_names(reading(route())) == [], "a cluster without instances is answered, with none"
