"""All mesh backends by name. A new one has a line here, one in `usecases.mesh.drivers` and its name
in `core.settings.Backend`.
"""

from typing import Any

from crossmesh.core.compiler.build import BuildResult
from crossmesh.core.documents import Finding
from crossmesh.core.mesh.appmesh.backend import AppMeshBackend
from crossmesh.core.mesh.backend import MeshBackend
from crossmesh.core.mesh.none import NoBackend
from crossmesh.core.mesh.xds.backend import EnvoyBackend
from crossmesh.core.settings import EnvoySettings, ManifestSource, MeshSettings, Settings

_ALL: tuple[MeshBackend[Any, Any], ...] = (AppMeshBackend(), EnvoyBackend(), NoBackend())
BACKENDS: dict[str, MeshBackend[Any, Any]] = {backend.name: backend for backend in _ALL}


_DEFAULT = MeshSettings(manifests=ManifestSource()).backend


def unsupported(built: BuildResult, settings: Settings | None = None) -> tuple[Finding, ...]:
    """What the backend of the settings cannot express of what was built; without settings the
    default backend.
    """
    backend = BACKENDS[settings.mesh.backend if settings else _DEFAULT]
    envoy = settings.mesh.envoy if settings else EnvoySettings()
    return backend.unsupported(built.topology, built.documents, envoy)


def backend_of(settings: Settings) -> MeshBackend[Any, Any]:
    """The backend that the settings name."""
    return BACKENDS[settings.mesh.backend]
