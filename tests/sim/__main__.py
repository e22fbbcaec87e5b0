"""`make proof`: every single fault at every call, two runs at every pair of points, pairs of faults, narrow windows, random schedules, and the planted bugs.

PROOF_MINUTES (6) is the box of wall time for all of it, PROOF_WORKERS (2) the processes; PROOF_PARTS (mutants,schedules) leaves
one half as the last run had it; FULL=1 plays 1,000,000 random schedules however long that takes.
A schedule that breaks a property is shrunk and kept in tests/sim/scenarios. Ends 0 only where nothing was broken and no planted bug survived.
"""

import gc
import hashlib
import itertools
import multiprocessing as mp
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from tests.sim import directed, explore, mutation, results
from tests.sim.application import ROOT
from tests.sim.explore import play, randomly, shrink
from tests.sim.mutants import MUTANTS, mend
from tests.sim.schedule import Schedule, encode

MINUTES = float(os.environ.get("PROOF_MINUTES", "6"))
WORKERS = int(os.environ.get("PROOF_WORKERS", "2"))
PARTS = set(os.environ.get("PROOF_PARTS", "mutants,schedules").split(","))
FULL = os.environ.get("FULL", "") not in ("", "0")
RANDOM = 1_000_000
CHUNK = 40
# What part of the box each kind may take; what one leaves goes to those after it.
SHARES = {"singles": 0.30, "directed": 0.04, "overlaps": 0.12, "pairs": 0.10, "random": 0.24}


class Tally(msgspec.Struct):
    """What a chunk of schedules came to."""

    schedules: int = 0
    calls: int = 0
    virtual: float = 0.0
    violations: dict[str, int] = {}
    failed: list[tuple[str, Schedule]] = []


def tally(schedules: list[Schedule]) -> Tally:
    """Play a chunk; in a worker."""
    found = Tally(failed=[], violations={})
    for schedule in schedules:
        outcome = play(schedule)
        found.schedules += 1
        found.calls += outcome.calls
        found.virtual += outcome.seconds
        if outcome.property:
            found.violations[outcome.property] = found.violations.get(outcome.property, 0) + 1
            if len(found.failed) < 3:
                found.failed.append((outcome.property, schedule))
    gc.collect()
    return found


def tally_seeds(seeds: list[int]) -> Tally:
    """The same from seeds, so that nothing else need be sent."""
    return tally([randomly(seed) for seed in seeds])


def chunks(of: Iterable[object]) -> Iterator[list[object]]:
    """Lists of CHUNK."""
    iterator = iter(of)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk


def box(name: str, pool: "mp.pool.Pool", work: Callable[..., Tally], items: Iterable[object], whole: int, until: float) -> results.Played:
    """Play what fits before `until`."""
    begun, total, violations = time.monotonic(), Tally(failed=[], violations={}), Counter[str]()

    def feed() -> Iterator[list[object]]:
        for chunk in chunks(items):
            if time.monotonic() > until:
                return
            while len(waiting) > WORKERS * 2:
                time.sleep(0.01)
                collect()
            yield chunk

    waiting: list[mp.pool.AsyncResult[Tally]] = []

    def collect(*, wait: bool = False) -> None:
        for result in list(waiting):
            if wait or result.ready():
                done = result.get()
                waiting.remove(result)
                total.schedules += done.schedules
                total.calls += done.calls
                total.virtual += done.virtual
                violations.update(done.violations)
                total.failed += done.failed

    for chunk in feed():
        waiting.append(pool.apply_async(work, (chunk,)))
    collect(wait=True)
    for broken, schedule in total.failed[:5]:
        keep(broken, schedule)
    seconds = time.monotonic() - begun
    return results.Played(
        name=name,
        schedules=total.schedules,
        whole=max(whole, total.schedules),
        calls=total.calls,
        seconds=seconds,
        virtual_hours=total.virtual / 3600,
        violations=dict(violations),
    )


def keep(broken: str, schedule: Schedule) -> None:
    """Shrink a schedule that breaks a property, and keep it as a scenario."""
    small = shrink(schedule, broken, 80)
    outcome = play(small)
    data = encode(msgspec.structs.replace(small, note=f"breaks {outcome.property}: {outcome.detail[:200]}"))
    path = ROOT / "tests/sim/scenarios" / f"found-{broken}-{hashlib.sha256(data).hexdigest()[:8]}.json"
    path.write_bytes(data)
    print(f"VIOLATION of {broken}: {outcome.detail}\n  kept as {path.relative_to(ROOT)}", flush=True)


def planted(windows: list[Schedule]) -> list[mutation.Killed]:
    """What became of each planted bug."""
    begun, killed = time.monotonic(), []
    for fate in mutation.run([*windows, *(randomly(seed) for seed in range(1, 101))], WORKERS):
        killed.append(fate)
        if not fate.property:
            print(f"SURVIVED: {fate.mutant} {fate.detail}", flush=True)
    print(f"{len(killed)} planted bugs tried in {time.monotonic() - begun:.0f} s", flush=True)
    names = [mutant.name for mutant in MUTANTS]
    return sorted(killed, key=lambda fate: names.index(fate.mutant))


def schedules(windows: list[Schedule], end: float) -> list[results.Played]:
    """Every kind of schedules, each within its share of what is left of the box (two fifths of it at the least)."""
    singles = list(explore.singles())
    overlaps, pairs = explore.overlaps_count(), explore.pairs_count()
    gc.collect()
    gc.freeze()
    now = time.monotonic()
    left = max(end - now, MINUTES * 24)
    cut = itertools.accumulate(share / sum(SHARES.values()) for share in SHARES.values())
    ends = {name: now + left * share for name, share in zip(SHARES, cut, strict=True)}
    if FULL:
        ends |= dict.fromkeys(("singles", "directed", "overlaps", "random"), float("inf"))
    with mp.get_context("fork").Pool(WORKERS) as pool:
        return [
            box("every single fault, every call", pool, tally, singles, len(singles), ends["singles"]),
            box("narrow windows, kept scenarios", pool, tally, windows, len(windows), ends["directed"]),
            box("two runs, every pair of points", pool, tally, explore.overlaps(), overlaps, ends["overlaps"]),
            box("every pair of five faults", pool, tally, explore.pairs(), pairs, ends["pairs"]),
            box("random", pool, tally_seeds, range(1, RANDOM + 1), RANDOM, ends["random"]),
        ]


def main() -> int:
    """All of it."""
    moved = mend()
    if moved:
        print("\n".join(moved))
        return 1
    begun = time.monotonic()
    windows = list(directed.everything())
    last = results.read() if {"mutants", "schedules"} != PARTS else None
    killed = planted(windows) if "mutants" in PARTS or last is None else list(last.killed)
    played = schedules(windows, begun + MINUTES * 60) if "schedules" in PARTS or last is None else list(last.played)
    minutes = (time.monotonic() - begun) / 60
    found = results.Results(day=results.today(), minutes=minutes, workers=WORKERS, full=FULL, played=tuple(played), killed=tuple(killed))
    results.write(found)
    print("\n".join(results.lines(found)))
    return 1 if found.violations or found.survivors else 0


if __name__ == "__main__":
    sys.exit(main() if "--page" not in sys.argv else results.PAGE.write_text(results.page(results.read())) and 0)
