"""The configuration of a virtual gateway's Envoys. Pure.

A request goes through the gateway's ingress listener, which finds the virtual service, and then
through its egress listener, which has the service's routes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from crossmesh.core.compiler.routes import route_of
from crossmesh.core.mesh.xds import clusters, listeners, names, routes, telemetry, tls
from crossmesh.core.mesh.xds.conditions import PORT_HEADER, SERVICE_HEADER, exactly, hostname_matchers, route_match
from crossmesh.core.mesh.xds.declared import Declared, Face
from crossmesh.core.mesh.xds.declared import listeners as listeners_of
from crossmesh.core.mesh.xds.defaults import REQUEST_TIMEOUT, ROUTES, Json, duration
from crossmesh.core.mesh.xds.nodes import Shared
from crossmesh.core.mesh.xds.proxy import ProxyConfig, Upstreams, by_name
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import ROUTE_KINDS, Protocol, Resource, RouteMatch

_LAST = 1_001  # after every priority
_PORT = names.EGRESS_PORT


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway route as values. `match` says no port. `keeps_host`: the virtual service is told by
    a header, for the host stays the client's.
    """

    name: str
    protocol: Protocol
    priority: int
    port: int | None
    match: RouteMatch
    hostname: dict[str, Any] = {}
    service: str = ""
    target_port: int | None = None
    keeps_host: bool = False
    exact: str | None = None  # the whole path that it is replaced by
    prefix: str | None = None  # what takes the matched prefix's place


def ways(declared: Declared, gateway: str) -> tuple[Way, ...]:
    """The routes of a gateway, in the order in which they are tried: priority, then the more
    specific path.
    """
    found = [way for route in declared.gateway_routes.get(gateway, ()) for way in as_way(route)]
    return tuple(sorted(found, key=_order))


def _order(way: Way) -> tuple[int, bool, int, int, str]:
    match = way.match
    text = match.exact or match.regex or match.prefix or match.grpc_service or ""
    more = (
        len(way.hostname)
        + len(match.headers)
        + len(match.metadata)
        + len(match.query_parameters)
        + (match.method is not None)
    )
    return way.priority, not match.whole_path, -len(text), -more, way.name


def as_way(route: Resource) -> Iterator[Way]:
    """A gateway route document; nothing where it names no kind of route that there is."""
    kind = next((kind for kind in ROUTE_KINDS if kind in route.spec), "")
    if not kind or kind == "tcpRoute":
        return
    body = route.spec[kind] or {}
    match, action = body.get("match") or {}, body.get("action") or {}
    rewrite, target = action.get("rewrite") or {}, action.get("target") or {}
    parsed = route_of({kind: body}).match
    yield Way(
        name=route.aws_name,
        protocol=ROUTE_KINDS[kind],
        priority=int(route.spec["priority"]) if route.spec.get("priority") is not None else _LAST,
        port=parsed.port or None,
        match=msgspec.structs.replace(parsed, port=None),
        hostname=match.get("hostname") or {},
        service=str((target.get("virtualService") or {}).get("@VirtualService", "")),
        target_port=target.get("port") or None,
        keeps_host=(rewrite.get("hostname") or {}).get("defaultTargetHostname") == "DISABLED",
        exact=(rewrite.get("path") or {}).get("exact"),
        prefix=_prefix(parsed, rewrite.get("prefix") or {}) if kind != "grpcRoute" else None,
    )


def _prefix(match: RouteMatch, rewrite: Mapping[str, Any]) -> str | None:
    """What a matched prefix becomes: what was declared, else / unless that is switched off. None =
    it stays.
    """
    if match.whole_path or match.prefix is None:
        return None
    if rewrite.get("value") is not None:
        return str(rewrite["value"])
    return None if rewrite.get("defaultPrefix") == "DISABLED" or match.prefix == "/" else "/"


def gateway(declared: Declared, resource: Resource, settings: EnvoySettings, shared: Shared) -> ProxyConfig:
    """What the Envoys of a virtual gateway are given."""
    name = resource.aws_name
    filters = listeners.Filters(
        access_log=telemetry.access_log(resource.spec), tracing=telemetry.tracing(settings.tracing, declared.mesh, name)
    )
    made = _Gateway(declared, resource, filters, shared)
    every = [*made.ingress(), made.egress()]
    found = {
        one["name"]: one
        for one in (*made.clusters, *made.upstreams.found.values(), *telemetry.collector(settings.tracing))
    }
    return ProxyConfig(
        id=names.proxy_id(declared.mesh, declared.owner, "virtualGateway", name),
        mesh=declared.mesh,
        kind="VirtualGateway",
        key=resource.key,
        listeners=by_name({one["name"]: one for one in every}),
        routes=by_name(made.tables),
        clusters=by_name(found),
    )


