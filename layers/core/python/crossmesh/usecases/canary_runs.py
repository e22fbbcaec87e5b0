"""At most one scheduled and one requested execution of a canary at once, however long they take and
however many are asked for.

A lease in the table for each of the two. The verdict gives it back; an execution that died holds it
until it expires.
"""

from crossmesh.effects import Step, call
from crossmesh.ports import Lease, State

LIFE = 300.0  # seconds: the execution itself may take 290


def key(canary: str, *, requested: bool) -> str:
    """The lease's name."""
    return f"canary/{canary}/requested" if requested else f"canary/{canary}"


def begin(canary: str, execution: str, now: float, *, requested: bool) -> Step[bool]:
    """Whether this execution may run the canary. False while another one runs it."""
    name = key(canary, requested=requested)
    found = yield from call(State.read_lease, name)
    if found is not None and found.holder not in ("", execution) and found.expires > now:
        return False
    mine = Lease(epoch=(found.epoch if found else 0) + 1, holder=execution, expires=now + LIFE)
    taken: bool = yield from call(State.write_lease, name, mine, found)
    return taken


def end(canary: str, execution: str, *, requested: bool) -> Step[None]:
    """The execution has its verdict. Does nothing where another one holds the lease by now."""
    name = key(canary, requested=requested)
    found = yield from call(State.read_lease, name)
    if found is not None and found.holder == execution:
        yield from call(State.write_lease, name, None, found)
