"""Where a run keeps what it saw and decided: `runs/<id>/<name>.json`. State machines carry these keys, never the data."""

from typing import TypeVar

from crossmesh import codec
from crossmesh.core.actions import Memory, Operator
from crossmesh.errors import RefusedError
from crossmesh.ports import RunStore, State
from crossmesh.steps.calls import Step, call

T = TypeVar("T")
MEMORY, OPERATOR = "memory", "operator"


def key(run: str, name: str) -> str:
    """The run-store key of one of a run's documents."""
    return f"runs/{run}/{name}.json"


def save(where: str, value: object) -> Step[str]:
    """Store a value; its key."""
    yield from call(RunStore.put, where, codec.encode(value))
    return where


def load(where: str, kind: type[T]) -> Step[T]:
    """Fetch a value. Raises RefusedError where it is missing: the run's own documents are never optional."""
    data = yield from call(RunStore.get, where)
    if data is None:
        raise RefusedError("Missing", f"{where} is not in the run store")
    return codec.decode(data, kind)


def memory() -> Step[Memory]:
    """What the planner remembers; empty before the first run."""
    data = yield from call(State.read, MEMORY)
    return codec.decode(data, Memory) if data else Memory()


def operator() -> Step[Operator]:
    """What people asked for by the command line."""
    data = yield from call(State.read, OPERATOR)
    return codec.decode(data, Operator) if data else Operator()
