"""`crossmesh shift`: record other weights for a route; the deployed application makes them, step by
step, and undoes them where a canary turns red.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.cli import exits, stack, waiting
from crossmesh.cli.canaries import memory_of
from crossmesh.cli.operate import AGAIN, caller, confirmed, hint
from crossmesh.cli.printing import console, print_json, table
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.mesh import shift_lines, shift_target, shift_weights, traffic_shift
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.settings import Settings
from crossmesh.core.suggestions import meant
from crossmesh.core.topology import Route, Topology, VirtualRouter, VirtualService
from crossmesh.driver import drive
from crossmesh.errors import CrossmeshError, RefusedError, UsageError
from crossmesh.manifests.check import seconds_of
from crossmesh.usecases import look, manifests, state
from crossmesh.usecases.context import Context
from crossmesh.usecases.traffic_shifts import SHIFTING, SHIFTS

SHOWN = 10  # steps of a shift before the last


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a new wish stands on: the deployed configuration, and the shifts there are."""

    settings: Settings
    topology: Topology
    state: Any
    shifts: shift_weights.Shifts
    progress: shift_weights.Progresses
    now: float
    by: str = ""  # who asks

    def over(self, one: shift_weights.Shift) -> bool:
        """Whether a shift has ended or is about to."""
        return bool(one.called_off or self.progress.get(one.id, shift_weights.Progress()).ended)

    def running(self, mesh: str, router: str, route: str) -> shift_weights.Shift | None:
        """The shift of a route that is in force or about to be."""
        return next(
            (s for s in self.shifts if (s.mesh, s.router, s.route) == (mesh, router, route) and not self.over(s)), None
        )


def run(arguments: argparse.Namespace) -> int:
    """Record a shift, or the end of one, and hint."""
    at = stack.reach(arguments, acts=True)
    ports, state = at.ports, at.ports["State"]
    # What has begun can always be ended, whatever was deployed since
    context = drive(manifests.in_force(at.context()), ports) if arguments.end else _deployed_context(at)
    before = state.read(SHIFTS)
    shifts: shift_weights.Shifts = codec.decode(before, shift_weights.Shifts) if before else ()
    progress = stack.kept(ports, SHIFTING, shift_weights.Progresses) or {}
    asked = _ended if arguments.end else _begun
    here = Ground(
        settings=context.settings,
        topology=context.topology,
        state=state,
        shifts=shifts,
        progress=progress,
        now=time.time(),
        by=caller(at.region),
    )
    changed, told = asked(arguments, here)
    replaced = ""
    against = () if arguments.end else _against(at, context, here, changed[-1])
    if not arguments.end:
        replaced = _replaced(changed[-1], here)
        told = (
            f"shift {changed[-1].service} of stack {at.target.stack} as"
            f" shown{', in place of the shift in force' if replaced else ''}"
        )
        if not arguments.json:
            show(changed[-1], here, against)
    if against and not arguments.force:
        raise RefusedError("NotReady", f"refusing to shift: {'; '.join(against)}. `--force` does it all the same")
    if not confirmed(arguments, told):
        return exits.FAILED
    if not state.replace(SHIFTS, codec.encode(traffic_shift.kept(changed, progress)[0]), before):
        raise RefusedError(
            "Changed", f"somebody else recorded or ended a shift meanwhile: nothing of this one was recorded. {AGAIN}"
        )
    hint(at.outputs)
    if arguments.json:
        print_json({"done": told, "shifts": msgspec.to_builtins(changed), "against": against, "replaces": replaced})
    else:
        console().print(
            "recorded; the next look begins it (`crossmesh status`)"
            if not arguments.end
            else f"{told} with the next look"
        )
    return exits.DONE


def _against(at: stack.Deployed, context: Context, here: Ground, wanted: shift_weights.Shift) -> tuple[str, ...]:
    """What stands against it: by a look of this moment with the person's own rights."""
    canaries = [(c, memory_of(here.state, c.name)) for c in here.settings.canaries]
    operator = drive(state.operator(), at.ports)
    ground, blind = None, []
    try:
        seen = drive(look.observe_and_plan(context), at.ports)
    except CrossmeshError as error:
        blind.append(f"nobody can tell whether the targets have ready instances: {error}")
    else:
        clusters = {cluster.name: cluster for cluster in context.settings.clusters}
        ground = shift_target.ShiftContext(clusters=clusters, views=seen.views, registry=seen.registry, plan=seen.plan)
    application = shift_target.Application(mode=at.target.mode, operator=operator, now=here.now)
    return (*blind, *shift_target.obstacles(wanted, context.topology, ground, application, canaries))


