"""Which schedules are played: every single fault at every call of the base plays, pairs of them, then seeded random ones; and how a failing one is shrunk."""

import random
from collections.abc import Iterator
from functools import cache

import msgspec

from tests.sim.clusters import LIES, TROUBLES
from tests.sim.play import play
from tests.sim.schedule import Event, Fault, Schedule
from tests.sim.simulator import READS

LAYOUTS: tuple[dict[str, dict[str, int]], ...] = (
    {"eksc1": {"front": 1, "blue": 1}, "eksc2": {"blue": 3, "red": 3}},
    {"eksc1": {"front": 1}, "eksc2": {"blue": 1, "red": 1}},
    {"eksc1": {"front": 2, "blue": 4, "red": 1}, "eksc2": {"blue": 2, "red": 4}},
    {"eksc1": {"blue": 3, "red": 2}, "eksc2": {"front": 1, "red": 2}},
)


def _event(do: str, cluster: str = "eksc2", kind: str = "", t: float = 0.0, arg: float = 0.0) -> Event:
    return Event(t=t, do=do, cluster=cluster, kind=kind, arg=arg)


# The base plays. Each has every kind of work in one run: a pod comes, one goes, one falls ill, another writer is there.
BASES: dict[str, Schedule] = {
    "mesh": Schedule(
        pods=LAYOUTS[0],
        hints="lost",
        lag=0.05,
        events=(
            _event("add", kind="blue"),
            _event("terminate", kind="red"),
            _event("unready", kind="red", arg=1),
            _event("squat", arg=1),
            _event("scribble", arg=2),
            _event("reroute"),
        ),
    ),
    "registry": Schedule(
        pods=LAYOUTS[2],
        mesh=False,
        hints="lost",
        events=(
            _event("add", "eksc1", "red"),
            _event("reuse-ip", "eksc1", "blue"),
            _event("relabel", "eksc1", "front", arg=2),
            _event("delete", kind="red"),
            _event("squat", arg=2),
            _event("decorate", arg=3),
            _event("ghost", "eksc1"),
        ),
    ),
    "by hand": Schedule(  # a run without a look observes for itself, as one does whose look is not what it would see
        pods=LAYOUTS[0],
        mesh=False,
        hints="lost",
        events=(_event("add", kind="blue"), _event("terminate", kind="red"), _event("unready", kind="red", arg=1), _event("run")),
    ),
    "envoys": Schedule(  # the mesh is kept by snapshots, published before the registry is written
        pods=LAYOUTS[0],
        mesh=False,
        envoys=True,
        hints="lost",
        events=(
            _event("add", kind="blue"),
            _event("terminate", kind="red"),
            _event("unready", kind="red", arg=1),
            _event("delete", "eksc1", "blue"),
            _event("squat", arg=1),
        ),
    ),
    "cold": Schedule(pods=LAYOUTS[1], cold=True, hints="lost", events=(_event("hint"),)),
}
SMALL = Schedule(pods=LAYOUTS[1], mesh=False, hints="lost", events=(_event("add", kind="blue"), _event("terminate", kind="red")))


def calls_of(schedule: Schedule) -> list[tuple[int, str]]:
    """(number, "Port.method") of every call of a play in which nothing goes wrong."""
    trace: list[str] = []
    outcome = play(schedule, trace)
    assert not outcome.property, outcome
    lines = [line.split() for line in trace]
    return [(int(words[0]), words[3]) for words in lines][-outcome.calls :]


def first_in(schedule: Schedule, function: str) -> int:
    """The number of the first call of a function in a play in which nothing goes wrong."""
    trace: list[str] = []
    calls = play(schedule, trace).calls
    return next(int(words[0]) for words in (line.split() for line in trace[-calls:]) if words[2].endswith(f"/{function}"))


def under_lease(schedule: Schedule) -> list[tuple[int, str]]:
    """The calls of looks under the lease, in a play in which nothing goes wrong."""
    trace: list[str] = []
    calls = play(schedule, trace).calls
    lines = [line.split() for line in trace[-calls:]]
    runs = {where.removesuffix("/take_lease") for _, _, where, *_ in lines if where.endswith("/take_lease")}
    return [(int(number), method) for number, _, where, method, *_ in lines if where.endswith("/look") and where.removesuffix("/look") in runs]


