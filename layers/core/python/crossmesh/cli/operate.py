"""`pause`, `resume`, `forget`, `drain`, `adopt`, `unlock`: what a person asks for is written down
for the next look, which is asked for at once.

None of them writes to Cloud Map or the mesh: the deployed application does, under its lease and
with its guards.
"""

import argparse
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.adapters import aws
from crossmesh.cli import exits, printing, stack
from crossmesh.cli.printing import console, print_json
from crossmesh.core import bounds
from crossmesh.core.observed import RegistryView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.core.suggestions import meant as near
from crossmesh.errors import CrossmeshError, RefusedError, UsageError
from crossmesh.usecases import lease, look, state

_SIGNED = ("pause", "drain", "adopt")  # who asked is kept, for those who find it so

AGAIN = "Read `crossmesh status`, then run it again"
_WISHES = 200  # of each kind that are kept


def run(arguments: argparse.Namespace) -> int:
    """Change what the operator wants, and hint."""
    here = stack.reach(arguments, acts=True)
    table, now = here.ports["State"], time.time()
    data = table.read(state.OPERATOR)
    held = instances(here)
    wanted, told = _changed(
        arguments, codec.decode(data, ManualOverrides) if data else ManualOverrides(), _memory(table), now, held
    )
    if arguments.verb == "drain":
        told = (
            f"drain removes {_counted(held)} of stack {here.target.stack} from Cloud Map; clients stop finding them"
            " until `crossmesh resume`"
        )
    if not confirmed(arguments, told, typed=here.target.stack if arguments.verb == "drain" else ""):
        return exits.FAILED
    if arguments.verb in _SIGNED:
        wanted = msgspec.structs.replace(wanted, by={**wanted.by, arguments.verb: caller(here.region)})
    if not table.replace(state.OPERATOR, codec.encode(fitting(wanted)), data):
        raise RefusedError(
            "Changed", f"somebody else asked for something meanwhile: nothing of {arguments.verb} was recorded. {AGAIN}"
        )
    arguments.going_on = f"{arguments.verb} is recorded; the next look sees it (`crossmesh status`)"
    hint(here.outputs)
    if arguments.json:
        print_json({"done": told, "operator": msgspec.to_builtins(wanted)})
    else:
        console().print(f"{told}; the next look sees it (`crossmesh status`)")
    return exits.DONE


def unlock(arguments: argparse.Namespace) -> int:
    """End the lease by hand: for a holder that will never come back, which the application itself
    finds out from its execution's state.
    """
    here = stack.reach(arguments, acts=True)
    table = here.ports["State"]
    found = table.read_lease(lease.NAME)
    if found is None or not found.holder:
        _said(arguments, "nobody holds the lease")
        return exits.DONE
    running = here.ports["Executions"].running(found.holder)
    told = (
        f"take the lease from {found.holder}"
        f" ({'still RUNNING' if running else 'not running: it would be taken over anyway'})"
    )
    if not confirmed(arguments, told):
        return exits.FAILED
    if not table.write_lease(lease.NAME, None, found):
        raise RefusedError("Changed", "the lease changed hands meanwhile; look again")
    _said(arguments, "the lease is free")
    return exits.DONE


def _said(arguments: argparse.Namespace, told: str) -> None:
    if arguments.json:
        print_json({"done": told})
    else:
        console().print(told)


def instances(here: stack.Deployed) -> dict[str, dict[str, int]]:
    """How many instances of ours stood in each Cloud Map service at the last look, by cluster."""
    data = here.ports["RunStore"].get(look.REGISTRY)
    found: dict[str, dict[str, int]] = {}
    for service in codec.decode(data, RegistryView).services if data else ():
        for instance in service.instances:
            if instance.attributes.get(ep.OWNER) == here.target.owner:
                clusters = found.setdefault(service.key, {})
                cluster = instance.attributes.get(ep.CLUSTER, "")
                clusters[cluster] = clusters.get(cluster, 0) + 1
    return found


def _counted(held: Mapping[str, Mapping[str, int]]) -> str:
    counts = {service: sum(clusters.values()) for service, clusters in held.items()}
    total = sum(counts.values())
    which = ", ".join(f"{service} {count}" for service, count in sorted(counts.items()))
    return f"all {total} instances ({which})" if total != 1 else f"the only instance ({which})"


