"""Retries and timeouts. Pure.

Sources: App Mesh API reference (`HttpRetryPolicy`, `GrpcRetryPolicy`), user guide ("Envoy
defaults"), and a public dump: events become status codes and `reset`, and a retry goes to another
host.
"""

from collections.abc import Mapping
from typing import Any

from crossmesh.core.mesh.xds.defaults import REQUEST_TIMEOUT, Json, duration

_CODES = {"server-error": (*range(500, 509), 510, 511), "gateway-error": (502, 503, 504), "client-error": (409,)}
_PREDICATES: Json = {
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": "5",
}
DEFAULT_RETRIES: Json = {
    "retry_on": "reset,connect-failure,refused-stream,retriable-status-codes,unavailable",
    "num_retries": 2,
    **_PREDICATES,
    "retriable_status_codes": [503],
}


def retry_policy(body: Mapping[str, Any]) -> Json:
    """The retries of a route's body: as declared, else App Mesh's own."""
    declared = body.get("retryPolicy")
    if not declared:
        return DEFAULT_RETRIES
    events = declared.get("httpRetryEvents") or ()
    codes = dict.fromkeys(code for event in _CODES if event in events for code in _CODES[event])
    conditions = ["reset"] if codes else []
    if "connection-error" in (declared.get("tcpRetryEvents") or ()):
        conditions.append("connect-failure")
    if "stream-error" in events:
        conditions.append("refused-stream")
    if codes:
        conditions.append("retriable-status-codes")
    conditions += sorted(set(declared.get("grpcRetryEvents") or ()))
    made: Json = {"retry_on": ",".join(conditions), "num_retries": int(declared.get("maxRetries", 0))}
    if "perRetryTimeout" in declared:
        made["per_try_timeout"] = duration(declared["perRetryTimeout"])
    made |= _PREDICATES
    if codes:
        made["retriable_status_codes"] = list(codes)
    return made


def timeouts(timeout: Mapping[str, Any] | None) -> Json:
    """The timeouts of a request, for a route or a listener."""
    given = timeout or {}
    made: Json = {"timeout": duration(given["perRequest"]) if "perRequest" in given else REQUEST_TIMEOUT}
    if "idle" in given:
        made["idle_timeout"] = duration(given["idle"])
    return made
