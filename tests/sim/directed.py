"""Schedules made for one thing each: the narrow windows that a random schedule seldom meets. Played for every mutant, and for the code as it is."""

from collections.abc import Iterator

import msgspec

from tests.sim.application import ROOT
from tests.sim.explore import BASES, LAYOUTS, SMALL, calls_of, first_in, under_lease
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
    yield _base((0, "add", "eksc2", "blue", -1.0), cold=True)
    yield at_all(_base((0, "add", "eksc2", "blue", 0)), "Registry.register", "late-failure")
    yield from scenarios()
    yield from BASES.values()
    yield SMALL
    yield from _other_hands()
    yield from _removals()
    yield from _registry()
    yield from _windows()
    yield from _leases()
    yield from _mesh()
    yield from _hostile()
    yield from _conflicts()
    yield from _misjudged()
    yield from _shifts()
    yield from _deferred()


def _other_hands() -> Iterator[Schedule]:
    yield _base((0, "usurp", "eksc2", "", 2))
    yield _base((0, "decorate", "eksc2", "", 2), (70, "scribble", "eksc2", "", 2))
    yield _base((0, "foreign-node", "", "", 0), (0, "our-node", "", "", 0), (70, "foreign-route", "", "", 0), mesh=True)
    yield _base((1, "rob", "eksc2", "", 1), (66, "rob", "eksc2", "", 1), (126, "rob", "eksc2", "", 1), (186, "rob", "eksc2", "", 1))
    yield _base((0, "conflict", "", "word", 150.0), (1, "add", "eksc2", "blue", 0), (2, "terminate", "eksc2", "red", 0))
    yield _base((0, "conflict", "", "mark", 0), (1, "add", "eksc2", "blue", 0), (2, "terminate", "eksc2", "red", 0), (130, "decide", "", "", 0))
    yield _base((0, "unmark", "", "", 0), (1, "rob", "eksc2", "", 1))
    yield _base((0, "config", "", "", 2))
    yield _base((0, "mesh-gone", "", "", 0), (1, "add", "eksc2", "blue", 0), mesh=True)
    yield _base((0, "pause", "", "", 0), (1, "add", "eksc2", "blue", 0), (2, "run", "", "", 0), (90, "resume", "", "", 0))
    yield _base((0, "delete-all", "eksc1", "front", 0), (130, "add", "eksc1", "front", 0))
    yield _base((0, "rebuild", "eksc2", "", 0))
    yield _base((0, "finish", "eksc2", "red", 0), (0, "finish", "eksc2", "red", 1), policy="sync")
    for whose in (0.0, 1.0):
        beside = ((0.0, "controller", "eksc2", "", whose), (1.0, "add", "eksc2", "blue", 0.0), (1.0, "terminate", "eksc2", "red", 0.0))
        yield _base(*beside, *(((90.0, "controller", "eksc2", "none", 0.0),) if whose else ()))
    yield _base((0, "evict", "eksc2", "red", 1), (0, "evict", "eksc2", "red", 2), (0, "lose", "eksc2", "blue", 0))
    yield _base(*((0.0, "lose", "eksc2", "red", float(number)) for number in range(3)), (0, "add", "eksc2", "blue", 0))
    yield _base((0, "terminate", "eksc2", "red", 0), policy="upsert-only")
    yield _base((0, "add", "eksc2", "blue", 0), mode="observe")
    two = _base(
        (0, "add", "eksc2", "blue", 0), (0.1, "run", "", "", 0), (0.6, "run", "", "", 0), (0.8, "hint", "", "", 0), lag=2.5, hints="kept"
    )
    yield from (
        msgspec.structs.replace(two, faults=(Fault(at=n, do="throttle"),)) for n, called in calls_of(two) if called == "Executions.running"
    )
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
    many = {"eksc1": {"front": 1, "blue": 24}, "eksc2": {"blue": 60}}
    slow = _base(*((0.0, "delete", "eksc2", "blue", 20.0) for _ in range(34)), (26.0, "usurp", "eksc2", "", 67.0), pods=many, hints="kept")
    yield msgspec.structs.replace(slow, rates={"DeregisterInstance": (2.0, 1.0)})  # the deletion guard waits a minute; then 22 s of removals
    moved = _base((0, "relabel", "eksc1", "blue", 1), pods={"eksc1": {"front": 2}, "eksc2": {"blue": 1, "red": 1}})
    yield moved
    yield at_all(moved, "Registry.register", "late-failure")
    yield at_all(moved, "Registry.register", "slow", 50.0)
    yield at_all(_base((0, "add", "eksc2", "blue", 0)), "Registry.register", "slow", 50.0)
    ill = _base((0, "unready", "eksc2", "red", 0), (6, "ready", "eksc2", "red", 0))
    yield msgspec.structs.replace(ill, faults=(Fault(at=0, do="stall", arg=3, what="apply_registry"),))
    for lie in ("empty", "short", "old", "chain", "kind", "gone", "malformed", "server-error"):
        base = _base((0, "add", "eksc2", "red", 0), (0.1, "delete", "eksc2", "blue", 0))
        yield at_all(base, "Clusters.observe", "lie", what=lie)
    before = _base((0, "terminate", "eksc2", "red", 0), hints="kept")
    cold = _base((0, "hint", "", "", 0), cold=True)
    for number, method in calls_of(before):
        if method == "Clusters.observe":
            yield msgspec.structs.replace(before, faults=(Fault(at=number, do="lie", what="old"),))
    for lie in ("kind", "paged"):
        yield at_all(cold, "Clusters.observe", "lie", what=lie)
    few = {"eksc1": {"front": 1, "blue": 4, "red": 2}, "eksc2": {"blue": 1}}
    crashed = _base((0, "add", "eksc1", "red", 0), (0, "run", "", "", 0), pods=few)
    for number, method in under_lease(crashed):
        if method == "Clusters.observe":
            yield msgspec.structs.replace(crashed, faults=(Fault(at=number, do="error"),))
    late = _base(*three, (0.1, "hint", "", "", 0), *((10.0, "delete", "eksc2", "red", 0.0) for _ in three))
    yield msgspec.structs.replace(late, faults=(Fault(at=first_in(late, "take_lease"), do="pause", arg=37.0),))


