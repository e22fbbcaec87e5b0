"""Routes prove themselves in the real Envoy: weights, matches, retries, timeouts, endpoints by attributes — configured over xDS by the world's management
service, which reads the models of App Mesh and Cloud Map and nothing else.
"""

import asyncio
import contextlib
import http.client
import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from crossmesh.core.canary.binomial import two_sided

from tests.support.envoy_side import Loop, Redirected, connected
from tests.support.model_mesh import Client, Document
from world.aws.models.app_mesh import AppMesh
from world.aws.models.cloud_map import OPERATIONS, CloudMap
from world.clusters.client import wait_for
from world.dataplane import configuration as xds
from world.dataplane.envoys import command
from world.dataplane.management import Management
from world.pods.apps import App, Color
from world.state import free_ports

MESH, HOST = {"meshName": "m"}, "colors.local"
ROUTER = {**MESH, "virtualRouterName": "colors"}
BOUND = 0.001  # two-sided: outside the 99.9 % bounds
HTTP = {"portMapping": {"port": 8080, "protocol": "http"}}


class Side:
    """front's Envoy, its configuration's sources, and the colours behind."""

    def __init__(self, folder: Path, loop: Loop) -> None:
        net = f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        self.ip, self.loop, self.number = f"{net}.2", loop, 0
        self.mesh = Client(AppMesh(time.time, random.Random(7)))
        self.map = Client(CloudMap(time.time, random.Random(7)), OPERATIONS)
        self.management = Management(folder, self.mesh, self.map)
        self.proxy = f"mesh/m/virtualNode/front|{self.ip}"
        self.pods: dict[str, App] = {name: Color(f"{net}.{10 + index}", (8080,), name) for index, name in enumerate(("blue", "red"))}
        self.declare()

    def declare(self) -> None:
        """The mesh, and the colours' pods in one Cloud Map service, told apart by an attribute."""
        self.map.create_http_namespace(Name="n.local")
        namespace = wait_for(lambda: self.map.list_namespaces()["Namespaces"], 10, "the namespace")[0]["Id"]
        service = self.map.create_service(Name="colors", NamespaceId=namespace)["Service"]["Id"]
        self.mesh.create_mesh(**MESH)
        for name, app in self.pods.items():
            attributes = {"AWS_INSTANCE_IPV4": app.address, "AWS_INSTANCE_PORT": "8080", "color": name}
            self.map.register_instance(ServiceId=service, InstanceId=name, Attributes=attributes)
            found = {"namespaceName": "n.local", "serviceName": "colors", "attributes": [{"key": "color", "value": name}]}
            self.mesh.create_virtual_node(**MESH, virtualNodeName=name, spec={"listeners": [HTTP], "serviceDiscovery": {"awsCloudMap": found}})
        self.mesh.create_virtual_router(**ROUTER, spec={"listeners": [HTTP]})
        provider = {"virtualRouter": {"virtualRouterName": "colors"}}
        self.mesh.create_virtual_service(**MESH, virtualServiceName=HOST, spec={"provider": provider})
        backends = [{"virtualService": {"virtualServiceName": name}} for name in (HOST, "raw.local")]
        self.mesh.create_virtual_node(**MESH, virtualNodeName="front", spec={"backends": backends})

    async def serve(self) -> tuple[web.AppRunner, int]:
        """The colours and the management service."""
        for app in self.pods.values():
            await asyncio.start_server(lambda r, w, app=app: connected(app, r, w), app.address, 8080)
        served = web.Application()
        served.add_routes([web.post("/v3/discovery:{kind}", self.management.answer)])
        runner = web.AppRunner(served, access_log=None)
        await runner.setup()
        (port,) = free_ports(1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.following = asyncio.create_task(self.management.follow(lambda: [self.proxy]))
        return runner, port

    def set(self, *routes: Document) -> None:
        """These routes and no other, and in force in Envoy: one without a weight answers to a header that nothing asked for before."""
        self.number += 1
        marker = route(("blue", 0), ("red", 0), priority=0, headers=[{"name": "x-marker", "match": {"exact": str(self.number)}}])
        there = {item["routeName"] for item in self.mesh.list_routes(**ROUTER)["routes"]}
        wanted = {f"r{index}": spec for index, spec in enumerate((*routes, marker))}
        for name, spec in wanted.items():
            (self.mesh.update_route if name in there else self.mesh.create_route)(**ROUTER, routeName=name, spec=spec)
        for name in there - wanted.keys():
            self.mesh.delete_route(**ROUTER, routeName=name)
        wait_for(lambda: self.ask("/", {"x-marker": str(self.number)}) == (503, "no target has a weight"), 20, "the routes in Envoy")

    def behave(self, **how: Document) -> None:
        """How the colours' programs answer; those not named are well."""
        for name, app in self.pods.items():
            app.behaviour = how.get(name, {})

    def ask(self, path: str, headers: dict[str, str] | None = None, method: str = "GET", port: int = 8080) -> tuple[int, str]:
        """One request as front's program would make it; status 0 where nothing listens yet."""
        connection = Redirected(self.ip, port)
        with contextlib.closing(connection):
            try:
                connection.request(method, path, headers={"Host": HOST, **(headers or {})})
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException):
                return 0, ""

    def many(self, count: int, headers: dict[str, str] | None = None, at_once: int = 8) -> Counter[str]:
        """Bodies of `count` requests over `at_once` kept connections; a status other than 200 counts as itself."""

        def some(share: int) -> Counter[str]:
            connection, found = Redirected(self.ip, 8080), Counter[str]()
            with contextlib.closing(connection):
                for _ in range(share):
                    connection.request("GET", "/", headers={"Host": HOST, **(headers or {})})
                    answer = connection.getresponse()
                    body = answer.read().decode()
                    found[body if answer.status == 200 else f"status {answer.status}"] += 1
            return found

        with ThreadPoolExecutor(at_once) as pool:
            return sum(pool.map(some, [count // at_once] * at_once), Counter[str]())


def route(*targets: tuple[str, int], priority: int | None = None, retry: Any = None, timeout: Any = None, **match: Any) -> Document:
    """An HTTP route's spec."""
    weighted = [{"virtualNode": node, "weight": weight} for node, weight in targets]
    matched = match if {"prefix", "path"} & match.keys() else {"prefix": "/", **match}
    spec: Document = {"httpRoute": {"match": matched, "action": {"weightedTargets": weighted}}}
    spec["httpRoute"] |= {"retryPolicy": retry} if retry else {}
    spec["httpRoute"] |= {"timeout": timeout} if timeout else {}
    return spec if priority is None else {**spec, "priority": priority}


def retries(most: int, *events: str) -> Document:
    """A retry policy."""
    return {"maxRetries": most, "perRetryTimeout": {"unit": "s", "value": 5}, "httpRetryEvents": list(events or ["gateway-error"])}


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    folder, loop = tmp_path_factory.mktemp("envoy"), Loop()
    found = Side(folder, loop)
    _, port = loop.run(found.serve())
    (folder / "envoy.json").write_text(json.dumps(xds.bootstrap("mesh/m/virtualNode/front", found.ip, port)))
    out = subprocess.DEVNULL
    process = subprocess.Popen(command(folder / "envoy.json", "warning", 500), stdin=out, stdout=out, stderr=out)
    try:
        found.set(route(("blue", 1), ("red", 1)))
        wait_for(lambda: found.many(40).keys() == {"blue", "red"}, 20, "both colours")
        yield found
    finally:
        process.kill()
        process.wait()
        loop.stop()


@pytest.fixture(autouse=True)
def well(side: Side) -> None:
    side.behave()


@pytest.mark.parametrize(("blue", "red"), [(1, 1), (9, 1), (0, 1)])
def test_2000_requests_lie_within_the_binomial_bounds_of_the_weights(side: Side, blue: int, red: int) -> None:
    side.set(route(("blue", blue), ("red", red)))
    counts = side.many(2000)
    assert set(counts) <= {"blue", "red"}
    assert two_sided(counts["blue"], 2000, blue / (blue + red)) >= BOUND, counts


Asked = tuple[str, dict[str, str], str]


@pytest.mark.parametrize(
    ("match", "those", "others"),
    [
        ({"headers": [{"name": "x-side", "match": {"exact": "red"}}]}, [("/", {"x-side": "red"}, "GET")], [("/", {"x-side": "redder"}, "GET")]),
        (
            {"headers": [{"name": "x-side", "match": {"prefix": "re"}}, {"name": "x-no", "invert": True}]},
            [("/", {"x-side": "reds"}, "GET")],
            [("/", {"x-side": "are"}, "GET"), ("/", {"x-side": "red", "x-no": "1"}, "GET")],
        ),
        ({"headers": [{"name": "x-side", "match": {"suffix": "ed"}}]}, [("/", {"x-side": "red"}, "GET")], [("/", {"x-side": "edge"}, "GET")]),
        ({"headers": [{"name": "x-side", "match": {"regex": "r.d"}}]}, [("/", {"x-side": "rod"}, "GET")], [("/", {"x-side": "rods"}, "GET")]),
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
    ],
    ids=["exact", "prefix and not present", "suffix", "regex", "range", "path prefix", "path", "path regex", "method", "query"],
)
def test_a_match_sends_all_and_only_its_requests_to_its_target(side: Side, match: Document, those: list[Asked], others: list[Asked]) -> None:
    side.set(route(("red", 1), priority=1, **match), route(("blue", 1), priority=2))
    for wanted, requests in (("red", those), ("blue", others)):
        for path, headers, method in requests:
            assert side.ask(path, headers, method) == (200, wanted), f"{method} {path} {headers}"


def test_a_header_route_takes_all_of_400_requests_with_it_and_none_of_400_without(side: Side) -> None:
    side.set(route(("red", 1), priority=1, headers=[{"name": "x-side", "match": {"exact": "red"}}]), route(("blue", 1), priority=2))
    assert side.many(400, {"x-side": "red"}) == {"red": 400}
    assert side.many(400) == {"blue": 400}


@pytest.mark.parametrize(
    ("status", "policy", "fails"),
    [
        (500, None, Fraction(1, 2)),  # App Mesh's hidden retries are for 503 and resets, not for 500
        (503, None, Fraction(1, 8)),
        (500, retries(1, "server-error"), Fraction(1, 4)),
        (500, retries(3, "server-error"), Fraction(1, 16)),
        (500, retries(3, "gateway-error"), Fraction(1, 2)),
    ],
)
def test_retries_behave_as_declared_with_a_target_that_fails_half_its_requests(
    side: Side, status: int, policy: Document | None, fails: Fraction
) -> None:
    side.set(route(("blue", 1), retry=policy))
    side.behave(blue={"fail_rate": 0.5, "status": status})
    counts = side.many(800)
    assert set(counts) <= {"blue", f"status {status}"}
    assert two_sided(counts[f"status {status}"], 800, float(fails)) >= BOUND, counts


def test_a_request_timeout_ends_a_slow_answer_and_a_longer_one_waits_for_it(side: Side) -> None:
    slow = {"delay_ms": 1200}
    side.set(route(("red", 1), timeout={"perRequest": {"unit": "ms", "value": 300}}, retry=retries(0)))
    side.behave(red=slow)
    began = time.monotonic()
    assert side.ask("/")[0] == 504
    assert time.monotonic() - began < 1.2
    side.behave()
    side.set(route(("red", 1), timeout={"perRequest": {"unit": "s", "value": 9}}, retry=retries(0)))
    side.behave(red=slow)
    assert side.ask("/") == (200, "red")


def test_a_node_gets_the_instances_that_carry_its_attributes_and_follows_them(side: Side) -> None:
    side.set(route(("red", 1)))
    service = side.map.list_services()["Services"][0]["Id"]
    attributes = {"AWS_INSTANCE_IPV4": side.pods["blue"].address, "AWS_INSTANCE_PORT": "8080", "color": "red"}
    assert side.ask("/") == (200, "red")
    side.map.register_instance(ServiceId=service, InstanceId="blue-dressed-as-red", Attributes=attributes)
    wait_for(lambda: side.many(40).keys() == {"blue", "red"}, 20, "the new instance in Envoy")
    side.map.deregister_instance(ServiceId=service, InstanceId="blue-dressed-as-red")
    wait_for(lambda: side.many(40) == {"red": 40}, 20, "the instance out of Envoy")


def test_names_that_are_no_backends_are_refused(side: Side) -> None:
    side.set(route(("red", 1)))
    assert side.ask("/", {"Host": "elsewhere.local"})[0] == 404


def test_a_tcp_route_carries_bytes_to_its_targets_by_weight(side: Side) -> None:
    raw = {**MESH, "virtualRouterName": "raw"}
    side.mesh.create_virtual_router(**raw, spec={"listeners": [{"portMapping": {"port": 9000, "protocol": "tcp"}}]})
    targets = [{"virtualNode": "blue", "weight": 1}, {"virtualNode": "red", "weight": 3}]
    side.mesh.create_route(**raw, routeName="all", spec={"tcpRoute": {"action": {"weightedTargets": targets}}})
    side.mesh.create_virtual_service(**MESH, virtualServiceName="raw.local", spec={"provider": {"virtualRouter": {"virtualRouterName": "raw"}}})
    wait_for(lambda: side.ask("/", port=9000)[0] == 200, 20, "the TCP listener in Envoy")
    counts = Counter(side.ask("/", port=9000)[1] for _ in range(400))
    assert set(counts) == {"blue", "red"}
    assert two_sided(counts["blue"], 400, 0.25) >= BOUND, counts
