"""Names of proxies, listeners, route tables and clusters.

They are those of App Mesh's management service, because dashboards, alarms and log filters go by
them (App Mesh user guide, "Envoy metrics", and public dumps of its configuration). A name is unique
within a mesh: protocol and port always stand last.
"""

from typing import Literal

INGRESS_PORT, EGRESS_PORT = 15000, 15001
ANYWHERE = "0.0.0.0"  # noqa: S104 - a proxy listens on all of its pod's addresses, and only redirected traffic reaches it
SDS_CLUSTER = "static_cluster_sds_unix_socket"  # of the bootstrap
OTLP_CLUSTER = "crossmesh_tracing"
Direction = Literal["ingress", "egress"]


def proxy_id(mesh: str, owner: str, kind: Literal["virtualNode", "virtualGateway"], name: str) -> str:
    """The id by which an Envoy asks for its configuration; `owner` is the account of a shared mesh,
    "" = none was declared.
    """
    return f"mesh/{mesh}{f'@{owner}' if owner else ''}/{kind}/{name}"


def listener(direction: Direction, port: int) -> str:
    """A listener's name."""
    return f"lds_{direction}_{ANYWHERE}_{port}"


def route_table(direction: Direction, protocol: str, port: int) -> str:
    """A route table's name."""
    return f"rds_{direction}_{protocol}_{port}"


def egress_cluster(mesh: str, node: str, protocol: str, port: int) -> str:
    """A virtual node as its callers see it. Its endpoints have the same name."""
    return f"cds_egress_{mesh}_{node}_{protocol}_{port}"


def local_cluster(mesh: str, node: str, protocol: str, port: int) -> str:
    """The application beside a proxy."""
    return f"cds_ingress_{mesh}_{node}_{protocol}_{port}"


def self_redirect(mesh: str, gateway: str, protocol: str) -> str:
    """A gateway's own egress listener, which its ingress listeners hand requests to."""
    return f"cds_ingress_{mesh}_{gateway}_self_redirect_{protocol}_{EGRESS_PORT}"


def amazonaws(mesh: str) -> str:
    """AWS's own endpoints, which every node may ask."""
    return f"cds_egress_{mesh}_amazonaws"


def allow_all(mesh: str) -> str:
    """Everything outside the mesh, with the egress filter ALLOW_ALL."""
    return f"cds_egress_{mesh}_mesh-allow-all"
