"""One event, exactly as the rule wants it; whatever is not success is an error that says why."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from crossmesh_watcher.bus import Bus, NotSent

ARN = "arn:aws:events:eu-west-1:111122223333:event-bus/crossmesh-hints"
ASKED = {
    "Entries": [{"EventBusName": ARN, "Source": "crossmesh.watcher", "DetailType": "Pods changed", "Detail": json.dumps({"cluster": "eksc1"})}]
}


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Bus, Stubber]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    bus = Bus(ARN, "eu-west-1", "eksc1")
    with Stubber(bus._client) as stub:
        yield bus, stub
        stub.assert_no_pending_responses()


def test_a_hint_names_the_cluster_and_carries_nothing_else(stubbed: tuple[Bus, Stubber]) -> None:
    bus, stub = stubbed
    stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}, ASKED)
    bus.send()


def test_a_200_with_a_failed_entry_is_no_success(stubbed: tuple[Bus, Stubber]) -> None:
    bus, stub = stubbed
    failed = {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}
    stub.add_response("put_events", {"FailedEntryCount": 1, "Entries": [failed]}, ASKED)
    with pytest.raises(NotSent, match="InternalFailure: try again"):
        bus.send()


def test_an_error_of_aws_or_of_the_network_is_not_sent(stubbed: tuple[Bus, Stubber], monkeypatch: pytest.MonkeyPatch) -> None:
    bus, stub = stubbed
    stub.add_client_error("put_events", "AccessDeniedException", "no identity-based policy allows it", expected_params=ASKED)
    with pytest.raises(NotSent, match="AccessDenied"):
        bus.send()

    def gone(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://events")

    monkeypatch.setattr(bus._client, "put_events", gone)
    with pytest.raises(NotSent, match="EndpointConnectionError"):
        bus.send()
