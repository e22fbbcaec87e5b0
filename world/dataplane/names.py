"""Names that App Mesh gives to Envoy's resources: dashboards, alarms and log filters of its users go by them."""

from typing import Any

Spec = dict[str, Any]
_TYPE = "type.googleapis.com/envoy."
LISTENER = f"{_TYPE}config.listener.v3.Listener"
ROUTE = f"{_TYPE}config.route.v3.RouteConfiguration"
CLUSTER = f"{_TYPE}config.cluster.v3.Cluster"
ENDPOINTS = f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment"
SECRET = f"{_TYPE}extensions.transport_sockets.tls.v3.Secret"
INGRESS_PORT, EGRESS_PORT = 15000, 15001
UNLIMITED = 2_147_483_647
VIRTUAL_SERVICE = "x-app-mesh-virtual-service"
SDS_CLUSTER = "static_cluster_sds_unix_socket"


def typed(name: str, kind: str, **config: Any) -> Spec:
    """An extension with its configuration; `kind` is what follows `envoy.` in its type."""
    return {"name": name, "typed_config": {"@type": f"{_TYPE}{kind}", **config}}


def ads() -> Spec:
    """Where resources come from: the stream of the management service."""
    return {"ads": {}, "resource_api_version": "V3"}


def node_cluster(direction: str, mesh: str, node: str, protocol: str, port: int) -> str:
    """A virtual node at one of its ports, as its callers ("egress") or its own Envoy ("ingress") know it."""
    return f"cds_{direction}_{mesh}_{node}_{protocol}_{port}"


def called_node(cluster: str, mesh: str) -> str:
    """The virtual node behind an egress cluster's name; other names as they are."""
    head, name = f"cds_egress_{mesh}_", cluster
    parts = name.removeprefix(head).rsplit("_", 2)
    return parts[0] if name.startswith(head) and len(parts) == 3 and parts[2].isdigit() else cluster


def everything(mesh: str) -> str:
    """The cluster of whatever egress is allowed."""
    return f"cds_egress_{mesh}_mesh-allow-all"


def aws(mesh: str) -> str:
    """The cluster of AWS's own services, which every node may reach."""
    return f"cds_egress_{mesh}_amazonaws"


def self_redirect(mesh: str, gateway: str, protocol: str, port: int, *, several: bool) -> str:
    """A gateway's way from its ingress to its own egress listener; `port`: of the ingress listener."""
    which = f"{port}_" if several else ""
    return f"cds_ingress_{mesh}_{gateway}_self_redirect_{which}{protocol}_{EGRESS_PORT}"


def routes(direction: str, protocol: str, port: int) -> str:
    """A route configuration."""
    return f"rds_{direction}_{protocol}_{port}"


def seconds(value: Spec | None) -> str | None:
    """A duration as Envoy writes it: None if nothing was declared; 0 stays, since it disables a timeout."""
    if not value or "value" not in value:
        return None
    return f"{value['value'] / (1000 if value.get('unit') == 'ms' else 1):g}s"
