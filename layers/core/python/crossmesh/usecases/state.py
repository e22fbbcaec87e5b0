"""Where a run keeps what it saw and decided: `runs/<id>/<name>.json`. State machines carry these
keys, never the data, but for what is small and read once.
"""

import base64
import gzip
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.observed import Outlier, View
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.core.reporting.report import Report, forms
from crossmesh.effects import Call, Step, batch, call, to
from crossmesh.errors import CrossmeshError, RefusedError
from crossmesh.ports import RunStore, State, Telemetry

T = TypeVar("T")
LOOKED = "look"  # the last look, as a `Report`
LAST_RUN = "run"  # the last run that ended, as a `Report`
MEMORY, OPERATOR, OUTLIERS = "memory", "operator", "outliers"
ENDPOINTS = "endpoints"  # a run's endpoint decision, kept where a later step reads it
_INLINE = "gzip:"


def key(run: str, name: str) -> str:
    """The run-store key of one of a run's documents."""
    return f"runs/{run}/{name}.json"


def save(where: str, value: object) -> Step[str]:
    """Store a value; its key."""
    yield from call(RunStore.put, where, codec.encode(value))
    return where


def inline_or_store(where: str, value: object, most: int) -> Step[str]:
    """What takes the place of a key where only the next state reads the value: the value,
    compressed, or its key where that is above `most` characters.

    An object put costs as much as eight writes of a kilobyte to the table, and a state nothing
    (docs/reference/costs.md).
    """
    text = _INLINE + base64.b64encode(gzip.compress(codec.encode(value), mtime=0)).decode()
    return text if len(text) <= most else (yield from save(where, value))


def save_all(values: Mapping[str, object]) -> Step[None]:
    """Store values by key, side by side: each costs a round trip of tens of milliseconds on S3."""
    yield from batch_or_raise([to(RunStore.put, where, codec.encode(value)) for where, value in values.items()])


def load(where: str, kind: type[T]) -> Step[T]:
    """Fetch a value, or take it from what was carried. Raises RefusedError where it is missing: the
    run's own documents are never optional.
    """
    (found,) = yield from load_all({where: kind})
    value: T = found
    return value


def load_all(wanted: Mapping[str, type]) -> Step[list[Any]]:
    """Fetch values side by side, or take them from what was carried, in the order of the keys.
    Raises RefusedError where one is missing.
    """
    stored = [where for where in wanted if not where.startswith(_INLINE)]
    answers = yield from batch_or_raise([to(RunStore.get, where) for where in stored])
    found = dict(zip(stored, answers, strict=True))
    return [_decoded(where, found.get(where), kind) for where, kind in wanted.items()]


def batch_or_raise(calls: list[Call]) -> Step[list[Any]]:
    """The answers of calls made side by side; raises the first error among them."""
    return raise_first((yield from batch(calls, width=16)))


def raise_first(answers: list[Any]) -> list[Any]:
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


def load_optional(where: str, kind: type[T]) -> Step[T | None]:
    """Fetch a value that may be missing."""
    data = yield from call(RunStore.get, where)
    return codec.decode(data, kind) if data else None


def tell(where: str, report: Report, *others: Call) -> Step[None]:
    """Keep a report in the table, beside other calls. Where the table refuses it, a shorter one is
    kept.

    A report never decides about its pass: where even the shortest is refused, the pass goes on and
    an alarm tells.
    """
    shapes = (data for form in forms(report) if bounds.fits(data := codec.encode(form)))
    answers = yield from batch([to(State.write, where, next(shapes)), *others], width=16)
    raise_first(answers[1:])
    answer = answers[0]
    for shorter in shapes:
        if not isinstance(answer, RefusedError):
            break
        (answer,) = yield from batch([to(State.write, where, shorter)])
    if isinstance(answer, RefusedError):
        failed = Report(
            id=report.id, kind="failed", at=report.at, config=report.config, failure=f"the report was refused: {answer}"
        )
        yield from call(Telemetry.report, failed)
    elif isinstance(answer, CrossmeshError):
        raise answer


def load_planner_inputs(*others: Call) -> Step[tuple[PlannerState, ManualOverrides, dict[str, Outlier], list[Any]]]:
    """Memory, what people asked for, what canaries say of single instances by id, and the answers
    of other calls: read side by side.
    """
    reads = [to(State.read, key) for key in (MEMORY, OPERATOR, OUTLIERS)]
    remembered, asked, outliers, *more = yield from batch_or_raise([*reads, *others])
    return (
        codec.decode(remembered, PlannerState) if remembered else PlannerState(),
        codec.decode(asked, ManualOverrides) if asked else ManualOverrides(),
        codec.decode(outliers, dict[str, Outlier]) if outliers else {},
        more,
    )


def operator() -> Step[ManualOverrides]:
    """What people asked for by the command line."""
    data = yield from call(State.read, OPERATOR)
    return codec.decode(data, ManualOverrides) if data else ManualOverrides()


def views_of(run: str, clusters: Sequence[str]) -> Step[dict[str, View | None]]:
    """What a run saw of each cluster; None where it kept nothing."""
    found = yield from batch_or_raise([to(RunStore.get, key(run, f"views/{name}")) for name in clusters])
    return {
        name: msgspec.json.decode(data, type=View) if data else None for name, data in zip(clusters, found, strict=True)
    }


def outliers_of(run: str) -> Step[dict[str, Outlier]]:
    """What a run was told of them; nothing where an older version observed."""
    return (yield from load_optional(key(run, OUTLIERS), dict[str, Outlier])) or {}
