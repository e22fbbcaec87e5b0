"""Which namespace a name means: by id, never guessed; foreign ones hide none of ours; a service that cannot be read stops no other."""

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.registry.plan import ManualOverrides, PlannerState, RegistryPlan
from crossmesh.core.topology import CloudMap, VirtualNode
from crossmesh.errors import RefusedError
from crossmesh.usecases import state
from crossmesh.usecases.context import Context

from tests.support.builders import NAMESPACE, context, node, pod
from tests.support.modelled import ACCOUNT, OTHER_ACCOUNT, ModelledWorld


def pinned(where: Context, reference: str, name: str = NAMESPACE) -> Context:
    """The same with `mesh.namespaces: {name: reference}`."""
    mesh = msgspec.structs.replace(where.settings.mesh, namespaces=((name, reference),))
    return msgspec.structs.replace(where, settings=msgspec.structs.replace(where.settings, mesh=mesh))


def why(plan: RegistryPlan) -> set[str]:
    return {held.why for held in plan.withheld}


def filled(*, namespace: bool = True) -> ModelledWorld:
    world = ModelledWorld(namespace=namespace)
    world.clusters.put("a", pod("u1"))
    return world


def test_one_name_in_two_vpcs_is_refused_by_name_with_the_fix_and_asks_aws_for_nothing() -> None:
    world = filled(namespace=False)
    first, second = world.namespace(vpc="vpc-1"), world.namespace(vpc="vpc-2")
    plan = world.run(context())
    (held,) = plan.withheld
    assert (held.why, world.writes()) == ("namespace-ambiguous", [])
    assert first in held.detail
    assert second in held.detail
    assert "mesh: {namespaces: {demo.local: ns-" in held.detail


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("form", ["id", "arn"])
def test_the_settings_say_which_and_discovery_is_asked_by_its_http_name(which: int, form: str) -> None:
    world = filled(namespace=False)
    ids = [world.namespace(vpc="vpc-1"), world.namespace(vpc="vpc-2")]
    meant = world.model.namespaces[ids[which]]
    assert (meant.http_name == NAMESPACE) is (which == 0), "AWS adds a hash to the name of the second"
    where = pinned(context(), meant.id if form == "id" else meant.arn)
    plan = world.run(where)
    assert why(plan) == set()
    assert [set(world.held(ident, "color")) for ident in ids] == [{"a.u1"} if i == which else set() for i in (0, 1)]
    assert codec.decode(world.runs.objects["runs/run-1/verified/1.json"], dict)["missing"] == [], "proved by its own discovery"  # type: ignore[type-var]
    world.writes()
    world.clock.sleep(40.0)
    assert [world.look(where).decision for _ in range(2)][-1] == "quiet"
    assert world.writes() == []


def test_a_second_namespace_of_the_name_does_not_stop_what_stands_in_the_first() -> None:
    world = filled()
    for _ in range(2):  # a service is remembered by the pass after the one that made it
        world.run(context())
    world.namespace(vpc="vpc-2")
    world.clusters.put("a", pod("u22", ip="10.0.0.7"))
    where = context(node("blue", "color"), node("red", "fresh"))
    world.clusters.put("a", pod("v333", "red"))
    plan = world.run(where)
    assert [(held.why, held.pod) for held in plan.withheld] == [("namespace-ambiguous", "demo/pod-v333")], (
        "a new service there would be a guess"
    )
    assert {action.id for action in plan.actions} == {"a.u22"}  # type: ignore[union-attr]


def test_a_namespace_that_is_shared_hides_no_own_one() -> None:
    world = filled()
    world.model.share(OTHER_ACCOUNT, NAMESPACE)
    assert why(world.run(context())) == set()
    assert "RegisterInstance" in world.writes()


def test_a_namespace_that_another_account_shares_is_used_only_where_the_settings_say_so() -> None:
    world = filled(namespace=False)
    shared = world.model.share(OTHER_ACCOUNT, NAMESPACE)
    (held,) = world.run(context()).withheld
    assert held.why == "namespace-shared"
    assert shared.arn in held.detail
    assert world.writes() == []
    where = pinned(context(), shared.arn)
    assert why(world.run(where)) == set()
    assert set(world.held(shared.id, "color")) == {"a.u1"}
    world.writes()
    world.clock.sleep(40.0)
    assert [world.look(where).decision for _ in range(2)][-1] == "quiet"
    world.clusters.remove("a", "u1")
    world.clusters.put("a", pod("u22"))
    world.run(where)
    assert set(world.held(shared.id, "color")) == {"a.u22"}


@pytest.mark.parametrize(
    ("reference", "found"),
    [("ns-nowhere", "sees no such namespace"), (f"arn:aws:servicediscovery:us-east-1:{ACCOUNT}:namespace/ns-nowhere", "sees no such")],
)
def test_settings_that_name_nothing_are_said_so(reference: str, found: str) -> None:
    (held,) = filled().run(pinned(context(), reference)).withheld
    assert (held.why, found in held.detail) == ("namespace-missing", True)


def test_settings_that_name_another_namespace_are_said_so() -> None:
    world = filled()
    other = world.namespace("other.local")
    (held,) = world.run(pinned(context(), other)).withheld
    assert "whose name is other.local" in held.detail


