"""The state of the whole as `crossmesh status` says it: green only where every number agrees. Pure.

`problems` are wrong until somebody or something changes them. `waits` are what is on its way: while
there are any, what the last look found may be out of date, so its figures (`found`) are not held
against the application.
"""

from datetime import UTC, datetime
from typing import Literal

import msgspec

from crossmesh.core.registry.overrides import describe_overrides
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.core.reporting.report import ClusterLine, Report, began, seen_since
from crossmesh.core.unseen import fix

STALE = 180.0  # seconds without a look after which the schedule itself is the finding
STARTS = 30.0  # seconds within which a run that a look asked for has started
# Seconds after a deployment in which new roles and access entries take effect (IAM and EKS are
# eventually consistent), and canaries run
EFFECT = 180.0
FAILURES = 3  # bad verdicts in a row that no run explains away
_NAMED = 5  # clusters that a headline names
_ACCESS = ("refused", "role")  # causes of an unseen cluster that a new role's rights explain
_DENIED = ("AccessDenied", "not authorized", "UnrecognizedClient", "InvalidClientToken")

State = Literal["as declared", "shifted", "converging", "not as declared", "paused", "draining", "drained", "unknown"]


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What was read at one time. `runner`: the execution that holds the run's lease; `deployed`:
    when the functions were last deployed (0 = not known); `shifted`: shifts in force as lines;
    `canaries`: what is wrong with canaries, as lines; `never_good`: the same of those that never
    gave a good verdict; `judged`: of those whose verdict is older than what changed since
    (`verdict_outdated`).
    """

    now: float
    look: Report | None = None
    run: Report | None = None
    operator: ManualOverrides = ManualOverrides()
    memory: PlannerState = PlannerState()
    runner: str = ""
    deployed: float = 0.0
    deploying: bool = False
    shifted: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    never_good: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()

    @property
    def effective(self) -> float:
        """When the rights of what was deployed are in effect for certain; 0 = long since, or not
        known when it was deployed.
        """
        until = self.deployed + EFFECT if self.deployed else 0.0
        return until if self.now < until else 0.0


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that the verdict is about, when they held, and who found them: "look", or the id
    of the run that left them so.
    """

    registered: int
    wanted: int
    at: float
    found_by: str


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict, the sentence after it, and its reasons."""

    state: State
    headline: str
    wishes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    shifted: tuple[str, ...] = ()
    counts: Counts | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is as declared."""
        return self.state == "as declared"

    @property
    def lines(self) -> tuple[str, ...]:
        """Every reason why it is not green."""
        return (*self.wishes, *self.problems, *self.waits, *self.found, *self.shifted)


def verdict_outdated(verdict: float, failures: int, operator: ManualOverrides, run: Report | None, now: float) -> bool:
    """Whether a canary's bad verdict (seconds since the epoch) is of before a pause or drain was
    lifted, or of before a run that repaired something.

    Its next one comes within a minute. One that stays away is a fault, and so is one that went on
    failing (`failures` in a row) while runs came and went.
    """
    lifted = 0.0 if operator.paused or operator.draining else operator.lifted
    ran = run is not None and run.kind == "applied" and not run.failed and bool(changes_of(run))
    repaired = run.at if run is not None and ran and failures < FAILURES else 0.0
    return any(verdict < at and now - at < EFFECT for at in (lifted, repaired))


def overview(seen: Sighting) -> Overview:
    """Judge what was read."""
    asked = describe_overrides(seen.operator, seen.memory)
    last = seen.look
    if last is None:
        return _unlooked(seen, asked)
    begins = (
        last.kind == "failed"
        and not last.well
        and bool(seen.effective)
        and any(word in last.failure for word in _DENIED)
    )
    if begins:
        refused = (
            f"the first look was refused ({last.failure}): new rights may not be in effect yet; {_error_from(seen)}",
        )
        return Overview(
            state="converging", headline="waiting for the first look that succeeds", wishes=asked, waits=refused
        )
    settled = _settled(seen, last)
    last = settled or last
    problems, waits = (*_hard(seen, last), *seen.canaries), _waits(seen, last)
    waits += tuple(
        f"{line}: that was before the last change; waiting for the canary's next verdict" for line in seen.judged
    )
    if seen.effective:
        waits += tuple(f"{line}: its first good verdict is awaited; {_error_from(seen)}" for line in seen.never_good)
    else:
        problems += seen.never_good
    found = _soft(seen, last)
    if last.kind == "failed":
        return Overview(state="unknown", headline="the last look failed", wishes=asked, problems=problems, waits=waits)
    state = _state(seen, last, problems, waits, found)
    outdated = bool(waits) and state in ("converging", "not as declared", "draining", "paused") and not problems
    return Overview(
        state=state,
        headline=_figures(seen, last, outdated=outdated, run=settled is not None),
        wishes=asked,
        problems=problems,
        waits=waits,
        found=found,
        shifted=seen.shifted,
        counts=Counts(
            registered=last.registered - last.down,
            wanted=last.endpoints,
            at=last.at,
            found_by=seen.run.id if settled is not None and seen.run is not None else "look",
        ),
    )


