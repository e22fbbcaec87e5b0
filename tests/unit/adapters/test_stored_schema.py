"""What another version of crossmesh stored is refused with words, in the table and in the bucket; what an earlier one stored without a version is read."""

import gzip
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from crossmesh.adapters import schema
from crossmesh.adapters.dynamodb import DynamoState
from crossmesh.adapters.s3 import S3RunStore
from crossmesh.errors import RefusedError
from moto import mock_aws

NAME = "kept"


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[DynamoState, S3RunStore]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        boto3.client("s3", "us-east-1").create_bucket(Bucket=NAME)
        key: Any = {
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        }
        boto3.client("dynamodb", "us-east-1").create_table(TableName=NAME, BillingMode="PAY_PER_REQUEST", **key)
        yield DynamoState("us-east-1", NAME), S3RunStore("us-east-1", NAME)


@pytest.mark.parametrize("newer", ["2", "10"])
def test_what_a_newer_version_stored_is_refused(stores: tuple[DynamoState, S3RunStore], monkeypatch: pytest.MonkeyPatch, newer: str) -> None:
    state, runs = stores
    monkeypatch.setattr(schema, "SCHEMA", newer)
    state.write("memory", b"{}")
    runs.put("runs/r/plan.json", b"{}")
    assert (state.read("memory"), runs.get("runs/r/plan.json")) == (b"{}", b"{}"), "by that version itself"
    monkeypatch.undo()
    with pytest.raises(
        RefusedError, match=f"OtherSchema: document memory of table kept has schema {newer}, and this version of crossmesh reads 1"
    ):
        state.read("memory")
    with pytest.raises(RefusedError, match=f"OtherSchema: object runs/r/plan.json of bucket kept has schema {newer}"):
        runs.get("runs/r/plan.json")
    state.write("memory", b"[]")
    runs.put("runs/r/plan.json", b"[]")
    assert (state.read("memory"), runs.get("runs/r/plan.json")) == (b"[]", b"[]")


def test_what_was_stored_before_there_were_versions_is_read_as_the_first(stores: tuple[DynamoState, S3RunStore]) -> None:
    state, runs = stores
    state._client.put_item(TableName=NAME, Item={"id": {"S": "document/memory"}, "value": {"B": b"{}"}})
    boto3.client("s3", "us-east-1").put_object(Bucket=NAME, Key="runs/r/plan.json", Body=gzip.compress(b"{}"))
    assert (state.read("memory"), runs.get("runs/r/plan.json")) == (b"{}", b"{}")


def test_what_is_missing_has_no_version(stores: tuple[DynamoState, S3RunStore]) -> None:
    state, runs = stores
    assert (state.read("memory"), runs.get("runs/r/plan.json")) == (None, None)


def test_each_item_and_object_says_its_version(stores: tuple[DynamoState, S3RunStore]) -> None:
    state, runs = stores
    state.write("canary/front", b"{}" * 1_000)  # large enough to be compressed
    runs.put("registry/last.json", b"{}")
    item = boto3.client("dynamodb", "us-east-1").get_item(TableName=NAME, Key={"id": {"S": "document/canary/front"}})["Item"]
    assert item["schema"] == {"N": "1"}
    assert boto3.client("s3", "us-east-1").head_object(Bucket=NAME, Key="registry/last.json")["Metadata"] == {"crossmesh-schema": "1"}
