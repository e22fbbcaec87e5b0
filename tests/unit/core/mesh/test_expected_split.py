"""The expected shares, read from the routes by App Mesh's order."""

from fractions import Fraction
from typing import Any

import pytest
from crossmesh.core.mesh.expected_split import shares
from crossmesh.core.settings import CanarySettings, Expect, Mix
from crossmesh.core.topology import Topology

from tests.support.builders import router, service

CANARY = CanarySettings(name="c", url="http://x", expect=Expect(mix=Mix(of="color", bodies=())))
COLOR = CanarySettings(name="c", url="http://x", expect=Expect(mix=Mix(of="color", bodies=(), path="/color")))
BLUE, RED = {"blue_demo": Fraction(1)}, {"red_demo": Fraction(1)}


def route(name: str, node: str, kind: str = "httpRoute", priority: int | None = None, **match: Any) -> dict[str, Any]:
    made = {"name": name, kind: {"match": match, "action": {"weightedTargets": [{"@VirtualNode": f"{node}_demo", "weight": 1}]}}}
    return made if priority is None else {**made, "priority": priority}


def topology(*routes: dict[str, Any], provider: dict[str, Any] | None = None) -> Topology:
    found = service("color", **({"virtualRouter": {"@VirtualRouter": "color_demo"}} if provider is None else provider))
    foreign = router("color", route("other", "wrong", prefix="/"), mesh="another")
    return Topology(services=(found,), routers=(foreign, router("color", *routes)))


def weighted(**weights: int) -> dict[str, Any]:
    targets = [{"@VirtualNode": f"{node}_demo", "weight": weight} for node, weight in weights.items()]
    return {"name": "r", "httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": targets}}}


def test_weights_are_proportions_and_zero_is_one_too() -> None:
    assert shares(topology(weighted(red=1, blue=3, green=0)), CANARY) == {
        "red_demo": Fraction(1, 4),
        "blue_demo": Fraction(3, 4),
        "green_demo": Fraction(0),
    }
    assert shares(topology(weighted(red=0)), CANARY) == {}


@pytest.mark.parametrize("of", ["color", "demo/color", "color.demo"])
def test_the_virtual_service_by_any_of_its_names(of: str) -> None:
    canary = CanarySettings(name="c", url="http://x", expect=Expect(mix=Mix(of=of, bodies=())))
    assert shares(topology(weighted(blue=1)), canary) == BLUE


def test_a_service_provided_by_a_node_sends_all_there() -> None:
    assert shares(topology(provider={"virtualNode": {"@VirtualNode": "blue_demo"}}), CANARY) == BLUE


def test_nothing_is_promised_without_mix_service_router_or_route() -> None:
    assert shares(topology(weighted(blue=1)), CanarySettings(name="c", url="http://x")) == {}
    assert shares(Topology(), CANARY) == {}
    assert shares(topology(provider={}), CANARY) == {}
    assert shares(topology(route("r", "blue", prefix="/only")), CANARY) == {}


@pytest.mark.parametrize(
    "routes",
    [
        (route("a", "red", prefix="/"), route("b", "blue", prefix="/", priority=1000)),
        (route("a", "red", prefix="/", priority=1), route("b", "blue", prefix="/", priority=0)),
        (route("a", "red", prefix="/"), route("b", "blue", prefix="/col")),
        (route("a", "red", prefix="/color"), route("b", "blue", path={"exact": "/color"})),
        (route("a", "red", prefix="/x"), route("b", "blue", path={"regex": "/co.*"})),
        (route("a", "red", path={"regex": "/co"}), route("b", "blue", prefix="/")),
        (route("a", "red", path={"regex": "(?&bad"}), route("b", "blue", prefix="/")),
        (route("a", "red", prefix="/", method="POST"), route("b", "blue", prefix="/")),
        (route("a", "red", prefix="/", headers=[{"name": "x", "match": {"exact": "1"}}]), route("b", "blue", prefix="/")),
        (route("a", "red", prefix="/", queryParameters=[{"name": "x"}]), route("b", "blue", prefix="/")),
        (route("a", "red", prefix="/", scheme="https"), route("b", "blue", prefix="/")),
        (route("a", "red", "grpcRoute", serviceName="x"), route("b", "blue", "http2Route", prefix="/")),
        (route("a", "blue", prefix="/", method="GET"), route("b", "red", prefix="/")),
        (route("a", "blue", "tcpRoute"),),
    ],
)
def test_the_first_route_that_a_plain_get_takes_decides(routes: tuple[dict[str, Any], ...]) -> None:
    assert shares(topology(*routes), COLOR) == BLUE
    assert shares(topology(*reversed(routes)), COLOR) == BLUE, "whatever the order of the documents"


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (r"/((\w|-)+/?)+", "/" + "a" * 5_000 + "!"),  # the reported case: each letter doubled the time
        (r"/([a-z]+)*", "/" + "a" * 5_000 + "1"),
        (r"/(a|a)*b", "/" + "a" * 5_000),
        (r"/(.*)*(.*)*(.*)*x", "/" + "a" * 5_000),
        (r"/(a?){500}b", "/" + "a" * 500),
    ],
)
def test_no_pattern_of_a_route_holds_up_the_judge(pattern: str, path: str) -> None:
    """Python's own matcher would not come back from these; the pattern may be a tenant's."""
    canary = CanarySettings(name="c", url="http://x", expect=Expect(mix=Mix(of="color", bodies=(), path=path)))
    assert shares(topology(route("a", "red", path={"regex": pattern}), route("b", "blue", prefix="/")), canary) == BLUE


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        (r"/co(?=lor).*", False),  # RE2 has no look-ahead, so App Mesh refuses the route
        (r"(/)\1*color", False),  # nor references back
        (r"/co", False),  # the whole path
        (r"/\pL+", True),
        (r"/(?P<name>color)", True),
        (r"/c{1001}", False),
    ],
)
def test_patterns_mean_what_envoy_takes_them_for(pattern: str, fits: bool) -> None:
    found = shares(topology(route("a", "blue", path={"regex": pattern}), route("b", "red", prefix="/")), COLOR)
    assert (found == BLUE) is fits
