"""App Mesh's routes → Envoy's route configurations of the egress and ingress listeners. Pure.

Undeclared timeouts stay undeclared: Envoy's own default is App Mesh's, 15 seconds. Undeclared retries are App Mesh's default policy.
"""

from collections.abc import Iterable

from world.dataplane import names
from world.dataplane.matches import matched, precedence
from world.dataplane.names import EGRESS_PORT, ROUTE, VIRTUAL_SERVICE, Spec, seconds
from world.dataplane.reading import Reading, Service, kind_of

_CODES = {
    "server-error": (500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511),
    "gateway-error": (502, 503, 504),
    "client-error": (409,),
}
_GRPC = ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable")


def egress(reading: Reading) -> list[Spec]:
    """One for each port that HTTP, HTTP/2 or gRPC leaves by; a gateway has but its own egress port."""
    if reading.gateway:
        protocol = reading.spec["listeners"][0]["portMapping"]["protocol"]
        return [_table("egress", protocol, EGRESS_PORT, sorted(_behind_gateway(reading), key=lambda host: str(host["name"])))]
    tables = []
    for port, protocol in ports(reading.services.values()).items():
        if protocol == "tcp":
            continue
        hosts = [
            {"name": name, "domains": [name, f"{name}:{port}"], **_routes(reading, service.at(port))}
            for name, service in sorted(reading.services.items())
            if any(at == port and spoken != "tcp" for at, spoken in service.listeners)
        ]
        if reading.allows_all:
            to = {"match": {"prefix": "/"}, "route": {"cluster": names.everything(reading.mesh)}}
            hosts.append({"name": "mesh_allow_all", "domains": ["*"], "routes": [to]})
        tables.append(_table("egress", protocol, port, hosts))
    return tables


def ports(services: Iterable[Service]) -> dict[int, str]:
    """Egress ports by number, with their protocol: where services disagree about one, the first by name decides."""
    found: dict[int, str] = {}
    for service in sorted(services, key=lambda one: one.name):
        for port, protocol in service.listeners:
            found.setdefault(port, protocol)
    return dict(sorted(found.items()))


def ingress(reading: Reading) -> list[Spec]:
    """One for each listener of a node, to the program beside it."""
    tables = []
    for listener in reading.spec.get("listeners") or ():
        port, protocol = listener["portMapping"]["port"], listener["portMapping"]["protocol"]
        if protocol != "tcp":
            action = {"cluster": names.node_cluster("ingress", reading.mesh, reading.name, protocol, port)}
            action |= _timeouts((listener.get("timeout") or {}).get(protocol) or {})
            host = {"name": "local", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]}
            tables.append(_table("ingress", protocol, port, [host]))
    return tables


def _table(direction: str, protocol: str, port: int, hosts: list[Spec]) -> Spec:
    return {"@type": ROUTE, "name": names.routes(direction, protocol, port), "virtual_hosts": hosts}


def _behind_gateway(reading: Reading) -> list[Spec]:
    """A virtual host for each service (for each of its ports where it has several), and one for those whose host stays as it was."""
    named: dict[str, list[Spec]] = {}
    unnamed: list[Spec] = []
    for gateway_route in sorted(reading.gateway_routes, key=lambda one: str(one["gatewayRouteName"])):
        spec = gateway_route["spec"][kind_of(gateway_route)]
        key, service, port = goal(reading, spec)
        routes = _routes(reading, service.at(port)).get("routes", [])
        if keeps_host(spec):
            unnamed += [one for one in (_by_header(route, key) for route in routes) if one not in unnamed]
        else:
            named[key] = routes
    hosts: list[Spec] = []
    for key, routes in named.items():
        domains = [key] if ":" in key else [key, f"{key}:{EGRESS_PORT}"]
        hosts.append({"name": key, "domains": domains, **({"routes": routes} if routes else {})})
    return [*hosts, {"name": "default_backend", "domains": ["*"], "routes": unnamed}] if unnamed else hosts


