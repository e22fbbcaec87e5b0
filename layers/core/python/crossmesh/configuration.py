"""Where the settings and manifests lie: beside a developer's hand (`config/`), or in the
configuration layer of a function.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from crossmesh.errors import ConfigError
from crossmesh.manifests.config import LoadedConfig, load_config

FILE = "crossmesh.yaml"
# Networks of pods that no cluster on AWS can have: the local world's loopback
EXEMPT = "CROSSMESH_PODS_ALSO_IN"


def find_folder(service_names: Iterable[str] = ()) -> Path:
    """The folder that holds crossmesh.yaml: one of `service_names`, else a layer's root (/opt, or
    any root of the import path). Raises FileNotFoundError.
    """
    for place in (*service_names, "/opt", *sys.path):
        folder = Path(place)
        for candidate in (folder, folder.parent if folder.name == "python" else folder):
            if (candidate / FILE).is_file():
                return candidate
    raise FileNotFoundError(f"no {FILE} in {', '.join(service_names) or 'the configuration layer'}")


def load(folder: Path) -> LoadedConfig:
    """Settings and topology. Raises ConfigError with every mistake at once."""
    return sound(load_config(folder))


def sound(loaded: LoadedConfig) -> LoadedConfig:
    """A configuration without mistakes, as this process goes by it. Raises ConfigError with every
    mistake at once.
    """
    if any(finding.level == "error" for finding in loaded.findings) or loaded.settings is None:
        raise ConfigError(loaded.findings)
    exempt = tuple(filter(None, os.environ.get(EXEMPT, "").split(",")))
    if not exempt:
        return loaded
    clusters = tuple(msgspec.structs.replace(cluster, exempt=exempt) for cluster in loaded.settings.clusters)
    return msgspec.structs.replace(loaded, settings=msgspec.structs.replace(loaded.settings, clusters=clusters))