def caller(region: str) -> str:
    """Who asks, as AWS knows them; "" where AWS does not say."""
    try:
        with aws.translated():
            return str(aws.client("sts", region).get_caller_identity()["Arn"]).rpartition(":")[2]
    except CrossmeshError:
        return ""


def fitting(wanted: ManualOverrides) -> ManualOverrides:
    """The newest wishes about clusters and services: what is older was carried out long ago."""
    tables = {
        name: bounds.newest(getattr(wanted, name), _WISHES, lambda at: at) for name in ("forget", "accept", "resumed")
    }
    return msgspec.structs.replace(wanted, **tables)


def _memory(table: Any) -> PlannerState:
    data = table.read(state.MEMORY)
    return codec.decode(data, PlannerState) if data else PlannerState()


def _plain(key: str, memory: PlannerState) -> str:
    """A service as a person may write it, without the quotes that its key has where the service's
    name holds a dot.
    """
    namespace, service = memory.service_names.get(key, ("", ""))
    return f"{service}.{namespace}" if service else key


def _changed(
    arguments: argparse.Namespace,
    old: ManualOverrides,
    memory: PlannerState,
    now: float,
    held: Mapping[str, Mapping[str, int]],
) -> tuple[ManualOverrides, str]:
    """The new wishes, and a sentence about them."""
    replace = msgspec.structs.replace
    match arguments.verb:
        case "pause":
            return replace(old, paused=now), "paused: looks go on, nothing is applied"
        case "drain":
            return replace(old, draining=now, paused=0.0), "draining"
        case "resume" if arguments.service:
            known = sorted({*memory.competing_writers, *memory.conflicting_deployments})
            meant = [key for key in known if arguments.service in (key, _plain(key, memory))]
            if len(meant) != 1:
                what = "several services" if meant else "not stopped"
                raise RefusedError(
                    "NotContested",
                    f"{arguments.service} is {what}; stopped are:"
                    f" {', '.join(known) or 'none'}{near(arguments.service, known)}",
                )
            return replace(old, resumed={**old.resumed, meant[0]: now}), f"{meant[0]} goes on"
        case "resume":
            said = "resumed" if old.paused or old.draining else "nothing was paused or drained"
            return replace(old, paused=0.0, draining=0.0, by={}, lifted=now), said
        case "adopt":
            told = (
                "what AWS's App Mesh controller left (instances and mesh resources of declared nodes) is taken over,"
                " until none of it is left"
            )
            return replace(old, adopt=now), told
        case "forget" if arguments.identity:
            return (
                replace(old, accept={**old.accept, arguments.cluster: now}),
                f"the identity that {arguments.cluster} shows now is accepted",
            )
        case _:
            known = sorted({*memory.identities, *old.forget})
            if arguments.cluster not in known:
                raise UsageError(
                    "UnknownCluster",
                    f"{arguments.cluster} was never seen; known are:"
                    f" {', '.join(known) or 'none'}{near(arguments.cluster, known)}",
                )
            count = sum(clusters.get(arguments.cluster, 0) for clusters in held.values())
            told = (
                f"forget removes the {count} instances of {arguments.cluster} from Cloud Map while that cluster is not"
                " seen; if it comes back, its pods are registered again"
            )
            return replace(old, forget={**old.forget, arguments.cluster: now}), told


def confirmed(arguments: argparse.Namespace, told: str, *, typed: str = "") -> bool:
    """Ask on a terminal what cannot be taken back; elsewhere only --yes goes ahead. `typed`: the
    word that a person must type.
    """
    if arguments.yes or arguments.verb in ("pause", "resume"):
        return True
    if not printing.can_ask():
        raise RefusedError(
            "NotConfirmed", f"{told}: refusing to go ahead where nobody can be asked. Run it again with --yes"
        )
    if typed:
        agreed = printing.ask(f"{told}. Type the stack's name ({typed}) to go ahead:") == typed
    else:
        agreed = printing.ask(f"{told}. Go ahead? [y/N]").lower() in ("y", "yes")
    if not agreed:
        printing.error("nothing was changed")
    return agreed


def hint(outputs: dict[str, str]) -> None:
    """Ask the deployed application to look now."""
    entry = {
        "EventBusName": outputs["HintBus"],
        "Source": "crossmesh.cli",
        "DetailType": "Look requested",
        "Detail": "{}",
    }
    region = outputs["ReconcileArn"].split(":")[3]
    with aws.translated():
        aws.client("events", region).put_events(Entries=[entry])
