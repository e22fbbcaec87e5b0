"""One writer (rule 9): take the lease, check it before each batch of writes, give it back — and
never lose a request to look again.
"""

from crossmesh.effects import Step, call
from crossmesh.errors import LeaseLost, ServiceGone, TransientError
from crossmesh.ports import Clock, Executions, Lease, State
from crossmesh.usecases.context import Run

NAME = "run"
# Seconds; longer than any function's timeout, so that a step's lease cannot end under it
LIFE = 180.0
FRESH = 10.0  # seconds after a sign of life within which a hint takes the holder for alive
_TRIES = 5


def take(execution: str, found: Lease | None, *, again: bool = False) -> Step[Lease | None]:
    """The lease, newly taken (`found`: as it was read a moment ago); None where another RUNNING
    execution holds it (it was then asked to go once more).

    A lease that expired, was released, or whose execution is no longer RUNNING is taken over at
    once. `again`: who takes it goes once more from the beginning.
    """
    for attempt in range(_TRIES):
        now = yield from call(Clock.now)
        if attempt:
            found = yield from call(State.read_lease, NAME)
        if found is not None and found.holder and found.holder != execution and found.expires > now:
            alive = yield from _alive(found.holder)
            if alive:
                asked = yield from call(State.ask_again, NAME, found)
                if asked:
                    return None
                continue
        same = found is not None and found.holder == execution
        epoch = found.epoch if found and same else (found.epoch if found else 0) + 1
        wanted = Lease(
            epoch=epoch, holder=execution, expires=now + LIFE, again=again or (found.again if found and same else False)
        )
        taken = yield from call(State.write_lease, NAME, wanted, found)
        if taken:
            return wanted
    raise TransientError("the lease kept changing hands")


def ask_holder(found: Lease | None) -> Step[bool]:
    """Ask whoever holds the lease (`found`: as just read) to go once more; False where nobody does
    whose execution is RUNNING.

    Where somebody asked before and the holder took or renewed the lease a moment ago, the item says
    all: a storm of hints costs few DescribeExecution.
    """
    for attempt in range(_TRIES):
        now = yield from call(Clock.now)
        if attempt:
            found = yield from call(State.read_lease, NAME)
        if found is None or not found.holder or found.expires <= now:
            return False
        if found.again and found.expires > now + LIFE - FRESH:
            return True
        alive = yield from _alive(found.holder)
        if not alive:
            return False
        asked = yield from call(State.ask_again, NAME, found)
        if asked:
            return True
    return False


def _alive(holder: str) -> Step[bool]:
    """Whether the holder's execution is RUNNING. No answer (throttled, no way to Step Functions) is
    none that says it is not: the lease ends by itself.
    """
    try:
        return (yield from call(Executions.running, holder))
    except (TransientError, ServiceGone):
        return True


def check(run: Run) -> Step[None]:
    """Raise LeaseLost unless this run still holds the lease; renew it."""
    for _ in range(_TRIES):
        now = yield from call(Clock.now)
        found = yield from call(State.read_lease, NAME)
        if found is None or found.holder != run.execution or found.epoch != run.epoch:
            raise LeaseLost(f"run {run.id} (epoch {run.epoch}) no longer holds the lease")
        if found.expires > now + LIFE / 2:
            return
        renewed = yield from call(
            State.write_lease,
            NAME,
            Lease(epoch=found.epoch, holder=found.holder, expires=now + LIFE, again=found.again),
            found,
        )
        if renewed:
            return
    raise TransientError("the lease could not be renewed")


def give_back(run: Run, *, more: bool, keep: bool) -> Step[bool]:
    """Release the lease; True where there is `more` to do, or somebody asked for one more pass
    meanwhile, whose request is thereby taken: then, with `keep`, it is still held. Not ours any
    more: False.

    Where the answer to the write is lost, this is tried again: its own mark then tells that the
    request was taken.
    """
    mine = f"{run.id} was asked"
    for _ in range(_TRIES):
        now = yield from call(Clock.now)
        found = yield from call(State.read_lease, NAME)
        if found is not None and found.mark == mine:
            return True
        if found is None or found.holder != run.execution or found.epoch != run.epoch:
            return False
        asked = found.again or more
        new = Lease(epoch=found.epoch, holder=found.holder, expires=now + LIFE, again=False) if asked and keep else None
        written = yield from call(State.write_lease, NAME, new, found, mark=mine if asked else "")
        if written:
            return asked
    raise TransientError("the lease kept changing while being given back")


def drop(run: Run) -> Step[None]:
    """Release the lease whatever was asked: the failed run's way out; the schedule looks again."""
    found = yield from call(State.read_lease, NAME)
    if found is not None and found.holder == run.execution and found.epoch == run.epoch:
        yield from call(State.write_lease, NAME, None, found)
