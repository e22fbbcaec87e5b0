"""A schedule is data: what stands at first, what happens when, and what goes wrong at which call. The same schedule always plays the same way."""

from typing import Any

import msgspec

# What can go wrong at a call, by its number in the schedule (Fault.do). Numbers count every port call but those to the clock.
FAULTS = (
    "crash",  # the function dies before the call
    "crash-after",  # … when the call was made
    "kill",  # the whole execution ends, its function with it
    "kill-after",
    "orphan",  # the execution ends; its function lives on and makes this call `arg` seconds later, beside whoever took over
    "beside",  # … and makes this call right after call number `arg`, made by the run that a look then starts
    "pause",  # the function stands still for `arg` seconds before the call
    "throttle",  # refused for being one too many
    "error",  # a 5xx, without effect
    "timeout",  # no answer for 15 s, without effect
    "lost",  # done, but the answer never came
    "refuse",  # rights taken away
    "stale",  # a read of Cloud Map or of discovery answers as of `arg` changes ago
    "lie",  # a view of a cluster is wrong in the way `what`
    "late-failure",  # the operation that this call begins fails when its time comes
    "slow",  # … takes `arg` seconds
    "stall",  # from here on the next `arg` calls of the function `what` are not made before its time is up
    "failing",  # from here on the next `arg` calls of the function `what` are answered by a 5xx
    "skew",  # this function's clock is `arg` seconds off
)


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something wrong at call `at`."""

    at: int
    do: str
    arg: float = 0.0
    what: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happens in the world `t` seconds after the start: see `events.py`."""

    t: float
    do: str
    cluster: str = ""
    name: str = ""
    kind: str = ""
    arg: float = 0.0


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`pods`: cluster -> kind -> how many stand when it begins. `lag`: seconds of a Cloud Map operation; `rates`: operation -> (a second, burst).

    `hints`: kept | lost | twice | late. `cold`: nothing is registered when it begins. `mesh`: App Mesh is kept, too.
    `live`: manifests are read from the clusters.
    `envoys`: the mesh is kept by snapshots for own Envoys. `note` says what it was found for.
    """

    pods: dict[str, dict[str, int]]
    seed: int = 0
    lag: float = 0.0
    latency: float = 0.004
    rates: dict[str, tuple[float, float]] = {}
    hints: str = "kept"
    cold: bool = False
    mode: str = "apply"
    policy: str = "sync"
    mesh: bool = True
    live: bool = False
    envoys: bool = False
    events: tuple[Event, ...] = ()
    faults: tuple[Fault, ...] = ()
    note: str = ""


def encode(schedule: Schedule) -> bytes:
    """As kept in tests/sim/scenarios."""
    return msgspec.json.format(msgspec.json.encode(schedule), indent=1) + b"\n"


def decode(data: bytes) -> Schedule:
    """Back from JSON."""
    found: Any = msgspec.json.decode(data, type=Schedule)
    return found
