"""Faults at the wire of a Kubernetes API: refusals, delays, cuts, lies, darkness. Set through the control server."""

import json
import re
import threading
import time
from typing import Any

from world.clusters.objects import ApiError


class Faults:
    """What goes wrong at present.

    A rule: {"verb": regex, "path": regex, "times": n (absent = until cleared), and one of "code" (+ "retry_after"), "delay", "hang", "drop",
    "cut" (the body ends half way), "empty_list", "short_list": n (that many items left out, no continue), "stale": n (resourceVersion lowered)}.
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

    def cut_body(self, length: int) -> int | None:
        """How much of a body is sent where it is cut."""
        rule = getattr(self._here, "rule", None)
        return length // 2 if rule and rule.get("cut") else None

    def lie(self, resource: str, rows: list[bytes], meta: dict[str, Any]) -> tuple[list[bytes], dict[str, Any]]:
        """A list as the rule wants it told."""
        rule = getattr(self._here, "rule", None)
        if not rule:
            return rows, meta
        if rule.get("empty_list"):
            return [], {"resourceVersion": meta["resourceVersion"]}
        if rule.get("short_list"):
            return rows[: max(0, len(rows) - int(rule["short_list"]))], {"resourceVersion": meta["resourceVersion"]}
        if rule.get("stale"):
            return rows, {**meta, "resourceVersion": str(int(meta["resourceVersion"]) - int(rule["stale"]))}
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
