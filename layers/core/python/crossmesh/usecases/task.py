"""A function of the application, as a value: what `runtime.entrypoint`, the simulator and tests
run. Each module of `crossmesh.steps` has one, `TASK`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

import msgspec

from crossmesh.effects import Step
from crossmesh.usecases.context import Context

Q = TypeVar("Q")
A = TypeVar("A")


def wait_until(seconds: float) -> str:
    """A time (seconds since the epoch) as a Wait state takes it: the next whole second."""
    return datetime.fromtimestamp(seconds + 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Task(msgspec.Struct, Generic[Q, A], frozen=True, kw_only=True):
    """`name` stands in logs; `request` is what `run` is asked, decoded from the event of its Task
    state.

    `manifests`: what the step gets of manifests that are read live from clusters, by default
    nothing. "active": the documents that its run names, else those in force. "digest": the
    configuration's digest alone covers them. "latest digest": so of those in force now, whatever
    its run names. `unconfigured`: it also runs where settings or manifests are refused.
    """

    name: str
    request: type[Q]
    run: Callable[[Q, Context], Step[A]]
    manifests: Literal["", "active", "digest", "latest digest"] = ""
    unconfigured: bool = False
