"""What a canary concluded of one run, check by check."""

from typing import Literal

import msgspec

from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.canary.sample import Sample

SAYS = 1_000  # characters of what a check says

CheckName = Literal["answers", "bodies", "mix", "latency", "certificate"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing judged."""

    name: CheckName
    good: bool
    says: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary concluded. No data is a failure.

    `counts` are this run's answers per virtual node and `lost` those that told none; `p_value`
    decided on the mix against `alpha`, over `pooled` runs. `flake`: what failed in the first try
    and not in the second. `warnings` fail nothing yet. `diagnoses`: the broken layers, the first in
    path order first; None = not diagnosed (yet).
    """

    canary: str
    kind: Literal["good", "failed", "no-data"]
    at: float
    says: str
    checks: tuple[Check, ...] = ()
    counts: dict[str, int] = {}
    expected: dict[str, str] = {}
    p_value: float = 1.0
    alpha: float = 0.0
    pooled: int = 0
    lost: int = 0
    evidence: tuple[Sample, ...] = ()
    requests: int = 0
    p95_ms: float = 0.0
    run: str = ""  # the execution that probed
    trace: str = ""  # of the one request whose way was recorded
    flake: str = ""
    warnings: tuple[str, ...] = ()
    diagnoses: tuple[Diagnosis, ...] | None = None
