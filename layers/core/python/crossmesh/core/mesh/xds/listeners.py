"""Listeners: 15000 for what comes to a node, 15001 for what its application asks, a gateway's own
ports. Pure.

Filter chains go by the port that was asked before the redirect.
"""

from collections.abc import Iterable

import msgspec

from crossmesh.core.mesh.xds import names
from crossmesh.core.mesh.xds.declared import Preference
from crossmesh.core.mesh.xds.defaults import LISTENER, Json, socket, typed

_EVERY = ({"address_prefix": "0.0.0.0", "prefix_len": 0}, {"address_prefix": "::", "prefix_len": 0})  # noqa: S104 - matched, not bound
_DIRECTION = {"ingress": "INBOUND", "egress": "OUTBOUND"}
_HTTPS = 443


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What all network filters of a proxy have in common."""

    access_log: list[Json] = []
    tracing: Json = {}

    def http(self, prefix: str, table: str) -> Json:
        """An HTTP connection manager with a route table."""
        router = typed("extensions.filters.http.router.v3.Router")
        config = typed(
            "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix=prefix,
            rds={"config_source": {"ads": {}, "resource_api_version": "V3"}, "route_config_name": table},
            http_filters=[{"name": "envoy.filters.http.router", "typed_config": router}],
            tracing=self.tracing,
            upgrade_configs=[{"upgrade_type": "websocket", "enabled": True}],
            normalize_path=True,
            merge_slashes=True,
            path_with_escaped_slashes_action="KEEP_UNCHANGED",
            **({"access_log": self.access_log} if self.access_log else {}),
        )
        return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}

    def tcp(self, prefix: str, to: Json, idle: str = "") -> Json:
        """A TCP proxy; `to` names its cluster or its weighted ones."""
        more = {
            **({"idle_timeout": idle} if idle else {}),
            **({"access_log": self.access_log} if self.access_log else {}),
        }
        return {
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": typed("extensions.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix=prefix, **to, **more),
        }


def chain(match: Json, network_filter: Json, transport: Json | None = None) -> Json:
    """A filter chain."""
    made: Json = {"filter_chain_match": match, "filters": [network_filter]}
    return made if transport is None else {**made, "transport_socket": transport}


def server_chains(port: int, network_filter: Json, transport: Json | None, *, permissive: bool) -> list[Json]:
    """The chains of a port that is listened on: with TLS, without, or (`permissive`) whichever the
    caller speaks.
    """
    if not permissive or transport is None:
        return [chain({"destination_port": port}, network_filter, transport)]
    return [
        chain({"destination_port": port, "transport_protocol": "tls"}, network_filter, transport),
        chain({"destination_port": port, "transport_protocol": "raw_buffer"}, network_filter),
    ]


def outside_chains(
    mesh: str, filters: Filters, preference: Preference, *, allow_all: bool, taken: Iterable[int]
) -> list[Json]:
    """The ways out of the mesh: AWS's own endpoints, and everything with ALLOW_ALL. A backend's
    port is the backends' alone (`taken`).
    """
    ranges = list(_EVERY if preference else _EVERY[:1])
    found: list[Json] = []
    if _HTTPS not in taken:
        asked = {"destination_port": _HTTPS, "prefix_ranges": ranges, "server_names": ["*.amazonaws.com"]}
        found.append(chain(asked, filters.tcp("egress", {"cluster": names.amazonaws(mesh)})))
    if allow_all:
        everything = filters.tcp("egress", {"cluster": names.allow_all(mesh)})
        found.append(chain({"prefix_ranges": ranges}, everything))
        if _HTTPS not in taken:
            found.append(chain({"destination_port": _HTTPS, "prefix_ranges": ranges}, everything))
    return found


def listener(
    direction: names.Direction, port: int, chains: list[Json], preference: Preference, *, redirected: bool
) -> Json:
    """A listener. `redirected`: connections reach it by a redirect, and the port that they asked
    for is restored. Any IP preference binds both families.
    """
    original = {
        "name": "envoy.filters.listener.original_dst",
        "typed_config": typed("extensions.filters.listener.original_dst.v3.OriginalDst"),
    }
    inspector = {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": typed("extensions.filters.listener.tls_inspector.v3.TlsInspector"),
    }
    made: Json = {"@type": LISTENER, "name": names.listener(direction, port), "address": socket(names.ANYWHERE, port)}
    if preference:
        made["additional_addresses"] = [{"address": socket("::", port)}]
    return made | {
        "filter_chains": chains,
        "listener_filters": [original, inspector] if redirected else [inspector],
        "traffic_direction": _DIRECTION[direction],
    }
