"""What others write never grows a stored document past its bound, and a report that is refused ends no look."""

import msgspec
import pytest
from crossmesh import codec
from crossmesh.adapters.memory import MemoryState
from crossmesh.core import bounds
from crossmesh.core.observed import Unseen
from crossmesh.core.registry import next_state
from crossmesh.core.registry.plan import PlannerState
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive
from crossmesh.errors import RefusedError, TransientError
from crossmesh.steps import report_look
from crossmesh.usecases import look, state

from tests.support.builders import context, pod
from tests.support.passes import MemoryWorld

CLUSTERS = ("a", "b")


def packed(world: MemoryWorld) -> dict[str, int]:
    return {key: len(bounds.packed(value)) for key, value in world.state.documents.items()}


def look_and_run(world: MemoryWorld) -> str:
    answer = world.look(context(clusters=CLUSTERS))
    if answer.decision == "apply":
        world.run(context(clusters=CLUSTERS), answer.look)
    return answer.decision


def hostile(kind: str, world: MemoryWorld) -> None:
    """Something that one tenant or cluster says, far beyond what fits."""
    noise = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(60_000))
    if kind == "labels":
        labels = {f"tenant.example/{number:04}-{noise[number : number + 40].encode().hex()[:200]}": "v" * 60 for number in range(250)}
        for number in range(12):
            world.clusters.put("a", pod(f"uid-{number}", ip=f"10.0.1.{number + 1}", version="blue", **labels))
    elif kind == "pods":
        for number in range(450):
            world.clusters.put("a", pod(f"uid-{number}", ip="", version="blue"))
            world.clusters.put(
                "a", pod(f"both-{number}", ip=f"10.1.{number // 250}.{number % 250}", name=noise[number : number + 250], version="blue")
            )
    else:
        world.clusters.failing["a"] = Unseen(cluster="a", cause="identity", detail={"detail": noise * 8, "control": "\x01" * 700_000}[kind])


@pytest.mark.parametrize("kind", ["labels", "pods", "detail", "control"])
def test_whatever_one_cluster_says_the_look_is_kept_and_the_other_clusters_pod_comes_in(kind: str) -> None:
    world = MemoryWorld()
    hostile(kind, world)
    world.clusters.put("b", pod("other", ip="10.0.9.9", version="blue"))
    assert look_and_run(world) == "apply"
    assert any("10.0.9.9" in str(i.values()) for found in world.registry.instances.values() for i in found.values())
    assert max(packed(world).values()) <= bounds.STORED, packed(world)
    assert codec.decode(world.state.documents[look.LAST], Report).kind == "apply"
    assert look_and_run(world) in ("quiet", "apply")


class Refusing(MemoryState):
    """A table that refuses documents above `most` bytes; above 0, as one with another limit would."""

    def __init__(self, most: int, error: Exception | None = None) -> None:
        super().__init__()
        self.most, self.error, self.refused = most, error, 0

    def write(self, key: str, value: bytes) -> None:
        if key in (look.LAST, state.LAST_RUN) and len(value) > self.most:
            self.refused += 1
            raise self.error or RefusedError("ValidationException", "too large")
        super().write(key, value)


def long_report() -> Report:
    return Report(
        id="x", kind="apply", at=1.0, config="c", notes=tuple("n" * 400 for _ in range(50)), withheld=tuple("w" * 250 for _ in range(50))
    )


@pytest.mark.parametrize(("most", "notes"), [(100_000, 50), (10_000, 11), (1_000, 1)])
def test_a_refused_report_is_kept_in_a_shorter_form_that_says_so(most: int, notes: int) -> None:
    world = MemoryWorld()
    world.state = Refusing(most)
    drive(state.tell(look.LAST, long_report()), world.ports)
    kept = codec.decode(world.state.documents[look.LAST], Report)
    assert len(kept.notes) == notes
    assert notes == 50 or "more" in kept.notes[-1] or "shortened" in kept.notes[-1]