def faults_at(number: int, method: str) -> Iterator[Fault]:
    """Everything single that can go wrong at one call. A crash after a read is a crash before the next call."""
    write = method.rpartition(".")[2] not in READS
    for do in ("crash", "kill", "throttle", "error", "timeout", "refuse"):
        yield Fault(at=number, do=do)
    yield Fault(at=number, do="orphan", arg=20.0)
    yield Fault(at=number, do="pause", arg=50.0)
    yield Fault(at=number, do="skew", arg=4.0)
    yield Fault(at=number, do="skew", arg=-4.0)
    if write:
        for do in ("crash-after", "kill-after", "lost"):
            yield Fault(at=number, do=do)
    if method in ("Registry.register", "Registry.deregister"):
        yield Fault(at=number, do="late-failure")
        yield Fault(at=number, do="slow", arg=20.0)
    if method in ("Registry.list_instances", "Registry.discover", "Registry.revision"):
        yield Fault(at=number, do="stale", arg=1)
        yield Fault(at=number, do="stale", arg=4)
    if method == "Clusters.observe":
        for lie in LIES:
            yield Fault(at=number, do="lie", what=lie)


def singles() -> Iterator[Schedule]:
    """Depth 1: every single fault at every call of every base play."""
    for base in BASES.values():
        for number, method in calls_of(base):
            for fault in faults_at(number, method):
                yield msgspec.structs.replace(base, faults=(fault,))


REACH = 110  # calls: how far into the run that took over a stopped run's function may go on
_PAIRED, _PAIRED_REACH = ("crash", "kill", "lost", "error", "orphan"), 60


def overlaps() -> Iterator[Schedule]:
    """Two runs at every pair of points: the function of a stopped run goes on right after any call of the run that took over."""
    for first, _ in calls_of(SMALL):
        for second in range(first + 1, first + REACH):
            yield msgspec.structs.replace(SMALL, faults=(Fault(at=first, do="beside", arg=second),))


def overlaps_count() -> int:
    """How many there are."""
    return len(calls_of(SMALL)) * (REACH - 1)


_STRIDE = 104_729  # a prime: the pairs come in an order in which any beginning is spread over all of them


def pair(number: int) -> Schedule:
    """Depth 2 on the small play: one of every pair of crash, kill, lost answer, 5xx and living-on function, up to 60 calls apart."""
    place, two = divmod(number * _STRIDE % pairs_count(), len(_PAIRED))
    place, one = divmod(place, len(_PAIRED))
    place, apart = divmod(place, _PAIRED_REACH - 1)
    first = _small()[place]
    faults = (Fault(at=first, do=_PAIRED[one], arg=10.0), Fault(at=first + apart + 1, do=_PAIRED[two], arg=10.0))
    return msgspec.structs.replace(SMALL, faults=faults)


def pairs_count() -> int:
    """How many there are."""
    return len(_small()) * (_PAIRED_REACH - 1) * len(_PAIRED) ** 2


@cache
def _small() -> tuple[int, ...]:
    return tuple(number for number, _ in calls_of(SMALL))


_EVENTS = (
    ("add", 8), ("terminate", 6), ("delete", 5), ("unready", 4),
    ("ready", 4), ("finish", 1), ("evict", 2), ("lose", 3), ("controller", 2), ("replace", 3), ("relabel", 3), ("reuse-ip", 4),
    ("dark", 4), ("rebuild", 2), ("rob", 3), ("ghost", 3), ("squat", 4), ("scribble", 3), ("decorate", 3), ("reroute", 2), ("unroute", 1),
    ("foreign-node", 1), ("our-node", 1), ("config", 3), ("hint", 3), ("storm", 1), ("canary", 2), ("run", 2), ("delete-all", 2), ("mesh-gone", 1),
    ("pause", 1), ("usurp", 1), ("foreign-route", 1),
)  # fmt: skip
_FAULTS = (
    ("crash", 4), ("crash-after", 4), ("kill", 3), ("kill-after", 3), ("orphan", 4), ("beside", 3), ("pause", 3), ("throttle", 3), ("error", 2),
    ("timeout", 2), ("lost", 4), ("refuse", 1), ("stale", 6), ("lie", 6), ("late-failure", 4), ("slow", 3), ("skew", 2),
)  # fmt: skip


