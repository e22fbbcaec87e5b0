"""A hint that meets a run asks its holder to go once more, by the lease item alone where that is enough, and whatever Step Functions answers."""

import pytest
from crossmesh.adapters.memory import MemoryExecutions
from crossmesh.driver import drive
from crossmesh.errors import CrossmeshError, RefusedError, ServiceGone, Throttled, TransientError
from crossmesh.ports import Lease
from crossmesh.steps import look, report_look, take_lease
from crossmesh.usecases import lease, look_lease

from tests.support.builders import context, node
from tests.support.passes import MemoryWorld

NO_ANSWER = [TransientError("ConnectTimeoutError"), Throttled("ThrottlingException"), ServiceGone("EndpointConnectionError", "no such host")]


class Executions(MemoryExecutions):
    """Counts what it is asked; `fails` instead of an answer."""

    def __init__(self, *alive: str, fails: CrossmeshError | None = None) -> None:
        super().__init__()
        self.alive, self.fails, self.asked = set(alive), fails, 0

    def running(self, arn: str) -> bool:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return super().running(arn)


def world(executions: Executions, *, again: bool = False, life: float = lease.LIFE) -> MemoryWorld:
    made = MemoryWorld()
    made.executions = executions
    made.state.leases[lease.NAME] = Lease(epoch=3, holder="arn:run", expires=made.clock.now() + life, again=again)
    return made


def hint(where: MemoryWorld) -> str:
    return drive(look.run(look.Request(id="l", cause="hint"), context(node("blue"))), where.ports).decision


@pytest.mark.parametrize("fails", NO_ANSWER, ids=lambda error: type(error).__name__)
def test_an_unanswered_question_counts_as_held_and_the_request_is_kept(fails: CrossmeshError) -> None:
    here = world(Executions(fails=fails))
    assert hint(here) == "asked"
    assert here.state.leases[lease.NAME].again


@pytest.mark.parametrize("fails", NO_ANSWER, ids=lambda error: type(error).__name__)
def test_a_run_that_gets_no_answer_leaves_the_holder_its_lease(fails: CrossmeshError) -> None:
    here = world(Executions(fails=fails))
    taken = drive(take_lease.run(take_lease.Request(id="l", execution="arn:other"), context(node("blue"))), here.ports)
    assert (taken.held, here.state.leases[lease.NAME].holder, here.state.leases[lease.NAME].again) == (True, "arn:run", True)


def test_a_lease_that_ended_is_taken_without_asking_anybody() -> None:
    here = world(Executions(fails=Throttled("")))
    here.clock.sleep(lease.LIFE + 1)
    taken = drive(take_lease.run(take_lease.Request(id="l", execution="arn:other"), context(node("blue"))), here.ports)
    assert not taken.held
    assert here.executions.asked == 0


def test_a_refusal_is_a_fault_of_ours_and_no_answer() -> None:
    with pytest.raises(RefusedError):
        hint(world(Executions(fails=RefusedError("AccessDenied", "states:DescribeExecution"))))


def test_a_storm_of_hints_during_a_run_asks_step_functions_once() -> None:
    here = world(Executions("arn:run"))
    assert {hint(here) for _ in range(20)} == {"asked"}
    assert here.executions.asked == 1


def test_a_holder_that_gave_no_sign_of_life_lately_is_asked_for_each_time() -> None:
    here = world(Executions("arn:run"), again=True, life=lease.LIFE - lease.FRESH - 1)
    assert hint(here) == "asked"
    here.executions.alive.clear()
    assert hint(here) != "asked"
    assert here.executions.asked == 2


def test_once_the_holder_took_the_request_the_next_hint_asks_anew() -> None:
    here = world(Executions("arn:run"))
    hint(here)
    held = here.state.leases[lease.NAME]
    here.state.leases[lease.NAME] = Lease(epoch=held.epoch, holder=held.holder, expires=held.expires)
    assert hint(here) == "asked"
    assert here.state.leases[lease.NAME].again
    assert here.executions.asked == 2


# --- a look that died ----------------------------------------------------------------------------------------------------------------------


def report(here: MemoryWorld, of: str) -> None:
    asked = report_look.Request(id=of, failure={"Error": "Runtime.OutOfMemory", "Cause": "killed"})
    drive(report_look.run(asked, context(node("blue"))), here.ports)


def test_a_look_that_died_keeps_no_lease_once_its_failure_is_reported() -> None:
    here = MemoryWorld()
    here.state.leases[look_lease.LEASE] = Lease(epoch=5, holder="died", expires=here.clock.now() + 50.0)
    report(here, "died")
    assert here.look(context(node("blue"))).decision != "held"


@pytest.mark.parametrize("of", ["another", ""])
def test_the_lease_of_a_look_under_way_stays(of: str) -> None:
    here = MemoryWorld()
    here.state.leases[look_lease.LEASE] = Lease(epoch=5, holder="alive" if of else "", expires=here.clock.now() + 50.0)
    before = here.state.leases[look_lease.LEASE]
    report(here, of)
    assert here.state.leases[look_lease.LEASE] == before
