"""What the next pass must know of this one. What was recorded of an unseen cluster stays as it
is.
"""

from collections.abc import Container, Mapping
from typing import Any

import msgspec

from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.keys import OWNER_TAG, instance_key, pod_key, service_key
from crossmesh.core.registry import churn
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.competing_writer import CompetingWriter
from crossmesh.core.registry.custom_health import LAG
from crossmesh.core.registry.plan import CreateService, Deregister, PlannerState, RegistryAction, SetHealth
from crossmesh.core.registry.planning import IndexedInputs


def next_state(
    indexed: IndexedInputs,
    wanted: Container[str],
    actions: tuple[RegistryAction, ...],
    pending_deletions: Mapping[str, float],
    competing: CompetingWriter,
) -> PlannerState:
    """The memory after this pass. `wanted`: ids of all endpoints."""
    memory, operator = indexed.memory, indexed.operator
    of_unseen = (
        (key, i.id)
        for key, found in indexed.ours.items()
        for i in found
        if i.attributes.get(ep.CLUSTER, "") in indexed.unseen
    )
    kept = (
        {instance_key(key, i): at for key, i in of_unseen if (at := indexed.confirming(key, i)) is not None}
        if memory.pending_deletions
        else {}
    )
    if indexed.hidden:
        prefixes = tuple(instance_key(key, "") for key in indexed.hidden)
        kept |= {clock: at for clock, at in memory.pending_deletions.items() if clock.startswith(prefixes)}
    written = {
        key: service
        for key, service in indexed.services.items()
        if service.id and (key in indexed.named or indexed.ours[key] or service.tags.get(OWNER_TAG) == indexed.owner)
    }
    services = {key: (service.id, service.arn) for key, service in written.items()}
    services |= {key: place for key, place in memory.services.items() if key in indexed.hidden}
    service_names = {
        key: (service.namespace, service.service) for key, service in indexed.services.items() if key in services
    }
    # Remembered before it is there: documents may name another place by the time of the next run.
    service_names |= {
        service_key(a.namespace, a.service): (a.namespace, a.service) for a in actions if isinstance(a, CreateService)
    }
    leaving = {action.id for action in actions if isinstance(action, Deregister)}
    # An override lasts until nothing is left: the guard may hold some, pods may not be ready yet.
    adopts = bool(indexed.unseen or indexed.hidden) or any(indexed.left.values())
    left = (
        {i.attributes.get(ep.CLUSTER, "") for found in indexed.ours.values() for i in found}
        if operator.forget
        else set()
    )
    return PlannerState(
        registered=dict(sorted((i, at) for i, at in competing.registered.items() if i not in leaving)),
        lost=dict(sorted(competing.lost.items())),
        competing_writers=dict(sorted(competing.stopped.items())),
        forgotten={
            **memory.forgotten,
            **{
                c: at
                for c, at in operator.forget.items()
                if (c not in left and not indexed.hidden) or c in indexed.seen
            },
        },
        accepted={**memory.accepted, **{c: at for c, at in operator.accept.items() if c in indexed.seen}},
        identities={**memory.identities, **{name: view.identity for name, view in indexed.seen.items()}},
        versions={
            **memory.versions,
            **{name: dict(sorted(view.versions.items())) for name, view in indexed.seen.items()},
        },
        terminating=dict(sorted(_terminating(indexed, wanted).items())),
        pending_deletions=dict(sorted({**kept, **pending_deletions}.items())),
        services=dict(sorted(services.items())),
        unshared={key: at for key, at in sorted(memory.unshared.items()) if key in services},
        service_names=dict(sorted(service_names.items())),
        adopted=memory.adopted if adopts else max(memory.adopted, operator.adopt),
        asked=_asked(indexed, actions),
        turns=churn.remembered(indexed, actions),
        unsettled_runs=memory.unsettled_runs,
        conflicting_deployments=dict(sorted(indexed.conflict.conflicting_deployments.items())),
        resolved_conflicts=dict(sorted(indexed.conflict.resolved_conflicts.items())),
    )


# Entries of each table that are kept, down to where the whole fits
_STEPS = (8_000, 4_000, 2_000, 1_000, 500, 250, 100)


def fitting(memory: PlannerState) -> PlannerState:
    """The memory, or what of it the table takes.

    What is left out costs time, not safety. The oldest clocks of the deletion guard and the
    oldest sightings are kept first, so that they come due and make room.
    """
    if bounds.fits(codec.encode(memory)):
        return memory
    for most in _STEPS:
        memory = _at_most(memory, most)
        if bounds.fits(codec.encode(memory)):
            break
    return memory


def cut(before: PlannerState, after: PlannerState) -> tuple[str, ...]:
    """What was left out, for people."""
    tables = [(name, getattr(before, name), getattr(after, name)) for name in _TABLES]
    return tuple(
        f"memory: {len(new):,} of {len(old):,} entries of {name} fit the table"
        for name, old, new in tables
        if len(new) < len(old)
    )


def _at_most(memory: PlannerState, most: int) -> PlannerState:
    kept: dict[str, Any] = {name: bounds.newest(getattr(memory, name), most, when) for name, when in _TABLES.items()}
    versions = {name: dict(sorted(of.items())[:most]) for name, of in sorted(memory.versions.items())[:most]}
    return msgspec.structs.replace(memory, versions=versions, **kept)


# The tables that others can fill, and the time by which the latest entries are kept
_TABLES: dict[str, Any] = {
    "registered": lambda at: at,
    "lost": lambda times: max(times, default=0.0),
    "asked": lambda asked: asked[1],
    "turns": lambda times: max(times, default=0.0),
    "terminating": lambda at: -at,
    "pending_deletions": lambda at: -at,
    "services": lambda _: 0.0,
    "competing_writers": lambda stopped: stopped[0],
    "conflicting_deployments": lambda other: other.since,
    "resolved_conflicts": lambda other: other.at,
    "identities": lambda _: 0.0,
    "forgotten": lambda at: at,
    "accepted": lambda at: at,
}


def _asked(indexed: IndexedInputs, actions: tuple[RegistryAction, ...]) -> dict[str, tuple[str, float]]:
    """Which health was asked for lately."""
    now = indexed.inputs.registry.begun
    recent = {i: (status, at) for i, (status, at) in indexed.memory.asked.items() if now - at < LAG}
    return dict(sorted({**recent, **{a.id: (a.status, now) for a in actions if isinstance(a, SetHealth)}}.items()))


def _terminating(indexed: IndexedInputs, wanted: Container[str]) -> dict[str, float]:
    """Registered pods once seen Terminating or finished, so wanted no more: when the first time.
    Forgotten with their instance.
    """
    old = indexed.memory.terminating
    found = dict(old) if indexed.hidden else {}
    for instances in indexed.ours.values():
        for instance in instances:
            if instance.id in wanted:
                continue
            cluster, uid = instance.attributes.get(ep.CLUSTER, ""), instance.attributes.get(ep.POD_UID, "")
            key, since = pod_key(cluster, uid), indexed.terminating(cluster, uid)
            if cluster in indexed.seen:
                pod = indexed.pods(cluster).get(uid)
                if (pod is None and since is not None) or (pod is not None and pod.dead):
                    found[key] = indexed.seen[cluster].begun if since is None else since
            elif since is not None and cluster in indexed.unseen:
                found[key] = since
    return found