def _replaced(wanted: shift_weights.Shift, here: Ground) -> str:
    """What a person should know of the shift that a new one takes the place of; "" = there is
    none.
    """
    old = here.running(wanted.mesh, wanted.router, wanted.route)
    return shift_lines.replacing(old, here.progress.get(old.id)) if old else ""


def show(wanted: shift_weights.Shift, here: Ground, against: Sequence[str]) -> None:
    """From, to, each step and when, and who guards it."""
    out, course = console(), shift_target.course(wanted)
    ends = datetime.fromtimestamp(here.now + course.seconds, UTC).strftime("%H:%M:%SZ")
    steps = len(course.shares) - 1
    pace = (
        "all at once"
        if steps == 1
        else (
            f"{steps} steps of {wanted.step} points, each held for at least {wanted.every:g} s; the last begins about"
            f" {ends}"
        )
    )
    out.print(f"shift of {wanted.service} (route {wanted.route}): {pace}")
    if replaced := _replaced(wanted, here):
        out.print(f"! {replaced}", style="yellow")
    grid = table("", *course.nodes)
    for step, shares in enumerate(course.shares):
        if step <= SHOWN or step == steps:
            grid.add_row("now" if not step else f"step {step}", *shares)
        elif step == SHOWN + 1:
            grid.add_row("…", *("" for _ in shares))
    out.print(grid)
    guards = [
        c.name
        for c, _ in traffic_shift.guards(wanted, here.topology, [(c, CanaryHistory()) for c in here.settings.canaries])
    ]
    if guards:
        out.print(f"reverted when red: {', '.join(guards)}")
    for line in (*shift_target.warnings(wanted), *against):
        out.print(f"! {line}", style="yellow")


def duration(text: str) -> float:
    """A `--every`: at least a second."""
    found = seconds_of(text)
    if found is None or found < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration of at least a second, such as 60s or 2m")
    return found


def _begun(arguments: argparse.Namespace, here: Ground) -> tuple[shift_weights.Shifts, str]:
    """The shifts with a new one; one in force on the same route ends, and the new one begins where
    it stands.
    """
    backend = backend_of(here.settings)
    if not backend.keeps_mesh:
        raise RefusedError("NoMesh", f"`backend: {backend.name}` {backend.about}; there are no routes to shift")
    service = find_service(here.topology, arguments.service)
    router = router_of(here.topology, service)
    route = find_route(router, arguments.route)
    declared, name = route.weights, route.name
    running = here.running(router.mesh, router.aws_name, name)
    start = (
        shift_weights.weights_at(running, here.progress.get(running.id, shift_weights.Progress()).step)
        if running
        else declared
    )
    goal = goal_of(here.topology, router.mesh, declared, arguments.to)
    made = shift_weights.Shift(
        id=codec.digest(codec.encode([router.mesh, router.aws_name, name, goal, here.now]))[:16],
        service=service.key,
        mesh=router.mesh,
        router=router.aws_name,
        route=name,
        document=shift_weights.digest_of(route),
        start={**dict.fromkeys(declared, 0), **start},
        goal={**dict.fromkeys(declared, 0), **goal},
        step=arguments.step,
        every=arguments.every,
        begun=here.now,
        by=here.by,
        red=tuple(sorted(c.name for c in here.settings.canaries if _red(memory_of(here.state, c.name)))),
    )
    end = {"called_off": here.now, "called_off_by": here.by, "successor": made.id}
    others = tuple(msgspec.structs.replace(s, **end) if s is running else s for s in here.shifts)
    return (*others, made), shift_lines.describe_shift(made, None)