def _state(
    seen: Sighting, last: Report, problems: tuple[str, ...], waits: tuple[str, ...], found: tuple[str, ...]
) -> State:
    """The first that holds, the most pressing first."""
    if seen.operator.draining:
        return "draining" if last.registered or _ordered(seen, last) else "drained"
    if seen.operator.paused:
        return "paused"
    if problems or (found and not waits):
        return "not as declared"
    if waits:
        return "converging"
    return "shifted" if seen.shifted else "as declared"


def _unlooked(seen: Sighting, asked: tuple[str, ...]) -> Overview:
    """No look was taken yet: on its way after a deployment, a fault later on."""
    if seen.deploying or seen.effective:
        said = "a deployment is under way" if seen.deploying else f"deployed {seen.now - seen.deployed:.0f} s ago"
        until = f"; {_error_from(seen)}" if seen.effective and not seen.deploying else ""
        waits = (f"{said}, and the first look has not been taken yet: the schedule takes one each minute{until}",)
        return Overview(state="converging", headline="waiting for the first look", wishes=asked, waits=waits)
    since = f" since the deployment {(seen.now - seen.deployed) / 60:.0f} minutes ago" if seen.deployed else " yet"
    said = (
        f"no look has been taken{since}: check that the schedule is enabled (parameter Schedule), and the executions of"
        " the look"
    )
    return Overview(state="unknown", headline=said, wishes=asked, problems=(f"no look has been taken{since}",))


def _error_from(seen: Sighting) -> str:
    return f"from {datetime.fromtimestamp(seen.effective, UTC).strftime('%H:%M:%SZ')} on it counts as an error"


def _settled(seen: Sighting, last: Report) -> Report | None:
    """The last look as a later run has left it, where that run began after it, proved all it did,
    and changed the registry alone; None otherwise.
    """
    run = seen.run
    if (
        run is None
        or run.kind != "applied"
        or run.ours < 0
        or run.failed
        or run.health
        or run.mesh_actions
        or last.mesh_actions
        or last.mesh_withheld
    ):
        return None
    if last.kind == "failed" or run.config != last.config or run.live != last.live or began(run) < last.at:
        return None
    return msgspec.structs.replace(
        last,
        kind="quiet",
        at=run.at,
        seconds=run.seconds,
        clusters=run.clusters,
        registered=run.ours,
        endpoints=run.endpoints,
        adds=0,
        removals=0,
        health=0,
        gates=0,
        waiting=run.waiting,
        again_at=run.again_at,
        emptied=last.emptied if run.waiting else (),
        withheld=run.withheld,
        withheld_counts=run.withheld_counts,
    )


def _figures(seen: Sighting, last: Report, *, outdated: bool, run: bool) -> str:
    down = f", {last.down} marked UNHEALTHY" if last.down else ""
    unseen = [line.name for line in last.clusters if line.cause]
    counted = f"{last.registered} registered, {last.endpoints} wanted{down}"
    if unseen and len(unseen) == len(last.clusters):
        counted = f"{last.registered} registered{down}; how many are wanted is not known, for no cluster is seen"
    elif unseen:
        counted += f" by the clusters that are seen ({', '.join(unseen[:_NAMED])}{_more(unseen)} not)"
    elif last.registered - last.down == last.endpoints:
        counted = f"{last.endpoints} of {last.endpoints} endpoints registered{down}"
    when = f"{max(0.0, seen.now - last.at):.0f} s ago"
    if run and seen.run is not None:
        return f"{counted}, as run {seen.run.id} left it {when}"
    return f"{counted} at the last look, {when}" if outdated else f"{counted}, looked {when}"


def _more(names: list[str]) -> str:
    return f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""


def _hard(seen: Sighting, last: Report) -> tuple[str, ...]:
    """What no run fixes by itself."""
    found = [
        f"cluster {line.name} is unseen: {line.cause}: {line.detail}"
        + (f". To fix it: {told}" if (told := fix(line.cause, line.detail)) else "")
        for line in last.clusters
        if line.cause and not _awaited(seen, line) and line.name not in seen_since(last, seen.run)
    ]
    if seen.now - last.at > STALE:
        found.append(f"the last look is {seen.now - last.at:.0f} s old: the schedule does not run")
    if last.kind == "failed":
        since = f"no look since {_utc(last.well)}" if last.well else "no look yet"
        found.append(f"{since}: {last.failure}")
    run = seen.run
    if run is not None and run.at > last.at and (run.kind == "failed" or run.failed):
        what = run.failure or f"{run.failed} actions were not proved"
        found.append(
            f"run {run.id} {'failed' if run.kind == 'failed' else 'is not done'}: {what} (`crossmesh explain {run.id}`)"
        )
    if last.mesh_unavailable:
        found.append(f"mesh unavailable: {last.mesh_unavailable}")
    if last.kind == "observe" and changes_of(last):
        found.append(f"{_changes(last)} pending, and nothing is applied (Mode is observe: nothing is applied)")
    held = sum(count for why, count in last.withheld_counts.items() if why != "unconfirmed") + last.mesh_withheld
    if held:
        found += [f"withheld: {line}" for line in last.withheld if ": unconfirmed: " not in line]
    return (*found, *last.emptied)


