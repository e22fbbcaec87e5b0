"""The management service between models of the mesh API and Cloud Map and Envoys that only poll."""

import asyncio
import json
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.model_mesh import Client
from world.aws.models.app_mesh import AppMesh, AppMeshSettings
from world.aws.models.cloud_map import OPERATIONS, CloudMap
from world.clusters.client import wait_for
from world.dataplane import configuration as xds
from world.dataplane import management
from world.dataplane.management import Management

MESH, HTTP = {"meshName": "m"}, {"portMapping": {"port": 8080, "protocol": "http"}}
KINDS = {"clusters": xds.CLUSTER, "endpoints": xds.ENDPOINTS, "listeners": xds.LISTENER, "routes": xds.ROUTE}


class Side:
    """`count` nodes behind as many services, found in Cloud Map; whoever calls has all of them as backends."""

    def __init__(self, folder: Path, count: int = 1, *callers: str) -> None:
        settings = AppMeshSettings(backends=1000)
        self.mesh = Client(AppMesh(time.time, random.Random(7), settings=settings))
        self.map = Client(CloudMap(time.time, random.Random(7)), OPERATIONS)
        self.management = Management(folder, self.mesh, self.map)
        self.proxies: list[str] = []
        self.mesh.create_mesh(**MESH)
        self.map.create_http_namespace(Name="n.local")
        space = wait_for(lambda: self.map.list_namespaces()["Namespaces"], 10, "the namespace")[0]["Id"]
        for index in range(count):
            found = {"awsCloudMap": {"namespaceName": "n.local", "serviceName": f"n{index}"}}
            self.service = self.map.create_service(Name=f"n{index}", NamespaceId=space)["Service"]["Id"]
            self.mesh.create_virtual_node(**MESH, virtualNodeName=f"n{index}", spec={"listeners": [HTTP], "serviceDiscovery": found})
            router = {**MESH, "virtualRouterName": f"r{index}"}
            self.mesh.create_virtual_router(**router, spec={"listeners": [HTTP]})
            self.mesh.create_route(**router, routeName="all", spec=goes(f"n{index}"))
            provider = {"provider": {"virtualRouter": {"virtualRouterName": f"r{index}"}}}
            self.mesh.create_virtual_service(**MESH, virtualServiceName=f"s{index}.local", spec=provider)
        backends = [{"virtualService": {"virtualServiceName": f"s{index}.local"}} for index in range(count)]
        for name in callers:
            self.mesh.create_virtual_node(**MESH, virtualNodeName=name, spec={"backends": backends})

    def look(self) -> None:
        self.management._look(sorted({proxy.rpartition("|")[0] for proxy in self.proxies}))

    def poll(self, proxy: str, kind: str, name: str = "", version: str = "") -> Any:
        asked = {"node": {"id": proxy}, "version_info": version, **({"resource_names": [name]} if name else {})}

        async def body() -> Any:
            return asked

        request: Any = SimpleNamespace(json=body, match_info={"kind": kind})
        answer = asyncio.run(self.management.answer(request))
        return json.loads(answer.body) if answer.status == 200 else None  # type: ignore[arg-type]

    def round(self, proxy: str, versions: dict[tuple[str, str], str]) -> None:
        """An Envoy polls for everything and takes it."""
        asked = [("clusters", "")]
        asked += [
            ("endpoints", one["name"]) for one in (self.poll(proxy, "clusters") or {"resources": []})["resources"] if one["type"] == "EDS"
        ]
        for one in [*asked, ("listeners", ""), ("routes", "rds_egress_http_8080")]:
            if found := self.poll(proxy, *one, versions.get(one, "")):
                versions[one] = found["version_info"]

    def settled(self) -> list[str]:
        """What proxies wait for, after one more look."""

        async def ask() -> list[str]:
            asking = asyncio.create_task(self.management.settled(lambda: self.proxies))
            await asyncio.sleep(0.01)
            await asyncio.to_thread(self.look)
            return await asking

        return asyncio.run(ask())


def goes(*nodes: str) -> dict[str, Any]:
    return {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [{"virtualNode": node, "weight": 1} for node in nodes]}}}


FRONT, OTHER = "mesh/m/virtualNode/front", "mesh/m/virtualNode/other"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "SETTLE_S", 0.3)


def test_what_several_need_is_asked_once(tmp_path: Path) -> None:
    side = Side(tmp_path, 100, "front", "other")
    side.proxies = [f"{FRONT}|127.9.9.1", f"{FRONT}|127.9.9.2", f"{OTHER}|127.9.9.3"]
    side.mesh.calls.clear()
    side.map.calls.clear()
    side.look()
    assert side.mesh.calls == {
        "DescribeMesh": 1,
        "DescribeVirtualNode": 102,
        "DescribeVirtualService": 100,
        "DescribeVirtualRouter": 100,
        "ListRoutes": 100,
        "DescribeRoute": 100,
    }
    assert side.map.calls == {"DiscoverInstancesRevision": 100, "DiscoverInstances": 100}
    side.look()
    assert side.map.calls == {"DiscoverInstancesRevision": 200, "DiscoverInstances": 100}, "asked anew where a revision moved"
    clusters = [side.poll(proxy, "clusters")["resources"] for proxy in side.proxies]
    assert [len(found) for found in clusters] == [101, 101, 101]


