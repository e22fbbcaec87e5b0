"""TLS between proxies: the server's mode, the callers' policies, certificates from files and from
SDS. Pure.

Source: App Mesh user guide, "Transport Layer Security (TLS)". Certificates of ACM cannot be
exported: whoever declares them is withheld (`lost`), or was waived by name (`mesh.envoy.plaintext`)
and is spoken to without.
"""

from collections.abc import Mapping
from typing import Any

from crossmesh.core.mesh.xds import names
from crossmesh.core.mesh.xds.declared import Target, discovery_name
from crossmesh.core.mesh.xds.defaults import Json, typed

_TLS = "extensions.transport_sockets.tls.v3"


def listener_tls(listener: Mapping[str, Any]) -> Json:
    """A listener's TLS as far as it is on and its certificate can be had, else {}."""
    tls: Json = listener.get("tls") or {}
    certificate = tls.get("certificate") or {}
    on = tls.get("mode") in ("STRICT", "PERMISSIVE") and ("file" in certificate or "sds" in certificate)
    return tls if on else {}


def cannot_be_had(listener: Mapping[str, Any]) -> bool:
    """Whether a listener is to speak TLS with a certificate that nobody can export."""
    tls = listener.get("tls") or {}
    return tls.get("mode") in ("STRICT", "PERMISSIVE") and not listener_tls(listener)


def enforced(policy: Mapping[str, Any], port: int) -> bool:
    """Whether a client policy wants TLS at a port whatever the server says."""
    ports = policy.get("ports") or ()
    return bool(policy) and (not ports or port in ports) and bool(policy.get("enforce", True))


def downstream(listener: Mapping[str, Any]) -> Json | None:
    """The transport socket of a listener, None = plain text."""
    tls = listener_tls(listener)
    if not tls:
        return None
    common, validation = _certificate(tls["certificate"]), tls.get("validation") or {}
    context = _validation(validation.get("trust") or {}, _names(validation))
    made: Json = {"common_tls_context": {**common, **context}}
    if context:
        made["require_client_certificate"] = True
    return _socket("DownstreamTlsContext", made)


def client_policy(defaults: Mapping[str, Any] | None, own: Mapping[str, Any] | None) -> Json:
    """The TLS policy for a backend: its own, else that of the caller's backend defaults; {} =
    none.
    """
    policy: Json = ((own or {}).get("tls")) or (((defaults or {}).get("clientPolicy") or {}).get("tls")) or {}
    return policy


def upstream(policy: Json, target: Target, *, waived: bool = False) -> Json | None:
    """The transport socket of the cluster by which a caller with that policy asks a target, None =
    plain text.

    The policy decides where it covers the port; elsewhere the server's own listener does, and then
    nothing is validated. `waived`: the caller may go without, where the server has to.
    """
    serves, name = bool(listener_tls(target.listener)), discovery_name(target.node)
    ports = policy.get("ports") or ()
    covered = bool(policy) and (not ports or target.port in ports)
    if not serves and (not enforced(policy, target.port) or (waived and cannot_be_had(target.listener))):
        return None
    if not covered:
        return _socket("UpstreamTlsContext", {"common_tls_context": {}, **({"sni": name} if name else {})})
    validation = policy.get("validation") or {}
    wanted = _names(validation) or ((name,) if name else ())
    common = {**_certificate(policy.get("certificate") or {}), **_validation(validation.get("trust") or {}, wanted)}
    return _socket("UpstreamTlsContext", {"common_tls_context": common, **({"sni": name} if name else {})})


def _socket(kind: str, context: Json) -> Json:
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(f"{_TLS}.{kind}", **context)}


def _certificate(certificate: Mapping[str, Any]) -> Json:
    """A proxy's own certificate, {} = it shows none."""
    if "file" in certificate:
        chain, key = certificate["file"].get("certificateChain", ""), certificate["file"].get("privateKey", "")
        return {"tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}]}
    if "sds" in certificate:
        return {"tls_certificate_sds_secret_configs": [_secret(certificate["sds"].get("secretName", ""))]}
    return {}


def _validation(trust: Mapping[str, Any], wanted: tuple[str, ...]) -> Json:
    """Whose certificates are accepted, {} = everybody's."""
    matchers = [matcher for name in wanted for matcher in _matchers(name)]
    typed_names: Json = {"match_typed_subject_alt_names": matchers} if matchers else {}
    if "file" in trust:
        return {
            "validation_context": {"trusted_ca": {"filename": trust["file"].get("certificateChain", "")}, **typed_names}
        }
    if "sds" in trust:
        secret = _secret(trust["sds"].get("secretName", ""))
        return {
            "combined_validation_context": {
                "default_validation_context": typed_names,
                "validation_context_sds_secret_config": secret,
            }
        }
    return {}


def _names(validation: Mapping[str, Any]) -> tuple[str, ...]:
    """Subject alternative names that were declared."""
    return tuple(((validation.get("subjectAlternativeNames") or {}).get("match") or {}).get("exact") or ())


def _matchers(name: str) -> list[Json]:
    """A subject alternative name: of SPIFFE it is a URI, else a DNS name."""
    return [{"san_type": "URI" if "://" in name else "DNS", "matcher": {"exact": name}}]


def _secret(name: str) -> Json:
    """A secret of the node's SDS agent (SPIRE)."""
    services = [{"envoy_grpc": {"cluster_name": names.SDS_CLUSTER}}]
    source = {
        "api_config_source": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": services},
        "resource_api_version": "V3",
    }
    return {"name": name, "sds_config": source}
