"""What own Envoys cannot be given of what is declared: judged before anything is rendered. Pure.

A condition of a route that is lost withholds its whole router or gateway: traffic is never widened.
So does encryption that cannot be had, unless it was waived by name. Other lost behaviour is a
warning.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from crossmesh.core.documents import Finding
from crossmesh.core.mesh.xds import tls
from crossmesh.core.mesh.xds.declared import Declared, discovery_name, faces
from crossmesh.core.mesh.xds.defaults import HTTP2, Json
from crossmesh.core.mesh.xds.lost_conditions import gateway_conditions, router_conditions, router_targets
from crossmesh.core.mesh.xds.lost_encryption import encryption
from crossmesh.core.mesh.xds.lost_findings import told_at
from crossmesh.core.topology import Resource, VirtualNode


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """A document that is not rendered as it stands. `name` is its AWS name."""

    kind: Literal["VirtualRouter", "VirtualNode", "VirtualGateway"]
    mesh: str
    name: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What is lost of a mesh: `findings`, and what is withheld for it."""

    findings: tuple[Finding, ...] = ()
    withheld: frozenset[Withheld] = frozenset()


def judge(declared: Declared) -> Judgement:
    """Everything that is lost of a mesh."""
    findings: list[Finding] = []
    withheld: set[Withheld] = set()
    for router in declared.routers.values():
        if found := list(router_conditions(router)):
            findings += found
            withheld.add(Withheld(kind="VirtualRouter", mesh=declared.mesh, name=router.aws_name))
        findings += router_targets(declared, router)
    owners: list[VirtualNode | Resource] = [*declared.nodes.values(), *declared.gateways.values()]
    listeners = (one for node in declared.nodes.values() for one in node.spec.get("listeners") or ())
    uncertified = any(tls.cannot_be_had(listener) for listener in listeners)
    for owner in owners:
        kind: Literal["VirtualNode", "VirtualGateway"] = (
            "VirtualNode" if isinstance(owner, VirtualNode) else "VirtualGateway"
        )
        broken = list(gateway_conditions(declared, owner)) if isinstance(owner, Resource) else []
        missing = list(encryption(declared, owner, uncertified=uncertified))
        findings += broken + missing
        if any(finding.level == "error" for finding in broken + missing):
            withheld.add(Withheld(kind=kind, mesh=declared.mesh, name=owner.aws_name))
    for node in declared.nodes.values():
        findings += _node(declared, node)
    return Judgement(findings=tuple(findings), withheld=frozenset(withheld))


def _node(declared: Declared, node: VirtualNode) -> Iterator[Finding]:
    """Lost behaviour of a virtual node that withholds nothing."""
    for index, listener in enumerate(node.spec.get("listeners") or ()):
        yield from _listener(node, f"spec.listeners[{index}]", listener)
    ports: dict[int, tuple[str, str]] = {}
    for service in sorted(service for service in node.backends if service in declared.services):
        for face in faces(declared, service):
            first, protocol = ports.setdefault(face.port, (service, face.protocol))
            if first != service and "tcp" in (protocol, face.protocol):
                message = (
                    f"the backends {first} ({protocol}) and {service} ({face.protocol}) share port {face.port}: TCP"
                    " cannot be told apart"
                )
                yield told_at(
                    node.place,
                    "spec.backends",
                    "warning",
                    "port-shared",
                    message,
                    "let one of them listen on another port",
                )


def _listener(node: VirtualNode, field: str, listener: Json) -> Iterator[Finding]:
    ejecting, check = listener.get("outlierDetection") or {}, listener.get("healthCheck") or {}
    for name in ("interval", "baseEjectionDuration"):
        if name in ejecting and not ejecting[name].get("value"):
            message = f"Envoy takes no {name} of 0 in VirtualNode {node.key}: its own default is used"
            yield told_at(
                node.place,
                f"{field}.outlierDetection.{name}",
                "warning",
                "approximated",
                message,
                "give a time above 0",
            )
    protocol = (listener.get("portMapping") or {}).get("protocol")
    if check.get("protocol") == "grpc" and protocol not in HTTP2:
        message = (
            f"a health check of gRPC needs HTTP/2, and VirtualNode {node.key} listens for {protocol} there: connections"
            " alone are checked"
        )
        yield told_at(
            node.place,
            f"{field}.healthCheck.protocol",
            "warning",
            "approximated",
            message,
            "check by the listener's protocol",
        )
    if check.get("protocol") in ("http", "http2") and not check.get("path"):
        message = f"the health check of VirtualNode {node.key} names no path: / is asked"
        yield told_at(node.place, f"{field}.healthCheck", "warning", "approximated", message, "name the path")
    if check and not discovery_name(node):
        message = f"VirtualNode {node.key} has a health check and is not discovered: nobody checks it"
        yield told_at(node.place, f"{field}.healthCheck", "warning", "lost-health-check", message)
