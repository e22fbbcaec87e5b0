"""Every document of the table stays below half of what an item may have, whatever others write (docs/reference/stored-data.md names the documents)."""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from crossmesh import codec
from crossmesh.cli import operate
from crossmesh.core import bounds
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.judge import judge
from crossmesh.core.canary.sample import Sample
from crossmesh.core.compiler.cluster_manifests import ActiveManifests, SourceStatus
from crossmesh.core.diagnosis.ingress_rules import RequiredIngress
from crossmesh.core.diagnosis.outliers import CoolingDown, Remembered, update_outliers
from crossmesh.core.mesh import shift_weights, traffic_shift
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.observed import Instance, RegistryView, Seen, ServiceView, Unseen
from crossmesh.core.registry import next_state
from crossmesh.core.registry.plan import ConflictingDeployment, ManualOverrides, PlannerState, RegistryPlan, ResolvedConflict, Withheld
from crossmesh.core.registry.rate_limit import AdaptiveRate
from crossmesh.core.reporting.report import Report, cluster_lines, forms, summary
from crossmesh.core.settings import CanarySettings, Expect
from crossmesh.core.topology import Topology
from crossmesh.driver import drive
from crossmesh.steps import apply_registry
from crossmesh.usecases import open_ports
from crossmesh.usecases.mesh.appmesh import observing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.passes import MemoryWorld

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
# Texts far longer than anybody expects, of characters that take one to six bytes in JSON, and that do not compress.
LONG = st.builds(
    lambda seed, kind, length: "".join(chr(kind + (number * 7_919 + seed * 104_729) % 800) for number in range(length)),
    st.integers(0, 10**6),
    st.sampled_from((0x20, 0x00, 0x4E00, 0x1F300)),
    st.sampled_from((0, 1, 60, 999, 30_000)),
)
MANY = st.sampled_from((0, 1, 49, 51, 3_000))


def size(document: object) -> int:
    return len(bounds.packed(codec.encode(document)))


