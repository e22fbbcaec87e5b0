"""What a function's cold start computes: importing it and making the clients of its rights, from the layers as they are built.

Before: the same layers without bytecode, and a session for each client. Both in one run, each in fresh processes.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.layers import BUILT, START, functions, interpreter, path_of, start
from world.deploy import ROOT

TOLD = ("take_lease", "apply_registry", "look")
RUNS = 3


def cold_starts(row: Callable[[str, str, str], None]) -> None:
    """A row for each function of the event path, and one for the slowest of all."""
    python = interpreter()
    if not python:
        row("cold start: CPU of import and clients", "≤ 0.4 s", "not measured: the functions' Python is not on this machine")
        return
    built = {name: ROOT / ".aws-sam" / "build" / name for name in BUILT}
    with tempfile.TemporaryDirectory() as folder:
        bare = {name: without_bytecode(path, Path(folder) / name) for name, path in built.items()}
        own = without_bytecode(ROOT / "layers" / "core" / "python", Path(folder) / "core" / "python")
        found = {}
        for function, (layers, ports) in functions().items():
            now, before = path_of(function, layers, built), path_of(function, layers, bare)
            before = before.replace(str(ROOT / "layers" / "core" / "python"), str(own))
            found[function] = (cpu(python, now, ports), cpu(python, before, ports, "--session-each"))
    slowest = max(found, key=lambda name: found[name][0])
    for name in dict.fromkeys((*TOLD, slowest)):
        after, once = found[name]
        what = f"cold start of {name}: CPU of import and clients" + (" (the slowest of all)" if name == slowest else "")
        row(what, "≤ 0.4 s", f"{after:.2f} s; without bytecode and with a session for each client {once:.2f} s: {after / once:.2f} ×")


def without_bytecode(source: Path, target: Path) -> Path:
    """The same folder with no bytecode, as links."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), copy_function=link)
    return target


def link(source: str, target: str) -> str:
    """A hard link where both are on one file system, a copy elsewhere."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def cpu(python: str, path: str, ports: tuple[str, ...], *options: str) -> float:
    """Seconds of processor time, the best of a few runs."""
    done = [start(python, path, START, json.dumps(ports), *options) for _ in range(RUNS)]
    failed = [one.stderr for one in done if one.returncode]
    if failed:
        raise RuntimeError(failed[0])
    return min(float(one.stdout) for one in done)
