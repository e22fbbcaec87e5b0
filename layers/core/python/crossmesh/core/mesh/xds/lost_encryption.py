"""Encryption that own Envoys cannot have: ACM hands out neither private keys nor trust. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from crossmesh.core.documents import Finding
from crossmesh.core.mesh.xds import gateways, tls
from crossmesh.core.mesh.xds.declared import Declared, face_targets, faces
from crossmesh.core.mesh.xds.defaults import Json
from crossmesh.core.mesh.xds.lost_findings import told_at
from crossmesh.core.topology import Resource, VirtualNode


def encryption(declared: Declared, owner: VirtualNode | Resource, *, uncertified: bool) -> Iterator[Finding]:
    """Certificates and trust of ACM, which nobody can export, and callers that insist on TLS with a
    node which therefore has none. `uncertified`: there is such a node.
    """
    kind, waived = (
        "VirtualNode" if isinstance(owner, VirtualNode) else "VirtualGateway",
        owner.key in declared.plaintext,
    )
    for field, server in _insisting(declared, owner) if uncertified else ():
        message = f"{kind} {owner.key} insists on TLS with {server}, whose certificate of ACM cannot be had"
        if waived:
            yield told_at(
                owner.place,
                field,
                "warning",
                "no-encryption",
                f"{message}: it goes without, as `mesh.envoy.plaintext` allows",
            )
        else:
            fix = (
                f"give {server} a certificate by file or sds; or add {owner.key} to mesh.envoy.plaintext, too, and it"
                " goes without"
            )
            yield told_at(owner.place, field, "error", "no-encryption", message, fix)
    for field, what in _acm(owner.spec):
        if waived:
            message = f"{kind} {owner.key} declares {what}: left out, as `mesh.envoy.plaintext` allows"
            yield told_at(owner.place, field, "warning", "no-encryption", message)
        else:
            message = (
                f"{kind} {owner.key} declares {what}, and ACM hands out neither private keys nor trust to Envoys of"
                " your own"
            )
            fix = f"use file or sds; or add {owner.key} to mesh.envoy.plaintext, and it goes without"
            yield told_at(owner.place, field, "error", "no-encryption", message, fix)


def _insisting(declared: Declared, owner: VirtualNode | Resource) -> Iterator[tuple[str, str]]:
    """(field of the policy, key of the node) of targets that a policy of the owner's wants TLS of,
    and that cannot have it.
    """
    defaults = owner.spec.get("backendDefaults") or {}
    asked: dict[str, tuple[str, Json]] = {}
    if isinstance(owner, VirtualNode):
        for index, backend in enumerate(owner.spec.get("backends") or ()):
            service = backend.get("virtualService") or {}
            own = service.get("clientPolicy") or {}
            field = (
                f"spec.backends[{index}].virtualService.clientPolicy"
                if own.get("tls")
                else "spec.backendDefaults.clientPolicy"
            )
            asked[str(service.get("@VirtualService", ""))] = (field, tls.client_policy(defaults, own))
    else:
        for route in declared.gateway_routes.get(owner.aws_name, ()):
            for way in gateways.as_way(route):
                asked[way.service] = ("spec.backendDefaults.clientPolicy", tls.client_policy(defaults, None))
    for service, (field, policy) in sorted(asked.items(), key=lambda one: one[0]):
        for face in faces(declared, service):
            for one in face_targets(declared, face):
                if one.node is not None and tls.cannot_be_had(one.listener) and tls.enforced(policy, one.port):
                    yield field, one.node.key


def _acm(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for index, listener in enumerate(spec.get("listeners") or ()):
        declared = listener.get("tls") or {}
        if declared.get("mode", "DISABLED") == "DISABLED":
            continue
        if "acm" in (declared.get("certificate") or {}):
            yield f"spec.listeners[{index}].tls.certificate.acm", "a certificate of ACM"
        if "acm" in ((declared.get("validation") or {}).get("trust") or {}):
            yield f"spec.listeners[{index}].tls.validation.trust.acm", "trust of ACM"
    policies = [("spec.backendDefaults", spec.get("backendDefaults") or {})]
    policies += [
        (f"spec.backends[{n}].virtualService", one.get("virtualService") or {})
        for n, one in enumerate(spec.get("backends") or ())
    ]
    for field, holder in policies:
        trust = (((holder.get("clientPolicy") or {}).get("tls") or {}).get("validation") or {}).get("trust") or {}
        if "acm" in trust:
            yield f"{field}.clientPolicy.tls.validation.trust.acm", "trust of ACM"