def _registry() -> Iterator[Schedule]:
    many = {"eksc1": {"front": 1}, "eksc2": {"blue": 130, "red": 10}}
    yield Schedule(pods=many, mesh=False, cold=True, hints="lost")
    yield Schedule(pods=many, mesh=False, cold=True, hints="lost", rates={"RegisterInstance": (5.0, 20.0)})
    noted = _base((0, "decorate", "eksc2", "", 1), (40, "add", "eksc2", "blue", 0))
    for number, method in calls_of(noted):
        if method == "Registry.list_instances":
            yield msgspec.structs.replace(noted, faults=(Fault(at=number, do="error"),))
    slow = _base((0, "add", "eksc2", "blue", 0), (36, "hint", "", "", 0), hints="kept")
    yield at_all(slow, "Registry.register", "slow", 58.0)
    robbed = _base((64.9, "rob", "", "", 3))
    for number, method in calls_of(robbed):
        if method == "Registry.list_instances":
            yield msgspec.structs.replace(robbed, faults=(Fault(at=number, do="stale", arg=1),))


def _hostile() -> Iterator[Schedule]:
    """A pod whose owner gave it labels without number beside one that is to come in; a table that refuses reports; answers lost where requests are taken."""
    flood = _base((0, "add", "eksc2", "flood", 0), (0, "add", "eksc1", "blue", 0), (3, "add", "eksc1", "red", 0))
    named = msgspec.structs.replace(flood.events[0], name="f" * 250)
    yield msgspec.structs.replace(flood, events=(named, *flood.events[1:]))
    base = _base((0, "add", "eksc2", "blue", 0))
    for number, called in calls_of(base):
        if called == "State.write":
            yield msgspec.structs.replace(base, faults=(Fault(at=number, do="refuse"),))
    for step in range(20):
        base = _base((0, "add", "eksc2", "blue", 0), (0.05 + step / 50, "add", "eksc1", "blue", 0), hints="kept")
        for number, called in calls_of(base):
            if called == "State.write_lease":
                yield msgspec.structs.replace(base, faults=(Fault(at=number, do="lost"),))


