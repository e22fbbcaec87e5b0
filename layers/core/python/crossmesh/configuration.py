"""Where the settings and manifests lie: beside a developer's hand (`config/`), or in the configuration layer of a function."""

import sys
from collections.abc import Iterable
from pathlib import Path

from crossmesh.errors import ConfigError
from crossmesh.manifests.config import LoadedConfig, load_config

FILE = "crossmesh.yaml"


def find_folder(places: Iterable[str] = ()) -> Path:
    """The folder that holds crossmesh.yaml: one of `places`, else a layer's root (/opt, or any root of the import path). Raises FileNotFoundError."""
    for place in (*places, "/opt", *sys.path):
        folder = Path(place)
        for candidate in (folder, folder.parent if folder.name == "python" else folder):
            if (candidate / FILE).is_file():
                return candidate
    raise FileNotFoundError(f"no {FILE} in {', '.join(places) or 'the configuration layer'}")


def load(folder: Path) -> LoadedConfig:
    """Settings and topology. Raises ConfigError with every mistake at once."""
    loaded = load_config(folder)
    if any(finding.level == "error" for finding in loaded.findings) or loaded.settings is None:
        raise ConfigError(loaded.findings)
    return loaded
