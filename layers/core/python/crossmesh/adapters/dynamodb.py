"""Small state on one DynamoDB table: documents, and leases with compare-and-set (rule 9)."""

import gzip
import secrets
from typing import Any

import botocore.exceptions
import msgspec

from crossmesh.adapters import aws, schema
from crossmesh.core.bounds import packed
from crossmesh.ports import Lease

_GZIP = b"\x1f\x8b"  # no document of ours begins so: they are JSON


def unpacked(kept: bytes) -> bytes:
    """The document; those kept by older versions are not compressed."""
    return gzip.decompress(kept) if kept.startswith(_GZIP) else kept


class DynamoState:
    """Implements `ports.State`. Key `id`; documents in `value` (bytes, `packed`) with `schema`.

    Leases stand in `epoch`, `holder`, `expires`, `again`, `mark`, `nonce`.

    Each write of a lease has a nonce of its own. The SDK repeats a write whose answer was lost, and
    DynamoDB then refuses it, for the first one changed the lease: by the nonce it is known as ours.
    A repeated write never undoes one that came between, for that one left another nonce.
    """

    def __init__(self, region: str, table: str) -> None:
        self._client = aws.client("dynamodb", region)
        self._table = table
        # Each lease as last read or written here, and its nonce
        self._nonces: dict[str, tuple[Lease, str]] = {}

    def read_lease(self, name: str) -> Lease | None:
        """A consistent read; None where nobody holds it. A released lease keeps its epoch, so that
        the next one is higher.
        """
        item = self._item(f"lease/{name}")
        if not item:
            return None
        found = Lease(
            epoch=int(item["epoch"]["N"]),
            holder=item["holder"]["S"],
            expires=float(item["expires"]["N"]),
            again=item["again"]["BOOL"],
            mark=item.get("mark", {}).get("S", ""),
        )
        self._nonces[name] = found, item.get("nonce", {}).get("S", "")
        return found

    def write_lease(self, name: str, lease: Lease | None, expected: Lease | None, *, mark: str = "") -> bool:
        """Conditional on holder and epoch; releasing (None) also on `again` being as expected, so
        that a request is never lost.
        """
        key = {"id": {"S": f"lease/{name}"}}
        values: dict[str, Any] = {}
        if expected is None:
            condition = "attribute_not_exists(id)"
        else:
            condition = "epoch = :old_epoch AND holder = :old_holder AND again = :old_again"
            values = {
                ":old_epoch": {"N": str(expected.epoch)},
                ":old_holder": {"S": expected.holder},
                ":old_again": {"BOOL": expected.again},
            }
            known, nonce = self._nonces.get(name, (None, ""))
            if nonce and known == expected:
                condition += " AND nonce = :old_nonce"
                values[":old_nonce"] = {"S": nonce}
        new = lease or Lease(epoch=expected.epoch if expected else 0, holder="", expires=0.0)
        new = msgspec.structs.replace(new, mark=mark)
        values |= {
            ":epoch": {"N": str(new.epoch)},
            ":holder": {"S": new.holder},
            ":expires": {"N": repr(new.expires)},
            ":again": {"BOOL": new.again},
            ":mark": {"S": new.mark},
        }
        update = (
            "SET epoch = :epoch, holder = :holder, expires = :expires, again = :again, mark = :mark, nonce = :nonce"
        )
        nonce = self._update(key, update, condition, values)
        if nonce:
            self._nonces[name] = new, nonce
        return bool(nonce)

    def ask_again(self, name: str, expected: Lease) -> bool:
        """Set `again` while the same holder and epoch stand."""
        values = {":epoch": {"N": str(expected.epoch)}, ":holder": {"S": expected.holder}, ":true": {"BOOL": True}}
        key = {"id": {"S": f"lease/{name}"}}
        return bool(
            self._update(key, "SET again = :true, nonce = :nonce", "epoch = :epoch AND holder = :holder", values)
        )

    def read(self, key: str) -> bytes | None:
        """A document, read consistently."""
        item = self._item(f"document/{key}")
        if not item:
            return None
        schema.check(f"document {key} of table {self._table}", item.get("schema", {}).get("N", ""))
        return unpacked(bytes(item["value"]["B"]))

    def write(self, key: str, value: bytes) -> None:
        """Replace a document."""
        item = {"id": {"S": f"document/{key}"}, "schema": {"N": schema.SCHEMA}, "value": {"B": packed(value)}}
        with aws.translated():
            self._client.put_item(TableName=self._table, Item=item)

    def replace(self, key: str, value: bytes, expected: bytes | None) -> bool:
        """Conditional on the bytes that are kept. A write that the SDK repeats, for its answer was
        lost, finds what it wrote itself.
        """
        written = packed(value)
        item: dict[str, Any] = {"id": {"S": f"document/{key}"}, "schema": {"N": schema.SCHEMA}, "value": {"B": written}}
        kept = self._item(f"document/{key}").get("value", {}).get("B")
        if (unpacked(bytes(kept)) if kept is not None else None) != expected:
            return False
        unmoved: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if kept is not None:
            unmoved = {
                "ConditionExpression": "#value = :kept",
                "ExpressionAttributeNames": {"#value": "value"},
                "ExpressionAttributeValues": {":kept": {"B": kept}},
            }
        with aws.translated():
            try:
                self._client.put_item(
                    TableName=self._table, Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **unmoved
                )
            except botocore.exceptions.ClientError as error:
                there = aws.standing(error)
                return bool(there.get("value", {}).get("B") == written)
        return True

    def _item(self, key: str) -> dict[str, Any]:
        with aws.translated():
            answer = self._client.get_item(TableName=self._table, Key={"id": {"S": key}}, ConsistentRead=True)
        item: dict[str, Any] = answer.get("Item", {})
        return item

    def _update(self, key: dict[str, Any], update: str, condition: str, values: dict[str, Any]) -> str:
        """The nonce of the write, "" where the condition does not hold and the write was not done
        before.
        """
        nonce = secrets.token_hex(8)
        values = {**values, ":nonce": {"S": nonce}}
        with aws.translated():
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=key,
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except botocore.exceptions.ClientError as error:
                there = aws.standing(error)
                return nonce if there.get("nonce", {}).get("S") == nonce else ""
        return nonce
