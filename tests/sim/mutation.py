"""Plays schedules against a mutant: a forked process in which one file of the project has another text."""

import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing as mp
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tests.sim import application
from tests.sim.mutants import MUTANTS, Mutant
from tests.sim.schedule import Schedule

PATIENCE = 240.0  # seconds of wall time that one mutant may take
_PACKAGE = "layers/core/python/"


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mutant: the property that caught it ("" = it survived), after how many schedules."""

    mutant: str
    property: str
    detail: str = ""
    schedules: int = 0
    seconds: float = 0.0


class _Patched(importlib.machinery.SourceFileLoader):
    """Loads a module with another text than its file's."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text = text

    def get_data(self, path: str) -> bytes:
        return self.text.encode()

    def get_code(self, fullname: str) -> Any:
        return compile(self.text, self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, path: str, text: str) -> None:
        self.name, self.path, self.text = name, path, text

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, _Patched(fullname, self.path, self.text), origin=self.path)


def install(mutant: Mutant) -> None:
    """From now on this process runs the mutant."""
    text = mutant.text()
    if mutant.file.startswith(_PACKAGE):
        name = mutant.file.removeprefix(_PACKAGE).removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, _Finder(name, str(application.ROOT / mutant.file), text))
    for name in [n for n in sys.modules if n.partition(".")[0] == "crossmesh" or n == "tests.sim" or n.startswith("tests.sim.")]:
        if name not in ("tests.sim.mutants", "tests.sim.schedule"):
            del sys.modules[name]
    from tests.sim import application as fresh  # the mutant's own

    fresh.CHANGED[mutant.file] = text


def _child(mutant: Mutant, schedules: Sequence[Schedule], pipe: Any) -> None:
    begun = time.monotonic()
    install(mutant)
    from tests.sim.asl import UnknownFeature, Unsound
    from tests.sim.play import play

    number, found = 0, ("", "")
    for number, schedule in enumerate(schedules, 1):  # noqa: B007 - how many were played is told
        try:
            outcome = play(schedule)
        except (Unsound, UnknownFeature) as error:
            found = ("machine-sound", str(error))
            break
        if outcome.property:
            found = (outcome.property, outcome.detail)
            break
    killed = Killed(mutant=mutant.name, property=found[0], detail=found[1], schedules=number, seconds=time.monotonic() - begun)
    pipe.send_bytes(msgspec.json.encode(killed))  # bytes: the parent has other classes of the same names


def run(schedules: Sequence[Schedule], workers: int, mutants: Sequence[Mutant] = MUTANTS) -> Iterator[Killed]:
    """Every mutant, `workers` at a time. One that breaks the simulator itself, or takes too long, has survived: that is no verdict of a property."""
    context = mp.get_context("fork")
    waiting, running = list(mutants), []
    while waiting or running:
        while waiting and len(running) < workers:
            mutant = waiting.pop(0)
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(mutant, schedules, theirs), daemon=True)
            process.start()
            theirs.close()
            running.append((mutant, process, ours, time.monotonic()))
        for entry in list(running):
            mutant, process, pipe, begun = entry
            late = time.monotonic() - begun > PATIENCE
            if not pipe.poll(0.02) and process.is_alive() and not late:
                continue
            try:
                yield (
                    msgspec.json.decode(pipe.recv_bytes(), type=Killed)
                    if pipe.poll()
                    else Killed(mutant=mutant.name, property="", detail="too slow" if late else "no verdict")
                )
            except EOFError:
                yield Killed(mutant=mutant.name, property="", detail="the simulator itself failed")
            process.kill()
            process.join()
            running.remove(entry)
