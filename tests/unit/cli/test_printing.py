"""Nothing foreign moves a person's cursor: every verb, fed with hostile texts in every field, prints plain characters and line breaks of its own."""

import ast
import io
import json
import re
import types
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from crossmesh import cli as package
from crossmesh import codec
from crossmesh.cli import canaries, doctor, plan, printing, validate
from crossmesh.core.canary.history import CanaryHistory, memory_key
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.documents import Finding
from crossmesh.core.mesh.backend import MeshSummary
from crossmesh.core.mesh.shift_weights import Progresses, Shifts
from crossmesh.core.registry.plan import ManualOverrides, Outcome, RegistryPlan
from crossmesh.core.reporting.report import Report
from crossmesh.errors import RefusedError
from crossmesh.ports import Lease
from crossmesh.usecases import lease, look, state, traffic_shifts
from crossmesh.usecases.doctor import DoctorReport
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.desk import Desk

SOURCES = sorted(Path(package.__file__).parent.glob("*.py"))
NASTY = (
    "\x1b[2J",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "[link=https://evil.example/login]see the runbook[/link]",
    "[/]",
    "[red]",
    ":smile:",
    "\x9b2J",
    "\x7f",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u2028",
    "\r",
    "\n- forged line",
    "\x00",
    "\t",
    "\U000e0041",
)
HOSTILE = st.lists(st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=("Cs",)), max_size=4), max_size=3).map("".join)


def foul(text: str) -> set[str]:
    """Characters on which a terminal may act; a line break is this program's own only if nothing forged follows it."""
    return {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")}


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type of ours with hostile texts wherever a text may stand."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is str:
        return HOSTILE
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(0, 100)
    if kind is float:
        return st.floats(0, 2e9)
    if kind is type(None):
        return st.none()
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return st.lists(values(inner[0]), max_size=1).map(tuple)
        return st.tuples(*(values(one) for one in inner))
    if origin is dict:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=2)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values(one) for one in inner))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        fields = {name: st.deferred(lambda one=hints[name]: values(one)) for name in kind.__struct_fields__}
        return st.builds(kind, **{name: st.just({}) if name == "expected" else found for name, found in fields.items()})  # fractions of our own
    return HOSTILE  # Any


def clean(shown: str) -> None:
    assert not foul(shown), sorted(foul(shown))
    assert "\n- forged line" not in shown.replace("\\n- forged line", "")
    assert "evil.example\x1b" not in shown


PROPERTY = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def seen_of(registry: RegistryPlan, mesh: MeshSummary, notes: tuple[str, ...], operator: ManualOverrides, desk: Desk) -> look.Observation:
    from crossmesh.core.observed import RegistryView, Unseen
    from crossmesh.core.registry.plan import PlannerState as Remembered

    view = Unseen(cluster=notes[0] if notes else "", cause="refused", detail=notes[-1] if notes else "")
    return look.Observation(
        context=desk.context(),
        views=(view,),
        registry=RegistryView(begun=0.0),
        memory=Remembered(),
        operator=operator,
        plan=registry,
        mesh=mesh,
        shifts=notes,
    )


SHOWN: dict[str, tuple[tuple[Any, ...], Callable[..., object]]] = {
    "canary": ((Verdict,), lambda _, verdict: canaries.show(verdict)),
    "canary history": ((CanaryHistory,), lambda _, memory: canaries._show_history("front", memory)),
    "doctor": ((DoctorReport,), lambda _, examined: doctor._show(examined)),
    "validate": ((tuple[Finding, ...],), lambda _, found: validate.show(found, as_json=False)),
    "plan": (
        (RegistryPlan, MeshSummary, tuple[str, ...], ManualOverrides),
        lambda desk, *given: plan.show(seen_of(*given, desk)),
    ),
    "json": ((Report,), lambda _, report: printing.print_json(msgspec.to_builtins(report))),
    "errors": ((str, str), lambda _, code, text: printing.error(str(RefusedError(code, text)))),
    "crash": ((str,), lambda _, text: printing.crash(ValueError(text))),
}


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_what_is_shown_is_plain_whatever_it_says(desk: Desk, name: str) -> None:
    kinds, show = SHOWN[name]

    @PROPERTY
    @given(st.tuples(*(values(kind) for kind in kinds)))
    def check(given: tuple[Any, ...]) -> None:
        desk._capsys.readouterr()
        show(desk, *given)
        shown = desk._capsys.readouterr()
        clean(shown.out + shown.err)

    check()


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """All that the application keeps and others can put a word into."""

    look: Report
    run: Report
    operator: ManualOverrides
    memory: CanaryHistory
    shifts: Shifts
    progress: Progresses
    holder: str
    plan: RegistryPlan
    outcomes: tuple[Outcome, ...]
    message: str


