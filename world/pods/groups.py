"""The emulated network's security groups, as EC2 tells them: looked up about once a second, the last known rules kept."""

import threading
import time
from typing import Any

FRESH_S = 1.0


class Groups:
    """Which cluster's nodes may reach which other's, per port."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._names = {name: cluster["security_group"] for name, cluster in document["clusters"].items()}
        self._rules: set[tuple[str, str, int]] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._follow, daemon=True).start()

    def lets(self, source: str, target: str, port: int) -> bool:
        """Whether a rule of the target's group admits the source's."""
        with self._lock:
            return (self._names[source], self._names[target], port) in self._rules

    def _follow(self) -> None:
        from world.aws.clients import client

        while True:
            try:
                ec2 = client(self._document, "ec2", retries={"max_attempts": 1}, connect_timeout=1, read_timeout=3)
                while True:
                    self._read(ec2)
                    time.sleep(FRESH_S)
            except Exception:
                time.sleep(FRESH_S)

    def _read(self, ec2: Any) -> None:
        groups = ec2.describe_security_groups()["SecurityGroups"]
        names = {group["GroupId"]: group["GroupName"] for group in groups}
        rules = set()
        for group in groups:
            for rule in group.get("IpPermissions", ()):
                for pair in rule.get("UserIdGroupPairs", ()):
                    for port in range(rule.get("FromPort", 0), min(rule.get("ToPort", 65535), rule.get("FromPort", 0) + 100) + 1):
                        rules.add((names.get(pair["GroupId"], ""), group["GroupName"], port))
        with self._lock:
            self._rules = rules
