"""The configuration of a virtual node's sidecar. Pure."""

from typing import Any

from crossmesh.core.mesh.xds import clusters, listeners, names, routes, telemetry, tls
from crossmesh.core.mesh.xds.declared import Declared, Face, faces, target
from crossmesh.core.mesh.xds.declared import listeners as listeners_of
from crossmesh.core.mesh.xds.defaults import ROUTES, Json, duration
from crossmesh.core.mesh.xds.proxy import ProxyConfig, Upstreams, by_name
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import VirtualNode

Chains = list[Json]


class Shared:
    """What the proxies of a mesh have in common, made once: clusters by name, faces by virtual
    service.
    """

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self.clusters: dict[str, Json] = {}
        self._faces: dict[str, tuple[Face, ...]] = {}

    def faces(self, service: str) -> tuple[Face, ...]:
        """The ports of a virtual service."""
        if service not in self._faces:
            self._faces[service] = faces(self._declared, service)
        return self._faces[service]


def sidecar(declared: Declared, node: VirtualNode, settings: EnvoySettings, shared: Shared) -> ProxyConfig:
    """What the Envoys beside a virtual node's pods are given."""
    filters = listeners.Filters(
        access_log=telemetry.access_log(node.spec),
        tracing=telemetry.tracing(settings.tracing, declared.mesh, node.aws_name),
    )
    made = _Sidecar(declared, node, filters, shared)
    served = made.ingress()
    asked = made.egress()
    found = {
        one["name"]: one
        for one in (*made.clusters, *made.upstreams.found.values(), *telemetry.collector(settings.tracing))
    }
    return ProxyConfig(
        id=names.proxy_id(declared.mesh, declared.owner, "virtualNode", node.aws_name),
        mesh=declared.mesh,
        kind="VirtualNode",
        key=node.key,
        listeners=by_name({one["name"]: one for one in (*served, asked)}),
        routes=by_name(made.tables),
        clusters=by_name(found),
    )


class _Sidecar:
    def __init__(self, declared: Declared, node: VirtualNode, filters: listeners.Filters, shared: Shared) -> None:
        self.declared, self.node, self.filters, self.shared = declared, node, filters, shared
        self.upstreams = Upstreams(declared, node.key, node.spec, shared.clusters)
        self.clusters: list[Json] = []
        self.tables: dict[str, Json] = {}

    def ingress(self) -> list[Json]:
        """What comes to the application; nothing without a listener."""
        chains: Chains = []
        own = listeners_of(self.node.spec)
        for listener in own:
            port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
            prefix = f"ingress.{protocol}.{port}" if len(own) > 1 else "ingress"
            self.clusters.append(clusters.local(self.declared, self.node.aws_name, listener))
            if protocol == "tcp":
                cluster = names.local_cluster(self.declared.mesh, self.node.aws_name, protocol, port)
                idle = ((listener.get("timeout") or {}).get("tcp") or {}).get("idle")
                handled = self.filters.tcp(prefix, {"cluster": cluster}, duration(idle) if idle else "")
            else:
                table = routes.local_table(self.declared.mesh, self.node.aws_name, listener)
                self.tables[table["name"]] = {"@type": ROUTES, **table}
                handled = self.filters.http(prefix, table["name"])
            permissive = tls.listener_tls(listener).get("mode") == "PERMISSIVE"
            chains += listeners.server_chains(port, handled, tls.downstream(listener), permissive=permissive)
        if not chains:
            return []
        return [listeners.listener("ingress", names.INGRESS_PORT, chains, self.declared.preference, redirected=True)]

    def egress(self) -> Json:
        """What the application asks: its backends, AWS, and with ALLOW_ALL everything."""
        declared, mesh = self.declared, self.declared.mesh
        backends = dict.fromkeys(service for service in self.node.backends if service in declared.services)
        shown = {service: self.shared.faces(service) for service in backends}
        self.upstreams.take(shown, _policies(self.node.spec))
        ports: dict[int, list[Face]] = {}
        for service in sorted(shown):
            for face in shown[service]:
                ports.setdefault(face.port, []).append(face)
        chains = [chain for port in sorted(ports) for chain in self._port(port, ports[port])]
        taken = {chain["filter_chain_match"]["destination_port"] for chain in chains}
        self.clusters.append(clusters.original_destination(names.amazonaws(mesh)))
        if declared.allow_all:
            self.clusters.append(clusters.original_destination(names.allow_all(mesh)))
        chains += listeners.outside_chains(
            mesh, self.filters, declared.preference, allow_all=declared.allow_all, taken=taken
        )
        return listeners.listener("egress", names.EGRESS_PORT, chains, declared.preference, redirected=True)

    def _port(self, port: int, shown: list[Face]) -> Chains:
        """The chain of a port at which backends are asked. Protocols of HTTP share it; TCP needs it
        for itself, the first service has it.
        """
        asked = [face for face in shown if face.protocol != "tcp"]
        if not asked:
            return self._tcp(shown[0])
        protocol = asked[0].protocol if len({face.protocol for face in asked}) == 1 else "http"
        name = names.route_table("egress", protocol, port)
        hosts = [
            routes.virtual_host(
                face.service, port, routes.face_routes(self.declared, face, self.upstreams.of(face.service))
            )
            for face in asked
        ]
        self.tables[name] = {"@type": ROUTES, **routes.table(name, hosts)}
        return [listeners.chain({"destination_port": port}, self.filters.http("egress", name))]

    def _tcp(self, face: Face) -> Chains:
        to, idle = tcp_target(self.declared, face, self.upstreams)
        return [listeners.chain({"destination_port": face.port}, self.filters.tcp("egress", to, idle))] if to else []


def tcp_target(declared: Declared, face: Face, upstreams: Upstreams) -> tuple[Json, str]:
    """Where a TCP proxy goes, and its idle timeout ("" = Envoy's own). Its first route takes every
    connection; targets without weight are left out.
    """
    cluster_of = upstreams.of(face.service)
    if face.node:
        return {"cluster": cluster_of(target(declared, face.node, face.port, face))}, ""
    for route in routes.in_order(face.routes)[:1]:
        idle = ((route.spec.get("tcpRoute") or {}).get("timeout") or {}).get("idle")
        weights = [one for one in routes.weighted(declared, face, route, cluster_of) if one["weight"]]
        if weights:
            return {"weighted_clusters": {"clusters": weights}}, duration(idle) if idle else ""
    return {}, ""


def _policies(spec: dict[str, Any]) -> dict[str, Json]:
    """Client policies of backends' own, by virtual service."""
    found: dict[str, Json] = {}
    for backend in spec.get("backends") or ():
        service = backend.get("virtualService") or {}
        if (service.get("clientPolicy") or {}).get("tls"):
            found[str(service.get("@VirtualService", ""))] = service["clientPolicy"]
    return found
