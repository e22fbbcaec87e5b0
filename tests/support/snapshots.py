"""Snapshots as crossmesh would publish them, made by hand: objects by digest, and the pointer that names their root."""

import gzip
import json
from typing import Any

from crossmesh_xds.published import digest_of

LINEAGE = "1a" * 16


class Shelf:
    """A bucket and a pointer in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.pointer: dict[str, Any] = {}

    def put(self, value: Any) -> str:
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        self.objects[digest_of(data)] = gzip.compress(data, mtime=0)
        return digest_of(data)

    def publish(self, number: int, proxies: dict[str, Any], endpoints: dict[str, Any], /, **more: Any) -> dict[str, Any]:
        """One part of each kind, the root, the pointer. `more` overrides keys of the root; `endpoints_number` is the endpoints' own."""
        root = {
            "format": 1,
            "lineage": LINEAGE,
            "epoch": 1,
            "number": number,
            "proxies": [self.put({"format": 1, "proxies": proxies})],
            "endpoints": {
                "number": more.pop("endpoints_number", number),
                "parts": [self.put({"format": 1, "endpoints": endpoints})],
            },
        } | more
        self.pointer = {key: root[key] for key in ("lineage", "epoch", "number")} | {"root": self.put(root)}
        return self.pointer


def proxy(number: int = 1, clusters: Any = (), listeners: Any = (), routes: Any = (), allowed: Any = None) -> dict[str, Any]:
    """A proxy whose content all appeared in `number`."""
    who = [{"cluster": "east", "namespaces": ["shop"]}] if allowed is None else allowed
    kinds = {"clusters": clusters, "listeners": listeners, "routes": routes}
    return {"allowed": who, **{kind: {"number": number, "resources": list(found)} for kind, found in kinds.items()}}