def _ended(arguments: argparse.Namespace, here: Ground) -> tuple[shift_weights.Shifts, str]:
    """The shifts with those of a service (and route) called off."""
    service = find_service(here.topology, arguments.service)
    chosen = {
        s.id for s in here.shifts if s.service == service.key and arguments.route in ("", s.route) and not here.over(s)
    }
    if not chosen:
        raise RefusedError("NoShift", f"no shift of {service.key} is in force")
    end = {"called_off": here.now, "called_off_by": here.by}
    changed = tuple(msgspec.structs.replace(s, **end) if s.id in chosen else s for s in here.shifts)
    return changed, f"shift of {service.key} ended: the declared weights come back"


def find_service(topology: Topology, named: str) -> VirtualService:
    """The virtual service by bare name, namespace/name or AWS name. Raises RefusedError with those
    there are.
    """
    found = [s for s in topology.services if named in (s.name, s.key, s.aws_name)]
    if len(found) != 1:
        known, near = (
            ", ".join(s.key for s in topology.services) or "none",
            meant(named, (name for s in topology.services for name in (s.name, s.key))),
        )
        raise UsageError(
            "UnknownService",
            f"{named!r} is {'no' if not found else 'more than one'} virtual service; there are: {known}{near}",
        )
    return found[0]


def router_of(topology: Topology, service: VirtualService) -> VirtualRouter:
    """The router behind a virtual service."""
    router = topology.router_of(service)
    if router is None:
        raise RefusedError("NoRouter", f"{service.key} is not provided by a virtual router: it has no weights")
    return router


def find_route(router: VirtualRouter, named: str) -> Route:
    """The route by name, or the only one."""
    found = [route for route in router.routes if named in ("", route.name)]
    if len(found) != 1:
        names = [route.name for route in router.routes]
        known = ", ".join(names) or "none"
        if named:
            raise UsageError(
                "UnknownRoute", f"{router.key} has no route {named!r}; it has: {known}{meant(named, names)}"
            )
        raise UsageError("WhichRoute", f"{router.key} has the routes {known}: name one with --route")
    return found[0]


def goal_of(topology: Topology, mesh: str, declared: Mapping[str, int], text: str) -> dict[str, int]:
    """`NODE=WEIGHT,…` as weights by AWS name. Raises RefusedError for what the route does not have,
    or the API would not take.
    """
    names = {
        name: node.aws_name
        for node in topology.nodes
        if node.mesh == mesh
        for name in (node.aws_name, node.key, node.name)
    }
    goal: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        node = names.get(name, "")
        if node not in declared:
            known = ", ".join(declared)
            raise UsageError(
                "UnknownTarget",
                f"{name!r} is no target of the route; it has:"
                f" {known}{meant(name, (key for key, aws_name in names.items() if aws_name in declared))}",
            )
        if not weight.isdigit() or int(weight) > shift_weights.MOST:
            raise UsageError(
                "BadWeight",
                f"found {part.strip()!r}, wanted NODE=WEIGHT with a whole weight from 0 to {shift_weights.MOST}",
            )
        if node in goal:
            raise UsageError("Twice", f"{node} stands twice in --to: give each target one weight")
        goal[node] = int(weight)
    if not 0 < sum(goal.values()) <= shift_weights.MOST:
        raise UsageError(
            "BadWeights", f"the weights add up to {sum(goal.values())}, allowed are 1 to {shift_weights.MOST}"
        )
    return goal


def _red(memory: CanaryHistory) -> bool:
    return memory.last is not None and memory.last.kind != "good"


def _deployed_context(at: stack.Deployed) -> Context:
    """The local configuration with the manifests in force. Raises RefusedError where the last look
    ran on another one, which just after a deployment is waited for.
    """
    context = drive(manifests.in_force(at.context()), at.ports)
    if _in_force(at) in ("", context.config):
        return context
    waiting.for_deployment(at)
    context, found = drive(manifests.in_force(at.context()), at.ports), _in_force(at)
    if found != context.config:
        raise RefusedError(
            "NotDeployed",
            f"the configuration here ({context.config[:12]}) is not the one in force ({found[:12]}), and a shift is"
            " bound to the routes in force: deploy it (`sam build && sam deploy`), or check out what is deployed",
        )
    return context


def _in_force(at: stack.Deployed) -> str:
    last = stack.last_look(at.ports)
    return last.config if last else ""
