"""One proxy's configuration, as App Mesh's management service sent it, from what was read; and what an Envoy starts with. Pure."""

from world.dataplane import gateway_routes, routes
from world.dataplane.clusters import clusters, endpoints
from world.dataplane.listeners import listeners
from world.dataplane.names import CLUSTER, EGRESS_PORT, ENDPOINTS, LISTENER, ROUTE, SDS_CLUSTER, SECRET, Spec
from world.dataplane.reading import Reading

__all__ = ["CLUSTER", "EGRESS_PORT", "ENDPOINTS", "LISTENER", "ROUTE", "SECRET", "bootstrap", "configuration", "rest"]

SDS_SOCKET = "/run/spire/sockets/agent.sock"


def configuration(reading: Reading) -> dict[str, list[Spec]]:
    """Resources by type."""
    ingress = gateway_routes.tables(reading) if reading.gateway else routes.ingress(reading)
    return {
        LISTENER: listeners(reading),
        CLUSTER: clusters(reading),
        ROUTE: [*ingress, *routes.egress(reading)],
        ENDPOINTS: endpoints(reading),
        SECRET: [],
    }


def rest(refresh: str = "0.4s") -> Spec:
    """Where this world's Envoys ask."""
    source = {"api_type": "REST", "transport_api_version": "V3", "cluster_names": ["xds"], "refresh_delay": refresh, "request_timeout": "2s"}
    return {"resource_api_version": "V3", "api_config_source": source}


def bootstrap(node: str, ip: str, xds_port: int, sds: str = SDS_SOCKET) -> Spec:
    """What Envoy starts with: where its configuration comes from, where secrets lie, and its admin page."""

    def cluster(name: str, address: Spec, **more: Spec) -> Spec:
        service_names = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        assigned = {"cluster_name": name, "endpoints": service_names}
        return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assigned, **more}

    speaks = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {speaks: {"@type": f"type.googleapis.com/{speaks}", "explicit_http_config": {"http2_protocol_options": {}}}}
    management = cluster("xds", {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}})
    secrets = cluster(SDS_CLUSTER, {"pipe": {"path": sds}}, typed_extension_protocol_options=http2)
    return {
        "node": {"id": f"{node}|{ip}", "cluster": node},
        "admin": {"address": {"socket_address": {"address": ip, "port_value": 9901}}},
        "dynamic_resources": {"lds_config": rest(), "cds_config": rest()},
        "static_resources": {"clusters": [management, secrets]},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 1000}}]},
    }
