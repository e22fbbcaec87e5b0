"""How long to wait after failures: doubling, capped, and jittered so that a thousand watchers do
not come back at once.
"""

import random


def delay(failures: int, first: float, most: float) -> float:
    """Seconds before the next try after so many failures in a row (at least 1): half to all of
    first × 2^(failures - 1), `most` at most.
    """
    return min(most, first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)
