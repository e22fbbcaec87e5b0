"""`crossmesh status`: is everything registered, since when, and if not why — in one screen. Green
only where every number agrees.
"""

import argparse
import re
import time
from collections.abc import Sequence

import msgspec

from crossmesh import __version__
from crossmesh.adapters import aws
from crossmesh.cli import canaries, exits, journal, printing, stack, waiting
from crossmesh.cli.printing import console, print_json, table, text
from crossmesh.core.canary.history import stale
from crossmesh.core.canary.split_test import CanaryRun
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.compiler import cluster_manifests
from crossmesh.core.compiler.cluster_manifests import ActiveManifests
from crossmesh.core.mesh import shift_lines
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.core.reporting import overview
from crossmesh.core.reporting.overview import Overview
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.errors import CrossmeshError
from crossmesh.usecases import lease, manifests, state, traffic_shifts

EVERY = 2.0  # seconds between two readings of --wait and --watch
ENDED = 600.0  # seconds for which a shift that ended is still told
_STYLE = {"as declared": "green", "shifted": "yellow", "converging": "yellow"}
_SAID = {
    "as declared": "everything is as declared",
    "shifted": "as declared, except for a shift of weights in force",
    "unknown": "not known",
}


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """One reading."""

    here: stack.Deployed
    now: float
    last: Report | None
    run: Report | None
    passes: tuple[Report, ...]  # of that run, where it went once more
    operator: ManualOverrides
    verdicts: dict[str, Verdict]
    untried: tuple[str, ...]  # canaries without a verdict
    mute: frozenset[str]
    shifted: tuple[str, ...]
    ended: tuple[str, ...]
    documents: ActiveManifests | None
    view: Overview


def run(arguments: argparse.Namespace) -> int:
    """0 = everything is as declared, 3 = something is not, or is on its way."""
    if arguments.watch:
        return _watch(arguments)
    picture = read(arguments)
    if arguments.wait and not picture.view.ok:
        lines = _Lines(quiet=arguments.json)
        picture = waiting.wait(
            picture.here, lambda: read(arguments), lambda one: one.view.ok, arguments.wait, every=EVERY, told=lines.tell
        )
    _show(arguments, picture)
    return exits.DONE if picture.view.ok else exits.FOUND


class _Lines:
    """What is waited for, on stderr, a line at each change."""

    def __init__(self, *, quiet: bool) -> None:
        self._said, self._quiet = "", quiet

    def tell(self, picture: Picture) -> None:
        """Say it where it differs."""
        view = picture.view
        reason = (*view.problems, *view.waits, *view.found, view.headline)[0]
        # Seconds that go by are no change
        key = re.sub(r"[0-9.]+ s\b", "", f"{view.state}: {reason}")
        if not self._quiet and key != self._said:
            printing.error_console().print(f"{view.state}: {reason}")
        self._said = key


def _watch(arguments: argparse.Namespace) -> int:
    """Until Ctrl-C: the screen anew on a terminal, a block at each change in a pipe."""
    said = None
    while True:
        picture = read(arguments)
        out = console()
        if out.is_terminal and not arguments.json:
            out.clear()
            _show(arguments, picture)
        elif (picture.view, picture.last) != said:
            _show(arguments, picture)
        said = (picture.view, picture.last)
        time.sleep(EVERY)


