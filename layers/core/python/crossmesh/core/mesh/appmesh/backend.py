"""AWS App Mesh as a mesh backend. Pure."""

from collections.abc import Iterable

import msgspec

from crossmesh import codec
from crossmesh.core.documents import Document, Finding
from crossmesh.core.mesh.appmesh import limits, notes
from crossmesh.core.mesh.appmesh.plan import MeshAction, MeshPlan
from crossmesh.core.mesh.appmesh.planner import plan
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.mesh.appmesh.state import MeshView
from crossmesh.core.mesh.appmesh.weights import differences_of, weights_found
from crossmesh.core.mesh.backend import MeshChange, MeshDesired, MeshSummary, WithheldChange
from crossmesh.core.observed import Instance
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import Topology

ENDED = "App Mesh has ended on AWS: `mesh.backend: none`; elsewhere check the rights of the functions' roles"


class AppMeshBackend:
    """Implements `core.mesh.backend.MeshBackend`."""

    name = "appmesh"
    about = "keeps the resources of AWS App Mesh, whose API has ended on AWS"
    keeps_mesh = True
    reads_endpoints = False
    before_registry = False
    service = "appmesh"
    # App Mesh's quota: the 51st Envoy makes running ones fail (user guide, troubleshooting:
    # RESOURCE_EXHAUSTED)
    most_endpoints = 50

    def unsupported(
        self, topology: Topology, documents: Iterable[Document], envoy: EnvoySettings | None = None
    ) -> tuple[Finding, ...]:
        """What its API refuses though AWS's controller would send it, and default quotas:
        warnings.
        """
        del envoy
        return limits.check(topology, documents)

    def render(self, topology: Topology, *, ip_family: str) -> tuple[object, ...]:
        """The requests to its API."""
        return tuple(msgspec.to_builtins(request) for request in requests(topology, ip_family=ip_family))

    def in_force(self, view: MeshView) -> dict[str, tuple[Instance, ...]]:
        """None: it serves no endpoints."""
        del view
        return {}

    def kept(self, view: MeshView) -> MeshView:
        """All of it."""
        return view

    def plan(self, desired: MeshDesired, view: MeshView) -> MeshPlan:
        """The requests that the topology means, compared with what App Mesh holds."""
        asked, anchored = requests(desired.topology), desired.anchored
        made = plan(asked, view, owner=desired.owner, adopt=desired.adopt, remove=desired.remove, anchored=anchored)
        told = notes.of_plan(made)
        if desired.conflict and made.actions:
            waits = f"mesh: {len(made.actions)} changes wait, for another deployment uses this owner"
            return msgspec.structs.replace(made, actions=(), notes=(*told, waits))
        return msgspec.structs.replace(made, notes=told)

    def summarize(self, plan: MeshPlan) -> MeshSummary:
        """One change for each action."""
        return MeshSummary(
            changes=tuple(_change(action) for action in plan.actions),
            withheld=tuple(
                WithheldChange(target=held.target, detail=held.detail, fix=held.fix) for held in plan.withheld
            ),
            notes=plan.notes,
            unavailable=plan.unavailable,
            fix=ENDED if plan.unavailable else "",
            gone=plan.gone,
        )


def _change(action: MeshAction) -> MeshChange:
    return MeshChange(
        action=action.verb,
        target=action.target,
        detail=action.reason,
        differences=differences_of(action),
        weights=weights_found(action) if action.verb == "update" and action.target.kind == "route" else None,
        digest=codec.digest(codec.encode(action))[:16],
    )
