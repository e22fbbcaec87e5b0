"""What has been played so far, by chunks of each part: in memory, or in a file that a later `make proof FULL=1` goes on from."""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import msgspec

from tests.sim.application import ROOT
from tests.sim.schedule import Schedule

_PLAYED = (
    "config/**/*",
    "functions/**/*.py",
    "layers/core/python/crossmesh/**/*.py",
    "statemachines/*.json",
    "template.yaml",
    "tests/golden/*.json",
    "tests/sim/*.py",
    "tests/sim/scenarios/*.json",
    "world/aws/models/*.py",
)
_ONLY_TELLING = ("__main__.py", "mutants.py", "mutation.py", "progress.py", "results.py")  # what they say changes no play


class Tally(msgspec.Struct):
    """What a chunk of schedules came to: `calls` of ports, `virtual` and wall `seconds`, violations by property, some of the schedules that broke one."""

    part: str = ""
    chunk: int = 0
    schedules: int = 0
    calls: int = 0
    virtual: float = 0.0
    seconds: float = 0.0
    violations: dict[str, int] = {}
    failed: list[tuple[str, Schedule]] = []

    def add(self, other: "Tally") -> None:
        """Count another one in."""
        self.schedules += other.schedules
        self.calls += other.calls
        self.virtual += other.virtual
        self.seconds += other.seconds
        self.violations = {name: self.violations.get(name, 0) + other.violations.get(name, 0) for name in {*self.violations, *other.violations}}
        self.failed = [*self.failed, *other.failed][:5]


class Progress:
    """Totals and chunks done, by part. With a file, each chunk is written as it comes; what the file holds of the same sources counts as played."""

    def __init__(self, file: Path | None = None, chunk: int = 0) -> None:
        self.totals: dict[str, Tally] = {}
        self.done: dict[str, set[int]] = {}
        self._file: Any = None
        if file is None:
            return
        head, before = f"{sources()} {chunk}".encode(), file.read_bytes().splitlines() if file.is_file() else []
        goes_on = before[:1] == [head]
        for line in before[1:] if goes_on else ():
            with contextlib.suppress(msgspec.DecodeError):  # the end of a run that was killed while writing a line
                self._count(msgspec.json.decode(line, type=Tally))
        file.parent.mkdir(exist_ok=True)
        self._file = file.open("ab" if goes_on else "wb")
        self._file.write(b"\n" if goes_on else head + b"\n")

    def _count(self, found: Tally) -> None:
        if found.chunk in self.done.setdefault(found.part, set()):
            return
        self.done[found.part].add(found.chunk)
        self.totals.setdefault(found.part, Tally(part=found.part)).add(found)

    def add(self, found: Tally) -> None:
        """A chunk was played."""
        self._count(found)
        if self._file:
            self._file.write(msgspec.json.encode(found) + b"\n")
            self._file.flush()


def sources() -> str:
    """Digest of all that a play depends on: progress made with other sources proves nothing of these."""
    found = hashlib.sha256()
    for path in sorted({path for pattern in _PLAYED for path in ROOT.glob(pattern)}):
        if path.is_file() and path.name not in _ONLY_TELLING:
            found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
