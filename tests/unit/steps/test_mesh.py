"""The mesh step through the real adapter over the world's App Mesh: as declared, then quiet; own before touch; every cut and every refusal ends exact."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.mesh.appmesh.diff import differences
from crossmesh.core.mesh.appmesh.plan import MeshPlan
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.mesh.appmesh.state import ORDER
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.registry.plan import RegistryPlan
from crossmesh.driver import drive
from crossmesh.errors import ServiceGone
from crossmesh.steps import reconcile_mesh
from crossmesh.usecases import state
from crossmesh.usecases.context import Context
from crossmesh.usecases.mesh.appmesh import observing

from tests.support.cutting import cut
from tests.support.manifest_texts import HEAD, node
from tests.support.mesh_runs import (
    AFTER,
    ONE,
    app_mesh,
    declared_by,
    exact,
    new_world,
    reconcile,
    route,
    router,
    service,
    starting,
    wanted,
)
from tests.support.mesh_size import many
from tests.support.model_mesh import ModelMesh, target_at
from tests.support.passes import MemoryWorld
from world.aws.models.errors import AwsError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def rich() -> Context:
    """Every field of every kind."""
    return declared_by((ROOT / "tests" / "golden" / "every-field.yaml").read_text())


def test_all_kinds_are_built_in_order_and_then_it_is_quiet(rich: Context) -> None:
    world = new_world()
    answer = reconcile(world, rich)
    assert (answer.applied, answer.failed) == (len(wanted(rich)), 0)
    assert exact(world, rich)
    kinds = [ORDER.index(target.kind) for target in app_mesh(world).specs()]
    assert kinds == sorted(kinds)
    assert all(resource.tags == {OWNER_TAG: "me"} for resource in app_mesh(world).model._resources.values())
    before = app_mesh(world).writes()
    assert reconcile(world, rich).actions == 0
    assert app_mesh(world).writes() == before


@pytest.mark.parametrize("how", ["deleted", "altered"])
def test_any_single_resource_deleted_or_altered_is_back_after_one_pass(rich: Context, how: str) -> None:
    world = new_world()
    reconcile(world, rich)
    foreign = {"mesh": "shop-mesh", "virtualNodeName": "somebody", "spec": {"listeners": []}}
    app_mesh(world).model.call("CreateVirtualNode", {**foreign, "meshName": "shop-mesh"})
    for victim in wanted(rich):
        spoilt = damaged(app_mesh(world), victim, how)
        assert not exact_but_foreign(world, rich), victim
        answer = reconcile(world, rich)
        assert answer.failed == 0, victim
        assert answer.applied >= len(spoilt), victim
        assert exact_but_foreign(world, rich), victim


def exact_but_foreign(world: MemoryWorld, where: Context) -> bool:
    specs = app_mesh(world).specs()
    foreign = {target for target in specs if target.name == "somebody"}
    assert foreign, "the foreign node is gone"
    want = wanted(where)
    return specs.keys() - foreign == want.keys() and all(differences(want[t], specs[t]) == () for t in want)


def damaged(api: ModelMesh, victim: MeshTarget, how: str) -> list[MeshTarget]:
    """Somebody deletes a resource (and what App Mesh wants gone before it) or writes another spec into it."""
    model, key = api.model, next(key for key in api.model._resources if target_at(key) == victim)
    if how == "altered":
        spec = dict(model._resources[key].spec)
        spec = {"egressFilter": {"type": "DROP_ALL"}} if victim.kind == "mesh" else {**spec, **ALTERED[victim.kind](spec)}
        model._resources[key].spec = spec
        return [victim]
    out: list[MeshTarget] = []

    def take(key: tuple[str, ...]) -> None:
        resource = model._resources.get(key)
        if resource is None or key[-1] == "somebody":
            return
        for children in resource.children.values():
            for child in list(children.values()):
                take(child.key)
        for user in sorted(resource.used_by):
            take(user)
        if any(children for children in resource.children.values()):
            return
        api.delete(target_at(key))
        out.append(target_at(key))

    take(key)
    return out  # of a mesh all but itself, which the foreign node keeps


ALTERED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "virtualNode": lambda spec: {"logging": {"accessLog": {"file": {"path": "/tmp/elsewhere"}}}},
    "virtualGateway": lambda spec: {"logging": {"accessLog": {"file": {"path": "/tmp/elsewhere"}}}},
    "virtualRouter": lambda spec: {"listeners": [*spec["listeners"], {"portMapping": {"port": 7777, "protocol": "http"}}]},
    "route": lambda spec: {"priority": 999},
    "virtualService": lambda spec: {"provider": {}},
    "gatewayRoute": lambda spec: {"priority": 998},
}


def test_any_change_of_the_mesh_is_made_in_one_pass_without_a_refusal() -> None:
    for name, texts in AFTER.items():
        world, after = new_world(), declared_by(*texts)
        reconcile(world, declared_by(*ONE))
        answer = reconcile(world, after)
        assert (answer.failed, exact(world, after)) == (0, True), name
        back = reconcile(world, declared_by(*ONE))
        assert (back.failed, exact(world, declared_by(*ONE))) == (0, True), f"back from {name}"
        assert reconcile(world, declared_by(*ONE)).actions == 0


def test_no_route_is_ever_away_while_a_second_listener_comes_or_a_named_port_moves() -> None:
    before = declared_by(HEAD, node("a"), router(route("one", "a", match="{prefix: /, port: 8080}")), service())
    after = declared_by(HEAD, node("a"), router(route("one", "a", match="{prefix: /, port: 9090}"), "{port: 9090, protocol: http}"), service())
    world = new_world()
    reconcile(world, before)
    assert reconcile(world, after).failed == 0
    assert exact(world, after)
    assert "DeleteRoute" not in app_mesh(world).client.calls


CUTS = [("created", None, ONE), *((name, ONE, texts) for name, texts in AFTER.items())]


@pytest.mark.parametrize(("name", "first", "then"), CUTS)
def test_a_run_killed_at_any_call_and_started_again_ends_exact(name: str, first: tuple[str, ...] | None, then: tuple[str, ...]) -> None:
    """After each call, which is before the next one: the calls of a group happen one by one here."""
    after, at = declared_by(*then), 0
    while True:
        world = new_world()
        if first is not None:
            reconcile(world, declared_by(*first))
        whole = cut(reconcile_mesh.run(starting(world, after), after), world, at, after=True)
        answer = reconcile(world, after)
        assert answer.failed == 0, f"{name}: cut after call {at}"
        assert exact(world, after), f"{name}: cut after call {at}"
        assert reconcile(world, after).actions == 0, "and then it is quiet"
        if whole:
            break
        at += 1
    assert at > 15


@pytest.mark.parametrize("code", ["TooManyRequestsException", "InternalServerErrorException"])
@pytest.mark.parametrize("done", [False, True], ids=["without effect", "with effect"])
@pytest.mark.parametrize("name", ["weights", "another protocol", "a second listener", "everything removed"])
def test_a_write_that_fails_once_is_asked_again_in_the_same_run(name: str, done: bool, code: str) -> None:
    after, at = declared_by(*AFTER[name]), 0
    while True:
        world = new_world()
        reconcile(world, declared_by(*ONE))
        spoilt = spoil_one(app_mesh(world), at, code, done=done)
        answer = reconcile(world, after)
        assert (answer.failed, exact(world, after)) == (0, True), f"write {at}"
        if not spoilt:
            break
        at += 1
    assert at > 0


def spoil_one(api: ModelMesh, at: int, code: str, *, done: bool) -> list[str]:
    """The write number `at` from now on fails once; what failed."""
    count, spoilt = 0, []

    def spoil(operation: str, after: bool) -> str | None:
        nonlocal count
        if after is not done or not operation.startswith(("Create", "Update", "Delete")):
            return None
        count += 1
        if count - 1 == at:
            spoilt.append(operation)
            return code
        return None

    api.client.spoil = spoil
    return spoilt


def refusals(api: ModelMesh, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What App Mesh itself refuses from now on, but for what somebody laid in the way."""
    found: list[str] = []
    real = api.model.call

    def noted(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return real(operation, request)
        except AwsError as error:
            if operation.startswith(("Create", "Update", "Delete")):
                found.append(f"{operation}: {error}")
            raise

    monkeypatch.setattr(api.model, "call", noted)
    return found


@pytest.mark.parametrize(("name", "first", "then"), CUTS)
def test_a_write_that_is_refused_for_want_of_rights_is_no_ground_to_ask_for_what_needs_it(
    name: str, first: tuple[str, ...] | None, then: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    after, at = declared_by(*then), 0
    while True:
        world = new_world()
        if first is not None:
            reconcile(world, declared_by(*first))
        refused = refusals(app_mesh(world), monkeypatch)
        spoilt = spoil_one(app_mesh(world), at, "AccessDeniedException", done=False)
        answer = reconcile(world, after)
        assert refused == [], f"{name}: write {at}, {spoilt}"
        if not spoilt:
            break
        assert answer.failed >= 1
        assert reconcile(world, after).failed == 0, f"{name}: after write {at}"
        assert exact(world, after), f"{name}: after write {at}"
        at += 1
    assert at > 0


def test_what_somebody_made_anew_between_two_tries_is_not_overwritten() -> None:
    world, where = new_world(), declared_by(*ONE)
    reconcile(world, where)
    api = app_mesh(world)
    names = {"meshName": "shop", "virtualRouterName": "r_shop", "routeName": "one"}
    api.model._resources["route", "shop", "r_shop", "one"].spec["priority"] = 7
    theirs = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [{"virtualNode": "b_shop", "weight": 1}]}}}
    tries = []

    def spoil(operation: str, done: bool) -> str | None:
        if operation != "UpdateRoute" or done:
            return None
        tries.append(operation)
        if len(tries) > 1:
            return None
        api.model.call("DeleteRoute", names)
        api.model.call("CreateRoute", {**names, "spec": theirs, "tags": [{"key": OWNER_TAG, "value": "other"}]})
        return "InternalServerErrorException"

    api.client.spoil = spoil
    answer = reconcile(world, where)
    assert (answer.failed, len(tries)) == (1, 1)
    assert api.model._resources["route", "shop", "r_shop", "one"].spec == theirs


