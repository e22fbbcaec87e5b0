"""Schedules made for one thing each: the narrow windows that a random schedule seldom meets. Played for every mutant, and for the code as it is."""

from collections.abc import Iterator

import msgspec

from tests.sim.application import ROOT
from tests.sim.explore import BASES, LAYOUTS, SMALL, calls_of
from tests.sim.schedule import Event, Fault, Schedule, decode

SIX = {"eksc1": {"front": 1, "blue": 2}, "eksc2": {"blue": 1, "red": 4}}


def _base(*events: tuple[float, str, str, str, float], **changes: object) -> Schedule:
    made = tuple(Event(t=t, do=do, cluster=cluster, kind=kind, arg=arg) for t, do, cluster, kind, arg in events)
    return msgspec.structs.replace(Schedule(pods=LAYOUTS[0], mesh=False, hints="lost", events=made), **changes)


def scenarios() -> list[Schedule]:
    """Those kept in tests/sim/scenarios."""
    return [decode(path.read_bytes()) for path in sorted((ROOT / "tests/sim/scenarios").glob("*.json"))]


def at_all(base: Schedule, method: str, do: str, arg: float = 0.0, what: str = "") -> Schedule:
    """The base with one fault at every call of a method, as numbered where nothing goes wrong."""
    numbers = [number for number, called in calls_of(msgspec.structs.replace(base, faults=())) if called == method]
    faults = tuple(Fault(at=number, do=do, arg=arg, what=what) for number in numbers)
    return msgspec.structs.replace(base, faults=(*base.faults, *faults))


def everything() -> Iterator[Schedule]:
    """All of them, the quickest to tell first."""
    yield from scenarios()
    yield from BASES.values()
    yield SMALL
    yield from _other_hands()
    yield from _removals()
    yield from _registry()
    yield from _leases()
    yield from _windows()


def _other_hands() -> Iterator[Schedule]:
    yield _base((0, "usurp", "eksc2", "", 2))
    yield _base((0, "decorate", "eksc2", "", 2), (70, "scribble", "eksc2", "", 2))
    yield _base((0, "foreign-node", "", "", 0), (0, "our-node", "", "", 0), (70, "foreign-route", "", "", 0), mesh=True)
    yield _base((1, "rob", "eksc2", "", 1), (66, "rob", "eksc2", "", 1), (126, "rob", "eksc2", "", 1), (186, "rob", "eksc2", "", 1))
    yield _base((0, "config", "", "", 2))
    yield _base((0, "mesh-gone", "", "", 0), (1, "add", "eksc2", "blue", 0), mesh=True)
    yield _base((0, "pause", "", "", 0), (1, "add", "eksc2", "blue", 0), (2, "run", "", "", 0), (90, "resume", "", "", 0))
    yield _base((0, "delete-all", "eksc1", "front", 0), (130, "add", "eksc1", "front", 0))
    yield _base((0, "rebuild", "eksc2", "", 0))
    yield _base((0, "finish", "eksc2", "red", 0), (0, "finish", "eksc2", "red", 1), policy="sync")
    yield _base((0, "terminate", "eksc2", "red", 0), policy="upsert-only")
    yield _base((0, "add", "eksc2", "blue", 0), mode="observe")
    yield _base((0, "add", "eksc2", "blue", -1.0), (1, "unready", "eksc2", "red", 0))


