"""One look at a time: its lease, and what is done with those who ask meanwhile."""

import msgspec

from crossmesh.effects import Step, call, to
from crossmesh.errors import TransientError
from crossmesh.ports import Lease, State
from crossmesh.usecases import lease, state

LEASE = "look"


# Seconds, no longer than the function may run: a look that was killed never blocks for longer than
# one period
LIFE = 60.0


def leases() -> Step[list[Lease | None]]:
    """The look's own lease and the run's."""
    return (yield from state.batch_or_raise([to(State.read_lease, LEASE), to(State.read_lease, lease.NAME)]))


def enter(holder: str, now: float, found: Lease | None, held: Lease | None) -> Step[tuple[Lease | None, Lease | None]]:
    """The look's own lease, None where another look is under way (it was asked to look once more),
    and the run's as it stood before; both as just read.
    """
    for attempt in range(5):
        if attempt:
            found, held = yield from leases()
        # What it holds itself it left behind where it crashed and is tried again.
        if found is not None and found.holder not in ("", holder) and found.expires > now:
            asked = yield from call(State.ask_again, LEASE, found)
            if asked:
                return None, None
            continue
        mine = Lease(epoch=(found.epoch if found else 0) + 1, holder=holder, expires=now + LIFE)
        taken = yield from call(State.write_lease, LEASE, mine, found)
        if taken:
            return mine, held
    raise TransientError("the look's lease kept changing hands")


def left_behind(look: str) -> Step[None]:
    """Give back the lease of a look that died (out of memory, or killed): nobody else need wait
    until it ends by itself.
    """
    found = yield from call(State.read_lease, LEASE)
    if found is not None and look and found.holder == look:
        yield from call(State.write_lease, LEASE, None, found)


def leave(mine: Lease, *, again_allowed: bool) -> Step[tuple[Lease | None, bool]]:
    """Give the look back; still held (and to be used again) where somebody asked meanwhile and this
    look asked for no run. Second: whether somebody asked.
    """
    # Mostly nobody asked: one write then does it, and fails where that is not so
    found: Lease | None = mine
    for _ in range(5):
        if found is None or found.holder != mine.holder or found.epoch != mine.epoch:
            return None, False
        renewed = msgspec.structs.replace(found, again=False) if found.again and again_allowed else None
        written = yield from call(State.write_lease, LEASE, renewed, found)
        if written:
            return renewed, found.again
        found = yield from call(State.read_lease, LEASE)
    return None, False
