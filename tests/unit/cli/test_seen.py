"""What the command line draws of canaries, without anything deployed."""

import pytest
from crossmesh.cli.canaries import show, sparkline
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Check, Verdict


@pytest.mark.parametrize(
    ("values", "drawn"), [([0, 1], "▁█"), ([5, 5], "██"), ([0, 0], "▁▁"), ([], ""), ([0, 50, 100], "▁▅█"), ([-1, 1], "▁█")]
)
def test_a_sparkline_goes_from_nothing_to_the_most(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn


def test_a_verdict_shows_its_checks_and_the_answers_that_broke_a_promise(capsys: pytest.CaptureFixture[str]) -> None:
    sample = Sample(status=200, body="no healthy upstream", address="10.0.0.1", trace_id="1-a-b", latency_ms=4.2)
    checks = (Check(name="answers", good=True, says="60 answered"), Check(name="bodies", good=False, says="9 of 60 told [no colour]"))
    show(Verdict(canary="front", kind="failed", at=0.0, says="x", checks=checks, evidence=(sample,), trace="1-c-d"))
    out = capsys.readouterr().out
    assert "front: failed" in out
    assert "✓ answers: 60 answered" in out
    assert "✗ bodies: 9 of 60 told [no colour]" in out, "brackets are text, not markup"
    assert "status 200 'no healthy upstream' from 10.0.0.1 in 4 ms, trace 1-a-b" in out
    assert "crossmesh trace 1-c-d" in out


def test_a_good_verdict_shows_no_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    show(Verdict(canary="front", kind="good", at=0.0, says="all well", evidence=(Sample(body="blue"),)))
    assert "blue" not in capsys.readouterr().out
