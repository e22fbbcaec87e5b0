"""The Kubernetes client's configuration and REST transport, loaded without its models (decision
24).

`import kubernetes` runs every part of the package: 700 models with pydantic, OAuth, web sockets.
That costs 0.27 s of CPU at every cold start, of the 0.4 s that a look may cost in all. crossmesh
decodes the few fields that count by itself, so it needs none of them.
"""

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any, NamedTuple

_PACKAGES = ("kubernetes", "kubernetes.client", "kubernetes.utils")
_once = threading.Lock()
_loaded: list["Client"] = []


class Client(NamedTuple):
    """`Configuration` and `RESTClientObject` of `kubernetes.client`."""

    configuration: Any
    rest: Any


def client() -> Client:
    """The two classes. Where the whole package was imported before, they are its own; whoever
    imports it later gets all of it.
    """
    with _once:
        if not _loaded:
            _loaded.append(_parts() if "kubernetes" not in sys.modules else _classes())
        return _loaded[0]


def _classes() -> Client:
    configuration, rest = (importlib.import_module(f"kubernetes.client.{name}") for name in ("configuration", "rest"))
    return Client(configuration=configuration.Configuration, rest=rest.RESTClientObject)


def _parts() -> Client:
    """Import the modules under packages whose `__init__` is not run, and leave nothing of that
    behind.
    """
    try:
        for name in _PACKAGES:
            _stand_in(name)
        return _classes()
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "kubernetes"]:
            del sys.modules[name]


def _stand_in(name: str) -> None:
    """A package with the path of the real one and nothing in it. Raises ModuleNotFoundError where
    there is no such package.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    module.__spec__ = spec
    sys.modules[name] = module
