"""The document "sick", kept by one healer at a time."""

from collections.abc import Mapping, Sequence

from crossmesh import codec
from crossmesh.core.canary import Sample
from crossmesh.core.sick import Rested, Sick, reviewed
from crossmesh.core.views import RegistryView, View
from crossmesh.ports import Clock, Lease, State
from crossmesh.steps.calls import Step, call

SICK, RESTED, HEALER = "sick", "sick/rested", "healer"
_LIFE = 60.0  # seconds, as long as the function may run


def read() -> Step[dict[str, Sick]]:
    """The marks in force, by instance id."""
    data = yield from call(State.read, SICK)
    return codec.decode(data, dict[str, Sick]) if data else {}


def review(
    holder: str, registry: RegistryView, views: Sequence[View], probes: Mapping[str, Sequence[Sample]], *, owner: str
) -> Step[tuple[str, ...]]:
    """Bring the marks up to date; ids newly marked. Nothing is written where nothing changed, or while another healer is at work."""
    now = yield from call(Clock.now)
    found = yield from call(State.read_lease, HEALER)
    if found is not None and found.holder and found.expires > now:
        return ()
    mine = Lease(epoch=(found.epoch if found else 0) + 1, holder=holder, expires=now + _LIFE)
    taken = yield from call(State.write_lease, HEALER, mine, found)
    if not taken:
        return ()
    marks = yield from read()
    data = yield from call(State.read, RESTED)
    rested = codec.decode(data, Rested) if data else Rested()
    new, rest = reviewed(marks, rested, registry, views, probes, owner=owner, now=now)
    if rest != rested:
        yield from call(State.write, RESTED, codec.encode(rest))
    if new != marks:
        yield from call(State.write, SICK, codec.encode(new))
    yield from call(State.write_lease, HEALER, None, mine)
    return tuple(sorted(new.keys() - marks.keys()))
