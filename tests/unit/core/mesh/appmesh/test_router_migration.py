"""Every order that the planner gives is one that App Mesh takes: played through the world's rules, which are not the planner's."""

from itertools import product

import pytest
from crossmesh.core.mesh.appmesh.router_migration import RouteChange, fits, order

from world.aws.models.app_mesh_rules import check_route
from world.aws.models.errors import AwsError

LISTENERS = [
    [{"portMapping": {"port": port, "protocol": protocol}} for port, protocol in ports]
    for ports in ([(8080, "http")], [(8080, "grpc")], [(9090, "http")], [(8080, "http"), (9090, "grpc")], [(9090, "http"), (8080, "grpc")])
]
ROUTES = [{f"{protocol}Route": {"match": {"port": port} if port else {}}} for protocol in ("http", "grpc") for port in (None, 8080, 9090)]


def taken(listeners: list[dict[str, object]], route: dict[str, object]) -> bool:
    try:
        check_route({"listeners": listeners}, route)
    except AwsError:
        return False
    return True


@pytest.mark.parametrize(("listeners", "route"), list(product(LISTENERS, ROUTES)))
def test_fits_says_what_app_mesh_takes(listeners: list[dict[str, object]], route: dict[str, object]) -> None:
    assert fits(listeners, route) is taken(listeners, route)


def turns() -> list[tuple[list[dict[str, object]], list[dict[str, object]], list[RouteChange]]]:
    """Every pair of listeners with one and two routes that fit the old as found and the new as declared, or are gone or new."""
    cases = []
    for old, new in product(LISTENERS, LISTENERS):
        if old == new:
            continue
        before = [None, *(route for route in ROUTES if taken(old, route))]
        after = [None, *(route for route in ROUTES if taken(new, route))]
        single = [(found, declared) for found, declared in product(before, after) if found or declared]
        for one, two in product(single, single[:4]):
            cases.append((old, new, [RouteChange(name=name, found=f, declared=d) for name, (f, d) in (("one", one), ("two", two))]))
    return cases


def test_every_write_is_taken_and_all_end_as_declared() -> None:
    for old, new, routes in turns():
        steps = order(old, new, routes)
        stand = {turn.name: turn.found for turn in routes if turn.found is not None}
        for turn in routes:
            if turn.name in steps.early:
                assert turn.declared is not None
                assert taken(old, turn.declared), turn
                stand[turn.name] = turn.declared
            if turn.name in steps.out | steps.anew:
                del stand[turn.name]
        between = list(steps.bridge) or new
        assert all(taken(between, route) for route in stand.values()), f"the router's update is refused: {old} → {between} with {stand}"
        for turn in routes:
            if turn.declared is not None:
                assert taken(between, turn.declared), turn
                stand[turn.name] = turn.declared
        assert all(taken(new, route) for route in stand.values()), f"{between} → {new} with {stand}"
        assert not (steps.bridge and steps.anew), "a bridge is there so that no route is ever away"


def test_a_port_moves_over_a_bridge_where_the_route_names_it() -> None:
    moving = RouteChange(name="r", found={"httpRoute": {"match": {"port": 8080}}}, declared={"httpRoute": {"match": {"port": 9090}}})
    assert [listener["portMapping"]["port"] for listener in order(LISTENERS[0], LISTENERS[2], [moving]).bridge] == [9090, 8080]


def test_a_route_of_somebody_else_that_needs_the_old_listeners_blocks_and_nothing_is_taken_out() -> None:
    mine = RouteChange(name="mine", found={"httpRoute": {"match": {}}}, declared={"grpcRoute": {"match": {}}})
    theirs = RouteChange(name="theirs", found={"httpRoute": {"match": {}}}, ours=False)
    steps = order(LISTENERS[0], LISTENERS[1], [mine, theirs])
    assert (steps.blocked, steps.anew, steps.out) == (("theirs",), frozenset(), frozenset())
