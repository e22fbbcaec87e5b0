"""How long a look waits for each cluster. Pure.

A cluster that was not seen and took more than SHORT seconds is slow: the looks after it wait SHORT
seconds for it. It delays the others once, not in every look. Nothing else follows from it: a slow
cluster is unseen, and nothing of it is removed.

A cluster that answers within SHORT seconds is seen, and gets its whole limit back. One that needs
longer gets it in a trial, which delays nobody.
"""

from collections.abc import Container, Iterable, Mapping

import msgspec

from crossmesh.core.observed import Unseen

# Seconds that a look waits for one cluster: as a rule, and where it is slow
WHOLE, SHORT = 22.0, 3.0
# Seconds of one that took its short limit, less what an answer needs on its way
_WAITED = SHORT * 0.9
# Seconds between two trials of a slow cluster: at first, and after hours
TRIAL_EVERY, TRIAL_AT_MOST = 300.0, 3600.0


class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a cluster is slow, and when it last had a trial (seconds since the epoch; 0 = it
    had none).
    """

    since: float
    tried: float = 0.0


def limit(slow: Slow | None) -> float:
    """How long to wait for it."""
    return WHOLE if slow is None else SHORT


def judged(unseen: Iterable[Unseen], seen: Container[str], before: Mapping[str, Slow]) -> dict[str, Slow]:
    """The slow clusters after a look, sorted by name. `unseen`: what gave no answer, pods or
    manifests; `seen`: the clusters whose pods were seen.
    """
    found = {}
    for view in unseen:
        slow = before.get(view.cluster)
        if slow is None and view.spent > SHORT:
            found[view.cluster] = Slow(since=view.begun)
        elif slow is not None and (view.cluster not in seen or view.spent >= _WAITED):
            found[view.cluster] = slow
    return dict(sorted(found.items()))


def due(slow: Mapping[str, Slow], now: float) -> tuple[str, ...]:
    """The clusters that get a trial now. The pauses between trials double."""
    return tuple(name for name, of in sorted(slow.items()) if now - max(of.since, of.tried) >= _pause(of))


def tried(slow: Mapping[str, Slow], names: Iterable[str], now: float) -> dict[str, Slow]:
    """The same, with trials of these clusters at `now`."""
    return {**slow, **{name: msgspec.structs.replace(slow[name], tried=now) for name in names}}


def _pause(slow: Slow) -> float:
    return min(TRIAL_AT_MOST, max(TRIAL_EVERY, slow.tried - slow.since))
