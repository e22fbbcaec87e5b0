"""Play scenarios: `python -m world.scenario.play [NAME…]` starts a world, deploys, plays and tells; the end-to-end tests play them in theirs.

BACKEND=envoy plays them on own Envoys.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from world.application import Application
from world.scenario.checks import CHECKS
from world.scenario.document import Scenario, all_scenarios, load
from world.scenario.load import Traffic, Users, chosen, judge
from world.scenario.stage import MESH, Stage
from world.scenario.verbs import VERBS, mend

COLOURS = ("colorapp-blue", "colorapp-red")
COLUMNS = ("scenario", "requests", "failed", "chosen pod lived", "chosen pod dead", "longest after its death", "no pod chosen")
ENOUGH = 30  # requests under which a scenario proves nothing about its users
WAIT_S = 30.0  # how long the load goes on for them after the last act, what was broken still broken
KEPT = Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "traffic.json"


class Failed(AssertionError):
    """A check did not hold."""


def play(scenario: Scenario, stage: Stage, tell: Callable[[str], object] = print) -> Traffic | None:
    """Set up, let it happen under load, check; what users saw. Raises Failed for the first check that does not hold, and for a request that failed though its
    chosen pod lived."""
    tell(f"{scenario.title}\n   {scenario.why}")
    prepare(scenario, stage)
    users = Users(stage.app.world.document["ports"]["front"], scenario.load.rate) if scenario.load else None
    if users:
        users.start()
    try:
        for act in scenario.acts:
            tell(f" · {act.tell}")
            for step in act.when:
                ((verb, argument),) = step.items()
                VERBS[verb](stage, argument)
            for step in act.then:
                ((check, argument),) = step.items()
                complaint = CHECKS[check](stage, argument)
                if complaint:
                    raise Failed(f"{scenario.name}: {act.tell}: {check}: {complaint}")
        if users:
            users.until(ENOUGH, WAIT_S)
    finally:
        if users:
            users.stop()
        mend(stage, None)
    if users is None or scenario.load is None:
        return None
    traffic = judge(users.asked, chosen(stage.app.world.dir), stage.lives())
    verdict(scenario, traffic)
    tell(
        f"   {traffic.requests} requests, {traffic.failed} failed ({len(traffic.dead)} sent to a pod already dead, at most {traffic.lag:.1f} s after)"
    )
    return traffic


def verdict(scenario: Scenario, traffic: Traffic) -> None:
    """Raise Failed where users lost what they must not lose."""
    assert scenario.load is not None
    if traffic.requests < ENOUGH:
        raise Failed(f"{scenario.name}: only {traffic.requests} requests were sent: that proves nothing")
    if traffic.live:
        raise Failed(f"{scenario.name}: {len(traffic.live)} requests failed though their pod lived, e.g. {traffic.live[0]}")
    if traffic.unrouted and not scenario.load.unrouted:
        raise Failed(f"{scenario.name}: {len(traffic.unrouted)} requests found no pod to go to, e.g. {traffic.unrouted[0]}")
    if traffic.lag > scenario.load.lag:
        raise Failed(f"{scenario.name}: a request went to a pod dead for {traffic.lag:.1f} s, stated lag {scenario.load.lag} s")


def prepare(scenario: Scenario, stage: Stage) -> None:
    """Bring the world to what is given, at rest."""
    for name in COLOURS:
        sleep = {"lifecycle": {"preStop": {"sleep": {"seconds": scenario.given.pre_stop}}}} if scenario.given.pre_stop else {"lifecycle": None}
        found = stage.colours.get("Deployment", MESH, name)["spec"]
        container = {k: v for k, v in {**found["template"]["spec"]["containers"][0], **sleep}.items() if v is not None}
        if container != found["template"]["spec"]["containers"][0]:
            stage.colours.patch("Deployment", MESH, name, {"spec": {"template": {"spec": {"containers": [container]}}}})
        stage.colours.scale(MESH, name, scenario.given.replicas.get(name, 1))
    stage.settle(90)
    stage.before = stage.ours()
    stage.foreign, stage.looked = {}, None


def _row(name: str, traffic: Traffic) -> tuple[str, ...]:
    lag = f"{traffic.lag:.1f} s" if traffic.dead else "-"
    counts = (traffic.requests, traffic.failed, len(traffic.live), len(traffic.dead))
    return (name, *map(str, counts), lag, str(len(traffic.unrouted)))


def table(results: dict[str, Traffic]) -> Table:
    """What each scenario cost its users."""
    shown = Table(title="What each scenario cost its users")
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column == "scenario" else "right")
    for name, traffic in sorted(results.items()):
        shown.add_row(*_row(name, traffic))
    return shown


def main(names: list[str]) -> int:
    """Play the named ones, or all; 0 if everything held."""
    from world.demo import configured
    from world.deploy import ROOT, deploy, install_servers
    from world.supervisor import running_world

    files = all_scenarios()
    unknown = [name for name in names if name not in files]
    if unknown:
        sys.stderr.write(f"no scenario {', '.join(unknown)}; there are: {', '.join(files)}\n")
        return 2
    say = Console(highlight=False, width=150)
    results: dict[str, Traffic] = {}
    failures: list[str] = []
    backend = os.environ.get("BACKEND", "appmesh")
    with running_world("scenarios", ROOT / ".world", mesh=backend) as world:
        deploy(world.document, config=configured(world.dir / "declared", backend), Mode="apply", Schedule="DISABLED")
        if backend == "envoy":
            install_servers(world.document)
        stage = Stage(Application(world))
        for name in names or files:
            try:
                traffic = play(load(files[name]), stage, lambda text: say.print(text, markup=False))
            except (Failed, TimeoutError) as error:
                failures.append(name)
                say.print(f"   ✗ {error}", style="red", markup=False)
                mend(stage, None)
                continue
            say.print("   ✓ held", style="green")
            if traffic is not None:
                results[name] = traffic
    say.print(table(results))
    if backend == "appmesh":
        keep(results)
    return 1 if failures else 0


def keep(results: dict[str, Traffic], file: Path = KEPT) -> None:
    """Write down what `make proof` prints, if all scenarios under load were played and held."""
    if results.keys() != {name for name, scenario in all_scenarios().items() if load(scenario).load}:
        return
    rows = [dict(zip(COLUMNS, _row(name, traffic), strict=True)) for name, traffic in sorted(results.items())]
    file.write_bytes(msgspec.json.format(msgspec.json.encode({"rows": rows})) + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
