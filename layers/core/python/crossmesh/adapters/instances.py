"""Registered instances asked directly: the prober's own exchange, at an address instead of a name,
and only where `core.diagnosis.probe_policy` allows it.
"""

import socket
import time

from crossmesh.adapters.front import Front
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis.probe_policy import inside


class Instances:
    """Implements `ports.Instances`. Its requests carry no sampled trace: one a canary's run is
    enough.
    """

    def ask(self, address: str, port: int, path: str, timeout: float, cidrs: tuple[str, ...]) -> Sample:
        """A GET, or with `path` "" only a connection."""
        if not inside(address, cidrs):
            return Sample(error="forbidden", detail=f"{address[:80]} is in no cluster's network", address=address[:80])
        if not path:
            return _connect(address, port, timeout)
        host = f"[{address}]" if ":" in address else address
        front = Front(lambda _host, _port: (address, port), also=cidrs, sampled=False)
        return front.probe(f"http://{host}:{port}{path}", 1, timeout, "diagnosis", follow=False)[0]


def _connect(address: str, port: int, timeout: float) -> Sample:
    began, error, detail = time.perf_counter(), "", ""
    try:
        socket.create_connection((address, port), timeout=timeout).close()
    except ConnectionRefusedError as failed:
        error, detail = "refused", str(failed)
    except TimeoutError as failed:
        error, detail = "timeout", str(failed)
    except OSError as failed:
        error, detail = "unreachable", str(failed)
    return Sample(
        error=error, detail=detail, address=address, latency_ms=round((time.perf_counter() - began) * 1000, 3)
    )
