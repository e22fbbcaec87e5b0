"""Plays one schedule to its end: warm-up, what happens and goes wrong, then peace, in which all must become exact and stay so."""

import pickle
from collections import OrderedDict
from typing import Any

import msgspec

from tests.sim import memo
from tests.sim.rules import Rules, broken
from tests.sim.schedule import Schedule
from tests.sim.simulator import PERIOD, START, Broken, Simulation

PERIODS = 8  # looks after the last trouble within which all must be exact
WARM_KEPT = 400
_warm: OrderedDict[Any, bytes] = OrderedDict()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a play came to: "" = every property held. `calls`: port calls; `seconds`: virtual ones."""

    property: str = ""
    detail: str = ""
    calls: int = 0
    looks: int = 0
    runs: int = 0
    seconds: float = 0.0
    settled: float = 0.0


def play(schedule: Schedule, trace: list[str] | None = None, *, memos: bool = True) -> Outcome:
    """Play it; never raises for a violation."""
    with memo.kept(wanted=memos):
        return _outcome(schedule, trace)


def _outcome(schedule: Schedule, trace: list[str] | None) -> Outcome:
    try:
        warm = b"" if schedule.cold else _warm_start(schedule)  # before: a simulation has the adapters' clocks to itself
    except Broken as violation:
        return Outcome(property=violation.property, detail=violation.detail)
    rules = Rules()
    simulation = Simulation(schedule, rules)
    if warm:
        _thaw(simulation, rules, warm)
    else:
        simulation.world.populate(schedule.pods)
    simulation.trace = trace
    settled = 0.0
    try:
        settled = _play(simulation, rules)
    except Broken as violation:
        return Outcome(property=violation.property, detail=violation.detail, calls=simulation.calls, seconds=simulation.now - START)
    return Outcome(calls=simulation.calls, looks=rules.looks, runs=rules.runs, seconds=simulation.now - START, settled=settled)


def _play(simulation: Simulation, rules: Rules) -> float:
    schedule = simulation.schedule
    simulation.calls = simulation.writes = 0
    for fault in schedule.faults:
        simulation.faults.setdefault(fault.at, []).append(fault)
    begin = simulation.now
    last = max((event.t for event in schedule.events), default=0.0)
    for event in schedule.events:
        simulation.at(begin + event.t, simulation.happen, event)
    tick = begin + 5.0
    while tick <= begin + last + PERIOD:
        simulation.at(tick, simulation.look, "schedule")
        tick += PERIOD
    simulation.loop(tick - 0.001)
    return _peace(simulation, rules, tick)


def _warm_start(schedule: Schedule) -> bytes:
    """What a first run over the pods that stand at the start leaves; kept for the next schedule that starts alike."""
    key = (repr(schedule.pods), schedule.mesh, schedule.live, schedule.envoys)
    if key not in _warm:
        alike = Schedule(pods=schedule.pods, mesh=schedule.mesh, live=schedule.live, envoys=schedule.envoys)
        simulation = Simulation(alike, Rules())
        simulation.world.populate(alike.pods)
        simulation.look("warm-up")
        simulation.loop(START + 45)
        _warm[key] = _freeze(simulation, simulation.rules)
        if len(_warm) > WARM_KEPT:
            _warm.popitem(last=False)
    return _warm[key]


_MODELS = ("cloud_map", "app_mesh")
_LEFT_OUT = ("clock", "rng", "settings", "throttle")
_OF_RULES = ("lease", "others", "moved", "remembered", "identities", "high", "memory", "unwanted")


def _freeze(simulation: Simulation, rules: Rules) -> bytes:
    world = simulation.world
    models = [{k: v for k, v in vars(getattr(world, name)).items() if k not in _LEFT_OUT} for name in _MODELS]
    kept = {key: value for key, value in simulation.runs.objects.items() if key == "registry/last.json" or key.startswith("manifests/")}
    watched = {name: getattr(rules, name) for name in _OF_RULES}
    published = simulation.snapshots.current, simulation.snapshots.objects
    held = simulation.state.leases, simulation.state.documents
    return pickle.dumps((models, world.clusters, world.made, world.ips, *held, kept, watched, published))


def _thaw(simulation: Simulation, rules: Rules, frozen: bytes) -> None:
    world = simulation.world
    models, world.clusters, world.made, world.ips, leases, documents, objects, watched, published = pickle.loads(frozen)
    for name, values in zip(_MODELS, models, strict=True):
        vars(getattr(world, name)).update(values)
    simulation.state.leases, simulation.state.documents, simulation.runs.objects = leases, documents, objects
    vars(rules).update(watched)
    simulation.snapshots.current, simulation.snapshots.objects = published
    simulation.now = START + 45


def _peace(simulation: Simulation, rules: Rules, tick: float) -> float:
    """Nothing changes any more: within PERIODS looks all is exact, and from then on nothing is written."""
    simulation.faults.clear()
    simulation.lasting.clear()
    simulation.world.cloud_map.throttle.rates = {}
    begin, quiet, resumed, wrote = tick, 0, False, False
    for _ in range(PERIODS * 2):
        writes, runs = simulation.writes, rules.runs
        simulation.look("schedule")
        simulation.loop(tick + PERIOD - 0.001)
        tick += PERIOD
        if simulation.schedule.mode == "observe":
            return 0.0
        exact = not rules.differences()
        wrote = writes != simulation.writes
        unmoved = not wrote and runs == rules.runs
        quiet = quiet + 1 if exact and unmoved else 0
        if quiet == 2:
            rules.finish()
            return tick - begin
        late = tick - begin > PERIODS * PERIOD
        competing_writers = simulation.memory().competing_writers
        if competing_writers and exact is False and not resumed and (simulation.world.robbed >= 2 or rules.stale):
            resumed = True
            simulation.operator(resumed=dict.fromkeys(competing_writers, simulation.now))
        elif late and not resumed:
            break
    found = rules.differences()
    if found:
        raise broken("exact", f"{len(found)} differences after {PERIODS} periods of peace: {found[0]}")
    if wrote:
        raise broken("quiet", "exact, but still writing")
    raise broken("stable", "exact, but still running")
