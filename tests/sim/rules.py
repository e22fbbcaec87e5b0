"""The properties: what must hold at every call of every schedule, worked out from the world's own truth and never by crossmesh's planner.

Each has a name, the rule it guards (docs/explanation/the-thirteen-rules.md), and can fail: `tests/sim/mutants.py` names the seeded bugs that each one caught.
"""

from typing import Any

import msgspec
from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.compiler.cluster_manifests import ActiveManifests, ClusterDocuments
from crossmesh.core.mesh import shift_weights
from crossmesh.core.observed import Outlier, RegistryView, View
from crossmesh.core.registry.churn import FLOOR
from crossmesh.core.registry.plan import ManualOverrides, PlannerState, RegistryPlan
from crossmesh.core.reporting.report import Report
from crossmesh.usecases import manifests, state, traffic_shifts
from crossmesh.usecases.look import LAST as LAST_LOOK
from crossmesh.usecases.planning import decide
from crossmesh.usecases.state import LAST_RUN

from tests.sim import envoys
from tests.sim.clusters import TROUBLES
from tests.sim.documents import TENANT, named
from tests.sim.simulator import PERIOD, Broken, Execution, Frame, Simulation
from tests.sim.world import CLUSTER_MARK, CONFLICTING, OWNER_MARK, POD_MARK, SERVICE
from world.aws.models.app_mesh_kinds import KINDS, key_of
from world.aws.models.errors import AwsError

# name -> (number in docs/explanation/the-thirteen-rules.md, what it says)
PROPERTIES = {
    "unknown-is-not-empty": (1, "a view is Seen only where every registered pod that exists is in it, in spite of no failure, lie or cut"),
    "no-way-back": (1, "a list older than one seen before makes its cluster Unseen"),
    "identity": (1, "a cluster of another kube-system uid is Unseen"),
    "unseen-kept": (1, "nothing is deregistered of a cluster that this run did not see"),
    "others-go-on": (1, "a ready pod of a seen cluster is planned in whatever else is unseen, waiting or withheld"),
    "own-before-touch": (2, "no call changes or removes what does not carry our mark"),
    "stopped-by-competing-writer": (2, "a service whose instances another writer keeps removing is written no more"),
    "both-stop": (2, "where another deployment with our owner left its mark or its claim, nothing of ours is planned"),
    "ids-of-pods": (3, "an instance's id is its cluster's and pod's, and its address that pod's"),
    "compare-before-delete": (4, "each deregistration follows a fresh list that shows the planned marks"),
    "absent-is-asked": (4, "a pod counts as gone only after a GET said 404 or another uid"),
    "live-kept": (5, "no instance of a pod that was live since the view began is deregistered"),
    "add-before-remove": (5, "a live pod's old instance goes only when its new one stands"),
    "dead-out-at-once": (5, "the instance of a pod seen dead is in the first stage of the plan"),
    "only-seen-ready": (5, "only a pod that this run saw ready is registered"),
    "dead-node-is-unready": (5, "a pod whose node died is not registered, and leaves under the deletion guard as an unready one"),
    "final-is-dead": (5, "a pod in a final phase is not registered, and its instance is in the first stage of the plan"),
    "deletion-guard": (6, "unconfirmed net removals never exceed the limit nor empty a node"),
    "quiet": (7, "an unchanged world gets no write"),
    "foreign-attributes": (7, "attributes that others put on our instances stay"),
    "a-200-is-not-success": (8, "what is remembered as registered was there"),
    "well-formed": (8, "no write is refused as malformed"),
    "one-writer": (9, "the lease is taken only from a holder that is gone, and nobody writes who has read that it moved"),
    "lease-each-batch": (9, "the lease is read again before each batch of writes"),
    "taken-over-at-once": (9, "a lease whose execution is no longer RUNNING holds nobody up"),
    "asked-again-is-kept": (9, "a request to look again is never dropped with the lease"),
    "goes-by-its-look": (9, "a run goes by its look's plan only where nobody else held the lease since that look saw anything"),
    "superseded": (9, "no step of another configuration than its run's plans or writes"),
    "one-look-at-a-time": (10, "hints never make two looks at once"),
    "bounded-calls": (10, "calls stay within each run's budget"),
    "published-is-decided": (1, "what is published for own Envoys is what the run's views say: ready pods, and no pod that ended"),
    "snapshots-go-forward": (9, "each snapshot follows the one in force: same lineage, higher number, no lower epoch"),
    "shrinks-by-a-reason": (1, "each endpoint that leaves a snapshot is listed in its root with a reason"),
    "order": (11, "no mesh write is refused for what must come before it"),
    "planned": (12, "nothing is written that the run's plan does not hold"),
    "carried-out": (12, "a run that met no trouble reached every stage of its plan"),
    "replay": (12, "a run's kept inputs give its plan again, byte for byte"),
    "nothing-forgotten": (12, "what was recorded of instances that still stand stays recorded: sightings, confirmations of the unseen"),
    "bounds-hold": (12, "no document is larger than half of what its store takes, and no line longer than its bound, whatever others send"),
    "reports-decide-nothing": (12, "a report that the table refuses ends no execution"),
    "failures-are-told": (12, "a failed execution leaves a report"),
    "machine-sound": (12, "no state machine refers to what is not there"),
    "clear-errors": (13, "no step ends in an error that is not crossmesh's own"),
    "no-failure-unprovoked": (13, "no execution fails where nothing went wrong"),
    "paused": (13, "a run begun while everything is paused writes nothing"),
    "mode-observe": (13, "in Mode observe, and with removals upsert-only, nothing forbidden is written"),
    "watched-shift": (
        13,
        "weights are shifted only while a canary has a verdict younger than three minutes, and go back where it stays silent",
    ),
    "documents-one-by-one": (
        2,
        "a good document is in force after the next look, and a faulty or foreign one is not, whatever stands beside it",
    ),
    "slow-costs-once": (1, "a cluster that a look waited for in vain is waited for three seconds by the next ones, until it is seen"),
    "deferred-looks-again": (10, "a look that is deferred is followed by one later look within fifteen seconds, by itself"),
    "flapping-waits": (10, "a pod that comes and goes is written a few times in ten minutes"),
    "exact": (0, "when the world stands still, the registry is what the pods are and the mesh what was declared"),
    "stable": (0, "and it stays so, without a run"),
}

SAMPLES = 1_000_000  # bytes of a run's samples
LATER = 15.0  # seconds after which a deferred look must have been followed: ten, a whole second of a Wait, and the look itself
SLOW, WRITTEN = 5.0, 12  # seconds that a look may wait for a slow cluster; times that an instance may be registered in ten minutes
SKEW = 5.0  # seconds that clocks may differ by in a schedule
SERVICES = frozenset(SERVICE.values())
COMPARED = 10.0  # seconds after which instances are listed again before they are written
BETWEEN = 2.0  # seconds between reading a resource or an instance and writing it: neither API takes a condition, so who comes in between is overwritten
STALE_LEASE = 10.0  # seconds after which a lease that was read is no ground to write on


