"""A request to go once more is never lost with the answer to the write that takes it."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from crossmesh.adapters.dynamodb import DynamoState
from crossmesh.adapters.memory import MemoryClock, MemoryExecutions, MemoryState
from crossmesh.driver import drive
from crossmesh.errors import TransientError
from crossmesh.ports import Lease
from crossmesh.steps import release_lease
from crossmesh.usecases import lease
from crossmesh.usecases.context import Context, Run
from moto import mock_aws

from tests.support.builders import context

HELD = Lease(epoch=5, holder="arn:r", expires=1_000_100.0, again=True)


class Deaf(MemoryState):
    """Does the next write of a lease, and answers nothing."""

    deaf = 1

    def write_lease(self, *args: Any, **kwargs: Any) -> bool:
        done = super().write_lease(*args, **kwargs)
        if self.deaf:
            self.deaf -= 1
            raise TransientError("no answer")
        return done


def release(state: Any, passes: int = 1, *, more: bool = False) -> release_lease.Response:
    """The step, tried again by its state machine where it failed."""
    asked = release_lease.Request(run=Run(id="r", execution="arn:r", epoch=5, config="c0", passes=passes), more=more)
    ports = {"Clock": MemoryClock(), "State": state, "Executions": MemoryExecutions()}
    here: Context = context()
    for _ in range(2):
        try:
            return drive(release_lease.run(asked, here), ports)
        except TransientError:
            continue
    raise AssertionError


@pytest.mark.parametrize("passes", [1, release_lease.PASSES_AT_MOST])
@pytest.mark.parametrize(("again", "more"), [(True, False), (False, True), (True, True)])
def test_a_step_whose_answer_was_lost_takes_the_request_all_the_same(passes: int, again: bool, more: bool) -> None:
    state = Deaf()
    state.leases["run"] = Lease(epoch=5, holder="arn:r", expires=1_000_100.0, again=again)
    answer = release(state, passes, more=more)
    assert answer.again or answer.look, "it goes once more, or a look does"
    assert answer.again == (passes == 1)
    assert (state.leases["run"].holder == "arn:r") == answer.again


def test_where_nobody_asked_a_lost_answer_asks_for_nothing() -> None:
    state = Deaf()
    state.leases["run"] = Lease(epoch=5, holder="arn:r", expires=1_000_100.0)
    answer = release(state)
    assert (answer.again, answer.look) == (False, False)
    assert state.leases["run"].holder == ""


def test_a_mark_of_an_earlier_pass_is_not_this_ones() -> None:
    state = MemoryState()
    state.leases["run"] = Lease(epoch=5, holder="arn:r", expires=1_000_100.0, mark="before was asked")
    assert not release(state).again


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        attributes: Any = [{"AttributeName": "id", "AttributeType": "S"}]
        keys: Any = [{"AttributeName": "id", "KeyType": "HASH"}]
        boto3.client("dynamodb", "us-east-1").create_table(
            TableName="t", AttributeDefinitions=attributes, KeySchema=keys, BillingMode="PAY_PER_REQUEST"
        )
        yield "t"


def twice(state: DynamoState, between: Callable[[], object] = lambda: None) -> None:
    """The SDK's own way with a lost answer: the same request once more."""
    whole = state._client.update_item

    def update_item(**request: Any) -> Any:
        state._client.update_item = whole
        whole(**request)
        between()
        return whole(**request)

    state._client.update_item = update_item


def test_a_write_that_the_sdk_repeats_is_known_as_ones_own(table: str) -> None:
    state = DynamoState("us-east-1", table)
    assert state.write_lease("run", HELD, None)
    found = state.read_lease("run")
    twice(state)
    assert state.write_lease("run", None, found), "it was done, though DynamoDB refuses the second try"
    released = state.read_lease("run")
    assert (released.holder, released.epoch) == ("", 5)
    twice(state)
    assert state.write_lease("run", Lease(epoch=6, holder="two", expires=1.0), released)
    twice(state)
    assert state.ask_again("run", Lease(epoch=6, holder="two", expires=1.0))


def test_giving_back_through_a_repeated_write_goes_once_more(table: str) -> None:
    state = DynamoState("us-east-1", table)
    state.write_lease("run", HELD, None)
    twice(state)
    assert release(state).again


def test_a_repeated_write_does_not_take_a_request_that_came_between(table: str) -> None:
    """Lease, holder and `again` look as before by then: without the nonce the second try would clear the new request."""
    state, other = DynamoState("us-east-1", table), DynamoState("us-east-1", table)
    state.write_lease("run", HELD, None)
    found = state.read_lease("run")
    renewed = Lease(epoch=5, holder="arn:r", expires=1_000_200.0)
    twice(state, lambda: other.ask_again("run", found))
    assert not state.write_lease("run", renewed, found)
    assert state.read_lease("run").again, "whoever lost the race reads it again and sees the request"


def test_a_lease_that_another_took_is_still_refused(table: str) -> None:
    state, other = DynamoState("us-east-1", table), DynamoState("us-east-1", table)
    state.write_lease("run", HELD, None)
    found = state.read_lease("run")
    assert other.write_lease("run", Lease(epoch=6, holder="two", expires=1.0), found)
    assert not state.write_lease("run", None, found)
    assert not state.ask_again("run", found)
    assert drive(lease.ask_holder(None), {"Clock": MemoryClock(), "State": state}) is False


def test_a_lease_of_an_older_version_has_no_nonce_and_is_taken_as_before(table: str) -> None:
    state = DynamoState("us-east-1", table)
    item: Any = {"id": {"S": "lease/run"}, "epoch": {"N": "5"}, "holder": {"S": "arn:r"}, "expires": {"N": "1.0"}, "again": {"BOOL": False}}
    state._client.put_item(TableName=table, Item=item)
    found = state.read_lease("run")
    assert found == Lease(epoch=5, holder="arn:r", expires=1.0)
    assert state.write_lease("run", Lease(epoch=6, holder="two", expires=2.0), found)
