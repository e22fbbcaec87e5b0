"""Conditions of routes and gateway routes that own Envoys cannot keep, and targets that answer
nothing. Pure.
"""

from collections.abc import Iterator

from crossmesh.core.documents import Finding
from crossmesh.core.mesh.xds import gateways
from crossmesh.core.mesh.xds.declared import Declared, Face, faces, listeners, target
from crossmesh.core.mesh.xds.lost_findings import told_at
from crossmesh.core.topology import Resource, RouteMatch, ValueMatch, VirtualRouter

# Size of an RE2 program; the bootstrap allows as much (`re2.max_program_size.error_level`), as App
# Mesh's did
MOST_REGEX = 1_000


def router_conditions(router: VirtualRouter) -> Iterator[Finding]:
    """Conditions that cannot be kept."""
    ports = {
        listener["portMapping"]["port"]: listener["portMapping"]["protocol"] for listener in listeners(router.spec)
    }
    for index, route in enumerate(router.routes):
        field = f"spec.routes[{index}]"
        where = f"the route {route.name or index} of VirtualRouter {router.key}"
        if route.protocol is None:
            yield told_at(router.place, field, "error", "lost-condition", f"{where} names no kind of route", "name one")
            continue
        here, port = f"{field}.{route.protocol}Route", route.match.port
        if ports and ((port and ports.get(port) != route.protocol) or route.protocol not in ports.values()):
            shown = ", ".join(f"{number} ({protocol})" for number, protocol in sorted(ports.items()))
            message = (
                f"{where} is for {route.protocol}{f' on port {port}' if port else ''}, its router listens on {shown}:"
                " no listener has it"
            )
            yield told_at(
                router.place, here, "error", "lost-condition", message, "make protocol and port those of a listener"
            )
        if not ports:
            message = f"VirtualRouter {router.key} has no listener: its routes belong to no port"
            yield told_at(router.place, "spec", "error", "lost-condition", message, "say on which port it listens")
            return
        for problem, inner in _conditions(route.match):
            yield told_at(
                router.place,
                f"{here}.match{inner}",
                "error",
                "lost-condition",
                f"{where}: {problem}",
                "write it another way",
            )
        if route.targets and not any(one.weight for one in route.targets):
            message = f"{where} has no target with a weight above 0: its requests are answered 503"
            yield told_at(
                router.place, here, "error", "no-weight", message, "give at least one target a weight above 0"
            )


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


def router_targets(declared: Declared, router: VirtualRouter) -> Iterator[Finding]:
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
                yield told_at(router.place, field, "warning", "unknown-target", message, "declare it")
            elif not target(declared, one.virtual_node, one.port, Face(service="", port=0, protocol="http")).listener:
                message = f"{node.key} does not listen there: its share of requests is answered 503"
                yield told_at(router.place, field, "warning", "no-listener", message, "give it that listener")
            elif not one.port and len(listeners(node.spec)) > 1:
                message = (
                    f"{node.key} has several listeners and the target names no port: the router's own port is asked"
                )
                yield told_at(router.place, field, "warning", "port-guessed", message, "name the port")


def gateway_conditions(declared: Declared, gateway: Resource) -> Iterator[Finding]:
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
                yield told_at(
                    route.place,
                    field,
                    "error",
                    "lost-condition",
                    message,
                    "make protocol and port those of a listener of the gateway",
                )
            for problem, inner in _conditions(way.match):
                yield told_at(
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
                yield told_at(route.place, field, "warning", "lost-target", message, "lead it to a service of HTTP")
            if way.target_port and shown_at and way.target_port not in shown_at:
                message = (
                    f"GatewayRoute {route.key} leads to port {way.target_port}, {way.service} has"
                    f" {', '.join(map(str, shown_at))}"
                )
                yield told_at(
                    route.place,
                    f"{field}.action.target.port",
                    "warning",
                    "lost-target",
                    message,
                    "name one of its ports",
                )
