"""Two plain readings of where a request goes: App Mesh's documented rules on the manifests, and Envoy's documented rules on a route table.

Neither knows the renderer. Sources: App Mesh user guide ("Routes", "Gateway routes") and API reference; Envoy's `route_components.proto`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Json = Mapping[str, Any]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a proxy sees it. Header names are small letters."""

    host: str
    path: str
    method: str = "GET"
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    scheme: str = "http"

    @property
    def known(self) -> dict[str, str]:
        """Headers and pseudo headers."""
        return {**dict(self.headers), ":method": self.method, ":authority": self.host, ":scheme": self.scheme}


# App Mesh, on the manifests.


def may_go(routes: Sequence[Json], request: Request) -> set[frozenset[tuple[str, int]]]:
    """The targets (name, weight) of every route that may take the request: the first by priority, then by the more specific path.

    Several where the documents leave the order open; {} = none takes it.
    """
    fitting = [route for route in routes if _fits(route["httpRoute"]["match"], request)]
    if not fitting:
        return set()
    best = min(_rank(route) for route in fitting)
    return {_targets(route) for route in fitting if _rank(route) == best}


def _targets(route: Json) -> frozenset[tuple[str, int]]:
    return frozenset((one["virtualNodeRef"]["name"], one["weight"]) for one in route["httpRoute"]["action"]["weightedTargets"])


def _rank(route: Json) -> tuple[int, int, int]:
    match = route["httpRoute"]["match"]
    path = match.get("path")
    priority = route.get("priority", 1_001)
    return (priority, 0, -len(next(iter(path.values())))) if path else (priority, 1, -len(match["prefix"]))


def _fits(match: Json, request: Request) -> bool:
    path = match.get("path") or {}
    if "exact" in path and request.path != path["exact"]:
        return False
    if "regex" in path and not re.fullmatch(path["regex"], request.path):
        return False
    if "prefix" in match and not request.path.startswith(match["prefix"]):
        return False
    if match.get("method", request.method) != request.method:
        return False
    headers, query = dict(request.headers), dict(request.query)
    if not all(_value_fits(one, headers.get(one["name"].lower())) for one in match.get("headers", ())):
        return False
    return all(
        one["name"] in query and query[one["name"]] == one.get("match", {}).get("exact", query[one["name"]])
        for one in match.get("queryParameters", ())
    )


def _value_fits(one: Json, value: str | None) -> bool:
    """A header that is not there fits nothing that asks for a value, not even an inverted match; inverted presence is its absence."""
    match, inverted = one.get("match"), bool(one.get("invert"))
    if not match:
        return (value is not None) != inverted
    if value is None:
        return False
    (kind, wanted), *_ = match.items()
    found = {
        "exact": lambda: value == wanted,
        "prefix": lambda: value.startswith(wanted),
        "suffix": lambda: value.endswith(wanted),
        "regex": lambda: re.fullmatch(wanted, value) is not None,
        "range": lambda: re.fullmatch(r"-?[0-9]+", value) is not None and wanted["start"] <= int(value) < wanted["end"],
    }[kind]()
    return bool(found) != inverted


# Envoy, on a route table.


def goes(table: Json, request: Request) -> Json | None:
    """The route that Envoy takes, None = 404. The virtual host whose domain names the host, else `*`; then the first route that matches."""
    hosts = table["virtual_hosts"]
    found = next((host for host in hosts if request.host.lower() in map(str.lower, host["domains"])), None)
    found = found or next((host for host in hosts if "*" in host["domains"]), None)
    for route in (found or {}).get("routes", ()):
        if _matches(route["match"], request):
            chosen: Json = route
            return chosen
    return None


def _matches(match: Json, request: Request) -> bool:
    if "prefix" in match and not request.path.startswith(match["prefix"]):
        return False
    if "path" in match and request.path != match["path"]:
        return False
    if "safe_regex" in match and not re.fullmatch(match["safe_regex"]["regex"], request.path):
        return False
    query = dict(request.query)
    return all(_header(one, request.known.get(one["name"].lower())) for one in match.get("headers", ())) and all(
        one["name"] in query and ("string_match" not in one or query[one["name"]] == one["string_match"]["exact"])
        for one in match.get("query_parameters", ())
    )


def _header(one: Json, value: str | None) -> bool:
    inverted = bool(one.get("invert_match"))
    if one.get("present_match"):
        return (value is not None) != inverted
    if value is None:
        return False
    if "range_match" in one:
        span = one["range_match"]
        fits = re.fullmatch(r"-?[0-9]+", value) is not None and int(span["start"]) <= int(value) < int(span["end"])
    else:
        (kind, wanted), *_ = one["string_match"].items()
        fits = {
            "exact": lambda: value == wanted,
            "prefix": lambda: value.startswith(wanted),
            "suffix": lambda: value.endswith(wanted),
            "safe_regex": lambda: re.fullmatch(wanted["regex"], value) is not None,
        }[kind]()
    return bool(fits) != inverted


def rewritten(route: Json, request: Request) -> Request:
    """What the next hop receives of a route that hands a request on."""
    action, path = route["route"], request.path
    if "regex_rewrite" in action:
        path = re.sub(action["regex_rewrite"]["pattern"]["regex"], lambda _: action["regex_rewrite"]["substitution"], path)
    elif "prefix_rewrite" in action:
        path = action["prefix_rewrite"] + path[len(route["match"].get("prefix", path)) :]
    headers = {key: value for key, value in request.headers if key not in route.get("request_headers_to_remove", ())}
    for one in route.get("request_headers_to_add", ()):
        key, value = one["header"]["key"], one["header"]["value"]
        over = one.get("append_action") == "OVERWRITE_IF_EXISTS_OR_ADD" or key not in headers
        headers[key] = value if over else f"{headers[key]},{value}"
    return msgspec.structs.replace(
        request, host=action.get("host_rewrite_literal", request.host), path=path, headers=tuple(sorted(headers.items()))
    )
