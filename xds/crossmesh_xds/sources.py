"""Where snapshots are read: a folder, or AWS. Calls block; the loader runs them beside the streams.
All raise Unavailable or Unusable.
"""

import json
from pathlib import Path
from typing import Any, Protocol

import msgspec

from .published import STORED_LIMIT, Unusable

POINTER = "snapshots/pointer"  # the item's key
PREFIX = "snapshots/"  # of objects in the bucket
HEARTBEATS = "snapshots/servers/"  # of the items in which servers say how they are


class Unavailable(RuntimeError):
    """No answer, or a refusal: what is served stays in force, and it is asked again."""


class Source(Protocol):
    """Reads a pointer and objects."""

    def pointer(self) -> dict[str, Any] | None:
        """The pointer's plain values; None where there is none yet."""

    def object(self, digest: str) -> bytes:
        """A stored object, at most STORED_LIMIT bytes and one."""


class Folder:
    """A folder with `pointer.json` and `objects/<digest>`, for tests and for a look at a snapshot
    on one machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def pointer(self) -> dict[str, Any] | None:
        """As of Source."""
        try:
            return msgspec.json.decode((self._path / "pointer.json").read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(str(error)) from error
        except msgspec.MsgspecError as error:
            raise Unusable(f"the pointer: {error}") from error

    def object(self, digest: str) -> bytes:
        """As of Source."""
        try:
            with (self._path / "objects" / digest).open("rb") as file:
                return file.read(STORED_LIMIT + 1)
        except OSError as error:
            raise Unavailable(str(error)) from error


class Amazon:
    """The state table and the bucket. It may read one item and one prefix, and write its own
    heartbeat; no more is ever called.
    """

    def __init__(self, table: str, bucket: str, region: str) -> None:
        import botocore.config  # slow, and not needed by every source
        import botocore.session

        config = botocore.config.Config(
            connect_timeout=2,
            read_timeout=5,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=32,
        )
        session = botocore.session.get_session()
        self._table, self._bucket = table, bucket
        self._dynamodb: Any = session.create_client("dynamodb", region_name=region, config=config)
        self._s3: Any = session.create_client("s3", region_name=region, config=config)

    def pointer(self) -> dict[str, Any] | None:
        """As of Source. Eventually consistent, at half the price: the next read sees what this one
        did not.
        """
        answer = self._called(lambda: self._dynamodb.get_item(TableName=self._table, Key={"id": {"S": POINTER}}))
        return {key: _plain(value) for key, value in answer["Item"].items()} if "Item" in answer else None

    def object(self, digest: str) -> bytes:
        """As of Source."""

        def read() -> bytes:
            body = self._s3.get_object(Bucket=self._bucket, Key=f"{PREFIX}{digest}")["Body"]
            try:
                return bytes(body.read(STORED_LIMIT + 1))
            finally:
                body.close()

        found: bytes = self._called(read)
        return found

    def beat(self, name: str, said: dict[str, Any]) -> None:
        """Say how this server is. `said` is kept as one JSON text."""
        item = {"id": {"S": f"{HEARTBEATS}{name}"}, "said": {"S": json.dumps(said, sort_keys=True)}}
        self._called(lambda: self._dynamodb.put_item(TableName=self._table, Item=item))

    def _called(self, call: Any) -> Any:
        import botocore.exceptions
        import urllib3

        try:
            return call()
        except (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            raise Unavailable(f"{type(error).__name__}: {error}"[:500]) from error


def _plain(value: dict[str, Any]) -> Any:
    ((kind, found),) = value.items()
    return int(found) if kind == "N" and str(found).lstrip("-").isdecimal() else found
