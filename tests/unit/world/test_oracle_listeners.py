"""Listeners as App Mesh sent them: two ports, chains by the port that was called, ways out, logs; each taken by Envoy."""

from pathlib import Path

import pytest

from tests.support.oracle import Spec, by_port, chains, listener, made, nodes, reading, route
from world.dataplane.reading import Service

IN, OUT = "lds_ingress_0.0.0.0_15000", "lds_egress_0.0.0.0_15001"
ANYWHERE = [{"address_prefix": "0.0.0.0", "prefix_len": 0}]
ALL = {"egressFilter": {"type": "ALLOW_ALL"}}


def test_a_node_has_two_listeners_whatever_its_ports(tmp_path: Path) -> None:
    found = made(reading(route(), spec={"listeners": [listener(), listener(9090, "grpc")]}), tmp_path)
    assert [name for name in found if name.startswith("lds")] == [IN, OUT]
    for name, port, direction in ((IN, 15000, "INBOUND"), (OUT, 15001, "OUTBOUND")):
        assert found[name]["address"] == {"socket_address": {"address": "0.0.0.0", "port_value": port}}
        assert found[name]["traffic_direction"] == direction
    assert [one["name"] for one in found[IN]["listener_filters"]] == ["envoy.filters.listener.original_dst"]
    filters = ["envoy.filters.listener.original_dst", "envoy.filters.listener.tls_inspector"]
    assert [one["name"] for one in found[OUT]["listener_filters"]] == filters


def test_a_node_without_listeners_has_no_ingress(tmp_path: Path) -> None:
    assert [name for name in made(reading(route()), tmp_path) if name.startswith("lds")] == [OUT]


@pytest.mark.parametrize(
    ("listeners", "prefixes"),
    [
        ([listener()], {8080: "ingress"}),
        (
            [listener(), listener(9090, "grpc"), listener(9091, "tcp")],
            {8080: "ingress.http.8080", 9090: "ingress.grpc.9090", 9091: "ingress.tcp.9091"},
        ),
    ],
)
def test_statistics_are_named_by_direction_and_by_listener_where_there_are_several(
    listeners: list[Spec], prefixes: dict[int, str], tmp_path: Path
) -> None:
    found = made(reading(route(), spec={"listeners": listeners}), tmp_path)
    assert {port: one["stat_prefix"] for port, one in by_port(found[IN]).items()} == prefixes
    assert {port: one["stat_prefix"] for port, one in by_port(found[OUT]).items()} == {8080: "egress"}