def broken(name: str, detail: str) -> Broken:
    """A violation of a named property."""
    assert name in PROPERTIES
    return Broken(name, detail)


def kind_of(labels: dict[str, str]) -> str:
    """Which of the walkthrough's pods these labels make; "" = none."""
    version, app = labels.get("version", ""), labels.get("app", "")
    return version if version in SERVICE else app if app in SERVICE else ""


def _ended(pod: Any) -> bool:
    """Terminating, or in a phase that no pod leaves."""
    return bool(pod.terminating) or pod.phase in ("Succeeded", "Failed")


class Rules:
    """Watches one play."""

    @property
    def watched(self) -> frozenset[str]:
        """Methods of ports whose calls `called` is to be told of."""
        return frozenset(_CALLED)

    def begin(self, simulation: Simulation) -> None:
        """Before anything happens."""
        self.sim, self.world = simulation, simulation.world
        self.views: dict[str, dict[str, Any]] = {}
        self.lied: set[int] = set()
        self.plans: dict[str, RegistryPlan] = {}
        self.registries: dict[str, RegistryView] = {}
        self.contexts: dict[str, Any] = {}
        self.unwanted: dict[
            tuple[str, str], list[float]
        ] = {}  # (uid, service) -> begins of views that did not want it there, since one that did was recorded
        self.terminating: set[str] = set()  # or finished: dead for good
        self.kept: set[tuple[str, str]] = set()  # (run, cluster) of views that were stored: a run plans with no other
        self.lease: Any = None
        self.others: dict[str, Any] = {}  # leases of looks and healers, by name
        self.moved = -1.0
        self.held_until: dict[str, float] = {}  # execution -> when it last had the run's lease
        self.looked: dict[str, float] = {}  # run -> when the look that planned for it had read that lease, and began to see
        self.struck_executions: set[str] = set()
        self.stood_still: set[str] = set()  # executions whose function was held up between two calls
        self.any_struck = self.overlapping = self.forgetting = self.stale = self.meddled = False
        self.remembered: set[str] = set()
        self.calls: dict[str, list[int]] = {}  # run -> calls to Cloud Map, writes among them
        self.throttled = self.registry_writes = 0
        self.writers: set[tuple[str, str]] = set()  # (run, operation): each finds its rate by one window of 8
        self.struck_reports: set[str] = set()
        self.identities: dict[str, tuple[str, float]] = {}  # cluster -> identity that a run recorded, when
        self.accepted: dict[str, float] = {}  # cluster -> when a person accepted it as it is
        self.beside: set[int] = set()  # views of clusters where AWS's controller really ran
        self.lost: dict[int, frozenset[str]] = {}  # view -> pods whose node had died by then
        self.seen_at: dict[int, float] = {}  # view -> when it was made, whatever its function's clock said
        self.listed: dict[str, dict[str, int]] = {}  # run -> cluster -> version of the list it saw
        self.high: dict[str, tuple[int, float]] = {}  # cluster -> highest version that a run recorded, when
        self.memory = PlannerState()
        self.begun: dict[str, float] = {}  # execution -> when its first function began
        self.robbed: dict[tuple[str, str], int] = {}  # (service, instance) -> how often
        self.robberies = 0  # how many were counted
        self.between: set[str] = set()  # instances that another writer took while they were written
        self.paused = self.resumed = 0.0
        self.taken: set[str] = set()  # executions whose request to go once more was taken with the lease
        self.unreported: set[str] = set()  # executions that met nothing but a refused report
        self.unheard: set[str] = set()  # looks that somebody met, and that left it to their run
        self.runs = self.looks = 0
        self.waits: list[float] = []  # when executions began to wait for a later look
        self.deferred = 0.0  # when a look was deferred that no later one has followed; 0 = none
        self.verdict = 0.0  # when the canary last had one
        self.vain: dict[str, tuple[float, bool]] = {}  # cluster -> when a look waited for it in vain, and whether that look said so
        self.written: dict[str, list[float]] = {}  # instance -> when it was registered
        self.shifts: shift_weights.Progresses = {}

    # --- told by the simulator ------------------------------------------------------------------------------------------------------------

    def invoked(self, frame: Frame) -> None:
        """A function begins."""
        frame.began = self.sim.now
        self.begun.setdefault(frame.execution.arn, self.sim.now)

    def returned(self, frame: Frame, value: Any, error: Any) -> None:
        """A function ended. Who is told that another holds the lease must have asked that one to go once more."""
        this = frame.execution.data.get("id", "")
        if value is not None and frame.module == "take_lease" and value["ready"]:
            others = [arn for arn, until in self.held_until.items() if until > self.looked[this] and arn != frame.execution.arn]
            if others:
                raise broken("goes-by-its-look", f"{frame.execution.name} goes by what was seen before {others[0]} gave the lease back")
        elif value is not None and frame.module == "take_lease":
            for found in (self.views, self.listed, self.registries, self.plans):
                found.pop(this, None)  # the look's: the run sees and plans for itself
            self.kept = {(run, cluster) for run, cluster in self.kept if run != this}
        if value is not None and frame.module == "release_lease":
            if frame.execution.arn in self.taken and not (value["again"] or value["look"]):
                raise broken("asked-again-is-kept", f"{frame.execution.name} took a request to look again and forgot it")
            self.taken.discard(frame.execution.arn)
        if value is not None and frame.module == "look":
            self._deferred(frame, value["decision"], waits=value["look_again"])
        if value is None and frame.execution.arn in self.unreported and error is not None:
            raise broken("reports-decide-nothing", f"{frame.execution.name}/{frame.module} ended of a refused report: {error}")
        if value is None or frame.zombie or self._operator().paused or frame.began < self.resumed or self.sim.schedule.mode == "observe":
            return  # nothing was done, or nobody goes by it, or nobody may write
        lease = self.sim.state.leases
        if frame.module == "take_lease" and value["held"]:
            held = lease.get("run")
            if held is not None and held.holder and not held.again and held.epoch == getattr(self.lease, "epoch", -1):
                raise broken("asked-again-is-kept", f"{frame.execution.name} left without asking {held.holder} to go once more")
        if frame.module == "look" and value["decision"] == "asked":
            held = lease.get("run")
            if held is not None and held.holder and not held.again and held.epoch == getattr(self.lease, "epoch", -1):
                raise broken("asked-again-is-kept", f"{frame.execution.name} left without asking {held.holder} to go once more")
        if frame.module == "take_lease" and value["ready"] and frame.execution.data.get("id") in self.unheard and not lease["run"].again:
            raise broken("asked-again-is-kept", f"{frame.execution.name} goes by a look that somebody met, and does not go once more")
        if frame.module == "look" and value["decision"] == "held":
            held = lease.get("look")
            if held is not None and held.holder and not held.again and not self.any_struck:
                raise broken("asked-again-is-kept", f"{frame.execution.name} left without asking {held.holder} to look once more")

    def _deferred(self, frame: Frame, decision: str, *, waits: bool) -> None:
        """Who is deferred must be followed by a look that begins later, and executions that wait for that do not pile up."""
        if waits:
            self.waits = [at for at in self.waits if self.sim.now - at < FLOOR]
            self.waits.append(self.sim.now)
            if len(self.waits) > 2 and not self.any_struck:  # a second one only where somebody met the look that was deferred
                raise broken("deferred-looks-again", f"{len(self.waits)} executions wait for a later look")
        if decision == "deferred":
            self.deferred = self.deferred or self.sim.now
            self.sim.at(self.sim.now + LATER, self._looked_since, self.sim.now)
        elif decision not in ("held", "ours", "foreign", "superseded") and frame.began >= self.deferred:
            self.deferred = 0.0

    def _looked_since(self, since: float) -> None:
        if self.deferred and self.deferred <= since and not self.any_struck:
            raise broken("deferred-looks-again", f"a look was deferred {LATER:.0f} s ago, and none has followed")

    def struck(self, frame: Frame, call: Any, faults: list[Any]) -> None:
        """Something goes wrong at a call."""
        report = call.port == "State" and call.method == "write" and call.args[0] in (LAST_LOOK, LAST_RUN)
        if report and all(fault.do == "refuse" for fault in faults) and frame.execution.arn not in self.struck_executions:
            self.unreported.add(frame.execution.arn)
        else:
            self.unreported.discard(frame.execution.arn)
        self.any_struck = True
        self.stale = self.stale or any(fault.do == "stale" for fault in faults)
        self.struck_executions.add(frame.execution.arn)
        if frame.module.startswith("report"):
            self.struck_reports.add(frame.execution.arn)
        if any(fault.do in ("orphan", "beside", "pause", "skew") for fault in faults):
            self.overlapping = True
        if any(fault.do in ("orphan", "beside", "pause") for fault in faults):
            self.stood_still.add(frame.execution.arn)

    def struck_machine(self, execution: Execution) -> None:
        """Something goes wrong where a state machine starts another."""
        self.any_struck = True
        self.struck_executions.add(execution.arn)

    def happens(self, event: Any) -> None:
        """Something happens in the world."""
        if event.do in ("rob", "ghost", "squat", "scribble", "decorate", "usurp", "config", "rebuild", "conflict"):
            self.meddled = True
        if event.do == "forget":
            self.forgetting = True
        elif event.do == "accept":
            self.identities.pop(event.cluster, None)
            self.accepted[event.cluster] = self.sim.now
            self.high.pop(event.cluster, None)
        elif event.do in ("pause", "resume"):
            self.paused = self.sim.now if event.do == "pause" else 0.0
            self.resumed = self.sim.now if event.do == "resume" else self.resumed
        elif event.do == "rob":
            self.sim.at(self.sim.now, self._robbery)

    def _robbery(self) -> None:
        """Count robberies of what we had registered and proved not long ago, each once, though two come at the same time."""
        fresh, self.robberies = self.world.robberies[self.robberies :], len(self.world.robberies)
        for robbed in fresh:
            if self.sim.now - self.memory.registered.get(robbed[1], 0.0) < 500.0:
                self.robbed[robbed] = self.robbed.get(robbed, 0) + 1

    def called(self, frame: Frame, call: Any, answer: Any, error: Any) -> None:
        """A port call was made."""
        if call.method == "observe" and error is not None:
            self.views.setdefault(frame.run or frame.execution.arn, {})[call.args[0].name] = None
        if error is not None and call.method not in ("write_lease", "ask_again"):  # these may have been done though no answer came
            return
        check = _CALLED.get(call.method) if call.port not in ("Networks", "Snapshots") else None
        if check is not None:
            check(self, frame, call, answer)

    def published(self, frame: Frame, before: Any, after: Any) -> None:
        """The pointer moved."""
        self._fence(frame, "a snapshot")
        if found := envoys.faults(self, frame, before, after):
            raise broken(*found)

    def _observed(self, frame: Frame, call: Any, view: Any) -> None:
        settings, _, registered, identity, versions = call.args
        cluster = self.world.clusters[settings.name]
        lie, cluster.lie = cluster.lie, ""
        got, cluster.got = cluster.got, {}
        self.views.setdefault(frame.run or frame.execution.arn, {})[settings.name] = view
        self.seen_at[id(view)] = self.sim.now
        if type(view).__name__ != "Seen":
            self._vain(frame, cluster)
            return
        if frame.module == "look":
            self.vain.pop(settings.name, None)
        where = f"{settings.name} by {frame.execution.name}"
        if cluster.trouble or lie in TROUBLES or lie in ("kind", "bytes", "malformed") or (lie == "chain" and len(cluster.pods) > 2):
            raise broken("unknown-is-not-empty", f"{where}: Seen in spite of {cluster.trouble or lie}")
        if identity and identity != cluster.identity:
            raise broken("identity", f"{where}: {cluster.identity}, recorded {identity}")
        recorded, when = self.identities.get(settings.name, (cluster.identity, 0.0))
        if recorded != cluster.identity and self.begun[frame.execution.arn] > when:
            raise broken("identity", f"{where}: {cluster.identity}, {recorded} was recorded")
        if any(cluster.listed < version for version in versions.values()):
            raise broken("no-way-back", f"{where}: list {cluster.listed}, seen before {versions}")
        high, since = self.high.get(settings.name, (0, 0.0))
        if cluster.listed < high and self.begun[frame.execution.arn] > since:
            raise broken("no-way-back", f"{where}: list {cluster.listed}, {high} was recorded")
        self.listed.setdefault(frame.run or frame.execution.arn, {})[settings.name] = cluster.listed
        listed = {pod.uid: pod for pod in view.pods}
        exists = {pod.uid for pod in cluster.pods.values()}
        for ref in registered:
            if ref.uid in listed or ref.namespace != "appmesh-demo":
                continue
            if ref.uid in exists and lie != "gone":
                raise broken("unknown-is-not-empty", f"{where}: Seen without {ref.name}, which exists (lie: {lie or 'none'})")
            self._wanted(ref.uid, "", view.begun)
        unlisted = exists - listed.keys() if lie in ("", "paged") and "appmesh-demo" in view.versions else ()
        if unlisted:
            raise broken("unknown-is-not-empty", f"{where}: Seen without {min(unlisted)}, which the list held")
        for uid in view.gone:
            name = next((ref.name for ref in registered if ref.uid == uid), "")
            if name not in got or got[name] == uid:
                raise broken("absent-is-asked", f"{where}: {uid} taken for gone, GET said {got.get(name, 'nothing')!r}")
        if cluster.controller == "appmesh-system":
            self.beside.add(id(view))
        if lie in ("gone", "old"):
            self.lied.add(id(view))
        else:
            self.lost[id(view)] = frozenset(pod.uid for pod in cluster.pods.values() if pod.lost)
        for uid, pod in listed.items():
            self._wanted(uid, SERVICE.get(kind_of(pod.labels), "") if self._serves(view, pod) else "", view.begun)
            if _ended(pod):
                self.terminating.add(uid)

    def _vain(self, frame: Frame, cluster: Any) -> None:
        """A look waited for a cluster in vain. One that holds no lease tries a slow cluster, which delays nobody."""
        when, told = self.vain.get(cluster.name, (0.0, False))
        held = self.others.get("look")
        looks = frame.module == "look" and (bool(frame.run) or (held is not None and held.holder == frame.execution.name))
        if not looks or cluster.waited <= SLOW:
            return
        if told and frame.began > when:
            raise broken("slow-costs-once", f"{frame.execution.name} waits {cluster.waited:.0f} s for {cluster.name}, which dripped before")
        self.vain[cluster.name] = self.sim.now, False

    def _serves(self, view: Any, pod: Any) -> bool:
        """Whether a pod of a view takes requests: by its JSON, and by what the world knows of its node."""
        return pod.containers_ready and not _ended(pod) and bool(pod.ip) and pod.uid not in self.lost.get(id(view), ())

    def _wanted(self, uid: str, place: str, begun: float) -> None:
        """A view begun then wants a pod in the service `place` alone ("" = in none)."""
        for service in SERVICES:
            if service != place:
                self.unwanted.setdefault((uid, service), []).append(begun)

    def _recorded(self, view: Any) -> None:
        """A run wrote down what follows from a view: where it wanted a pod, no older view confirms a removal."""
        for pod in view.pods:
            begins = self.unwanted.get((pod.uid, SERVICE.get(kind_of(pod.labels), "") if self._serves(view, pod) else ""))
            if begins:
                begins[:] = [begun for begun in begins if begun > view.begun]

    def _lease_read(self, frame: Frame, call: Any, _answer: Any) -> None:
        if call.args[0] == "run":
            frame.lease_read, frame.since_lease = self.sim.now, 0

    def _lease_written(self, frame: Frame, call: Any, _answer: Any) -> None:
        name, wanted, _ = call.args
        before = self.lease if name == "run" else self.others.get(name)
        now = self.sim.state.leases.get(name)
        if now == before:
            return
        taken = wanted is not None and before is not None and before.holder and before.holder != wanted.holder
        if taken and before.expires > self.sim.now + SKEW and (name != "run" or self.sim.running(before.holder)):
            rule = "one-look-at-a-time" if name == "look" else "one-writer"
            raise broken(rule, f"{wanted.holder} took the lease of {before.holder}, which is alive")
        if name == "run":
            released = wanted is None and before is not None
            failed = bool(frame.payload.get("failed"))
            if released and before.holder and before.holder != frame.execution.arn:
                raise broken("one-writer", f"{frame.execution.name} released the lease of {before.holder}")
            if released and before.again and not failed and frame.payload.get("run", {}).get("passes", 0) < 5:
                raise broken("asked-again-is-kept", f"{frame.execution.name} released the lease over a request to look again")
            if frame.module == "release_lease" and before is not None and before.again and not failed and now is not None and not now.again:
                self.taken.add(frame.execution.arn)
            if now is None or before is None or (now.holder, now.epoch) != (before.holder, before.epoch):
                self.moved = self.sim.now
                if before is not None and before.holder:
                    self.held_until[before.holder] = self.sim.now
            self.lease = now
        else:
            if name == "look" and wanted is None and before is not None and before.again:
                self.unheard.add(frame.execution.name)
            elif wanted is not None:
                self.unheard.discard(wanted.holder)  # it failed and looks again, after whoever asked
            self.others[name] = now

    def _asked(self, frame: Frame, call: Any, _answer: Any) -> None:
        if call.args[0] == "run":
            holder = self.lease.holder if self.lease else ""
            execution = self.sim.executions.get(holder)
            told = frame.execution.arn not in self.struck_executions  # DescribeExecution may have given no answer
            if told and execution is not None and execution.status != "RUNNING" and execution.ended < self.begun[frame.execution.arn]:
                raise broken("taken-over-at-once", f"{frame.execution.name} waits for {holder}, which is {execution.status}")
            self.lease = self.sim.state.leases.get("run")
        else:
            self.others["look"] = self.sim.state.leases.get("look")

    def _listed(self, frame: Frame, call: Any, instances: Any) -> None:
        if instances is not None:
            frame.listed[call.args[0]] = {instance.id: instance for instance in instances}
            frame.listed_at = self.sim.now

    def _state_written(self, frame: Frame, call: Any, _answer: Any) -> None:
        key, value = call.args
        if key.startswith("canary/"):
            last = codec.decode(value, CanaryHistory).last
            if last is not None and last.kind != "no-data":
                self.verdict = self.sim.now
        if key == traffic_shifts.SHIFTING:
            self._shifting(frame, codec.decode(value, shift_weights.Progresses))
        if len(value) > bounds.STORED and len(bounds.packed(value)) > bounds.STORED:
            raise broken("bounds-hold", f"{frame.execution.name}/{frame.module} keeps {key} with {len(bounds.packed(value)):,} bytes packed")
        if key == LAST_LOOK and self.sim.schedule.live and codec.decode(value, Report).kind != "failed":
            self._in_force(frame)
        if key == LAST_LOOK:
            self.vain = {name: (self.sim.now, True) if not told else (when, told) for name, (when, told) in self.vain.items()}
        if key in (LAST_LOOK, LAST_RUN):
            notes = codec.decode(value, Report).notes
            if len(notes) > bounds.LINES + 20 or any(len(note.encode()) > bounds.LINE for note in notes):
                raise broken(
                    "bounds-hold", f"{frame.execution.name}/{frame.module} keeps {len(notes)} notes, the longest {max(map(len, notes))}"
                )
        if key != state.MEMORY:
            return
        self._fence(frame, "memory")
        memory = codec.decode(value, PlannerState)
        self._remembers(frame, memory)
        new = memory.registered.keys() - self.remembered
        self.remembered |= new
        if self.world.robbed or self.overlapping:
            return
        standing = {ident for _, ident in self.world.instances()}
        missing = sorted(new - standing)
        if missing:
            raise broken("a-200-is-not-success", f"{missing[0]} is remembered as registered and is not there")

    def _in_force(self, frame: Frame) -> None:
        """A look ended: which documents are in force?"""
        data = self.sim.state.read(manifests.MANIFESTS)
        current = codec.decode(data, ActiveManifests) if data else ActiveManifests(digest="")
        held = codec.decode(self.sim.runs.objects[f"manifests/{current.digest}.json"], tuple[ClusterDocuments, ...]) if data else ()
        there = {(of.cluster, *named(item)) for of in held for item in of.items}
        unread = {line.cluster for line in current.lines if line.cause}
        for since, cluster, which in self.world.wanted:
            if since < frame.began and cluster not in unread and (cluster, *which) not in there:
                raise broken("documents-one-by-one", f"{'/'.join(which)} of {cluster} is good, and not in force after {frame.execution.name}")
        strange = sorted(one for one in there if one[2] == TENANT)
        if strange:
            raise broken("documents-one-by-one", f"{'/'.join(strange[0])} is in force")

    def _shifting(self, frame: Frame, now: shift_weights.Progresses) -> None:
        """A shift begins, goes on or ends."""
        old, self.shifts = self.shifts, now
        asked = {one.id: one for one in codec.decode(self.sim.state.read(traffic_shifts.SHIFTS) or b"[]", shift_weights.Shifts)}
        for key, progress in now.items():
            moved = not progress.ended and progress.step > old.get(key, shift_weights.Progress()).step
            silent = self.sim.now - self.verdict
            if moved and silent > 180.0 + BETWEEN + SKEW and frame.execution.arn not in self.stood_still:
                raise broken("watched-shift", f"{key} went to step {progress.step} {silent:.0f} s after the canary's last verdict")
            if key in asked:
                self.world.weights = None if progress.ended or not progress.step else shift_weights.weights_at(asked[key], progress.step)

    def _remembers(self, frame: Frame, memory: PlannerState) -> None:
        """Nothing recorded of what still stands is lost."""
        old, self.memory = self.memory, memory
        views = self.views.get(frame.run, {})
        since = {cluster for cluster, view in views.items() if self.seen_at.get(id(view), 0.0) > self.accepted.get(cluster, 0.0)}
        for view in views.values():
            if type(view).__name__ == "Seen":
                self._recorded(view)
        for cluster in since:
            if type(views[cluster]).__name__ == "Seen":
                self.identities.setdefault(cluster, (views[cluster].identity, self.sim.now))
        for cluster, version in self.listed.get(frame.run, {}).items():
            if cluster not in since:
                continue  # a person accepted another cluster of that name meanwhile
            self.high[cluster] = max(version, self.high.get(cluster, (0, 0.0))[0]), self.sim.now
        registry = self.registries.get(frame.run)
        if registry is None or self.overlapping:
            return
        ours = {
            f"{s.key}/{i.id}": i.attributes for s in registry.services for i in s.instances if i.attributes.get(OWNER_MARK) == self.world.owner
        }
        uids = {attributes.get(POD_MARK): attributes.get(CLUSTER_MARK, "") for attributes in ours.values()}
        views = self.views.get(frame.run, {})
        for uid in old.terminating:
            pod = next((p for p in getattr(views.get(uids.get(uid, "")), "pods", ()) if p.uid == uid), None)
            if uid in uids and uid not in memory.terminating and uids[uid] in self.clusters and (pod is None or pod.terminating):
                raise broken("nothing-forgotten", f"{uid} was seen Terminating, its instance stands, and it is forgotten")
        for clock, since in old.pending_deletions.items():
            hidden = clock in ours and type(views.get(ours[clock].get(CLUSTER_MARK, ""))).__name__ != "Seen"
            if hidden and ours[clock].get(CLUSTER_MARK) in self.clusters and memory.pending_deletions.get(clock) != since:
                raise broken("nothing-forgotten", f"the cluster of {clock} is unseen and its clock is lost")

    @property
    def clusters(self) -> set[str]:
        """Those in the settings."""
        return {cluster.name for cluster in self.world.context.settings.clusters}

    def _stored(self, frame: Frame, call: Any, _answer: Any) -> None:
        key, value = call.args
        if "/samples/" in key and len(value) > SAMPLES:
            raise broken("bounds-hold", f"{key} has {len(value):,} bytes")
        run = key.split("/")[1]  # not the frame's: a look keeps the inputs and the plan of the run it asks for
        if key.endswith("/registry.json"):
            self.registries[run] = codec.decode(value, RegistryView)
        elif "/views/" in key:
            name = key.rpartition("/")[2].removesuffix(".json")
            self.kept.add((run, name))
            views = self.views.get(frame.run or frame.execution.arn, {})
            told = msgspec.json.decode(value, type=View)
            if (
                views.get(name, self) is None and type(told).__name__ != "Seen"
            ):  # what could not be observed was seen by nobody, whatever is stored
                views[name] = told
        elif key.endswith("/plan.json") and "/mesh/" not in key:
            plan = codec.decode(value, RegistryPlan)
            self.plans[run], self.contexts[run] = plan, frame.context
            if not frame.run:
                self.looked[run] = frame.lease_read
                self.views[run], self.listed[run] = self.views[frame.execution.arn], self.listed.get(frame.execution.arn, {})
            self._planned(frame, run, plan)

    # --- the plan -------------------------------------------------------------------------------------------------------------------------

    def _planned(self, frame: Frame, run: str, plan: RegistryPlan) -> None:
        if frame.run and frame.config != frame.context.config and not self.sim.schedule.live:
            raise broken("superseded", f"run {run}, begun under another configuration, is planned under this one")
        clusters = {cluster.name for cluster in frame.context.settings.clusters}  # a first try may have seen those of another configuration
        views = {name: view for name, view in self.views.get(run, {}).items() if (run, name) in self.kept and name in clusters}
        registry = self.registries.get(run)
        if registry is None:
            return
        if plan.memory.competing_writers and self.world.robbed < 2 and not self.world.foreign and not self.stale:
            raise broken("stopped-by-competing-writer", f"{min(plan.memory.competing_writers)} is stopped, and there is no other hand")
        stopped = {w.service for w in plan.withheld if w.why in ("competing-writer", "conflict")}
        ours = {
            (service.service, i.id): i.attributes
            for service in registry.services
            for i in service.instances
            if i.attributes.get(OWNER_MARK) == self.world.owner
        }
        removals = {(a.service, a.id): a for a in plan.actions if type(a).__name__ == "Deregister"}
        adds = {(a.service, a.id): a for a in plan.actions if type(a).__name__ == "Register"}
        operator = self._operator()
        if not stopped and self.sim.schedule.policy == "sync" and not operator.draining:
            self._dead_first(frame, run, views, ours, removals)
        if not operator.draining and not operator.forget:
            self._deletion_guard(views, ours, removals, adds)
        rightly = ("competing-writer", "conflict", "churn", "foreign-id", "claimed", "namespace-missing", "unreadable")
        withheld = {(w.service.partition(".")[0], w.id) for w in plan.withheld if w.what == "register" and w.why in rightly}
        if not operator.draining:
            self._adds(views, registry, adds, withheld)
        if not operator.resumed:
            self._both_stop(registry, plan)

    def _both_stop(self, registry: RegistryView, plan: RegistryPlan) -> None:
        """By the tags alone, whatever the planner makes of them."""
        for service in registry.services:
            holder = service.tags.get(f"crossmesh:deployment/{self.world.owner}", "")
            who, _, until = service.tags.get(f"crossmesh:conflict/{self.world.owner}", "@0").rpartition("@")
            if holder == CONFLICTING or (who == CONFLICTING and float(until) > registry.begun):
                planned = [action for action in plan.actions if type(action).__name__ != "TagService"]
                if planned:
                    raise broken("both-stop", f"{service.key} is another deployment's, and the plan holds {planned[0]}")

    def _operator(self) -> ManualOverrides:
        data = self.sim.state.read(state.OPERATOR)
        return codec.decode(data, ManualOverrides) if data else ManualOverrides()

    def _dead_first(self, frame: Frame, run: str, views: Any, ours: Any, removals: Any) -> None:
        look = self.views.get(frame.execution.arn.replace(":Reconcile:", ":Look:"), {}) if "~" not in frame.run else {}
        seen_ending = (
            {p.uid for view in look.values() for p in getattr(view, "pods", ()) if p.terminating} if frame.execution.data.get("look") else set()
        )
        data = self.sim.runs.objects.get(state.key(run, "inputs"))
        seen_ending |= codec.decode(data, PlannerState).terminating.keys() if data else set()
        for (service, ident), attributes in ours.items():
            view = views.get(attributes.get(CLUSTER_MARK, ""))
            if type(view).__name__ != "Seen":
                continue
            pod = next((p for p in view.pods if p.uid == attributes.get(POD_MARK)), None)
            ended = pod is None and attributes.get(POD_MARK) in seen_ending and attributes.get(POD_MARK) in view.gone
            if not ended and (pod is None or not _ended(pod)):
                continue
            action = removals.get((service, ident))
            if action is None or action.phase > 1:
                final = pod is not None and pod.phase in ("Succeeded", "Failed")
                rule, what = ("final-is-dead", "finished") if final else ("dead-out-at-once", "dead")
                raise broken(rule, f"{ident} of a {what} pod is {'not removed' if action is None else 'removed late'}")

    def _deletion_guard(self, views: Any, ours: Any, removals: Any, adds: Any) -> None:
        """The deletion guard, counted anew: per service, net removals without confirmation, and nodes that they would empty."""
        policy = self.world.context.settings.policy
        for service in {key[0] for key in removals}:
            lost = 0
            standing: dict[str, int] = {}
            loose: dict[str, list[str]] = {}
            gone: dict[str, int] = {}
            for (where, ident), attributes in ours.items():
                if where != service:
                    continue
                node, uid = attributes.get("appmesh.k8s.aws/virtualNode", ""), attributes.get(POD_MARK, "")
                standing[node] = standing.get(node, 0) + 1
                if (where, ident) not in removals:
                    continue
                gone[node] = gone.get(node, 0) + 1
                view = views.get(attributes.get(CLUSTER_MARK, ""))
                begun = getattr(view, "begun", self.sim.now)
                pod = next((p for p in getattr(view, "pods", ()) if p.uid == uid), None)
                finished = pod is not None and _ended(pod)
                first = min([*self.unwanted.get((uid, service), ()), begun])
                confirmed = first <= begun - policy.confirm_after + 0.001
                if uid not in self.terminating and not finished and not confirmed:
                    loose.setdefault(node, []).append(ident)
                    lost += uid in self.lost.get(id(view), ())
            new: dict[str, int] = {}
            for (where, ident), action in adds.items():
                if where == service and (where, ident) not in ours:
                    new[action.node] = new.get(action.node, 0) + 1
            net = {node: len(idents) - new.get(node, 0) for node, idents in loose.items()}
            total = sum(n for n in net.values() if n > 0)
            if total > max(1.0, policy.confirm_above * sum(standing.values())):
                rule = "dead-node-is-unready" if lost == total else "deletion-guard"
                raise broken(rule, f"{total} of {sum(standing.values())} instances of {service} removed without confirmation")
            for node, count in net.items():
                if count > 0 and standing[node] - gone[node] + new.get(node, 0) <= 0:
                    raise broken("deletion-guard", f"{node} emptied without confirmation")

    def _adds(self, views: Any, registry: RegistryView, adds: Any, withheld: Any) -> None:
        there = {(service.service, i.id) for service in registry.services for i in service.instances}
        for name, view in views.items():
            if type(view).__name__ != "Seen":
                continue
            for pod in view.pods:
                kind = kind_of(pod.labels)
                if not kind or not self._serves(view, pod) or id(view) in self.beside:
                    continue
                key = SERVICE[kind], f"{name}.{pod.uid}"
                if key not in there and key not in adds and key not in withheld:
                    raise broken("others-go-on", f"{pod.name} of {name} is ready and neither registered nor planned nor withheld")

    # --- writes ---------------------------------------------------------------------------------------------------------------------------

    def _fence(self, frame: Frame, what: str) -> None:
        """May this function write now?"""
        lease, arn = self.lease, frame.execution.arn
        if frame.lease_read < 0:
            raise broken("lease-each-batch", f"{frame.module} wrote {what} without reading the lease")
        held = lease is not None and lease.holder == arn
        if not held and frame.lease_read > self.moved:
            raise broken(
                "one-writer", f"{frame.module} of {frame.execution.name} wrote {what}, the lease is {lease.holder if lease else 'nobody'}'s"
            )
        frame.since_lease += 1
        late = self.sim.now - frame.lease_read > STALE_LEASE
        if frame.since_lease > 128 or (late and frame.execution.arn not in self.struck_executions):
            raise broken("lease-each-batch", f"{frame.module}: {what} {self.sim.now - frame.lease_read:.0f} s after the lease was read")

    def writes(self, frame: Frame | None, service: str, operation: str, request: dict[str, Any]) -> None:
        """A write is about to reach AWS."""
        if frame is None:
            return
        if self.sim.schedule.mode == "observe":
            raise broken("mode-observe", operation)
        if self.paused and self.begun[frame.execution.arn] > self.paused:
            raise broken("paused", f"{operation} of {frame.execution.name}")
        live = self.sim.schedule.live  # then the configuration is also that of the documents, which no context here knows
        if frame.config != frame.context.config and not live:
            raise broken("superseded", f"{frame.module}: {operation} of run {frame.run}")
        if service != "appmesh" and frame.run in self.contexts and frame.config != self.contexts[frame.run].config and not live:
            raise broken("superseded", f"{operation} of run {frame.run} by a plan of another configuration")
        self._fence(frame, operation)
        if operation in ("RegisterInstance", "DeregisterInstance"):
            self.registry_writes += 1
            self.writers.add((frame.run, operation))
        if service == "appmesh":
            self._mesh_write(frame, operation, request)
        elif operation == "RegisterInstance":
            self._register(frame, request)
        elif operation == "DeregisterInstance":
            self._deregister(frame, request)
        elif operation == "DeleteService":
            raise broken("own-before-touch", f"{operation} of a service that documents name")

    def wired(self, frame: Frame | None, operation: str) -> None:
        """A call reaches Cloud Map where no operation lags and no rate is limited: each run has a budget."""
        if frame is None or not frame.run or self.any_struck:
            return
        count = self.calls.setdefault(frame.run, [0, 0, 0])
        count[0] += 1
        count[2] += operation == "DiscoverInstances"
        count[1] += not operation.startswith(("Get", "List", "Discover"))
        pages = sum(1 + len(s.instances) // 100 for s in getattr(self.registries.get(frame.run), "services", ())) or 4
        if (count[0] > count[1] + 14 + 6 * pages or count[2] > 4) and not self.meddled:
            raise broken("bounded-calls", f"run {frame.run}: {count[0]} calls to Cloud Map for {count[1]} writes, {count[2]} discoveries")

    def _mesh_write(self, frame: Frame, operation: str, request: dict[str, Any]) -> None:
        mesh = self.world.app_mesh
        if operation == "TagResource":
            found = mesh._arns.get(request["resourceArn"])
        elif operation.startswith(("Update", "Delete")):
            title = operation.removeprefix("Update").removeprefix("Delete")
            found = mesh._resources.get(key_of(KINDS[title[0].lower() + title[1:]], request))
        else:
            return
        if found is None or found.tags.get("crossmesh:owner") == self.world.owner:
            return
        if self.sim.now - found.created > BETWEEN and frame.execution.arn not in self.stood_still:
            raise broken("own-before-touch", f"{operation} of {found.key}, which carries no tag of ours")

    def _came_between(self, frame: Frame, request: dict[str, Any]) -> bool:
        """Whether another writer took the id between a list that may still be gone by and the call, which takes no condition."""
        seen, when = frame.listed.get(request["ServiceId"]), frame.listed_at
        if seen is None:
            view = self.registries.get(frame.run)
            seen = next(({i.id: i for i in s.instances} for s in view.services if s.id == request["ServiceId"]), {}) if view else {}
            when = getattr(view, "begun", 0.0)
        shown = seen.get(request["InstanceId"])
        if shown is not None and shown.attributes.get(OWNER_MARK) != self.world.owner:
            return False
        if self.sim.now - when > COMPARED + BETWEEN and frame.execution.arn not in self.stood_still:
            return False
        self.between.add(request["InstanceId"])
        return True

    def _register(self, frame: Frame, request: dict[str, Any]) -> None:
        attributes, ident = request["Attributes"], request["InstanceId"]
        service = self.world.cloud_map.services.get(request["ServiceId"])
        cluster, uid = attributes.get(CLUSTER_MARK, ""), attributes.get(POD_MARK, "")
        address = attributes.get("AWS_INSTANCE_IPV4", "")
        if uid not in self.world.ips or address != self.world.ips[uid] or uid not in ident or cluster not in ident:
            raise broken("ids-of-pods", f"{ident} with address {address}, marks {cluster}/{uid}")
        if attributes.get(OWNER_MARK) != self.world.owner:
            raise broken("own-before-touch", f"{ident} is registered without our mark")
        lately = [at for at in self.written.get(ident, ()) if self.sim.now - at < 600.0]
        self.written[ident] = [*lately, self.sim.now]
        if len(lately) >= WRITTEN and not self.meddled and not self.any_struck and not self.sim.schedule.rates:
            raise broken("flapping-waits", f"{ident} is registered for the {len(lately) + 1}th time within ten minutes")
        self.world.settle()
        standing = service.instances.get(ident) if service else None
        if standing is not None and standing.attributes.get(OWNER_MARK) != self.world.owner and not self._came_between(frame, request):
            raise broken("own-before-touch", f"{ident} is overwritten, which carries no mark of ours")
        view = self.views.get(frame.run, {}).get(cluster)
        pod = next((p for p in getattr(view, "pods", ()) if p.uid == uid), None)
        if pod is not None and pod.phase in ("Succeeded", "Failed"):
            raise broken("final-is-dead", f"{ident} is registered, whose pod was seen {pod.phase}")
        if pod is not None and uid in self.lost.get(id(view), ()):
            raise broken("dead-node-is-unready", f"{ident} is registered, whose node was seen dead")
        if pod is None or not pod.containers_ready or pod.terminating:
            raise broken("only-seen-ready", f"{ident}: {'not seen' if pod is None else 'not ready'} in run {frame.run}")
        planned = self.plans.get(frame.run)
        if planned is None or not any(getattr(a, "id", "") == ident and type(a).__name__ == "Register" for a in planned.actions):
            raise broken("planned", f"{ident} registered without a plan")
        if service is not None and any(w.why == "competing-writer" and w.service.startswith(f"{service.name}.") for w in planned.withheld):
            raise broken("stopped-by-competing-writer", ident)
        begun = getattr(self.registries.get(frame.run), "begun", 0.0)
        noted = standing is not None and "x-note" in standing.attributes and self.world.decorated.get(ident, begun) < begun
        if noted and "x-note" not in attributes and not self.stale:
            raise broken("foreign-attributes", f"{ident} loses x-note")
        times, lost = self.robbed.get((service.name if service else "", ident), 0), self.memory.lost.get(ident, ())
        if not self._operator().resumed and (times >= 3 or (times == 2 and len(lost) >= 2 and planned.begun > lost[-1])):
            raise broken("stopped-by-competing-writer", f"{ident} was removed {times} times by another writer")

    def _deregister(self, frame: Frame, request: dict[str, Any]) -> None:
        ident = request["InstanceId"]
        service = self.world.cloud_map.services.get(request["ServiceId"])
        self.world.settle()
        standing = service.instances.get(ident) if service else None
        if self.sim.schedule.policy != "sync":
            raise broken("mode-observe", f"{ident} deregistered, removals are {self.sim.schedule.policy}")
        plan = self.plans.get(frame.run)
        if plan is None or not any(getattr(a, "id", "") == ident and type(a).__name__ == "Deregister" for a in plan.actions):
            raise broken("planned", f"{ident} deregistered without a plan")
        if standing is None:
            return
        attributes = standing.attributes
        shown = frame.listed.get(request["ServiceId"], {}).get(ident)
        if shown is None:
            raise broken("compare-before-delete", f"{ident} deregistered without a fresh read of it")
        if attributes.get(OWNER_MARK) != self.world.owner:
            if self._came_between(frame, request):
                return
            raise broken("own-before-touch", f"{ident} deregistered, which carries no mark of ours")
        cluster, uid = attributes.get(CLUSTER_MARK, ""), attributes.get(POD_MARK, "")
        if shown.attributes.get(POD_MARK) != uid:
            raise broken("compare-before-delete", f"{ident} deregistered, of which a fresh list showed another pod's marks")
        if self.forgetting:
            return
        view = self.views.get(frame.run, {}).get(cluster)
        if type(view).__name__ != "Seen":
            raise broken("unseen-kept", f"{ident} of {cluster}, which run {frame.run} did not see")
        pod = self.world.pod(uid)
        alive = pod is not None and pod.live and pod.cluster == cluster and SERVICE.get(pod.kind) == service.name
        if alive and self.sim.now - view.begun > 121.0 and id(view) not in self.lied:
            raise broken("live-kept", f"{ident} of {pod.name}, for what was seen {self.sim.now - view.begun:.0f} s ago")
        if pod is None or not pod.live or pod.live_since > view.begun or id(view) in self.lied or pod.cluster != cluster:
            return
        if SERVICE.get(pod.kind) == service.name:
            raise broken("live-kept", f"{ident} of live pod {pod.name}")
        moved = (SERVICE.get(pod.kind, ""), ident)
        if pod.kind in SERVICE and moved not in self.world.instances() and not self.world.robbed:
            raise broken("add-before-remove", f"{ident} leaves {service.name} and is not in {moved[0]} yet")

    def refused(self, frame: Frame | None, service: str, operation: str, error: Exception) -> None:
        """AWS refused a write."""
        if frame is None or not isinstance(error, AwsError):
            return
        self.throttled += error.code == "ThrottlingException"
        if error.code in ("InvalidInput", "BadRequestException", "ParamValidationError"):
            raise broken("well-formed", f"{operation}: {error}")
        out_of_order = ("NotFoundException", "ResourceInUseException")
        if service == "appmesh" and error.code in out_of_order and not self.world.mesh_touched and not self.overlapping:
            raise broken("order", f"{operation}: {error}")

    def ended(self, execution: Execution, error: Exception | None) -> None:
        """A machine came to its end."""
        name = execution.machine.name
        self.looks += name == "Look"
        self.runs += name == "Reconcile"
        if error is not None and name != "Canary":
            if not self.any_struck and not self.sim.schedule.rates and execution.name not in self.sim.executions:
                raise broken("no-failure-unprovoked", f"{execution.name}: {error}")
            told = {self._said("look"), self._said("run")}
            base = {key.split("/")[1].partition("~")[0] for key in self.sim.runs.objects if key.endswith("/report.json")}
            mine = execution.data.get("id", execution.name)
            if not told & {execution.name, mine} and mine not in base and execution.arn not in self.struck_reports:
                raise broken("failures-are-told", f"{execution.name} failed and nothing says so")
        if name == "Reconcile":
            if error is None and execution.arn not in self.struck_executions:
                self._carried_out(execution)
            self._replays(execution)

    def _carried_out(self, execution: Execution) -> None:
        """A run that met no trouble reached every stage of its plan."""
        if self.any_struck or self.meddled or self.sim.schedule.lag or self.sim.schedule.rates:
            return
        for run in [r for r in self.plans if r.partition("~")[0] == execution.data.get("id")]:
            for stage in self.plans[run].stages:
                if not any(key.startswith(f"runs/{run}/outcomes/{stage}-") for key in self.sim.runs.objects):
                    raise broken("carried-out", f"run {run} ended well without stage {stage} of its plan")

    def _said(self, key: str) -> str:
        data = self.sim.state.read(key)
        return str(msgspec.json.decode(data).get("id", "")).partition("~")[0] if data else ""

    def _replays(self, execution: Execution) -> None:
        for run in [r for r in self.plans if r.partition("~")[0] == execution.data.get("id")]:
            plan = self.plans.pop(run)
            if self.sim.schedule.live:
                continue  # tests/unit/usecases/test_manifests.py replays by the documents that the run names
            objects, context = self.sim.runs.objects, self.contexts[run]
            views = tuple(
                msgspec.json.decode(objects[state.key(run, f"views/{c.name}")], type=View)
                for c in context.settings.clusters
                if state.key(run, f"views/{c.name}") in objects
            )
            if len(views) < len(context.settings.clusters):
                continue  # a cluster's function ended without a view; `replay` says so
            if state.key(run, "inputs") not in objects:
                if any(key.startswith(f"runs/{run}/outcomes/") for key in objects):
                    raise broken("replay", f"run {run} was carried out and its inputs were not kept")
                continue  # its planning step failed while it stored them, and nothing came of the plan
            registry = codec.decode(objects[state.key(run, "registry")], RegistryView)
            memory = codec.decode(objects[state.key(run, "inputs")], PlannerState)
            operator = codec.decode(objects[state.key(run, "operator")], ManualOverrides)
            outliers = codec.decode(objects[state.key(run, state.OUTLIERS)], dict[str, Outlier])
            again = decide(context, views, registry, memory, operator, outliers)
            if codec.encode(again) != objects[state.key(run, "plan")]:
                raise broken("replay", f"run {run}: {len(plan.actions)} actions, again {len(again.actions)}")

    def finish(self) -> None:
        """All is exact and quiet: what did it take?"""
        asked = {one.id: one for one in codec.decode(self.sim.state.read(traffic_shifts.SHIFTS) or b"[]", shift_weights.Shifts)}
        for key, progress in self.shifts.items():
            watched = progress.step >= shift_weights.steps_of(asked[key]) and self.verdict > progress.at
            if not progress.ended and not watched and self.sim.now - max(self.verdict, asked[key].begun) > 600.0 + 2 * PERIOD:
                raise broken("watched-shift", f"{key} is in force though its canary has been silent for long")
        if not self.any_struck and self.throttled > 8 * len(self.writers) + 0.2 * self.registry_writes:
            raise broken("bounded-calls", f"{self.throttled} of {self.registry_writes} writes to Cloud Map were throttled")

    # --- the end --------------------------------------------------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """How far the world is from what is desired; [] = exact."""
        world = self.world
        hidden = {name for name, c in world.clusters.items() if c.trouble or self._identity(name) not in ("", c.identity)}
        hidden |= world.clusters.keys() - self.clusters
        wanted = {key: a for key, a in world.desired().items() if a[CLUSTER_MARK] not in hidden}
        have = world.instances()
        foreign = {key: a for key, a in world.foreign.items() if key[1] not in self.between or have.get(key) == a}
        kept_out = {ident: service for service, ident in wanted if (service, ident) in foreign}
        found = []
        for key, attributes in wanted.items():
            if key in foreign:
                continue
            if key not in have:
                found.append(f"{key[1]} is missing in {key[0]}")
            elif not attributes.items() <= have[key].items():
                wrong = sorted(k for k, v in attributes.items() if have[key].get(k) != v)
                found.append(f"{key[1]} has a wrong {wrong[0]}")
        for key, attributes in have.items():
            ours = attributes.get(OWNER_MARK) == world.owner
            if key[1] in kept_out and key[0] != kept_out[key[1]]:
                continue  # its pod's new place is taken by a foreign instance: the old one stays (rule 5)
            if ours and key not in wanted and attributes.get(CLUSTER_MARK) not in hidden and self.sim.schedule.policy == "sync":
                found.append(f"{key[1]} should not be in {key[0]}")
        found += [f"foreign {key[1]} is {have.get(key)}" for key, attributes in foreign.items() if have.get(key) != attributes]
        if self.sim.schedule.envoys:
            found += envoys.differences(self, wanted, hidden)
        return found + world.mesh_faults()

    def _identity(self, cluster: str) -> str:
        return self.sim.memory().identities.get(cluster, "")


_CALLED = {
    "observe": Rules._observed,
    "read_lease": Rules._lease_read,
    "write_lease": Rules._lease_written,
    "ask_again": Rules._asked,
    "list_instances": Rules._listed,
    "write": Rules._state_written,
    "put": Rules._stored,
}
