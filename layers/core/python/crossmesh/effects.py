"""How a step asks the world: it yields `Call` values and is sent the answers.

A step is a generator, so that whoever drives it — a Lambda, the command line, a test, a simulator —
decides when each port call happens and what it answers, and can stop the step before or after any
of them.

    def count_instances(service_id: str) -> Step[int]:
        instances = yield from call(Registry.list_instances, service_id)
        return len(instances)
"""

from collections.abc import Callable, Generator, Sequence
from functools import cache
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from crossmesh.errors import CrossmeshError

P = ParamSpec("P")
R = TypeVar("R")


class Call(msgspec.Struct, frozen=True):
    """One call of a port's method, e.g. port "Registry", method "list_instances"."""

    port: str
    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}


class Batch(msgspec.Struct, frozen=True):
    """Calls that may happen side by side, at most `width` at a time. Answers come in the order of
    the calls; an error takes the place of its answer.
    """

    calls: tuple[Call, ...]
    width: int = 8


Step = Generator[Call | Batch, Any, R]


def to(method: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> Call:
    """The call of a port's method as a value, checked against the method's types."""
    return Call(*_named(method), args, kwargs)


@cache
def _named(method: Callable[..., Any]) -> tuple[str, str]:
    port, _, name = method.__qualname__.rpartition(".")
    return port, name


def call(method: Callable[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> Generator[Call, Any, R]:
    """Ask one thing; raises what the port raises."""
    answer: R = yield to(method, *args, **kwargs)
    return answer


def batch(calls: Sequence[Call], width: int = 8) -> Generator[Batch, Any, list[Any]]:
    """Ask many things side by side. Errors (`CrossmeshError`) are returned in place, so that one
    failure hides no other answer.
    """
    if not calls:
        return []
    answers: list[Any] = yield Batch(tuple(calls), width)
    return answers


def gather(*steps: Step[Any]) -> Step[list[Any]]:
    """Steps side by side: what they ask at the same time is asked together. Their results in order;
    the first error ends them all.
    """
    results: list[Any] = [None] * len(steps)
    answers: dict[int, Any] = dict.fromkeys(range(len(steps)))
    while True:
        asked: dict[int, Call | Batch] = {}
        for place, answer in answers.items():
            found = yield from _onwards(steps[place], answer)
            if isinstance(found, Call | Batch):
                asked[place] = found
            else:
                (results[place],) = found
        if not asked:
            return results
        heard = iter((yield from batch([each for of in asked.values() for each in _calls(of)])))
        answers = {
            place: next(heard) if isinstance(of, Call) else [next(heard) for _ in of.calls]
            for place, of in asked.items()
        }


def _calls(asked: Call | Batch) -> tuple[Call, ...]:
    return asked.calls if isinstance(asked, Batch) else (asked,)


def _onwards(step: Step[Any], answer: Any) -> Step[Call | Batch | tuple[Any]]:
    """What a step asks next, or its result in a tuple. The time is asked at once: nothing waits for
    it. An error in a single call's place is raised there.
    """
    try:
        asked = step.throw(answer) if isinstance(answer, CrossmeshError) else step.send(answer)
        while isinstance(asked, Call) and asked.port == "Clock":
            asked = step.send((yield asked))
    except StopIteration as end:
        return (end.value,)
    return asked