def test_names_of_namespaces_are_compared_exactly_and_the_one_that_looks_alike_is_named() -> None:
    world = filled(namespace=False)
    world.namespace("Demo.local")
    (held,) = world.run(context()).withheld
    assert (held.why, "there is Demo.local" in held.detail) == ("namespace-missing", True)


def test_a_service_whose_name_differs_in_case_only_is_refused_once_by_name_in_a_dns_namespace() -> None:
    world = filled(namespace=False)
    space = world.namespace()
    world.service("Color", space, DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 60}]})
    world.writes()
    for _ in range(2):
        (held,) = world.run(context()).withheld
        assert (held.why, "write Color" in held.detail) == ("name-case", True)
    assert world.writes() == []


def test_such_services_are_two_in_an_http_namespace() -> None:
    world = filled(namespace=False)
    space = world.namespace(kind="Http")
    world.service("Color", space)
    assert why(world.run(context())) == set()
    assert (set(world.held(space, "color")), world.held(space, "Color")) == ({"a.u1"}, {})


@pytest.mark.parametrize("operation", ["GetService", "ListTagsForResource", "ListInstances"])
def test_a_service_that_cannot_be_read_is_named_and_stops_no_other(operation: str) -> None:
    world = filled()
    where = context(node("blue", "color"), node("red", "front"))
    world.clusters.put("a", pod("v1", "red", ip="10.0.0.9"))
    for _ in range(2):
        world.run(where)
    (space,) = world.model.namespaces
    services = world.model.namespaces[space].services
    world.denied = [(operation, services["color"].id)]
    world.clusters.remove("a", "u1")
    world.clusters.put("a", pod("v22", "red", ip="10.0.0.8"))
    before = codec.decode(world.state.documents[state.MEMORY], PlannerState)
    world.clock.sleep(700.0)  # everything is read anew
    assert world.look(where).decision == "apply"
    plan = world.run(where)
    assert set(world.held(space, "front")) == {"a.v1", "a.v22"}
    assert set(world.held(space, "color")) == {"a.u1"}, "what was not read is not removed"
    assert [(held.why, held.service) for held in plan.withheld] == [("unreadable", "color.demo.local")]
    assert plan.memory.services == before.services, "what we wrote into is not forgotten"
    world.denied = []
    for _ in range(2):
        world.clock.sleep(30.0)
        world.look(where)
        world.run(where)
    assert world.held(space, "color") == {}


def test_where_no_service_can_be_read_the_look_fails_as_a_whole() -> None:
    world = filled()
    world.run(context())
    world.denied = [("ListInstances", "")]
    world.clock.sleep(700.0)
    with pytest.raises(RefusedError, match="not authorized"):
        world.look(context())


def test_what_was_decided_before_outlasts_a_service_that_cannot_be_read() -> None:
    """Neither `forget` nor `adopt` counts as carried out, and clocks and sightings stay, while instances may stand where nobody looked."""
    world = filled()
    where = context(node("blue", "color"), node("red", "front"))
    world.clusters.put("a", pod("v1", "red", ip="10.0.0.9"))
    world.run(where)
    memory = codec.decode(world.state.documents[state.MEMORY], PlannerState)
    kept = msgspec.structs.replace(memory, pending_deletions={"color.demo.local/a.u1": 5.0}, terminating={"a/u1": 6.0})
    world.state.write(state.MEMORY, codec.encode(kept))
    world.state.write(state.OPERATOR, codec.encode(ManualOverrides(adopt=9.0, forget={"gone": 9.0})))
    (space,) = world.model.namespaces
    world.denied = [("ListInstances", world.model.namespaces[space].services["color"].id)]
    after = world.run(where).memory
    assert after.pending_deletions == {"color.demo.local/a.u1": 5.0}
    assert after.terminating["a/u1"] == 6.0
    assert (after.adopted, after.forgotten) == (0.0, {})


def elsewhere(name: str, namespace: str) -> VirtualNode:
    return msgspec.structs.replace(node(name), cloud_map=CloudMap(namespace=namespace, service="color"))


def test_one_ambiguous_namespace_stops_no_other() -> None:
    world = filled()
    for vpc in ("vpc-1", "vpc-2"):
        world.namespace("twice.local", vpc)
    world.clusters.put("a", pod("v1", "red", ip="10.0.0.9"))
    plan = world.run(context(node("blue"), elsewhere("red", "twice.local")))
    assert [(held.why, held.pod) for held in plan.withheld] == [("namespace-ambiguous", "demo/pod-v1")]
    assert "RegisterInstance" in world.writes()


def test_what_stands_in_a_namespace_that_the_settings_named_leaves_when_neither_they_nor_documents_name_it() -> None:
    world = filled(namespace=False)
    first, _ = world.namespace(vpc="vpc-1"), world.namespace(vpc="vpc-2")
    other = world.namespace("other.local")
    world.clusters.put("a", pod("v1", "red", ip="10.0.0.9"))
    before = pinned(context(node("blue"), elsewhere("red", "other.local")), first)
    for _ in range(2):
        world.run(before)
    assert set(world.held(first, "color")) == {"a.u1"}
    after = msgspec.structs.replace(context(elsewhere("red", "other.local")), config="c1")
    for _ in range(4):
        world.clock.sleep(30.0)
        world.look(after)
        world.run(after)
    assert list(world.model.namespaces[first].services) == []
    assert set(world.held(other, "color")) == {"a.v1"}
    world.writes()
    assert world.look(after).decision == "quiet"
