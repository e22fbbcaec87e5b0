"""Which requests a route takes, in Envoy's words. No condition is dropped here: what Envoy has no
words for is found before (`lost`).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from crossmesh.core.mesh.xds.defaults import Json
from crossmesh.core.topology import Protocol, RouteMatch, ValueMatch

SERVICE_HEADER, PORT_HEADER = "x-app-mesh-virtual-service", "x-crossmesh-virtual-service-port"


def exactly(name: str, value: str) -> Json:
    """A header of that value."""
    return {"name": name, "string_match": {"exact": value}}


def value_matcher(one: ValueMatch) -> Json:
    """A header or gRPC metadata. Without a match it must be there. An absent one never fits, not
    even an inverted match.
    """
    made: Json = {"name": one.name}
    match = one.match
    if "range" in match:
        made["range_match"] = {"start": str(match["range"].get("start", 0)), "end": str(match["range"].get("end", 0))}
    elif "regex" in match:
        made["string_match"] = {"safe_regex": {"regex": match["regex"]}}
    elif kind := next((kind for kind in ("exact", "prefix", "suffix") if kind in match), ""):
        made["string_match"] = {kind: match[kind]}
    else:
        made["present_match"] = True
    if one.invert:
        made["invert_match"] = True
    return made


def query_matcher(one: ValueMatch) -> Json:
    """A query parameter: of a value, or there at all."""
    if "exact" in one.match:
        return exactly(one.name, one.match["exact"])
    return {"name": one.name, "present_match": True}


def route_match(match: RouteMatch, protocol: Protocol | None, more: Iterable[Json] = ()) -> Json:
    """The match of a route; `more`: header matchers besides."""
    headers = [value_matcher(one) for one in (*match.headers, *match.metadata)]
    if match.method is not None:
        headers.append(exactly(":method", match.method))
    if match.scheme is not None:
        headers.append(exactly(":scheme", match.scheme))
    headers += more
    made = _path(match, protocol)
    if headers:
        made["headers"] = headers
    if match.query_parameters:
        made["query_parameters"] = [query_matcher(one) for one in match.query_parameters]
    return made


def _path(match: RouteMatch, protocol: Protocol | None) -> Json:
    if protocol == "grpc":
        if match.grpc_service is None:
            return {"prefix": "/"}
        if match.grpc_method is None:
            return {"prefix": f"/{match.grpc_service}/"}
        return {"path": f"/{match.grpc_service}/{match.grpc_method}"}
    if match.exact is not None:
        return {"path": match.exact}
    if match.regex is not None:
        return {"safe_regex": {"regex": match.regex}}
    return {"prefix": match.prefix if match.prefix is not None else "/"}


def hostname_matchers(hostname: Mapping[str, Any]) -> list[Json]:
    """The host that a gateway route asks for, whatever the port behind it and whatever its case."""
    patterns = []
    if hostname.get("exact") is not None:
        patterns.append(_escaped(str(hostname["exact"])))
    if hostname.get("suffix") is not None:
        patterns.append(f".*{_escaped(str(hostname['suffix']))}")
    return [
        {"name": ":authority", "string_match": {"safe_regex": {"regex": f"(?i){pattern}(:[0-9]+)?"}}}
        for pattern in patterns
    ]


def _escaped(text: str) -> str:
    """Literal text in RE2."""
    return re.sub(r"([^0-9A-Za-z_-])", r"\\\1", text) if text.isascii() else re.escape(text)