def test_a_report_that_is_always_refused_ends_nothing_and_is_counted_as_a_failure() -> None:
    world = MemoryWorld()
    world.state = Refusing(0)
    world.clusters.put("b", pod("other", ip="10.0.9.9", version="blue"))
    assert look_and_run(world) == "apply"
    assert sum(map(len, world.registry.instances.values())) == 1
    failures = [report.failure for report in world.telemetry.reports if report.kind == "failed"]
    assert len(failures) == 2
    assert all("too large" in failure for failure in failures)
    asked = report_look.Request(id="y", failure={"Error": "Timeout", "Cause": "\x00" * 40_000})
    assert drive(report_look.run(asked, context(clusters=CLUSTERS)), world.ports).kind == "failed"


def test_no_answer_from_the_table_is_no_refusal_and_is_tried_again_by_the_state_machine() -> None:
    world = MemoryWorld()
    world.state = Refusing(0, TransientError("no answer"))
    with pytest.raises(TransientError):
        drive(state.tell(look.LAST, long_report()), world.ports)


def big_memory(entries: int) -> PlannerState:
    ids = [f"cluster.{codec.digest(str(number).encode())[:36]}" for number in range(entries)]
    return PlannerState(
        identities={"a": "uid-a"},
        registered={i: 1_000_000.25 + n * 0.777 for n, i in enumerate(ids)},
        pending_deletions={f"pay.prod/{i}": 1_000_000.25 + n * 0.777 for n, i in enumerate(ids)},
        terminating={i: 1_000_000.25 + n * 0.777 for n, i in enumerate(ids)},
        competing_writers={"pay.prod": (5.0, "someone")},
    )


def test_a_memory_of_a_usual_size_is_kept_whole_and_a_huge_one_is_cut_with_its_counts() -> None:
    usual, huge = big_memory(500), big_memory(20_000)
    assert next_state.fitting(usual) is usual
    kept = next_state.fitting(huge)
    assert len(bounds.packed(codec.encode(kept))) <= bounds.STORED
    assert (kept.identities, kept.competing_writers) == (huge.identities, huge.competing_writers)
    assert len(kept.registered) >= 500
    assert min(kept.registered.values()) > max(huge.registered.values()) - len(kept.registered), "the latest of what was registered"
    assert min(kept.pending_deletions.values()) == min(huge.pending_deletions.values()), "the oldest clocks come due and make room"
    assert next_state.cut(huge, kept)[0] == f"memory: {len(kept.registered):,} of 20,000 entries of registered fit the table"
    assert next_state.cut(usual, usual) == ()


def test_a_clock_that_was_kept_out_is_begun_when_there_is_room() -> None:
    """What is cut is decided by age, so the same removals are not left out for ever."""
    huge = big_memory(20_000)
    first = next_state.fitting(huge)
    done = msgspec.structs.replace(
        huge, pending_deletions={key: at for key, at in huge.pending_deletions.items() if key not in first.pending_deletions}
    )
    second = next_state.fitting(done)
    assert second.pending_deletions
    assert not second.pending_deletions.keys() & first.pending_deletions.keys()


@pytest.mark.parametrize("said", ["x" * 10_000, "\x01" * 10_000, "😀" * 10_000, "\ud800" * 10_000, "é\x00" * 5_000, '"\\' * 5_000])
@pytest.mark.parametrize("most", [60, 300, 500])
def test_a_text_is_cut_by_its_bytes_and_says_how_much_is_missing(said: str, most: int) -> None:
    kept = bounds.text(said, most)
    assert len(msgspec.json.encode(kept)) - 2 <= most
    assert kept.endswith(" characters more)")
    missing = int(kept.rpartition("(")[2].split()[0].replace(",", ""))
    assert missing + len(kept.rpartition("…")[0]) == 10_000


def test_lines_say_how_many_more_there_are() -> None:
    assert bounds.lines(map(str, range(240)), 3) == ("0", "1", "2", "and 237 more")
    assert bounds.lines(["a", "b"], 3) == ("a", "b")
    assert bounds.lines((str(n) for n in range(10**9)), 1, count=10**9) == ("0", "and 999,999,999 more")
