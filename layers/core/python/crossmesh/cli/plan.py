"""`crossmesh plan`: observe with your own credentials, plan with the deployed state, show what the
next run would do and why.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from crossmesh import codec
from crossmesh.cli import exits, printing, stack
from crossmesh.cli.printing import console, print_json
from crossmesh.core.diagnosis.doctor import unseen_deployed
from crossmesh.core.keys import service_key
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.observed import Seen, Unseen
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.overrides import describe_overrides
from crossmesh.core.registry.plan import (
    DeleteService,
    Deregister,
    Register,
    RegistryAction,
    RegistryPlan,
    SetHealth,
)
from crossmesh.driver import drive
from crossmesh.usecases import fronts, look

SIGN = {
    "create-service": "+",
    "tag-service": "~",
    "register": "+",
    "deregister": "-",
    "set-health": "~",
    "delete-service": "-",
}
MESH_SIGN = {"create": "+", "update": "~", "delete": "-"}
STYLE = {"+": "green", "-": "red", "~": "yellow"}


def run(arguments: argparse.Namespace) -> int:
    """0 = nothing to do and nothing withheld, 3 = differences, 1 = live instances would be removed
    and `--fail-on-removal` forbids it.
    """
    here = stack.reach(arguments)
    config = here.config
    seen = drive(look.observe_and_plan(here.context()), here.ports)
    blind = unseen_deployed(stack.last_look(here.ports), seen.views, stack.last_run(here.ports))
    lost_fronts = drive(fronts.missing(seen.context, seen.views), here.ports)
    other = stack.other_configuration(here.ports, config.sha256)
    lost = removals(seen)
    if arguments.out:
        Path(arguments.out).write_bytes(
            codec.encode(PlanFile(config=config.sha256, registry=seen.plan, mesh=seen.mesh))
        )
    if arguments.json:
        print_json(
            {
                "target": msgspec.to_builtins(here.target),
                "registry": msgspec.to_builtins(seen.plan),
                "mesh": msgspec.to_builtins(seen.mesh),
                "counts": msgspec.to_builtins(counted(seen)),
                "emptied": msgspec.to_builtins(look.emptied(seen)),
                "wishes": describe_overrides(seen.operator, seen.memory),
                "live_removals": lost,
                "deployed_differs": other,
                "warnings": msgspec.to_builtins((*blind, *lost_fronts)),
            }
        )
    else:
        if other:
            console().print(f"! {other}", style="yellow")
        for advice in blind:
            console().print(
                f"! {advice.what}: the next run withholds what is planned for it here. Fix: {advice.fix}",
                style="yellow",
            )
        for advice in lost_fronts:
            console().print(f"! {advice.what} (crossmesh.yaml, {advice.subject}). Fix: {advice.fix}", style="yellow")
        show(seen)
        if arguments.out:
            console().print(f"kept in {arguments.out}: `crossmesh apply {arguments.out}`")
    if arguments.fail_on_removal and lost:
        printing.error(
            f"--fail-on-removal: the plan removes {len(lost)} live {_plural(len(lost), 'thing')}: {', '.join(lost[:5])}"
        )
        return exits.FAILED
    return exits.FOUND if differs(seen) else exits.DONE


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan means: what the next run does, what follows by itself after a confirmation, and
    what waits until somebody acts.
    """

    add: int
    change: int
    remove: int
    later: int
    withheld: int

    @property
    def line(self) -> str:
        """As terraform sums up, with one number more."""
        return (
            f"{self.add} to add, {self.change} to change, {self.remove} to remove now, {self.later} to remove after"
            f" confirmation; {self.withheld} withheld"
        )


def counted(seen: look.Observation) -> Counts:
    """Every action and every withheld one, counted once."""
    signs = Counter(sign_of(action) for action in seen.plan.actions)
    signs.update(MESH_SIGN[change.action] for change in seen.mesh.changes)
    later = sum(1 for held in seen.plan.withheld if held.unconfirmed)
    return Counts(
        add=signs["+"],
        change=signs["~"] + len(seen.plan.gates),
        remove=signs["-"],
        later=later,
        withheld=len(seen.plan.withheld) - later + len(seen.mesh.withheld),
    )


def differs(seen: look.Observation) -> bool:
    """Whether the world is not as declared, or cannot be told to be."""
    blind = any(isinstance(view, Unseen) for view in seen.views)
    return bool(
        changes(seen)
        or seen.plan.withheld
        or seen.mesh.withheld
        or seen.mesh.unavailable
        or blind
        or seen.operator.draining
    )


