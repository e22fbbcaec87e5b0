"""Faults at the wire: what goes wrong between a client and a service that is itself in order."""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from world.aws.models.errors import AwsError
from world.aws.models.throttle import Throttle


@dataclass(slots=True)
class Fault:
    """A fault laid for calls of `service` whose operation matches `operation` and whose principal matches `principal`.

    `times`: how often it strikes (None: until it is cleared). With `code` the call is refused (`status` overrides the HTTP status);
    `delay_s` makes it slow; `drop_before` cuts the connection without any effect, `drop_after` after the effect; `throttle`
    ({"rate", "burst"}) refuses only what comes faster.
    """

    id: int = 0
    service: str = ".*"
    operation: str = ".*"
    principal: str = ".*"
    times: int | None = None
    code: str | None = None
    status: int | None = None
    message: str = "Injected by the world."
    delay_s: float = 0.0
    drop_before: bool = False
    drop_after: bool = False
    throttle: dict[str, float] | None = None
    struck: int = 0
    _bucket: Throttle = field(default_factory=Throttle, repr=False)

    def __post_init__(self) -> None:
        for pattern in (self.service, self.operation, self.principal):
            re.compile(pattern)
        if self.throttle:
            self._bucket = Throttle({"*": (float(self.throttle["rate"]), float(self.throttle["burst"]))})

    def strikes(self, service: str, operation: str, principal: str, now: float) -> bool:
        """Whether it strikes this call; counts it."""
        if self.times is not None and self.struck >= self.times:
            return False
        wanted = ((self.service, service), (self.operation, operation), (self.principal, principal))
        if not all(re.fullmatch(pattern, text) for pattern, text in wanted):
            return False
        if self.throttle and self._bucket.admits("all", now):
            return False
        self.struck += 1
        return True

    def refusal(self, service: str) -> AwsError | None:
        """What the client is told, if anything."""
        if self.code:
            return AwsError(self.code, self.message)
        if self.throttle:
            return AwsError("TooManyRequestsException" if service == "appmesh" else "ThrottlingException", "Rate exceeded")
        return None

    def shown(self) -> dict[str, Any]:
        """As the control interface lists it."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class Faults:
    """All that is laid."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._next = 1

    def add(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Lay faults. Raises TypeError or re.error for a malformed one, and then lays none."""
        fresh = [Fault(**{**document, "id": self._next + place}) for place, document in enumerate(documents)]
        self._next += len(fresh)
        self._faults += fresh
        return [fault.shown() for fault in fresh]

    def clear(self, ident: int | None = None) -> None:
        """Clear one, or all."""
        self._faults = [fault for fault in self._faults if ident is not None and fault.id != ident]

    def shown(self) -> list[dict[str, Any]]:
        """All, with how often each has struck."""
        return [fault.shown() for fault in self._faults]

    def striking(self, service: str, operation: str, principal: str, now: float) -> list[Fault]:
        """Those that strike this call."""
        return [fault for fault in self._faults if fault.strikes(service, operation, principal, now)]
