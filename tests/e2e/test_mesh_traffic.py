"""Routes prove themselves in the real Envoy: weights, matches, retries and timeouts, configured from the mesh API and Cloud Map alone.

The application is paused meanwhile, so that routes can be set through the mesh API without being repaired; resumed, it brings back what is declared.
"""

import http.client
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest
from crossmesh.core.exact import two_sided

from tests.e2e.conftest import Deployed
from tests.e2e.test_operating import crossmesh
from world.clusters.client import wait_for

pytestmark = pytest.mark.e2e

ROUTER = {"meshName": "appmesh-demo", "virtualRouterName": "colorapp_appmesh-demo"}
BLUE, RED = "colorapp-blue_appmesh-demo", "colorapp-red_appmesh-demo"
HOST = "colorapp.appmesh-demo.pvt.aws.local"
BOUND = 0.001  # two-sided: outside the 99.9 % bounds
EGRESS = 15001


class Mesh:
    """Routes set by hand, and requests asked of front's own Envoy."""

    def __init__(self, here: Deployed) -> None:
        self.here = here
        self.front = here.front.ready_pods("appmesh-demo", "app=front")[0]["status"]["podIP"]
        self.number = 0

    def set(self, *routes: dict[str, Any]) -> None:
        """These routes and no other, in force in Envoy: the last one's probe header is answered by it."""
        api, self.number = self.here.app.mesh, self.number + 1
        there = {route["routeName"] for route in api.list_routes(**ROUTER)["routes"]}
        wanted = {f"r{index}": spec for index, spec in enumerate((*routes, marker(self.number)))}
        for name, spec in wanted.items():
            (api.update_route if name in there else api.create_route)(**ROUTER, routeName=name, spec=spec)
        for name in there - wanted.keys():
            api.delete_route(**ROUTER, routeName=name)
        wait_for(lambda: self.ask("/", {"x-marker": str(self.number)})[0] == 200, 20, "the routes in Envoy")

    def ask(self, path: str, headers: dict[str, str] | None = None, method: str = "GET", timeout: float = 20.0) -> tuple[int, str]:
        """One request as front's program would make it."""
        connection = http.client.HTTPConnection(self.front, EGRESS, timeout=timeout)
        try:
            connection.request(method, path, headers={"Host": HOST, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def many(self, count: int, path: str = "/", headers: dict[str, str] | None = None, at_once: int = 8) -> Counter[str]:
        """Bodies of `count` requests over `at_once` kept connections; a status other than 200 counts as itself."""

        def some(share: int) -> Counter[str]:
            connection, found = http.client.HTTPConnection(self.front, EGRESS, timeout=20), Counter[str]()
            for _ in range(share):
                connection.request("GET", path, headers={"Host": HOST, **(headers or {})})
                answer = connection.getresponse()
                body = answer.read().decode()
                found[body if answer.status == 200 else f"status {answer.status}"] += 1
            connection.close()
            return found

        with ThreadPoolExecutor(at_once) as pool:
            return sum(pool.map(some, [count // at_once] * at_once), Counter())


def route(*targets: tuple[str, int], priority: int | None = None, retry: Any = None, timeout: Any = None, **match: Any) -> dict[str, Any]:
    """An HTTP route's spec."""
    weighted = [{"virtualNode": node, "weight": weight} for node, weight in targets]
    matched = match if {"prefix", "path"} & match.keys() else {"prefix": "/", **match}
    spec: dict[str, Any] = {"httpRoute": {"match": matched, "action": {"weightedTargets": weighted}}}
    if retry:
        spec["httpRoute"]["retryPolicy"] = retry
    if timeout:
        spec["httpRoute"]["timeout"] = timeout
    return spec if priority is None else {**spec, "priority": priority}


def marker(number: int) -> dict[str, Any]:
    """A route by which a test knows that its routes are in force."""
    return route((BLUE, 1), priority=0, headers=[{"name": "x-marker", "match": {"exact": str(number)}}])


def operator(here: Deployed, verb: str) -> None:
    code, told = crossmesh(here, verb)
    assert code == 0, told


@pytest.fixture
def mesh(here: Deployed) -> Iterator[Mesh]:
    operator(here, "pause")
    try:
        yield Mesh(here)
    finally:
        operator(here, "resume")
        here.heal()


@pytest.mark.parametrize(("blue", "red"), [(1, 1), (9, 1), (0, 1)])
def test_2000_requests_lie_within_the_binomial_bounds_of_the_weights(mesh: Mesh, blue: int, red: int) -> None:
    mesh.set(route((BLUE, blue), (RED, red)))
    counts = mesh.many(2000)
    assert set(counts) <= {"blue", "red"}
    assert two_sided(counts["blue"], 2000, blue / (blue + red)) >= BOUND, counts


def test_each_match_sends_all_and_only_its_requests_to_its_target(mesh: Mesh) -> None:
    cases: list[tuple[dict[str, Any], list[tuple[str, dict[str, str], str]], list[tuple[str, dict[str, str], str]]]] = [
        (
            {"headers": [{"name": "x-side", "match": {"exact": "red"}}]},
            [("/", {"x-side": "red"}, "GET")],
            [("/", {"x-side": "redder"}, "GET"), ("/", {}, "GET")],
        ),
        (
            {"headers": [{"name": "x-side", "match": {"prefix": "re"}}, {"name": "x-no", "invert": True}]},
            [("/", {"x-side": "reds"}, "GET")],
            [("/", {"x-side": "are"}, "GET"), ("/", {"x-side": "red", "x-no": "1"}, "GET")],
        ),
        (
            {"headers": [{"name": "x-n", "match": {"range": {"start": 5, "end": 9}}}]},
            [("/", {"x-n": "8"}, "GET")],
            [("/", {"x-n": "9"}, "GET")],
        ),
        ({"prefix": "/shop"}, [("/shop/1", {}, "GET"), ("/shopping", {}, "GET")], [("/", {}, "GET"), ("/a/shop", {}, "GET")]),
        ({"path": {"exact": "/one"}}, [("/one", {}, "GET")], [("/one/", {}, "GET"), ("/ones", {}, "GET")]),
        ({"path": {"regex": "/o.e/[0-9]+"}}, [("/ode/12", {}, "GET")], [("/ode/x", {}, "GET"), ("/ode/12/", {}, "GET")]),
        ({"method": "POST"}, [("/", {}, "POST")], [("/", {}, "GET")]),
        (
            {"queryParameters": [{"name": "q", "match": {"exact": "1"}}]},
            [("/?q=1", {}, "GET"), ("/?a=2&q=1", {}, "GET")],
            [("/?q=2", {}, "GET"), ("/", {}, "GET")],
        ),
    ]
    for match, those, others in cases:
        mesh.set(route((RED, 1), priority=1, **match), route((BLUE, 1), priority=2))
        for wanted, requests in (("red", those), ("blue", others)):
            for path, headers, method in requests:
                assert mesh.ask(path, headers, method) == (200, wanted), f"{method} {path} {headers} under {match}"
    mesh.set(route((RED, 1), priority=1, headers=[{"name": "x-side", "match": {"exact": "red"}}]), route((BLUE, 1), priority=2))
    assert mesh.many(400, headers={"x-side": "red"}) == {"red": 400}
    assert mesh.many(400) == {"blue": 400}


def test_retries_behave_as_declared_with_a_target_that_fails_half_its_requests(mesh: Mesh) -> None:
    pod = mesh.here.colours.ready_pods("appmesh-demo", "version=blue")[0]["metadata"]["name"]
    mesh.here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {"fail_rate": 0.5, "status": 500})
    try:
        for policy, fails in (
            (None, Fraction(1, 2)),  # App Mesh's hidden retries are for 503 and resets, not for 500
            ({"maxRetries": 1, "perRetryTimeout": {"unit": "s", "value": 2}, "httpRetryEvents": ["server-error"]}, Fraction(1, 4)),
            ({"maxRetries": 3, "perRetryTimeout": {"unit": "s", "value": 2}, "httpRetryEvents": ["server-error"]}, Fraction(1, 16)),
            ({"maxRetries": 3, "perRetryTimeout": {"unit": "s", "value": 2}, "httpRetryEvents": ["gateway-error"]}, Fraction(1, 2)),
        ):
            mesh.set(route((BLUE, 1), retry=policy))
            counts = mesh.many(600)
            assert set(counts) <= {"blue", "status 500"}
            assert two_sided(counts["status 500"], 600, float(fails)) >= BOUND, (policy, counts)
    finally:
        mesh.here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {})


def test_a_request_timeout_ends_a_slow_answer_and_not_a_quick_one(mesh: Mesh) -> None:
    pod = mesh.here.colours.ready_pods("appmesh-demo", "version=red")[0]["metadata"]["name"]
    mesh.here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {"delay_ms": 1500})
    try:
        mesh.set(route((RED, 1), timeout={"perRequest": {"unit": "ms", "value": 400}}, retry=none()))
        began = time.monotonic()
        assert mesh.ask("/")[0] == 504
        assert time.monotonic() - began < 1.5
        mesh.set(route((RED, 1), timeout={"perRequest": {"unit": "s", "value": 5}}, retry=none()))
        assert mesh.ask("/") == (200, "red")
    finally:
        mesh.here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {})


def none() -> dict[str, Any]:
    """A retry policy that retries nothing."""
    return {"maxRetries": 0, "perRetryTimeout": {"unit": "s", "value": 5}, "tcpRetryEvents": ["connection-error"]}


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
    wait_for(lambda: here.app.mix(40)["blue"] > 28, 20, "the weights in Envoy")
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
    assert "ended, canary front-color is red" in crossmesh(here, "status")[1]["shifts"][-1]
