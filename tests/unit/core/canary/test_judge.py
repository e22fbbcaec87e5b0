"""The judge: status alone is blind, the body and the mix tell; each check speaks for itself and blames nothing that another explains."""

from fractions import Fraction

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.canary.history import MEMORY_LIMIT, ROUNDS, CanaryHistory, bounded
from crossmesh.core.canary.judge import judge, percentile
from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.canary.sample import KEPT, Sample
from crossmesh.core.canary.split_test import ALPHA_ALONE, ALPHA_POOLED, CanaryRun
from crossmesh.core.canary.verdict import Check, Verdict
from crossmesh.core.settings import CanarySettings, Expect, Mix

NODES = {"blue": "blue_demo", "red": "red_demo"}
HALF = {"blue_demo": Fraction(1, 2), "red_demo": Fraction(1, 2)}
MIX = Mix(of="color", bodies=(("blue", "demo/blue"), ("red", "demo/red")))
CANARY = CanarySettings(name="front", url="http://front", expect=Expect(mix=MIX))
PLAIN = CanarySettings(name="plain", url="http://front")
BROKEN = Sample(status=200, body="no healthy upstream", trace_id="1-x")


def answers(blue: int, red: int, *others: Sample) -> list[Sample]:
    return [*(Sample(status=200, body="blue"),) * blue, *(Sample(status=200, body="red\n"),) * red, *others]


def verdict_of(
    samples: list[Sample], memory: CanaryHistory | None = None, canary: CanarySettings = CANARY, expected: dict[str, Fraction] | None = None
) -> Verdict:
    nodes = NODES if canary.expect.mix else {}
    return judge(canary, samples, HALF if expected is None else expected, memory or CanaryHistory(), nodes, at=1.0)[0]


def check(verdict: Verdict, name: str) -> Check:
    (found,) = (check for check in verdict.checks if check.name == name)
    return found


def blamed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.good]


def test_half_and_half_of_200_is_good_and_the_verdict_carries_its_numbers() -> None:
    verdict = verdict_of(answers(104, 96))
    assert (verdict.kind, verdict.requests, verdict.lost, verdict.pooled) == ("good", 200, 0, 1)
    assert verdict.counts == {"blue_demo": 104, "red_demo": 96}
    assert verdict.expected == {"blue_demo": "1/2", "red_demo": "1/2"}
    assert verdict.p_value == pytest.approx(0.6206, abs=1e-3)
    assert verdict.alpha == ALPHA_ALONE
    assert "blue_demo 104, red_demo 96) fits the routes (blue_demo 50 %, red_demo 50 %), p = 0.62" in verdict.says
    assert "\n" not in verdict.says
    assert verdict.evidence == ()


@pytest.mark.parametrize(("blue", "kind"), [(100, "good"), (115, "good"), (130, "good"), (140, "failed"), (150, "failed"), (200, "failed")])
def test_200_requests_at_one_to_one(blue: int, kind: str) -> None:
    """130 of 200 has p = 2.7e-5: once in 26 days of runs a minute, so it is no alarm; 140 has 1.6e-8."""
    assert verdict_of(answers(blue, 200 - blue)).kind == kind


def test_a_200_with_an_error_body_is_a_failure_that_names_the_body_and_blames_no_mix() -> None:
    verdict, memory = judge(CANARY, answers(30, 29, BROKEN), HALF, CanaryHistory(), NODES, at=1.0)
    assert verdict.kind == "failed"
    assert blamed(verdict) == ["bodies"]
    assert verdict.says == "1 of 60 answers carry no declared body: 1 × 'no healthy upstream'"
    assert verdict.evidence == (BROKEN,)
    assert (memory.failures, memory.last_good, memory.rounds[0].lost) == (1, 0.0, 1)


