"""Recorded inputs of both planners with the plans they gave, in tests/golden/plans: two lines of JSON a file, inputs and plan.

`python -m tests.support.golden_plans` writes the plans anew from the recorded inputs, after a change that is meant to change plans: review the diff.
`python -m tests.support.golden_plans harvest` runs the tests of the planners and records their inputs anew, those that show most.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.mesh.appmesh import planner as mesh_planner
from crossmesh.core.mesh.appmesh.state import AppMeshRequest, MeshView
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.registry import planner as registry_planner

FOLDER = Path(__file__).parents[1] / "golden" / "plans"
REGISTRY, MESH = 42, 14  # cases of each planner
SOURCES = (
    "tests/unit/core",
    "tests/unit/steps",
    "tests/unit/usecases",
    "tests/properties/test_registry.py",
    "tests/unit/sim/test_schedules.py",
)
LARGEST = 60_000  # bytes of one case
EACH = 60  # inputs that one test may offer


class MeshInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What the mesh's planner is called with."""

    requests: tuple[AppMeshRequest, ...]
    view: MeshView
    owner: str
    adopt: bool
    remove: bool


def registry(data: bytes) -> bytes:
    """The registry's plan for recorded inputs, as bytes."""
    return codec.encode(registry_planner.plan(codec.decode(data, registry_planner.PlanInputs)))


def mesh(data: bytes) -> bytes:
    """The mesh's plan for recorded inputs, as bytes."""
    inputs = codec.decode(data, MeshInputs)
    made = mesh_planner.plan(inputs.requests, inputs.view, owner=inputs.owner, adopt=inputs.adopt, remove=inputs.remove)
    return codec.encode(made)


PLANNERS: dict[str, Callable[[bytes], bytes]] = {"registry": registry, "mesh": mesh}


def cases() -> list[Path]:
    """All recorded cases; a file's folder names its registry_planner."""
    return sorted(FOLDER.glob("*/*.jsonl"))


def recorded(case: Path) -> tuple[bytes, bytes]:
    """Inputs and plan of a case."""
    inputs, plan = case.read_bytes().splitlines()
    return inputs, plan


def replayed(case: Path) -> bytes:
    """The plan that the planner gives for a case today."""
    return PLANNERS[case.parent.name](recorded(case)[0])


def write(case: Path, inputs: bytes) -> None:
    """Record a case with today's plan."""
    case.parent.mkdir(parents=True, exist_ok=True)
    case.write_bytes(inputs + b"\n" + PLANNERS[case.parent.name](inputs) + b"\n")


class Harvest:
    """A pytest plugin that notes what the planners are called with, by the test that called them."""

    def __init__(self) -> None:
        self.found: dict[str, dict[bytes, str]] = {"registry": {}, "mesh": {}}
        self.test, self.offered = "", 0
        self._indexed, self._planner = registry_planner.IndexedInputs, mesh_planner._Planner

    def pytest_configure(self) -> None:
        registry_planner.IndexedInputs = self._on_registry  # type: ignore[assignment,misc]
        mesh_planner._Planner = self._on_mesh  # type: ignore[assignment,misc]

    def pytest_unconfigure(self) -> None:
        registry_planner.IndexedInputs, mesh_planner._Planner = self._indexed, self._planner  # type: ignore[misc]

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self.test, self.offered = item.name.partition("[")[0].removeprefix("test_"), 0

    def _on_registry(self, inputs: registry_planner.PlanInputs) -> Any:
        self._note("registry", inputs)
        return self._indexed(inputs)

    def _on_mesh(self, declared: dict[MeshTarget, AppMeshRequest], view: MeshView, owner: str, *, adopt: bool, remove: bool) -> Any:
        self._note("mesh", MeshInputs(requests=tuple(declared.values()), view=view, owner=owner, adopt=adopt, remove=remove))
        return self._planner(declared, view, owner, adopt=adopt, remove=remove)

    def _note(self, planner: str, inputs: object) -> None:
        if self.offered >= EACH:
            return
        data = codec.encode(inputs)
        if len(data) <= LARGEST and data not in self.found[planner]:
            self.offered += 1
            self.found[planner][data] = self.test


def shown(planner: str, inputs: bytes) -> frozenset[str]:
    """What a case shows: lines of the core that it passes, and the words of its plan apart from names and numbers."""
    lines: set[str] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if "/crossmesh/core/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines.add(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return trace

    sys.settrace(trace)
    try:
        plan = PLANNERS[planner](inputs)
    finally:
        sys.settrace(None)
    return frozenset(lines | set(_words(msgspec.json.decode(plan), "")))


def _words(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        kind = f"{where}/{value.get('type', '')}{value.get('why', '')}{value.get('stage', '')}"
        for key, item in value.items():
            yield from _words(item, f"{kind}.{key}" if key.isidentifier() else f"{kind}.*")
    elif isinstance(value, list):
        for item in value:
            yield from _words(item, where)
    elif value or value is False:
        text = re.sub(r"[^ ]*[\d/_.:-][^ ]*", "…", str(value)) if where.endswith(("reason", "detail", "notes", "what")) else ""
        yield f"{where}={text}"


def chosen(offers: dict[bytes, str], planner: str, most: int) -> dict[str, bytes]:
    """The cases that together show most, by name; a larger one must show more."""
    weighed = {data: shown(planner, data) for data in offers}
    seen: set[str] = set()
    found: dict[str, bytes] = {}
    while len(found) < most and weighed:
        best = max(weighed, key=lambda data: (len(weighed[data] - seen) / (2_000 + len(data)) ** 0.5, data))
        seen |= weighed.pop(best)
        name = offers[best]
        number = sum(1 for taken in found if re.fullmatch(rf"{re.escape(name)}(-\d+)?", taken))
        found[f"{name}-{number + 1}" if number else name] = best
    return found


def main(arguments: list[str]) -> int:
    """Write the plans anew, or harvest inputs first."""
    if arguments == ["harvest"]:
        plugin = Harvest()
        pytest.main(["-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", *SOURCES], plugins=[plugin])
        for case in cases():
            case.unlink()
        for planner, most in (("registry", REGISTRY), ("mesh", MESH)):
            for name, inputs in chosen(plugin.found[planner], planner, most).items():
                write(FOLDER / planner / f"{name[:100]}.jsonl", inputs)
    else:
        for case in cases():
            write(case, recorded(case)[0])
    print(f"{len(cases())} cases, {sum(case.stat().st_size for case in cases()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
