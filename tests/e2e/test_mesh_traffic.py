"""Routes and shifts end to end, through the front load balancer and front's real Envoy.

What each kind of route, match, retry and timeout does there is proved in tests/conformance/test_envoy_traffic.py, by the same management service.
"""

import http.client
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from crossmesh.core.canary.binomial import two_sided

from tests.e2e.conftest import Deployed
from tests.support.command_line import crossmesh
from world.clusters.client import wait_for

pytestmark = pytest.mark.e2e

ROUTER = {"meshName": "appmesh-demo", "virtualRouterName": "colorapp_appmesh-demo"}
BLUE, RED = "colorapp-blue_appmesh-demo", "colorapp-red_appmesh-demo"
BOUND = 0.001  # two-sided: outside the 99.9 % bounds


def many(here: Deployed, count: int, at_once: int = 8) -> Counter[str]:
    """Bodies of requests through the front load balancer, over kept connections."""
    front = urlsplit(here.world.url("front"))

    def some(share: int) -> Counter[str]:
        connection, found = http.client.HTTPConnection(str(front.hostname), front.port, timeout=20), Counter[str]()
        for _ in range(share):
            connection.request("GET", "/color")
            found[connection.getresponse().read().decode()] += 1
        connection.close()
        return found

    with ThreadPoolExecutor(at_once) as pool:
        return sum(pool.map(some, [count // at_once] * at_once), Counter[str]())


def test_2000_requests_of_users_lie_within_the_binomial_bounds_of_the_routes(here: Deployed) -> None:
    wait_for(lambda: here.app.mix(8).keys() == {"blue", "red"}, 30, "both colours")
    counts = many(here, 2000)
    assert set(counts) == {"blue", "red"}
    assert two_sided(counts["blue"], 2000, 0.5) >= BOUND, counts


def test_a_shift_moves_the_mix_step_by_step_and_a_red_canary_reverts_it(here: Deployed) -> None:
    def weights() -> tuple[int, int]:
        spec = here.app.mesh.describe_route(**ROUTER, routeName="color-route")["route"]["spec"]
        found = {t["virtualNode"]: t["weight"] for t in spec["httpRoute"]["action"]["weightedTargets"]}
        return found[BLUE], found[RED]

    assert here.app.canary(requests=60).last is not None
    code, told = crossmesh(here, "shift", "colorapp", "--to", "colorapp-blue=90,colorapp-red=10", "--step", "20", "--every", "4s", "--yes")
    assert code == 0, told
    seen: list[tuple[int, int]] = []

    def arrived() -> bool:
        if (now := weights()) not in seen:
            seen.append(now)
        return now == (90, 10)

    wait_for(arrived, 60, "the goal of the shift")
    assert seen[-2:] == [(70, 30), (90, 10)], "step by step, by itself"
    assert "step 2 of 2" in crossmesh(here, "status")[1]["shifts"][-1]
    here.app.settled()
    last = here.app.canary(requests=100).last
    assert last is not None
    assert (last.kind, last.expected[BLUE]) == ("good", "9/10"), last.says
    pod = here.colours.ready_pods("appmesh-demo", "version=blue")[0]["metadata"]["name"]
    here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {"status": 500, "body": "broken"})
    try:
        last = here.app.canary(requests=60).last
        assert last is not None
        assert last.kind == "failed"
        wait_for(lambda: here.app.look(60) is not None and weights() == (1, 1), 60, "the declared weights")
    finally:
        here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {})
    assert "ended: canary front-color is red" in crossmesh(here, "status")[1]["shifts"][-1]
