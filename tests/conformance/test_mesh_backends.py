"""One suite that every mesh backend passes: App Mesh's, none, and the toy of the tests. Each runs behind the same step, look and report."""

import pytest
from crossmesh import codec
from crossmesh.core.compiler.build import build
from crossmesh.core.diagnosis.mesh import mesh_breaks
from crossmesh.core.mesh.backend import MeshDesired, MeshSummary
from crossmesh.core.mesh.backends import BACKENDS, backend_of, unsupported
from crossmesh.core.mesh.request_path import RequestPath
from crossmesh.core.mesh.shift_weights import Shift, digest_of
from crossmesh.core.registry.decision import DecidedEndpoint, EndpointDecision
from crossmesh.core.registry.endpoints import Endpoint
from crossmesh.core.registry.plan import RegistryPlan
from crossmesh.core.reporting.report import summary
from crossmesh.driver import drive
from crossmesh.errors import LeaseLost
from crossmesh.manifests import load
from crossmesh.steps import look, reconcile_mesh, report_run
from crossmesh.usecases import state
from crossmesh.usecases.context import Context
from crossmesh.usecases.mesh import drivers
from crossmesh.usecases.mesh.driver import MeshOutcome
from crossmesh.usecases.traffic_shifts import SHIFTS

from tests.support import toy_backend
from tests.support.cutting import cut
from tests.support.diagnosis_world import facts
from tests.support.manifest_texts import HEAD, built, node
from tests.support.mesh_grounds import GONE, GROUNDS, Ground, ToyGround, board_of, declared
from tests.support.mesh_runs import AFTER, ONE, reconcile, route, router, service, starting
from tests.support.passes import MemoryWorld


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    toy_backend.install(monkeypatch)


