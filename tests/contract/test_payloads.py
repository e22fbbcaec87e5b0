"""Step Functions carries 256 KiB; 16 KB are allowed at 5,000 pods. What each step answers is measured, not believed."""

from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from crossmesh.core import bounds
from crossmesh.core.observed import Pod
from crossmesh.driver import drive
from crossmesh.steps import (
    apply_registry,
    diagnose_canary,
    judge_canary,
    look,
    open_ports,
    take_lease,
    verify_registry,
)
from crossmesh.usecases import plan_handoff
from crossmesh.usecases.canary import Judgement
from crossmesh.usecases.context import Run

from tests.support.builders import context, node
from tests.support.passes import MemoryWorld


def test_state_stays_small_at_5000_pods() -> None:
    nodes = [node(f"n{i}", service=f"s{i}", color=f"c{i}") for i in range(6)]
    where = context(*nodes, clusters=tuple(f"c{i}" for i in range(10)))
    world = MemoryWorld()
    for index in range(5_000):
        pod = Pod(
            namespace="demo",
            name=f"p{index}",
            uid=f"{index:036}",
            ip="10.0.0.1",
            labels={"version": f"n{index % 6}"},
            phase="Running",
            containers_ready=True,
        )
        world.clusters.pods.setdefault(f"c{index % 10}", {})[pod.uid] = pod
    world.executions.alive.add("arn:run")
    state: dict[str, object] = {}
    lease = drive(take_lease.run(take_lease.Request(id="run", execution="arn:run"), where), world.ports)
    state["lease"] = lease
    state["looked"] = looked = drive(look.run(look.Request(run=lease.run), where), world.ports)
    plan = looked.planned
    assert plan is not None
    assert plan.actions == 5_006
    state["apply"] = drive(apply_registry.run(apply_registry.Request(run=lease.run, plan=plan.plan, stage=1), where), world.ports)
    state["verified"] = drive(verify_registry.run(verify_registry.Request(run=lease.run, plan=plan.plan, stage=1), where), world.ports)
    assert len(msgspec.json.encode(state)) < 16_384


CANARIES, CLUSTERS = 100, 100  # what settings_rules takes of the first, and docs/how-to/prepare-an-account.md's 50 twice over of the second
LONG = "\u0001" * 30_000  # each character takes six bytes of JSON
CAUSE = {"Error": "x" * 256, "Cause": "x" * 32_768}  # Step Functions' own limits of what it catches
NAME = "n" * 63
RUN = Run(id="i" * 80, execution="arn:aws:states:" + "x" * 250, config="0" * 64, look=f"runs/{'i' * 80}/look.json", live="0" * 64, cause="hint")


def size(value: object) -> int:
    return len(msgspec.json.encode(value))


def test_the_state_of_canaries_stays_below_half_of_its_limit_whatever_fronts_and_pods_say() -> None:
    """100 canaries that all fail, with 20 findings each; before, 400 KB: the execution ended where it had most to tell."""
    say, problem = bounds.text(LONG, judge_canary.SAID), judge_canary.problem_of(LONG, CANARIES)
    samples = f"runs/{'i' * 80}/samples/{NAME}.json"
    verdict = judge_canary.Judged(canary=NAME, kind="failed", says=say, failures=10**6, samples=samples, problem=problem)
    judged = Judgement(id="i" * 80, failed=True, verdicts=(verdict,), flake=say, outliers=True)
    named = diagnose_canary.Named(canary=NAME, broken=diagnose_canary.told([LONG] * 20))
    diagnosed = diagnose_canary.Response(id="i" * 80, failed=True, named=(named,) * CANARIES, marked=diagnose_canary.marks([LONG] * 500))
    state = {"canaries": [NAME] * CANARIES, "judged": [judged] * CANARIES, "diagnosed": diagnosed}
    assert size(state) <= bounds.PAYLOAD


def test_the_state_of_a_run_stays_below_half_of_its_limit_whatever_clusters_and_aws_say() -> None:
    """Every port refused with a long message, every cluster unseen, and the run fails at last."""
    told = open_ports.lines([LONG] * 900)
    planned = plan_handoff.PlanRef(
        plan=f"runs/{'i' * 80}/plan.json", first_stage=1, actions=10**6, withheld=10**6, gates=10**6, digest="0" * 64
    )
    looked = look.Response(decision="apply", id=RUN.id, look=RUN.look, actions=10**6, unseen=(NAME,) * CLUSTERS, run=RUN, planned=planned)
    state = {
        "run": RUN,
        "lease": take_lease.Response(held=False, run=RUN),
        "looked": looked,
        "plan": planned,
        "ports": open_ports.Response(opened=told, closed=told, refused=told),
        "failure": CAUSE,
    }
    assert size(state) <= bounds.PAYLOAD


# Every list and text that a step hands on, and what bounds it. A new one needs a line here, and its place in a test above.
BOUNDED = {
    "settings": {"look.unseen", "list_canaries.canaries", "judge_canary.verdicts", "probe_front.probed"},
    "lines": {"open_ports.opened", "open_ports.closed", "open_ports.refused", "diagnose_canary.named", "diagnose_canary.marked"},
}
STEPS = sorted(folder.name for folder in (Path(__file__).parents[2] / "functions").iterdir() if (folder / "app.py").exists())


@pytest.mark.parametrize("step", STEPS)
def test_every_list_that_a_step_hands_on_has_its_bound(step: str) -> None:
    answer = get_args(get_type_hints(import_module(f"crossmesh.steps.{step}").run)["return"])[-1]

    def listed(kind: Any) -> bool:
        return kind in (list, dict, Any, object) or getattr(kind, "__origin__", None) in (tuple, list, dict) or any(map(listed, get_args(kind)))

    found = {f"{step}.{name}" for name, kind in get_type_hints(answer).items() if listed(kind)}
    assert found <= set().union(*BOUNDED.values()), "say what bounds it (BOUNDED), and try it with the longest"
    assert {name for names in BOUNDED.values() for name in names if name.startswith(f"{step}.")} <= found, "it is gone"
