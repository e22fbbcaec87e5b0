"""What own Envoys cannot be given of what is declared: judged before anything is rendered. Pure.

A condition of a route that is lost withholds its whole router or gateway: traffic is never widened.
So does encryption that cannot be had, unless it was waived by name. Other lost behaviour is a
warning.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from crossmesh.core.documents import Finding, SourceLocation
from crossmesh.core.mesh.xds import gateways, tls
from crossmesh.core.mesh.xds.declared import Declared, Face, discovery_name, face_targets, faces, listeners, target
from crossmesh.core.mesh.xds.defaults import HTTP2, Json
from crossmesh.core.topology import Resource, RouteMatch, ValueMatch, VirtualNode, VirtualRouter

# Size of an RE2 program; the bootstrap allows as much (`re2.max_program_size.error_level`), as App
# Mesh's did
MOST_REGEX = 1_000


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
        if found := list(_router(router)):
            findings += found
            withheld.add(Withheld(kind="VirtualRouter", mesh=declared.mesh, name=router.aws_name))
        findings += _targets(declared, router)
    owners: list[VirtualNode | Resource] = [*declared.nodes.values(), *declared.gateways.values()]
    listeners = (one for node in declared.nodes.values() for one in node.spec.get("listeners") or ())
    uncertified = any(tls.cannot_be_had(listener) for listener in listeners)
    for owner in owners:
        kind: Literal["VirtualNode", "VirtualGateway"] = (
            "VirtualNode" if isinstance(owner, VirtualNode) else "VirtualGateway"
        )
        broken = list(_gateway(declared, owner)) if isinstance(owner, Resource) else []
        missing = list(_encryption(declared, owner, uncertified=uncertified))
        findings += broken + missing
        if any(finding.level == "error" for finding in broken + missing):
            withheld.add(Withheld(kind=kind, mesh=declared.mesh, name=owner.aws_name))
    for node in declared.nodes.values():
        findings += _node(declared, node)
    return Judgement(findings=tuple(findings), withheld=frozenset(withheld))


def _told(place: SourceLocation, field: str, level: Literal["error", "warning"], code: str, *words: str) -> Finding:
    message, fix = (*words, "")[:2]
    return Finding(level=level, code=code, place=msgspec.structs.replace(place, field=field), message=message, fix=fix)


def _router(router: VirtualRouter) -> Iterator[Finding]:
    """Conditions that cannot be kept."""
    ports = {
        listener["portMapping"]["port"]: listener["portMapping"]["protocol"] for listener in listeners(router.spec)
    }
    for index, route in enumerate(router.routes):
        field = f"spec.routes[{index}]"
        where = f"the route {route.name or index} of VirtualRouter {router.key}"
        if route.protocol is None:
            yield _told(router.place, field, "error", "lost-condition", f"{where} names no kind of route", "name one")
            continue
        here, port = f"{field}.{route.protocol}Route", route.match.port
        if ports and ((port and ports.get(port) != route.protocol) or route.protocol not in ports.values()):
            shown = ", ".join(f"{number} ({protocol})" for number, protocol in sorted(ports.items()))
            message = (
                f"{where} is for {route.protocol}{f' on port {port}' if port else ''}, its router listens on {shown}:"
                " no listener has it"
            )
            yield _told(
                router.place, here, "error", "lost-condition", message, "make protocol and port those of a listener"
            )
        if not ports:
            message = f"VirtualRouter {router.key} has no listener: its routes belong to no port"
            yield _told(router.place, "spec", "error", "lost-condition", message, "say on which port it listens")
            return
        for problem, inner in _conditions(route.match):
            yield _told(
                router.place,
                f"{here}.match{inner}",
                "error",
                "lost-condition",
                f"{where}: {problem}",
                "write it another way",
            )
        if route.targets and not any(one.weight for one in route.targets):
            message = f"{where} has no target with a weight above 0: its requests are answered 503"
            yield _told(router.place, here, "error", "no-weight", message, "give at least one target a weight above 0")


def _conditions(match: RouteMatch) -> Iterator[tuple[str, str]]:
    """(what is wrong, field below the match) of conditions that Envoy refuses."""
    if match.regex is not None and (problem := refused(match.regex)):
        yield problem, ".path.regex"
    for what, values in (("headers", match.headers), ("metadata", match.metadata)):
        for index, value in enumerate(values):
            if problem := _value(value):
                yield problem, f".{what}[{index}].match"
    if match.grpc_method is not None and match.grpc_service is None:
        yield "a method without its service matches nothing", ".methodName"


def _value(one: ValueMatch) -> str:
    span = one.match.get("range") or {}
    if span and int(span.get("start", 0)) >= int(span.get("end", 0)):
        return f"the range of {one.name} is empty"
    return refused(one.match["regex"]) if "regex" in one.match else ""


def refused(pattern: str) -> str:
    """Why Envoy refuses a regular expression, "" = it does not."""
    import re2  # only where a route has a pattern: 1.6 MB

    options = re2.Options()
    options.log_errors = False
    try:
        size = re2.compile(pattern, options).programsize
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        return f"RE2 refuses the pattern {pattern!r}: {reason.decode() if isinstance(reason, bytes) else reason}"
    return f"the pattern {pattern!r} has {size} steps, of at most {MOST_REGEX}" if size > MOST_REGEX else ""


def _targets(declared: Declared, router: VirtualRouter) -> Iterator[Finding]:
    """Shares of requests that are answered 503, and ports that had to be guessed."""
    for index, route in enumerate(router.routes):
        for number, one in enumerate(route.targets):
            if not one.virtual_node:
                continue
            field = f"spec.routes[{index}].{route.protocol}Route.action.weightedTargets[{number}]"
            node = declared.nodes.get(one.virtual_node)
            if node is None:
                message = (
                    f"no document declares the virtual node {one.virtual_node}: its share of requests is answered 503"
                )
                yield _told(router.place, field, "warning", "unknown-target", message, "declare it")
            elif not target(declared, one.virtual_node, one.port, Face(service="", port=0, protocol="http")).listener:
                message = f"{node.key} does not listen there: its share of requests is answered 503"
                yield _told(router.place, field, "warning", "no-listener", message, "give it that listener")
            elif not one.port and len(listeners(node.spec)) > 1:
                message = (
                    f"{node.key} has several listeners and the target names no port: the router's own port is asked"
                )
                yield _told(router.place, field, "warning", "port-guessed", message, "name the port")


def _gateway(declared: Declared, gateway: Resource) -> Iterator[Finding]:
    """Gateway routes whose conditions cannot be kept."""
    ports = {
        listener["portMapping"]["port"]: listener["portMapping"]["protocol"] for listener in listeners(gateway.spec)
    }
    for route in declared.gateway_routes.get(gateway.aws_name, ()):
        for way in gateways.as_way(route):
            field = f"spec.{way.protocol}Route"
            fits = [port for port, protocol in ports.items() if protocol == way.protocol and way.port in (None, port)]
            if not fits:
                shown = ", ".join(f"{port} ({protocol})" for port, protocol in sorted(ports.items())) or "no port"
                message = (
                    f"GatewayRoute {route.key} is for {way.protocol}{f' on port {way.port}' if way.port else ''}, its"
                    f" gateway has {shown}"
                )
                yield _told(
                    route.place,
                    field,
                    "error",
                    "lost-condition",
                    message,
                    "make protocol and port those of a listener of the gateway",
                )
            for problem, inner in _conditions(way.match):
                yield _told(
                    route.place,
                    f"{field}.match{inner}",
                    "error",
                    "lost-condition",
                    f"GatewayRoute {route.key}: {problem}",
                )
            shown_at = {face.port: face for face in faces(declared, way.service)}
            if shown_at and all(face.protocol == "tcp" for face in shown_at.values()):
                message = (
                    f"GatewayRoute {route.key} leads to {way.service}, which speaks TCP: its requests are answered 404"
                )
                yield _told(route.place, field, "warning", "lost-target", message, "lead it to a service of HTTP")
            if way.target_port and shown_at and way.target_port not in shown_at:
                message = (
                    f"GatewayRoute {route.key} leads to port {way.target_port}, {way.service} has"
                    f" {', '.join(map(str, shown_at))}"
                )
                yield _told(
                    route.place,
                    f"{field}.action.target.port",
                    "warning",
                    "lost-target",
                    message,
                    "name one of its ports",
                )


def _encryption(declared: Declared, owner: VirtualNode | Resource, *, uncertified: bool) -> Iterator[Finding]:
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
            yield _told(
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
            yield _told(owner.place, field, "error", "no-encryption", message, fix)
    for field, what in _acm(owner.spec):
        if waived:
            message = f"{kind} {owner.key} declares {what}: left out, as `mesh.envoy.plaintext` allows"
            yield _told(owner.place, field, "warning", "no-encryption", message)
        else:
            message = (
                f"{kind} {owner.key} declares {what}, and ACM hands out neither private keys nor trust to Envoys of"
                " your own"
            )
            fix = f"use file or sds; or add {owner.key} to mesh.envoy.plaintext, and it goes without"
            yield _told(owner.place, field, "error", "no-encryption", message, fix)


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
                yield _told(
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
            yield _told(
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
        yield _told(
            node.place,
            f"{field}.healthCheck.protocol",
            "warning",
            "approximated",
            message,
            "check by the listener's protocol",
        )
    if check.get("protocol") in ("http", "http2") and not check.get("path"):
        message = f"the health check of VirtualNode {node.key} names no path: / is asked"
        yield _told(node.place, f"{field}.healthCheck", "warning", "approximated", message, "name the path")
    if check and not discovery_name(node):
        message = f"VirtualNode {node.key} has a health check and is not discovered: nobody checks it"
        yield _told(node.place, f"{field}.healthCheck", "warning", "lost-health-check", message)
