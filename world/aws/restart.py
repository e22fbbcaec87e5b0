"""The server restarts as a process and keeps what AWS would keep: what was written before stays, what was under way is cut, and for a while nobody answers.

The same process id begins anew (`execv`), so whoever watches the process sees no other. Faults that were laid and counts of calls do not outlive it.
"""

import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

from world.aws.services import Services

WIRING = frozenset({"clock", "network", "_clock", "_arn", "_handlers"})
"""Attributes of models that lead to functions of the process; each new process makes its own."""


def restart(services: Services, folder: Path, seconds: float) -> None:
    """Write everything down and begin anew; the new process listens after so many seconds. Does not return."""
    _file(folder).write_bytes(pickle.dumps({"listen_at": time.time() + seconds, **state(services)}))
    os.execv(sys.executable, [sys.executable, "-m", "world.aws.server", str(folder)])


def taken_up(services: Services, folder: Path) -> float:
    """Take up what a process before wrote down; the seconds to wait before listening (0 where there was none)."""
    file = _file(folder)
    if not file.exists():
        return 0.0
    kept = pickle.loads(file.read_bytes())
    file.unlink()
    put(services, kept)
    return max(0.0, kept["listen_at"] - time.time())


def state(services: Services) -> dict[str, Any]:
    """All that the models hold."""
    associations = {name: _held(one) for name, one in services.eks.associations.items()}
    models = {name: _held(model) for name, model in _models(services).items()}
    models["eks"].pop("associations")
    return {"models": models, "associations": associations, "network": services.network, "latency_s": services.latency_s}


def put(services: Services, kept: dict[str, Any]) -> None:
    """The opposite of `state`."""
    for name, model in _models(services).items():
        vars(model).update(kept["models"][name])
    for name, held in kept["associations"].items():
        vars(services.eks.associations[name]).update(held)
    services.network.update(kept["network"])
    services.latency_s = kept["latency_s"]


def _models(services: Services) -> dict[str, Any]:
    return {name: getattr(services, name) for name in ("cloud_map", "app_mesh", "eks", "elb", "xray")}


def _held(model: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(model).items() if name not in WIRING}


def _file(folder: Path) -> Path:
    return folder / "aws-state.pickle"
