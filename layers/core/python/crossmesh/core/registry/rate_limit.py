"""How fast to write: finds the account's real rate, which AWS does not publish, and keeps to it.

While nothing is throttled, windows go out one after the other (the bucket may be full). The first
throttled answer says that the bucket is empty; from then on windows are timed by an estimated rate.
The estimate rises by half each window until the first refusal shows that it is too high, then by a
twentieth, and falls by a part whenever a window is refused (slow start and congestion avoidance, as
TCP does). Against a token bucket of 5 a second, a twentieth costs 51 refusals for 1,000 writes
where a step of 0.7 cost 95, in the same time; at 1 a second 182 for 497.
"""

import msgspec

# Per second, a guess for a bucket found empty: AWS's App Mesh controller budgets 4/s
FIRST_RATE = 4.0
_RISE, _FALL, _PROBE = 1.05, 0.75, 1.5
_WINDOW = 0.5  # seconds that a timed window stands for


class AdaptiveRate(msgspec.Struct, frozen=True, kw_only=True):
    """`rate` per second as learned so far; `limited`: the bucket is empty now; `width` the size of
    untimed windows.
    """

    rate: float = FIRST_RATE
    limited: bool = False
    width: int = 8
    probing: bool = True  # no timed window was refused yet

    def window(self) -> tuple[int, float]:
        """How many calls may go out now, and how many seconds to wait before that."""
        if not self.limited:
            return self.width, 0.0
        count = max(1, round(self.rate * _WINDOW))
        return count, count / self.rate

    def learned(self, sent: int, throttled: int) -> "AdaptiveRate":
        """The pace after a window of which `throttled` of `sent` calls were refused."""
        if throttled == 0:
            if not self.limited:
                return msgspec.structs.replace(self, width=min(32, self.width * 2))
            rate = self.rate * _PROBE if self.probing else self.rate * _RISE
            return msgspec.structs.replace(self, rate=rate)
        if not self.limited:
            return msgspec.structs.replace(self, limited=True, width=8)
        passed = max(0.0, (sent - throttled) / sent)
        return msgspec.structs.replace(self, rate=max(0.5, self.rate * max(_FALL, passed)), probing=False)
