"""`mesh.backend: none`: registry, drift and canaries alone. It keeps no routes, so it sees nothing
and plans nothing.
"""

from collections.abc import Iterable

from crossmesh.core.documents import Document, Finding
from crossmesh.core.mesh.backend import MeshDesired, MeshSummary
from crossmesh.core.observed import Instance
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import Topology


class NoBackend:
    """Implements `core.mesh.backend.MeshBackend`. It has nothing to observe, so its view is None;
    its plan is the empty summary.
    """

    name = "none"
    about = "keeps no routes: registry, drift and canaries only"
    keeps_mesh = False
    reads_endpoints = False
    before_registry = False
    service = ""
    most_endpoints = 0

    def unsupported(
        self, topology: Topology, documents: Iterable[Document], envoy: EnvoySettings | None = None
    ) -> tuple[Finding, ...]:
        """Nothing: whoever chooses it wants no routes kept."""
        del topology, documents, envoy
        return ()

    def render(self, topology: Topology, *, ip_family: str) -> tuple[object, ...]:
        """Nothing."""
        del topology, ip_family
        return ()

    def in_force(self, view: None) -> dict[str, tuple[Instance, ...]]:
        """None: it serves no endpoints."""
        del view
        return {}

    def kept(self, view: None) -> None:
        """All of it."""
        return view

    def plan(self, desired: MeshDesired, view: None) -> MeshSummary:
        """Nothing, whatever is declared."""
        del desired, view
        return MeshSummary()

    def summarize(self, plan: MeshSummary) -> MeshSummary:
        """The plan itself."""
        return plan