VERBS = (
    ("status",),
    ("status", "--json"),
    ("explain", "r"),
    ("canary", "history", "front"),
    ("canary", "history", "front", "--json"),
    ("unlock",),
    ("redrive", "--list"),
    ("redrive", "--yes"),
    ("redrive", "--list", "--json"),
    ("pause",),
    ("drain",),
    ("plan",),
    ("doctor", "--skip", "path", "--skip", "rollouts", "--skip", "account"),
    ("shift", "s", "--to", "blue=90,red=10"),
)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_no_raw_control_gets_out_of_any_verb(desk: Desk, words: tuple[str, ...]) -> None:
    desk.pods("a", blue=1)

    @settings(PROPERTY, max_examples=8)
    @given(values(Stored))
    def check(kept: Stored) -> None:
        documents, objects = desk.world.state.documents, desk.world.runs.objects
        documents |= {
            look.LAST: codec.encode(kept.look),
            state.LAST_RUN: codec.encode(kept.run),
            memory_key("front"): codec.encode(kept.memory),
        }
        documents |= {state.OPERATOR: codec.encode(kept.operator)}
        documents |= {traffic_shifts.SHIFTS: codec.encode(kept.shifts[:1] if words[0] == "status" and not kept.progress else ())}
        objects |= {state.key("r", "report"): codec.encode(kept.run), state.key("r", "plan"): codec.encode(kept.plan)}
        objects |= {"runs/r/outcomes/1.json": codec.encode(kept.outcomes)}
        desk.world.state.leases = {lease.NAME: Lease(epoch=1, holder=kept.holder or "h", expires=desk.now + 60)}
        desk.amazon.messages = {"triggers": [message(kept.message, kept.holder)], "invocations": [invocation(kept.message, kept.holder)]}
        desk.types("n")
        _, out, err = desk.run(*words)
        clean(out + err)
        assert "this is a bug" not in err, err

    check()


def message(body: str, said: str) -> dict[str, Any]:
    attributes = {"ERROR_MESSAGE": said, "TARGET_ARN": said}
    return {
        "Body": body,
        "ReceiptHandle": "r",
        "MessageAttributes": {k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()},
    }


def invocation(said: str, arn: str) -> dict[str, Any]:
    record = {"requestContext": {"functionArn": arn, "condition": said}, "requestPayload": said, "responsePayload": {"errorMessage": said}}
    return {"Body": json.dumps(record), "ReceiptHandle": "r"}


def test_a_trace_is_plain_too(desk: Desk) -> None:
    hostile = "".join(NASTY)
    identity = "1-67a1b2c3-0123456789abcdef01234567"
    segment = {
        "id": "a",
        "trace_id": identity,
        "name": hostile,
        "start_time": 1.0,
        "end_time": 2.0,
        "http": {"request": {"url": hostile}, "response": {"status": 200}},
    }
    desk.monkeypatch.setattr(
        desk.amazon,
        "answer",
        lambda *_: {"Traces": [{"Segments": [{"Document": json.dumps(segment)}], "Duration": 1.0}], "Services": [], "TraceSummaries": []},
    )
    _, out, err = desk.run("trace", identity)
    clean(out + err)
    assert "evil.example" in out, "it is shown, as text"
    _, _, err = desk.run("trace", hostile)
    clean(err)


