"""What `make proof` found, as a file; and docs/reference/reliability.md, every number of which comes from it."""

import datetime
import json
import re

import msgspec

from tests.sim.application import ROOT
from tests.sim.mutants import MUTANTS
from tests.sim.mutation import Killed
from tests.sim.rules import PROPERTIES
from tests.sim.schedule import decode

RESULTS = ROOT / ".proof" / "results.json"
TRAFFIC = ROOT / "docs" / "reference" / "traffic.json"
_LOAD = (
    "The scenarios of the world (`world/scenarios/`), each under a steady load, 20 requests a second at most, through the front load balancer and real Envoy;",
    "`python -m world.scenario.play` plays them all and writes this table. A request that fails though its chosen pod lived, or later after that pod's death",
    "than the lag that the scenario states, fails the scenario. A scenario ends when its checks hold, so that few requests mean that it was short.",
)
PAGE = ROOT / "docs" / "reference" / "reliability.md"
RULES = (ROOT / "docs" / "explanation" / "the-thirteen-rules.md").read_text()
TITLES = ("eventual exactness and stability", *re.findall(r"^## \d+\. (.+)$", RULES, re.MULTILINE))


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of schedules: how many there are and how many were played; `calls` are port calls, `seconds` of all processes, `violations` by property."""

    name: str
    schedules: int
    whole: int
    calls: int
    seconds: float
    virtual_hours: float
    violations: dict[str, int] = {}

    @property
    def each(self) -> float:
        """Milliseconds of wall time that one of them took, on whatever machine and beside whatever else."""
        return 1000 * self.seconds / self.schedules if self.schedules else 0.0


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All of one `make proof`."""

    day: str
    minutes: float
    workers: int
    full: bool
    played: tuple[Played, ...]
    killed: tuple[Killed, ...]

    @property
    def violations(self) -> int:
        """Of any property, in any schedule."""
        return sum(count for played in self.played for count in played.violations.values())

    @property
    def survivors(self) -> list[str]:
        """Mutants that nothing caught, or that were not tried."""
        caught = {killed.mutant for killed in self.killed if killed.property}
        return [mutant.name for mutant in MUTANTS if mutant.name not in caught]

    @property
    def idle(self) -> list[str]:
        """Properties that caught no mutant first: nothing shows yet that they can fail."""
        caught = {killed.property for killed in self.killed}
        return [name for name in PROPERTIES if name not in caught]


def write(results: Results) -> None:
    """Keep them, and the page made of them."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))


def read() -> Results:
    """Those of the last run."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=Results)


def lines(results: Results) -> list[str]:
    """What `make proof` prints."""
    found = [f"{'schedules':34} {'played':>9} {'of':>9} {'calls':>12} {'ms each':>8} {'virtual h':>10} violations"]
    for played in results.played:
        bad = ", ".join(f"{name}: {count}" for name, count in sorted(played.violations.items())) or "none"
        found.append(
            f"{played.name:34} {played.schedules:9,} {played.whole:9,} {played.calls:12,} {played.each:8.1f} {played.virtual_hours:10.0f} {bad}"
        )
    dead = len(MUTANTS) - len(results.survivors)
    found.append(f"mutants killed {dead} of {len(MUTANTS)}" + (f"; alive: {', '.join(results.survivors)}" if results.survivors else ""))
    if results.idle:
        found.append(f"properties that caught none of them: {', '.join(results.idle)}")
    broken = {name for played in results.played for name in played.violations}
    rules = sorted({PROPERTIES[name][0] for name in PROPERTIES} - {PROPERTIES[name][0] for name in broken if name in PROPERTIES})
    found.append(f"rules held {len([rule for rule in rules if rule])} of 13, by {len(PROPERTIES)} properties; exact and stable: {0 in rules}")
    return found + traffic()