def _conflicts() -> Iterator[Schedule]:
    """A cluster that drips or bombs beside one whose pods come and go; a pod that flaps beside others."""
    for trouble in ("drip", "bomb"):
        events = ((0.0, "dark", "eksc2", trouble, 0.0), (10.0, "add", "eksc1", "blue", 0.0), (70.0, "add", "eksc1", "red", 0.0))
        more = ((75.0, "terminate", "eksc1", "blue", 0.0), (140.0, "add", "eksc1", "red", 0.0))
        yield _base(*events, *more)
        yield _base(*events, *more, (500.0, "lit", "eksc2", "", 0.0), hints="kept")
    for kind in ("broken", "same-name", "foreign", "nonsense", "huge"):
        written = ((0.0, "document", "eksc2", kind, 0.0), (1.0, "add", "eksc1", "blue", 0.0), (70.0, "document", "eksc1", "good", 0.0))
        yield _base(*written, (75.0, "terminate", "eksc2", "red", 0.0), live=True, hints="kept")
    drips = ((0.0, "document", "eksc2", "broken", 0.0), (1.0, "dark", "eksc2", "drip", 0.0), (10.0, "document", "eksc1", "good", 0.0))
    yield _base(*drips, (12.0, "add", "eksc1", "blue", 0.0), (200.0, "lit", "eksc2", "", 0.0), live=True, hints="kept")
    flaps = tuple((4.0 * turn, ("unready", "ready")[turn % 2], "eksc2", "red", 0.0) for turn in range(60))
    yield _base(*flaps, (100.0, "add", "eksc1", "blue", 0.0), hints="kept")
    labels = tuple((4.0 * turn, "relabel", "eksc2", ("blue", "red")[turn % 2], 0.0) for turn in range(60))
    yield _base(*labels, hints="kept")


def _deferred() -> Iterator[Schedule]:
    """Very many runs began lately: pods come and are hinted at within the ten seconds, and beyond them."""
    one = ((5.0, "busy", "", "", 0.0), (5.1, "add", "eksc2", "blue", 0.0))
    yield _base(*one, hints="kept")
    many = tuple((5.1 + 1.1 * number, "add", "eksc2", "blue", 0.0) for number in range(8))
    yield _base(one[0], *many, hints="kept")
    yield _base(one[0], *many, hints="twice")
    yield _base(*one, (9.0, "terminate", "eksc2", "red", 0.0), (9.5, "add", "eksc1", "blue", 0.0), hints="kept")
    for step in range(12):  # a hint whose look is under way when the later look comes
        yield _base(*one, (14.6 + step / 10, "add", "eksc1", "blue", 0.0), hints="kept")


def _leases() -> Iterator[Schedule]:
    calls = calls_of(SMALL)
    for number, method in calls:
        if method in ("State.read_lease", "State.write_lease", "State.write", "Registry.deregister", "Registry.register"):
            for later in (8, 24, 40, 62, 85):
                yield msgspec.structs.replace(SMALL, faults=(Fault(at=number, do="beside", arg=number + later),))
    failing = Fault(at=0, do="failing", arg=16, what="verify_registry")
    more = (*SMALL.events, Event(t=5.3, do="add", cluster="eksc1", kind="blue"))
    for faults in ((), (failing,)):
        base = msgspec.structs.replace(SMALL, events=more, faults=faults)
        for number, method in calls_of(base):
            if method == "State.read_lease":
                for later in (30, 50):
                    yield msgspec.structs.replace(base, faults=(*faults, Fault(at=number, do="beside", arg=number + later)))
    mesh = msgspec.structs.replace(SMALL, mesh=True, events=(*SMALL.events, Event(t=0.0, do="reroute"), Event(t=0.0, do="our-node")))
    for number, method in calls_of(mesh):
        if method.startswith("AppMeshApi.") and method not in ("AppMeshApi.describe", "AppMeshApi.list", "AppMeshApi.tags"):
            for later in (30, 60, 90):
                yield msgspec.structs.replace(mesh, faults=(Fault(at=number, do="beside", arg=number + later),))
    for number in range(20, 60, 4):
        yield msgspec.structs.replace(SMALL, faults=(Fault(at=number, do="kill"),))
        yield msgspec.structs.replace(SMALL, faults=tuple(Fault(at=number + more, do="error") for more in range(5)))
    deployed = _base((0, "terminate", "eksc1", "front", 0), (0.1, "run", "", "", 0), (8.0, "config", "", "", 2))
    yield msgspec.structs.replace(deployed, faults=(Fault(at=under_lease(deployed)[0][0] - 1, do="pause", arg=20.0),))
    for step in range(0, 50, 2):
        yield _base((0, "add", "eksc2", "blue", 0), (0.2 + step / 100, "run", "", "", 0), hints="kept")
        yield _base((0, "add", "eksc2", "blue", 0), (0.2 + step / 200, "storm", "", "", 6), hints="kept")


