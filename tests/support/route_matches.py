"""What a route matches, as App Mesh takes it and as Envoy does: (match, RouteMatch)."""

from typing import Any

MATCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"prefix": "/a"}, {"prefix": "/a"}),
    ({"path": {"exact": "/a"}}, {"path": "/a"}),
    ({"path": {"regex": "/a.*"}}, {"safe_regex": {"regex": "/a.*"}}),
    ({"prefix": "/", "method": "GET"}, {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}),
    ({"prefix": "/", "scheme": "https"}, {"prefix": "/", "headers": [{"name": ":scheme", "string_match": {"exact": "https"}}]}),
    (
        {"prefix": "/", "headers": [{"name": "x", "match": {"range": {"start": 1, "end": 9}}, "invert": True}]},
        {"prefix": "/", "headers": [{"name": "x", "invert_match": True, "range_match": {"start": 1, "end": 9}}]},
    ),
    (
        {"prefix": "/", "headers": [{"name": "x", "match": {"regex": "a.b"}}]},
        {"prefix": "/", "headers": [{"name": "x", "invert_match": False, "string_match": {"safe_regex": {"regex": "a.b"}}}]},
    ),
    (
        {"prefix": "/", "headers": [{"name": "x"}]},
        {"prefix": "/", "headers": [{"name": "x", "invert_match": False, "present_match": True}]},
    ),
    (
        {"prefix": "/", "queryParameters": [{"name": "q", "match": {"exact": "1"}}, {"name": "p"}]},
        {"prefix": "/", "query_parameters": [{"name": "q", "string_match": {"exact": "1"}}, {"name": "p", "present_match": True}]},
    ),
]
