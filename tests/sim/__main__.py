"""`make proof`: every single fault at every call, two runs at every pair of points, pairs of faults, narrow windows, random schedules, and the planted bugs.

PROOF_MINUTES (6) is the box of wall time for all of it, PROOF_WORKERS (2) the processes; PROOF_PARTS (mutants,schedules) leaves
one half as the last run had it. FULL=1 plays everything and 1,000,000 random schedules, however long that takes, or for PROOF_MINUTES: what it plays is
written to .proof/progress.jsonl as it goes, and the next FULL=1 of the same sources goes on from there; interrupted, it tells what was played.
A schedule that breaks a property is shrunk and kept in tests/sim/scenarios. Ends 0 only where nothing was broken, no planted bug survived and each property
caught one.
"""

import gc
import hashlib
import itertools
import math
import multiprocessing as mp
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.sim import directed, explore, mutation, results
from tests.sim.application import ROOT
from tests.sim.explore import randomly, shrink
from tests.sim.mutants import MUTANTS, mend
from tests.sim.play import Outcome, play
from tests.sim.progress import Progress, Tally
from tests.sim.schedule import Schedule, encode

FULL = os.environ.get("FULL", "") not in ("", "0")
MINUTES = float(os.environ.get("PROOF_MINUTES") or ("inf" if FULL else "6"))
WORKERS = int(os.environ.get("PROOF_WORKERS", "2"))
PARTS = set(os.environ.get("PROOF_PARTS", "mutants,schedules").split(","))
RANDOM = 1_000_000
CHUNK = 200 if FULL else 40
PROGRESS = results.RESULTS.parent / "progress.jsonl"
SNAPSHOT_EVERY = 60.0  # seconds
COLLECTED_EVERY, CHUNKS_A_PROCESS = (
    400,
    200,
)  # schedules between two collections of garbage; after so many chunks a process makes room for a new one


class Part(msgspec.Struct, frozen=True):
    """A kind of schedules by number, and what part of the box it may take; what one leaves goes to those after it."""

    name: str
    count: int
    schedule: Callable[[int], Schedule]
    share: float


def of(name: str, schedules: Sequence[Schedule], share: float) -> Part:
    """A part that is a list."""
    return Part(name, len(schedules), schedules.__getitem__, share)


_parts: dict[str, Part] = {}  # as the processes of the pool inherit them
_since_collected = itertools.count()


def tally(name: str, chunk: int) -> Tally:
    """Play a chunk of a part; in a process of the pool."""
    part, begun = _parts[name], time.monotonic()
    found = Tally(part=name, chunk=chunk, failed=[], violations={})
    for number in range(chunk * CHUNK, min(part.count, (chunk + 1) * CHUNK)):
        schedule = part.schedule(number)
        outcome = _sound(schedule)
        found.schedules += 1
        found.calls += outcome.calls
        found.virtual += outcome.seconds
        if outcome.property:
            found.violations[outcome.property] = found.violations.get(outcome.property, 0) + 1
            if len(found.failed) < 3:
                found.failed.append((outcome.property, schedule))
        if next(_since_collected) % COLLECTED_EVERY == COLLECTED_EVERY - 1:
            gc.collect()
    found.seconds = time.monotonic() - begun
    return found


def _sound(schedule: Schedule) -> Outcome:
    """Its outcome; that the simulator itself failed is one, too, and ends no long run."""
    try:
        return play(schedule)
    except Exception as error:  # noqa: BLE001 - whatever it was, it is told and counted
        return Outcome(property="simulator-failed", detail=f"{type(error).__name__}: {error}")


def box(part: Part, pool: Any, progress: Progress, until: float, told: Callable[[], None]) -> None:
    """Play what fits before `until` and was not played yet."""
    waiting: list[mp.pool.AsyncResult[Tally]] = []
    kept = 0

    def collect(*, wait: bool = False) -> None:
        nonlocal kept
        for result in list(waiting):
            if wait or result.ready():
                found = result.get()
                waiting.remove(result)
                progress.add(found)
                for broken, schedule in found.failed[: max(0, 5 - kept)]:
                    kept += 1
                    keep(broken, schedule)
        told()

    done = progress.done.get(part.name, set())
    for chunk in range(math.ceil(part.count / CHUNK)):
        if time.monotonic() > until:
            break
        if chunk in done:
            continue
        waiting.append(pool.apply_async(tally, (part.name, chunk)))
        while len(waiting) > WORKERS * 2:
            time.sleep(0.01)
            collect()
    collect(wait=True)