def read(arguments: argparse.Namespace) -> Picture:
    """Read the state that the application keeps, and judge it."""
    here = stack.reach(arguments, shown=False)
    table, now = here.ports["State"], time.time()
    last, done = stack.last_look(here.ports), stack.last_run(here.ports)
    operator = drive(state.operator(), here.ports)
    memories = {name: canaries.memory_of(table, name) for name in stack.canaries(here)}
    verdicts = {name: memory.last for name, memory in memories.items() if memory.last}
    mute = frozenset(name for name, memory in memories.items() if stale(memory, now))
    moved, progress = drive(traffic_shifts.recorded(), here.ports)
    came = {one.id: progress.get(one.id) for one in moved}
    lines = {one.id: shift_lines.describe_shift(one, came[one.id], moved) for one in moved}
    over = {key for key, one in came.items() if one is not None and one.ended}
    held = table.read_lease(lease.NAME)
    bad = {
        name: f"canary {name}: {last.kind}: {last.says} (`crossmesh canary history {name}`)"
        for name, last in verdicts.items()
        if last.kind != "good"
    }
    first = {name for name in bad if not memories[name].last_good}
    judged = {
        name
        for name in bad.keys() - first - mute
        if overview.verdict_outdated(verdicts[name].at, _failures(memories[name].rounds), operator, done, now)
    }
    problems = [line for name, line in bad.items() if name not in first | judged]
    problems += [
        f"canary {name}: no verdict for {(now - verdicts[name].at) / 60:.0f} minutes, so nobody knows whether users are"
        f" served: the canary workflow does not run, or its judge fails (`crossmesh canary run {name}`)"
        for name in sorted(mute)
    ]
    untried = tuple(sorted(memories.keys() - verdicts.keys()))
    deployed = _deployed(here)
    scheduled = here.parameters.get("Schedule") == "ENABLED" and bool(deployed)
    awaited = scheduled and now - deployed <= overview.EFFECT
    if scheduled and not awaited:
        problems += [
            f"canary {name}: no verdict since the deployment {(now - deployed) / 60:.0f} minutes ago, so nobody knows"
            " whether users are served: the canary workflow does not run, or its judge fails (`crossmesh canary run"
            f" {name}`)"
            for name in untried
        ]
    if here.foreign[0]:
        problems.append(
            f"the configuration here is not that of {here.target.stack}, so its canaries are not told:"
            f" {here.foreign[1]}"
        )
    elif here.place.config is None or here.place.config.settings is None:
        problems.append(
            f"no usable crossmesh.yaml in {here.place.folder}: whether the canaries keep their promises is not told"
            " here (--config names the folder)"
        )
    shifted = tuple(line for key, line in lines.items() if key not in over)
    sighting = overview.Sighting(
        now=now,
        look=last,
        run=done,
        operator=operator,
        memory=stack.kept(here.ports, state.MEMORY, PlannerState) or PlannerState(),
        runner=held.holder if held and held.holder and held.expires > now else "",
        deployed=deployed,
        deploying=not here.settled,
        shifted=shifted,
        canaries=tuple(problems),
        never_good=(
            *(line for name, line in bad.items() if name in first),
            *(f"canary {name}: no verdict yet" for name in untried if awaited),
        ),
        judged=tuple(line for name, line in bad.items() if name in judged),
    )
    return Picture(
        here=here,
        now=now,
        last=last,
        run=done,
        passes=tuple(journal.passes(here.ports, done.id.partition("~")[0])) if done and "~" in done.id else (),
        operator=operator,
        verdicts=verdicts,
        untried=untried,
        mute=mute,
        shifted=shifted,
        ended=tuple(
            line for key, line in lines.items() if (one := came[key]) is not None and one.ended and now - one.at < ENDED
        ),
        documents=stack.kept(here.ports, manifests.MANIFESTS, ActiveManifests),
        view=overview.overview(sighting),
    )


def _failures(rounds: Sequence[CanaryRun]) -> int:
    """How many of a canary's last verdicts in a row were bad."""
    return next((count for count, one in enumerate(reversed(rounds)) if one.good), len(rounds))


def _deployed(here: stack.Deployed) -> float:
    """When the look's function was last changed; when the stack was, where that is not told."""
    client = aws.client("cloudformation", here.region)
    try:
        with aws.translated():
            found = client.describe_stack_resource(StackName=here.target.stack, LogicalResourceId="LookFunction")
            return float(found["StackResourceDetail"]["LastUpdatedTimestamp"].timestamp())
    except CrossmeshError:
        return here.updated