def goal(reading: Reading, route: Spec) -> tuple[str, Service, int]:
    """A gateway route's virtual service: its name at the egress listener, itself, and the port of it that is meant."""
    target = route["action"]["target"]
    name = target["virtualService"]["virtualServiceName"]
    service = reading.services.get(name) or Service(name)
    port = target.get("port") or (service.listeners[0][0] if service.listeners else 0)
    return (f"{name}:{port}" if len(service.listeners) > 1 else name), service, port


def keeps_host(route: Spec) -> bool:
    """Whether a gateway route leaves the request's host name alone."""
    rewrite = (route["action"].get("rewrite") or {}).get("hostname") or {}
    return bool(rewrite.get("defaultTargetHostname") == "DISABLED")


def _by_header(route: Spec, service: str) -> Spec:
    """Chosen by what the gateway's ingress wrote into the request, in the place of the host name."""
    header = {"name": VIRTUAL_SERVICE, "string_match": {"exact": service}}
    match = {**route["match"], "headers": [*route["match"].get("headers", ()), header]}
    return {**route, "match": match, "response_headers_to_remove": [VIRTUAL_SERVICE]}


def _routes(reading: Reading, routes: list[Spec]) -> Spec:
    """`routes` of a virtual host; {} without any: then it answers 404."""
    found = [_route(reading, route) for route in sorted(routes, key=precedence) if kind_of(route) != "tcpRoute"]
    return {"routes": found} if found else {}


def _route(reading: Reading, route: Spec) -> Spec:
    kind = kind_of(route)
    spec = route["spec"][kind]
    match = matched(spec.get("match") or {}, grpc=kind == "grpcRoute")
    targets = spec["action"]["weightedTargets"]
    if not any(target["weight"] for target in targets):  # Envoy refuses a sum of 0; what App Mesh sent is not known
        return {"match": match, "direct_response": {"status": 503, "body": {"inline_string": "no target has a weight"}}}
    weighted = [{"name": reading.cluster(target, route), "weight": target["weight"]} for target in targets]
    action: Spec = {"weighted_clusters": {"clusters": weighted}, **_timeouts(spec.get("timeout") or {})}
    return {"match": match, "route": {**action, "retry_policy": _retry(spec.get("retryPolicy"))}}


def _timeouts(declared: Spec) -> Spec:
    found: Spec = {}
    if (each := seconds(declared.get("perRequest"))) is not None:
        found["timeout"] = each
    if (idle := seconds(declared.get("idle"))) is not None:
        found["idle_timeout"] = idle
    return found


def _retry(declared: Spec | None) -> Spec:
    """Status codes by themselves, with `reset` beside them; never at a host that was tried before, while there is another."""
    if declared is None:
        on, codes, most = ["unavailable", "reset", "connect-failure", "refused-stream", "retriable-status-codes"], [503], 2
    else:
        events = [*(declared.get("grpcRetryEvents") or ()), *(declared.get("httpRetryEvents") or ()), *(declared.get("tcpRetryEvents") or ())]
        codes = list(dict.fromkeys(code for event, those in _CODES.items() if event in events for code in those))
        on = [event for event in _GRPC if event in events]
        on += ["reset"] if codes else []
        on += ["connect-failure"] if "connection-error" in events else []
        on += ["refused-stream"] if "stream-error" in events else []
        on += ["retriable-status-codes"] if codes else []
        most = declared["maxRetries"]
    found: Spec = {"retry_on": ",".join(on), "num_retries": most}
    if (each := seconds((declared or {}).get("perRetryTimeout"))) not in (None, "0s"):
        found["per_try_timeout"] = each
    previous = names.typed("envoy.retry_host_predicates.previous_hosts", "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")
    found |= {"retry_host_predicate": [previous], "host_selection_retry_max_attempts": 5}
    return {**found, "retriable_status_codes": codes} if codes else found
