"""A long proof that is interrupted goes on where it was, and counts nothing twice."""

import pytest

from tests.sim import explore
from tests.sim.progress import Progress, Tally


def _tally(chunk: int, **more) -> Tally:
    return Tally(part="random", chunk=chunk, schedules=200, calls=1_000, virtual=60.0, seconds=1.0, **more)


def test_what_a_run_played_counts_in_the_next(tmp_path) -> None:
    file = tmp_path / "proof" / "progress.jsonl"
    first = Progress(file, 200)
    first.add(_tally(0, violations={"exact": 1}, failed=[("exact", explore.randomly(3))]))
    first.add(_tally(2))
    again = Progress(file, 200)
    assert again.done == {"random": {0, 2}}
    again.add(_tally(2))  # asked for twice
    again.add(_tally(1, violations={"exact": 2, "quiet": 1}))
    total = Progress(file, 200).totals["random"]
    assert (total.schedules, total.calls, total.violations) == (600, 3_000, {"exact": 3, "quiet": 1})
    assert total.failed == [("exact", explore.randomly(3))]


def test_a_line_cut_short_is_played_again(tmp_path) -> None:
    file = tmp_path / "progress.jsonl"
    first = Progress(file, 200)
    first.add(_tally(0))
    first.add(_tally(1))
    file.write_bytes(file.read_bytes()[:-30])
    again = Progress(file, 200)
    assert again.done == {"random": {0}}
    again.add(_tally(1))
    assert Progress(file, 200).done == {"random": {0, 1}}


@pytest.mark.parametrize("change", ["sources", "chunk"])
def test_what_other_sources_or_other_chunks_played_counts_for_nothing(tmp_path, monkeypatch, change: str) -> None:
    file = tmp_path / "progress.jsonl"
    Progress(file, 200).add(_tally(0))
    if change == "sources":
        monkeypatch.setattr("tests.sim.progress.sources", lambda: "others")
    assert Progress(file, 100 if change == "chunk" else 200).done == {}


def test_the_pairs_come_spread_out_and_each_once() -> None:
    whole = explore.pairs_count()
    keys = {tuple((fault.at, fault.do) for fault in explore.pair(number).faults) for number in range(whole)}
    assert len(keys) == whole
    firsts = {explore.pair(number).faults[0].at for number in range(400)}
    assert len(firsts) > 50, "any beginning is spread over the whole play"
