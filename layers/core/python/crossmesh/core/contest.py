"""Another hand (rule 2): instances that we registered and proved, that are wanted still, and that somebody removed. Twice stops their service.

Two reconcilers that undo each other would go on for ever; the one that notices stops, and a person decides.
"""

from collections.abc import Iterable

import msgspec

from crossmesh.core import endpoints as ep
from crossmesh.core.scene import Scene

WINDOW = 600.0  # seconds: removed by another hand twice within this time of our registering it stops the service


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped`: "service.namespace" -> (since when, which instance showed it); `registered` and `lost` as in `actions.Memory`."""

    stopped: dict[str, tuple[float, str]]
    registered: dict[str, float]
    lost: dict[str, tuple[float, ...]]

    def text(self, key: str) -> str:
        """What a person reads of a stopped service."""
        return (
            f"instance {self.stopped[key][1]} was removed by another hand twice within 10 minutes of our registering it; find who (CloudTrail: "
            f"DeregisterInstance), stop it, then `crossmesh resume {key}`"
        )


def notice(scene: Scene, wanted: Iterable[ep.Endpoint]) -> Contest:
    """Compare what we remember to have registered with what stands there now."""
    memory, now, resumed = scene.memory, scene.inputs.registry.begun, scene.operator.resumed
    stopped = {key: entry for key, entry in memory.contested.items() if resumed.get(key, 0.0) <= entry[0]}
    registered = {i: at for i, at in memory.registered.items() if now - at < WINDOW}
    lost: dict[str, tuple[float, ...]] = {}
    if not registered and not memory.lost:
        return Contest(stopped=stopped, registered=registered, lost=lost)
    watched = registered.keys() | memory.lost.keys()
    service_of = {e.id: e.key for e in wanted if e.id in watched}
    standing = {i.id for service in scene.services.values() for i in service.instances if i.id in watched}
    for instance, times in memory.lost.items():
        kept = tuple(at for at in times if now - at < WINDOW and at > resumed.get(service_of.get(instance, ""), 0.0))
        if kept:
            lost[instance] = kept
    for instance in sorted(registered.keys() & service_of.keys() - standing):
        del registered[instance]
        lost[instance] = (*lost.get(instance, ()), now)
        if len(lost[instance]) >= 2:
            stopped.setdefault(service_of[instance], (now, instance))
    return Contest(stopped=stopped, registered=registered, lost=lost)