def test_an_api_that_fails_on_and_on_ends_the_pass_and_the_next_one_goes_on() -> None:
    world, where = new_world(), declared_by(*ONE)
    app_mesh(world).client.spoil = lambda operation, done: "InternalServerErrorException" if operation == "CreateRoute" else None
    answer = reconcile(world, where)
    assert answer.failed == 2  # both routes; all that needs none of them is there
    assert answer.applied == len(wanted(where)) - 2
    app_mesh(world).client.spoil = lambda operation, done: None
    assert reconcile(world, where).failed == 0
    assert exact(world, where)


def test_what_carries_no_tag_of_ours_is_neither_changed_nor_removed() -> None:
    world, where = new_world(), declared_by(*ONE)
    reconcile(world, where)
    model = app_mesh(world).model
    model.call("CreateVirtualNode", {"meshName": "shop", "virtualNodeName": "somebody", "spec": {}})
    key = ("route", "shop", "r_shop", "two")
    theirs = {"httpRoute": {"match": {"prefix": "/x"}, "action": {"weightedTargets": [{"virtualNode": "somebody", "weight": 1}]}}}
    model._resources[key].spec, model._resources[key].tags = theirs, {OWNER_TAG: "other"}
    before, writes = app_mesh(world).specs(), app_mesh(world).writes()
    answer = reconcile(world, where)
    assert (answer.actions, answer.withheld) == (0, 1)
    assert (app_mesh(world).specs(), app_mesh(world).writes()) == (before, writes)


