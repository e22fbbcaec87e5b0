"""App Mesh's routes → Envoy's virtual hosts: matches, weights, retries, timeouts, in App Mesh's order of precedence. Pure."""

from world.dataplane.matches import matched, precedence
from world.dataplane.names import ROUTE, Spec
from world.dataplane.reading import kind_of

_EVENTS = {  # what the API model says of each
    "server-error": "5xx",
    "gateway-error": "gateway-error",
    "client-error": "retriable-4xx",  # Envoy's name for 409
    "stream-error": "refused-stream",
    "connection-error": "connect-failure",
    "cancelled": "cancelled",
    "deadline-exceeded": "deadline-exceeded",
    "internal": "internal",
    "resource-exhausted": "resource-exhausted",
    "unavailable": "unavailable",
}


def egress(services: dict[str, list[Spec]], *, defaults: bool = True) -> Spec:
    """Routes of every backend by its name; other names are refused (egress filter DROP_ALL). `services`: name → its router's routes, or its node's."""
    hosts = [
        {
            "name": name,
            "domains": [name, f"{name}:*"],
            "routes": [_route(route, defaults=defaults) for route in sorted(routes, key=precedence) if kind_of(route) != "tcpRoute"],
        }
        for name, routes in sorted(services.items())
    ]
    return {"@type": ROUTE, "name": "egress", "virtual_hosts": hosts}


def target_cluster(target: Spec) -> str:
    """The cluster of a weighted target: the node's, or the node's at one of its ports."""
    return f"{target['virtualNode']}@{target['port']}" if target.get("port") else str(target["virtualNode"])


def _route(route: Spec, *, defaults: bool) -> Spec:
    kind = kind_of(route)
    spec = route["spec"][kind]
    targets = [t for t in spec["action"]["weightedTargets"] if t.get("weight", 0) > 0]
    match = matched(spec.get("match") or {}, grpc=kind == "grpcRoute")
    if not targets:
        return {"match": match, "direct_response": {"status": 503, "body": {"inline_string": "no target has a weight"}}}
    timeouts = spec.get("timeout") or {}
    action: Spec = {
        "weighted_clusters": {"clusters": [{"name": target_cluster(t), "weight": t["weight"]} for t in targets]},
        "timeout": seconds(timeouts.get("perRequest")) or ("15s" if defaults else "0s"),
    }
    if idle := seconds(timeouts.get("idle")):
        action["idle_timeout"] = idle
    if retry := _retry(spec.get("retryPolicy"), defaults=defaults):
        action["retry_policy"] = retry
    return {"name": route["routeName"], "match": match, "route": action}


def _retry(declared: Spec | None, *, defaults: bool) -> Spec | None:
    if declared is None:
        on = "connect-failure,refused-stream,reset,unavailable,retriable-status-codes"
        return {"retry_on": on, "num_retries": 2, "retriable_status_codes": [503]} if defaults else None
    events = [*declared.get("httpRetryEvents", ()), *declared.get("tcpRetryEvents", ()), *declared.get("grpcRetryEvents", ())]
    found: Spec = {"retry_on": ",".join(sorted({_EVENTS[event] for event in events})), "num_retries": declared["maxRetries"]}
    if each := seconds(declared.get("perRetryTimeout")):
        found["per_try_timeout"] = each
    return found


def seconds(value: Spec | None) -> str | None:
    """A duration as Envoy writes it; None for none and for 0."""
    if not value or not value["value"]:
        return None
    return f"{value['value'] / (1000 if value['unit'] == 'ms' else 1):g}s"
