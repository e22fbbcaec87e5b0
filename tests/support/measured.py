"""Work in a process of its own, whose memory and time are measured: what a budget says is asserted on what the machine says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.sim.application import ROOT

_SHELL = """
import json, resource, sys, time
from tests.support.measured import peak
resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000, 4_000_000_000))
asked = json.load(sys.stdin)
space = {}
exec(asked["before"], space)
at = time.process_time()
exec(asked["work"], space)
took = time.process_time() - at
print(json.dumps({"seconds": took, "peak": peak(), "answer": space.get("answer")}))
"""


def peak(*, anew: bool = False) -> int:
    """The highest memory of this process in MB. `anew`: from now on.

    Not ru_maxrss: that one survives exec, so a child begins with what its parent had when it forked (getrusage(2), proc(5)).
    """
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


class Cost(NamedTuple):
    """Seconds of processor time, the process's highest memory in MB (30 to 60 of them for Python itself), and what the work left as `answer`."""

    seconds: float
    peak: int
    answer: Any


def measured(before: str, work: str) -> Cost:
    """Run `before` (imports and input), then `work`, which counts."""
    path = {"PYTHONPATH": f"{ROOT}:{ROOT}/layers/core/python"}
    asked = json.dumps({"before": before, "work": work})
    done = subprocess.run([sys.executable, "-c", _SHELL], input=asked, text=True, capture_output=True, env=path, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout)
    return Cost(found["seconds"], found["peak"], found["answer"])
