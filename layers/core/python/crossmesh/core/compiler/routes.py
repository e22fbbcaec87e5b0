"""Routes, providers and backends as values, from resolved specs. The only place where they are
taken out of documents.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from crossmesh.core.topology import (
    ROUTE_KINDS,
    NodeProvider,
    Route,
    RouteMatch,
    RouterProvider,
    ValueMatch,
    WeightedTarget,
)


def routes_of(spec: Mapping[str, Any]) -> tuple[Route, ...]:
    """The routes of a virtual router's resolved spec."""
    return tuple(route_of(route) for route in spec.get("routes") or ())


def route_of(document: dict[str, Any]) -> Route:
    """One route. Of several kinds, which is an error elsewhere, the first counts."""
    kind = next((kind for kind in ROUTE_KINDS if kind in document), "")
    body: Mapping[str, Any] = document.get(kind) or {}
    priority = document.get("priority")
    return Route(
        name=str(document.get("name", "")),
        protocol=ROUTE_KINDS.get(kind),
        priority=None if priority is None else int(priority),
        match=_match(body.get("match") or {}),
        targets=tuple(_target(target) for target in (body.get("action") or {}).get("weightedTargets") or ()),
        retries=bool(body.get("retryPolicy")),
        spec=document,
    )


def provider_of(spec: Mapping[str, Any]) -> NodeProvider | RouterProvider | None:
    """What provides a virtual service, by its resolved spec."""
    provider = spec.get("provider") or {}
    if node := (provider.get("virtualNode") or {}).get("@VirtualNode"):
        return NodeProvider(name=str(node))
    router = (provider.get("virtualRouter") or {}).get("@VirtualRouter")
    return RouterProvider(name=str(router)) if router else None


def backends_of(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """AWS names of the virtual services that a virtual node may ask, by its resolved spec."""
    named = ((backend.get("virtualService") or {}).get("@VirtualService") for backend in spec.get("backends") or ())
    return tuple(str(name) for name in named if name)


def _match(raw: Mapping[str, Any]) -> RouteMatch:
    path: Mapping[str, Any] = raw.get("path") or {}
    return RouteMatch(
        prefix=_text(raw.get("prefix")),
        exact=_text(path.get("exact")),
        regex=_text(path.get("regex")),
        port=raw.get("port"),
        method=_text(raw.get("method")),
        scheme=_text(raw.get("scheme")),
        grpc_service=_text(raw.get("serviceName")),
        grpc_method=_text(raw.get("methodName")),
        headers=_values(raw.get("headers") or ()),
        metadata=_values(raw.get("metadata") or ()),
        query_parameters=_values(raw.get("queryParameters") or ()),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _values(raw: Iterable[Mapping[str, Any]]) -> tuple[ValueMatch, ...]:
    return tuple(
        ValueMatch(name=str(one.get("name", "")), invert=bool(one.get("invert")), match=one.get("match") or {})
        for one in raw
    )


def _target(raw: Mapping[str, Any]) -> WeightedTarget:
    return WeightedTarget(
        virtual_node=str(raw.get("@VirtualNode", "")), weight=int(raw.get("weight") or 0), port=raw.get("port")
    )
