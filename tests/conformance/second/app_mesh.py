"""Questions about App Mesh."""

from typing import Any

from crossmesh.core.mesh.backend import MeshTarget

from tests.conformance.second.asked import question
from tests.conformance.second.clouds import Cloud, outcome


class Mesh:
    """A mesh with one node and one router."""

    tags = {"crossmesh:owner": "t"}  # noqa: RUF012 - never changed
    listener = [{"portMapping": {"port": 80, "protocol": "http"}}]  # noqa: RUF012

    def __init__(self, cloud: Cloud, name: str) -> None:
        self.api, self.name = cloud.mesh, name
        self.api.create("CreateMesh", {"meshName": name, "spec": {}}, self.tags, f"{name}-1")
        self.node("n")
        self.api.create(
            "CreateVirtualRouter", {"meshName": name, "virtualRouterName": "r", "spec": {"listeners": self.listener}}, self.tags, f"{name}-2"
        )

    def node(self, node: str) -> None:
        spec = {"listeners": self.listener, "serviceDiscovery": {"dns": {"hostname": f"{node}.local"}}}
        self.api.create("CreateVirtualNode", {"meshName": self.name, "virtualNodeName": node, "spec": spec}, self.tags, f"{self.name}-{node}")

    def target(self, kind: str, name: str, parent: str = "") -> MeshTarget:
        return MeshTarget(mesh=self.name, kind=kind, name=name, parent=parent)

    def route(self, name: str, weight: int = 1, node: str = "n", operation: str = "CreateRoute") -> Any:
        spec = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [{"virtualNode": node, "weight": weight}]}}}
        names = {"meshName": self.name, "virtualRouterName": "r", "routeName": name, "spec": spec}
        if operation == "CreateRoute":
            return self.api.create(operation, names, self.tags, f"{self.name}-{name}-{weight}")
        return self.api.update(operation, names, f"{self.name}-{name}-{weight}")


@question
def mesh_resources_come_back_as_they_were_given(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "given")
    mesh.route("x")
    targets = (mesh.target("virtualNode", "n"), mesh.target("virtualRouter", "r"), mesh.target("route", "x", "r"))
    found = [cloud.mesh.describe(target) for target in targets]
    return [(one.spec, one.status, cloud.mesh.tags(one.arn)) if one else None for one in found]


@question
def a_mesh_comes_back_as_it_was_given(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "plain")
    found = cloud.mesh.describe(mesh.target("mesh", "plain"))
    return found and (found.spec, found.status, cloud.mesh.tags(found.arn))


@question
def a_route_is_updated(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "heavier")
    mesh.route("x")
    mesh.route("x", weight=7, operation="UpdateRoute")
    found = cloud.mesh.describe(mesh.target("route", "x", "r"))
    return found and (found.spec, found.version)


@question
def mesh_resources_are_listed(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "shown")
    mesh.route("x")
    kinds = (("virtualNode", ""), ("virtualRouter", ""), ("route", "r"))
    return [[name for name, _ in cloud.mesh.list("shown", kind, parent)] for kind, parent in kinds]


@question
def a_mesh_resource_once_more(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "once")
    mesh.route("x")
    return outcome(mesh.route, "x", 2)


@question
def mesh_resources_that_are_not_there(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "absent")
    targets = (mesh.target("virtualNode", "none"), mesh.target("route", "none", "r"), MeshTarget(mesh="none", kind="mesh", name="none"))
    return {
        "described": [outcome(cloud.mesh.describe, target) for target in targets],
        "deleted": [outcome(cloud.mesh.delete, target) for target in targets],
        "listed": outcome(cloud.mesh.list, "none", "virtualNode"),
        "updated": outcome(mesh.route, "none", operation="UpdateRoute"),
    }


@question
def a_route_to_a_node_that_is_not_there(cloud: Cloud) -> Any:
    return outcome(Mesh(cloud, "dangling").route, "x", node="none")


@question
def a_mesh_resource_that_others_use_cannot_be_deleted(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "kept")
    mesh.route("x")
    targets = (mesh.target("virtualNode", "n"), mesh.target("virtualRouter", "r"), mesh.target("mesh", "kept"))
    return [outcome(cloud.mesh.delete, target) for target in targets]


@question
def mesh_resources_are_deleted_in_order(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "cleared")
    mesh.route("x")
    targets = (
        mesh.target("route", "x", "r"),
        mesh.target("virtualRouter", "r"),
        mesh.target("virtualNode", "n"),
        mesh.target("mesh", "cleared"),
    )
    for target in targets:
        cloud.mesh.delete(target)
    return [outcome(cloud.mesh.describe, target) for target in targets]


@question
def tags_of_a_mesh_resource(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "tagged")
    found = cloud.mesh.describe(mesh.target("virtualNode", "n"))
    assert found is not None
    cloud.mesh.tag(found.arn, {"more": "yes"})
    return cloud.mesh.tags(found.arn)


@question
def virtual_services_and_gateways(cloud: Cloud) -> Any:
    mesh = Mesh(cloud, "front")
    router = {"provider": {"virtualRouter": {"virtualRouterName": "r"}}}
    gateway = {"listeners": mesh.listener}
    made = [
        outcome(
            cloud.mesh.create, "CreateVirtualService", {"meshName": "front", "virtualServiceName": "s.local", "spec": router}, mesh.tags, "s"
        ),
        outcome(cloud.mesh.create, "CreateVirtualGateway", {"meshName": "front", "virtualGatewayName": "g", "spec": gateway}, mesh.tags, "g"),
    ]
    return made, [[name for name, _ in cloud.mesh.list("front", kind)] for kind in ("virtualService", "virtualGateway")]
