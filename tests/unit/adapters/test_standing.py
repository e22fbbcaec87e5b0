"""A refused condition of DynamoDB is an answer; any other error stays one."""

import pytest
from botocore.exceptions import ClientError
from crossmesh.adapters import aws


def test_what_stands_where_a_condition_refused_the_write() -> None:
    said = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": {"id": {"S": "x"}}}
    assert aws.standing(ClientError(said, "PutItem")) == {"id": {"S": "x"}}  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["ThrottlingException", "ResourceNotFoundException", ""])
def test_any_other_error_is_raised_again(code: str) -> None:
    error = ClientError({"Error": {"Code": code}}, "PutItem")
    with pytest.raises(ClientError) as raised:
        aws.standing(error)
    assert raised.value is error