def traffic() -> list[str]:
    """The traffic table, where it was measured (docs/reference/traffic.json: what a steady load through the front met in each scenario of the world)."""
    rows = _traffic()
    if not rows:
        return ["traffic: not measured in this tree (docs/reference/traffic.json is made by the scenarios of the world)"]
    head = "traffic    " + " | ".join(rows[0])
    return [head, *("           " + " | ".join(row.values()) for row in rows)]


def _traffic() -> list[dict[str, str]]:
    return json.loads(TRAFFIC.read_text())["rows"] if TRAFFIC.is_file() else []


def _traffic_table() -> list[str]:
    rows = _traffic()
    if not rows:
        return traffic()
    head = ["| " + " | ".join(rows[0]) + " |", "| --- |" + " --- |" * (len(rows[0]) - 1)]
    return [*_LOAD, "", *head, *("| " + " | ".join(row.values()) + " |" for row in rows)]


def page(results: Results) -> str:
    """docs/reference/reliability.md."""
    made = f"Made by `make proof` ({results.day}, {results.minutes:.1f} minutes of wall time on {results.workers} processes"
    made += f"{', FULL=1' if results.full else ''}) from its results file; do not edit."
    total = sum(played.schedules for played in results.played)
    parts = [
        "# How reliable it is, and how we know",
        "",
        made,
        "The simulator plays the shipped `statemachines/*.asl.json`, steps and adapters",
        "over models of Cloud Map, App Mesh and the clusters, under a virtual clock. Executions interleave at every port call; every call can be cut,",
        "refused, lost, delayed, doubled or answered with something old. What it assumes of AWS is in [fidelity.md](../explanation/fidelity.md).",
        "A schedule is JSON and plays the same way each time.",
        "",
        f"**{total:,} schedules, {results.violations} violations. {len(MUTANTS) - len(results.survivors)} of {len(MUTANTS)} planted bugs caught.**",
        "",
        "| schedules | played | of | port calls | ms each | virtual hours | violations |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for played in results.played:
        bad = ", ".join(f"{name} {count}" for name, count in sorted(played.violations.items())) or "0"
        parts.append(
            f"| {played.name} | {played.schedules:,} | {played.whole:,} | {played.calls:,} | {played.each:.1f} | {played.virtual_hours:,.0f} | {bad} |"
        )
    parts += [
        "",
        "## The properties",
        "",
        "Each is checked at every call of every schedule, against the world's own truth (`tests/sim/rules.py`).",
        "",
    ]
    parts += ["| rule | property | what it says | mutants it caught |", "| --- | --- | --- | --- |"]
    for name, (rule, says) in sorted(PROPERTIES.items(), key=lambda item: item[1][0]):
        caught = sum(1 for killed in results.killed if killed.property == name)
        parts.append(f"| {rule or '–'} {TITLES[rule]} | `{name}` | {says} | {caught} |")
    parts += ["", "## Planted bugs", "", "Sieve's classes (OSDI 2022) and every peer bug with a counterpart here (`tests/sim/mutants.py`).", ""]
    parts += ["| bug | class | whose | caught by | after |", "| --- | --- | --- | --- | --- |"]
    fates = {killed.mutant: killed for killed in results.killed}
    for mutant in MUTANTS:
        fate = fates.get(mutant.name)
        by = f"`{fate.property}`" if fate and fate.property else "**alive**"
        parts.append(f"| {mutant.name} | {mutant.sieve} | {mutant.peer or 'ours'} | {by} | {fate.schedules if fate else 0} schedules |")
    parts += ["", "## Bugs that schedules found in this project", "", "Each schedule is kept and played for ever (`tests/sim/scenarios`).", ""]
    for path in sorted((ROOT / "tests/sim/scenarios").glob("*.json")):
        parts.append(f"- `{path.stem}`: {decode(path.read_bytes()).note}")
    parts += ["", "## Traffic", "", *_traffic_table(), ""]
    return "\n".join(parts)


def today() -> str:
    """The day of a run."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
