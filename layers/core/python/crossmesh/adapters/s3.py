"""The run store on S3: what every run saw, planned and did, gzip-compressed."""

import gzip

from crossmesh.adapters import aws, schema
from crossmesh.errors import NotFound

_SCHEMA = "crossmesh-schema"  # of an object's metadata


class S3RunStore:
    """Implements `ports.RunStore`."""

    def __init__(self, region: str, bucket: str) -> None:
        self._client = aws.client("s3", region)
        self._bucket = bucket

    def put(self, key: str, value: bytes) -> None:
        """Store; mtime 0 keeps equal content equal to the byte."""
        with aws.translated():
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=gzip.compress(value, compresslevel=3, mtime=0),
                ContentType="application/json+gzip",
                Metadata={_SCHEMA: schema.SCHEMA},
            )

    def get(self, key: str) -> bytes | None:
        """Fetch, None where there is no such object."""
        try:
            with aws.translated():
                found = self._client.get_object(Bucket=self._bucket, Key=key)
                body = found["Body"].read()
        except NotFound:
            return None
        schema.check(f"object {key} of bucket {self._bucket}", found.get("Metadata", {}).get(_SCHEMA, ""))
        return gzip.decompress(body)

    def list(self, prefix: str) -> tuple[str, ...]:
        """Keys below `prefix`, every page."""
        with aws.translated():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            return tuple(sorted(item["Key"] for page in pages for item in page.get("Contents", ())))