@pytest.mark.parametrize(("name", "table"), [(IN, "rds_ingress_http_8080"), (OUT, "rds_egress_http_8080")])
def test_paths_are_made_plain_and_websockets_and_traces_pass(name: str, table: str, tmp_path: Path) -> None:
    manager = by_port(made(reading(route(), spec={"listeners": [listener()]}), tmp_path)[name])[8080]
    assert manager["rds"] == {"config_source": {"ads": {}, "resource_api_version": "V3"}, "route_config_name": table}
    wanted = ("normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "tracing", "upgrade_configs")
    assert [manager[key] for key in wanted] == [True, True, "KEEP_UNCHANGED", {}, [{"upgrade_type": "websocket", "enabled": True}]]


@pytest.mark.parametrize(("mesh_spec", "more"), [({}, []), ({"egressFilter": {"type": "DROP_ALL"}}, []), (ALL, ["mesh-allow-all"] * 2)])
def test_aws_is_always_reached_and_the_rest_where_the_mesh_says_so(mesh_spec: Spec, more: list[str], tmp_path: Path) -> None:
    found = made(reading(route(), mesh_spec=mesh_spec), tmp_path)
    ways = [(match, config["cluster"]) for match, config in chains(found[OUT]) if "prefix_ranges" in match]
    aws = ({"prefix_ranges": ANYWHERE, "destination_port": 443, "server_names": ["*.amazonaws.com"]}, "cds_egress_m_amazonaws")
    out = [{"prefix_ranges": ANYWHERE}, {"prefix_ranges": ANYWHERE, "destination_port": 443}]
    assert ways == [aws, *((match, f"cds_egress_m_{name}") for match, name in zip(out, more, strict=False))]
    for name in {"amazonaws", *more}:
        cluster = found[f"cds_egress_m_{name}"]
        assert (cluster["type"], cluster["lb_policy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")


def test_another_host_on_a_backends_port_is_let_out_where_the_mesh_allows_all(tmp_path: Path) -> None:
    hosts = made(reading(route(), mesh_spec=ALL), tmp_path)["rds_egress_http_8080"]["virtual_hosts"]
    assert hosts[-1] == {
        "name": "mesh_allow_all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "cds_egress_m_mesh-allow-all"}}],
    }
    assert [host["name"] for host in made(reading(route()), tmp_path)["rds_egress_http_8080"]["virtual_hosts"]] == ["s.local"]


def test_a_backend_at_443_takes_that_port_from_the_rest(tmp_path: Path) -> None:
    one = route({"prefix": "/"})
    found = made(reading(one, listeners=((443, "http"),), mesh_spec=ALL), tmp_path)
    assert [match.get("destination_port") for match, _ in chains(found[OUT])] == [443, 443, None]


def test_tcp_goes_by_weight_and_by_port_and_the_first_service_has_a_port(tmp_path: Path) -> None:
    tcp = nodes(**{name: {"listeners": [listener(9000, "tcp")]} for name in "abc"})
    services = {
        "one": Service("one", [(9000, "tcp")], [route(None, 1, 0, 3, kind="tcpRoute")]),
        "two": Service("two", [(9000, "tcp")], [route(None, 0, 1, kind="tcpRoute", timeout={"idle": {"unit": "s", "value": 1}})]),
        "other": Service("other", [(9001, "tcp")], [route(None, 0, 1, kind="tcpRoute", timeout={"idle": {"unit": "s", "value": 0}})]),
    }
    found = by_port(made(reading(services=services, nodes=tcp), tmp_path)[OUT])
    assert {port: config["idle_timeout"] for port, config in found.items()} == {9000: "300s", 9001: "0s"}
    assert found[9000]["weighted_clusters"]["clusters"] == [
        {"name": "cds_egress_m_a_tcp_9000", "weight": 1},
        {"name": "cds_egress_m_c_tcp_9000", "weight": 3},
    ]


@pytest.mark.parametrize(
    ("form", "meant"),
    [
        (None, None),
        ({"text": "%PROTOCOL%\n"}, {"text_format_source": {"inline_string": "%PROTOCOL%\n"}}),
        ({"json": [{"key": "path", "value": "%REQ(:PATH)%"}]}, {"json_format": {"path": "%REQ(:PATH)%"}}),
    ],
)
def test_requests_are_logged_in_and_out_to_the_declared_file_in_its_form(form: Spec | None, meant: Spec | None, tmp_path: Path) -> None:
    logging = {"accessLog": {"file": {"path": "/dev/stdout", **({"format": form} if form else {})}}}
    found = made(reading(route(), spec={"listeners": [listener()], "logging": logging}), tmp_path)
    for name in (IN, OUT):
        (log,) = by_port(found[name])[8080]["access_log"]
        assert (log["name"], log["typed_config"]["path"], log["typed_config"].get("log_format")) == (
            "envoy.access_loggers.file",
            "/dev/stdout",
            meant,
        )
    assert "access_log" not in by_port(made(reading(route()), tmp_path)[OUT])[8080]


@pytest.mark.parametrize("preference", ["IPv4_ONLY", "IPv4_PREFERRED", "IPv6_ONLY", "IPv6_PREFERRED"])
@pytest.mark.parametrize("where", ["mesh", "node"])
def test_any_ip_preference_binds_both_families(preference: str, where: str, tmp_path: Path) -> None:
    own = {"listeners": [listener()], "serviceDiscovery": {"dns": {"hostname": "front.local"}}}
    mesh_spec = {"serviceDiscovery": {"ipPreference": preference}} if where == "mesh" else {}
    if where == "node":
        own["serviceDiscovery"]["dns"]["ipPreference"] = preference  # type: ignore[call-overload,index]
    found = made(reading(route(), spec=own, mesh_spec=mesh_spec), tmp_path)
    assert {one["address"]["socket_address"]["address"] for name, one in found.items() if name.startswith("lds")} == {"::"}
    local = found["cds_ingress_m_front_http_8080"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert local["socket_address"]["address"] == ("::1" if preference.startswith("IPv6") else "127.0.0.1")