def _soft(seen: Sighting, last: Report) -> tuple[str, ...]:
    """What the last look found and a run may have fixed since."""
    if last.kind == "failed":
        return ()
    found = []
    if changes_of(last) and last.kind != "observe":
        found.append(f"{_changes(last)} pending")
    unseen = any(line.cause for line in last.clusters)  # what such a cluster wants is not known
    if last.registered - last.down != last.endpoints and not unseen and not seen.operator.draining:
        found.append(f"{last.registered} instances are registered, {last.endpoints} endpoints are wanted")
    found += [f"withheld: {line}" for line in last.withheld if ": unconfirmed: " in line]
    return (*found, *last.notes)


def _awaited(seen: Sighting, line: ClusterLine) -> bool:
    """Whether a cluster that was never seen refuses what was just deployed: its access entry may
    not be in effect yet.
    """
    return line.cause in _ACCESS and bool(seen.effective) and line.name not in seen.memory.identities


def _ordered(seen: Sighting, last: Report) -> list[tuple[str, float]]:
    """What people asked for after the last look began, which therefore knows nothing of it."""
    wishes = (
        ("drain asked for", seen.operator.draining),
        ("pause asked for", seen.operator.paused),
        ("resumed", 0.0 if seen.operator.draining or seen.operator.paused else seen.operator.lifted),
    )
    return [(order, at) for order, at in wishes if at > last.at - last.seconds]


def _waits(seen: Sighting, last: Report) -> tuple[str, ...]:
    """What is on its way."""
    found = [
        f"{order} {max(0.0, seen.now - at):.0f} s ago, and no look has run since" for order, at in _ordered(seen, last)
    ]
    found += [
        f"cluster {line.name} does not admit the functions yet ({line.cause}: {line.detail}): their access may not be"
        f" in effect; {_error_from(seen)}. To fix it: {fix(line.cause, line.detail)}"
        for line in last.clusters
        if line.cause and _awaited(seen, line)
    ]
    found += [
        f"cluster {line.name} was unseen at the last look ({line.cause}), and run {seen.run.id} has seen it since"
        for line in last.clusters
        if line.cause and seen.run is not None and line.name in seen_since(last, seen.run)
    ]
    began = last.at - last.seconds
    if seen.deploying:
        found.append("a deployment is under way")
    elif seen.deployed > began:
        found.append(
            f"deployed {max(0.0, seen.now - seen.deployed):.0f} s ago, and no look has run on it yet: what follows is"
            f" of configuration {last.config[:7] or '?'}"
        )
    run = seen.run
    if seen.runner:
        found.append(f"run {seen.runner.rpartition(':')[2]} is under way")
    elif run is not None and run.at > last.at and run.kind == "applied" and not run.failed and changes_of(run):
        ago = max(0.0, seen.now - run.at)
        done = f"run {run.id} applied {_done(run)} {ago:.0f} s ago"
        found.append(f"{done}; the next look, within a minute, confirms it (`crossmesh status --wait` asks for one)")
    elif run is not None and run.at > last.at and run.kind == "superseded":
        found.append(f"run {run.id} was superseded by a new configuration, the next look goes on")
    elif last.kind == "apply" and changes_of(last) and seen.now - last.at < STARTS:
        found.append("the last look asked for a run, which starts now")
    if last.deferral is not None and seen.now < last.deferral.until + STARTS:
        left = max(0.0, last.deferral.until - seen.now)
        found.append(f"very many runs began lately: the next look is due in {left:.0f} s")
    if last.waiting and last.kind != "failed":
        left = max(0.0, last.again_at - seen.now) if last.again_at else 0.0
        found.append(
            f"{last.waiting} {'removal waits' if last.waiting == 1 else 'removals wait'} for a second"
            f" look{f', in {left:.0f} s' if left else ''}"
        )
    return tuple(found)


def changes_of(report: Report) -> int:
    """How many changes a look plans, or a run carried out."""
    return report.adds + report.removals + report.health + report.gates + report.mesh_actions


def _changes(last: Report) -> str:
    count = changes_of(last)
    adds, removals = plural(last.adds, "add"), plural(last.removals, "removal")
    return f"{plural(count, 'change')} ({adds}, {removals}, {last.mesh_actions} in the mesh)"


def _done(run: Report) -> str:
    parts = [
        (run.adds, "add"),
        (run.removals, "removal"),
        (run.health, "change of health"),
        (run.gates, "gate"),
        (run.mesh_actions, "mesh change"),
    ]
    return ", ".join(plural(count, name) for count, name in parts if count)


def plural(count: int, name: str) -> str:
    """A number of things."""
    return f"{count} {name}{'' if count == 1 else 's'}"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
