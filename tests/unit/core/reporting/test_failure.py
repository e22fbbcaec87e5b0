"""A caught failure in words."""

import json

import pytest
from crossmesh.core.reporting.failure import failure_message

LAMBDA = json.dumps({"errorMessage": "the lease kept changing hands", "errorType": "TransientError", "stackTrace": ["a", "b"]})


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ({}, ""),
        ({"Error": "States.Timeout", "Cause": ""}, "States.Timeout: "),
        ({"Error": "States.Timeout"}, "States.Timeout: "),
        ({"Error": "TransientError", "Cause": LAMBDA}, "TransientError: the lease kept changing hands"),
        ({"Error": "Runtime.ExitError", "Cause": "{not json"}, "Runtime.ExitError: {not json"),
        ({"Error": "X", "Cause": '{"other": 1}'}, 'X: {"other": 1}'),
        ({"Error": "X", "Cause": '{"errorMessage": 1}'}, 'X: {"errorMessage": 1}'),
        ({"Error": "X", "Cause": "y" * 5_000}, "X: " + "y" * 960 + "… (4,040 characters more)"),
    ],
)
def test_what_is_said(failure: dict[str, str], said: str) -> None:
    assert failure_message(failure) == said
