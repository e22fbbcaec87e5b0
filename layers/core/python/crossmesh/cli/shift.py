"""`crossmesh shift`: record other weights for a route; the deployed application makes them, step by step, and undoes them where a canary turns red."""

import argparse
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from crossmesh import codec, configuration
from crossmesh.cli import stack
from crossmesh.cli.operate import confirmed, hint
from crossmesh.cli.printing import console, print_json
from crossmesh.core import shift
from crossmesh.core.canary import Memory
from crossmesh.core.report import Report
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Resource, Topology
from crossmesh.errors import RefusedError
from crossmesh.manifests.check import seconds_of
from crossmesh.steps import look, manifests
from crossmesh.steps.drive import drive
from crossmesh.steps.judge_canary import memory_key
from crossmesh.steps.shifts import SHIFTING, SHIFTS


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a new wish stands on: the deployed configuration, and the shifts there are."""

    settings: Settings
    topology: Topology
    state: Any
    shifts: shift.Shifts
    progress: shift.Progresses
    now: float

    def over(self, one: shift.Shift) -> bool:
        """Whether a shift has ended or is about to."""
        return bool(one.called_off or self.progress.get(one.id, shift.Progress()).ended)


def run(arguments: argparse.Namespace) -> int:
    """Record a shift, or the end of one, and hint."""
    config = configuration.load(configuration.find_folder((arguments.config,)))
    assert config.settings is not None
    ports, outputs = stack.ports(arguments, config.settings.region)
    state = ports["State"]
    context = drive(manifests.in_force(stack.context(arguments, config, outputs)), ports)
    _same_as_deployed(state, context.config)
    shifts, progress = _read(state, SHIFTS, shift.Shifts) or (), _read(state, SHIFTING, shift.Progresses) or {}
    asked = _ended if arguments.end else _begun
    here = Ground(settings=context.settings, topology=context.topology, state=state, shifts=shifts, progress=progress, now=time.time())
    changed, told = asked(arguments, here)
    if not confirmed(arguments, told):
        return 1
    state.write(SHIFTS, codec.encode(shift.kept(changed, progress)[0]))
    hint(outputs)
    if arguments.json:
        print_json({"done": told, "shifts": msgspec.to_builtins(changed)})
    else:
        console().print(f"{told}; the next look sees it (`crossmesh status`)", highlight=False, markup=False)
    return 0


def duration(text: str) -> float:
    """A `--every`: at least a second. Raises ValueError, which argparse tells."""
    found = seconds_of(text)
    if found is None or found < 1:
        raise ValueError(text)
    return found


def _begun(arguments: argparse.Namespace, here: Ground) -> tuple[shift.Shifts, str]:
    """The shifts with a new one; one in force on the same route ends, and the new one begins where it stands."""
    if here.settings.mesh.backend == "none":
        raise RefusedError("NoMesh", "`backend: none` has no routes to shift")
    service = find_service(here.topology, arguments.service)
    router = router_of(here.topology, service)
    route = find_route(router, arguments.route)
    declared = shift.weights_of(route)
    name = str(route["name"])
    running = next((s for s in here.shifts if (s.mesh, s.router, s.route) == (router.mesh, router.aws_name, name) and not here.over(s)), None)
    start = shift.weights_at(running, here.progress.get(running.id, shift.Progress()).step) if running else declared
    goal = goal_of(here.topology, router.mesh, declared, arguments.to)
    made = shift.Shift(
        id=codec.digest(codec.encode([router.mesh, router.aws_name, name, goal, here.now]))[:16],
        service=service.key,
        mesh=router.mesh,
        router=router.aws_name,
        route=name,
        document=shift.digest_of(route),
        start={**dict.fromkeys(declared, 0), **start},
        goal={**dict.fromkeys(declared, 0), **goal},
        step=arguments.step,
        every=arguments.every,
        begun=here.now,
        red=tuple(sorted(c.name for c in here.settings.canaries if _red(_read(here.state, memory_key(c.name), Memory)))),
    )
    others = tuple(msgspec.structs.replace(s, called_off=here.now) if s is running else s for s in here.shifts)
    return (*others, made), shift.told(made, None)


def _ended(arguments: argparse.Namespace, here: Ground) -> tuple[shift.Shifts, str]:
    """The shifts with those of a service (and route) called off."""
    service = find_service(here.topology, arguments.service)
    chosen = {s.id for s in here.shifts if s.service == service.key and arguments.route in ("", s.route) and not here.over(s)}
    if not chosen:
        raise RefusedError("NoShift", f"no shift of {service.key} is in force")
    changed = tuple(msgspec.structs.replace(s, called_off=here.now) if s.id in chosen else s for s in here.shifts)
    return changed, f"shift of {service.key} ended: the declared weights come back"


def find_service(topology: Topology, named: str) -> Resource:
    """The virtual service by bare name, namespace/name or AWS name. Raises RefusedError with those there are."""
    found = [s for s in topology.services if named in (s.name, s.key, s.aws_name)]
    if len(found) != 1:
        known = ", ".join(s.key for s in topology.services) or "none"
        raise RefusedError("UnknownService", f"{named!r} is {'no' if not found else 'more than one'} virtual service; there are: {known}")
    return found[0]


def router_of(topology: Topology, service: Resource) -> Resource:
    """The router behind a virtual service."""
    name = ((service.spec.get("provider") or {}).get("virtualRouter") or {}).get("@VirtualRouter")
    router = next((r for r in topology.routers if (r.mesh, r.aws_name) == (service.mesh, name)), None)
    if router is None:
        raise RefusedError("NoRouter", f"{service.key} is not provided by a virtual router: it has no weights")
    return router


def find_route(router: Resource, named: str) -> dict[str, Any]:
    """The route by name, or the only one."""
    routes = router.spec.get("routes", ())
    found = [route for route in routes if named in ("", route.get("name"))]
    if len(found) != 1:
        known = ", ".join(str(route.get("name")) for route in routes) or "none"
        raise RefusedError("WhichRoute", f"{router.key} has the routes {known}: name one with --route")
    route: dict[str, Any] = found[0]
    return route


def goal_of(topology: Topology, mesh: str, declared: Mapping[str, int], text: str) -> dict[str, int]:
    """`NODE=WEIGHT,…` as weights by AWS name. Raises RefusedError for what the route does not have, or the API would not take."""
    names = {name: node.aws_name for node in topology.nodes if node.mesh == mesh for name in (node.aws_name, node.key, node.name)}
    goal: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        node = names.get(name, "")
        if node not in declared:
            known = ", ".join(declared)
            raise RefusedError("UnknownTarget", f"{name!r} is no target of the route; it has: {known}")
        if not weight.isdigit() or int(weight) > shift.MOST:
            raise RefusedError("BadWeight", f"found {part.strip()!r}, wanted NODE=WEIGHT with a whole weight from 0 to {shift.MOST}")
        goal[node] = int(weight)
    if not 0 < sum(goal.values()) <= shift.MOST:
        raise RefusedError("BadWeights", f"the weights add up to {sum(goal.values())}, allowed are 1 to {shift.MOST}")
    return goal


def _red(memory: Memory | None) -> bool:
    return memory is not None and memory.last is not None and memory.last.kind != "good"


def _same_as_deployed(state: Any, sha256: str) -> None:
    report = _read(state, look.LAST, Report)
    if report is not None and report.config != sha256:
        raise RefusedError(
            "NotDeployed",
            f"the configuration here ({sha256[:12]}) is not what is deployed ({report.config[:12]}): a shift is bound to the deployed route",
        )


def _read(state: Any, key: str, kind: Any) -> Any:
    data = state.read(key)
    return codec.decode(data, kind) if data else None