def test_wrong_usage_is_plain_too(desk: Desk) -> None:
    for words in (("\x1b[2Jstatus",), ("status", "\x1b]52;c;x\x07"), ("--help",), ("canary", "\u202erun")):
        _, out, err = desk.run(*words)
        clean(out + err)
        assert out + err


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r\t", r"a\x0ab\x0d\x09"),
        ("\x9b\x7f", r"\x9b\x7f"),
        ("\u202etxt", r"\u202etxt"),
        ("\U000e0041", r"\U000e0041"),
        ("Zürich 世界 ✓ → …", "Zürich 世界 ✓ → …"),
        ("[/] :smile: [link=x]y[/link]", "[/] :smile: [link=x]y[/link]"),
    ],
)
def test_what_a_terminal_acts_on_is_shown_as_its_code(raw: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    printing.console().print(raw)
    assert capsys.readouterr().out == f"{shown}\n"
    grid = printing.table("x")
    grid.add_row(raw)
    printing.console().print(grid)
    assert shown in capsys.readouterr().out
    printing.print_json({raw: raw})
    out = capsys.readouterr().out
    assert not foul(out)
    assert json.loads(out) == {raw: raw}


LONG = "readinessGates: [{conditionType: conditions.appmesh.k8s.aws/aws-cloudmap-healthy}] and `readiness_gate: true` in crossmesh.yaml"


class Terminal(io.StringIO):
    """A terminal of any width, or a pipe."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def lines(self) -> list[str]:
        """What is read, colours left out."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue()).splitlines()


@pytest.mark.parametrize("columns", [0, 20, 40, 80, 100, 200])
def test_no_text_is_cut_whatever_the_width(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reported case: `doctor` at 80 columns and in a pipe ended the fix with the first line of its cell."""
    monkeypatch.setenv("COLUMNS", str(columns or 80))
    monkeypatch.setenv("TERM", "xterm")
    to = Terminal(terminal=columns > 0)
    out = printing.console(to)
    grid = printing.table("about", "finding", "fix")
    grid.add_row("rollouts", f"{LONG} finding", f"{LONG} fix", style="red")
    grid.add_row("setup", "short", "")
    out.print(grid)
    shown = printing.tree(f"{LONG} root")
    shown.add(printing.text(f"{LONG} branch")).add(printing.text(f"{LONG} leaf 12 ms"))
    out.print(shown)
    out.print(f"{LONG} line")
    lines = to.lines
    for wanted in (f"{LONG} finding", f"{LONG} fix", f"{LONG} root", f"{LONG} branch", f"{LONG} leaf 12 ms", f"{LONG} line"):
        assert any(wanted in line for line in lines), (wanted, lines)
    assert f"fix: {LONG} fix" in lines, "what does not fit in columns stands behind its header, a line each"
    assert "fix: " not in lines, "an empty cell is left out"


def test_what_fits_stands_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    to = Terminal(terminal=True)
    monkeypatch.setenv("TERM", "xterm")
    grid = printing.table("cluster", "pods", "seen")
    grid.add_row("eksc1", "3", "yes")
    grid.add_row("世界", "12", "no")
    printing.console(to).print(grid)
    assert to.lines == ["cluster  pods  seen", "eksc1    3     yes", "世界     12    no"]
    wide = printing.table("cluster", "pods", "seen")
    wide.add_row("eksc1", "3", "no: refused")
    printing.console(to).print(wide)
    assert to.lines[3:] == ["cluster: eksc1", "pods: 3", "seen: no: refused", ""]


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "printing.py"], ids=lambda path: path.stem)
def test_no_other_module_prints(path: Path) -> None:
    """The one place through which all printing passes stays the only one."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        assert name not in ("print", "input"), f"{path.name}:{node.lineno} prints by itself"  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("stdout", "stderr", "__stdout__", "__stderr__"), f"{path.name}:{node.lineno} writes by itself"
        if isinstance(node, ast.ImportFrom | ast.Import):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not any(re.match(r"rich(\.|$)", module) for module in modules), f"{path.name}:{node.lineno} draws by itself"