def test_adoption_takes_over_what_nobody_marked_but_never_what_another_owner_has() -> None:
    world, where = new_world(), declared_by(*ONE, adopt=True)
    reconcile(world, where)
    model = app_mesh(world).model
    for name, tags in (("one", {}), ("two", {OWNER_TAG: "other"})):
        resource = model._resources["route", "shop", "r_shop", name]
        resource.spec, resource.tags = {**resource.spec, "priority": 7}, dict(tags)
    answer = reconcile(world, where)
    assert (answer.applied, answer.withheld) == (1, 1)
    assert model._resources["route", "shop", "r_shop", "one"].tags == {OWNER_TAG: "me"}
    assert model._resources["route", "shop", "r_shop", "two"].spec["priority"] == 7


def test_a_node_that_somebody_elses_route_still_uses_stays_and_is_told_without_a_call() -> None:
    world = new_world()
    reconcile(world, declared_by(*ONE))
    model = app_mesh(world).model
    spec = {"httpRoute": {"match": {"prefix": "/x"}, "action": {"weightedTargets": [{"virtualNode": "a_shop", "weight": 1}]}}}
    model.call("CreateRoute", {"meshName": "shop", "virtualRouterName": "r_shop", "routeName": "theirs", "spec": spec})
    after = declared_by(*AFTER["a node and its route removed"])
    first = reconcile(world, after)
    assert (first.failed, first.withheld) == (0, 1)
    quiet = reconcile(world, after)
    assert (quiet.actions, quiet.withheld) == (0, 1), "ResourceInUse is foreseen, not met each minute"
    model.call("DeleteRoute", {"meshName": "shop", "virtualRouterName": "r_shop", "routeName": "theirs"})
    assert reconcile(world, after).failed == 0
    assert exact(world, after)


