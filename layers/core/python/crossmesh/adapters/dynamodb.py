"""Small state on one DynamoDB table: documents, and leases with compare-and-set (rule 9)."""

import gzip
from typing import Any

from crossmesh.adapters import aws
from crossmesh.errors import Conflict
from crossmesh.ports import Lease

_GZIP = b"\x1f\x8b"  # no document of ours begins so: they are JSON
_KILOBYTE = 1024  # what a write is charged by


def packed(document: bytes) -> bytes:
    """As it is kept: compressed where that spares a write unit."""
    return gzip.compress(document, compresslevel=6, mtime=0) if len(document) > _KILOBYTE else document


def unpacked(kept: bytes) -> bytes:
    """The document; those kept by older versions are not compressed."""
    return gzip.decompress(kept) if kept.startswith(_GZIP) else kept


class DynamoState:
    """Implements `ports.State`. Key `id`; documents in `value` (bytes, `packed`); leases in `epoch`, `holder`, `expires`, `again`."""

    def __init__(self, region: str, table: str) -> None:
        self._client = aws.client("dynamodb", region)
        self._table = table

    def read_lease(self, name: str) -> Lease | None:
        """A consistent read; None where nobody holds it. A released lease keeps its epoch, so that the next one is higher."""
        item = self._item(f"lease/{name}")
        if not item:
            return None
        return Lease(
            epoch=int(item["epoch"]["N"]), holder=item["holder"]["S"], expires=float(item["expires"]["N"]), again=item["again"]["BOOL"]
        )

    def write_lease(self, name: str, lease: Lease | None, expected: Lease | None) -> bool:
        """Conditional on holder and epoch; releasing (None) also on `again` being as expected, so that a request is never lost."""
        key = {"id": {"S": f"lease/{name}"}}
        values: dict[str, Any] = {}
        if expected is None:
            condition = "attribute_not_exists(id)"
        else:
            condition = "epoch = :old_epoch AND holder = :old_holder AND again = :old_again"
            values = {":old_epoch": {"N": str(expected.epoch)}, ":old_holder": {"S": expected.holder}, ":old_again": {"BOOL": expected.again}}
        new = lease or Lease(epoch=expected.epoch if expected else 0, holder="", expires=0.0)
        values |= {
            ":epoch": {"N": str(new.epoch)},
            ":holder": {"S": new.holder},
            ":expires": {"N": repr(new.expires)},
            ":again": {"BOOL": new.again},
        }
        return self._update(key, "SET epoch = :epoch, holder = :holder, expires = :expires, again = :again", condition, values)

    def ask_again(self, name: str, expected: Lease) -> bool:
        """Set `again` while the same holder and epoch stand."""
        values = {":epoch": {"N": str(expected.epoch)}, ":holder": {"S": expected.holder}, ":true": {"BOOL": True}}
        key = {"id": {"S": f"lease/{name}"}}
        return self._update(key, "SET again = :true", "epoch = :epoch AND holder = :holder", values)

    def read(self, key: str) -> bytes | None:
        """A document, read consistently."""
        item = self._item(f"document/{key}")
        return unpacked(bytes(item["value"]["B"])) if item else None

    def write(self, key: str, value: bytes) -> None:
        """Replace a document."""
        with aws.translated():
            self._client.put_item(TableName=self._table, Item={"id": {"S": f"document/{key}"}, "value": {"B": packed(value)}})

    def _item(self, key: str) -> dict[str, Any]:
        with aws.translated():
            answer = self._client.get_item(TableName=self._table, Key={"id": {"S": key}}, ConsistentRead=True)
        item: dict[str, Any] = answer.get("Item", {})
        return item

    def _update(self, key: dict[str, Any], update: str, condition: str, values: dict[str, Any]) -> bool:
        try:
            with aws.translated():
                self._client.update_item(
                    TableName=self._table, Key=key, UpdateExpression=update, ConditionExpression=condition, ExpressionAttributeValues=values
                )
        except Conflict:
            return False
        return True
