"""What App Mesh means, in Envoy's words: each translation by itself, and all of them together accepted by the real Envoy."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from crossmesh.core.compiler.build import build
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.manifests import load

from tests.support.route_matches import MATCHES
from world.dataplane import xds
from world.dataplane.envoys import binary
from world.dataplane.reading import kind_of
from world.dataplane.xds_routes import egress, target_cluster

Spec = dict[str, Any]
EVERY = Path(__file__).parents[2] / "golden" / "every-field.yaml"


def http(match: Spec, *weights: int, **more: Any) -> Spec:
    targets = [{"virtualNode": name, "weight": weight} for name, weight in zip("abc", weights or (1,), strict=False)]
    return {"routeName": "r", "spec": {"httpRoute": {"match": match, "action": {"weightedTargets": targets}, **more}}}


def routed(route: Spec, **options: Any) -> Spec:
    return egress({"s.local": [route]}, **options)["virtual_hosts"][0]["routes"][0]


@pytest.mark.parametrize(("match", "meant"), MATCHES)
def test_matches(match: Spec, meant: Spec) -> None:
    assert routed(http(match))["match"] == meant


def test_weights_are_kept_and_a_target_without_weight_gets_nothing() -> None:
    action = routed(http({"prefix": "/"}, 9, 0, 1))["route"]
    assert action["weighted_clusters"] == {"clusters": [{"name": "a", "weight": 9}, {"name": "c", "weight": 1}]}
    assert routed(http({"prefix": "/"}, 0, 0))["direct_response"]["status"] == 503


def test_app_meshs_hidden_defaults_can_be_switched_off() -> None:
    route = http({"prefix": "/"})
    hidden = routed(route)["route"]
    assert (hidden["timeout"], hidden["retry_policy"]["num_retries"]) == ("15s", 2)
    plain = routed(route, defaults=False)["route"]
    assert plain["timeout"] == "0s"
    assert "retry_policy" not in plain


def test_declared_retries_and_timeouts_replace_the_defaults() -> None:
    policy = {
        "maxRetries": 3,
        "perRetryTimeout": {"unit": "ms", "value": 250},
        "httpRetryEvents": ["server-error"],
        "tcpRetryEvents": ["connection-error"],
    }
    timeout = {"perRequest": {"unit": "ms", "value": 500}, "idle": {"unit": "s", "value": 9}}
    action = routed(http({"prefix": "/"}, retryPolicy=policy, timeout=timeout))["route"]
    assert action["retry_policy"] == {"retry_on": "5xx,connect-failure", "num_retries": 3, "per_try_timeout": "0.25s"}
    assert (action["timeout"], action["idle_timeout"]) == ("0.5s", "9s")


def test_priority_decides_then_the_longer_prefix() -> None:
    routes = [
        http({"prefix": prefix}) | {"routeName": name} for name, prefix in (("short", "/"), ("long", "/abc"), ("last", "/"), ("first", "/"))
    ]
    routes[2]["spec"]["priority"] = 1000
    routes[3]["spec"]["priority"] = 0
    names = [route["name"] for route in egress({"s": routes})["virtual_hosts"][0]["routes"]]
    assert names == ["first", "last", "long", "short"]


def test_endpoints_at_the_registered_port_or_at_the_targets() -> None:
    instance = {"InstanceId": "i", "Attributes": {"AWS_INSTANCE_IPV4": "127.2.0.1", "AWS_INSTANCE_PORT": "8080"}}

    def ports(port: int) -> list[int]:
        made = xds.endpoints("a", [instance], port)["endpoints"][0]["lb_endpoints"]
        return [place["endpoint"]["address"]["socket_address"]["port_value"] for place in made]

    assert (ports(0), ports(9090)) == ([8080], [9090])
    assert xds.endpoints("a", [{"InstanceId": "j", "Attributes": {"AWS_INSTANCE_PORT": "1"}}])["endpoints"] == []


def test_a_listener_makes_health_checks_outlier_detection_and_protocol_of_those_that_call_it() -> None:
    listener = {
        "portMapping": {"port": 8080, "protocol": "grpc"},
        "healthCheck": {
            "protocol": "http",
            "path": "/ping",
            "intervalMillis": 5000,
            "timeoutMillis": 2000,
            "healthyThreshold": 2,
            "unhealthyThreshold": 3,
        },
        "outlierDetection": {
            "maxServerErrors": 5,
            "interval": {"unit": "s", "value": 10},
            "baseEjectionDuration": {"unit": "s", "value": 30},
            "maxEjectionPercent": 50,
        },
    }
    (cluster,) = xds.clusters({}, {"a": {"listeners": [listener]}}, "127.2.0.9")
    assert cluster["health_checks"] == [
        {"timeout": "2s", "interval": "5s", "healthy_threshold": 2, "unhealthy_threshold": 3, "http_health_check": {"path": "/ping"}}
    ]
    assert cluster["outlier_detection"]["consecutive_5xx"] == 5
    assert "http2_protocol_options" in json.dumps(cluster)


def test_a_connection_pool_limits_the_program_behind_its_listener_and_nothing_else() -> None:
    own = {
        "listeners": [
            {"portMapping": {"port": 8080, "protocol": "http"}, "connectionPool": {"http": {"maxConnections": 7, "maxPendingRequests": 3}}}
        ]
    }
    app, other = xds.clusters(own, {"a": own}, "127.2.0.9")
    assert (app["circuit_breakers"]["thresholds"][0]["max_connections"], app["circuit_breakers"]["thresholds"][0]["max_pending_requests"]) == (
        7,
        3,
    )
    assert other["circuit_breakers"]["thresholds"][0]["max_connections"] > 1_000_000


def test_the_real_envoy_takes_every_route_kind_match_filter_and_policy(tmp_path: Path) -> None:
    """All of the manifest that has every field, as static configuration, through `envoy --mode validate`."""
    made = requests(build(load([("every-field.yaml", EVERY.read_bytes())]).documents).topology)
    nodes = {r.input["virtualNodeName"]: r.input["spec"] for r in made if r.operation == "CreateVirtualNode"}
    routes = [{"routeName": r.input["routeName"], "spec": r.input["spec"]} for r in made if r.operation == "CreateRoute"]
    assert {kind_of(route) for route in routes} == {"httpRoute", "http2Route", "grpcRoute", "tcpRoute"}
    services = {"cart.example.com": routes}
    targets = [t for route in routes for t in route["spec"][kind_of(route)]["action"]["weightedTargets"]]
    ports = {target_cluster(t): (t["virtualNode"], t["port"]) for t in targets if t.get("port")}
    own, ip = nodes["cart-node"], "127.2.0.9"
    config = {
        "node": {"id": "test", "cluster": "test"},
        "static_resources": {
            "listeners": [inline(listener, egress(services)) for listener in xds.listeners(own, ip, str(tmp_path / "log"), services)],
            "clusters": [static(cluster) for cluster in xds.clusters(own, nodes, ip, ports)],
        },
    }
    names = {cluster["name"] for cluster in config["static_resources"]["clusters"]}
    assert {"cart-node@8080", "cart-node@9092", "stock_shop", "app-8080", "app-9092"} <= names
    assert accepted(config, tmp_path) == ""
    config["static_resources"]["clusters"][0]["health_checks"] = [{"timeout": "nonsense"}]
    assert accepted(config, tmp_path) != "", "validation can fail"


def accepted(config: Spec, folder: Path) -> str:
    """ "" where Envoy takes it, else what it says."""
    file = folder / "envoy.json"
    file.write_text(json.dumps(config))
    done = subprocess.run(
        [binary(), "--mode", "validate", "-c", str(file), "--log-level", "error"], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stderr + done.stdout


def inline(listener: Spec, table: Spec) -> Spec:
    """A listener that has its routes in itself instead of asking for them."""
    text = json.dumps(_plain(listener))
    rds = re.search(r'"rds": \{.*?"route_config_name": "egress", "config_source": \{.*?\}\}', text)
    made: Spec = json.loads(text)
    if rds:
        manager = made["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["rds"]
        manager["route_config"] = _plain(table)
    return made


def static(cluster: Spec) -> Spec:
    """A cluster with no endpoints instead of asking for them."""
    if cluster.get("type") != "EDS":
        return _plain(cluster)
    found = {key: value for key, value in _plain(cluster).items() if key != "eds_cluster_config"}
    return {**found, "type": "STATIC", "load_assignment": {"cluster_name": cluster["name"]}}


def _plain(resource: Spec) -> Spec:
    return {key: value for key, value in resource.items() if key != "@type"}