def test_a_dead_colour_is_lost_answers_and_no_wrong_mix() -> None:
    assert blamed(verdict_of(answers(31, 0, *(BROKEN,) * 29))) == ["bodies"]
    assert blamed(verdict_of(answers(31, 0, *(Sample(error="timeout"),) * 29))) == ["answers"]
    assert blamed(verdict_of(answers(31, 0, *(Sample(status=503, body="x"),) * 29))) == ["answers"]


def test_lost_answers_excuse_no_mix_that_they_cannot_explain() -> None:
    assert blamed(verdict_of(answers(58, 0, BROKEN, BROKEN))) == ["bodies", "mix"]


def test_no_data_is_a_failure() -> None:
    verdict, memory = judge(CANARY, [], HALF, CanaryHistory(last_good=7.0), NODES, at=9.0)
    assert (verdict.kind, memory.failures, memory.last_good) == ("no-data", 1, 7.0)
    assert not memory.rounds[-1].good


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (Sample(error="refused"), "1 of 61 requests failed: 1 × refused"),
        (Sample(error="timeout", body="blue", status=0), "1 × timeout"),
        (Sample(status=503, body="upstream connect error"), "1 × status 503 ('upstream connect error')"),
        (Sample(status=302, detail="redirect to 'x' not followed: why"), "1 × status 302 (redirect to 'x' not followed: why)"),
    ],
)
def test_one_failed_request_is_a_failure_and_is_kept(bad: Sample, says: str) -> None:
    verdict = verdict_of(answers(30, 30, bad))
    assert (verdict.kind, blamed(verdict)) == ("failed", ["answers"])
    assert says in verdict.says
    assert verdict.evidence == (bad,)


def test_an_answer_that_broke_off_counts_for_no_node_whatever_came_of_it() -> None:
    verdict = verdict_of(answers(30, 30, Sample(error="reset", body="blue")))
    assert (verdict.counts, verdict.lost) == ({"blue_demo": 30, "red_demo": 30}, 1)


def test_all_of_one_colour_is_a_failure_in_the_first_run() -> None:
    verdict = verdict_of(answers(60, 0))
    assert blamed(verdict) == ["mix"]
    assert verdict.p_value < ALPHA_ALONE
    assert "does not fit" in verdict.says


def test_a_node_without_share_must_not_answer_once_and_its_answer_is_kept() -> None:
    verdict = verdict_of(answers(59, 1), expected={"blue_demo": Fraction(1), "red_demo": Fraction(0)})
    assert blamed(verdict) == ["mix"]
    assert "1 from red_demo" in verdict.says
    assert [sample.body for sample in verdict.evidence] == ["red\n"]
    assert verdict_of(answers(60, 0), expected={"blue_demo": Fraction(1), "red_demo": Fraction(0)}).kind == "good"


def test_a_declared_body_of_a_node_that_no_route_names_must_not_come_either() -> None:
    assert blamed(verdict_of(answers(59, 1), expected={"blue_demo": Fraction(1)})) == ["mix"]


def test_without_a_route_no_mix_can_be_right() -> None:
    verdict = verdict_of(answers(30, 30), expected={})
    assert blamed(verdict) == ["mix"]
    assert "no route" in verdict.says


def test_where_nothing_answers_neither_mix_nor_latency_is_blamed() -> None:
    canary = msgspec.structs.replace(CANARY, expect=Expect(mix=MIX, latency_p95_ms=100))
    verdict = verdict_of([Sample(error="dns", latency_ms=4000)] * 60, canary=canary)
    assert blamed(verdict) == ["answers"]
    assert verdict.says == "60 of 60 requests failed: 60 × dns"


def test_latency_is_judged_at_the_95th_percentile_of_what_was_answered() -> None:
    canary = msgspec.structs.replace(PLAIN, expect=Expect(latency_p95_ms=100))
    quick, slow = Sample(status=200, latency_ms=10), Sample(status=200, latency_ms=500, address="10.0.0.9")
    assert verdict_of([quick] * 95 + [slow] * 5, canary=canary).kind == "good"
    verdict = verdict_of([quick] * 94 + [slow] * 6, canary=canary)
    assert blamed(verdict) == ["latency"]
    assert verdict.says == "95 % within 500 ms, allowed 100 ms"
    assert verdict.p95_ms == 500
    assert slow in verdict.evidence