def noise(number: int, length: int = 64) -> str:
    """An id that does not compress."""
    return "".join(codec.digest(f"{number}/{part}".encode()) for part in range(-(-length // 64)))[:length]


@QUICK
@given(text=LONG, notes=MANY, withheld=MANY, clusters=st.sampled_from((1, 300)))
def test_a_report(text: str, notes: int, withheld: int, clusters: int) -> None:
    """`look` and `run`: the first form that fits is found, and the last one always fits."""
    held = Withheld(what="register", service=text, id=text, cluster=text, pod=text, why="unseen", detail=text)
    plan = RegistryPlan(notes=tuple(f"{n} {text}" for n in range(notes)), withheld=tuple(held for _ in range(withheld)))
    views = tuple(Unseen(cluster=f"{n:03}{noise(n, 97)}", cause="identity", detail=f"{noise(n, 500)}{text}") for n in range(clusters))
    told: dict[str, Any] = summary(plan, MeshSummary(unavailable=text))
    report = Report(id="i" * 80, kind="apply", at=1.0, config="c" * 64, clusters=cluster_lines(views), **told)
    sizes = [size(form) for form in forms(report)]
    assert sizes[-1] <= bounds.STORED / 2
    assert min(sizes) <= bounds.STORED
    if clusters == 1:
        assert sizes[0] <= bounds.STORED / 2, "with few clusters nothing needs a second form"
    assert report.withheld_counts == ({"unseen": withheld} if withheld else {}), "counts are of all"
    assert notes <= 50 or report.notes[-1] == f"and {notes - 50:,} more"


@settings(max_examples=6, deadline=None)
@given(entries=st.sampled_from((0, 100, 4_000)), services=st.sampled_from((1, 900)), length=st.sampled_from((36, 64)))
def test_what_the_planner_remembers(entries: int, services: int, length: int) -> None:
    """`memory`."""
    ids = [noise(number, length) for number in range(entries)]
    keys = [f"{noise(number, 127)}.{noise(-number, 253)}" for number in range(services)]
    memory = PlannerState(
        registered=dict.fromkeys(ids, 1.5),
        lost=dict.fromkeys(ids, (1.5, 2.5)),
        asked=dict.fromkeys(ids, ("UNHEALTHY", 1.5)),
        terminating=dict.fromkeys(ids, 1.5),
        pending_deletions={f"{keys[0]}/{i}": float(n) for n, i in enumerate(ids)},
        services={key: (noise(n, 64), f"arn:aws:servicediscovery:us-east-1:111122223333:service/{noise(n, 64)}") for n, key in enumerate(keys)},
        competing_writers={key: (1.5, noise(n)) for n, key in enumerate(keys)},
        conflicting_deployments={key: ConflictingDeployment(deployment=noise(n, 200), since=1.5) for n, key in enumerate(keys)},
        resolved_conflicts={key: ResolvedConflict(deployment=noise(n, 200), asked=1.5, at=1.5) for n, key in enumerate(keys)},
        identities={f"cluster-{n}": noise(n, 36) for n in range(300)},
        versions={f"cluster-{n}": {noise(k, 63): 10**12 for k in range(3)} for n in range(300)},
    )
    kept = next_state.fitting(memory)
    assert size(kept) <= bounds.STORED
    assert len(kept.identities) >= 250 or services == 900


@QUICK
@given(count=st.sampled_from((0, 3, 700)), uid=LONG)
def test_the_outliers(count: int, uid: str) -> None:
    """`outliers` and `outliers/cooling-down`."""
    own = {"crossmesh/owner": "prod", "crossmesh/cluster": "a"}
    instances = tuple(Instance(id=noise(n), attributes={**own, "crossmesh/pod-uid": uid if n % 2 else noise(n, 36)}) for n in range(count))
    registry = RegistryView(begun=0.0, services=(ServiceView(namespace="n", service="s", instances=instances),))
    probes = {i.id: (Sample(error="refused"),) * 3 for i in instances}
    before = Remembered({}, update_outliers(Remembered({}, _cooling_down(3_000)), registry, (), {}, owner="prod", now=1.0).cooling_down)
    marks, cooling_down = update_outliers(before, registry, (_seen(),), probes, owner="prod", now=1.0)
    assert size(marks) <= bounds.STORED
    assert size(cooling_down) <= bounds.STORED
    assert len(marks) == (count + 1) // 2 if len(uid) > 64 and count < 900 else len(marks) <= 500


def _seen() -> Seen:
    return Seen(cluster="a", identity="u", begun=0.0)


def _cooling_down(count: int) -> Any:
    return CoolingDown(ended={noise(-n): 0.5 for n in range(count)})


def test_ports() -> None:
    """`ports` and `ports/cooling-down`."""
    world = MemoryWorld()
    for turn in range(6):
        closed = [RequiredIngress(source=noise(n, 100), target=noise(-n, 100), port=1_024 + n + turn * 1_000, open=False) for n in range(900)]
        drive(open_ports.ask(closed), world.ports)
        assert max(len(bounds.packed(document)) for document in world.state.documents.values()) <= bounds.STORED


def test_what_people_asked_for() -> None:
    """`operator`."""
    tables: Any = {name: {f"{noise(n, 127)}.{noise(-n, 253)}": float(n) for n in range(4_000)} for name in ("forget", "accept", "resumed")}
    kept = operate.fitting(ManualOverrides(**tables))
    assert size(kept) <= bounds.STORED
    assert max(kept.resumed.values()) == 3_999.0


def test_shifts_that_people_set() -> None:
    """`shifts`: those in force stay, and 20 that ended."""
    long = noise(1, 250)
    shifts = tuple(
        shift_weights.Shift(
            id=f"s{n}", service=f"{n}/{long}", mesh=long, router=long, route=long, document=noise(n), start={long: 1}, goal={long: 1}
        )
        for n in range(400)
    )
    progress = {one.id: shift_weights.Progress(step=1, at=float(n), ended="by hand") for n, one in enumerate(shifts)}
    kept, states = traffic_shift.kept(shifts, progress)
    assert size(kept) <= bounds.STORED
    assert size(states) <= bounds.STORED
    assert len(kept) <= 21


@QUICK
@given(text=LONG, aside=MANY, clusters=st.sampled_from((1, 100)))
def test_what_is_known_of_live_documents(text: str, aside: int, clusters: int) -> None:
    """`manifests`: the documents themselves lie in the run store."""
    said = bounds.text(text, 300)
    lines = tuple(SourceStatus(cluster=noise(n, 97), seen=1.5, documents=10**6, cause="list-incomplete", detail=said) for n in range(clusters))
    assert size(ActiveManifests(digest=noise(1), lines=lines, refused=bounds.lines([text] * aside), kept=1.5)) <= bounds.STORED


def test_meshes_and_paces() -> None:
    """`meshes` and `paces`: through the steps that write them."""
    assert size(tuple(noise(n, 255) for n in range(observing._MESHES_AT_MOST))) <= bounds.STORED
    assert size(apply_registry._Paces()) <= 1_000
    assert set(get_type_hints(apply_registry._Paces).values()) == {AdaptiveRate}, "a number for each operation, and no list"


@QUICK
@given(text=LONG)
def test_shifts(text: str) -> None:
    """`shifting`: why a shift ended may be what a front said."""
    one = shift_weights.Shift(id="s", service="n/s", mesh="m", router="r", route="x", document="d", start={"a": 1}, goal={"a": 1})
    canary = CanarySettings(name="front", url="http://x")
    samples = [Sample(status=503, body=text, detail=text)]
    verdict, memory = judge(canary, samples, {}, CanaryHistory(last_good=1.0), {}, at=2.0)
    progress = traffic_shift.advance((one,), {"s": shift_weights.Progress(step=1, at=1.0)}, Topology(), [(canary, memory)], at=3.0)
    assert all(len(state.ended) <= 300 for state in progress.values())
    assert size(verdict.says) <= bounds.STORED


@pytest.mark.parametrize("name", [10, 1_000, 32_000])
def test_a_canarys_history(name: int) -> None:
    """`canary/NAME`: a front answers what it likes, in names of headers too."""
    text, count = noise(1, 60_000), 60
    canary = CanarySettings(name="front", url="http://x", expect=Expect(headers=(("x", "y"),)))
    headers = {noise(number, name): noise(-number, 60) for number in range(20)}
    samples = [
        Sample(status=500 + n % 20, body=f"{n}{text}", detail=text, address=text[:60], trace_id="1-" + "a" * 33, headers=headers)
        for n in range(count)
    ]
    memory = CanaryHistory()
    for at in range(2):
        _, memory = judge(canary, samples, {}, memory, {}, at=float(at))
    assert size(memory) <= bounds.STORED


ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "core" / "python" / "crossmesh"
PAGE = (ROOT / "docs" / "reference" / "stored-data.md").read_text()
DOCUMENTS = {  # each document of the table -> the test here that fills it
    "look": test_a_report,
    "run": test_a_report,
    "memory": test_what_the_planner_remembers,
    "operator": test_what_people_asked_for,
    "outliers": test_the_outliers,
    "outliers/cooling-down": test_the_outliers,
    "shifts": test_shifts_that_people_set,
    "shifting": test_shifts,
    "canary/NAME": test_a_canarys_history,
    "manifests": test_what_is_known_of_live_documents,
    "ports": test_ports,
    "ports/cooling-down": test_ports,
    "meshes": test_meshes_and_paces,
    "paces": test_meshes_and_paces,
}
ARGUMENTS = {"key": "canary/NAME", "memory_key(canary.name)": "canary/NAME"}  # names that are made, as the source writes them


def stated(heading: str) -> set[str]:
    """First cells of the table under a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def written() -> set[str]:
    """Every document that the package writes into the table, by its source: `State.write`, a state port's `write` or `replace`, and `store.tell`."""
    found = set()
    for file in (path for layer in ("steps", "usecases", "cli") for path in sorted((PACKAGE / layer).rglob("*.py"))):
        module = "crossmesh." + ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called, arguments = ast.unparse(node.func), [ast.unparse(argument) for argument in node.args]
            if called in ("call", "to") and arguments[:1] == ["State.write"]:
                argument = arguments[1]
            elif called in ("state.tell", "store.tell", "state.write", "state.replace", "table.write", "table.replace", "tell"):
                argument = arguments[0]
            else:
                continue
            if (module, argument) != ("crossmesh.usecases.state", "where"):  # `tell` itself: its callers say which
                found.add(ARGUMENTS.get(argument) or str(eval(argument, vars(import_module(module)))))
    return found


def test_each_document_of_the_table_has_a_bound_a_test_and_a_line_in_the_docs() -> None:
    assert written() == set(DOCUMENTS) == stated("State table")


def test_each_object_of_the_run_store_has_a_line_in_the_docs() -> None:
    """Roles may write no other objects (tests/contract/iam/test_denied.py), so the template tells them all."""
    sub = re.findall(r"\$\{Bucket\.Arn\}/([^\"]+)", (ROOT / "template.yaml").read_text())
    assert {one for one in sub if one != "*"} == {name for line in stated("Run store") for name in line.split(", ")}