def _show_canaries(picture: Picture) -> None:
    out, now = console(), picture.now
    for name, last in picture.verdicts.items():
        good = last.kind == "good" and name not in picture.mute
        said = f"stale, {last.kind}" if name in picture.mute else last.kind
        more = f" {now - last.at:.0f} s ago, {last.requests} requests, p95 {last.p95_ms:.0f} ms"
        out.print(text(f"canary {name}: ", (said, "green" if good else "red"), more))
    for name in picture.untried:
        out.print(f"canary {name}: no verdict yet (`crossmesh canary run {name}` asks for one)", style="yellow")


def _show_clusters(picture: Picture) -> None:
    if picture.last is None or picture.last.kind == "failed":
        return
    grid = table("cluster", "pods", "seen")
    for line in picture.last.clusters:
        grid.add_row(line.name, str(line.pods), "yes" if not line.cause else f"no: {line.cause} ({line.detail})")
    console().print(grid)


def _show(arguments: argparse.Namespace, picture: Picture) -> None:
    if arguments.json:
        _print_json(picture)
        return
    out, view, now = console(), picture.view, picture.now
    stack.announce(arguments, picture.here.target.line)
    for wish in view.wishes:
        out.print(wish, style="bold red")
    style = _STYLE.get(view.state, "red")
    out.print(text((_SAID.get(view.state, view.state), style), f": {view.headline}"))
    _show_clusters(picture)
    _show_canaries(picture)
    for source in picture.documents.lines if picture.documents else ():
        out.print(
            f"manifests of {cluster_manifests.describe_source(source, now)}", style="yellow" if source.cause else ""
        )
    for told in (*picture.shifted, *picture.ended):
        out.print(told)
    for problem in (*view.problems, *view.waits):
        out.print(f"- {problem}")
    when = "at the last look: " if view.counts is None or view.counts.found_by == "look" else "after the run: "
    for found in view.found:
        out.print(f"- {when if view.waits else ''}{found}")
    for version in _versions(picture):
        out.print(version)
    if picture.run is not None:
        did = picture.passes or (picture.run,)
        counts = (
            (sum(one.adds for one in did), "add"),
            (sum(one.removals for one in did), "removal"),
            (sum(one.mesh_actions for one in did), "mesh change"),
        )
        done = ", ".join(overview.plural(count, name) for count, name in counts)
        out.print(
            f"last run {picture.run.id}: {picture.run.kind}, {done} in {picture.run.seconds:.1f} s"
            + (f" and {len(did)} passes, " if len(did) > 1 else ", ")
            + f"{now - picture.run.at:.0f} s ago"
        )


def _versions(picture: Picture) -> list[str]:
    """Which configuration is in force, whether it is the local one, and which version runs."""
    found = []
    config, last = picture.here.place.config, picture.last
    own = config is not None and not picture.here.foreign[0]
    if (
        own
        and config is not None
        and last is not None
        and last.config
        and not last.live
        and config.sha256 != last.config
    ):
        found.append(
            f"configuration in force {last.config[:7]}; the local one is {config.sha256[:7]}: not deployed, or no look"
            " has run on it yet"
        )
    version = picture.here.target.version
    if version:
        found.append(
            f"version {version}" + (f" (this command line is {__version__})" if version != __version__ else "")
        )
    return found


def _print_json(picture: Picture) -> None:
    view, here = picture.view, picture.here
    print_json(
        {
            "ok": view.ok,
            "state": view.state,
            "headline": view.headline,
            "counts": msgspec.to_builtins(view.counts),
            "target": msgspec.to_builtins(here.target),
            "problems": view.lines,
            "look": msgspec.to_builtins(picture.last),
            "run": msgspec.to_builtins(picture.run),
            "paused": bool(picture.operator.paused),
            "drained": bool(picture.operator.draining),
            "wishes": view.wishes,
            "shifts": (*picture.shifted, *picture.ended),
            "manifests": msgspec.to_builtins(picture.documents),
            "config": {
                "in_force": picture.last.config if picture.last else "",
                "local": here.place.config.sha256 if here.place.config else "",
                "foreign": here.foreign[1],
            },
            "canaries": {
                name: {**msgspec.to_builtins(last), "kind": "stale" if name in picture.mute else last.kind}
                for name, last in picture.verdicts.items()
            },
        }
    )