@pytest.mark.parametrize(
    ("values", "wanted"), [([], None), ([7.0], 7.0), ([float(n) for n in range(1, 21)], 19.0), ([float(n) for n in range(1, 22)], 20.0)]
)
def test_percentiles_are_by_nearest_rank(values: list[float], wanted: float | None) -> None:
    assert percentile(reversed(values), 95) == wanted


def test_expected_text_and_headers() -> None:
    canary = msgspec.structs.replace(PLAIN, expect=Expect(body="Pong", headers=(("X-Color", "blue"),)))
    good = Sample(status=200, body="Pong!", headers={"x-color": "blue"})
    assert verdict_of([good], canary=canary).kind == "good"
    assert "body without the expected text 'Pong'" in verdict_of([msgspec.structs.replace(good, body="Ping")], canary=canary).says
    assert "header X-Color is 'red', not 'blue'" in verdict_of([msgspec.structs.replace(good, headers={"X-Color": "red"})], canary=canary).says
    assert "header X-Color is missing" in verdict_of([msgspec.structs.replace(good, headers={})], canary=canary).says


def test_a_canary_without_a_mix_takes_any_body() -> None:
    verdict = verdict_of([Sample(status=200, body="whatever")], canary=PLAIN)
    assert (verdict.kind, verdict.counts, [c.name for c in verdict.checks]) == ("good", {}, ["answers"])


def test_the_end_of_the_certificate_is_said() -> None:
    verdict = verdict_of([Sample(status=200, tls_days=20.0), Sample(status=200, tls_days=3.2)], canary=PLAIN)
    assert check(verdict, "certificate") == Check(name="certificate", good=True, says="the certificate ends in 3.2 days")


def test_evidence_holds_one_of_every_kind_first_and_stays_small() -> None:
    huge = Sample(status=500, body="x" * 65_536, headers={f"h{n}": "y" * 9000 for n in range(100)}, detail="z" * 9000)
    verdict, memory = judge(CANARY, answers(5, 5, *(huge,) * 40, Sample(error="reset"), BROKEN), HALF, CanaryHistory(), NODES, at=1.0)
    assert len(verdict.evidence) == KEPT
    assert {(s.status, s.error) for s in verdict.evidence[:3]} == {(500, ""), (0, "reset"), (200, "")}
    for minute in range(100):
        verdict, memory = judge(CANARY, [huge] * 60, HALF, memory, NODES, at=float(minute))
    assert len(memory.rounds) == ROUNDS
    assert memory.failures == 101
    assert len(codec.encode(memory)) < 150_000, "DynamoDB holds 400 KB"


def test_memory_written_before_a_field_was_added_still_reads() -> None:
    old = b'{"rounds":[{"at":1.0,"counts":{"blue_demo":3},"expected":{"blue_demo":"1"},"good":true}],"last":null,"failures":0,"last_good":1.0}'
    assert codec.decode(old, CanaryHistory).rounds[0].lost == 0


# --- the window ---------------------------------------------------------------------------------------------------------------------------


def minutes(*runs: tuple[int, int], start: CanaryHistory | None = None, apart: float = 60.0) -> tuple[list[str], CanaryHistory]:
    memory, kinds = start or CanaryHistory(), []
    for blue, red in runs:
        at = (memory.rounds[-1].at if memory.rounds else 0.0) + apart
        verdict, memory = judge(CANARY, answers(blue, red), HALF, memory, NODES, at=at)
        kinds.append(verdict.kind)
    return kinds, memory


