"""The document `outliers`, which holds the outliers. The lease "healer" lets one execution write
it.
"""

from collections.abc import Mapping, Sequence

from crossmesh import codec
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis.outliers import CoolingDown, OutlierReview, Remembered, update_outliers
from crossmesh.core.observed import RegistryView, View
from crossmesh.effects import Step, call
from crossmesh.ports import Clock, Lease, State
from crossmesh.usecases.state import OUTLIERS

COOLING_DOWN, HEALER = "outliers/cooling-down", "outliers"
_LIFE = 60.0  # seconds, as long as the function may run


def read() -> Step[dict[str, OutlierReview]]:
    """The marks in force, by instance id."""
    data = yield from call(State.read, OUTLIERS)
    return codec.decode(data, dict[str, OutlierReview]) if data else {}


def review_outliers(
    holder: str, registry: RegistryView, views: Sequence[View], probes: Mapping[str, Sequence[Sample]], *, owner: str
) -> Step[tuple[str, ...]]:
    """Update the outliers; ids newly marked. Nothing is written if nothing changed or another holds
    the lease.
    """
    now = yield from call(Clock.now)
    found = yield from call(State.read_lease, HEALER)
    if found is not None and found.holder and found.expires > now:
        return ()
    mine = Lease(epoch=(found.epoch if found else 0) + 1, holder=holder, expires=now + _LIFE)
    taken = yield from call(State.write_lease, HEALER, mine, found)
    if not taken:
        return ()
    marks = yield from read()
    data = yield from call(State.read, COOLING_DOWN)
    cooling_down = codec.decode(data, CoolingDown) if data else CoolingDown()
    new, cooling_down_now = update_outliers(
        Remembered(marks, cooling_down), registry, views, probes, owner=owner, now=now
    )
    if cooling_down_now != cooling_down:
        yield from call(State.write, COOLING_DOWN, codec.encode(cooling_down_now))
    if new != marks:
        yield from call(State.write, OUTLIERS, codec.encode(new))
    yield from call(State.write_lease, HEALER, None, mine)
    return tuple(sorted(new.keys() - marks.keys()))