@pytest.fixture(params=GROUNDS, ids=lambda ground: ground.name)
def ground(request: pytest.FixtureRequest) -> Ground:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[ground for ground in GROUNDS if ground.target], ids=lambda ground: ground.name)
def keeper(request: pytest.FixtureRequest) -> Ground:
    """A backend that keeps something."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[ground for ground in GROUNDS if ground.shared], ids=lambda ground: ground.name)
def sharer(request: pytest.FixtureRequest) -> Ground:
    """A backend whose mesh others may write into, too."""
    return request.param  # type: ignore[no-any-return]


def seen(world: MemoryWorld, where: Context, endpoints: EndpointDecision | None = None) -> drivers.MeshPass:
    """What a pass would do now."""
    decided = EndpointDecision() if endpoints is None else endpoints
    passing = drivers.observe_and_plan(where, None, adopt=where.settings.mesh.adopt, beside=RegistryPlan(), endpoints=decided)
    return drive(passing, world.ports)


def kept(world: MemoryWorld, answer: reconcile_mesh.Response) -> MeshSummary:
    """The summary that a run kept."""
    data = world.runs.get(answer.plan.replace("/plan.json", "/summary.json"))
    return codec.decode(data, MeshSummary) if data else MeshSummary()


def test_every_backend_that_there_is_passes_this_suite() -> None:
    assert {ground.name for ground in GROUNDS} == BACKENDS.keys() == drivers.DRIVERS.keys()


def test_a_pass_builds_what_is_declared_and_the_second_plans_and_writes_nothing(ground: Ground) -> None:
    world, where = ground.world(), declared(ground.name, *ONE)
    first = reconcile(world, where)
    assert (first.done, first.failed, first.applied) == (True, 0, first.actions)
    assert ground.exact(world, where)
    assert bool(first.actions) is bool(ground.target)
    writes = ground.writes(world)
    second = reconcile(world, where)
    assert (second.actions, second.withheld, ground.writes(world)) == (0, 0, writes)
    assert kept(world, second) == MeshSummary(), "all is as declared"


def test_the_same_inputs_give_the_same_plan_to_the_byte(ground: Ground) -> None:
    where, backend = declared(ground.name, *ONE), BACKENDS[ground.name]
    world = ground.world()
    view = seen(world, where).view
    desired = MeshDesired(topology=where.topology, owner="me")
    plans = [backend.plan(desired, view) for _ in range(2)]
    assert codec.encode(plans[0]) == codec.encode(plans[1])
    assert codec.encode(backend.summarize(plans[0])) == codec.encode(backend.summarize(plans[1]))
    again = codec.decode(codec.encode(plans[0]), type(plans[0]))
    assert again == plans[0], "what is kept of a run is the plan"


def test_each_change_says_what_it_does_to_which_resource_and_why(keeper: Ground) -> None:
    summary = seen(keeper.world(), declared(keeper.name, *ONE)).summary
    assert {change.action for change in summary.changes} == {"create"}
    assert keeper.target in [change.target for change in summary.changes]
    assert all(change.detail and change.digest for change in summary.changes)
    assert len({change.digest for change in summary.changes}) == len(summary.changes), "two changes that differ never pass for one"


def weighted(blue: int, green: int) -> tuple[str, ...]:
    routes = route("one", "a", "b").replace("{name: a}, weight: 1", f"{{name: a}}, weight: {blue}")
    return (HEAD, node("a"), node("b"), router(routes.replace("{name: b}, weight: 1", f"{{name: b}}, weight: {green}")), service())


@pytest.mark.parametrize(("found", "wanted"), [((1, 0), (1, 3)), ((5, 5), (9, 1)), ((2, 2), (0, 2))])
def test_a_weight_that_differs_is_told_by_its_virtual_node(keeper: Ground, found: tuple[int, int], wanted: tuple[int, int]) -> None:
    world = keeper.world()
    reconcile(world, declared(keeper.name, *weighted(*found)))
    (change,) = seen(world, declared(keeper.name, *weighted(*wanted))).summary.changes
    assert (change.action, change.target) == ("update", keeper.target)
    differ = [(name, old, new) for name, old, new in zip(("a", "b"), found, wanted, strict=True) if old != new]
    assert [str(one) for one in change.differences] == [f"weight of {name}_shop: found {old}, declared {new}" for name, old, new in differ]
    assert change.weights == {f"{name}_shop": weight for name, weight in zip(("a", "b"), found, strict=True) if weight}


def test_weights_in_force_are_planned_and_not_the_declared_ones(keeper: Ground) -> None:
    world, where = keeper.world(), declared(keeper.name, *weighted(1, 0))
    reconcile(world, where)
    (standing,) = (r for one in where.topology.routers for r in one.routes)
    about = {"service": "shop/s", "mesh": "shop", "router": "r_shop", "route": "one", "document": digest_of(standing)}
    shift = Shift(id="x", **about, start={"a_shop": 1, "b_shop": 0}, goal={"a_shop": 1, "b_shop": 3})  # type: ignore[arg-type]
    world.state.write(SHIFTS, codec.encode((shift,)))
    answer = reconcile(world, where)
    assert (answer.actions, answer.applied) == (1, 1)
    assert keeper.exact(world, declared(keeper.name, *weighted(1, 3)))
    assert reconcile(world, where).actions == 0


@pytest.mark.parametrize("name", ["created", "weights", "a node and its route removed", "everything removed"])
def test_a_run_cut_at_any_call_and_started_again_ends_exact(ground: Ground, name: str) -> None:
    after = declared(ground.name, *(ONE if name == "created" else AFTER[name]))
    at, whole = 0, False
    while not whole:
        world = ground.world()
        if name != "created":
            reconcile(world, declared(ground.name, *ONE))
        whole = cut(reconcile_mesh.run(starting(world, after), after), world, at, after=True)
        answer = reconcile(world, after)
        assert answer.failed == 0, f"cut after call {at}"
        assert ground.exact(world, after), f"cut after call {at}"
        assert reconcile(world, after).actions == 0, "and then it is quiet"
        at += 1
    assert at > 5


@pytest.mark.parametrize("owner", ["other", ""])
@pytest.mark.parametrize("then", [ONE, (HEAD, node("b"), router(route("two", "b")), service())], ids=["declared", "not declared"])
def test_what_is_not_ours_is_neither_changed_nor_removed_and_told_where_it_differs(sharer: Ground, owner: str, then: tuple[str, ...]) -> None:
    world, where = sharer.world(), declared(sharer.name, *then)
    assert sharer.target is not None
    reconcile(world, declared(sharer.name, *ONE))
    sharer.foreign(world, sharer.target, owner)
    theirs = sharer.held(world)[sharer.target]
    answer = reconcile(world, where)
    assert sharer.held(world)[sharer.target] == theirs
    held = {one.target: one for one in kept(world, answer).withheld}
    if then is ONE:
        assert answer.withheld == 1
        assert held[sharer.target].detail
        assert held[sharer.target].fix
    assert reconcile(world, where).actions == 0


@pytest.mark.parametrize(("owner", "taken"), [("", True), ("other", False)])
def test_adopting_takes_over_what_nobody_marked_and_nothing_else(sharer: Ground, owner: str, taken: bool) -> None:
    world, where = sharer.world(), declared(sharer.name, *ONE, adopt=True)
    assert sharer.target is not None
    reconcile(world, where)
    sharer.foreign(world, sharer.target, owner)
    answer = reconcile(world, where)
    assert sharer.exact(world, where) is taken
    assert (answer.applied, answer.withheld) == ((1, 0) if taken else (0, 1))
    assert reconcile(world, where).actions == 0


def test_where_removals_are_off_nothing_is_removed(keeper: Ground) -> None:
    world = keeper.world()
    reconcile(world, declared(keeper.name, *ONE))
    before = keeper.held(world).keys()
    answer = reconcile(world, declared(keeper.name, *AFTER["everything removed"], removals="upsert-only"))
    assert keeper.held(world).keys() == before
    assert answer.actions == 0


def test_while_another_deployment_uses_our_owner_nothing_is_written_and_it_is_told(ground: Ground) -> None:
    where, world = declared(ground.name, *ONE), ground.world()
    asked = starting(world, where)
    world.runs.put(state.key(asked.run.id, "plan"), codec.encode(RegistryPlan(conflict=True)))
    answer = drive(reconcile_mesh.run(asked, where), world.ports)
    assert (ground.writes(world), ground.held(world), answer.actions) == (0, {}, 0)
    notes = kept(world, answer).notes
    assert any("another deployment uses this owner" in note for note in notes) is bool(ground.target)


def test_while_it_is_unavailable_nothing_is_written_and_the_reason_is_told_with_a_fix(ground: Ground) -> None:
    world, where = ground.world(), declared(ground.name, *ONE)
    reconcile(world, where)
    before, writes = ground.held(world), ground.writes(world)
    ground.close(world)
    after = declared(ground.name, *AFTER["weights"])
    answer = reconcile(world, after)
    assert (answer.done, answer.actions, answer.applied, answer.failed) == (True, 0, 0, 0)
    assert (ground.held(world), ground.writes(world)) == (before, writes)
    summary = kept(world, answer)
    assert bool(answer.unavailable) is bool(summary.fix) is bool(summary.gone) is bool(ground.target)
    assert (GONE in answer.unavailable) is bool(ground.target)


def test_an_api_that_goes_away_between_two_writes_ends_the_pass_without_an_error(keeper: Ground) -> None:
    world, where = keeper.world(), declared(keeper.name, *ONE)
    asked, passed = starting(world, where), seen(world, where)
    keeper.close(world)
    done = drive(drivers.driver_of(where).apply(asked.run, where, passed.plan, passed.view), world.ports)
    assert GONE in done.unavailable
    assert done.outcomes == ()


def test_a_run_that_lost_its_lease_writes_nothing(ground: Ground) -> None:
    world, where = ground.world(), declared(ground.name, *ONE)
    asked, lost = starting(world, where), bool(ground.target)
    world.state.leases.clear()
    try:
        drive(reconcile_mesh.run(asked, where), world.ports)
    except LeaseLost:
        assert lost
    else:
        assert not lost
    assert ground.writes(world) == 0


def test_a_superseded_run_writes_nothing(ground: Ground) -> None:
    world, where = ground.world(), declared(ground.name, *ONE)
    asked = starting(world, where)
    answer = drive(reconcile_mesh.run(asked, declared(ground.name, *AFTER["weights"])), world.ports)
    assert (answer.superseded, answer.done, ground.writes(world)) == (True, True, 0)


def test_outcomes_name_the_changes_of_the_summary(keeper: Ground) -> None:
    world, where = keeper.world(), declared(keeper.name, *ONE)
    answer = reconcile(world, where)
    data = world.runs.get(answer.plan.replace("/plan.json", "/outcomes.json"))
    assert data is not None
    outcomes = codec.decode(data, tuple[MeshOutcome, ...])
    assert sorted(one.action for one in outcomes) == list(range(len(kept(world, answer).changes)))


# --- what everybody else makes of it


def test_look_and_report_count_the_changes_and_tell_what_is_withheld(sharer: Ground) -> None:
    world, where = sharer.world(), declared(sharer.name, *ONE)
    assert sharer.target is not None
    reconcile(world, where)
    sharer.foreign(world, sharer.target, "other")
    asked = starting(world, where)
    drive(reconcile_mesh.run(asked, where), world.ports)
    drive(report_run.run(report_run.Request(run=asked.run), where), world.ports)
    report = codec.decode(world.runs.get(state.key(asked.run.id, "report")) or b"", report_run.Report)
    assert (report.mesh_actions, report.mesh_withheld) == (0, 1)
    assert any(str(sharer.target) in line for line in report.withheld)
    assert summary(RegistryPlan(), seen(world, where).summary)["withheld"] == report.withheld


def test_the_diagnosis_tells_a_difference_in_the_backends_words_and_an_outage_with_its_fix(keeper: Ground) -> None:
    world = keeper.world()
    reconcile(world, declared(keeper.name, *weighted(1, 0)))
    after = declared(keeper.name, *weighted(1, 1))
    way = RequestPath(resources=frozenset({("virtualRouter", "r_shop")}))
    (found,) = (one for one in mesh_breaks(facts(mesh=seen(world, after).summary), way) if one.layer == "mesh")
    assert (found.subject, found.evidence) == (str(keeper.target), ("weight of b_shop: found 0, declared 1",))
    keeper.close(world)
    (found,) = (one for one in mesh_breaks(facts(mesh=seen(world, after).summary), way) if one.layer == "mesh")
    assert GONE in found.what
    assert found.fix


def test_a_look_plans_the_mesh_by_the_same_backend(ground: Ground) -> None:
    world, where = ground.world(), declared(ground.name, *ONE)
    response = drive(look.run(look.Request(id="look-1"), where), world.ports)
    assert bool(response.actions) is bool(ground.target)
    assert response.decision == ("apply" if ground.target else "quiet")
    assert ground.writes(world) == 0


# --- what it cannot express, and the endpoint decision


def test_what_a_backend_cannot_express_has_a_place_and_a_fix(ground: Ground) -> None:
    where = declared(ground.name, *ONE)
    documents = built(*ONE)[0].documents
    for finding in backend_of(where.settings).unsupported(where.topology, documents):
        assert finding.place.line
        assert finding.fix


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ((HEAD.replace("spec: {", "spec: {meshOwner: me, "),), "api-refuses"),
        ((HEAD, *(node(f"n{number:03}") for number in range(201))), "quota"),
        ((HEAD, node("a"), node("b"), router(route("one", "a", "b").replace("weight: 1", "weight: 60"))), "api-refuses"),
    ],
    ids=["refused", "above a quota", "weights above 100"],
)
def test_what_app_mesh_refuses_is_told_to_those_who_use_it_alone(texts: tuple[str, ...], code: str) -> None:
    made = build(load([("mesh.yaml", "".join(texts).encode())]).documents)
    assert code not in [finding.code for finding in made.findings], "the compiler knows no backend"
    told = {name: [f.code for f in unsupported(made, declared(name, HEAD).settings)] for name in BACKENDS}
    assert told == {"appmesh": [code], "envoy": [], "none": [], "toy": []}
    assert [f.code for f in unsupported(made)] == [code], "without settings: as the default backend says"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [("weight: 1", "weight: 0", "no-weight"), ("prefix: /", "prefix: orders", "no-path")],
)
def test_a_route_that_serves_no_request_is_an_error_for_every_backend(old: str, new: str, code: str) -> None:
    texts = (HEAD, node("a"), router(route("one", "a").replace(old, new)))
    made = build(load([("mesh.yaml", "".join(texts).encode())]).documents)
    assert [(finding.level, finding.code) for finding in made.findings] == [("error", code)]


RETRY = "retryPolicy: {maxRetries: 1, perRetryTimeout: {unit: ms, value: 10}, httpRetryEvents: [server-error]}"


def test_the_toy_says_that_it_has_no_retries() -> None:
    texts = (HEAD, node("a"), router(route("one", "a").replace("match:", f"{RETRY}\n      match:")), service())
    where = declared("toy", *texts)
    (finding,) = backend_of(where.settings).unsupported(where.topology, ())
    assert (finding.code, finding.place.where, finding.fix) == ("toy-retries", "mesh.yaml:21", "remove retryPolicy")
    assert declared("appmesh", *texts).topology == where.topology, "the compiler knows no backend"


def endpoint(name: str, of: str = "a_shop") -> Endpoint:
    return Endpoint(
        id=name,
        cluster="a",
        node=of,
        namespace="shop.local",
        service="a",
        key="a.shop.local",
        pod=f"shop/{name}",
        uid=name,
        attributes={},
    )


def doomed(name: str, fate: str) -> DecidedEndpoint:
    about = {"service": "a.shop.local", "id": name, "cluster": "a", "uid": name, "pod": f"shop/{name}", "virtual_node": "a_shop"}
    return DecidedEndpoint(**about, fate=fate, why="unready" if fate == "unhealthy" else "dead", reason="a test")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("decision", "stand"),
    [
        (EndpointDecision(endpoints=(endpoint("one"), endpoint("two"), endpoint("new"))), {"one", "two", "new"}),
        (EndpointDecision(endpoints=(endpoint("one"),), decided=(doomed("two", "may-go"),)), {"one"}),
        (EndpointDecision(endpoints=(endpoint("one"),), decided=(doomed("two", "must-stay"),)), {"one", "two"}),
        (EndpointDecision(endpoints=(endpoint("one"), endpoint("two")), decided=(doomed("two", "unhealthy"),)), {"one"}),
        (None, {"one", "two"}),
    ],
    ids=["a new one", "one may go", "one must stay", "one is unhealthy", "not known"],
)
def test_a_backend_that_reads_endpoints_follows_the_runs_decision(decision: EndpointDecision | None, stand: set[str]) -> None:
    world, where = ToyGround().world(), declared("toy", *ONE)
    for made in (EndpointDecision(endpoints=(endpoint("one"), endpoint("two"))), decision):
        asked = starting(world, where)
        if made is not None:
            world.runs.put(state.key(asked.run.id, state.ENDPOINTS), codec.encode(made))
        drive(reconcile_mesh.run(asked, where), world.ports)
    (found,) = (entry.content for target, entry in board_of(world).entries.items() if target.name == "a_shop")
    assert set(found) == stand


def test_a_backend_that_reads_no_endpoints_costs_no_read_of_them() -> None:
    for ground in GROUNDS:
        world, where = ground.world(), declared(ground.name, *ONE)
        read: list[str] = []
        get = world.runs.get
        world.runs.get = lambda key, get=get, read=read: read.append(key) or get(key)  # type: ignore[method-assign,misc]
        reconcile(world, where)
        assert any(key.endswith(f"/{state.ENDPOINTS}.json") for key in read) is BACKENDS[ground.name].reads_endpoints
