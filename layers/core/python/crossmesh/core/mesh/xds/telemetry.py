"""Access logs and tracing of a proxy. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from crossmesh.core.mesh.xds import names
from crossmesh.core.mesh.xds.defaults import (
    CLUSTER,
    EGRESS_CONNECT,
    Json,
    assignment,
    http2_upstream,
    limits,
    socket,
    typed,
)
from crossmesh.core.settings import EnvoyTracing


def access_log(spec: Mapping[str, Any]) -> list[Json]:
    """The access log that a virtual node or gateway declares, for both directions: one file, in
    Envoy's own format or a declared one.
    """
    file = ((spec.get("logging") or {}).get("accessLog") or {}).get("file") or {}
    if not file.get("path"):
        return []
    form, made = file.get("format") or {}, {}
    if form.get("json"):
        made = {
            "log_format": {
                "json_format": {one["key"]: one["value"] for one in form["json"] if {"key", "value"} <= one.keys()}
            }
        }
    elif form.get("text"):
        made = {"log_format": {"text_format_source": {"inline_string": form["text"]}}}
    config = typed("extensions.access_loggers.file.v3.FileAccessLog", path=file["path"], **made)
    return [{"name": "envoy.access_loggers.file", "typed_config": config}]


def tracing(settings: EnvoyTracing | None, mesh: str, name: str) -> Json:
    """The tracing of an HTTP connection manager. {} leaves it to the bootstrap, as App Mesh did."""
    if settings is None:
        return {}
    host, _, port = settings.endpoint.rpartition(":")
    if settings.provider == "otlp":
        service = {"envoy_grpc": {"cluster_name": names.OTLP_CLUSTER}}
        config = typed("config.trace.v3.OpenTelemetryConfig", grpc_service=service, service_name=f"{mesh}/{name}")
        provider = {"name": "envoy.tracers.opentelemetry", "typed_config": config}
        return {"provider": provider, "random_sampling": {"value": settings.sampling}}
    rule = json.dumps({"version": 2, "default": {"fixed_target": 1, "rate": settings.sampling / 100}}, sort_keys=True)
    config = typed(
        "config.trace.v3.XRayConfig",
        daemon_endpoint={"protocol": "UDP", "address": host, "port_value": int(port)},
        segment_name=f"{mesh}/{name}",
        segment_fields={"origin": "AWS::AppMesh::Proxy"},
        sampling_rule_manifest={"inline_string": rule},
    )
    return {"provider": {"name": "envoy.tracers.xray", "typed_config": config}}


def collector(settings: EnvoyTracing | None) -> list[Json]:
    """The cluster of an OTLP collector, where one is named."""
    if settings is None or settings.provider != "otlp":
        return []
    host, _, port = settings.endpoint.rpartition(":")
    name = names.OTLP_CLUSTER
    made: Json = {
        "@type": CLUSTER,
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": EGRESS_CONNECT,
        "circuit_breakers": limits(),
    }
    made["typed_extension_protocol_options"] = http2_upstream()
    return [made | {"load_assignment": assignment(name, socket(host, int(port)))}]
