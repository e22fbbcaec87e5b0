"""What the live state says about the mesh: told, each with its place, and nothing where all is well."""

from crossmesh.core.mesh.appmesh.notes import of_plan
from crossmesh.core.mesh.appmesh.planner import plan
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.mesh.appmesh.state import MeshResource, MeshView, target_of
from crossmesh.core.mesh.notes import crowded, of_state
from crossmesh.core.observed import Instance, RegistryView, ServiceView
from crossmesh.core.registry.plan import Deregister, Register, RegistryPlan
from crossmesh.core.topology import Topology

from tests.support.builders import NAMESPACE, node
from tests.support.manifest_texts import HEAD, built, manifest
from tests.support.manifest_texts import node as node_text
from tests.support.routed_topology import topology as routed

BLUE, RED = node("blue", color="blue"), node("red", color="red")


def mesh() -> Topology:
    found = routed()
    return Topology(nodes=(BLUE, RED), routers=found.routers, services=found.services)


def registry(*colours: str) -> RegistryView:
    instances = tuple(Instance(id=f"i{n}", attributes={"color": colour, "AWS_INSTANCE_IPV4": "10.0.0.1"}) for n, colour in enumerate(colours))
    service = ServiceView(namespace=NAMESPACE, service="color", namespace_id="ns", namespace_type="DNS_PRIVATE", id="s", instances=instances)
    return RegistryView(begun=1.0, services=(service,))


def register(colour: str) -> Register:
    about = {"namespace": NAMESPACE, "service": "color", "id": "new", "cluster": "a", "node": "demo/red", "pod": "p", "reason": "new"}
    return Register(**about, attributes={"color": colour})


def deregister(instance: str) -> Deregister:
    about = {"namespace": NAMESPACE, "service": "color", "cluster": "a", "node": "demo/red", "pod": "p", "reason": "gone"}
    return Deregister(**about, id=instance, owner="me", uid="u", why="gone")


def test_a_routed_node_whose_attributes_match_no_instance_is_told_with_its_place() -> None:
    (told,) = of_state(mesh(), registry("blue", "mauve"), RegistryPlan())
    assert told == f"virtual node demo/red (mesh.yaml:1) matches no instance of color.{NAMESPACE} (color=red): requests routed to it are lost"


def test_what_is_about_to_be_registered_counts_and_what_is_about_to_go_does_not() -> None:
    assert of_state(mesh(), registry("blue"), RegistryPlan(actions=(register("red"),))) == ()
    (told,) = of_state(mesh(), registry("blue", "red"), RegistryPlan(actions=(deregister("i1"),)))
    assert "demo/red" in told


def test_a_node_that_nothing_is_routed_to_may_be_empty() -> None:
    assert of_state(Topology(nodes=(BLUE,)), registry(), RegistryPlan()) == ()
    unweighted = Topology(nodes=(BLUE, RED), routers=routed(blue=0).routers)
    assert [told.split(" (")[0] for told in of_state(unweighted, registry(), RegistryPlan())] == ["virtual node demo/red"]


def test_more_envoys_than_the_backend_serves_are_told() -> None:
    (told,) = crowded(mesh(), registry("red", *["blue"] * 51), RegistryPlan(), 50)
    assert "demo/blue" in told
    assert "51 instances" in told
    assert crowded(mesh(), registry("red", *["blue"] * 50), RegistryPlan(), 50) == ()
    assert crowded(mesh(), registry("red", *["blue"] * 51), RegistryPlan(), 0) == (), "any number"


def test_more_instances_than_a_namespace_takes_are_told() -> None:
    many = of_state(mesh(), registry("red", *["blue"] * 2_000), RegistryPlan())
    assert f"namespace {NAMESPACE} will hold 2,001 instances, the default quota is 2,000: have it raised" in many


CHECK = "{protocol: http, path: /ping, healthyThreshold: 2, unhealthyThreshold: 2, timeoutMillis: 2000, intervalMillis: %d}"


def test_a_health_check_that_changes_in_place_is_told_and_one_that_comes_or_goes_is_not() -> None:
    def declared(interval: int) -> str:
        check = f", healthCheck: {CHECK % interval}" if interval else ""
        return node_text("a").replace("protocol: http}}", f"protocol: http}}{check}}}")

    def noted(old: int, new: int) -> tuple[str, ...]:
        before, after = (requests(built(HEAD, declared(interval))[0].topology) for interval in (old, new))
        held = tuple(MeshResource(target=target_of(r), arn="arn", spec=r.input["spec"], tags={"crossmesh:owner": "me"}) for r in before)
        return of_plan(plan(after, MeshView(resources=held), owner="me"))

    (told,) = noted(5000, 6000)
    assert told.startswith("virtualNode a_shop in shop: its health check changes in place")
    assert (noted(0, 5000), noted(5000, 0), noted(5000, 5000)) == ((), (), ())


def test_more_gateway_routes_than_the_quota_is_a_warning_with_its_place() -> None:
    gateway = manifest("VirtualGateway", "in", "namespaceSelector: {}\nlisteners: [{portMapping: {port: 80, protocol: http}}]")
    service = manifest("VirtualService", "s", "provider: {virtualNode: {virtualNodeRef: {name: a}}}")
    to = "action: {target: {virtualService: {virtualServiceRef: {name: s}}}}"
    routes = [manifest("GatewayRoute", f"r{n:02}", f"httpRoute: {{match: {{prefix: /{n}}}, {to}}}") for n in range(11)]
    for count, said in ((10, []), (11, ["11 gateway routes of in_shop in mesh shop, the default quota is 10"])):
        found = built(HEAD, node_text("a"), gateway, service, *routes[:count])[1]
        assert [finding.message for finding in found if finding.code == "quota"] == said