def _removals() -> Iterator[Schedule]:
    three = ((0.0, "terminate", "eksc2", "red", 0.0), (0.0, "terminate", "eksc2", "red", 1.0), (0.0, "terminate", "eksc2", "red", 2.0))
    gone = tuple((20.0, "delete", "eksc2", "red", 0.0) for _ in three)
    yield at_all(_base(*three, *gone), "Registry.deregister", "error")
    dark = ((30.0, "dark", "eksc2", "timeout", 0.0), (62.0, "add", "eksc1", "blue", 0.0), (140.0, "lit", "eksc2", "", 0.0))
    yield at_all(_base(*three, *dark), "Registry.deregister", "error")
    deleted = tuple((0.0, "delete", "eksc2", "red", 0.0) for _ in three)
    yield _base(*deleted, (5.5, "dark", "eksc2", "timeout", 0.0), (6.0, "add", "eksc1", "blue", 0.0), (8, "lit", "eksc2", "", 0), hints="kept")
    yield _base(
        *deleted, (5.5, "dark", "eksc2", "timeout", 0.0), (5.6, "add", "eksc1", "blue", 0.0), (140, "lit", "eksc2", "", 0), hints="kept"
    )
    yield _base(*deleted, (12, "hint", "", "", 0), hints="kept")
    yield _base((0, "delete-all", "eksc2", "red", 0), (3, "hint", "", "", 0), hints="kept")
    for tenth in range(18, 44, 2):
        at = tuple((tenth / 100, "delete", "eksc2", "red", 0.0) for _ in three)
        yield _base(*three, *at, hints="kept")
    moved = _base((0, "relabel", "eksc1", "blue", 1), pods={"eksc1": {"front": 2}, "eksc2": {"blue": 1, "red": 1}})
    yield at_all(moved, "Registry.register", "late-failure")
    yield at_all(moved, "Registry.register", "slow", 50.0)
    yield at_all(_base((0, "add", "eksc2", "blue", 0)), "Registry.register", "late-failure")
    yield at_all(_base((0, "add", "eksc2", "blue", 0)), "Registry.register", "slow", 50.0)
    ill = _base((0, "unready", "eksc2", "red", 0), (6, "ready", "eksc2", "red", 0))
    numbers = [number for number, method in calls_of(ill) if method == "State.read_lease"]
    for first in numbers:
        yield msgspec.structs.replace(ill, faults=tuple(Fault(at=first + more, do="pause", arg=70.0) for more in range(3)))
    for lie in ("empty", "short", "old", "chain", "kind", "gone", "server-error"):
        base = _base((0, "add", "eksc2", "red", 0), (0.1, "delete", "eksc2", "blue", 0))
        yield at_all(base, "Clusters.observe", "lie", what=lie)
    for number in range(2, 48):
        yield _base((0, "add", "eksc2", "red", 0), faults=(Fault(at=number, do="lie", what="old"),))
    yield _base((0, "add", "eksc2", "red", 0), faults=tuple(Fault(at=n, do="crash") for n in range(33, 45)))


def _registry() -> Iterator[Schedule]:
    many = {"eksc1": {"front": 1}, "eksc2": {"blue": 110, "red": 10}}
    yield Schedule(pods=many, mesh=False, cold=True, hints="lost")
    yield Schedule(pods=many, mesh=False, cold=True, hints="lost", rates={"RegisterInstance": (5.0, 20.0)})
    noted = _base((0, "decorate", "eksc2", "", 1), (40, "add", "eksc2", "blue", 0))
    for number, method in calls_of(noted):
        if method == "Registry.list_instances":
            yield msgspec.structs.replace(noted, faults=(Fault(at=number, do="error"),))
    again = _base((0, "unready", "eksc2", "red", 0), (5.6, "ready", "eksc2", "red", 0), (5.7, "hint", "", "", 0), lag=20.0, hints="kept")
    yield again
    for step in range(30):
        yield _base((5.0 + step * 0.002, "rob", "", "", 3))
    for step in range(0, 60, 2):
        yield _base((65.0 + step * 0.002, "rob", "", "", 3), (64.9, "rob", "", "", 5))


def _leases() -> Iterator[Schedule]:
    calls = calls_of(SMALL)
    for number, method in calls:
        if method in ("State.read_lease", "State.write_lease", "State.write", "Registry.deregister", "Registry.register"):
            for later in (8, 24, 40, 62, 85):
                yield msgspec.structs.replace(SMALL, faults=(Fault(at=number, do="beside", arg=number + later),))
    mesh = msgspec.structs.replace(SMALL, mesh=True, events=(*SMALL.events, Event(t=0.0, do="reroute"), Event(t=0.0, do="our-node")))
    for number, method in calls_of(mesh):
        if method.startswith("MeshApi.") and method not in ("MeshApi.describe", "MeshApi.list", "MeshApi.tags"):
            for later in (30, 60, 90):
                yield msgspec.structs.replace(mesh, faults=(Fault(at=number, do="beside", arg=number + later),))
    for number in range(20, 60, 4):
        yield msgspec.structs.replace(SMALL, faults=(Fault(at=number, do="kill"),))
        yield msgspec.structs.replace(SMALL, faults=tuple(Fault(at=number + more, do="error") for more in range(5)))
    for step in range(0, 50, 2):
        yield _base((0, "add", "eksc2", "blue", 0), (0.2 + step / 100, "run", "", "", 0), hints="kept")
        yield _base((0, "add", "eksc2", "blue", 0), (0.2 + step / 200, "storm", "", "", 6), hints="kept")


def _windows() -> Iterator[Schedule]:
    for step in range(40):
        t = 0.2 + step / 100
        yield _base((0, "terminate", "eksc2", "red", 0), (0, "unready", "eksc2", "red", 1), (t, "usurp", "", "", 5), hints="kept")
        yield _base((0, "add", "eksc2", "red", 0), (t, "config", "", "", 1), hints="kept")
        yield _base((0, "reroute", "", "", 0), (t, "config", "", "", 1), hints="kept", mesh=True)
        yield _base((0, "add", "eksc2", "red", 0), (t, "config", "", "", 2), hints="kept")
