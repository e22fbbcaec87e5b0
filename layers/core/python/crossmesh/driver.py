"""Drive a step on real ports: the one place where yielded calls become effects."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from crossmesh.effects import Batch, Call, Step
from crossmesh.errors import CrossmeshError

R = TypeVar("R")


def drive(step: Step[R], ports: Mapping[str, Any]) -> R:
    """Run `step` to its end; each `Together` on a thread pool of its width."""
    answer: Any = None
    error: CrossmeshError | None = None
    while True:
        try:
            asked = step.throw(error) if error is not None else step.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result
        answer, error = None, None
        if isinstance(asked, Batch):
            answer = _side_by_side(asked, ports)
        else:
            try:
                answer = execute(asked, ports)
            except CrossmeshError as raised:
                error = raised


def execute(asked: Call, ports: Mapping[str, Any]) -> Any:
    """Make one call."""
    return getattr(ports[asked.port], asked.method)(*asked.args, **asked.kwargs)


def _side_by_side(asked: Batch, ports: Mapping[str, Any]) -> list[Any]:
    def one(call: Call) -> Any:
        try:
            return execute(call, ports)
        except CrossmeshError as error:
            return error

    if len(asked.calls) == 1:
        return [one(asked.calls[0])]
    with ThreadPoolExecutor(max_workers=min(asked.width, len(asked.calls))) as pool:
        return list(pool.map(one, asked.calls))
