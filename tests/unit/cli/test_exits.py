"""Exit codes are one table, the same in the code, in `--help` and in the docs; Ctrl-C ends every verb with 130 and one line."""

import re
from pathlib import Path

import pytest
from crossmesh import codec
from crossmesh.cli import exits, status
from crossmesh.core.reporting.report import Report
from crossmesh.usecases import look

from tests.support.acting_verbs import ACTING
from tests.support.desk import Desk

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "command-line.md"


def test_help_and_docs_show_the_table(desk: Desk) -> None:
    _, out, _ = desk.run("--help")
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    for code, text in exits.TABLE:
        assert f"  {code:<5}{text}" in out
        assert rows[str(code)] == text


@pytest.mark.parametrize("words", [("status",), ("plan",), ("explain",), ("canary", "history"), *ACTING], ids=lambda words: words[0])
def test_an_interrupt_is_one_line_and_130(desk: Desk, words: tuple[str, ...]) -> None:
    """The reported case: 15 to 40 lines of traceback."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    desk.monkeypatch.setattr(desk.world.state, "read", interrupted)
    code, _, err = desk.run(*words)
    assert code == 130
    assert err.splitlines()[-1] == "crossmesh: interrupted; nothing was changed"
    assert "Traceback" not in err


def test_an_interrupt_at_the_question_changes_nothing(desk: Desk) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    desk.types()
    desk.monkeypatch.setattr("builtins.input", interrupted)
    code, _, err = desk.run("drain")
    assert (code, err.splitlines()[-1].endswith("interrupted; nothing was changed")) == (130, True)
    assert desk.world.state.documents == {}


def test_after_something_began_an_interrupt_says_what_goes_on(desk: Desk) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    desk.monkeypatch.setattr("crossmesh.cli.operate.hint", interrupted)
    code, _, err = desk.run("pause")
    assert (code, err.splitlines()[-1]) == (130, "crossmesh: interrupted; pause is recorded; the next look sees it (`crossmesh status`)")


def test_watching_shows_each_change_until_it_is_interrupted(desk: Desk) -> None:
    kinds = iter(("quiet", "quiet", "observe"))

    def passes(_: float) -> None:
        kind = next(kinds, None)
        if kind is None:
            raise KeyboardInterrupt
        found = Report(id="l", kind=kind, at=desk.now, config="c", endpoints=1, registered=1)
        desk.world.state.documents[look.LAST] = codec.encode(found)

    desk.monkeypatch.setattr(status.time, "sleep", passes)
    code, out, err = desk.run("status", "--watch")
    assert code == 130
    assert out.count("crossmesh · 111122223333/eu-west-1") == 3, "no look yet, the first one, and the one of another kind"
    assert "interrupted" in err
