"""What pods did and what the registry held, second by second, and how the two compare: pure, so that the numbers can be trusted."""

from collections.abc import Sequence

import msgspec


class Change(msgspec.Struct, frozen=True):
    """At `at` (seconds) the pod `uid` became live (ready, not Terminating), or stopped to be."""

    at: float
    uid: str
    live: bool


class Held(msgspec.Struct, frozen=True):
    """At `at` the registry was seen to hold instances of exactly these pods."""

    at: float
    uids: frozenset[str]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`least_live`: fewest live pods registered at once; `most_dead` and `dead_seconds`: instances whose pod was not live; `lag`: from the last
    pod's change to an exact registry that stayed so, negative where it never came."""

    least_live: int
    most_dead: int
    dead_seconds: float
    lag: float


def compare(changes: Sequence[Change], held: Sequence[Held]) -> Comparison:
    """Over the time of `held`. A state is taken to last until the next one was seen; pods that changed before the first one count from there."""
    live: set[str] = set()
    pending = sorted(changes, key=lambda change: change.at)
    moments = sorted({*(h.at for h in held), *(c.at for c in pending if held[0].at <= c.at <= held[-1].at)})
    least, most, seconds, exact_since = None, 0, 0.0, -1.0
    index, place = 0, 0
    for number, moment in enumerate(moments):
        while index < len(pending) and pending[index].at <= moment:
            change = pending[index]
            (live.add if change.live else live.discard)(change.uid)
            index += 1
        while place + 1 < len(held) and held[place + 1].at <= moment:
            place += 1
        registered = held[place].uids
        here, dead = len(registered & live), len(registered - live)
        least = here if least is None else min(least, here)
        most = max(most, dead)
        if number + 1 < len(moments):
            seconds += dead * (moments[number + 1] - moment)
        exact_since = (moment if exact_since < 0 else exact_since) if registered == live else -1.0
    last = pending[-1].at if pending else held[0].at
    return Comparison(
        least_live=least or 0,
        most_dead=most,
        dead_seconds=round(seconds, 1),
        lag=round(max(0.0, exact_since - last), 2) if exact_since >= 0 else -1.0,
    )