def removals(seen: look.Observation) -> list[str]:
    """What the plan takes from users: instances whose pod lives, now or after a confirmation, all
    of a virtual node or service, and mesh resources.

    Instances of pods that ended by themselves, or that the same pod's own instance replaces, are
    none.
    """
    named = {(s.key, i.id): i.attributes for s in seen.registry.services for i in s.instances}
    alive = {
        (view.cluster, pod.uid) for view in seen.views if isinstance(view, Seen) for pod in view.pods if not pod.dead
    }
    leaving = [
        (service_key(a.namespace, a.service), a.id)
        for a in seen.plan.actions
        if isinstance(a, Deregister) and a.why != "replaced"
    ]
    leaving += [(held.service, held.id) for held in seen.plan.withheld if held.unconfirmed]
    found = [
        f"instance {ident} of {service}"
        for service, ident in leaving
        if (held := named.get((service, ident), {})) and (held.get(ep.CLUSTER, ""), held.get(ep.POD_UID, "")) in alive
    ]
    found += [f"{one.kind} {one.name}" for one in look.emptied(seen)]
    found += [
        f"service {service_key(a.namespace, a.service)}" for a in seen.plan.actions if isinstance(a, DeleteService)
    ]
    return found + [str(change.target) for change in seen.mesh.changes if change.action == "delete"]


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


class PlanFile(msgspec.Struct, frozen=True, kw_only=True):
    """What `plan --out` keeps and `apply PLANFILE` holds the world to: the plan, and the
    configuration it was made from.
    """

    config: str
    registry: RegistryPlan
    mesh: MeshSummary


def changes(seen: look.Observation) -> int:
    """How many things the next run would do."""
    return len(seen.plan.actions) + len(seen.plan.gates) + len(seen.mesh.changes)


def show(seen: look.Observation) -> None:
    """Print a plan as a good diff, what it empties last before the sum."""
    out, now = console(), time.time()
    for line, style in (*_about(seen), *_actions(seen), *_withheld(seen, now), *_notes(seen), *_emptied(seen, now)):
        out.print(line, style=style)
    out.print(f"{counted(seen).line}; {seen.plan.registered} registered, {seen.plan.endpoints} wanted")
    if seen.mesh.unavailable:
        out.print(f"mesh unavailable: {seen.mesh.unavailable}", style="yellow")


Line = tuple[str, str]  # a line and its style


def _about(seen: look.Observation) -> Iterator[Line]:
    for wish in describe_overrides(seen.operator, seen.memory):
        yield wish, "bold red"
    for view in seen.views:
        if isinstance(view, Unseen):
            yield f"! {view.cluster} is unseen ({view.cause}): {view.detail}", "yellow"


def _actions(seen: look.Observation) -> Iterator[Line]:
    for action in seen.plan.actions:
        yield line_of(action), STYLE[sign_of(action)]
    for change in seen.mesh.changes:
        sign = MESH_SIGN[change.action]
        yield f"{sign} {change.target}: {change.detail}", STYLE[sign]
        for one in change.differences:
            yield f"    {one.field}: {one.found!r} → {one.declared!r}", ""


def _withheld(seen: look.Observation, now: float) -> Iterator[Line]:
    for held in seen.plan.withheld:
        subject = held.pod or held.id or "as a whole"
        if held.unconfirmed:
            yield (
                f"- {held.service}: {subject}: removed after a second look ({_in(held.until, now)}): {held.detail}",
                "red",
            )
        else:
            yield f"= {held.what} {subject} ({held.service}) withheld: {held.why}: {held.detail}", "yellow"
    for kept in seen.mesh.withheld:
        yield f"= {kept.target} withheld: {kept.detail}", "yellow"
        yield f"    fix: {kept.fix}", ""


def _notes(seen: look.Observation) -> Iterator[Line]:
    for gate in seen.plan.gates:
        yield f"~ {gate.pod} of {gate.cluster}: open its readiness gate once discovery shows it", "yellow"
    for note in (*seen.shifts, *seen.plan.notes, *seen.mesh.notes):
        yield f"  {note}", ""


def _emptied(seen: look.Observation, now: float) -> Iterator[Line]:
    for one in look.emptied(seen):
        when = f"after a second look ({_in(one.until, now)})" if one.until else "with the next run"
        yield f"! {one.line}; {when}", "bold red"
        if one.fix:
            yield f"    fix: {one.fix}", ""


def _in(until: float, now: float) -> str:
    return f"in at least {max(0.0, until - now):.0f} s"


def sign_of(action: RegistryAction) -> str:
    """+ adds, - removes, ~ changes."""
    return "~" if isinstance(action, Register) and action.change else SIGN[str(action.__struct_config__.tag)]


def line_of(action: RegistryAction) -> str:
    """An action as a line of a diff."""
    what = f"{action.pod} of {action.cluster}" if isinstance(action, Register | Deregister | SetHealth) else "service"
    return f"{sign_of(action)} {service_key(action.namespace, action.service)}: {what}: {action.reason}"
