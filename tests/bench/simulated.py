"""The event path and many pods in virtual time: the shipped state machines and adapters over the model of Cloud Map, so that no busy machine shows.

Every request takes CALL_S, as behind the proxy that the peers were measured with; `hop` is what each state with its warm function costs besides, `bus`
what the event bus takes. Calls that a step makes side by side cost one; a port call costs the requests that follow each other in its adapter.
"""

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
from crossmesh.effects import Call

from tests.bench.timeline import Change, Held, compare
from tests.sim import asl
from tests.sim.clusters import SimPod
from tests.sim.schedule import Schedule
from tests.sim.simulator import PERIOD, Flow, Frame, Simulation

PODS, CALL_S, LAG_S = 100, 0.02, 0.3
READY_S, SPREAD_S, PRE_STOP_S, SURGE = 3.0, 1.0, 5.0, 0.25
APART_S, EVERY_S = 1.0, 0.05
Row = Callable[[str, str, str], None]


class Roll(msgspec.Struct, frozen=True, kw_only=True):
    """How a Deployment rolls. `spread_s`: pods that begin together become ready within so many seconds."""

    gate: bool = False
    spread_s: float = SPREAD_S
    min_ready_s: float = 0.0


ROLLS = {
    "": Roll(),
    ", each wave of pods ready in the same instant": Roll(spread_s=0.0),
    ", pods ready within 10 s of each other (a probe's default period)": Roll(spread_s=10.0),
    ", pods ready within 30 s of each other": Roll(spread_s=30.0),
    " with minReadySeconds: 2": Roll(min_ready_s=2.0),
    " with the readiness gate": Roll(gate=True),
}


class Unwatched:
    """Rules that watch nothing: the measurements are not a proof."""

    watched: frozenset[str] = frozenset()

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


class Measured(Simulation):
    """The application with a watcher in front, and what pods and registry do, in virtual time."""

    def __init__(self, hop: float, bus: float, blue: int = PODS) -> None:
        pods = {"eksc1": {"front": 1}, "eksc2": {"blue": blue, "red": 1}}
        super().__init__(Schedule(pods=pods, lag=LAG_S, latency=CALL_S, cold=True), Unwatched())
        self.world.populate(pods)
        self.hop, self.bus, self.dice = hop, bus, random.Random(1)
        self.requests: Counter[str] = Counter()
        self.last_hint, self.hint_due = -1e9, False
        self.changes = [Change(self.now, pod.uid, True) for pod in self.colours()]
        self.held: list[Held] = []
        self.at(self.now, self._sample)
        self.at(self.now + PERIOD, self._tick)

    # --- time -----------------------------------------------------------------------------------------------------------------------------

    def _next(self, frame: Frame) -> None:
        place, writing = len(frame.answers), frame.module == "apply_registry"
        width = len(frame.calls) if writing else 16 if frame.calls[place].port in ("RunStore", "State") else 8
        beside = frame.calls[place : place + width] if frame.group else frame.calls
        self._later(frame, self.now + (0.0 if place % width else max(map(self._trips, beside)) * CALL_S), self._call, frame)

    def _trips(self, call: Call) -> int:
        """Requests that follow each other in a port call."""
        pages = math.ceil(max(1, len(self.registered())) / 100)
        return {"find_services": 3, "observe": 3, "list_instances": pages}.get(call.method, 1)

    def _invoke(self, flow: Flow, asked: asl.Invoke) -> None:
        self.at(self.now + self.hop, super()._invoke, flow, asked)

    def _wire(self, service: str, operation: str, request: dict[str, Any]) -> Any:
        if service == "servicediscovery":
            self.requests[operation] += 1
        return super()._wire(service, operation, request)

    def _tick(self) -> None:
        self.look("schedule")
        self.at(self.now + PERIOD, self._tick)

    def _sample(self) -> None:
        self.held.append(Held(self.now, self.registered()))
        self.at(self.now + EVERY_S, self._sample)

    def registered(self) -> frozenset[str]:
        """uids of the colour pods that Cloud Map holds."""
        self.world.settle()
        return frozenset(a["crossmesh/pod-uid"] for (service, _), a in self.world.instances().items() if service == "colorapp")

    # --- pods -----------------------------------------------------------------------------------------------------------------------------

    def colours(self) -> list[SimPod]:
        """Every colour pod object."""
        return [pod for pod in self.world.cluster("eksc2").pods.values() if pod.kind in ("blue", "red")]

    def live(self) -> set[str]:
        """Live ones."""
        return {pod.uid for pod in self.colours() if pod.live}

    def note(self, pod: SimPod, live: bool) -> None:
        """A relevant change: recorded, shown by the API, told by the watcher."""
        self.world.cluster("eksc2").put(pod)
        self.changes.append(Change(self.now, pod.uid, live))
        self.held.append(Held(self.now, self.registered()))
        self.hint()

    def hint(self) -> None:
        """The first at once, then at most one a second, always one after the last."""
        if self.now >= self.last_hint + APART_S:
            self.last_hint, self.hint_due = self.now, False
            self.at(self.now + CALL_S + self.bus, self.look, "hint")
        elif not self.hint_due:
            self.hint_due = True
            self.at(self.last_hint + APART_S, self.hint)

    def ready(self, pod: SimPod) -> None:
        """Its containers are ready."""
        pod.ready = True
        self.note(pod, True)

    def end(self, pod: SimPod) -> None:
        """Terminating, and gone after its preStop sleep."""
        pod.terminating = True
        self.note(pod, False)
        self.at(self.now + PRE_STOP_S, self.world.cluster("eksc2").remove, pod.name)

    def add(self, after: Callable[[SimPod], None] = lambda _: None, spread: float = SPREAD_S) -> None:
        """A blue pod that becomes ready in its time."""
        pod = self.world.add("eksc2", "blue", ready=False)

        def now() -> None:
            self.ready(pod)
            after(pod)

        self.at(self.now + READY_S + spread * self.dice.random(), now)

    def until_exact(self, seconds: float = 120.0) -> None:
        """Go on until the registry equals the live pods and nothing runs; TimeoutError."""
        until = self.now + seconds
        while self.now < until:
            self.loop(self.now + 0.2)
            busy = any(execution.status == "RUNNING" for execution in self.executions.values())
            if not busy and self.registered() == self.live():
                return
        raise TimeoutError(f"{len(self.registered())} registered, {len(self.live())} live after {seconds:.0f} s")

    def begin(self) -> None:
        """Forget what was seen and counted."""
        self.requests.clear()
        self.changes = [Change(self.now, uid, True) for uid in sorted(self.live())]
        self.held = [Held(self.now, self.registered())]


