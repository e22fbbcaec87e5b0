"""A change of the mesh that is withheld has the fix of its own reason: what helps against one does nothing against another."""

from typing import Any

from crossmesh.core.mesh.appmesh.planner import plan
from crossmesh.core.mesh.appmesh.state import AppMeshRequest, MeshResource, MeshView
from crossmesh.core.mesh.backend import MeshTarget

NODE = MeshTarget(mesh="m", kind="virtualNode", name="n")
OTHER = MeshTarget(mesh="m", kind="virtualNode", name="old")
SERVICE = MeshTarget(mesh="m", kind="virtualService", name="s")
OURS = {"crossmesh:owner": "me"}
USES_OLD = {"provider": {"virtualNode": {"virtualNodeName": "old"}}}


def found(target: MeshTarget, spec: dict[str, Any], tags: dict[str, str]) -> MeshResource:
    return MeshResource(target=target, arn=f"arn:{target.name}", spec=spec, tags=tags)


def fixes(*resources: MeshResource, anchored: tuple[str, ...] = ()) -> dict[MeshTarget, str]:
    """Of a plan for one virtual node that is found at another place."""
    spec = {"serviceDiscovery": {"dns": {"hostname": "new"}}}
    asked = AppMeshRequest(service="appmesh", operation="CreateVirtualNode", input={"meshName": "m", "virtualNodeName": "n", "spec": spec})
    made = plan([asked], MeshView(resources=resources), owner="me", anchored=anchored)
    return {held.target: held.fix for held in made.withheld}


def test_each_reason_has_a_fix_of_its_own() -> None:
    """The reported case: all of them said how to take a resource over."""
    spec = {"serviceDiscovery": {"dns": {"hostname": "old"}}}
    unmarked = fixes(found(NODE, spec, {}))[NODE]
    theirs = fixes(found(NODE, spec, {"crossmesh:owner": "you"}))[NODE]
    moving = fixes(found(NODE, spec, OURS), anchored=("n",))[NODE]
    used = fixes(found(OTHER, {}, OURS), found(SERVICE, USES_OLD, {}))[OTHER]
    assert "crossmesh adopt" in unmarked
    assert "owner 'you'" in theirs
    assert moving.startswith("fix what withholds the registration there")
    assert used == "delete virtualService s in m, or what names it there; or declare it again"
    assert not any("adopt" in one for one in (theirs, moving, used))
