"""`pause`, `resume`, `forget`, `drain`, `adopt`, `unlock`: what a person asks for is written down for the next look, which is asked for at once.

None of them writes to Cloud Map or the mesh: the deployed application does, under its lease and with its guards.
"""

import argparse
import sys
import time
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.adapters import aws
from crossmesh.cli import stack
from crossmesh.cli.printing import console, print_json
from crossmesh.core.actions import Memory, Operator
from crossmesh.errors import RefusedError
from crossmesh.steps import lease, store


def run(arguments: argparse.Namespace) -> int:
    """Change what the operator wants, and hint."""
    ports, outputs = stack.ports(arguments, "")
    state, now = ports["State"], time.time()
    data = state.read(store.OPERATOR)
    wanted, told = _changed(arguments, codec.decode(data, Operator) if data else Operator(), _memory(state), now)
    if not confirmed(arguments, told):
        return 1
    state.write(store.OPERATOR, codec.encode(wanted))
    hint(outputs)
    if arguments.json:
        print_json({"done": told, "operator": msgspec.to_builtins(wanted)})
    else:
        console().print(f"{told}; the next look sees it (`crossmesh status`)", highlight=False, markup=False)
    return 0


def unlock(arguments: argparse.Namespace) -> int:
    """End the lease by hand: for a holder that will never come back, which the application itself finds out from its execution's state."""
    ports, _ = stack.ports(arguments, "")
    state = ports["State"]
    found = state.read_lease(lease.NAME)
    if found is None or not found.holder:
        console().print("nobody holds the lease")
        return 0
    running = ports["Executions"].running(found.holder)
    told = f"take the lease from {found.holder} ({'still RUNNING' if running else 'not running: it would be taken over anyway'})"
    if not confirmed(arguments, told):
        return 1
    if not state.write_lease(lease.NAME, None, found):
        raise RefusedError("Changed", "the lease changed hands meanwhile; look again")
    console().print("the lease is free", highlight=False)
    return 0


def _memory(state: Any) -> Memory:
    data = state.read(store.MEMORY)
    return codec.decode(data, Memory) if data else Memory()


def _changed(arguments: argparse.Namespace, old: Operator, memory: Memory, now: float) -> tuple[Operator, str]:
    """The new wishes, and a sentence about them."""
    replace = msgspec.structs.replace
    match arguments.verb:
        case "pause":
            return replace(old, paused=now), "paused: looks go on, nothing is applied"
        case "drain":
            return replace(
                old, draining=now, paused=0.0
            ), "draining: every instance of this deployment leaves Cloud Map, and none comes until `crossmesh resume`"
        case "resume" if arguments.service:
            known = sorted({*memory.contested, *memory.neighbours})
            if arguments.service not in known:
                raise RefusedError("NotContested", f"{arguments.service} is not stopped; stopped are: {', '.join(known) or 'none'}")
            return replace(old, resumed={**old.resumed, arguments.service: now}), f"{arguments.service} goes on"
        case "resume":
            return replace(old, paused=0.0, draining=0.0), "resumed"
        case "adopt":
            told = (
                "what AWS's App Mesh controller left (instances and mesh resources of declared nodes) is taken over, until none of it is left"
            )
            return replace(old, adopt=now), told
        case "forget" if arguments.identity:
            return replace(old, accept={**old.accept, arguments.cluster: now}), f"the identity that {arguments.cluster} shows now is accepted"
        case _:
            known = sorted({*memory.identities, *old.forget})
            if arguments.cluster not in known:
                raise RefusedError("UnknownCluster", f"{arguments.cluster} was never seen; known are: {', '.join(known) or 'none'}")
            told = f"all instances of {arguments.cluster} leave Cloud Map, for as long as it cannot be seen"
            return replace(old, forget={**old.forget, arguments.cluster: now}), told


def confirmed(arguments: argparse.Namespace, told: str) -> bool:
    """Ask on a terminal what cannot be taken back; elsewhere only --yes goes ahead."""
    if arguments.yes or arguments.verb in ("pause", "resume"):
        return True
    if not sys.stdin.isatty():
        raise RefusedError("NotConfirmed", f"{told}: not without --yes where nobody can be asked")
    return input(f"{told}. Go ahead? [y/N] ").strip().lower() in ("y", "yes")


def hint(outputs: dict[str, str]) -> None:
    """Ask the deployed application to look now."""
    entry = {"EventBusName": outputs["HintBus"], "Source": "crossmesh.cli", "DetailType": "Look requested", "Detail": "{}"}
    region = outputs["ReconcileArn"].split(":")[3]
    with aws.translated():
        aws.client("events", region).put_events(Entries=[entry])
