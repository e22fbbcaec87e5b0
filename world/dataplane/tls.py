"""Encryption: what a listener demands, and what its callers do for it. Pure.

A caller's own policy decides where it covers the port. Else the server's mode does: then its callers encrypt, without a look at its certificate.
Certificates of ACM come from the management service as secrets, under their ARN; this one has none to give.
"""

from world.dataplane import names
from world.dataplane.names import SDS_CLUSTER, Spec

_TLS = "extensions.transport_sockets.tls.v3."


def server(tls: Spec | None) -> Spec | None:
    """The transport socket of a filter chain; None where the listener takes plain text alone."""
    if not tls or tls["mode"] == "DISABLED":
        return None
    common = _certificate(tls["certificate"])
    more: Spec = {}
    if validation := tls.get("validation"):
        common |= _validation(validation, ())
        more = {"require_client_certificate": True}
    return names.typed("envoy.transport_sockets.tls", f"{_TLS}DownstreamTlsContext", common_tls_context=common, **more)


def permissive(tls: Spec | None) -> bool:
    """Whether the listener takes plain text as well."""
    return bool(tls and tls["mode"] == "PERMISSIVE")


def client(policy: Spec | None, listener: Spec, discovered: str) -> Spec | None:
    """The transport socket towards a node's listener; `discovered` is the name that its certificate must carry if the policy names none."""
    serves = (listener.get("tls") or {}).get("mode") in ("STRICT", "PERMISSIVE")
    ours = (policy or {}).get("tls")
    if ours and ours.get("ports") and listener["portMapping"]["port"] not in ours["ports"]:
        ours = None
    if not serves and not (ours and ours.get("enforce", True)):
        return None
    common: Spec = {}
    if ours:
        common = _certificate(ours["certificate"]) if ours.get("certificate") else {}
        common |= _validation(ours["validation"], [discovered] if discovered else [])
    return names.typed("envoy.transport_sockets.tls", f"{_TLS}UpstreamTlsContext", common_tls_context=common)


def _certificate(declared: Spec) -> Spec:
    if file := declared.get("file"):
        pair = {"certificate_chain": {"filename": file["certificateChain"]}, "private_key": {"filename": file["privateKey"]}}
        return {"tls_certificates": [pair]}
    return {"tls_certificate_sds_secret_configs": [_secret(declared, "certificateArn")]}


def _secret(declared: Spec, arn: str) -> Spec:
    if sds := declared.get("sds"):
        grpc = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": SDS_CLUSTER}}]}
        return {"name": sds["secretName"], "sds_config": {"api_config_source": grpc, "resource_api_version": "V3"}}
    found = declared["acm"][arn]
    return {"name": found if isinstance(found, str) else ",".join(found), "sds_config": names.ads()}


def _validation(declared: Spec, fallback: list[str] | tuple[str, ...]) -> Spec:
    """Whom to trust, under which names."""
    said = ((declared.get("subjectAlternativeNames") or {}).get("match") or {}).get("exact") or fallback
    wanted = [{"san_type": "URI" if "://" in name else "DNS", "matcher": {"exact": name}} for name in said]
    alternatives: Spec = {"match_typed_subject_alt_names": wanted} if wanted else {}
    trust = declared["trust"]
    if file := trust.get("file"):
        return {"validation_context": {"trusted_ca": {"filename": file["certificateChain"]}, **alternatives}}
    if not trust:  # one that the API does not know for a gateway's listener
        return {}
    secret = _secret(trust, "certificateAuthorityArns")
    return {"combined_validation_context": {"default_validation_context": alternatives, "validation_context_sds_secret_config": secret}}
