"""Faults at the wire of a Kubernetes API: refusals, delays, cuts, lies, darkness. Set through the control server."""

import functools
import json
import re
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

from world.clusters.objects import ApiError

ENDLESS = "endless"  # the continue token of a list that never ends


class Faults:
    """What goes wrong at present.

    A rule: {"verb": regex, "path": regex, "times": n (absent = until cleared), and one of "code" (+ "retry_after"), "delay", "hang", "drop",
    "cut" (the body ends half way), "drip": seconds (between two bytes of the body), "bomb": n (megabytes of spaces behind the body, packed),
    "swap": [regex, text] (in the body), "empty_list", "short_list": n (that many items left out, no continue), "stale": n (resourceVersion
    lowered), "fill": n (every page is full of pods with so many labels, and the list never ends)}.
    """

    def __init__(self) -> None:
        self.rules: list[dict[str, Any]] = []
        self.dark = False
        self._lock = threading.Lock()
        self._here = threading.local()

    def strike(self, handler: Any, path: str) -> bool:
        """Apply the first rule that fits; True where the request was dealt with."""
        self._here.rule = None
        if self.dark:
            handler.close_connection = True
            return True
        rule = self._take(handler.command, path)
        if rule is None:
            return False
        self._here.rule = rule
        if rule.get("delay"):
            time.sleep(float(rule["delay"]))
        if rule.get("hang"):
            until = time.monotonic() + 60
            while time.monotonic() < until and rule in self.rules:
                time.sleep(0.1)
            handler.close_connection = True
            return True
        if rule.get("drop"):
            handler.close_connection = True
            return True
        if "code" in rule:
            code = int(rule["code"])
            reason = {401: "Unauthorized", 403: "Forbidden", 429: "TooManyRequests"}.get(code, "InternalError")
            headers = (("Retry-After", str(rule["retry_after"])),) if "retry_after" in rule else ()
            handler._send(code, ApiError(code, reason, "injected").status(), headers)
            return True
        return False

    def _take(self, verb: str, path: str) -> dict[str, Any] | None:
        with self._lock:
            for rule in self.rules:
                if re.match(rule.get("verb", ".*"), verb) and re.search(rule.get("path", ""), path):
                    if "times" in rule:
                        if rule["times"] <= 0:
                            continue
                        rule["times"] -= 1
                    return rule
        return None

    def said(self, body: bytes) -> bytes:
        """A body as the rule wants it told."""
        swap = (self._rule() or {}).get("swap")
        return re.sub(swap[0].encode(), swap[1].encode(), body) if swap else body

    def packed(self, data: bytes) -> bytes:
        """A body in gzip, larger than it looks where the rule says so."""
        pack = zlib.compressobj(1, wbits=31)
        return pack.compress(data) + _spaces(pack, int((self._rule() or {}).get("bomb", 0)))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What is sent of a body, piece by piece; less than all of it where the answer is cut."""
        rule = self._rule() or {}
        if rule.get("cut"):
            data = data[: len(data) // 2]
        at = 0
        while "drip" in rule and rule in self.rules and at < len(data):
            yield data[at : at + 1]
            at += 1
            time.sleep(float(rule["drip"]))
        yield data[at:]

    def _rule(self) -> dict[str, Any] | None:
        return getattr(self._here, "rule", None)

    def lie(self, rows: list[bytes], meta: dict[str, Any], limit: int) -> tuple[list[bytes], dict[str, Any]]:
        """A list as the rule wants it told."""
        rule = self._rule()
        if not rule:
            return rows, meta
        if rule.get("empty_list"):
            return [], {"resourceVersion": meta["resourceVersion"]}
        if rule.get("short_list"):
            return rows[: max(0, len(rows) - int(rule["short_list"]))], {"resourceVersion": meta["resourceVersion"]}
        if rule.get("stale"):
            return rows, {**meta, "resourceVersion": str(int(meta["resourceVersion"]) - int(rule["stale"]))}
        if rule.get("fill") and rows:
            return [_labelled(rows[0], int(rule["fill"]))] * (limit or 500), {"resourceVersion": meta["resourceVersion"], "continue": ENDLESS}
        return rows, meta

    def set(self, data: bytes) -> None:
        """Add rules from JSON (one, or a list)."""
        given = json.loads(data)
        with self._lock:
            self.rules += given if isinstance(given, list) else [given]

    def clear(self) -> None:
        """All well again."""
        with self._lock:
            self.rules = []
            self.dark = False


def _spaces(pack: Any, megabytes: int) -> bytes:
    return b"".join(pack.compress(b" " * 1_000_000) for _ in range(megabytes)) + bytes(pack.flush())


@functools.lru_cache(8)
def _labelled(row: bytes, labels: int) -> bytes:
    item = json.loads(row)
    item["metadata"]["labels"] = {f"label-{n}": f"value-{n}" for n in range(labels)}
    return json.dumps(item, separators=(",", ":")).encode()
