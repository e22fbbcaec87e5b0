"""Where a run keeps what it saw and decided: `runs/<id>/<name>.json`. State machines carry these keys, never the data, but for what is small and read once."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any, TypeVar

from crossmesh import codec
from crossmesh.core.actions import Memory, Operator
from crossmesh.core.views import Sick
from crossmesh.errors import CrossmeshError, RefusedError
from crossmesh.ports import RunStore, State
from crossmesh.steps.calls import Call, Step, call, to, together

T = TypeVar("T")
MEMORY, OPERATOR, SICK = "memory", "operator", "sick"
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


def save_all(values: Mapping[str, object]) -> Step[None]:
    """Store values by key, side by side: each costs a round trip of tens of milliseconds on S3."""
    yield from all_of([to(RunStore.put, where, codec.encode(value)) for where, value in values.items()])


def load(where: str, kind: type[T]) -> Step[T]:
    """Fetch a value, or take it from what was carried. Raises RefusedError where it is missing: the run's own documents are never optional."""
    (found,) = yield from load_all({where: kind})
    value: T = found
    return value


def load_all(wanted: Mapping[str, type]) -> Step[list[Any]]:
    """Fetch values side by side, or take them from what was carried, in the order of the keys. Raises RefusedError where one is missing."""
    stored = [where for where in wanted if not where.startswith(_INLINE)]
    answers = yield from all_of([to(RunStore.get, where) for where in stored])
    found = dict(zip(stored, answers, strict=True))
    return [_decoded(where, found.get(where), kind) for where, kind in wanted.items()]


def all_of(calls: list[Call]) -> Step[list[Any]]:
    """The answers of calls made side by side; raises the first error among them."""
    return sound((yield from together(calls, width=16)))


def sound(answers: list[Any]) -> list[Any]:
    """The answers; raises the first error among them."""
    for answer in answers:
        if isinstance(answer, CrossmeshError):
            raise answer
    return answers


def _decoded(where: str, data: bytes | None, kind: type[T]) -> T:
    if where.startswith(_INLINE):
        data = gzip.decompress(base64.b64decode(where.removeprefix(_INLINE)))
    if data is None:
        raise RefusedError("Missing", f"{where} is not in the run store")
    return codec.decode(data, kind)


def find(where: str, kind: type[T]) -> Step[T | None]:
    """Fetch a value that may be missing."""
    data = yield from call(RunStore.get, where)
    return codec.decode(data, kind) if data else None


def standing(*others: Call) -> Step[tuple[Memory, Operator, dict[str, Sick], list[Any]]]:
    """Memory, what people asked for, what canaries say of single instances by id, and the answers of other calls: read side by side."""
    reads = [to(State.read, key) for key in (MEMORY, OPERATOR, SICK)]
    remembered, asked, sick, *more = yield from all_of([*reads, *others])
    return (
        codec.decode(remembered, Memory) if remembered else Memory(),
        codec.decode(asked, Operator) if asked else Operator(),
        codec.decode(sick, dict[str, Sick]) if sick else {},
        more,
    )


def operator() -> Step[Operator]:
    """What people asked for by the command line."""
    data = yield from call(State.read, OPERATOR)
    return codec.decode(data, Operator) if data else Operator()


def sick_of(run: str) -> Step[dict[str, Sick]]:
    """What a run was told of them; nothing where an older version observed."""
    return (yield from find(key(run, SICK), dict[str, Sick])) or {}