def test_where_one_node_cannot_be_read_the_others_are(tmp_path: Path) -> None:
    side = Side(tmp_path, 1, "front")
    side.proxies = ["mesh/m/virtualNode/away|127.9.9.1", "nonsense|127.9.9.2", f"{FRONT}|127.9.9.3"]
    side.look()
    assert [side.poll(proxy, "clusters") is not None for proxy in side.proxies] == [False, False, True]


def test_what_was_read_last_stays_in_force_when_a_node_is_deleted_or_the_mesh_fails(tmp_path: Path) -> None:
    side = Side(tmp_path, 1, "front")
    proxy = f"{FRONT}|127.9.9.1"
    side.proxies = [proxy]
    side.look()
    before = side.poll(proxy, "clusters")
    side.mesh.delete_virtual_node(**MESH, virtualNodeName="front")
    side.look()
    assert side.poll(proxy, "clusters") == before
    side.mesh.spoil = lambda operation, done: "InternalServerErrorException"
    side.look()
    assert side.poll(proxy, "clusters") == before


def test_routes_follow_the_mesh_while_cloud_map_fails_and_instances_stay(tmp_path: Path) -> None:
    side = Side(tmp_path, 2, "front")
    proxy = f"{FRONT}|127.9.9.1"
    side.proxies = [proxy]
    side.map.register_instance(ServiceId=side.service, InstanceId="i", Attributes={"AWS_INSTANCE_IPV4": "127.9.9.8", "AWS_INSTANCE_PORT": "1"})
    wait_for(lambda: side.look() or "127.9.9.8" in json.dumps(side.poll(proxy, "endpoints", "cds_egress_m_n1_http_8080")), 10, "the instance")  # type: ignore[func-returns-value]
    side.map.spoil = lambda operation, done: "RequestLimitExceeded"
    side.mesh.update_route(**MESH, virtualRouterName="r0", routeName="all", spec=goes("n0", "n1"))
    versions: dict[tuple[str, str], str] = {}
    side.look()
    side.round(proxy, versions)
    routes = json.dumps(side.poll(proxy, "routes", "rds_egress_http_8080"))
    assert routes.count("cds_egress_m_n1_http_8080") == 2
    assert "127.9.9.8" in json.dumps(side.poll(proxy, "endpoints", "cds_egress_m_n1_http_8080"))


def test_settled_is_said_once_every_proxy_goes_by_what_was_read_since(tmp_path: Path) -> None:
    side = Side(tmp_path, 1, "front", "other")
    one, two = side.proxies = [f"{FRONT}|127.9.9.1", f"{OTHER}|127.9.9.2"]
    assert {said.partition(": ")[2] for said in asyncio.run(side.management.settled(lambda: side.proxies))} == {"to be read"}
    versions: dict[str, dict[tuple[str, str], str]] = {one: {}, two: {}}
    side.look()
    for proxy in side.proxies:
        for _ in range(2):
            side.round(proxy, versions[proxy])
    assert side.settled() == []
    side.mesh.update_route(
        **MESH,
        virtualRouterName="r0",
        routeName="all",
        spec={**goes("n0"), "priority": 7} | {"httpRoute": {**goes("n0")["httpRoute"], "timeout": {"idle": {"unit": "s", "value": 9}}}},
    )
    side.look()
    for _ in range(2):
        side.round(one, versions[one])
    assert side.settled() == [f"{two}: routes rds_egress_http_8080"]


def test_an_envoy_that_started_again_has_nothing_yet(tmp_path: Path) -> None:
    side = Side(tmp_path, 1, "front")
    (proxy,) = side.proxies = [f"{FRONT}|127.9.9.1"]
    side.look()
    versions: dict[tuple[str, str], str] = {}
    for _ in range(2):
        side.round(proxy, versions)
    assert side.settled() == []
    side.management.forget(proxy)
    assert {said.rpartition("|")[2].partition(": ")[2].partition(" ")[0] for said in side.settled()} == {"cluster", "listener", "routes"}
    assert side.poll(proxy, "clusters") is not None, "what was read is there at once"


def test_one_that_stands_still_answers_nothing(tmp_path: Path) -> None:
    side = Side(tmp_path, 1, "front")
    (proxy,) = side.proxies = [f"{FRONT}|127.9.9.1"]
    side.look()
    side.management.running = False
    assert side.poll(proxy, "clusters") is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_proxy_gets_nothing(tmp_path: Path, kind: str) -> None:
    assert Side(tmp_path).poll("mesh/m/virtualNode/unknown|127.9.9.9", kind) is None