def keep(broken: str, schedule: Schedule) -> None:
    """Shrink a schedule that breaks a property, and keep it as a scenario."""
    small = shrink(schedule, broken, 80) if broken != "simulator-failed" else schedule
    outcome = _sound(small)
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


def parts(windows: list[Schedule]) -> list[Part]:
    """Every kind of schedules."""
    return [
        of("every single fault, every call", list(explore.singles()), 0.30),
        of("narrow windows, kept scenarios", windows, 0.04),
        of("two runs, every pair of points", list(explore.overlaps()), 0.12),
        Part("every pair of five faults", explore.pairs_count(), explore.pair, 0.10),
        Part("random", RANDOM, lambda number: randomly(number + 1), 0.24),
    ]


def schedules(every: list[Part], progress: Progress, end: float, told: Callable[[], None]) -> None:
    """Each part within its share of what is left of the box (two fifths of it at the least); of a full run the pairs alone are cut, to a tenth."""
    _parts.update((part.name, part) for part in every)
    gc.collect()
    gc.freeze()
    now = time.monotonic()
    left = max(end - now, MINUTES * 24)
    cut = itertools.accumulate(part.share / sum(part.share for part in every) for part in every)
    ends = {part.name: now + left * share for part, share in zip(every, cut, strict=True)}
    if FULL:
        ends = {part.name: now + left * (0.9 if part.name == "random" else 1.0) for part in every}
        every = sorted(every, key=lambda part: part.name == "every pair of five faults")
    with mp.get_context("fork").Pool(WORKERS, initializer=_in_the_pool, maxtasksperchild=CHUNKS_A_PROCESS) as pool:
        for part in every:
            box(part, pool, progress, ends[part.name], told)


def _in_the_pool() -> None:
    gc.disable()  # `tally` collects
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def found(every: list[Part], progress: Progress, killed: Sequence[mutation.Killed], begun: float) -> results.Results:
    """The results so far."""
    played = []
    for part in every:
        total = progress.totals.get(part.name, Tally())
        hours = total.virtual / 3600
        played.append(
            results.Played(
                name=part.name,
                schedules=total.schedules,
                whole=part.count,
                calls=total.calls,
                seconds=total.seconds,
                virtual_hours=hours,
                violations=total.violations,
            )
        )
    minutes = (time.monotonic() - begun) / 60
    return results.Results(day=results.today(), minutes=minutes, workers=WORKERS, full=FULL, played=tuple(played), killed=tuple(killed))


def main() -> int:
    """All of it."""
    moved = mend()
    if moved:
        print("\n".join(moved))
        return 1
    begun = time.monotonic()
    windows = list(directed.everything())
    last = results.read() if {"mutants", "schedules"} != PARTS and results.RESULTS.is_file() else None
    killed = planted(windows) if "mutants" in PARTS else list(last.killed) if last else []
    plays = "schedules" in PARTS or last is None
    outcome = _played(windows, killed, begun) if plays else msgspec.structs.replace(last, killed=tuple(killed))
    results.write(outcome)
    print("\n".join(results.lines(outcome)))
    return 1 if outcome.violations or outcome.survivors or (killed and outcome.idle) else 0


def _played(windows: list[Schedule], killed: list[mutation.Killed], begun: float) -> results.Results:
    every, progress = parts(windows), Progress(PROGRESS if FULL else None, CHUNK)
    last = begun

    def told() -> None:
        nonlocal last
        if FULL and time.monotonic() - last > SNAPSHOT_EVERY:
            last = time.monotonic()
            results.write(found(every, progress, killed, begun))

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        schedules(every, progress, begun + MINUTES * 60, told)
    except KeyboardInterrupt:
        print("interrupted: what follows was played", flush=True)
    return found(every, progress, killed, begun)


if __name__ == "__main__":
    sys.exit(main() if "--page" not in sys.argv else results.PAGE.write_text(results.page(results.read())) and 0)
