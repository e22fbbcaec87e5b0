"""Ends a step at any of its port calls."""

from typing import Any

from crossmesh.driver import execute
from crossmesh.effects import Batch, Step
from crossmesh.errors import CrossmeshError

from tests.support.passes import MemoryWorld


def cut(step: Step[Any], world: MemoryWorld, at: int, *, after: bool) -> bool:
    """Drive `step` up to its call number `at` (each call of a group counts), made (`after`) or not; True where it ended by itself before."""
    count, answer, error = 0, None, None
    while True:
        try:
            asked = step.throw(error) if error else step.send(answer)
        except StopIteration:
            return True
        answer, error = None, None
        answers = []
        for call in asked.calls if isinstance(asked, Batch) else (asked,):
            if count == at and not after:
                return False
            try:
                answers.append(execute(call, world.ports))
            except CrossmeshError as raised:
                answers.append(raised)
            if count == at:
                return False
            count += 1
        if isinstance(asked, Batch):
            answer = answers
        elif isinstance(answers[0], CrossmeshError):
            error = answers[0]
        else:
            answer = answers[0]
