"""One pod by the event path in the world: Ready → watcher → bus → look → run → found by DiscoverInstances; and Terminating → not found any more."""

import statistics
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.bench.timeline import Change
from tests.bench.watched import Watched, told

SAMPLES = 9
REACH = {0.0: "median ≤ 1 s", 0.3: "median ≤ 1.5 s", 2.5: "reported"}


def event_path(world: Watched, row: Callable[[str, str, str], None], samples: int = SAMPLES) -> None:
    """At each modelled operation lag: pods one by one, in and out."""
    for lag, reach in REACH.items():
        world.lag(lag)
        taken: dict[bool, list[float]] = {True: [], False: []}
        parts: list[dict[str, float]] = []
        for _ in range(samples):
            for live, replicas in ((True, 2), (False, 1)):
                world.rest()
                offset = time.time() - time.monotonic()
                change, shown = _one(world, replicas)
                taken[live].append(shown - change.at)
                if live:
                    parts.append(_parts(world, change.at + offset, shown + offset))
        row(f"one pod Ready → registered, operation lag {lag:g} s", reach, told(taken[True]) + "; " + _of(parts))
        row(f"one pod Terminating → gone, operation lag {lag:g} s", "", told(taken[False]))
    world.lag(0.3)


def _one(world: Watched, replicas: int) -> tuple[Change, float]:
    """The pod's change and when the registry showed it (to about 10 ms)."""
    known = len(world.changes)
    world.scale(replicas)
    while len(world.changes) == known:
        time.sleep(0.002)
    return world.changes[known], world.until_exact(60, 0.01)[-1].at


def _parts(world: Watched, ready: float, shown: float) -> dict[str, float]:
    """Where the time went, from the history of the newest execution: seconds."""
    states = world.app.states
    newest = states.list_executions(stateMachineArn=world.app.outputs["ReconcileArn"], maxResults=1)["executions"][0]
    events = states.get_execution_history(executionArn=newest["executionArn"], maxResults=1000)["events"]
    entered = {event["stateEnteredEventDetails"]["name"]: _seconds(event) for event in events if "stateEnteredEventDetails" in event}
    apply = entered.get("Apply registry", shown)
    return {"Ready → run": _seconds(events[0]) - ready, "run → apply": apply - _seconds(events[0]), "apply → shown": shown - apply}


def _seconds(event: dict[str, Any]) -> float:
    at: datetime = event["timestamp"]
    return at.timestamp()


def _of(parts: list[dict[str, float]]) -> str:
    return ", ".join(f"{name} {statistics.median(part[name] for part in parts):.2f} s" for name in parts[0])
