"""Token buckets, one an operation: AWS refuses calls beyond a steady rate once a burst is spent."""

from dataclasses import dataclass, field

Rates = dict[str, tuple[float, float]]


@dataclass(slots=True)
class Throttle:
    """`rates`: operation -> (calls a second, burst); "*" stands for every operation not named. None named: no limit."""

    rates: Rates = field(default_factory=dict)
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def admits(self, operation: str, now: float) -> bool:
        """Take one token; False where the bucket is empty (a refused call costs nothing)."""
        if not self.rates:
            return True
        limit = self.rates.get(operation) or self.rates.get("*")
        if limit is None:
            return True
        rate, burst = limit
        tokens, since = self._buckets.get(operation, (burst, now))
        tokens = min(burst, tokens + (now - since) * rate)
        if tokens < 1.0:
            self._buckets[operation] = (tokens, now)
            return False
        self._buckets[operation] = (tokens - 1.0, now)
        return True