def randomly(seed: int) -> Schedule:
    """The schedule of a seed: always the same one."""
    rng = random.Random(seed)
    events: list[Event] = []
    for _ in range(rng.choice((1, 2, 3, 4, 6))):
        events += _some_event(rng)
    faults = []
    for _ in range(rng.choice((0, 1, 1, 2, 3, 4))):
        do = rng.choices([name for name, _ in _FAULTS], [weight for _, weight in _FAULTS])[0]
        at = rng.randrange(rng.choice((40, 120, 250)))
        arg = {
            "orphan": rng.choice((0.02, 0.3, 5.0, 40.0)), "pause": rng.choice((0.05, 1.0, 20.0, 58.0)), "stale": float(rng.randint(1, 5)),
            "slow": rng.choice((1.0, 10.0, 40.0)), "skew": rng.choice((-4.0, -1.0, 1.0, 4.0)), "beside": float(at + rng.randint(1, 90)),
        }.get(do, 0.0)  # fmt: skip
        faults.append(Fault(at=at, do=do, arg=arg, what=rng.choice(LIES) if do == "lie" else ""))
    rates = {"RegisterInstance": (2.0, 2.0), "DeregisterInstance": (2.0, 1.0)} if rng.random() < 0.1 else {}
    live = rng.random() < 0.08
    if live:
        events = [event for event in events if event.do != "config"]  # deploys change documents in files
        kinds = rng.sample(("broken", "same-name", "foreign", "nonsense", "huge"), 2)
        events += [Event(t=round(rng.uniform(0, 30), 2), do="document", cluster=rng.choice(("eksc1", "eksc2")), kind=kind) for kind in kinds]
    return Schedule(
        pods=rng.choice(LAYOUTS),
        seed=seed,
        lag=rng.choice((0.0, 0.3, 0.3, 2.5)),
        rates=rates,
        mesh=rng.random() < 0.3 and not live,
        envoys=False,  # docs/reference/limits.md, "The proof"
        live=live,
        hints=rng.choice(("kept", "kept", "lost", "twice", "late")),
        cold=rng.random() < 0.05 and not live,
        mode="observe" if rng.random() < 0.02 else "apply",
        policy="upsert-only" if rng.random() < 0.03 else "sync",
        events=tuple(sorted(events, key=lambda event: event.t)),
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
    )


def _some_event(rng: random.Random) -> list[Event]:
    """One thing that happens, with what makes it good again where it must be."""
    do = rng.choices([name for name, _ in _EVENTS], [weight for _, weight in _EVENTS])[0]
    cluster, kind = rng.choice(("eksc1", "eksc2")), rng.choice(("blue", "red", "red", "front"))
    t, arg = round(rng.uniform(0, rng.choice((1, 10, 80))), 2), float(rng.randrange(12))
    event = Event(t=t, do=do, cluster=cluster, kind=kind, arg=arg)
    if do == "dark":
        event = msgspec.structs.replace(event, kind=rng.choice(TROUBLES))
        return [event, Event(t=t + rng.choice((3.0, 70.0)), do="lit", cluster=cluster)] if rng.random() < 0.85 else [event]
    if do == "rebuild":
        return [event, Event(t=t + 70.0, do="accept", cluster=cluster)] if rng.random() < 0.6 else [event]
    if do == "terminate":
        name = [event]
        return [*name, Event(t=t + 1.0, do="delete", cluster=cluster, kind=kind, arg=arg)] if rng.random() < 0.5 else name
    if do == "config":
        event = msgspec.structs.replace(event, arg=float(rng.choice((0, 1, 1, 2))))
    if do == "add" and rng.random() < 0.3:
        event = msgspec.structs.replace(event, arg=-1.0)
    if do == "controller":
        return [event, Event(t=t + 40.0, do=do, cluster=cluster, kind="none")]
    if do == "mesh-gone":
        return [event, Event(t=t + 30.0, do="mesh-back")]
    if do == "pause":
        return [event, Event(t=t + 40.0, do="resume")]
    return [event]


def shrink(schedule: Schedule, wanted: str, most: int = 200) -> Schedule:
    """A smaller schedule that breaks the same property: parts are left out one by one for as long as it still does."""
    tries = 0

    def breaks(candidate: Schedule) -> bool:
        nonlocal tries
        tries += 1
        return play(candidate).property == wanted

    smaller = True
    while smaller and tries < most:
        smaller = False
        for candidate in _parts_left_out(schedule):
            if tries < most and breaks(candidate):
                schedule, smaller = candidate, True
                break
    return schedule


def _parts_left_out(schedule: Schedule) -> Iterator[Schedule]:
    for name in ("faults", "events"):
        whole = getattr(schedule, name)
        for place in range(len(whole)):
            yield msgspec.structs.replace(schedule, **{name: whole[:place] + whole[place + 1 :]})
    plain = {"seed": 0, "lag": 0.0, "rates": {}, "mesh": False, "hints": "lost", "cold": False, "pods": LAYOUTS[1]}
    for name, value in plain.items():
        if getattr(schedule, name) != value:
            yield msgspec.structs.replace(schedule, **{name: value})