def test_what_no_run_shows_alone_five_runs_show_together() -> None:
    kinds, memory = minutes(*[(40, 20)] * 5)
    assert kinds == ["good"] * 3 + ["failed"] * 2
    assert memory.last is not None
    assert (memory.last.pooled, memory.last.alpha) == (5, ALPHA_POOLED)
    assert "300 answers of the last 5 runs (blue_demo 200, red_demo 100)" in memory.last.says


def test_runs_of_another_hour_do_not_pool() -> None:
    assert minutes(*[(40, 20)] * 5, apart=3600.0)[0] == ["good"] * 5


def test_a_new_expectation_does_not_pool_with_the_old() -> None:
    _, memory = minutes(*[(30, 30)] * 5)
    moved = {"blue_demo": Fraction(3, 5), "red_demo": Fraction(2, 5)}
    verdict, memory = judge(CANARY, answers(36, 24), moved, memory, NODES, at=360.0)
    assert (verdict.kind, verdict.pooled) == ("good", 1)
    assert judge(CANARY, answers(36, 24), moved, memory, NODES, at=420.0)[0].pooled == 2


def test_a_gross_error_clears_with_the_first_run_after_its_fix() -> None:
    _, memory = minutes(*[(60, 0)] * 5)
    assert memory.failures == 5
    assert minutes((29, 31), start=memory)[0] == ["good"]


def test_a_gross_error_does_not_clear_by_a_run_that_is_still_wrong() -> None:
    assert minutes(*[(60, 0)] * 2, (43, 17))[0] == ["failed"] * 3


def test_a_small_error_clears_within_five_runs_of_its_fix() -> None:
    _, memory = minutes(*[(42, 18)] * 6)
    assert minutes(*[(30, 30)] * 5, start=memory)[0][-1] == "good"


def test_lost_answers_of_earlier_runs_blame_no_mix_after_the_fix() -> None:
    memory = CanaryHistory()
    for minute in range(4):
        _, memory = judge(CANARY, answers(31, 0, *(BROKEN,) * 29), HALF, memory, NODES, at=60.0 * minute)
    assert minutes((30, 30), start=memory)[0] == ["good"]


def _diagnosed(count: int, size: int) -> tuple[Diagnosis, ...]:
    return tuple(Diagnosis(layer="pods", subject=f"p{n}", what="\x01" * size, evidence=("\x01" * size,) * 5, fix="c") for n in range(count))


@pytest.mark.parametrize(
    "memory",
    [
        CanaryHistory(
            last=Verdict(canary="front", kind="failed", at=1.0, says="x", diagnoses=_diagnosed(1, 100_000))
        ),  # one long message of a cluster
        CanaryHistory(last=Verdict(canary="front", kind="failed", at=1.0, says="x", diagnoses=_diagnosed(500, 200))),  # many
        CanaryHistory(last=Verdict(canary="front", kind="failed", at=1.0, says="x", evidence=(Sample(body="\x01" * 9_000),) * 10)),
        CanaryHistory(
            rounds=tuple(CanaryRun(at=n, counts={f"{'n' * 250}{i}": 1 for i in range(20)}) for n in range(60))
        ),  # many long names in the documents
        CanaryHistory(last=Verdict(canary="front", kind="failed", at=1.0, says="\x01" * 500_000)),
    ],
)
def test_a_history_is_bounded_whatever_made_it_large_and_keeps_what_it_is_about(memory: CanaryHistory) -> None:
    assert len(codec.encode(memory)) > MEMORY_LIMIT
    kept = bounded(memory)
    assert len(codec.encode(kept)) <= MEMORY_LIMIT
    assert (kept.last is None) == (memory.last is None)
    if memory.last is not None and kept.last is not None:
        assert (kept.last.kind, kept.last.at, kept.last.says[:100]) == (memory.last.kind, memory.last.at, memory.last.says[:100])
    else:
        assert len(kept.rounds) >= 5, "the mix is judged by them"
