"""What `validate` calls unreachable is what a canary expects no request of: one order of routes."""

from fractions import Fraction

import pytest
from crossmesh.core.compiler.shadowing import shadowed
from crossmesh.core.mesh.expected_split import shares
from crossmesh.core.settings import CanarySettings, Expect, Mix
from crossmesh.core.topology import Topology

from tests.support.builders import router, service

CANARY = CanarySettings(name="front", url="http://x", expect=Expect(mix=Mix(of="s", bodies=(), path="/cart")))
PREFIX, LONGER, EXACT = {"prefix": "/"}, {"prefix": "/cart"}, {"path": {"exact": "/cart"}}


def route(name: str, match: dict[str, object], priority: int | None, kind: str = "httpRoute") -> dict[str, object]:
    body = {"match": match, "action": {"weightedTargets": [{"@VirtualNode": name, "weight": 1}]}}
    return {"name": name, kind: body} | ({} if priority is None else {"priority": priority})


@pytest.mark.parametrize("kind", ["httpRoute", "http2Route"])
@pytest.mark.parametrize(
    ("one", "two", "first"),
    [
        ((PREFIX, None), (LONGER, None), "two"),
        ((LONGER, None), (EXACT, None), "two"),
        ((PREFIX, 0), (EXACT, None), "one"),
        ((EXACT, 1000), (PREFIX, 999), "two"),
        ((PREFIX, 0), (LONGER, 1), "one"),
        ((EXACT, 7), (EXACT, 3), "two"),
    ],
)
def test_a_shadowed_route_is_promised_nothing_and_the_first_one_all(
    kind: str, one: tuple[dict[str, object], int | None], two: tuple[dict[str, object], int | None], first: str
) -> None:
    routes = [route("one", *one, kind), route("two", *two, kind)]
    found = router("r", *routes)
    promised = shares(Topology(routers=(found,), services=(service("s", virtualRouter={"@VirtualRouter": "r_demo"}),)), CANARY)
    assert promised == {first: Fraction(1)}
    hidden = {found.routes[one.index].name for one in shadowed(found.routes)}
    assert first not in hidden