def _mesh() -> Iterator[Schedule]:
    cold = Schedule(pods=LAYOUTS[1], cold=True, hints="lost", events=(Event(t=0.0, do="hint"),))
    for number, method in calls_of(cold):
        if method == "AppMeshApi.create":
            yield msgspec.structs.replace(cold, faults=(Fault(at=number, do="refuse"),))
    rerouted = _base((0, "reroute", "", "", 0), (12, "foreign-route", "", "", 0), mesh=True)
    yield at_all(rerouted, "AppMeshApi.update", "lost")


def _shifts() -> Iterator[Schedule]:
    """A canary that falls silent before, in the middle of, or after a shift; one whose judge or prober fails; a front that does what it can."""
    late = (900.0, "hint", "", "", 0.0)
    for minutes, when in ((1, 200.0), (1, 10.0), (3, 100.0), (16, 70.0)):
        yield _base((0.0, "canaries", "", "", float(minutes)), (when, "shift", "", "", 10.0), late, mesh=True)
    for what in ("judge_canary", "probe_front"):
        silenced = _base((0.0, "canaries", "", "", 14.0), (5.0, "shift", "", "", 10.0), late, mesh=True)
        yield msgspec.structs.replace(silenced, faults=(Fault(at=0, do="failing", arg=500.0, what=what),))
    yield _base((0.0, "canaries", "", "", 16.0), (10.0, "shift", "", "", 5.0), (90.0, "front", "", "hostile", 0.0), late, mesh=True)


def _misjudged() -> Iterator[Schedule]:
    """Schedules that a property once called broken where nothing was: the healer's lease, a view never stored, one service by two labels, and others."""
    twice = ((4.2, "relabel", "eksc1", "red", 9.0), (9.45, "relabel", "eksc1", "blue", 8.0))
    yield _base(*twice, pods=LAYOUTS[1])
    yield _base((0.39, "relabel", "eksc1", "blue", 11.0), (6.46, "usurp", "eksc2", "front", 8.0), pods=LAYOUTS[1])
    healed = _base((3.57, "ready", "eksc2", "red", 11.0), (35.57, "canary", "eksc2", "blue", 11.0), pods=LAYOUTS[1], hints="kept")
    yield msgspec.structs.replace(healed, faults=(Fault(at=94, do="kill-after"),))
    unstored = _base((0.54, "add", "eksc1", "red", 7.0), pods=LAYOUTS[1])
    yield msgspec.structs.replace(unstored, faults=(Fault(at=38, do="error"), Fault(at=46, do="timeout")))
    unseen = _base((0.0, "terminate", "eksc2", "red", 0.0), pods=LAYOUTS[1])
    yield msgspec.structs.replace(unseen, faults=(Fault(at=43, do="error"), Fault(at=47, do="error")))
    rebuilt = _base((65.85, "rebuild", "eksc2", "blue", 2.0), (135.85, "accept", "eksc2", "", 0.0))
    yield msgspec.structs.replace(rebuilt, rates={"RegisterInstance": (2.0, 2.0), "DeregisterInstance": (2.0, 1.0)})
    finished = ((0.05, "finish", "eksc2", "red", 11.0), (5.48, "delete", "eksc2", "red", 4.0), (9.93, "delete-all", "eksc1", "front", 8.0))
    yield msgspec.structs.replace(_base(*finished, pods=LAYOUTS[1], lag=0.3), faults=(Fault(at=163, do="stale", arg=4.0),))
    robbed = _base((0.33, "rob", "eksc2", "blue", 9.0), (9.5, "delete", "eksc2", "red", 0.0), pods=LAYOUTS[1], hints="kept", seed=12488)
    yield msgspec.structs.replace(robbed, faults=(Fault(at=30, do="crash-after"), Fault(at=140, do="stale", arg=2.0)))
    started = _base((0.09, "add", "eksc2", "blue", 6.0), pods=LAYOUTS[1])
    yield msgspec.structs.replace(started, faults=(Fault(at=20, do="lost"),))


def _windows() -> Iterator[Schedule]:
    for step in range(40):
        t = 0.2 + step / 100
        yield _base((0, "terminate", "eksc2", "red", 0), (0, "unready", "eksc2", "red", 1), (t, "usurp", "", "", 5), hints="kept")
        yield _base((0, "add", "eksc2", "red", 0), (t, "config", "", "", 1), hints="kept")
        yield _base((0, "reroute", "", "", 0), (t + 1.0, "config", "", "", 1), hints="kept", mesh=True)
        yield _base((0, "add", "eksc2", "red", 0), (t, "config", "", "", 2), hints="kept")
