"""What a route or gateway route matches, in Envoy's words, and in which order App Mesh tries them. Pure."""

from world.dataplane.names import Spec
from world.dataplane.reading import kind_of


def precedence(route: Spec) -> tuple[bool, int, int, str]:
    """Priority 0 first, none last; then the longer prefix or exact path; then the name."""
    spec = route["spec"]
    match = spec[kind_of(route)].get("match") or {}
    priority = spec.get("priority")
    return priority is None, priority or 0, -len(match.get("prefix") or (match.get("path") or {}).get("exact") or ""), route["routeName"]


def matched(match: Spec, *, grpc: bool) -> Spec:
    """A RouteMatch."""
    headers = [_header(header) for header in match.get("headers") or ()]
    found: Spec = {}
    if grpc:
        service, method = match.get("serviceName"), match.get("methodName")
        headers = [_header(metadata) for metadata in match.get("metadata") or ()]
        found = {"path": f"/{service}/{method}"} if service and method else {"prefix": f"/{service}/" if service else "/"}
        found["grpc"] = {}
    elif path := match.get("path"):
        found = {"path": path["exact"]} if "exact" in path else {"safe_regex": {"regex": path["regex"]}}
    else:
        found = {"prefix": match.get("prefix") or "/"}
    if match.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": match["method"]}})
    if match.get("scheme"):
        headers.append({"name": ":scheme", "string_match": {"exact": match["scheme"]}})
    if headers:
        found["headers"] = headers
    queries = [
        {"name": q["name"], "string_match": {"exact": q["match"]["exact"]}} if q.get("match") else {"name": q["name"], "present_match": True}
        for q in match.get("queryParameters") or ()
    ]
    return {**found, "query_parameters": queries} if queries else found


def _header(header: Spec) -> Spec:
    found: Spec = {"name": header["name"], "invert_match": bool(header.get("invert"))}
    match = header.get("match")
    if not match:
        return {**found, "present_match": True}
    if "range" in match:
        return {**found, "range_match": {"start": match["range"]["start"], "end": match["range"]["end"]}}
    if "regex" in match:
        return {**found, "string_match": {"safe_regex": {"regex": match["regex"]}}}
    kind = next(kind for kind in ("exact", "prefix", "suffix") if kind in match)
    return {**found, "string_match": {kind: match[kind]}}