class _Gateway:
    def __init__(self, declared: Declared, resource: Resource, filters: listeners.Filters, shared: Shared) -> None:
        self.declared, self.resource, self.filters, self.shared = declared, resource, filters, shared
        self.ways = ways(declared, resource.aws_name)
        self.own = listeners_of(resource.spec)
        self.upstreams = Upstreams(declared, resource.key, resource.spec, shared.clusters)
        self.clusters: list[Json] = []
        self.tables: dict[str, Json] = {}

    def ingress(self) -> Iterator[Json]:
        """A listener for each declared one: its routes find the virtual service."""
        protocols = [listener["portMapping"]["protocol"] for listener in self.own]
        for listener in self.own:
            port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
            cluster = names.self_redirect(self.declared.mesh, self.resource.aws_name, protocol)
            if protocols.count(protocol) > 1:  # each has a pool of its own
                cluster = f"{cluster}_{port}"
            self.clusters.append(clusters.self_redirect(cluster, protocol, listener))
            table = names.route_table("ingress", protocol, port)
            found = [
                route
                for way in self.ways
                if way.protocol == protocol and way.port in (None, port)
                for route in _ingress_routes(way, cluster, self._timeout(way), self._told_port(way))
            ]
            host = {"name": "self_redirect", "domains": ["*"], **({"routes": found} if found else {})}
            self.tables[table] = {"@type": ROUTES, **routes.table(table, [host])}
            handled = self.filters.http(f"ingress.{protocol}.{port}" if len(self.own) > 1 else "ingress", table)
            permissive = tls.listener_tls(listener).get("mode") == "PERMISSIVE"
            chains = listeners.server_chains(port, handled, tls.downstream(listener), permissive=permissive)
            yield listeners.listener("ingress", port, chains, self.declared.preference, redirected=False)

    def egress(self) -> Json:
        """The listener that knows the virtual services' routes."""
        services = sorted({way.service for way in self.ways if way.service in self.declared.services})
        self.upstreams.take({service: self.shared.faces(service) for service in services}, {})
        told = sorted({way.service for way in self.ways if way.keeps_host and way.service in self.declared.services})
        by_header = {service: self._service_routes(service, by_header=True) for service in told}
        hosts = []
        for service in services:
            others = [route for other in told if other != service for route in by_header[other]]
            hosts.append(
                routes.virtual_host(service, _PORT, [*others, *self._service_routes(service, by_header=False)])
            )
        if told:
            every = [route for service in told for route in by_header[service]]
            hosts.append({"name": "default_backend", "domains": ["*"], **({"routes": every} if every else {})})
        protocols = {listener["portMapping"]["protocol"] for listener in self.own}
        table = names.route_table("egress", "http" if "http" in protocols or not protocols else min(protocols), _PORT)
        self.tables[table] = {"@type": ROUTES, **routes.table(table, sorted(hosts, key=lambda host: str(host["name"])))}
        chains = [listeners.chain({"destination_port": _PORT}, self.filters.http("egress", table))]
        return listeners.listener("egress", _PORT, chains, self.declared.preference, redirected=False)

    def _service_routes(self, service: str, *, by_header: bool) -> list[Json]:
        """The routes of a virtual service, found by its host name or by the header that tells
        it.
        """
        more = [exactly(SERVICE_HEADER, service)] if by_header else []
        found: list[Json] = []
        for face in self._faces(service):
            found += routes.face_routes(self.declared, face, self.upstreams.of(service), more, port_told=True)
        removed = {"request_headers_to_remove": [PORT_HEADER]}
        hidden = {"response_headers_to_remove": [SERVICE_HEADER]} if by_header else {}
        return [route | hidden | (removed if _asks_port(route) else {}) for route in found]

    def _faces(self, service: str) -> list[Face]:
        return [face for face in self.shared.faces(service) if face.protocol != "tcp"]

    def _timeout(self, way: Way) -> str:
        """How long the first hop waits: as long as the slowest route behind it, which would
        otherwise be cut off. "" = no route, Envoy's default.
        """
        found = [
            ((route.spec.get(f"{route.protocol}Route") or {}).get("timeout") or {}).get("perRequest")
            for face in self._faces(way.service)
            for route in face.routes
        ]
        if not found:
            return ""
        spans = [duration(one) if one else REQUEST_TIMEOUT for one in found]
        return "0s" if any(float(span[:-1]) == 0 for span in spans) else max(spans, key=lambda span: float(span[:-1]))

    def _told_port(self, way: Way) -> int | None:
        """The port that the egress listener is told, of a virtual service with several; None = it
        has one.
        """
        shown = self._faces(way.service)
        if not any(face.several for face in shown):
            return None
        fitting = [face.port for face in shown if face.protocol == way.protocol] or [face.port for face in shown]
        return way.target_port or fitting[0]


def _asks_port(route: Json) -> bool:
    return any(header["name"] == PORT_HEADER for header in route["match"].get("headers", ()))


def _ingress_routes(way: Way, cluster: str, timeout: str, told_port: int | None) -> Iterator[Json]:
    """A gateway route in the table of a listener: once, or twice where a prefix is replaced (with
    and without the slash after it).
    """
    match = route_match(way.match, way.protocol, hostname_matchers(way.hostname))
    forms = [match]
    if way.prefix is not None and way.prefix.endswith("/") and not str(match.get("prefix", "/")).endswith("/"):
        forms = [{**match, "prefix": f"{match['prefix']}/"}, match]
    for form in forms:
        action: Json = {"cluster": cluster}
        if way.exact is not None:
            substitution = str(way.exact).replace("\\", "\\\\")
            action["regex_rewrite"] = {"pattern": {"regex": "^.*$"}, "substitution": substitution}
        elif way.prefix is not None:
            action["prefix_rewrite"] = way.prefix
        added = {}
        if way.keeps_host:
            added[SERVICE_HEADER] = way.service
        else:
            action["host_rewrite_literal"] = way.service
        if told_port is not None:
            added[PORT_HEADER] = str(told_port)
        if timeout:
            action["timeout"] = timeout
        made: Json = {"name": way.name, "match": form, "route": action}
        if added:
            made["request_headers_to_add"] = [
                {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                for key, value in added.items()
            ]
        yield made | {
            "request_headers_to_remove": [name for name in (SERVICE_HEADER, PORT_HEADER) if name not in added]
        }
