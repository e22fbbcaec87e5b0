"""What App Mesh added without being asked, and how Envoy's JSON spells types and times."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_TYPES = "type.googleapis.com/envoy."
CLUSTER = f"{_TYPES}config.cluster.v3.Cluster"
LISTENER = f"{_TYPES}config.listener.v3.Listener"
ROUTES = f"{_TYPES}config.route.v3.RouteConfiguration"
ENDPOINTS = f"{_TYPES}config.endpoint.v3.ClusterLoadAssignment"

REQUEST_TIMEOUT = "15s"  # of routes and of listeners (App Mesh user guide, "Envoy defaults")
EGRESS_CONNECT, LOCAL_CONNECT = "1s", "0.250s"
NO_LIMIT = 2_147_483_647
HTTP2 = ("http2", "grpc")  # protocols whose upstream connections are HTTP/2


def typed(name: str, **members: Any) -> Json:
    """A message of another one's `typed_config`."""
    return {"@type": f"{_TYPES}{name}", **members}


def duration(written: Mapping[str, Any]) -> str:
    """A duration of the CRDs in Envoy's spelling."""
    value = int(written.get("value", 0))
    if written.get("unit") != "ms":
        return f"{value}s"
    whole, rest = divmod(value, 1000)
    return f"{whole}.{rest:03}s" if rest else f"{whole}s"


def limits(**given: int) -> Json:
    """Circuit breakers: App Mesh's callers have none, so each is as high as it can be but for those
    `given`.
    """
    every = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), NO_LIMIT)
    return {"thresholds": [{**every, **given}]}


def http2_upstream() -> Json:
    """Lets a cluster speak HTTP/2."""
    options = typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}}
    )
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}


def socket(address: str, port: int) -> Json:
    """A TCP address."""
    return {"socket_address": {"address": address, "port_value": port}}


def assignment(cluster: str, *addresses: Json) -> Json:
    """The fixed endpoints of a cluster; none = an empty set."""
    made: Json = {"cluster_name": cluster}
    if addresses:
        made["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}]
    return made
