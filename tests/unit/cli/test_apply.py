"""`apply` follows the run that it asked for, or the one that did its work; `explain` and `runs` tell of the same."""

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from crossmesh.driver import drive

from tests.support.desk import Desk


def execution(desk: Desk, name: str, status: str = "SUCCEEDED") -> None:
    """An execution of the run's state machine that began now."""
    desk.world.clock.sleep(1)
    at = datetime.fromtimestamp(desk.now, UTC)
    desk.amazon.executions.insert(0, {"name": name, "status": status, "startDate": at, "stopDate": None if status == "RUNNING" else at})


def made(desk: Desk, name: str) -> None:
    """A pass of the deployed application."""
    desk.world.clock.sleep(1)
    drive(desk.world.steps(desk.context(), name), desk.world.ports)
    desk.world.clock.sleep(1)


def ids(text: str) -> set[str]:
    return {word.strip("`:,") for word in text.split() if word.startswith(("apply-", "look-"))}


@pytest.fixture
def waiting(desk: Desk) -> Desk:
    """Two pods wait for their registration, and the mesh is in order."""
    desk.settle()
    desk.pods(blue=2)
    desk.look()
    return desk


def known(desk: Desk, text: str) -> None:
    """Every run that is named is one that the other verbs accept."""
    assert ids(text)
    for name in ids(text):
        code, out, err = desk.run("explain", name)
        assert (code, "2 pods" in out) == (0, True), (name, err)
        assert desk.run("replay", name)[0] == 0


def test_its_own_run_is_told_with_its_changes(waiting: Desk) -> None:
    def started(name: str) -> None:
        execution(waiting, name)
        made(waiting, name)

    waiting.amazon.started = started
    code, out, err = waiting.run("apply", "--yes")
    assert (code, "applied, 2 registered in" in out) == (0, True)
    known(waiting, out + err)


def test_the_run_that_held_the_lease_is_told_in_its_place(waiting: Desk) -> None:
    """The reported case: an id that nothing was kept of, and `0 changes`, for the pass after that which did it was told."""

    def started(name: str) -> None:
        execution(waiting, name)
        for one in ("look-7", "look-7~1", "look-7~2"):
            made(waiting, one)
        waiting.amazon.executions[-1] |= {"status": "SUCCEEDED", "stopDate": datetime.fromtimestamp(waiting.now, UTC)}

    execution(waiting, "look-7", "RUNNING")
    waiting.amazon.started = started
    code, out, err = waiting.run("apply", "--yes")
    assert code == 0
    assert "met another run under way, which went once more in its place: the changes are those of the run below" in out
    assert "run look-7: applied, 2 registered in" in out
    known(waiting, out + err)
    (asked,) = {name for name in ids(err) if name.startswith("apply-")}
    assert f"{asked} met another run under way, which went once more in its place: look-7" in waiting.run("explain", asked)[1]
    assert "it went once more: crossmesh explain look-7~1 (did: nothing)" in waiting.run("explain", "look-7")[1]
    listed = waiting.run("runs")[1]
    assert "another run was under way and went once more instead" in listed
    assert {name for name in ids(listed) if name.startswith("look-")} == {"look-7", "look-7~1", "look-7~2"}


def test_where_another_run_was_first_its_changes_are_told(waiting: Desk) -> None:
    def started(name: str) -> None:
        execution(waiting, "look-8")
        made(waiting, "look-8")
        execution(waiting, name)
        made(waiting, name)

    waiting.amazon.started = started
    code, out, err = waiting.run("apply", "--yes")
    assert code == 0
    assert "found nothing left to do: the changes are those of the run below" in out
    assert "run look-8: applied, 2 registered in" in out
    known(waiting, out + err)
    found = json.loads(waiting.run("apply", "--yes", "--json")[1])
    assert found == {"run": "", "changes": 0}


def test_a_run_that_is_under_way_or_failed_unreported_is_told_so(waiting: Desk) -> None:
    execution(waiting, "apply-1", "RUNNING")
    code, _, err = waiting.run("explain", "apply-1")
    assert (code, "apply-1 is under way and has not reported yet" in err) == (1, True)
    execution(waiting, "apply-2", "TIMED_OUT")
    code, _, err = waiting.run("replay", "apply-2")
    assert (code, "apply-2 ended as TIMED_OUT, and no report of it is kept: see its execution arn:" in err) == (1, True)


def test_a_person_who_may_not_ask_is_not_told_that_there_is_no_run(waiting: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = waiting.amazon.answer

    def refused(region: str, operation: str, given: dict[str, object]) -> object:
        if operation == "describe_execution":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeExecution")
        return answer(region, operation, given)

    monkeypatch.setattr(waiting.amazon, "answer", refused)
    err = waiting.run("explain", "apply-1")[2]
    assert "your credentials may not do this" in err


def test_runs_are_listed_by_time_whatever_the_order_of_executions(waiting: Desk) -> None:
    execution(waiting, "look-1")
    made(waiting, "look-1")
    execution(waiting, "look-2")
    made(waiting, "look-2")
    made(waiting, "look-1~1")
    waiting.amazon.executions.reverse()
    lines = [line.split()[0] for line in waiting.run("runs")[1].splitlines() if line.startswith("look-")]
    assert lines == ["look-1~1", "look-2", "look-1"]
