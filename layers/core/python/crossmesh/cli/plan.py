"""`crossmesh plan`: observe with your own credentials, plan with the deployed state, show what the next run would do and why."""

import argparse
from pathlib import Path

import msgspec

from crossmesh import codec, configuration
from crossmesh.cli import stack
from crossmesh.cli.printing import console, print_json
from crossmesh.core.actions import Deregister, Register, RegistryAction, RegistryPlan, SetHealth
from crossmesh.core.mesh_plan import MeshPlan
from crossmesh.core.views import Unseen
from crossmesh.steps import look
from crossmesh.steps.drive import drive

SIGN = {"create-service": "+", "tag-service": "~", "register": "+", "deregister": "-", "set-health": "~", "delete-service": "-"}
STYLE = {"+": "green", "-": "red", "~": "yellow"}


def run(arguments: argparse.Namespace) -> int:
    """0 = nothing to do, 3 = differences."""
    config = configuration.load(configuration.find_folder((arguments.config,)))
    assert config.settings is not None
    ports, found = stack.ports(arguments, config.settings.region)
    context = stack.context(arguments, config, found)
    seen = drive(look.see(context), ports)
    other = stack.other_configuration(ports, config.sha256)
    if arguments.out:
        Path(arguments.out).write_bytes(codec.encode(PlanFile(config=config.sha256, registry=seen.plan, mesh=seen.mesh)))
    if arguments.json:
        print_json({"registry": msgspec.to_builtins(seen.plan), "mesh": msgspec.to_builtins(seen.mesh), "deployed_differs": other})
    else:
        if other:
            console().print(f"! {other}", style="yellow", highlight=False, markup=False)
        show(seen)
        if arguments.out:
            console().print(f"kept in {arguments.out}: `crossmesh apply {arguments.out}`", highlight=False, markup=False)
    return 3 if changes(seen) else 0


class PlanFile(msgspec.Struct, frozen=True, kw_only=True):
    """What `plan --out` keeps and `apply PLANFILE` holds the world to: the plan, and the configuration it was made from."""

    config: str
    registry: RegistryPlan
    mesh: MeshPlan


def changes(seen: look.Seen) -> int:
    """How many things the next run would do."""
    return len(seen.plan.actions) + len(seen.plan.gates) + len(seen.mesh.actions)


def show(seen: look.Seen) -> None:
    """Print a plan as a good diff."""
    actions, withheld = seen.plan.actions, seen.plan.withheld
    out = console()
    for view in seen.views:
        if isinstance(view, Unseen):
            out.print(f"! {view.cluster} is unseen ({view.cause}): {view.detail}", style="yellow", highlight=False, markup=False)
    for action in actions:
        out.print(line_of(action), style=STYLE[sign_of(action)], highlight=False, markup=False)
    for change in seen.mesh.actions:
        sign = {"create": "+", "update": "~", "delete": "-"}[change.verb]
        out.print(f"{sign} {change.target}: {change.reason}", style=STYLE[sign], highlight=False, markup=False)
        for field in change.changes:
            out.print(f"    {field.field}: {field.old!r} → {field.new!r}", highlight=False, markup=False)
    for held in withheld:
        out.print(
            f"= {held.what} {held.pod or held.id or 'as a whole'} ({held.service}) withheld: {held.why}: {held.detail}",
            style="yellow",
            highlight=False,
            markup=False,
        )
    for gate in seen.plan.gates:
        out.print(
            f"~ {gate.pod} of {gate.cluster}: open its readiness gate once discovery shows it", style="yellow", highlight=False, markup=False
        )
    for note in (*seen.shifts, *seen.plan.notes, *seen.mesh.notes):
        out.print(f"  {note}", highlight=False, markup=False)
    kept = f"{len(withheld) + len(seen.mesh.withheld)} withheld"
    out.print(f"{changes(seen)} changes, {kept}; {seen.plan.registered} registered, {seen.plan.endpoints} wanted", highlight=False)
    if seen.mesh.unavailable:
        out.print(f"mesh unavailable: {seen.mesh.unavailable}", style="yellow", highlight=False, markup=False)


def sign_of(action: RegistryAction) -> str:
    """+ adds, - removes, ~ changes."""
    return "~" if isinstance(action, Register) and action.change else SIGN[str(action.__struct_config__.tag)]


def line_of(action: RegistryAction) -> str:
    """An action as a line of a diff."""
    what = f"{action.pod} of {action.cluster}" if isinstance(action, Register | Deregister | SetHealth) else "service"
    return f"{sign_of(action)} {action.service}.{action.namespace}: {what}: {action.reason}"
