"""What AWS charges, and what that makes of measured quantities. Pure; no discounts, no free tiers.

List prices of us-east-1 on x86-64 as AWS's pricing pages had them in November 2026; a month has 730 hours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

MINUTES = 730 * 60  # of a month
LAMBDA_GB_SECOND, LAMBDA_REQUEST = 0.0000166667, 0.20e-6
BY_PROCESSOR = {"x86_64": LAMBDA_GB_SECOND, "arm64": 0.0000133334}  # dollars a GB-second; requests cost the same
EXPRESS_GB_SECOND, EXPRESS_REQUEST, EXPRESS_CHUNK_MB = 0.06 / 3600, 1.00e-6, 64
STANDARD_TRANSITION = 0.025e-3
WRITE_UNIT, READ_UNIT = 0.625e-6, 0.125e-6
S3_PUT, S3_GET = 0.005e-3, 0.0004e-3
LOG_GB, TRACE, SCHEDULE = 0.50, 5.00e-6, 1.00e-6
DISCOVERY_CALL, METRIC, ALARM, DASHBOARD = 1.00e-6, 0.30, 0.10, 3.00
FULL_PROCESSOR_MB = 1769  # "At 1,769 MB, a function has the equivalent of one vCPU" (Lambda's guide, "Configure function memory")


def billed_ms(elapsed_ms: float, processor_ms: float, memory_mb: int) -> int:
    """Milliseconds that Lambda would bill: what was waited stays, what was computed takes longer by the part of a processor that the memory brings.

    Up to the next millisecond (Lambda's pricing page).
    """
    waited = max(0.0, elapsed_ms - processor_ms)
    return max(1, math.ceil(waited + processor_ms * max(1.0, FULL_PROCESSOR_MB / memory_mb)))


def lambda_cost(ms: float, memory_mb: int) -> float:
    """One invocation."""
    return ms / 1000 * memory_mb / 1024 * LAMBDA_GB_SECOND + LAMBDA_REQUEST


def express_cost(ms: float, payload_bytes: int) -> float:
    """One Express execution: memory in steps of 64 MB (50 MB and its payload), time in steps of 100 ms (Step Functions' pricing page)."""
    megabytes = math.ceil((50 + payload_bytes / 2**20) / EXPRESS_CHUNK_MB) * EXPRESS_CHUNK_MB
    return math.ceil(ms / 100) / 10 * megabytes / 1024 * EXPRESS_GB_SECOND + EXPRESS_REQUEST


@dataclass(frozen=True)
class Use:
    """One pass (a look, a canary's run): `functions` = billed milliseconds and memory of each, `express_ms`, and calls by what they cost."""

    functions: Mapping[str, tuple[int, int]]
    express_ms: float
    payload_bytes: int = 0
    writes: float = 0.0
    reads: float = 0.0
    puts: float = 0.0
    gets: float = 0.0
    log_bytes: float = 0.0
    discoveries: float = 0.0
    traces: float = 1.0
    also: Mapping[str, float] = field(default_factory=dict)


def a_month(use: Use, times: int = MINUTES) -> dict[str, float]:
    """Dollars by service."""
    return {
        "Lambda": times * sum(lambda_cost(ms, memory) for ms, memory in use.functions.values()),
        "Step Functions (Express)": times * express_cost(use.express_ms, use.payload_bytes),
        "DynamoDB": times * (use.writes * WRITE_UNIT + use.reads * READ_UNIT),
        "S3": times * (use.puts * S3_PUT + use.gets * S3_GET),
        "CloudWatch Logs": times * use.log_bytes / 1e9 * LOG_GB,
        "X-Ray": times * use.traces * TRACE,
        "Scheduler": times * SCHEDULE,
        "Cloud Map discovery": times * use.discoveries * DISCOVERY_CALL,
        **use.also,
    }
