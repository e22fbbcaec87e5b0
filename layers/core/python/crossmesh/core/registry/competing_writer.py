"""Competing writer (rule 2): somebody else removed instances that we registered and still desire.

Two reconcilers that undo each other would never end. The one that detects it twice stops the
service, and a person decides.
"""

from collections.abc import Iterable

import msgspec

from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.planning import IndexedInputs

# Seconds: removed by another writer twice within this time of our registering it stops the service
WINDOW = 600.0


class CompetingWriter(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped`: "service.namespace" -> (since when, which instance showed it); `registered` and
    `lost` as in `actions.Memory`.
    """

    stopped: dict[str, tuple[float, str]]
    registered: dict[str, float]
    lost: dict[str, tuple[float, ...]]

    def text(self, key: str) -> str:
        """What a person reads of a stopped service."""
        return (
            f"instance {self.stopped[key][1]} was removed by another writer twice within 10 minutes of our registering"
            f" it; find who (CloudTrail: DeregisterInstance), stop it, then `crossmesh resume {key}`"
        )


def detect_competing_writer(indexed: IndexedInputs, wanted: Iterable[ep.Endpoint]) -> CompetingWriter:
    """Compare what we remember to have registered with what stands there now."""
    memory, now, resumed = indexed.memory, indexed.inputs.registry.begun, indexed.operator.resumed
    stopped = {key: entry for key, entry in memory.competing_writers.items() if resumed.get(key, 0.0) <= entry[0]}
    registered = {i: at for i, at in memory.registered.items() if now - at < WINDOW}
    lost: dict[str, tuple[float, ...]] = {}
    if not registered and not memory.lost:
        return CompetingWriter(stopped=stopped, registered=registered, lost=lost)
    watched = registered.keys() | memory.lost.keys()
    service_of = {e.id: e.key for e in wanted if e.id in watched and e.key not in indexed.hidden}
    standing = {i.id for service in indexed.services.values() for i in service.instances if i.id in watched}
    for instance, times in memory.lost.items():
        kept = tuple(at for at in times if now - at < WINDOW and at > resumed.get(service_of.get(instance, ""), 0.0))
        if kept:
            lost[instance] = kept
    for instance in sorted(registered.keys() & service_of.keys() - standing):
        del registered[instance]
        lost[instance] = (*lost.get(instance, ()), now)
        if len(lost[instance]) >= 2:
            stopped.setdefault(service_of[instance], (now, instance))
    return CompetingWriter(stopped=stopped, registered=registered, lost=lost)
