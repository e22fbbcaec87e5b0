"""Snapshots on S3 and DynamoDB: objects below one prefix of the bucket, and the pointer as one item
of the state table.
"""

import gzip
import secrets
from typing import Any

import botocore.exceptions
import msgspec

from crossmesh.adapters import aws
from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.errors import NotFound, RefusedError, TransientError
from crossmesh.ports import StoredObject

PREFIX = "snapshots/"
_KEY = {"id": {"S": "snapshots/pointer"}}


class AmazonSnapshots:
    """Implements `ports.Snapshots`."""

    def __init__(self, region: str, table: str, bucket: str) -> None:
        self._dynamodb, self._s3 = aws.client("dynamodb", region), aws.client("s3", region)
        self._table, self._bucket = table, bucket

    def pointer(self) -> Pointer | None:
        """A consistent read."""
        with aws.translated():
            answer = self._dynamodb.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
        return _pointer(answer["Item"]) if "Item" in answer else None

    def move(self, new: Pointer, expected: Pointer | None) -> bool:
        """Conditional. The SDK repeats a write whose answer was lost; the pointer is then found to
        be ours already.
        """
        request: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if expected is not None:
            request = {
                "ConditionExpression": (
                    "#lineage = :lineage AND #root = :root AND #number = :number AND #number < :next AND #epoch <="
                    " :epoch"
                ),
                "ExpressionAttributeNames": {f"#{name}": name for name in ("lineage", "root", "number", "epoch")},
                "ExpressionAttributeValues": {
                    ":lineage": {"S": new.lineage},
                    ":root": {"S": expected.root},
                    ":number": {"N": str(expected.number)},
                    ":next": {"N": str(new.number)},
                    ":epoch": {"N": str(new.epoch)},
                },
            }
        item = {
            **_KEY,
            "lineage": {"S": new.lineage},
            "root": {"S": new.root},
            "number": {"N": str(new.number)},
            "epoch": {"N": str(new.epoch)},
        }
        with aws.translated():
            try:
                self._dynamodb.put_item(
                    TableName=self._table, Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **request
                )
            except botocore.exceptions.ClientError as error:
                there = aws.standing(error)
                return bool(there) and _pointer(there) == new
        return True

    def put(self, digest: str, data: bytes) -> None:
        """Compressed; mtime 0 keeps equal content equal to the byte."""
        body = gzip.compress(data, compresslevel=6, mtime=0)
        with aws.translated():
            self._s3.put_object(
                Bucket=self._bucket, Key=f"{PREFIX}{digest}", Body=body, ContentType="application/json+gzip"
            )

    def get(self, digest: str) -> bytes | None:
        """Fetch, None where there is no such object."""
        try:
            with aws.translated():
                return gzip.decompress(self._s3.get_object(Bucket=self._bucket, Key=f"{PREFIX}{digest}")["Body"].read())
        except NotFound:
            return None

    def stored(self) -> tuple[StoredObject, ...]:
        """Every page."""
        with aws.translated():
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=PREFIX)
            found = [
                StoredObject(digest=item["Key"].removeprefix(PREFIX), at=item["LastModified"].timestamp())
                for page in pages
                for item in page.get("Contents", ())
            ]
        return tuple(sorted(found, key=lambda one: one.digest))

    def discard(self, digests: tuple[str, ...]) -> None:
        """In one request."""
        if not digests:
            return
        keys = [{"Key": f"{PREFIX}{digest}"} for digest in digests]
        with aws.translated():
            answer = self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})
        if errors := answer.get("Errors"):
            raise TransientError(
                f"{len(errors)} objects were not removed, the first for {errors[0].get('Code', 'no reason')}"
            )

    def lineage(self) -> str:
        """32 hexadecimal digits."""
        return secrets.token_hex(16)


def _pointer(item: dict[str, Any]) -> Pointer:
    try:
        plain = {
            name: int(item[name]["N"]) if name in ("number", "epoch") else item[name]["S"]
            for name in Pointer.__struct_fields__
        }
        return msgspec.convert(plain, Pointer)
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise RefusedError("Pointer", f"the item snapshots/pointer of the table is no pointer ({error})") from error