def _counted(requests: Counter[str]) -> str:
    return f"{sum(requests.values())} calls ({', '.join(f'{n} {name}' for name, n in requests.most_common())})"


def simulated(row: Row) -> None:
    """Without and with what AWS's own machinery costs (assumed: 40 ms a state and its function, 150 ms the bus)."""
    for hop, bus, told in ((0.0, 0.0, "requests only"), (0.04, 0.15, "plus 40 ms a state, 150 ms the bus")):
        _single(row, hop, bus, told)
        _many(row, hop, bus, told)


def _single(row: Row, hop: float, bus: float, told: str) -> None:
    sim = Measured(hop, bus, blue=1)
    sim.look("hint")
    sim.until_exact()
    found = []
    for lag in (0.0, 0.3, 2.5):
        sim.world.lag = sim.world.cloud_map.settings.operation_lag_s = lag
        sim.loop(sim.now + 130)
        sim.begin()
        sim.add()
        sim.loop(sim.now + READY_S + SPREAD_S + 0.01)
        sim.until_exact()
        came = compare(sim.changes, sim.held).lag
        sim.begin()
        sim.end(next(pod for pod in sim.colours() if pod.kind == "blue"))
        sim.until_exact()
        found.append(f"{came:.2f} and {compare(sim.changes, sim.held).lag:.2f} s at lag {lag:g} s")
    row(f"simulated: one pod Ready → registered, Terminating → gone ({told})", "≤ 1 s at 0, ≤ 1.5 s at 0.3 s", "; ".join(found))


def _many(row: Row, hop: float, bus: float, told: str) -> None:
    sim = Measured(hop, bus)
    sim.look("hint")
    sim.until_exact()
    row(f"simulated: cold start of {PODS + 2} ({told})", f"≤ {PODS + 2 + 20} calls over 2 services", _counted(sim.requests))
    sim.loop(sim.now + 130)
    sim.begin()
    for _ in range(10):
        sim.add(spread=0.0)
    sim.loop(sim.now + READY_S + SPREAD_S + 0.01)
    sim.until_exact()
    at_once = _counted(sim.requests)
    sim.loop(sim.now + 2 * PERIOD)
    later = f"{sum(sim.requests.values())} two minutes later, when lists are trusted again"
    row(f"simulated: 10 more pods at once ({told})", "≤ 19 calls", f"{at_once}; {later}")
    for pod in [pod for pod in sim.colours() if pod.kind == "blue"][:10]:
        sim.end(pod)
    sim.until_exact()
    sim.loop(sim.now + 130)
    sim.begin()
    sim.loop(sim.now + 1_200)
    row(f"simulated: at rest, 2 services ({told})", "≤ 3 calls a minute a service, with repair", f"{sum(sim.requests.values()) / 40:.2f}")
    for how, asked in ROLLS.items():
        _rolling(sim, asked)
        found = compare(sim.changes, sim.held)
        least = f"least live registered {found.least_live - 1}, {found.dead_seconds:.0f} instance-seconds non-live (most {found.most_dead})"
        what = f"simulated: rolling update of {PODS}{how} ({told})"
        row(what, "≥ 95, ≤ 100, lag ≤ 3 s", f"{least}, lag {found.lag:.1f} s; {_counted(sim.requests)}")
        sim.loop(sim.now + 130)
    sim.begin()
    for pod in [pod for pod in sim.colours() if pod.kind == "blue"]:
        sim.end(pod)
    sim.until_exact()
    row(f"simulated: all {PODS} Terminating at once ({told})", "lag ≤ 3 s", f"lag {compare(sim.changes, sim.held).lag:.1f} s")


def _rolling(sim: Measured, roll: Roll) -> None:
    """As a Deployment rolls: surge pods at first; each that becomes available lets an old one go, and another begin while old ones are left.

    With the readiness gate a pod is ready, for the Deployment, once it is registered; with minReadySeconds it is available only so much later.
    """
    sim.begin()
    old = [pod for pod in sim.colours() if pod.kind == "blue"]
    to_make = len(old)

    def came(pod: SimPod) -> None:
        if roll.gate and pod.uid not in sim.registered():
            sim.at(sim.now + EVERY_S, came, pod)
            return
        sim.at(sim.now + roll.min_ready_s, available)

    def available() -> None:
        if old:
            sim.end(old.pop())
        more()

    def more() -> None:
        nonlocal to_make
        if to_make:
            to_make -= 1
            sim.add(came, roll.spread_s)

    for _ in range(int(PODS * SURGE)):
        more()
    sim.loop(sim.now + READY_S + 0.01)
    while old or to_make or any(not pod.ready for pod in sim.colours()):
        sim.loop(sim.now + 0.5)
    sim.until_exact()