def test_somebody_elses_route_that_needs_the_old_listener_keeps_it_and_all_else_goes_on() -> None:
    world = new_world()
    reconcile(world, declared_by(*ONE))
    spec = {"httpRoute": {"match": {"prefix": "/x"}, "action": {"weightedTargets": [{"virtualNode": "a_shop", "weight": 1}]}}}
    model = app_mesh(world).model
    model.call("CreateRoute", {"meshName": "shop", "virtualRouterName": "r_shop", "routeName": "theirs", "spec": spec})
    after = declared_by(*AFTER["another protocol"])
    answer = reconcile(world, after)
    assert answer.failed == 0
    assert answer.withheld == 2  # the router, and its route that needs the new listener
    assert MeshTarget(mesh="shop", kind="route", parent="r_shop", name="theirs") in app_mesh(world).specs()
    model.call("DeleteRoute", {"meshName": "shop", "virtualRouterName": "r_shop", "routeName": "theirs"})
    reconcile(world, after)
    assert exact(world, after)


def test_upsert_only_removes_nothing() -> None:
    world = new_world()
    reconcile(world, declared_by(*ONE))
    before = app_mesh(world).specs().keys()
    reconcile(world, declared_by(*AFTER["weights"][:3], AFTER["weights"][3], removals="upsert-only"))
    assert app_mesh(world).specs().keys() == before


def test_an_update_that_another_writer_undid_is_no_success() -> None:
    world, where = new_world(), declared_by(*ONE)
    reconcile(world, where)
    api = app_mesh(world)
    key = ("route", "shop", "r_shop", "one")
    wrong = {**api.model._resources[key].spec, "priority": 9}
    api.model._resources[key].spec = wrong
    update = api.update

    def undone(operation: str, request: dict[str, object], token: str) -> None:
        update(operation, request, token)
        api.model._resources[key].spec = wrong

    api.update = undone  # type: ignore[method-assign]
    answer = reconcile(world, where)
    assert (answer.applied, answer.failed) == (0, 1)


def test_an_api_that_is_gone_is_an_outcome_and_no_error() -> None:
    world, where = new_world(), declared_by(*ONE)

    def gone(*_: object) -> None:
        raise ServiceGone("EndpointConnectionError", "could not connect to App Mesh")

    app_mesh(world).describe = gone  # type: ignore[method-assign,assignment]
    answer = reconcile(world, where)
    assert answer.done
    assert "could not connect" in answer.unavailable
    assert app_mesh(world).writes() == 0


def test_a_quiet_pass_over_200_nodes_and_1000_routes_costs_one_read_a_resource_plus_lists_and_no_write() -> None:
    world, where = new_world(), msgspec.structs.replace(declared_by(), topology=many(200))
    api = app_mesh(world)
    for request in requests(where.topology):
        api.model.call(request.operation, {**request.input, "tags": [{"key": OWNER_TAG, "value": "me"}]})
    assert reconcile(world, where).actions == 0
    assert sum(count for operation, count in api.client.calls.items() if operation.startswith("Describe")) == len(wanted(where)) == 1601
    lists = {operation: count for operation, count in api.client.calls.items() if not operation.startswith("Describe")}
    assert lists == {
        "ListVirtualNodes": 2,
        "ListVirtualGateways": 1,
        "ListVirtualRouters": 2,
        "ListVirtualServices": 2,
        "ListRoutes": 200,
    }, "pages of 100, one a router"


def test_while_another_deployment_uses_our_owner_the_mesh_waits_and_says_so() -> None:
    where, world = declared_by(HEAD, node("blue")), new_world()
    for conflict in (True, False):
        asked = starting(world, where)
        world.runs.put(state.key(asked.run.id, "plan"), codec.encode(RegistryPlan(conflict=conflict)))
        found = drive(reconcile_mesh.run(asked, where), world.ports)
        made = drive(state.load(found.plan, MeshPlan), world.ports)
        assert bool(app_mesh(world).specs()) is not conflict
        assert any("another deployment uses this owner" in note for note in made.notes) is conflict


def described(world: MemoryWorld, where: Context) -> list[MeshTarget]:
    """What an observation of the mesh asks App Mesh to describe."""
    asked: list[MeshTarget] = []
    describe = world.mesh.describe

    def counting(target: MeshTarget) -> Any:
        asked.append(target)
        return describe(target)

    world.mesh.describe = counting  # type: ignore[method-assign]
    drive(observing.observe(where), world.ports)
    return asked


def test_a_mesh_that_does_not_exist_is_asked_of_once_and_nothing_in_it() -> None:
    where = declared_by(*ONE)
    assert [target.kind for target in described(new_world(), where)] == ["mesh"]


def test_of_two_meshes_only_what_exists_is_described() -> None:
    second = "---\napiVersion: appmesh.k8s.aws/v1beta2\nkind: Mesh\nmetadata: {name: second}\nspec: {namespaceSelector: {matchLabels: {mesh: second}}}\n"
    two = declared_by(*ONE, second)
    world = new_world()
    assert {target.kind for target in described(world, two)} == {"mesh"}
    reconcile(world, two)
    again = described(world, two)
    assert (len(again), set(again)) == (len(wanted(two)), set(wanted(two)))
