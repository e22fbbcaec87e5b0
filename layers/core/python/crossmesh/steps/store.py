"""Where a run keeps what it saw and decided: `runs/<id>/<name>.json`. State machines carry these keys, never the data, but for what is small and read once."""

import base64
import gzip
from typing import TypeVar

from crossmesh import codec
from crossmesh.core.actions import Memory, Operator
from crossmesh.errors import RefusedError
from crossmesh.ports import RunStore, State
from crossmesh.steps.calls import Step, call

T = TypeVar("T")
MEMORY, OPERATOR = "memory", "operator"
_INLINE = "gzip:"


def key(run: str, name: str) -> str:
    """The run-store key of one of a run's documents."""
    return f"runs/{run}/{name}.json"


def save(where: str, value: object) -> Step[str]:
    """Store a value; its key."""
    yield from call(RunStore.put, where, codec.encode(value))
    return where


def carry(where: str, value: object, most: int) -> Step[str]:
    """What takes the place of a key where only the next state reads the value: the value, compressed, or its key where that is above `most` characters.

    An object put costs as much as eight writes of a kilobyte to the table, and a state nothing (docs/costs.md).
    """
    text = _INLINE + base64.b64encode(gzip.compress(codec.encode(value), mtime=0)).decode()
    return text if len(text) <= most else (yield from save(where, value))


def load(where: str, kind: type[T]) -> Step[T]:
    """Fetch a value, or take it from what was carried. Raises RefusedError where it is missing: the run's own documents are never optional."""
    if where.startswith(_INLINE):
        return codec.decode(gzip.decompress(base64.b64decode(where.removeprefix(_INLINE))), kind)
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
